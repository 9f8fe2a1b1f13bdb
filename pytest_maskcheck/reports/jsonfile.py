"""The report for machines: one JSON file of a session; docs/reports.md describes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_maskcheck.results import SCHEMA
from pytest_maskcheck.results.encoding import described, legible
from pytest_maskcheck.results.figures import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Audit


TOOL = "pytest-maskcheck"
"""The name of this program in its reports."""


def encode(audits: Sequence[Audit], shard: str, shortfall: str = "") -> bytes:
    """Return the content of the file; see :class:`~.formats.Format`."""
    data = {
        "schema": SCHEMA,
        "tool": TOOL,
        "shard": shard,
        "session": {
            "tests": len(audits),
            "audited": sum(audit.audited > 0 for audit in audits),
            "shortfall": described(shortfall) if shortfall else None,
        },
        # Follows from the audits, and is there for programs that want no more than this; nothing here reads it.
        "files": {legible(each.path): each.to_json() for each in figures(audits)},
        "audits": [audit.to_json() for audit in audits],
    }
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    return text.encode()  # cannot fail: to_json() escapes what cannot be encoded
