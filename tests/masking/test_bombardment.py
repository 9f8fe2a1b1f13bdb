"""Short runs of ``bombardment.py``, whose docstring explains it; run that for a minute for a thorough test."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SECONDS = 0.3


def load() -> ModuleType:
    """Return the program beside this file as a module."""
    name = "maskcheck_masking_bombardment"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("bombardment.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


bombardment = load()


@pytest.mark.parametrize("name", bombardment.SHIELDED)
def test_shielded(name: str):
    """Shielded code loses nothing and is never torn, although interrupts arrive."""
    books = bombardment.bombard(bombardment.SHIELDED[name], SECONDS)
    if not books.interrupts:  # a slow machine, where the sender started late
        books = bombardment.bombard(bombardment.SHIELDED[name], 20 * SECONDS)
    assert (books.lost, books.torn, books.wrong) == (0, 0, [])
    assert books.turns
    assert books.interrupts


def test_idle_threads_make_no_difference():
    """A shield also holds beside idle threads, which the kernel may deliver the signals to."""
    books = bombardment.bombard(bombardment.shield_python, SECONDS, threads=2)
    assert (books.lost, books.torn, books.wrong) == (0, 0, [])
    assert books.interrupts


class Slow:
    """Its finalizer is long enough for a signal to land there."""

    def __del__(self) -> None:
        bombardment.idle()


class Broken(Slow):
    """Its finalizer raises, too."""

    def __del__(self) -> None:
        super().__del__()
        raise ValueError


@pytest.mark.parametrize(("finalized", "wrong"), [(Slow, set()), (Broken, {"ValueError()"})])
def test_an_interrupt_that_lands_in_a_finalizer_is_expected_and_another_error_is_not(finalized, wrong):
    """CPython reports both to ``sys.unraisablehook``; in a suite, finalizers of earlier tests run here, too."""
    books = bombardment.bombard(lambda _: [finalized() for _ in range(1000)].clear(), SECONDS)
    assert set(books.wrong) == wrong


def test_the_bombardment_finds_what_is_not_protected():
    """Unprotected code is spoiled by the same signals, so that the tests above mean something."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for subject in bombardment.CONTROLS.values():
            books = bombardment.bombard(subject, SECONDS / 3)
            if books.lost + books.torn:
                return
    pytest.fail("30 seconds of signals spoiled nothing")
