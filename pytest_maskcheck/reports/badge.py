"""The badge: a small JSON file that shields.io makes a picture of (https://shields.io/badges/endpoint-badge).

Its colour must not promise more than was shown: green needs a verdict at every place of every line that was to be audited, in every test,
and bright green also each time that a test came to one of them. It is red on any defect, also on one that a baseline accepts.

May it be green if only further turns of loops were left out? By default the first, the second and the last one are interrupted, and few
projects would ever have a green badge if each turn were wanted. But a loop may well leak in its fifth turn alone. So there are two greens:
the brighter one has to be earned with ``hits=all``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited, count, reason_of
from pytest_maskcheck.reports.provisos import provisos
from pytest_maskcheck.reports.unaudited import Gap, extent, gap
from pytest_maskcheck.results import over_tests
from pytest_maskcheck.results.figures import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Audit

_LABEL = "interrupt-safe"

_NOTHING, _BAD = "lightgrey", "red"

_COLORS = {Gap.NONE: "brightgreen", Gap.SAMPLED: "green", Gap.MISSING: "yellow"}


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
    # All of it may run elsewhere, such as in a child process.
    is_none = reached and not any(each.interrupted for each in files)
    defects = over_tests(audits)
    failing, known = (sum(each.fails for each in defects), sum(each.known for each in defects))
    if failing or known:
        found = [count(failing, "defect")] * bool(failing) + [count(known, "known defect")] * bool(known)
        return f"{' and '.join(found)}, {message}", _BAD
    is_partial = is_none or shard or extent(audits, shortfall).is_early or any(each.is_gap for each in provisos(audits))
    return message, _COLORS[Gap.MISSING if is_partial else max(map(_gap_of, audits))]


def _gap_of(audit: Audit) -> Gap:
    """Return how much of what was to be audited in a test has no verdict."""
    if audit.refused:
        # The tests that were chosen for the same places stand for one beyond the depth. What is skipped or expected to fail
        # does not turn pytest's own result yellow either: its author has said so, and no run would change the badge.
        is_meant = audit.is_not_for_audit or reason_of(audit.refused).code is NotAudited.DEPTH
        return Gap.NONE if is_meant else Gap.MISSING
    varies = any(result.varies for result in audit.results)
    if audit.undecided or varies or audit.broken or audit.reached_first or audit.no_first_use:
        return Gap.MISSING
    return max(map(gap, audit.left_out), default=Gap.NONE)
