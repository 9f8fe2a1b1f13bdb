"""Tests of stretches of code out of scope: engines find their first and last checkpoints, and strike there."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import re
import signal
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from pytest_maskcheck.interrupts import Engine, Hit
from pytest_maskcheck.system.own_code import is_ours

pytestmark = [  # interrupted event loops leave these warnings; they are no defects of the suite
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NUMBERS = [3, 1, 2]


def calls_a_function():
    statistics.median(NUMBERS)


def calls_none():
    sorted(NUMBERS)


def is_called_back():
    re.sub(r"\d", lambda match: str(int(match[0]) + 1), "1a2")


@contextlib.contextmanager
def managed():
    len("before")
    yield
    len("after")


def manages():
    with managed():
        len("body")


def generates_code():
    pair = collections.namedtuple("pair", "left right")  # noqa: PYI024  (its methods are compiled anew each time)
    pair(1, 2)._asdict()


async def waits():
    await asyncio.sleep(0)


def runs_a_loop():
    asyncio.run(waits())


def raises_through():
    with contextlib.suppress(ZeroDivisionError):
        list(map(lambda number: 1 // number, statistics.multimode([0])))  # noqa: C417  (a callback that raises)


BODIES: list[Callable[[], object]] = [
    calls_a_function,
    is_called_back,
    manages,
    generates_code,
    runs_a_loop,
    raises_through,
]


def recorded(engine: Engine, body: Callable[[], object], *, outside: bool = True) -> list[Hit]:
    body()  # warm
    with engine.record(__file__.__eq__, "checkpoint", outside=outside) as recording:
        body()
    return recording.hits


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_an_interrupt_comes_out_of_code_that_the_line_called(engine: Engine, body: Callable[[], object]) -> None:
    """An interrupt in a stretch surfaces in code out of scope that the line of the hit called."""
    hits = [hit for hit in recorded(engine, body) if hit.kind in {"into", "back"}]
    assert {hit.kind for hit in hits} == {"into", "back"}
    for hit in hits:
        with engine.strike(hit.trigger, __file__.__eq__, "checkpoint", signal.SIGINT, lambda: None) as strike:
            try:
                body()
            except KeyboardInterrupt as interrupt:
                lines = _lines(interrupt)
                assert lines[-1][0] != __file__, "it surfaced in scope"
                assert strike.handler or (__file__, hit.line) in lines  # asyncio's own handler cancels the task
        assert strike.fired, (hit.kind, hit.line, hit.trigger.event)
    gc.collect()  # collect coroutines that were never awaited while their warnings are still filtered


def _lines(error: BaseException) -> list[tuple[str, int | None]]:
    lines = []
    trace = error.__traceback__
    while trace is not None:
        lines.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return lines


def test_c_code_is_no_stretch(engine: Engine) -> None:
    """A call of a builtin that runs no Python code is not a stretch: the point after its call is enough."""
    assert not [hit for hit in recorded(engine, calls_none) if hit.kind in {"into", "back"}]


def test_stretches_are_recorded_where_they_are_wanted(engine: Engine) -> None:
    """Without ``outside``, a recording contains no places of stretches."""
    assert not [hit for hit in recorded(engine, is_called_back, outside=False) if hit.kind in {"into", "back"}]


def test_what_a_callback_comes_back_to_is_another_stretch(engine: Engine) -> None:
    """The code out of scope that a callback returns to is a stretch of its own, with points after the callback's."""
    kinds = [hit.kind for hit in recorded(engine, is_called_back)]
    assert kinds.index("into") < kinds.index("back") < kinds.index("call")
    assert kinds[-1] in {"into", "back"}


def test_an_await_has_points_while_it_waits(engine: Engine) -> None:
    """Code of the event loop that runs while a coroutine is suspended is a stretch of the coroutine's ``await``."""
    (line,) = {hit.line for hit in recorded(engine, runs_a_loop) if hit.is_suspended}
    assert line == waits.__code__.co_firstlineno + 1


def test_code_of_the_audit_is_no_stretch() -> None:
    """The code of the fixture ``maskcheck`` counts as the audit's own; the masks and the standard library do not."""
    import pytest_maskcheck.masking
    import pytest_maskcheck.session.fixture

    assert is_ours(pytest_maskcheck.session.fixture.__file__)
    assert not is_ours(pytest_maskcheck.masking.__file__)
    assert not is_ours(statistics.__file__)


def test_the_strike_waits_for_the_stretch_that_is_meant(engine: Engine) -> None:
    """A strike in a stretch arrives below the line of its hit, even if another line calls the same function out of scope."""

    def body() -> Any:
        statistics.median(NUMBERS)
        return statistics.median(NUMBERS[:1])

    backs = [hit for hit in recorded(engine, body) if hit.kind == "back"]
    for hit in backs:
        with (
            engine.strike(hit.trigger, __file__.__eq__, "checkpoint", signal.SIGINT, lambda: None),
            pytest.raises(KeyboardInterrupt) as caught,
        ):
            body()
        assert (__file__, hit.line) in _lines(caught.value)
    assert len({hit.line for hit in backs}) == 2
