"""Which types are remembered between walks of the heap."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent


def test_a_class_that_is_unloaded_after_types_were_classified_is_gone() -> None:
    """Types of modules loaded later are found when they are looked for, and are not kept alive by what is remembered of them."""
    program = """
        import gc, sys, threading, types, weakref
        from pytest_maskcheck.resources import heap

        later = types.ModuleType("later")
        exec("import threading\\nclass Later(threading.Semaphore): pass\\nclass Other: pass", vars(later))
        sys.modules["later"] = later
        kept = [later.Later(), later.Other(), threading.Semaphore()]
        family = heap.Family("threading:Semaphore")
        heap.classify()
        assert {threading.Semaphore, dict} <= heap._SEEN
        assert threading.Semaphore in family.members and dict in heap._IGNORED
        refs = [weakref.ref(later.Later), weakref.ref(later.Other)]
        del sys.modules["later"], later, kept
        gc.collect()
        assert [ref() for ref in refs] == [None, None], refs
        class Another(threading.Semaphore): pass
        kept = [Another(), threading.Semaphore()]
        assert {type(thing) for thing in family.made()} == {Another, threading.Semaphore}
    """
    subprocess.run([sys.executable, "-c", dedent(program)], check=True)


def test_types_of_the_audit_are_classified_before_processes_are_forked() -> None:
    """A walk that meets only objects of the audit, and those that an interrupt makes, has no type to classify, in any process."""
    program = """
        from pytest_maskcheck.resources import heap
        from pytest_maskcheck.interrupts import Strike
        from pytest_maskcheck.results import Frame
        from pytest_maskcheck.runs.requests import RunResult
        from pytest_maskcheck.system.unpatched import gc

        class Theirs: pass

        heap.classify()
        gc.freeze()
        classified = []
        classify = heap._classify
        heap._classify = lambda kinds: classified.append(kinds) or classify(kinds)
        kept = [RunResult(Strike()), Frame("a.py", 1, "f", "/a.py")]
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            kept += [error, error.__traceback__]
            heap.look()
        assert not classified, classified
        kept.append(Theirs())
        heap.look()
        assert classified == [{Theirs}], classified
    """
    subprocess.run([sys.executable, "-c", dedent(program)], check=True)
