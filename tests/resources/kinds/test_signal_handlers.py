"""Signal handlers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.signal_handlers import Handlers, signal_name

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    old = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, old)


def handle(*_: object) -> None:
    """Handle nothing."""


class Object:
    """An object with a method as a handler."""

    def method(self, *_: object) -> None:
        """Handle nothing."""


def test_another_handler_is_altered_state(watch: Watch) -> None:
    """A changed handler is reported under the signal's name, with a detail that names both handlers."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    compare = watch(Handlers())
    signal.signal(signal.SIGTERM, handle)
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("handler", "SIGTERM", True)
    assert leftover.detail == "SIGTERM now leads to handle (before: being ignored)"
    assert compare() == [leftover]


def test_the_same_handler_is_no_difference(watch: Watch) -> None:
    """A restored handler is not reported, even if it is another but equal bound method."""
    thing = Object()
    signal.signal(signal.SIGTERM, thing.method)
    compare = watch(Handlers())
    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGTERM, thing.method)
    assert compare() == []


@pytest.mark.parametrize("old", [signal.SIG_DFL, signal.SIG_IGN, handle])
def test_repair_puts_the_handler_back(watch: Watch, old: signal.Handlers) -> None:
    """Repair restores handlers of every sort."""
    kind = Handlers()
    signal.signal(signal.SIGTERM, old)
    compare = watch(kind)
    signal.signal(signal.SIGTERM, Object().method)
    (leftover,) = compare()
    assert kind.repair(leftover) is True
    assert signal.getsignal(signal.SIGTERM) == old
    assert compare() == []


def test_a_handler_that_python_did_not_install_cannot_be_put_back() -> None:
    """Repair returns false if the former handler was not installed by Python, since it cannot be restored."""
    kind = Handlers()
    (leftover,) = kind.differences((None, *kind.read()[1:]), (handle, *kind.read()[1:]))
    assert leftover.detail.endswith("(before: a handler that Python did not install)")
    assert kind.repair(leftover) is False


def test_signals_without_a_name_are_counted() -> None:
    """A real-time signal without a name is shown by its distance from SIGRTMIN."""
    assert signal_name(signal.SIGINT) == "SIGINT"
    if hasattr(signal, "SIGRTMIN"):
        assert signal_name(signal.SIGRTMIN + 3) == "SIGRTMIN+3"
