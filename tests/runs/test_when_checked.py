"""When guarantees are checked: after the interrupt came out, its traceback and the test's frames are gone, and garbage is collected.

This is the state of a program that has caught the interrupt and goes on.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.results import Audit

if TYPE_CHECKING:
    from tests.conftest import AuditFolder, AuditSource, AuditTogether

PREAMBLE = """
import functools, logging, signal, threading, unittest, weakref
import pytest

pytestmark = pytest.mark.interrupt_safe
MADE, KEPT = [], []

class Thing:
    def __init__(self):
        self.is_open = True
        MADE.append(weakref.ref(self))

    def close(self):
        self.is_open = False

    def fail(self):
        raise ValueError("as ever")

def none_is_open():
    return not [thing for ref in MADE if (thing := ref()) is not None and thing.is_open]

@pytest.fixture(autouse=True)
def promise(maskcheck):
    MADE.clear()
    KEPT.clear()
    maskcheck.invariant(none_is_open, "none is open")

def use():
    thing = Thing()
    len("x")
    thing.close()
"""

HOLDS = {
    "local": """
        def test_it():
            thing = Thing()
            len("x")
            thing.close()
    """,
    "deeper": """
        def test_it():
            use()
    """,
    "cycle": """
        def test_it():
            thing = Thing()
            thing.itself = thing
            len("x")
    """,
    "generator": """
        def things():
            thing = Thing()
            yield thing
            thing.close()

        def test_it():
            for thing in things():
                len("x")
    """,
    "closure": """
        def test_it():
            thing = Thing()
            def close():
                thing.close()
            len("x")
            close()
    """,
    "raises": """
        def test_it():
            with pytest.raises(ValueError) as info:
                Thing().fail()
            len("x")
            assert info.value.args
    """,
    "logged": """
        def test_it():
            thing = Thing()
            try:
                thing.fail()
            except ValueError:
                logging.getLogger("it").exception("failed with %s", thing)
            del thing
            len("x")
    """,
    "thread": """
        @pytest.mark.filterwarnings("ignore")
        def test_it():
            thread = threading.Thread(target=lambda: Thing().fail())
            thread.start()
            thread.join()
            len("x")
    """,
    "handler_keeps_the_frame": """
        class Stop(Exception):
            pass

        def stop(signum, frame):
            raise Stop(frame)

        @pytest.fixture(autouse=True)
        def handler():
            before = signal.signal(signal.SIGTERM, stop)
            yield
            signal.signal(signal.SIGTERM, before)

        @pytest.mark.interrupt_safe(signals=["SIGTERM"])
        def test_it():
            thing = Thing()
            len("x")
            thing.close()
    """,
    "wrapped": """
        def again(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                for number in 1, 2:
                    thing = Thing()
                    function(*args, **kwargs)
                    thing.close()
            return wrapper

        @again
        def test_it():
            use()
    """,
    "method": """
        class TestIt(unittest.TestCase):
            def test_it(self):
                use()
    """,
    "here": """
        @pytest.mark.interrupt_safe(isolation="none")
        def test_it():
            use()
    """,
    "rerun": """
        @pytest.mark.interrupt_safe(strategy="rerun")
        def test_it():
            use()
    """,
    "snapshot": """
        @pytest.mark.interrupt_safe(strategy="snapshot")
        def test_it():
            use()
    """,
    "twice": """
        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it():
            thing = Thing()
            try:
                len("x")
            finally:
                thing.close()
    """,
}

BREAKS = {
    "kept": """
        def test_it():
            thing = Thing()
            KEPT.append(thing)
            len("x")
            thing.close()
    """,
    "closed_by_dropping": """
        def things():
            thing = Thing()
            thing.close()
            try:
                yield thing
            except GeneratorExit:
                KEPT.append(Thing())
                raise

        def test_it():
            for thing in things():
                len("x")
    """,
    "finalized_by_collecting": """
        class Noted:
            def __init__(self):
                self.itself = self
                self.done = False

            def __del__(self):
                if not self.done:
                    KEPT.append(Thing())

        def test_it():
            noted = Noted()
            len("x")
            noted.done = True
    """,
    "of_the_instance": """
        class TestIt(unittest.TestCase):
            def test_it(self):
                self.thing = Thing()
                len("x")
                self.thing.close()
    """,
}


@pytest.fixture(scope="module")
def audits(audit_together: AuditTogether) -> dict[str, Audit]:
    """Return the audits of all sources, by name."""
    sources = {**HOLDS, **BREAKS}
    return audit_together(
        {name: PREAMBLE + _dedented(body) for name, body in sources.items()}, {}, "--maskcheck-exclude=functools"
    )


def _dedented(body: str) -> str:
    return "\n".join(line[8:] for line in body.splitlines())


@pytest.mark.parametrize("name", HOLDS)
def test_what_only_frames_and_garbage_keep_is_gone(audits: dict[str, Audit], name: str) -> None:
    """A guarantee about objects that only frames or garbage keep holds at each point, as in a program that goes on."""
    audit = audits[name]
    assert audit.audited >= 3
    assert not audit.refused
    assert [(defect.verdict, defect.key) for defect in audit.defects if defect.fails] == []


@pytest.mark.parametrize("name", BREAKS)
def test_what_does_not_hold_then_is_found(audits: dict[str, Audit], name: str) -> None:
    """A guarantee is broken if something else keeps an object, or if finalizing frames and garbage breaks it."""
    assert {(defect.verdict, defect.key) for defect in audits[name].defects if defect.fails} == {
        ("invariant", "none is open")
    }


REALLY = """
import gc, os, signal, sys, types

sys.modules["pytest"] = types.SimpleNamespace(
    mark=types.SimpleNamespace(interrupt_safe=None), fixture=lambda **_: lambda function: function
)
{source}

def len(_):
    os.kill(os.getpid(), signal.SIGINT)

try:
    test_it()
except KeyboardInterrupt:
    pass
gc.collect()
print(none_is_open())
"""


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize(
    ("name", "holds"),
    [(name, True) for name in ("local", "deeper", "cycle", "generator", "closure")]
    + [(name, False) for name in ("kept", "closed_by_dropping", "finalized_by_collecting")],
)
def test_real_signals_lead_to_the_same(name: str, holds: bool) -> None:
    """A program that goes on after a real SIGINT finds the guarantee kept or broken as the audit does."""
    source = PREAMBLE + _dedented({**HOLDS, **BREAKS}[name])
    command = [sys.executable, "-c", REALLY.replace("{source}", source)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == [str(holds)]


LOST = """
import weakref
import pytest

LIVE = weakref.WeakSet()
{more}

class Thing:
    def __init__(self):
        LIVE.add(self)

@pytest.mark.interrupt_safe(hits="all")
def test_it(maskcheck):
    maskcheck.invariant(lambda: not {live}, "nothing lives")
    Thing()
"""
OWN = """
SEEN = []

class Thing:
    def __init__(self):
        SEEN.append(1)

    def __del__(self):
        len("x")
        SEEN.pop()

@pytest.fixture(autouse=True)
def _clear():
    SEEN.clear()
"""


def test_a_finalizer_out_of_scope_that_is_cut_off_is_its_own_defect(audit_together: AuditTogether) -> None:
    """A guarantee broken by an interrupt dropped in a finalizer out of scope is listed; in a finalizer of the project it fails."""
    own = LOST.format(more=OWN, live="SEEN").replace(
        "class Thing:\n    def __init__(self):\n        LIVE.add(self)\n\n@", "@"
    )
    audits = audit_together({"others": LOST.format(more="", live="LIVE"), "own": own})
    others = {(defect.verdict, defect.package, defect.fails) for defect in audits["others"].defects}
    assert ("swallowed", "", False) in others
    assert {each for each in others if each[0] == "invariant"} <= {("invariant", "_weakrefset", False)}
    assert ("invariant", "", True) in {(d.verdict, d.package, d.fails) for d in audits["own"].defects}


ALONE = """
import os
import weakref
import pytest

MADE = []

class Thing:
    def __init__(self):
        MADE.append(weakref.ref(self))
        self.file = open(os.devnull)
        len("x")

    def close(self):
        self.file.close()

@pytest.fixture(autouse=True)
def promise(maskcheck):
    MADE.clear()
    maskcheck.invariant(lambda: not [ref for ref in MADE if ref() is not None and not ref().file.closed])

@pytest.mark.interrupt_safe(max_points=12)
def test_it():
    thing = Thing()
    try:
        len("x")
    finally:
        thing.close()
    os.close(os.dup(0))
"""


def test_a_point_alone_is_judged_as_in_the_audit(audit_folder: AuditFolder) -> None:
    """A point that is run alone has the same findings as in the whole audit."""
    (audit,) = audit_folder({"test_it.py": ALONE}).audits
    results = {
        result.point: {(each.verdict, each.kind, each.fails) for each in result.findings} for result in audit.results
    }
    sorts: dict[frozenset[tuple[str, str, bool]], str] = {}
    for point, found in results.items():
        sorts.setdefault(frozenset(found), point)
    assert frozenset({("leak", "fd", True)}) in sorts
    assert len(sorts) >= 3, sorts
    for found, point in sorts.items():
        (alone,) = audit_folder({"test_it.py": ALONE}, f"--maskcheck-point={point}").audits
        (result,) = alone.results
        assert {(each.verdict, each.kind, each.fails) for each in result.findings} == found, point


def test_a_debugger_has_the_frames_nevertheless(pytester: pytest.Pytester, audit: AuditSource, run) -> None:
    """``--pdb`` shows the interrupted frame with its variables, with one point and with all of them."""
    source = """
        import threading
        import pytest

        LOCK = threading.Lock()

        def take(number):
            LOCK.acquire()
            LOCK.release()

        @pytest.mark.interrupt_safe
        def test_it():
            take(42)
        """
    point = next(each.points[0].id for each in audit(source).audit.defects)
    for arguments in ([f"--maskcheck-point={point}"], ["--maskcheck"]):
        result = run("--pdb", *arguments, stdin=b"p number\nq\n")
        result.stdout.fnmatch_lines(["-> LOCK.acquire()", "(Pdb) 42"])
