"""The line of the last call before an instruction, for calls of which CPython raises no event.

A profile function is not called for calls of types (``epoll()``), nor, up to 3.13, for ``with lock:``. What is new after them came to be
between two events; their line is that of the last call in between that can have run.
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
        code: of the function.
        first: the instruction at the event before.
        now: the instruction at this one.
        lines: the lines that ran.
    """
    return max(_between(code, first, now, lines), default=now)


def _between(code: CodeType, first: int, now: int, lines: Lines) -> list[int]:
    """Return the calls between two instructions, without those that were jumped over."""
    calls = [at for at in calls_without_event(code) if first < at < now]
    if lines.watches(code):
        begun = line_of(code, first)
        return [at for at in calls if (line := line_of(code, at)) == begun or lines.ran(code, line)]
    # Calls that no jump leads past did run; the others may have.
    jumps = [jump for jump in jumps_in(code) if first < jump[0]]
    return [at for at in calls if not any(jump < at < target for jump, target in jumps)] or calls
