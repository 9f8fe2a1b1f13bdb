"""What differs between CPython versions, as named facts. The soundness experiment checks them.

Everything here was measured with real signals (``tests/soundness``); nothing else in the package asks for the version. What a release
may mend is not told by the version but found out.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it
import _thread
import dis
import inspect
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

from pytest_maskcheck.interrupts.cpython.codes import per_code
from pytest_maskcheck.system.untrusted import is_a

if TYPE_CHECKING:
    import signal
    from types import CodeType, FrameType

HAS_MONITORING = sys.version_info >= (3, 12)
"""``sys.monitoring`` exists; before that, instructions can only be watched with ``sys.settrace``."""

STAR_CALL_OF_METHOD_IS_SILENT = sys.version_info[:2] == (3, 12)
"""Calling a bound method through ``*args`` fires no ``CALL`` event, so that only a probe tells it from a function."""

EXTENDED_ARG_HIDES_OPCODE = not HAS_MONITORING
"""``sys.settrace`` shows the ``EXTENDED_ARG`` before an instruction, but not the instruction itself."""

_WARM = 20
"""So many runs specialize every instruction."""

CODE_UNIT = 2
"""Bytes an instruction occupies, without its inline caches."""

_FORMATS = frozenset(
    number for name, number in dis.opmap.items() if name.startswith("FORMAT_") or name == "CONVERT_VALUE"
)
_BACKWARD = frozenset(
    number for name, number in dis.opmap.items() if "JUMP_BACKWARD" in name and not name.endswith("NO_INTERRUPT")
)
_CALLS = frozenset(number for name, number in dis.opmap.items() if name.startswith("CALL") and "INTRINSIC" not in name)
_STAR_CALL = dis.opmap["CALL_FUNCTION_EX"]
_RESUME = dis.opmap["RESUME"]
_PRECALL = dis.opmap.get("PRECALL", -1)
_CALL = dis.opmap["CALL"]
_LOAD_SPECIAL = dis.opmap.get("LOAD_SPECIAL", -1)
_EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]
_BINARY_OP = dis.opmap["BINARY_OP"]
_REMAINDER = frozenset({6, 19})  # % and %=
_CACHE = dis.opmap.get("CACHE", 0)
_COMPARE_OP = dis.opmap["COMPARE_OP"]
_COMPARE_AND_JUMP = frozenset(number for name, number in dis.opmap.items() if name.startswith("POP_JUMP_BACKWARD"))
_ASYNC_WITH_CALLS_METHOD = "BEFORE_ASYNC_WITH" in dis.opmap
_GET_AWAITABLE = dis.opmap["GET_AWAITABLE"]
_OF_EXIT = 2
_SEND = dis.opmap["SEND"]
_ENTER = frozenset({0, 2})  # __enter__, __aenter__
_YIELD_VALUE = dis.opmap["YIELD_VALUE"]
_AWAITING = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
_AFTER_YIELD = 1
_LOCATION = 3


@per_code
def bytecode(code: CodeType) -> bytes:
    """Return the instructions of ``code`` as compiled (``co_code`` builds a new object each time)."""
    return code.co_code


def is_backward_jump(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is a backward jump that checks for signals when it is taken."""
    return bytecode(code)[offset] in _BACKWARD


def target(code: CodeType, jump: int) -> int:
    """Return the offset of the instruction that a jump leads to."""
    return next(int(each.argval) for each in dis.get_instructions(code) if each.offset == jump)


