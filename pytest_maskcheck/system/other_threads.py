"""Wait for what other threads are about to do, such as to release a lock that they hold for a moment.

Rules:

1. A thread that waits for something neither moves nor runs, so waiting for it would be in vain. The position of its innermost
   frame shows whether it moves, the system whether it runs, as a busy machine may keep a thread from running for long.
2. The first few looks happen whatever threads do: a thread that has just got the interpreter moves within a millisecond.
3. The wait has a limit: a thread in a busy loop moves for ever.

What does not work: where the system does not show which threads run (all but Linux), a thread that gets no processor within the
first looks counts as one that waits.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import TYPE_CHECKING

from pytest_maskcheck.system.proc import RUNNING, run_state
from pytest_maskcheck.system.unpatched import os, sys_functions, threading, time

if TYPE_CHECKING:
    from types import FrameType

_PAUSES = (0.0005, 0.001, 0.002, 0.004)
"""Seconds between the first looks. Between further ones:"""

_PAUSE = 0.005
_SECONDS = 0.5
_TASKS = "/proc/self/task"

_count: Callable[[], int] = _thread._count  # noqa: SLF001

_Places = dict[int, tuple[int, int]]


def has_other_threads() -> bool:
    """Return whether this process has, or may have, threads besides the calling one, Python's or others."""
    try:
        return len(os.listdir(_TASKS)) > 1
    except OSError:
        return True


def while_others_move() -> Iterator[None]:
    """Sleep and yield, for another look, as long as another thread may be about to do something; without other threads, never."""
    if not _count():
        return
    until = time.perf_counter() + _SECONDS
    least = len(_PAUSES)
    before = _places()
    for number, pause in enumerate(chain(_PAUSES, repeat(_PAUSE)), 1):
        time.sleep(pause)
        yield
        now = _places()
        # The first looks come unconditionally; see rule 2.
        if number >= least and not (now != before or _any_runs()):
            return
        if time.perf_counter() > until:
            return
        before = now


def _places() -> _Places:
    """Return the position of each other thread."""
    return {ident: (id(frame.f_code), frame.f_lasti) for ident, frame in other_frames().items()}


def other_frames() -> dict[int, FrameType]:
    """Return the innermost frame of each other thread, by identifier.

    That of the caller is left out: a frame that a variable of its own refers to outlives its call, and so would the frames of threads
    that have gone on, with their locks.
    """
    frames = sys_functions._current_frames()  # noqa: SLF001
    frames.pop(threading.get_ident(), None)
    return frames


def _any_runs() -> bool:
    """Return whether the system runs, or is about to run, another thread of this process."""
    own = threading.get_native_id()
    try:
        tasks = [name for name in os.listdir(_TASKS) if int(name) != own]
    except OSError:
        return False
    return any(run_state(f"{_TASKS}/{name}/stat") in RUNNING for name in tasks)
