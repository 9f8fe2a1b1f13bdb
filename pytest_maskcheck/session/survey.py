"""Find out what each test reaches before any of them is audited, in a forked copy of the session.

A time budget buys most if it is spent in the order of the whole suite, and a shallow depth audits each line in one test only. Both need
to know what all tests reach. So the session forks once before its first test; the child runs each test once, recorded and without a
report, and sends the keys of its points. Nothing else of that run reaches the session: it has longer-lived fixtures of its own, which it
tears down.

The survey only chooses what is audited first. It proves nothing: each audit finds its own points again. A test that it could not run,
that may fail (``xfail``), that runs code in scope in another thread, or that has guarantees of its own (the fixture ``maskcheck``) is
audited as if there had been no survey.

Workers of xdist divide the survey: each surveys a part of the suite, whichever tests it will run, and posts it on the board. All of them
then make the same choice.

Lines without a point are in no choice, so the survey notes them, too: those that only tests left out reach are still reached (from
CPython 3.12 on).

What does not work: threads that run before the first test would be lost, so then there is no survey; nor is there one where workers have
no board.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.interrupts.places import OUTERMOST
from pytest_maskcheck.points.cover import Depth, Suite, Surveyed
from pytest_maskcheck.points.coverage_config import running
from pytest_maskcheck.points.coverage_pause import paused
from pytest_maskcheck.points.ids import Names
from pytest_maskcheck.points.layers import judged_key, layers_of
from pytest_maskcheck.reasons import NotAudited, Reason, reason_of
from pytest_maskcheck.results.lines import spans
from pytest_maskcheck.runs.child import CAN_FORK, in_child
from pytest_maskcheck.session.auditing_process import SILENCE
from pytest_maskcheck.session.capture import own_output
from pytest_maskcheck.session.item_body import refusal, replaced_runtest
from pytest_maskcheck.session.item_code import own_files
from pytest_maskcheck.session.item_fixtures import own_directory
from pytest_maskcheck.session.private import runtestprotocol, setup_state
from pytest_maskcheck.session.scratch import scratch_directory
from pytest_maskcheck.session.unlogged import unlogged
from pytest_maskcheck.system import descendants
from pytest_maskcheck.system.breakdown import AuditBrokeError
from pytest_maskcheck.system.lines_since import LinesSince
from pytest_maskcheck.system.stopwatch import Page
from pytest_maskcheck.system.unpatched import os, threading, time, unpatched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.interrupts import Mechanism
    from pytest_maskcheck.interrupts.places import Site
    from pytest_maskcheck.points.layers import Layers
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.session.audited_items import AuditedItems
    from pytest_maskcheck.session.item_body import Body
    from pytest_maskcheck.session.workers import Workers
    from pytest_maskcheck.system.lines_since import Line

_PART = 0.25
"""The part of a time budget that the survey may take."""


class Survey:
    """What the tests of a session reach, and which of their points are audited first.

    Parameters:
        items: the items to audit.
        mechanism: how interrupts are delivered.
        workers: the workers of xdist.
        depth: how far to go.
        seconds: the time for all audits; infinite if there is no limit.

    Attributes:
        suite: the points to audit.
        spent: seconds that the survey took.
    """

    def __init__(
        self, items: AuditedItems, mechanism: Mechanism[Any], workers: Workers, depth: Depth, seconds: float
    ) -> None:
        self._items = items
        self._mechanism = mechanism
        self._workers = workers
        self._depth = depth
        self._limit = seconds
        self.suite = Suite((), depth, seconds)
        self.spent = 0.0
        self._threads = _Threads()
        self._lines = LinesSince()
        self._reached: dict[str, dict[str, str]] = {}

    def make(self, items: Sequence[pytest.Item]) -> None:
        """Run the tests in a forked process, and choose the points to audit first."""
        began = time.perf_counter()
        usable = [item for item in items if isinstance(item, pytest.Function) and _may_stand_for_others(item)]
        mine = self._workers.own_part(usable)
        found: list[Surveyed] = []
        if CAN_FORK and threading.active_count() == 1 and mine:
            with suppress(AuditBrokeError):  # without a survey, every point is audited
                self._take_all(mine, found)
        known = {each.test: each for each in self._workers.gather("survey", found)}
        self.spent = time.perf_counter() - began
        in_order = [known[item.nodeid] for item in usable if item.nodeid in known]
        self._reached = {each.test: each.reached for each in in_order}
        self.suite = Suite(in_order, self._depth, (self._limit - self.spent) * self._workers.count)

    @property
    def depth(self) -> str:
        """How far to go, as the setting is written."""
        return self._depth.name.lower()

    @property
    def reason(self) -> Reason:
        """Why a test without a chosen point is not audited."""
        if self._depth is Depth.ALL:
            return Reason(NotAudited.BUDGET, seconds=self._limit)
        return Reason(NotAudited.DEPTH, depth=self.depth)

    @property
    def missed(self) -> int:
        """How many points no test was audited at, as those that were chosen for them could not be; 0 with a budget, which has no room for all."""
        return 0 if self._depth is Depth.ALL else self.suite.missed

    def reached(self, test: str) -> dict[str, str]:
        """Return the lines that a test was the first one to reach; an audit that is not made cannot show them."""
        return self._reached.get(test, {})

    def ends(self, test: str, audit: Audit, *, failed: bool) -> None:
        """Take a test out of those to come, with its audit; ``failed``: it is reported as failed."""
        late = any(reason_of(why).code is NotAudited.BUDGET for why in audit.not_audited)
        complete = bool(audit.audited or audit.is_repeated) and not late and (failed or not audit.failures)
        self.suite.ends(test, audit.seconds, complete=complete, wanted=not audit.is_untouched)

    def _take_all(self, items: Sequence[pytest.Function], found: list[Surveyed]) -> None:
        page = Page()
        measurement = running()
        with scratch_directory() as directory:

            def survey(say: Send) -> None:
                descendants.adopt()
                with unpatched():
                    own_output(items[0].config)
                    own_directory(items[0].config, os.path.join(directory, "p"))
                with paused(*([measurement] if measurement else [])), unlogged(items[0].config):
                    self._survey(items, say, page)

            try:
                with closing(in_child(survey, page, lambda: SILENCE, leader=True)) as said:
                    found.extend(said)
            finally:
                page.close()

    # In the child

    def _survey(self, items: Sequence[pytest.Function], say: Send, page: Page) -> None:
        """Run the tests one after the other, as far as there is time, and send what each reaches."""
        deadline = time.perf_counter() + _PART * self._limit
        files = frozenset[str]().union(*map(own_files, items))
        threading.setprofile(self._threads.note)  # this process ends with the survey
        for item, following in zip(items, [*items[1:], None], strict=True):
            page.begin(0)
            surveyed = self._surveyed(item, following, files)
            if surveyed is not None:
                say(surveyed)
            if time.perf_counter() > deadline:
                setup_state(item).teardown_exact(None)
                return

    def _surveyed(
        self, item: pytest.Function, following: pytest.Function | None, files: frozenset[str]
    ) -> Surveyed | None:
        """Run one test; return what it reaches, ``None`` if it did not pass."""
        settings = self._items.settings(item)
        scope = self._items.reach(settings)  # this process's own copy
        scope.open_up(*files)
        own = own_files(item)
        self._threads.files.clear()
        surveys: list[list[Site]] = []  # one for each time that the body ran: normally one
        seconds = 0.0
        lines: frozenset[Line] = frozenset()

        def around(body: Body) -> None:
            nonlocal seconds, lines
            self._lines.begin()
            began = time.perf_counter()
            with self._mechanism.engine.survey(scope.in_scope, settings.points) as sites:
                surveys.append(sites)
                _call(body)
            seconds = time.perf_counter() - began
            lines = self._lines.end() or frozenset()

        with replaced_runtest(item, around):
            reports = runtestprotocol(item, log=False, nextitem=following)
        if len(surveys) != 1 or not all(report.passed for report in reports):
            return None
        # What other threads run is no place of a signal, so no test could be chosen for it, and none would show that it was reached.
        if any(map(scope.in_scope, [*self._threads.files])):
            return None
        sites = [
            site for site in surveys[0] if not scope.reason_against(site.code.co_filename, site.line, reached=True)
        ]

        judged = judged_key(settings)

        def keys(*, of_test: bool) -> tuple[Layers, ...]:
            chosen = (site for site in sites if (site.code.co_filename in own) == of_test)
            return tuple(layers_of(site, signum, judged) for site in chosen for signum in settings.signals)

        ran = scope.unreached(line for line in lines if scope.in_scope(line[0]))
        names = Names(str(item.config.rootpath))
        reached = {names.short(path): spans(numbers) for path, numbers in ran.items()}
        return Surveyed(item.nodeid, seconds, keys(of_test=False), keys(of_test=True), reached)


class _Threads:
    """Notes the files whose code threads run, apart from the one that tests run in.

    Attributes:
        files: their ``co_filename``.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call: the profile function of each thread that ``threading`` starts."""
        if event == "call":
            self.files.add(frame.f_code.co_filename)


def _may_stand_for_others(item: pytest.Function) -> bool:
    """Return whether other tests may be left out for this one: not if a defect would not fail it, or only it knows what must hold."""
    return not refusal(item) and item.get_closest_marker("xfail") is None and "maskcheck" not in item.fixturenames


def _call(body: Body) -> None:
    body()


OUTERMOST.add(id(_call.__code__))
