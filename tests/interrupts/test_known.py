"""Tests that defects of CPython itself are recognised."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.interrupts import known_defect
from pytest_maskcheck.interrupts.cpython.entering import with_checks_on_entering

if TYPE_CHECKING:
    from tests.interrupts.conftest import Interrupt, Record

lock = threading.Lock()


class Limited:
    def __init__(self):
        self.left = 3

    @property
    def goes_on(self):
        self.left -= 1
        return self.left > 0

    @property
    def stops(self):
        return not self.goes_on

    def __enter__(self):
        return self

    def __exit__(self, *details):
        pass


def enters_lock():
    with lock:
        pass


def waits_in_with():
    limited = Limited()
    with limited:
        while limited.goes_on:
            pass


def breaks_in_try():
    limited = Limited()
    try:
        while True:
            if limited.stops:
                break
    finally:
        len("end")


def ordinary():
    for number in range(3):
        if number:
            continue
        with Limited():
            len("a")
    with Limited():
        for _ in (1, 2):
            len("b")
    try:
        while (limited := Limited()) and limited.left > 3:
            pass
    finally:
        len("c")


def defects(record: Record, function: Any) -> set[str]:
    hits = record(function).hits
    return {known_defect(hit).partition(":")[0] for hit in hits if hit.code is function.__code__} - {""}


def test_the_checked_call_of_enter_is_known(record: Record, interrupt: Interrupt) -> None:
    """An interrupt leaves ``with lock:`` locked only where gh-148874 is recognised, and only on versions that have it."""
    assert defects(record, enters_lock) == ({"gh-148874"} if with_checks_on_entering() else set())
    leaked = []
    for hit in record(enters_lock).hits:
        interrupt(hit, enters_lock)
        if lock.locked():
            lock.release()
            leaked.append(known_defect(hit) != "")
    assert leaked == ([True] if with_checks_on_entering() else [])


EXPECTED = {
    (3, 12): {waits_in_with},
    (3, 13): {waits_in_with},
    (3, 14): {breaks_in_try},
}


@pytest.mark.parametrize("function", [waits_in_with, breaks_in_try], ids=lambda function: function.__name__)
def test_jumps_outside_of_their_try_are_known(record: Record, interrupt: Interrupt, function: Any) -> None:
    """gh-130279 is recognised in the loops that this version compiles with a jump outside of their ``try``, and in no others."""
    affected = function in EXPECTED.get(sys.version_info[:2], set())
    assert defects(record, function) == ({"gh-130279"} if affected else set())


def test_ordinary_loops_have_no_defect(record: Record) -> None:
    """No gh-130279 is reported for loops around and within ``with`` and ``try`` whose jumps lie within their blocks."""
    assert defects(record, ordinary) <= ({"gh-148874"} if with_checks_on_entering() else set())
