"""Defects on one line each: what a defect is about, its category, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.results import Category, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pytest_maskcheck.results import Defect

_LINES = 5
"""Number of functions whose lines are shown if one thing is lost in many functions."""

_TITLES = 3
"""Number of things named among those that were released together."""


def in_tests(failing: Collection[str], tests: Collection[str]) -> str:
    """Return how many tests reach a defect, to follow its title, such as ``, in 3 tests``; ``""`` if it is one.

    Parameters:
        failing: the tests that fail because of it.
        tests: all tests that reach it.
    """
    if len(tests) < 2:
        return ""
    others = len(tests) - len(failing)
    return f" ({fail_and_reach(failing, tests)})" if failing and others else f", in {count(tests, 'test')}"


def fail_and_reach(failing: Collection[str], tests: Collection[str]) -> str:
    """Return how many tests fail because of a defect, and how many others reach it, such as ``1 test fails, 2 others reach it``."""
    others = len(tests) - len(failing)
    text = f"{count(failing, 'test')} {'fails' if len(failing) == 1 else 'fail'}"
    return text + (f", {others} {'other reaches' if others == 1 else 'others reach'} it" if others else "")


def together(defects: Iterable[Defect]) -> list[list[Defect]]:
    """Return the defects in groups.

    Things that only reference counting released, at the same points, share a group: they may be parts of one object. Every other
    defect has a group of its own.
    """
    groups: dict[object, list[Defect]] = {}
    for number, defect in enumerate(defects):
        alone = defect.fails or defect.verdict is not Verdict.IMPLICIT
        groups.setdefault(number if alone else tuple(point.id for point in defect.points), []).append(defect)
    return [sorted(group, key=lambda defect: defect.kind == defect.verdict) for group in groups.values()]


def headline(defect: Defect, *others: Defect) -> str:
    """Return a defect on one line, such as ``leak: lock Store._lock [2 points, src/store.py:12-15]``."""
    firsts = dict.fromkeys(f"{point.first.path}:{point.first.line}" for point in defect.points if point.first)
    before = f"{', '.join(firsts)} \N{RIGHTWARDS ARROW} " if firsts else ""
    about = titles(defect, *others) + category(defect)
    return f"{defect.verdict}: {about} [{count(defect.points, 'point')}, {before}{where(defect)}]"


def category(defect: Defect) -> str:
    """Return the category of a defect, if it is not the code's own."""
    if defect.category is Category.INSIDE:
        return f", {'caught' if defect.verdict is Verdict.SWALLOWED else 'lost'} inside {defect.package}"
    return ", in clean-up" if defect.category is Category.CLEANUP else ""


def where(defect: Defect, functions: int = _LINES) -> str:
    """Return the lines where something is lost, such as ``store.py:12-18, 30``: the first few functions, and the number of others."""
    files: dict[str, list[str]] = {}
    for path, numbers in defect.lines[:functions]:
        files.setdefault(path, []).append(numbers)
    shown = ", ".join(f"{path}:{', '.join(numbers)}" for path, numbers in files.items())
    more = len(defect.lines) - functions
    return f"{shown} and in {count(more, 'more function')}" if more > 0 else shown


def titles(*defects: Defect) -> str:
    """Return what several defects are about."""
    more = len(defects) - _TITLES
    return ", ".join(map(title, defects[:_TITLES])) + (f" and {more} more" if more > 0 else "")


def title(defect: Defect) -> str:
    """Return what a defect is about."""
    return defect.key if defect.kind == defect.verdict else _TITLES_BY_VERDICT[defect.verdict](defect)


def _thing(defect: Defect) -> str:
    return f"{defect.kind} {defect.key}".strip()


def _detail(defect: Defect) -> str:
    return defect.detail


_TITLES_BY_VERDICT: Mapping[Verdict, Callable[[Defect], str]] = {
    Verdict.LEAK: _thing,
    Verdict.IMPLICIT: _thing,
    Verdict.ALTERED: _thing,
    Verdict.INTERPRETER: _thing,
    Verdict.INVARIANT: _thing,
    Verdict.SWALLOWED: _detail,
    Verdict.REPLACED: _detail,
    Verdict.UNUSABLE: _detail,
    Verdict.HANG: _detail,
    Verdict.CRASH: _detail,
}
"""How a defect is named: by the thing that was left or changed, or, if there is none, by what happened."""
