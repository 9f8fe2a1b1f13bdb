"""Check whether an item can be run again, and replace its body: ``runtest``, or the test method of ``unittest``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.session.private import is_unittest, replaced_method

if TYPE_CHECKING:
    from collections.abc import Iterator

Body = Callable[[], object]


def refusal(item: pytest.Item) -> str:
    """Return why an item cannot be run again, or ``""``."""
    if isinstance(item, pytest.DoctestItem):
        return Reason(NotAudited.DOCTEST)
    if not isinstance(item, pytest.Function):
        return Reason(NotAudited.NOT_A_FUNCTION, type=type(item).__qualname__)
    if not is_replaceable(item):
        return Reason(NotAudited.RUNTEST_IS_PROPERTY, type=type(item).__qualname__)
    return ""


def is_replaceable(item: pytest.Function) -> bool:
    """Return whether an attribute of the item can replace its ``runtest``; a property of its class would take precedence."""
    return not hasattr(inspect.getattr_static(type(item), "runtest", None), "__set__")


@contextmanager
def replaced_runtest(
    item: pytest.Function, around: Callable[[Body], None], begins: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Call ``around(body)`` where pytest, or ``unittest`` between ``setUp`` and ``tearDown``, would call the body.

    Parameters:
        item: the test.
        around: calls the body.
        begins: called first, also before ``setUp``.
    """
    original = item.runtest

    def runtest() -> None:
        begins()
        if is_unittest(item):
            with replaced_method(item.instance, around):
                original()
        else:
            around(original)

    item.runtest = runtest  # type: ignore[method-assign]
    try:
        yield
    finally:
        del item.runtest
