"""Objects that are older than a process: named once for all processes forked from one."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

PROGRAM = """
    import os, pickle, sys, threading, types
    from pytest_maskcheck.resources.census import Census
    from pytest_maskcheck.resources.kinds.locks import Locks
    from pytest_maskcheck.system.frozen_heap import FrozenHeap

    owner = sys.modules["owner"] = types.ModuleType("owner")
    owner.OLD = threading.Lock()
    kind = Locks()

    def prepare():
        kind.prepare()
        FrozenHeap.freeze()

    def child(work):
        \"\"\"Return what ``work`` returns in a forked process.\"\"\"
        reader, writer = os.pipe()
        if not os.fork():
            prepare()
            os.write(writer, pickle.dumps(work()))
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as answer:
            return pickle.loads(answer.read())

    def leave(lock):
        \"\"\"Return the key of a lock that is left held, the names found, and whether the heap is still frozen.\"\"\"
        before = kind.snapshot()
        lock().acquire()
        (leftover,) = kind.compare(before)
        return kind.describe(leftover).key, Census.found, FrozenHeap.is_frozen()

    def new():
        owner.NEW = threading.Lock()
        return owner.NEW

    prepare()
"""


def program(source: str) -> None:
    """Run a program in a process of its own."""
    subprocess.run([sys.executable, "-c", dedent(PROGRAM) + dedent(source)], check=True)


def test_the_name_of_an_old_object_is_searched_for_once() -> None:
    """A process finds the name of an old lock and thaws the heap for it; one that is forked later knows it, and does not."""
    program("""
        key, found, frozen = child(lambda: leave(lambda: owner.OLD))
        assert (key, found, frozen) == ("owner.OLD", {id(owner.OLD): "owner.OLD"}, False)
        Census.learn(found)
        assert child(lambda: leave(lambda: owner.OLD)) == ("owner.OLD", {}, True)
    """)


def test_the_name_of_a_new_object_is_not_remembered() -> None:
    """A lock that a run has made is named in that process alone: in others, something else may have its address."""
    program("""
        key, found, frozen = child(lambda: leave(new))
        assert (key, found, frozen) == ("owner.NEW", {}, False)
    """)


def test_an_address_that_was_reused_has_no_known_name() -> None:
    """A name is known only as long as the object that it was found for lives."""
    program("""
        Census.learn({id(owner.OLD): "owner.OLD"})
        other = threading.Lock()
        Census._names[id(other)] = Census._names.pop(id(owner.OLD))
        assert Census._known(other) is None
        assert Census._known(owner.OLD) is None
    """)
