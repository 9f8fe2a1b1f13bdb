"""A survey notes the lines where a recording finds places, and little else."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Self

import pytest

from pytest_maskcheck.interrupts import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_maskcheck.interrupts import Mode


class Held:
    """A context manager in Python."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        len("x")


def inner(*names: str) -> str:
    text = f"{names}"
    return text.upper()


def numbers() -> Iterator[int]:
    yield 1
    yield 2


def body() -> None:
    with Held():
        inner("a", "b")
    lock = threading.Lock()
    with lock:
        str(1)
    for number in numbers():
        str(number)
    values = OrderedDict(a=1)
    try:
        values.move_to_end("b")
    except KeyError:
        values.clear()
    sorted([3, 1, 2], key=lambda each: -each)
    arguments = ("a",)
    Held().__exit__(*arguments)
    while len(arguments) < 3:
        arguments += ("b",)
    gc.isenabled()


def hot() -> None:
    for number in range(100_000):
        len("x") + number


is_here = frozenset({__file__}).__contains__

MODES = ("checkpoint", "line")


@pytest.mark.parametrize("mode", MODES)
def test_a_survey_notes_the_lines_of_a_recording(mode: Mode):
    """All lines that a recording has hits on are noted, and at most one more: a line that can check for signals but does not."""
    mechanism, _ = choose()
    with mechanism.engine.record(is_here, mode, (2,), outside=True) as recording:
        body()
    recording.settle()
    with mechanism.engine.survey(is_here, mode) as sites:
        body()
    recorded = {(hit.code.co_qualname, hit.line) for hit in recording.hits}
    surveyed = {(site.code.co_qualname, site.line) for site in sites}
    assert recorded <= surveyed
    assert len(surveyed - recorded) <= 1


def test_a_call_that_raises_is_not_noted() -> None:
    """CPython does not check for signals after a call that raised."""
    mechanism, _ = choose()

    def raising() -> None:
        try:
            OrderedDict().move_to_end("b")
        except KeyError:
            len("x")

    with mechanism.engine.survey(is_here, "checkpoint") as sites:
        raising()
    first = raising.__code__.co_firstlineno
    offsets = [site.line - first for site in sites if site.code is raising.__code__]
    assert offsets.count(4) == 1  # len("x")
    assert offsets.count(2) <= 1  # OrderedDict(), not move_to_end()


@pytest.mark.parametrize("work", [body, hot])
def test_each_instruction_is_noted_once_in_a_context(work: Callable[[], None]):
    """However often a loop turns, its instructions are noted once, in the second survey as in the first."""
    mechanism, _ = choose()
    noted = []
    for _ in range(2):
        with mechanism.engine.survey(is_here, "checkpoint") as sites:
            work()
        keys = [(site.code.co_qualname, site.offset, site.near) for site in sites]
        assert len(keys) == len(set(keys))
        noted.append(set(keys))
    assert noted[0] == noted[1]
