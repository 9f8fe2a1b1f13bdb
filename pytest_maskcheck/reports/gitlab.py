"""GitLab's Code Quality report, a subset of that of Code Climate: an array of issues, each at one line.

It has no other place to say what was not audited, so each reason is an issue, too, at the first line of the first test that has it.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.reports.entries import Level, entries
from pytest_maskcheck.reports.provisos import provisos
from pytest_maskcheck.reports.unaudited import extent, unaudited
from pytest_maskcheck.results import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.reports.entries import Entry
    from pytest_maskcheck.reports.unaudited import Extent, Unaudited
    from pytest_maskcheck.results import Audit

_TEXT = 1_000
"""Number of characters of a description."""

_WORST = {Verdict.HANG, Verdict.CRASH, Verdict.SWALLOWED}
"""The user cannot end the program in order, or not at all."""


def encode(audits: Sequence[Audit], shard: str, shortfall: str = "") -> bytes:  # noqa: ARG001  (the protocol of formats)
    """Return the content of the file; see :class:`~.formats.Format`."""
    came = extent(audits, shortfall)
    incomplete = [_incomplete(came, audits)] * came.is_error
    issues = [*map(_issue, entries(audits)), *incomplete, *_restrictions(audits), *map(_unaudited, unaudited(audits))]
    return (json.dumps(issues, indent=1) + "\n").encode()


def _issue(entry: Entry) -> dict[str, Any]:
    region = entry.way.cure_at
    return {
        "description": entry.about[:_TEXT],
        "check_name": f"maskcheck/{entry.rule}",
        "fingerprint": entry.fingerprint,
        "severity": _severity(entry),
        "location": {"path": entry.path, "lines": {"begin": region.line, "end": region.end_line}},
    }


def _severity(entry: Entry) -> str:
    if entry.level is not Level.FAILS:
        return "minor" if entry.level is Level.KNOWN else "info"
    return "critical" if entry.defect.verdict in _WORST else "major"


def _incomplete(came: Extent, audits: Sequence[Audit]) -> dict[str, Any]:
    """Return the issue that the session as a whole did not come to its end, or audited nothing."""
    path = audits[0].test.partition("::")[0] if audits else "."
    return {
        "description": came.text[:_TEXT],
        "check_name": "maskcheck/incomplete",
        "fingerprint": sha256(b"incomplete").hexdigest()[:16],
        "severity": "major",
        "location": {"path": path, "lines": {"begin": 1}},
    }


def _restrictions(audits: Sequence[Audit]) -> Iterator[dict[str, Any]]:
    for each in provisos(audits):
        yield {
            "description": each.sentence[:_TEXT],
            "check_name": f"maskcheck/{each.code}",
            "fingerprint": sha256(each.code.encode()).hexdigest()[:16],
            "severity": "minor" if each.is_gap else "info",
            "location": {"path": audits[0].test.partition("::")[0], "lines": {"begin": 1}},
        }


def _unaudited(row: Unaudited) -> dict[str, Any]:
    path = row.tests[0].partition("::")[0]
    return {
        "description": f"Not audited: {row.number}: {row.reason}"[:_TEXT],
        "check_name": f"maskcheck/not-audited/{row.code.value}",
        # The number and the tests may change without it.
        "fingerprint": sha256(f"not audited\0{row.reason}".encode("utf-8", "backslashreplace")).hexdigest()[:16],
        "severity": "info",
        "location": {"path": path, "lines": {"begin": 1}},
    }
