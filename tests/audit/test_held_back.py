"""Windows are tried: an interrupt is held back over them, and what that leaves behind decides whether they are shown."""

from __future__ import annotations

import pytest

from pytest_maskcheck.results.windows import windows

HEAD = """
import os, pytest, signal, threading
LOCK = threading.Lock()

@pytest.mark.interrupt_safe{}
def test_it():
"""


def tried(audit, body: str) -> list[tuple[str, int | None, int | None, bool | None]]:
    """Return lines, last masked line, line of arrival and proof of the windows of the defects that fail."""
    made = audit(HEAD.format("") + body)
    return [
        (each.lines, each.until, each.after and each.after.line, each.proven)
        for defect in made.audit.failures
        for each in windows(made.audit, defect)
    ]


def test_a_window_is_proven(audit):
    """If nothing is lost when the interrupt is held back over the window, that is shown with the line where it arrives."""
    assert tried(audit, "    LOCK.acquire()\n    abs(1)\n    LOCK.release()\n    abs(2)\n") == [("6-7", 8, 9, True)]
    assert tried(audit, "    LOCK.acquire()\n    abs(1)\n    LOCK.release()\n") == [("6-7", 8, None, True)]


def test_it_is_shown(audit):
    """The report says how long signals have to be masked, and where the interrupt would arrive."""
    made = audit(HEAD.format("") + "    LOCK.acquire()\n    abs(1)\n    LOCK.release()\n    abs(2)\n")
    text = "in test_it; in this test, with signals masked from line 6 to line 8, SIGINT would arrive at line 9, where nothing is lost"
    made.result.stdout.fnmatch_lines([f"*window * {text}"])


def test_a_window_that_does_not_help(audit):
    """Code that notices that a signal waits may lose something then; such a window is not shown."""
    body = "    LOCK.acquire()\n    abs(1)\n    if not signal.sigpending():\n        LOCK.release()\n    abs(2)\n"
    assert [proven for *_, proven in tried(audit, body)] == [False]
    made = audit(HEAD.format("") + body)
    made.result.stdout.no_fnmatch_line("*window *")


SUSPENDED = """
import asyncio, threading
LOCK = threading.Lock()

async def wait():
    LOCK.acquire()
    await asyncio.sleep(0)
    LOCK.release()

def taken():
    LOCK.acquire()
    yield
    LOCK.release()

def test_await():
    asyncio.run(wait())

def test_yield():
    list(taken())
"""


def test_a_window_with_a_suspension(audit):
    """No mask may be held over an ``await`` or a ``yield``: such a window is not tried, and not shown."""
    for test in ("test_await", "test_yield"):
        made = audit(SUSPENDED, "--maskcheck-all", "-k", test)
        assert made.audit.failures
        assert {(each.clean, each.suspends) for each in made.audit.held_back} >= {(False, True)}
        made.result.stdout.no_fnmatch_line("*window * in wait*")
        made.result.stdout.no_fnmatch_line("*window * in taken*")


def test_what_breaks_the_next_run(audit):
    """A held-back interrupt must not make the code unusable, either."""
    source = (
        "LEFT = []\n"
        + HEAD.format("")
        + """
    assert not LEFT
    LOCK.acquire()
    if signal.sigpending():
        LEFT.append(1)
    LOCK.release()
    abs(2)
"""
    )
    made = audit(source)
    assert [each.clean for each in made.audit.held_back] == [False]


@pytest.mark.parametrize(
    "option",
    ["--maskcheck-isolation=none", "--maskcheck-points=raise", "--maskcheck-point=test_what_is_not_tried.py:6:call#1"],
)
def test_what_is_not_tried(audit, option):
    """No run is made in a process that is shared, if interrupts are raised by force, or if only some points are audited."""
    made = audit(HEAD.format("") + "    LOCK.acquire()\n    abs(1)\n    LOCK.release()\n", option)
    assert made.audit.failures
    assert not made.audit.held_back


def test_other_signals(audit):
    """Another signal is held back, too."""
    source = "import signal\nsignal.signal(signal.SIGTERM, signal.default_int_handler)\n" + HEAD.format(
        "(signals=['SIGTERM'])"
    )
    made = audit(source + "    LOCK.acquire()\n    abs(1)\n    LOCK.release()\n    abs(2)\n")
    assert [each.clean for each in made.audit.held_back] == [True]
