"""Tests of interrupts in code out of scope that an audited line calls: what they lead to, and whose defect it is."""

from __future__ import annotations

import pytest

from pytest_maskcheck.results import Category, Verdict

LIBRARY = """
    import os, threading

    LOCK = threading.Lock()

    def nothing():
        len("x")

    def lock():
        LOCK.acquire()
        len("held")

    def unlock():
        len("still held")
        LOCK.release()

    def replaces():
        try:
            len("x")
        except KeyboardInterrupt:
            raise ValueError("not the interrupt")

    def swallows():
        try:
            len("x")
        except BaseException:
            pass

    class Holder:
        def __enter__(self):
            self.held = LOCK
            return self
        def __exit__(self, *details):
            if self.held.locked():
                self.held.release()
"""

HEAD = """
    import contextlib, threading
    import pytest
    import library

    BUSY = {"job": False}
    LOCK = threading.Lock()
"""

PROGRAMS = {
    # The code in scope does not undo what it began if the interrupt arrives in a call that has no effect.
    "busy": """
    @pytest.mark.interrupt_safe
    def test_it():
        assert not BUSY["job"], "busy for ever"
        BUSY["job"] = True
        library.nothing()
        BUSY["job"] = False
    """,
    # The code in scope undoes what it began, wherever the interrupt arrives.
    "ended": """
    @pytest.mark.interrupt_safe
    def test_it():
        assert not BUSY["job"], "busy for ever"
        try:
            BUSY["job"] = True
            library.nothing()
        finally:
            BUSY["job"] = False
    """,
    # The library takes a lock and loses it before its function returns.
    "inside": """
    @pytest.mark.interrupt_safe
    def test_it():
        library.lock()
        try:
            len("x")
        finally:
            library.LOCK.release()
    """,
    "strictly_inside": """
    @pytest.mark.interrupt_safe(strict=True)
    def test_it():
        library.lock()
        try:
            len("x")
        finally:
            library.LOCK.release()
    """,
    # A call in clean-up code releases the lock, and the interrupt arrives in that call.
    "cleanup": """
    @pytest.mark.interrupt_safe
    def test_it():
        try:
            with library.LOCK:
                library.LOCK.acquire(False)
                held = library.LOCK.locked()
            library.LOCK.acquire(False)
        finally:
            library.unlock()
    """,
    "replaced": """
    @pytest.mark.interrupt_safe
    def test_it():
        library.replaces()
    """,
    "swallowed": """
    @pytest.mark.interrupt_safe
    def test_it():
        library.swallows()
    """,
    "swallowed_by_itself": """
    def tolerant():
        with contextlib.suppress(BaseException):
            library.nothing()

    @pytest.mark.interrupt_safe
    def test_it():
        tolerant()
    """,
    "in_a_with_block": """
    @pytest.mark.interrupt_safe
    def test_it():
        with library.Holder():
            LOCK.acquire(); LOCK.release()
    """,
}


def program(name: str) -> str:
    return HEAD + PROGRAMS[name]


@pytest.fixture(scope="module")
def audits(audit_together):
    sources = {name: program(name) for name in PROGRAMS}
    return audit_together(sources, {"library.py": LIBRARY}, "--maskcheck-exclude=library.py")


def defects(audit, verdict: Verdict):
    return [defect for defect in audit.defects if defect.verdict is verdict]


def test_state_that_a_call_leaves_half_done_is_found(audits):
    """State that an interrupted call leaves half-done is one defect at the calling line, with points at both ends of the call."""
    (defect,) = audits["busy"].failures
    assert (defect.verdict, defect.category) == (Verdict.UNUSABLE, Category.OWN)
    assert {point.kind for point in defect.points} == {"into", "back"}
    assert len({point.line for point in defect.points}) == 1


def test_state_that_is_put_back_is_no_finding(audits):
    """State that is restored after an interrupt is no finding, at the same points."""
    assert not audits["ended"].defects
    assert {"into", "back"} <= {point.kind for point in audits["ended"].points}


def test_what_is_lost_inside_of_the_library_is_listed_as_its_own(audits):
    """A lock lost inside a library is listed under its package and does not fail: the caller has no checkpoint before its ``try``."""
    (defect,) = defects(audits["inside"], Verdict.LEAK)
    assert (defect.category, defect.package, defect.fails) == (Category.INSIDE, "library", False)
    assert not audits["inside"].failures


def test_with_strict_what_is_lost_inside_fails(audits):
    """With ``strict``, a lock lost inside a library is a failure."""
    assert any(defect.category is Category.INSIDE for defect in audits["strictly_inside"].failures)


def test_a_replaced_interrupt_is_of_who_replaces_it(audits):
    """An interrupt that a library replaces by another exception is listed under the library, and is no failure."""
    (defect,) = defects(audits["replaced"], Verdict.REPLACED)
    assert (defect.category, defect.package, defect.fails) == (Category.INSIDE, "library", False)


def test_a_swallowed_interrupt_is_of_who_catches_it(audits):
    """A swallowed interrupt is attributed to the code that catches it; it fails only if that code is in scope."""
    (defect,) = defects(audits["swallowed"], Verdict.SWALLOWED)
    assert (defect.category, defect.package, defect.fails) == (Category.INSIDE, "library", False)
    assert "library.py:" in defect.detail
    assert any(defect.category is Category.OWN for defect in audits["swallowed_by_itself"].failures)


def test_what_the_releasing_call_loses_is_a_class_of_its_own(audits):
    """A lock lost in the call that releases it has a category of its own, and fails, separately from the same lock lost elsewhere."""
    categories = {defect.category for defect in audits["cleanup"].failures}
    assert Category.CLEANUP in categories
    (defect,) = [each for each in audits["cleanup"].failures if each.category is Category.CLEANUP]
    assert all(point.cleanup for point in defect.points)


def test_the_class_of_clean_up_can_be_allowed(audit, pytester):
    """``allow=cleanup:*`` allows the category ``cleanup`` and nothing else."""
    pytester.makepyfile(library="\n".join(line[4:] for line in LIBRARY.splitlines()))
    allowed = ("--maskcheck-exclude=library.py", "--maskcheck-allow=cleanup:* -- masked by the caller")
    (first,) = audit(program("cleanup"), *allowed).audits
    assert all(defect.category is Category.OWN for defect in first.failures)
    assert first.allows == {"allow cleanup:* (masked by the caller), the command line": True}
    assert any("cleanup:lock:" in note for note in first.notes)


def test_the_report_says_whose_it_is(audit, pytester):
    """The report names the library or the clean-up code that a defect belongs to, and how to allow the category."""
    pytester.makepyfile(library="\n".join(line[4:] for line in LIBRARY.splitlines()))
    audited = audit(
        program("inside") + program("cleanup").replace("test_it", "test_more"), "--maskcheck-exclude=library.py"
    )
    text = audited.result.stdout.str()
    assert "lost inside library" in text
    assert ", in clean-up" in text
    assert "'cleanup:*'" in text
