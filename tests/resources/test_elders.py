"""Objects that are older than an auditing process are found in the session, without a full walk of the heap for each test."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

STARTS_FROZEN = subprocess.run(
    [sys.executable, "-c", "import gc; raise SystemExit(gc.get_freeze_count() > 0)"]
).returncode
"""Whether the interpreter itself freezes objects at its start, as CPython 3.12 does."""

elders_known = pytest.mark.skipif(
    STARTS_FROZEN, reason="this CPython starts with frozen objects, so that elders are not known"
)

BEGINNING = """
    import gc, os, threading
    gc.disable()  # only this program collects
    from pytest_maskcheck.resources.elders import ELDERS
    from pytest_maskcheck.resources.heap import Family, at_once, want
    from pytest_maskcheck.system.frozen_heap import FrozenHeap

    family = Family("threading:Semaphore")


    def seen():
        ELDERS.note()
        reader, writer = os.pipe()
        if os.fork() == 0:
            FrozenHeap.freeze()
            ELDERS.inherit()
            with at_once:
                shown = ELDERS.show()
                names = sorted(thing.name for thing in family.made()) if shown else ["unknown"]
            os.write(writer, ",".join(names).encode())
            os._exit(0)
        os.wait()
        os.close(writer)
        return os.read(reader, 999).decode()


    def made(name):
        semaphore = threading.Semaphore()
        semaphore.name = name
        return semaphore


    old = made("old")
"""

KNOWN = """
    assert seen() == "old"
    assert ELDERS.walks == 1
"""


def run(program: str, beginning: str = BEGINNING + KNOWN) -> None:
    """Run a program that begins with one object and, if elders are known, one full walk."""
    subprocess.run([sys.executable, "-c", dedent(beginning) + dedent(program)], check=True)


@elders_known
def test_new_objects_are_found_without_another_full_walk() -> None:
    """What was made since the last full walk is found among the young objects; what is gone is gone."""
    run("""
        new = made("new")
        assert seen() == "new,old"
        newer = made("newer")
        assert seen() == "new,newer,old"
        del old
        assert seen() == "new,newer"
        assert ELDERS.walks == 1
    """)


@elders_known
def test_objects_of_every_age_are_found() -> None:
    """Collections of the youngest generation move objects on; where they go depends on the version of CPython."""
    run("""
        names = ["old"]
        kept = []
        for name in ("a", "b", "c"):
            kept.append(made(name))
            gc.collect(0)
            names.append(name)
            assert seen() == ",".join(sorted(names))
    """)


@elders_known
def test_objects_that_were_collected_into_the_old_generation_are_found_by_a_full_walk() -> None:
    """A collection of the second generation moves new objects away from the young ones: then there is another full walk."""
    run("""
        new = made("new")
        gc.collect(1)
        assert seen() == "new,old"
        assert ELDERS.walks == 2
        newer = made("newer")
        gc.collect()
        assert seen() == "new,newer,old"
        assert ELDERS.walks == 3
    """)


@elders_known
def test_an_object_of_a_class_that_is_not_remembered_is_found() -> None:
    """Classes that a test may unload are not remembered in the session; their objects are found all the same."""
    run("""
        class Local(threading.Semaphore):
            __module__ = "later"
        new = Local()
        new.name = "local"
        assert seen() == "local,old"
        assert Local not in family.members
        assert ELDERS.walks == 1
    """)


@elders_known
def test_nothing_counts_as_known_where_code_under_test_has_frozen_objects() -> None:
    """Frozen objects are in no generation, so the auditing process has to look for itself."""
    run("""
        gc.freeze()
        assert seen() == "unknown"
        gc.unfreeze()
        assert seen() == "old"
        assert ELDERS.walks == 2
    """)


@elders_known
def test_nothing_counts_as_known_in_a_process_that_was_forked_earlier() -> None:
    """Only the process that was forked right after the elders were found may use them."""
    run("""
        with at_once:
            assert not ELDERS.show()  # not inherited, but found here
    """)


@elders_known
def test_a_further_type_is_looked_for_among_all_objects() -> None:
    """A kind that looks for a type that was not looked for before finds its old objects, too."""
    run("""
        class Other: pass
        other = Other()
        gc.collect()
        seen()
        walks = ELDERS.walks
        want({Other})
        with at_once:
            assert not ELDERS.were_all()
        seen()
        assert ELDERS.walks == walks + 1
    """)


@pytest.mark.skipif(not STARTS_FROZEN, reason="this CPython starts without frozen objects")
def test_nothing_counts_as_known_where_the_interpreter_has_frozen_objects() -> None:
    """Where CPython itself has frozen objects, the auditing process walks by itself."""
    run('assert seen() == "unknown"', BEGINNING)
