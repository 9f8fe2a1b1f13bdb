"""Turn the outcome of an audit into the report of the test's call."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck import InterruptUnsafe
from pytest_maskcheck.reports import account
from pytest_maskcheck.session.capture import muted
from pytest_maskcheck.session.drawn_traceback import drawn
from pytest_maskcheck.session.outcome import Outcome, broken
from pytest_maskcheck.session.properties import add_to_test
from pytest_maskcheck.session.run_needs import INDIFFERENT
from pytest_maskcheck.session.target import ItemTarget
from pytest_maskcheck.system.own_code import PACKAGE
from pytest_maskcheck.system.unpatched import unpatched
from pytest_maskcheck.system.untrusted import last_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_maskcheck.results import Audit, Fingerprint


_TOLD = pytest.StashKey[dict["Fingerprint", str]]()
"""Stash key: a defect of the session -> the test that has told its story."""


_DRAWN = pytest.StashKey[Any]()
"""Stash key: what pytest shows of the failure of an audit, while its report is being made."""


def draw(item: pytest.Item, report: pytest.TestReport) -> None:
    """Give the report of a failed audit what pytest shows of it; no plugin that reads the report as it is made may see our own traceback."""
    if _DRAWN in item.stash:
        report.longrepr = item.stash[_DRAWN]


@dataclass(frozen=True, slots=True, repr=False)
class Failed:
    """The report of a test whose audit failed, for a debugger."""

    item: pytest.Item
    report: pytest.TestReport
    call: pytest.CallInfo[None]

    def interact(self) -> None:
        """Let other plugins, such as ``--pdb``, see the failure."""
        with in_call_phase(self.item, "pytest_exception_interact"):
            self.item.ihook.pytest_exception_interact(node=self.item, call=self.call, report=self.report)


def remade(item: pytest.Item, reports: list[pytest.TestReport], outcome: Outcome) -> Failed | None:
    """Replace the call report with one of the audit's outcome; an error of maskcheck on the way counts as an outcome, too.

    Returns:
        The failed report, if the audit failed.
    """
    with unpatched():  # pytest draws tracebacks with functions that a test may leave replaced
        try:
            call = _remade(item, reports, outcome)
        except Exception as error:  # noqa: BLE001  (see above)
            call = _remade(item, reports, Outcome(broken(item.nodeid, error), outcome.seeing))
    if call is None:
        return None
    return Failed(item, next(report for report in reports if report.when == "call"), call)


def _remade(item: pytest.Item, reports: list[pytest.TestReport], outcome: Outcome) -> pytest.CallInfo[None] | None:
    audit = outcome.audit.legible()
    position = next(index for index, report in enumerate(reports) if report.when == "call")
    call = None
    trouble = ""
    add_to_test(item, reports[position:], audit)
    if audit.failures or audit.broken:
        failure = InterruptUnsafe(account.message(audit))
        call = _failed_call(failure, outcome.exception)
        item.stash[_DRAWN] = _longrepr(item, audit)
        try:
            with in_call_phase(item, "pytest_runtest_makereport"):
                report, trouble = _report_of(item, call)
            draw(item, report)  # again: a hook may have drawn it anew, or failed
        finally:
            del item.stash[_DRAWN]
        report.sections = [*reports[position].sections]
        report.duration = reports[position].duration
        reports[position] = report
    report = reports[position]
    report.duration += 0.0 if audit.earlier else audit.seconds
    told = (audit.defects or audit.found) and item.config.get_verbosity() > 0
    if told or audit.refused or audit.broken:
        report.sections.append(("maskcheck", account.section(audit)))
    if trouble:
        report.sections.append(("maskcheck", f"a hook pytest_runtest_makereport of another plugin raised {trouble}\n"))
    report.maskcheck = audit  # type: ignore[attr-defined]
    return call


def _longrepr(item: pytest.Item, audit: Audit) -> Any:
    """Return what pytest shows of a failure: the story of the worst defect that no test before has told; with ``-v``, of the worst one."""
    verbose = item.config.get_verbosity() > 0
    long = verbose or item.config.getoption("tbstyle", "auto") == "long"
    text = account.message(audit)
    if not audit.failures:
        return drawn((), text, long=long)
    told = item.config.stash.setdefault(_TOLD, {})
    tellers = [next((told[each] for each in defect.fingerprints if each in told), "") for defect in audit.failures]
    defect = next((each for each, teller in zip(audit.failures, tellers, strict=True) if not teller), None)
    if verbose:
        defect = audit.failures[0]
    if defect is None:
        return drawn((), text, account.as_told(tellers[0]))
    told.update(dict.fromkeys(defect.fingerprints, item.nodeid))
    return drawn(defect.traceback, text, account.story(audit, defect), long=long)


def _failed_call(failure: InterruptUnsafe, exception: BaseException | None) -> pytest.CallInfo[None]:
    """Return a call that raised ``failure``, with the frames of the exception that came out of the test if they were kept."""
    traceback = exception.__traceback__ if exception else None

    def fail() -> None:
        raise failure.with_traceback(traceback)

    return pytest.CallInfo.from_call(fail, "call")


def _report_of(item: pytest.Item, call: pytest.CallInfo[None]) -> tuple[pytest.TestReport, str]:
    """Let pytest make the report of a call; return it, and a line on what a hook of another plugin raised instead, or ``""``."""
    try:
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
        return report, ""
    except (Exception, pytest.skip.Exception, pytest.fail.Exception, SystemExit) as error:  # noqa: BLE001  (the session goes on)
        keywords: Any = dict.fromkeys(item.keywords, 1)  # plain: an item may draw its failures itself, and raise, too
        plain = pytest.TestReport(item.nodeid, item.location, keywords, "failed", None, "call", duration=call.duration)
        return plain, last_line(error)


@contextmanager
def in_call_phase(item: pytest.Item, hook: str) -> Iterator[None]:
    """Set an item up again, with its fixtures, for other plugins that implement a hook on it.

    They find the item as they do when its call is reported: with arguments, open pages and running drivers.

    Parameters:
        item: the test.
        hook: name of the hook.
    """
    hooks = getattr(item.ihook, hook).get_hookimpls()
    others = any(each.function.__module__.partition(".")[0] not in {*INDIFFERENT, PACKAGE} for each in hooks)
    if not (others and isinstance(item, pytest.Function)):
        yield
        return
    target = ItemTarget(item)
    with muted(item.config):
        target.set_up_alone()
    try:
        yield
    finally:
        with muted(item.config):
            target.close()
