"""Cures fit the verdict and the kind, and never recommend what the code already does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.resources import kind_names
from pytest_maskcheck.results import Defect, Frame, Origin, Point, Verdict

if TYPE_CHECKING:
    from tests.conftest import AuditSource

PROGRAM = """
import os, pytest

def shield(make, *args):
    return make(*args)

@pytest.mark.interrupt_safe(strict=True)
def test_it():
    {body}
"""

ENTERED = "the `with` on line 8 closes it only once its block has begun"
BARE = "enter it with `with shield(make, ...)`"


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ("with open(os.devnull) as file: file.read()", ENTERED),
        ("with (open(os.devnull)) as file: file.read()", ENTERED),
        ("file = open(os.devnull); file.close()", BARE),
        ("with shield(open, os.devnull) as file: file.read()", BARE),
    ],
    ids=["with", "parentheses", "bare", "shield"],
)
def test_nobody_is_told_to_write_the_with_that_is_there(audit: AuditSource, body: str, advice: str) -> None:
    """If a ``with`` statement already enters the thing, the cure states what that statement lacks and does not recommend it."""
    audited = audit(PROGRAM.format(body=body))
    assert {defect.verdict for defect in audited.audit.defects} >= {"implicit"}
    cures = [line for line in audited.result.outlines if line.startswith("  cure")]
    assert any(advice in line for line in cures)
    assert not any(line != advice and other in line for line in cures for other in {ENTERED, BARE} - {advice})


HERE = Frame("pkg/a.py", 3, "f", "/pkg/a.py")
POPEN = Frame("subprocess.py", 1026, "Popen.__init__", "/lib/subprocess.py")
PTY = Frame("pty.py", 30, "fork", "/lib/pty.py")
POINT = Point("pkg/a.py:3:call#1", "pkg/a.py", "/pkg/a.py", 3, "call", 1, "f")


def defect(verdict: Verdict, kind: str, *stack: Frame, key: str = "x", fails: bool = True) -> Defect:
    """Return a defect whose origin has this stack; without one, it has no origin."""
    origin = Origin(stack, HERE) if stack else None
    return Defect(verdict, kind, key, "", fails, (POINT,), (HERE,), origin)


@pytest.mark.parametrize(
    ("found", "says", "not_says"),
    [
        (defect(Verdict.LEAK, "child", HERE, POPEN), "shield(subprocess.Popen, ...)", "`start` forks"),
        (defect(Verdict.LEAK, "child", HERE, PTY), "if `start` forks", "Popen"),
        (defect(Verdict.LEAK, "child", HERE), "bracket(start, end, ...)", "Popen"),
        (defect(Verdict.LEAK, "child"), "bracket(start, end, ...)", "Popen"),
        (defect(Verdict.LEAK, "async_lock", HERE), "`async with`", "`with lock:`"),
        (defect(Verdict.LEAK, "lock", HERE), "`with lock:`", "async"),
        (defect(Verdict.LEAK, "asyncgen", HERE), "asyncio.run()", "shield"),
        (defect(Verdict.LEAK, "generator", HERE), "shield(make, ...)", "asyncio"),
        (defect(Verdict.LEAK, "double_close", HERE), "closefd=False", "bracket"),
        (defect(Verdict.ALTERED, "sigmask", HERE), "sigmask(...)", "finally"),
        (defect(Verdict.ALTERED, "cwd", HERE), "in a `finally`", "sigmask"),
        (defect(Verdict.HANG, "in_handler"), "A handler must not wait", "clean-up"),
        (defect(Verdict.HANG, "process"), "clean-up code waits", "handler"),
        (defect(Verdict.CRASH, "in_handler"), "ended the process", "must not wait"),
        (defect(Verdict.SWALLOWED, "exception", HERE), "except Exception", "in C"),
        (defect(Verdict.SWALLOWED, "exception", key="decode"), "code in C that calls Python", "except Exception"),
        (defect(Verdict.SWALLOWED, "exception", key=""), "an exception of its own", "except Exception"),
        (defect(Verdict.REPLACED, "exception"), "must raise it again", "except Exception"),
    ],
    ids=lambda value: f"{value.verdict}-{value.kind}" if isinstance(value, Defect) else "",
)
def test_the_sentence_fits(found: Defect, says: str, not_says: str) -> None:
    """The cure is about things of this kind, and does not name what belongs to another one."""
    assert says in cure(found)
    assert not_says not in cure(found)


@pytest.mark.parametrize("kind", [*kind_names(), "of_a_user"])
@pytest.mark.parametrize("verdict", Verdict)
def test_every_combination_has_a_cure(verdict: Verdict, kind: str) -> None:
    """There is a cure for each verdict on each kind, with and without an origin."""
    assert cure(defect(verdict, kind))
    assert cure(defect(verdict, kind, HERE))


HANDLER = """
import pytest, signal, threading
LOCK = threading.Lock()

def handler(*_):
    {wait}
    raise KeyboardInterrupt

@pytest.mark.interrupt_safe(timeout=0.3, isolation="fork")
def test_it():
    old = signal.signal(signal.SIGINT, handler)
    try:
        LOCK.acquire()
        try:
            len("x")
        finally:
            {again}
            LOCK.release()
    finally:
        signal.signal(signal.SIGINT, old)
"""


@pytest.mark.parametrize(
    ("wait", "again", "kind"), [("LOCK.acquire()", "pass", "in_handler"), ("pass", "LOCK.acquire()", "process")]
)
def test_where_it_hangs(audit: AuditSource, wait: str, again: str, kind: str) -> None:
    """A hang in the handler is told from one in clean-up code that runs when the handler has raised."""
    if again != "pass":
        again = "if sys.exception() is not None: LOCK.acquire()"
    audited = audit("import sys\n" + HANDLER.format(wait=wait, again=again))
    assert {each.kind for each in audited.audit.failures if each.verdict is Verdict.HANG} == {kind}


FORK = """
import os, pytest, pty, signal

@pytest.mark.interrupt_safe
def test_it():
    pid, fd = pty.fork()
    if not pid:
        signal.pause()
    os.close(fd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def test_a_forked_child_is_no_popen(audit: AuditSource) -> None:
    """What ``pty.fork`` has made is not to be made by ``Popen``."""
    (child,) = [each for each in audit(FORK).audit.failures if each.kind == "child"]
    assert "if `start` forks" in cure(child)


PARSE = """
import pytest

def parse(text):
    try:
        return int(text)
    except ValueError:
        return None

@pytest.mark.interrupt_safe
def test_it():
    assert parse("x") is None
"""


def test_what_code_in_c_replaces(audit: AuditSource) -> None:
    """On CPython 3.11 ``int("x")`` meets the interrupt and raises ``ValueError`` all the same: no ``except`` clause is at fault."""
    lost = [each for each in audit(PARSE).audit.failures if each.verdict is Verdict.SWALLOWED]
    assert bool(lost) == (sys.version_info < (3, 12))
    for each in lost:
        assert "a function in C that was called there" in cure(each)
