"""Tests of the category ``cleanup``: a loss in a clean-up call belongs to it only if that very call would have undone it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit, Category

PREAMBLE = """
import pytest, time, warnings

CLOCK = time.time

def replaced():
    return CLOCK()
"""

PROGRAMS = {
    "restored_behind_it": """
        @pytest.mark.interrupt_safe
        def test_it():
            time.time = replaced
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                len("x")
            time.time = CLOCK
            len("x")
        """,
    "restored_by_it": """
        class Patch:
            def __enter__(self):
                time.time = replaced

            def __exit__(self, *_):
                time.time = CLOCK

        @pytest.mark.interrupt_safe
        def test_it():
            with Patch():
                len("x")
            len("x")
        """,
    "restored_by_one_and_again_by_another": """
        @pytest.mark.interrupt_safe
        def test_it():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                len("x")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                len("x")
            len("x")
        """,
}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """Return the audits of all programs."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in PROGRAMS.items()})


def _lost(audit: Audit, category: Category) -> set[tuple[str, str]]:
    return {(each.kind, each.key) for each in audit.failures if each.category is category}


def test_what_is_restored_behind_the_call_is_the_codes_own(audits):
    """State restored behind a clean-up call is the code's own; only the warning filters, which ``__exit__`` restores, are ``cleanup``."""
    audit = audits["restored_behind_it"]
    own, cleanup = _lost(audit, Category.OWN), _lost(audit, Category.CLEANUP)
    assert any(key == "time.time" for _, key in own)
    assert not any(key == "time.time" for _, key in cleanup)
    assert {kind for kind, _ in cleanup} == {"warnings"}


def test_what_the_call_restores_is_of_the_class(audits):
    """State that ``__exit__`` restores is in the category ``cleanup``: an interrupt at its entry comes before its only statement."""
    assert any(key == "time.time" for _, key in _lost(audits["restored_by_it"], Category.CLEANUP))


def test_what_is_changed_again_later_is_told_by_its_origin(audits):
    """Two equal ``with`` blocks give two ``cleanup`` defects: each ``__exit__`` restores what its own line changed."""
    defects = [
        each
        for each in audits["restored_by_one_and_again_by_another"].failures
        if each.kind == "warnings" and each.category is Category.CLEANUP
    ]
    assert len({each.origin and each.origin.place.line for each in defects}) == 2


UNUSABLE = """
    import pytest

    BUSY = []

    class Use:
        def __enter__(self):
            assert not BUSY
            BUSY.append(1)

        def __exit__(self, *_):
            BUSY.clear()

    @pytest.mark.interrupt_safe
    def test_it():
        with Use():
            len("x")
        len("y")
"""
"""An interrupt at the entry of ``__exit__`` leaves the test unusable, as does one at the call in the block."""


def _of_exit(audit: Audit) -> set[Category]:
    return {each.category for each in audit.defects for point in each.points if point.function.endswith("__exit__")}


def test_the_class_is_not_given_where_nothing_shows_that_the_call_restores(audit):
    """A point audited alone is not in the category ``cleanup``: no point behind it shows that the finding is gone."""
    whole = audit(UNUSABLE).audit
    assert _of_exit(whole) == {Category.CLEANUP}
    (point,) = {point.id for each in whole.defects for point in each.points if point.function.endswith("__exit__")}
    assert _of_exit(audit(UNUSABLE, f"--maskcheck-point={point}", "--maskcheck-isolation=fork").audit) == {Category.OWN}


def test_a_watched_run_shows_it_of_one_point_too(audit_folder):
    """One point is enough for the category ``cleanup`` if a watched run shows that the thing is gone when the call returns."""
    program = dedent(PREAMBLE) + dedent(PROGRAMS["restored_by_it"])
    whole = audit_folder({"test_it.py": program}).audits[0]
    (defect,) = [each for each in whole.defects if each.key == "time.time" and each.category is Category.CLEANUP]
    alone = audit_folder({"test_it.py": program}, f"--maskcheck-point={defect.points[0].id}").audits[0]
    assert ("altered", Category.CLEANUP) in {
        (each.verdict, each.category) for each in alone.defects if each.key == "time.time"
    }
