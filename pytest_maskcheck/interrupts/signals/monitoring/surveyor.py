"""Notes which instructions a run reaches where an interrupt may arrive, and from where, at little more than the run's own time.

A recording counts each hit, and finds out whether CPython checks for signals there. Neither is needed to choose, among the tests of a
suite, those that reach most: here an instruction that can check counts as one that does, and its event is switched off after a few
sightings. So contexts that appear late are missed, and some of the instructions are no places.
"""

from __future__ import annotations

import sys
from types import MethodType
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts, tools
from pytest_maskcheck.interrupts.cpython.codes import number_of
from pytest_maskcheck.interrupts.cpython.entering import checks_on_return, with_checks_on_entering
from pytest_maskcheck.interrupts.cpython.frames import caller_frame
from pytest_maskcheck.interrupts.places import Site, context_of
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope

_monitoring = sys.monitoring
_events = _monitoring.events

_IN_SCOPE, _OUTSIDE = 20, 100
"""Sightings of an instruction after which its event is switched off. Code out of scope is called from more places."""


class Surveyor:
    """Watches a run; see the head of this module.

    Parameters:
        tool: the ``sys.monitoring`` tool.
        in_scope: whether the code of a file is watched.
        sites: takes the instructions, each once in a calling context.
    """

    def __init__(self, tool: int, in_scope: InScope, sites: list[Site]) -> None:
        with_checks_on_entering()  # cache the answer now: the first call must not happen in a callback
        self._tool = tool
        self._in_scope = in_scope
        self._sites = sites
        self._known: set[object] = set()
        self._main = threading.get_ident()
        self._codes: dict[int, CodeType] = {}
        self._counts: dict[tuple[int, int], int] = {}

    def start(self) -> None:
        """Begin to watch; events that an earlier survey of this process switched off are switched on again."""
        callbacks: dict[int, Callable[..., object]] = {
            _events.PY_START: self._start,
            _events.PY_RESUME: self._start,
            _events.CALL: self._call,
            _events.C_RETURN: self._c_return,
            _events.INSTRUCTION: self._instruction,
            _events.JUMP: self._jump,
        }
        for event, callback in callbacks.items():
            _monitoring.register_callback(self._tool, event, callback)
        _monitoring.restart_events()
        _monitoring.set_events(self._tool, _events.PY_START | _events.PY_RESUME)

    def stop(self) -> None:
        """End watching."""
        if tools.is_held(self._tool):
            _monitoring.set_events(self._tool, 0)
            for code in self._codes.values():
                _monitoring.set_local_events(self._tool, code, 0)

    def _start(self, code: CodeType, offset: int) -> object:
        if self._in_scope(code.co_filename):
            if id(code) not in self._codes:
                self._codes[id(code)] = code
                more = _events.INSTRUCTION if facts.silent(code) else 0
                _monitoring.set_local_events(self._tool, code, _events.CALL | _events.JUMP | more)
            return self._take(caller_frame(), code, offset, (code, offset), _IN_SCOPE)
        caller = caller_frame().f_back
        if caller is None or is_ours(code.co_filename) or not self._in_scope(caller.f_code.co_filename):
            return self._enough((code, offset), _OUTSIDE)
        # The stretch of code out of scope belongs to the instruction that called it.
        at = facts.calling(caller.f_code, caller.f_lasti)
        return self._take(caller, caller.f_code, at, (code, offset), _OUTSIDE)

    def _call(self, code: CodeType, offset: int, function: object, _: object) -> object:
        if type(function) is MethodType and facts.is_star_call(code, offset):  # the return of the method may be a place
            return self._take(caller_frame(), code, offset, (code, offset), _IN_SCOPE)
        # A call that raises is no place, so it is noted as it returns. C_RETURN cannot be switched off by itself.
        return self._enough((code, offset), _IN_SCOPE)

    def _c_return(self, code: CodeType, offset: int, _: object, __: object) -> None:
        if checks_on_return(code, offset):
            self._note(caller_frame(), code, offset)

    def _instruction(self, code: CodeType, offset: int) -> object:
        if offset not in facts.silent(code):
            return _monitoring.DISABLE
        return self._take(caller_frame(), code, offset, (code, offset), _IN_SCOPE)

    def _jump(self, code: CodeType, offset: int, destination: int) -> object:
        if destination > offset or not facts.is_backward_jump(code, offset):
            return _monitoring.DISABLE
        return self._take(caller_frame(), code, offset, (code, offset), _IN_SCOPE)

    def _take(self, frame: FrameType, code: CodeType, offset: int, event: tuple[CodeType, int], limit: int) -> object:
        """Note an instruction of ``frame``, and count the event that led here."""
        self._note(frame, code, offset)
        return self._enough(event, limit)

    def _note(self, frame: FrameType, code: CodeType, offset: int) -> None:
        if threading.get_ident() != self._main:
            return
        site = Site(code, offset, context_of(frame, self._in_scope))
        key = (number_of(code), offset, site.near)
        if key not in self._known:
            self._known.add(key)
            self._sites.append(site)

    def _enough(self, event: tuple[CodeType, int], limit: int) -> object:
        """Switch an event off when it has come often enough."""
        key = (id(event[0]), event[1])
        self._counts[key] = self._counts.get(key, 0) + 1
        return _monitoring.DISABLE if self._counts[key] >= limit else None
