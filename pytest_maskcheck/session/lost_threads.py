"""Find out whether a test, run in a forked process, waits for ever for threads that a fork loses.

Examples are the threads of a pool that a module keeps. Where no other thread runs, there is nothing to lose, and nothing is tried.
Otherwise the test is run in a process like that of the audit, and in one forked from it like its workers: a pool with room for two
threads starts the second one after the first fork, and none after the next.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pytest_maskcheck.points.coverage_config import running
from pytest_maskcheck.points.coverage_pause import paused
from pytest_maskcheck.reasons import Isolation, Reason
from pytest_maskcheck.runs.child import in_child
from pytest_maskcheck.session.auditing_process import take_all, take_over
from pytest_maskcheck.system.stopwatch import Page
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.session.assembly import Assembly

_PATIENCE = 3.0
"""Seconds, added to ten times the duration of the test, after which a process counts as hanging."""

_PASSED, _HANGS = "passed", "hangs"
"""Messages: the test passed in this process; it hangs in a process forked from this one."""


def lost_by_fork(assembly: Assembly) -> Reason | None:
    """Return why the runs of a test must not be forked although ``isolation=auto`` chose that, or ``None``."""
    order = assembly.order
    others = sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
    if order.is_here or order.settings.isolation != "auto" or not others:
        return None
    measurement = running()
    limit = min(order.settings.timeout, _PATIENCE) + 10 * order.seconds

    def run_again(_: Send) -> None:
        assembly.target(_just)

    def attempt(say: Send) -> None:
        take_over(assembly)
        with paused(*([measurement] if measurement else [])):
            assembly.target(_just)
            say(_PASSED)
            if _hangs(run_again, limit, leader=False):
                say(_HANGS)

    if not _hangs(attempt, limit, leader=True):
        return None
    return Reason(Isolation.NEEDS_THREADS, threads=", ".join(others))


def _hangs(run: Callable[[Send], None], limit: float, *, leader: bool) -> bool:
    """Return whether a child that runs this hangs, or sends :data:`_HANGS`. Each message extends the limit once."""
    page = Page()
    received: list[object] = []
    try:
        with closing(in_child(run, page, lambda: limit * (1 + len(received)), leader=leader)) as said:
            death = take_all(said, received.append)
    finally:
        page.close()
    return _HANGS in received or (death is not None and death.how == "hang")


def _just(body: Callable[[], object]) -> None:
    body()
