"""Properties in JUnit XML and in other reports of pytest: of a test, what its audit came to; of the session, its totals and defects.

Jenkins' schema for JUnit XML, which pytest calls ``xunit2`` and writes by default, allows properties of a session and none of a test.
So with ``--junitxml`` and that family, a test gets none; other reporters read them from the same list.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pytest_maskcheck.reports.defects import headline
from pytest_maskcheck.reports.entries import Level, entries
from pytest_maskcheck.reports.provisos import provisos
from pytest_maskcheck.reports.unaudited import extent, unaudited
from pytest_maskcheck.session.private import junit_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from pytest_maskcheck.results import Audit

_PREFIX = "maskcheck_"

_MOST = 100
"""Number of defects, and of reasons, that have a property."""


def add_to_test(item: pytest.Item, reports: Sequence[pytest.TestReport], audit: Audit) -> None:
    """Add the properties of an audit to its test, and to reports of it that are made already.

    JUnit XML takes them from the report of the teardown, others from that of the call. Each report has a list of its own.
    """
    # Not whether there is a log: workers of xdist have none, and the controller writes what they report.
    if item.config.getoption("xmlpath", None) and item.config.getini("junit_family") == "xunit2":
        return
    rows = [*_of_test(audit)]
    holders: list[pytest.Item | pytest.TestReport] = [item, *reports]
    for holder in holders:
        # A plugin that reruns a test keeps the item.
        kept = [each for each in holder.user_properties if not each[0].startswith(_PREFIX)]
        holder.user_properties[:] = [*kept, *rows]


def add_to_session(config: pytest.Config, audits: Sequence[Audit], shortfall: str) -> None:
    """Add the totals of a session, its defects and what was not audited to its JUnit XML, if that is written."""
    log = junit_log(config)
    if log is not None:
        for name, value in _of_session(audits, shortfall):
            log.add_global_property(name, value)


def _of_test(audit: Audit) -> Iterator[tuple[str, object]]:
    if audit.refused:
        yield f"{_PREFIX}not_audited", str(audit.refused)
        return
    yield f"{_PREFIX}points", audit.audited
    yield f"{_PREFIX}undecided", audit.undecided
    yield f"{_PREFIX}defects", len(audit.failures)
    for defect in islice(audit.failures, _MOST):
        yield f"{_PREFIX}defect", headline(defect)


def _of_session(audits: Sequence[Audit], shortfall: str) -> Iterator[tuple[str, str]]:
    came = extent(audits, shortfall)
    if came.is_early or came.is_nothing:
        yield f"{_PREFIX}incomplete", came.text
    found = entries(audits)
    failing = [entry for entry in found if entry.level is Level.FAILS]
    yield f"{_PREFIX}tests", str(sum(audit.audited > 0 for audit in audits))
    yield f"{_PREFIX}points", str(sum(audit.audited for audit in audits))
    yield f"{_PREFIX}undecided", str(sum(audit.undecided for audit in audits))
    yield f"{_PREFIX}defects", str(len(failing))
    yield f"{_PREFIX}known", str(sum(entry.level is Level.KNOWN for entry in found))
    for entry in islice(failing, _MOST):
        yield f"{_PREFIX}defect", f"{entry.path}:{entry.way.cure_at.line}: {entry.headline} ({entry.fingerprint})"
    for each in provisos(audits):
        if each.is_gap:
            yield f"{_PREFIX}not_audited", each.text
    for row in islice(unaudited(audits), _MOST):
        yield f"{_PREFIX}not_audited", f"{row.number}: {row.reason}"
