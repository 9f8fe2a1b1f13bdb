"""What an interrupt in code that the audited line calls leads to, and whose defect it is."""

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
    # What the code in scope had begun is not ended, in a call that only takes time.
    "busy": """
    @pytest.mark.interrupt_safe
    def test_it():
        assert not BUSY["job"], "busy for ever"
        BUSY["job"] = True
        library.nothing()
        BUSY["job"] = False
    """,
    # It is ended, wherever the interrupt arrives.
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
    # A call of clean-up code releases the lock; the interrupt arrives in it.
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
    """State that a called function leaves half-done is found at the calling line, once for each end of the call."""
    (defect,) = audits["busy"].failures
    assert (defect.verdict, defect.category) == (Verdict.UNUSABLE, Category.OWN)
    assert {point.kind for point in defect.points} == {"into", "back"}
    assert len({point.line for point in defect.points}) == 1


def test_state_that_is_put_back_is_no_finding(audits):
    """State that is put back is no finding, at the same points."""
    assert not audits["ended"].defects
    assert {"into", "back"} <= {point.kind for point in audits["ended"].points}


def test_what_is_lost_inside_of_the_library_is_listed_as_its_own(audits):
    """What is lost inside the library is listed with the package's name: the caller has no checkpoint between the return and its ``try``."""
    (defect,) = defects(audits["inside"], Verdict.LEAK)
    assert (defect.category, defect.package, defect.fails) == (Category.INSIDE, "library", False)
    assert not audits["inside"].failures


def test_with_strict_what_is_lost_inside_fails(audits):
    assert any(defect.category is Category.INSIDE for defect in audits["strictly_inside"].failures)


def test_a_replaced_interrupt_is_of_who_replaces_it(audits):
    (defect,) = defects(audits["replaced"], Verdict.REPLACED)
    assert (defect.category, defect.package, defect.fails) == (Category.INSIDE, "library", False)


def test_a_swallowed_interrupt_is_of_who_catches_it(audits):
    """A swallowed interrupt is attributed to the line that catches it; code in scope fails, by ``except`` or a context manager."""
    (defect,) = defects(audits["swallowed"], Verdict.SWALLOWED)
    assert (defect.category, defect.package, defect.fails) == (Category.INSIDE, "library", False)
    assert "library.py:" in defect.detail
    assert any(defect.category is Category.OWN for defect in audits["swallowed_by_itself"].failures)


def test_what_the_releasing_call_loses_is_a_class_of_its_own(audits):
    """What the releasing call loses is a category of its own, and fails, apart from the same lock lost elsewhere."""
    categories = {defect.category for defect in audits["cleanup"].failures}
    assert Category.CLEANUP in categories
    (defect,) = [each for each in audits["cleanup"].failures if each.category is Category.CLEANUP]
    assert all(point.cleanup for point in defect.points)


def test_the_class_of_clean_up_can_be_allowed(audit, pytester):
    """``cleanup:*`` allows that category and nothing else."""
    pytester.makepyfile(library="\n".join(line[4:] for line in LIBRARY.splitlines()))
    allowed = ("--maskcheck-exclude=library.py", "--maskcheck-allow=cleanup:* -- masked by the caller")
    (first,) = audit(program("cleanup"), *allowed).audits
    assert all(defect.category is Category.OWN for defect in first.failures)
    assert first.allows == {"allow cleanup:* (masked by the caller), the command line": True}
    assert any("cleanup:lock:" in note for note in first.notes)


def test_the_report_says_whose_it_is(audit, pytester):
    """The report says in the headline whose defect it is, and what to do."""
    pytester.makepyfile(library="\n".join(line[4:] for line in LIBRARY.splitlines()))
    audited = audit(
        program("inside") + program("cleanup").replace("test_it", "test_more"), "--maskcheck-exclude=library.py"
    )
    text = audited.result.stdout.str()
    assert "lost inside library" in text
    assert ", in clean-up" in text
    assert "'cleanup:*'" in text