def is_call(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is a call."""
    return bytecode(code)[offset] in _CALLS


def is_star_call(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is a call with ``*args`` or ``**kwargs``."""
    return bytecode(code)[offset] == _STAR_CALL


def makes_text(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction may call ``str`` or ``repr``, which check for signals: in f-strings and for ``%``."""
    instructions = bytecode(code)
    return _makes_text(instructions[offset], instructions[offset + 1])


def _makes_text(operation: int, argument: int) -> bool:
    return operation in _FORMATS or (operation == _BINARY_OP and argument in _REMAINDER)


@per_code
def silent(code: CodeType) -> frozenset[int]:
    """Return the instructions that may check for signals without an event of ``sys.monitoring`` that says so."""
    star_call = _STAR_CALL if STAR_CALL_OF_METHOD_IS_SILENT else -1
    instructions = bytecode(code)
    pairs = zip(instructions[::CODE_UNIT], instructions[1::CODE_UNIT], strict=True)
    return frozenset(
        number * CODE_UNIT
        for number, (operation, argument) in enumerate(pairs)
        if operation == star_call or _makes_text(operation, argument)
    )


def operation(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction that is carried out when ``sys.settrace`` shows the one at ``offset``."""
    instructions = bytecode(code)
    while EXTENDED_ARG_HIDES_OPCODE and instructions[offset] == _EXTENDED_ARG:
        offset += CODE_UNIT
    return offset


def enters_with(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is the call of ``__enter__`` that ``with`` makes."""
    instructions = bytecode(code)
    before = offset - CODE_UNIT
    return instructions[before] == _LOAD_SPECIAL and instructions[before + 1] in _ENTER


def exits_async_with(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is the call of ``__aexit__`` that ``async with`` makes when its block has ended, and checks.

    From 3.14 on it calls the function itself, which is inlined.
    """
    instructions = bytecode(code)
    after = offset + CODE_UNIT
    while _ASYNC_WITH_CALLS_METHOD and after < len(instructions) and instructions[after] == _CACHE:
        after += CODE_UNIT
    if not _ASYNC_WITH_CALLS_METHOD or after >= len(instructions):
        return False
    return instructions[after] == _GET_AWAITABLE and instructions[after + 1] == _OF_EXIT


@per_code
def end_of_await(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction at which the ``await`` that begins after ``offset`` has ended."""
    return next(
        int(each.argval) for each in dis.get_instructions(code) if each.offset > offset and each.opcode == _SEND
    )


class _HandledError(Exception):
    """What the handler of :func:`with_checks_on_entering` raises."""


@cache
def with_checks_on_entering() -> bool:
    """Tell whether ``with`` checks for signals when ``__enter__`` has returned, before ``__exit__`` is due (gh-148874).

    CPython 3.14 calls ``__enter__`` by an ordinary ``CALL``. A fix may come in any release, so this is found out: ``__enter__``, in C,
    leaves a signal of our own pending. Asked for the first time in the main thread, before a recording.
    """
    from pytest_maskcheck.interrupts.cpython.probe import Probe

    def handle(_: FrameType) -> None:
        raise _HandledError

    class Entered:
        __enter__: Any

        def __exit__(self, *_: object) -> None:
            pass

    def enters() -> bool:
        within = False
        try:
            with Entered():
                within = True  # a store is no checkpoint: the next one is the entry of __exit__
        except _HandledError:
            pass
        return within

    with Probe(handle) as probe:
        Entered.__enter__ = staticmethod(partial(_thread.interrupt_main, cast("signal.Signals", int(probe.trip))))
        return not all(enters() for _ in range(_WARM))


def checks_on_return(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction checks for signals when what it called returns.

    ``LOAD_SUPER_ATTR`` does not: it fires the events of a call of ``super`` that it spares.
    """
    return is_call(code, offset) and (not enters_with(code, offset) or with_checks_on_entering())


def checks_on_resume(code: CodeType, offset: int) -> bool:
    """Tell whether a frame that begins or goes on at ``offset`` checks for signals there.

    It does at a ``RESUME`` at entry and after ``yield``; not after ``await``, and not where ``throw`` or ``close`` enter.
    """
    instructions = bytecode(code)
    return instructions[offset] == _RESUME and instructions[offset + 1] & _LOCATION <= _AFTER_YIELD


def is_entry(code: CodeType, offset: int) -> bool:
    """Tell whether this ``RESUME`` is the one at function entry."""
    return bytecode(code)[offset + 1] & _LOCATION == 0


def suspends(code: CodeType, offset: int) -> bool:
    """Tell whether a coroutine or asynchronous generator that leaves its frame at ``offset`` is suspended there."""
    return bool(code.co_flags & _AWAITING) and bytecode(code)[offset] == _YIELD_VALUE


def loses_interrupts(function: object) -> bool:
    """Tell whether a failing call of ``function`` drops what a signal handler raised in it.

    ``int("x")`` formats its message twice, which checks for signals, and keeps only the second error.
    """
    return is_a(function, type) and issubclass(cast("type", function), int)


def handles_signals_late(function: object) -> bool:
    """Tell whether ``function`` blocks signals and then runs the handlers of what arrived before it did (``pthread_sigmask``)."""
    return function is getattr(_signal, "pthread_sigmask", _signal)


def landing(code: CodeType, offset: int) -> int:
    """Return the offset of the place for a signal that landed at ``offset``.

    3.11 fuses instructions when warm: a call with its preparation (``PRECALL``), a comparison with the jump that
    it decides. Then a signal lands on the first of the two.
    """
    instructions = bytecode(code)
    if not 0 <= offset < len(instructions):
        return offset
    if instructions[offset] == _PRECALL:
        while instructions[offset] != _CALL:
            offset += CODE_UNIT
    elif instructions[offset] == _COMPARE_OP:
        following = offset + CODE_UNIT
        while instructions[following] in {_CACHE, _EXTENDED_ARG}:
            following += CODE_UNIT
        if instructions[following] in _COMPARE_AND_JUMP:
            return following
    return offset


def calling(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction at which a frame stands that has called something.

    Of an inlined call ``f_lasti`` may be that of one of its inline caches, or, on 3.11, of the preparation of the call.
    """
    instructions = bytecode(code)
    while offset > 0 and instructions[offset] == _CACHE:
        offset -= CODE_UNIT
    return landing(code, offset)


@per_code
def resume_of(code: CodeType) -> int:
    """Return the offset of the ``RESUME`` at function entry."""
    instructions = bytecode(code)
    return next(at for at in range(0, len(instructions), CODE_UNIT) if instructions[at] == _RESUME)


def starts_on_its_line(code: CodeType, resume: int) -> bool:
    """Tell whether the first statement is on the line of the ``def``: ``RESUME`` and its successor share it."""
    lines = [line for start, _, line in code.co_lines() if start >= resume and line is not None]
    following = resume + CODE_UNIT
    while bytecode(code)[following] == _CACHE:  # RESUME has one from 3.15 on
        following += CODE_UNIT
    covered = any(start <= following < end and [line] == lines[:1] for start, end, line in code.co_lines())
    return code.co_name != "<module>" and covered
