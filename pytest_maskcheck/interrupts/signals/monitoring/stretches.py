"""Follows a run through stretches of code out of scope (:mod:`..excursions`) with the events of ``sys.monitoring``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.frames import caller_frame, stack
from pytest_maskcheck.interrupts.places import OUTERMOST
from pytest_maskcheck.interrupts.signals.excursions import Excursions
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.signals.monitoring.recorder import Recorder

_monitoring = sys.monitoring
_events = _monitoring.events

GOES = _events.PY_RETURN | _events.PY_YIELD
"""Events of a frame that ends or is suspended other than by an exception."""

_FINE = _events.CALL | _events.JUMP
"""Events that show checkpoints out of scope other than function entries."""


class Stretches:
    """The part of a recording that follows stretches.

    Parameters:
        recorder: the recorder whose watched code and counts are shared.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._excursions = Excursions(recorder.recording, recorder.in_scope)

    def begins(
        self, event: str, code: CodeType, offset: int, frame: FrameType, *, in_scope: bool, checks: bool
    ) -> None:
        """Record that a function begins or resumes on the main thread; ``checks``: this is a checkpoint."""
        if is_ours(code.co_filename):  # such as ``maskcheck.paused()``, which the test calls
            return
        excursions = self._excursions
        if in_scope:
            excursions.ends()
            return
        caller = frame.f_back
        if caller is not None and id(caller.f_code) in self._recorder.codes:
            at = facts.calling(caller.f_code, caller.f_lasti)
            # Counted as an event of the caller, since the stretch belongs to the caller's instruction.
            excursions.calls(caller, frame, self._recorder.count(event, caller.f_code, at, code), checks=checks)
            self._watch(code, GOES | (_FINE if excursions.finely else 0))
        elif excursions.follows:
            if excursions.finely:
                self._watch(code, _FINE)
            if checks:
                excursions.passes(event, code, offset)

    def _watch(self, code: CodeType, events: int) -> None:
        """Watch for further events of code out of scope, in addition to those already watched for."""
        outer = self._recorder.outer
        _, known = outer.get(id(code), (code, 0))
        if known | events != known:
            outer[id(code)] = (code, known | events)
            _monitoring.set_local_events(self._recorder.tool, code, known | events)

    def goes(self, event: str, code: CodeType, offset: int, frame: FrameType) -> None:
        """Record that a frame ends or is suspended."""
        if threading.get_ident() != self._recorder.main:
            return
        excursions, codes = self._excursions, self._recorder.codes
        if id(code) not in codes:  # a frame out of scope: it matters if code in scope had called it
            excursions.left(frame)
            return
        caller = frame.f_back
        if caller is None or id(caller.f_code) in codes:
            return
        if excursions.leaves(frame, offset, self._recorder.count(event, code, offset)):
            # Code out of scope that is on the stack resumes now. It began before the stretch, so it is not watched yet.
            for running in stack(caller):
                if id(running.f_code) in codes or id(running.f_code) in OUTERMOST:
                    break
                self._watch(running.f_code, _FINE)

    def yields(self, code: CodeType, offset: int, _: object) -> None:
        """Handle a ``PY_YIELD`` event."""
        self.goes("PY_YIELD", code, offset, caller_frame())

    def unwinds(self, code: CodeType, offset: int, _: object) -> None:
        """Handle a ``PY_UNWIND`` event."""
        self.goes("PY_UNWIND", code, offset, caller_frame())

    def passes(self, event: str, code: CodeType, offset: int, *, checks: bool) -> None:
        """Record a checkpoint out of scope, if ``checks`` holds and it is on the main thread."""
        if checks and threading.get_ident() == self._recorder.main:
            self._excursions.passes(event, code, offset)
