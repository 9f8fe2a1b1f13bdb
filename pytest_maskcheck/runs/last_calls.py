"""The line of the last call before an instruction, for calls without an event.

CPython calls a profile function neither for calls of types (``epoll()``) nor, up to 3.13, for ``with lock:``. What such a call made
appears between two events; its line is taken to be that of the last call in between that can have run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython.bytecode import calls_without_event, jumps_in
from pytest_maskcheck.interrupts.cpython.positions import line_of

if TYPE_CHECKING:
    from types import CodeType

    from pytest_maskcheck.interrupts.cpython.lines import Lines


def last_call(code: CodeType, first: int, now: int, lines: Lines) -> int:
    """Return the offset of the last call between two instructions that can have run; ``now`` if there is none.

    Parameters:
        code: that of the function.
        first: offset of the instruction at the previous event.
        now: offset of the instruction at this event.
        lines: the lines that ran.
    """
    return max(_between(code, first, now, lines), default=now)


def _between(code: CodeType, first: int, now: int, lines: Lines) -> list[int]:
    """Return the offsets of the calls between two instructions, without those that were jumped over."""
    calls = [at for at in calls_without_event(code) if first < at < now]
    if lines.watches(code):
        begun = line_of(code, first)
        return [at for at in calls if (line := line_of(code, at)) == begun or lines.ran(code, line)]
    # A call that no jump can skip did run; the others may have run.
    jumps = [jump for jump in jumps_in(code) if first < jump[0]]
    return [at for at in calls if not any(jump < at < target for jump, target in jumps)] or calls
