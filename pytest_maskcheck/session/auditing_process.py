"""The process that an audit runs in: a forked one of its own, or that of the session.

A forked process has its own output, directories and handlers, and its parent watches it. The process has a watchdog for each of its
runs. So if it is silent for much longer than a run may take, it hangs because of a defect of the audit.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.audit.preparation import Refused
from pytest_maskcheck.interrupts import nothing
from pytest_maskcheck.interrupts.foreign import ForeignSignals
from pytest_maskcheck.points.coverage_config import running
from pytest_maskcheck.points.coverage_pause import paused
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.resources.elders import ELDERS
from pytest_maskcheck.runs.child import in_child
from pytest_maskcheck.session.capture import muted, own_output
from pytest_maskcheck.session.item_fixtures import own_directory
from pytest_maskcheck.system import descendants
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.stopwatch import Page
from pytest_maskcheck.system.unpatched import FOR_FILES, signal, unpatched

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.watchdog import Death
    from pytest_maskcheck.session.assembly import Assembly

SILENCE = 60.0
"""Seconds without a message after which an auditing process counts as hung; its own watchdog acts sooner."""


# A process of its own


def audit_in_child(assembly: Assembly, take: Send, limit: Callable[[], float]) -> None:
    """Audit in a forked process.

    Parameters:
        assembly: the parts of the audit.
        take: receives each message of the process.
        limit: returns how many seconds it may be silent.
    """
    page = Page()
    measurement = running()  # before the fork: in the child, coverage's patch = fork replaces it

    def audit(say: Send) -> None:
        ENTERED.watch()
        ELDERS.inherit()

        def send(message: object) -> None:
            page.begin(0)  # each message restarts the clock of the parent
            say(message)

        with own_process(assembly, send, measurement):
            assembly.course().run(send, assembly.executor)

    try:
        short = assembly.instruments.names.short
        ELDERS.note()
        with closing(in_child(audit, page, limit, leader=True, freezes=True, name=short)) as said:
            death = take_all(said, take)
        if death is not None:
            take(Refused(_ending(death, in_run=page.runs)))
    finally:
        page.close()


def take_all(said: Generator[object, None, Death | None], take: Send) -> Death | None:
    """Pass all messages of a child to ``take``; return how it died, if it did."""
    while True:
        try:
            take(next(said))
        except StopIteration as end:
            death: Death | None = end.value
            return death


def silence(assembly: Assembly, over: Callable[[], bool]) -> float:
    """Return the seconds without a message after which the auditing process counts as hung.

    Raises:
        KeyboardInterrupt: the session is over, for example after Ctrl-C at xdist's controller: this process ends as if it had received one.
    """
    if over():
        raise KeyboardInterrupt
    return SILENCE + 10 * assembly.assignment.settings.timeout


@contextmanager
def own_process(assembly: Assembly, send: Send, measurement: Any) -> Iterator[None]:
    """Give a forked process its own output, directories and signal handlers for the test.

    Parameters:
        assembly: the parts of the audit.
        send: receives messages.
        measurement: the coverage measurement that ran before the fork, to pause; ``None``: there was none.
    """
    take_over(assembly)
    for note in assembly.order.mechanism.clear_way(assembly.assignment.signums, assembly.inherited_mask()):
        send(note)
    with paused(*([measurement] if measurement else [])):
        yield


def take_over(assembly: Assembly) -> None:
    """Give a forked process its own output and directories, and make it adopt the descendants that lose their parent."""
    descendants.adopt()
    with unpatched(*FOR_FILES, "pathlib"):
        own_output(assembly.item.config)
        own_directory(assembly.item.config, assembly.directory)


def _ending(death: Death, *, in_run: bool) -> Reason:
    """Return how the auditing process ended; ``in_run``: it ended within a run that was not interrupted."""
    if death.how == "terminal":
        return Reason(NotAudited.TERMINAL, detail=death.detail)
    where = f", at {death.stack[-1].path}:{death.stack[-1].line} in {death.stack[-1].function}" if death.stack else ""
    if not in_run or death.how == "look":
        return Reason(NotAudited.AUDITOR_ENDED, detail=death.detail, where=where)
    trouble = f"{'hung' if death.how == 'hang' else 'died'} ({death.detail}{where})"
    return Reason(NotAudited.FAILS_AGAIN, trouble=trouble)


# The process of the session


def audit_here(assembly: Assembly, take: Send) -> BaseException | None:
    """Audit in the process of the session.

    Parameters:
        assembly: the parts of the audit.
        take: receives each message.

    Returns:
        The exception that came out of the test at a failing point, for a debugger.
    """
    with paused(), muted(assembly.item.config):
        _audit_here(assembly, _unless(assembly.order.over, take))
    return assembly.runner.exception


def _audit_here(assembly: Assembly, send: Send) -> None:
    signums = assembly.assignment.signums
    if reason := assembly.order.mechanism.reason_against(signums, assembly.inherited_mask()):
        send(Refused(reason))
        return
    # The runs share this process, so the user's own Ctrl-C arrives here, too; it must end the session.
    with closing(ForeignSignals(signal.SIGINT)) as foreign:
        assembly.runner.note_foreign(foreign)
        try:
            course = assembly.course()
            course.run(send, assembly.executor)
            debugged = assembly.order.only or assembly.item.config.getoption("usepdb", False)
            if course.failing and debugged:
                _keep_frames(assembly, course.failing)
        finally:
            assembly.order.mechanism.engine.disarm()
            assembly.target.close()
            FrozenHeap.thaw()


def _keep_frames(assembly: Assembly, point: Point) -> None:
    """Make one more run for a debugger: interrupt it at a failing point, and keep its frames.

    This run is not judged: objects that the frames keep alive would make its findings differ from those of the audit.
    """
    with assembly.runner.keeping_frames():
        assembly.instruments.maker.make_run(point, nothing)


def _unless(over: Callable[[], bool], take: Send) -> Send:
    """Return a ``take`` that raises ``KeyboardInterrupt`` once the session is over; see :func:`silence`."""

    def send(message: object) -> None:
        if over():
            raise KeyboardInterrupt
        take(message)

    return send
