"""Hooks of the interpreter, such as ``sys.excepthook``."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.interrupts import choose
from pytest_maskcheck.interrupts.strike import Strike
from pytest_maskcheck.resources.kinds.interpreter_hooks import Hooks
from pytest_maskcheck.runs.finalizers import noting_lost_interrupts
from pytest_maskcheck.runs.requests import RunResult

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("excepthook", "displayhook", "unraisablehook", "breakpointhook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


def hook(*_: object) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (sys, "excepthook"),
        (sys, "displayhook"),
        (sys, "unraisablehook"),
        (sys, "breakpointhook"),
        (threading, "excepthook"),
    ],
)
def test_another_hook_is_altered_state(watch: Watch, module: object, name: str) -> None:
    """A replaced hook is reported under its name; repair restores the former one."""
    kind, old = Hooks(), getattr(module, name)
    compare = watch(kind)
    setattr(module, name, hook)
    (leftover,) = found = compare()
    assert leftover.key == f"{module.__name__}.{name}"  # type: ignore[attr-defined]
    assert leftover.detail.startswith(f"{leftover.key} is now {hook.__module__}.hook (before: ")
    assert compare() == found
    assert kind.repair(leftover) is True
    assert compare() == []
    assert getattr(module, name) is old


def test_hooks_of_asynchronous_generators_count_too(watch: Watch) -> None:
    """Hooks of asynchronous generators, which an event loop installs while it runs, are compared too."""
    kind = Hooks()
    compare = watch(kind)
    sys.set_asyncgen_hooks(finalizer=hook)
    (leftover,) = compare()
    assert leftover.key == "asyncgen finalizer"
    assert kind.repair(leftover) is True
    assert sys.get_asyncgen_hooks().finalizer is None


def test_the_hook_of_the_run_is_no_difference(watch: Watch) -> None:
    """The audit's own ``unraisablehook``, which records what finalizers raise, is not reported; a hook that the body sets is."""
    compare = watch(Hooks())
    with noting_lost_interrupts(RunResult(Strike()), [], choose()[0]):
        assert compare() == []
        sys.unraisablehook = hook
        assert [leftover.key for leftover in compare()] == ["sys.unraisablehook"]


def test_hooks_put_back_are_no_difference(watch: Watch) -> None:
    """A hook restored before the end of the run is not reported."""
    compare = watch(Hooks())
    old, sys.excepthook = sys.excepthook, hook
    sys.excepthook = old
    assert compare() == []


def test_no_code_of_a_hook_runs_unless_it_is_new(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged hook's code is not called, and a new one whose comparison raises counts as different."""

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

        def __call__(self, *_: object) -> None:
            return

    monkeypatch.setattr(sys, "displayhook", Odd())
    compare = watch(Hooks())
    assert compare() == []
    sys.displayhook = Odd()
    assert [leftover.key for leftover in compare()] == ["sys.displayhook"]
