"""The report for machines: one JSON file of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_maskcheck.reports import files
from pytest_maskcheck.results import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_maskcheck.results import Audit


TOOL = "pytest-maskcheck"
"""What a report says that it was written by."""


def write(path: str, audits: Iterable[Audit], shard: str = "") -> None:
    """Write the audits of a session, or of one shard of it, to ``path``.

    Raises:
        OSError: the file cannot be written.
    """
    data = {"schema": SCHEMA, "tool": TOOL, "shard": shard, "audits": [audit.to_json() for audit in audits]}
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    files.write(path, text.encode())  # see results.legible
