"""Context variables and the decimal context."""

from __future__ import annotations

import contextvars
import decimal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.context_variables import ContextVariables
from pytest_maskcheck.resources.kinds.decimal_context import DecimalContext

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


VARIABLE: contextvars.ContextVar[object] = contextvars.ContextVar("variable of a test")


def _in_a_context(test: Callable[[], None]) -> None:
    contextvars.copy_context().run(test)


def test_a_variable_that_was_not_reset_is_altered_state(watch: Watch) -> None:
    """A context variable that was not reset is reported under its name; repair restores the former value."""

    def body() -> None:
        VARIABLE.set("before")
        kind = ContextVariables()
        compare = watch(kind)
        VARIABLE.set(7)
        (leftover,) = compare()
        assert leftover.key == "variable of a test"
        assert (
            leftover.detail
            == "the context variable variable of a test is set to a value of type int (before: a value of type str)"
        )
        assert compare() == [leftover]
        assert kind.repair(leftover) is True
        assert compare() == []
        assert VARIABLE.get() == "before"

    _in_a_context(body)


def test_a_variable_that_had_no_value_cannot_be_repaired(watch: Watch) -> None:
    """Repair fails for a variable that had no value, since only its token, which the run holds, can reset it."""

    def body() -> None:
        kind = ContextVariables()
        compare = watch(kind)
        VARIABLE.set(7)
        (leftover,) = compare()
        assert leftover.detail.endswith("of type int (before: no value)")
        assert kind.repair(leftover) is False

    _in_a_context(body)


@pytest.mark.parametrize("value", [..., None])
def test_constants_that_stand_for_no_value_are_named(watch: Watch, value: object) -> None:
    """Ellipsis and None are shown by name rather than by type."""

    def body() -> None:
        VARIABLE.set(value)
        compare = watch(ContextVariables())
        VARIABLE.set("a")
        (leftover,) = compare()
        assert leftover.detail.endswith(f"is set to a value of type str (before: {value})")
        VARIABLE.set(value)
        assert compare() == []

    _in_a_context(body)


def test_a_variable_that_was_reset_is_no_difference(watch: Watch) -> None:
    """A variable is not reported if it was reset or set in another context; decimal's context belongs to another kind."""

    def body() -> None:
        compare = watch(ContextVariables())
        VARIABLE.reset(VARIABLE.set(7))
        decimal.setcontext(decimal.Context(prec=7))
        _in_a_context(lambda: VARIABLE.set(8) and None)
        assert compare() == []

    _in_a_context(body)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with decimal.localcontext():
        yield


def test_another_precision_is_altered_state(watch: Watch) -> None:
    """Each changed attribute of the decimal context is reported under its own key; repair restores the former values."""
    kind = DecimalContext()
    decimal.getcontext().prec = 28
    compare = watch(kind)
    decimal.getcontext().prec = 7
    decimal.getcontext().traps[decimal.Inexact] = True
    found = compare()
    assert [leftover.key for leftover in found] == ["prec", "traps"]
    assert found[0].detail == "prec of the decimal context is 7 (before: 28)"
    assert compare() == found
    assert [kind.repair(leftover) for leftover in found] == [True, True]
    assert compare() == []


def test_a_context_that_was_made_is_a_difference_only_if_it_is_another(watch: Watch) -> None:
    """A context made by the first use of decimal is reported only if it differs from the default one."""

    def body() -> None:
        kind = DecimalContext()
        compare = watch(kind)
        decimal.getcontext()
        assert compare() == []
        decimal.getcontext().prec = 7
        assert [leftover.key for leftover in compare()] == ["prec"]

    contextvars.Context().run(body)


def test_arithmetic_is_no_difference(watch: Watch) -> None:
    """Flags set by arithmetic are not reported, nor is a local context that has ended."""
    compare = watch(DecimalContext())
    assert decimal.Decimal(1) / decimal.Decimal(3)
    with decimal.localcontext() as context:
        context.prec = 3
    assert compare() == []
