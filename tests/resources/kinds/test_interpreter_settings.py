"""Settings of the interpreter."""

from __future__ import annotations

import faulthandler
import socket
import sys
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.interpreter_settings import InterpreterSettings

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "tracebacklimit", 100, raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)


@pytest.mark.parametrize(
    ("change", "key", "detail"),
    [
        pytest.param(lambda: sys.setrecursionlimit(5001), "recursion limit", "recursion limit: 5001", id="recursion"),
        pytest.param(lambda: sys.setswitchinterval(0.5), "switch interval", "switch interval: 0.5", id="switch"),
        pytest.param(
            lambda: setattr(sys, "dont_write_bytecode", not sys.dont_write_bytecode),
            "sys.dont_write_bytecode",
            "sys.dont_write_bytecode: o",
            id="bytecode",
        ),
        pytest.param(
            lambda: delattr(sys, "tracebacklimit"), "sys.tracebacklimit", "sys.tracebacklimit: None", id="traceback"
        ),
        pytest.param(
            lambda: socket.setdefaulttimeout(3), "socket default timeout", "socket default timeout: 3.0", id="timeout"
        ),
        pytest.param(tracemalloc.start, "tracemalloc", "tracemalloc: on (before: off)", id="tracemalloc"),
        pytest.param(lambda: sys.argv.append("more"), "sys.argv", "sys.argv: (", id="argv"),
    ],
)
def test_another_value_is_altered_state(watch: Watch, change: Callable[[], None], key: str, detail: str) -> None:
    """A changed setting is reported under its name; repair restores the former value."""
    kind = InterpreterSettings()
    compare = watch(kind)
    change()
    found = compare()
    assert compare() == found
    repaired = [kind.repair(leftover) for leftover in found]
    assert [(leftover.kind, leftover.key, leftover.altered) for leftover in found] == [("interpreter", key, True)]
    assert found[0].detail.startswith(detail)
    assert repaired == [True]
    assert compare() == []


def test_a_faulthandler_that_was_disabled_cannot_be_enabled_as_it_was(watch: Watch) -> None:
    """A disabled faulthandler cannot be repaired, since the file that it wrote to cannot be found out."""
    kind, enabled = InterpreterSettings(), faulthandler.is_enabled()
    faulthandler.enable(sys.__stderr__)
    try:
        compare = watch(kind)
        faulthandler.disable()
        (leftover,) = compare()
        assert (leftover.key, kind.repair(leftover)) == ("faulthandler", False)
    finally:
        if enabled:
            faulthandler.enable(sys.__stderr__)


def test_settings_put_back_are_no_difference(watch: Watch) -> None:
    """A setting restored before the end of the run is not reported."""
    compare = watch(InterpreterSettings())
    old = sys.getrecursionlimit()
    sys.setrecursionlimit(old + 7)
    sys.setrecursionlimit(old)
    assert compare() == []
