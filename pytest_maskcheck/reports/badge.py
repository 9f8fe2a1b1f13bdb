"""The badge: a small JSON file that shields.io makes a picture of (https://shields.io/badges/endpoint-badge).

Its colour must not promise more than was shown: green needs a verdict at every point of every test that was to be audited. It is red on
any defect, also on one that a baseline accepts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited, count, reason_of
from pytest_maskcheck.reports.unaudited import extent
from pytest_maskcheck.results import over_tests
from pytest_maskcheck.results.figures import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Audit

_LABEL = "interrupt-safe"

_NOTHING, _BAD, _PARTLY, _GOOD = "lightgrey", "red", "yellow", "brightgreen"

_PARTIAL = {NotAudited.BUDGET, NotAudited.ELSEWHERE, NotAudited.SHARD_MISSING, NotAudited.MAX_POINTS}
"""Reasons to leave points out that no other test of the session was audited at."""


def encode(audits: Sequence[Audit], shard: str, shortfall: str = "") -> bytes:
    """Return the content of the file; see :class:`~.formats.Format`."""
    message, color = _shown(audits, shard, shortfall)
    data = {"schemaVersion": 1, "label": _LABEL, "message": message, "color": color}
    return (json.dumps(data, indent=1) + "\n").encode()


def _shown(audits: Sequence[Audit], shard: str, shortfall: str) -> tuple[str, str]:
    if not any(audit.audited for audit in audits):
        return "not audited", _NOTHING
    files = [each for each in figures(audits) if not each.is_support]
    clean, reached = sum(len(each.clean) for each in files), sum(len(each.reached) for each in files)
    message = f"{clean} of {count(reached, 'line')}"
    defects = [each for each in over_tests(audits) if each.fails or each.known]
    if defects:
        return f"{count(defects, 'defect')}, {message}", _BAD
    is_partial = shard or extent(audits, shortfall).is_early or any(map(_is_open, audits))
    return message, _PARTLY if is_partial else _GOOD


def _is_open(audit: Audit) -> bool:
    """Return whether something of a test was to be audited and has no verdict."""
    if audit.refused:
        # The tests that were chosen for the same places stand for one beyond the depth. What is skipped or expected to fail
        # does not turn pytest's own result yellow either: its author has said so, and no run would change the badge.
        return not audit.is_not_for_audit and reason_of(audit.refused).code is not NotAudited.DEPTH
    varies = any(result.varies for result in audit.results)
    left = {reason_of(reason).code for reason in audit.left_out}
    return bool(audit.undecided or varies or audit.broken or left & _PARTIAL)
