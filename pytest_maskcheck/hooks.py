"""Hooks that plugins and ``conftest.py`` files may implement, and what a resource of their own is.

A hook that raises, or returns what it must not, is named in the report, and the audit goes on without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from pytest_maskcheck.results import Audit, Point


class Resource(Protocol):
    """One kind of thing that a run can leave behind, and that only you know how to find.

    A thing is whatever identifies what is there: a name, a number, a tuple, an object. The audit compares the things before and after
    a run by ``==``, as often as they come. What it compares it holds: give names rather than objects that are to be released
    by reference counting.

    A class may also have a method ``canary()``: a context manager within which ``snapshot`` sees one thing more. The audit proves with it that
    the resource sees what it is there to see.

    Attributes:
        name: the word for it in reports and in ``allow``, such as ``connection``: letters, digits, ``_``, ``-``.
        cost: microseconds that one snapshot takes, as measured; cheap ones are asked first.
    """

    name: str
    cost: float

    def snapshot(self) -> Iterable[Hashable]:
        """Return what is there now. Called two to ten times for each run, and so to be cheap; it must not change anything."""
        ...

    def describe(self, thing: Any) -> str:
        """Return one line that is the same in every run: it makes findings one defect, and ``allow`` globs match it."""
        ...

    def repair(self, thing: Any) -> None:
        """Undo one thing that was left, so that later runs do not meet it."""
        ...


@pytest.hookspec
def pytest_maskcheck_resources(config: pytest.Config) -> list[Resource]:  # type: ignore[empty-body]
    """Return resources of your own; asked once in a session, before the first audit.

    Parameters:
        config: pytest's configuration.
    """


@pytest.hookspec
def pytest_maskcheck_points(item: pytest.Item, points: list[Point]) -> None:
    """Remove points that are not to be audited, in place; called in the auditing process.

    It is called once for the points with one interrupt and, with ``interrupts=2``, once for those with two. What is removed is counted
    in the report, with the name of the plugin. Nothing can be added.

    Parameters:
        item: the test.
        points: where it will be interrupted, in the order in which it comes by.
    """


@pytest.hookspec
def pytest_maskcheck_audited(item: pytest.Item, audit: Audit) -> None:
    """Learn what an audit found; called after each audit, in the process of the session (with xdist: of the worker).

    Parameters:
        item: the test.
        audit: the results; they cannot be changed.
    """
