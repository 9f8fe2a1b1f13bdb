"""The base class of recordings in all modes: it watches code in scope, and counts the events.

A subclass provides the callbacks. They run at each event of a recorded run, so they avoid helper functions: each extra call costs a
function entry for every function call of the code under test.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts import arming, places, recording
from pytest_maskcheck.interrupts.cpython import bytecode, codes, facts, frames, positions, probe, tools
from pytest_maskcheck.interrupts.cpython.frames import stack
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.interrupts.places import Trigger
from pytest_maskcheck.interrupts.signals import handlers, states
from pytest_maskcheck.system.unpatched import threading
from pytest_maskcheck.system.wakeup_descriptor import NONE, wakeup_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.cpython.probe import Probe
    from pytest_maskcheck.interrupts.places import InScope
    from pytest_maskcheck.interrupts.signals.states import SignalRecording
    from pytest_maskcheck.interrupts.signals.waits import Awaited

_monitoring = sys.monitoring
_events = _monitoring.events

# Update this when ``Recording.add`` starts to call functions in another file.
OURS = frozenset(
    {
        *(arming.__file__, places.__file__, recording.__file__, handlers.__file__, states.__file__),
        *(bytecode.__file__, codes.__file__, facts.__file__, frames.__file__, positions.__file__, probe.__file__),
        __file__,
    }
)
"""Files of functions that run when CPython handles the probe, or when a recording ends: the code under test did not call them."""


class Recorder:
    """The callbacks of one recording; a phase of the engine.

    Attributes:
        probe: the signal of our own that finds checkpoints.
        codes: code in scope that was entered, by ``id``, and its local events.
        outer: the same for code out of scope that is watched.
    """

    probe: Probe
    local = 0
    """Local events of code in scope."""

    def __init__(self, tool: int, in_scope: InScope, recording: SignalRecording) -> None:
        self.recording = recording
        self.tool = tool
        self.in_scope = in_scope
        self.main = threading.get_ident()  # where gevent has patched, ``main_thread().ident`` is gevent's
        self.codes: dict[int, tuple[CodeType, int]] = {}
        self.outer: dict[int, tuple[CodeType, int]] = {}
        self.everywhere = _events.PY_START | _events.PY_RESUME | _events.PY_THROW
        self._counts: dict[Awaited, int] = {}

    def callbacks(self) -> dict[int, Callable[..., object]]:
        """Return the callback for each event to watch for."""
        raise NotImplementedError

    def heard(self, frame: FrameType) -> None:
        """Record that CPython handled the probe in ``frame``."""

    def start(self, frame: FrameType | None) -> None:
        callbacks = self.callbacks()
        for event in tools.USED:  # the phase that waited for the interrupt may have left callbacks of its own
            _monitoring.register_callback(self.tool, event, callbacks.get(event))
        self.recording.waking = wakeup_descriptor() != NONE
        # If the recording begins in the middle of a run, code on the stack has already fired its PY_START.
        for running in stack(frame):
            self.recording.begins(running.f_code)
            self.enter(running.f_code)
        for running in stack(frame):
            self.is_running(running)
        _monitoring.set_events(self.tool, self.everywhere)

    def is_running(self, frame: FrameType) -> None:
        """Process a frame that is already running when the recording begins."""

    def stop(self) -> None:
        if tools.is_held(self.tool):
            _monitoring.set_events(self.tool, 0)
            for code, _ in (*self.codes.values(), *self.outer.values()):
                _monitoring.set_local_events(self.tool, code, 0)

    def count(self, event: str, code: CodeType, offset: int, callee: CodeType | None = None) -> Trigger:
        """Count an event; return the trigger for this occurrence of it."""
        key = (event, id(code), offset, id(callee))  # ``id``, because equal code objects have events of their own
        self._counts[key] = self._counts.get(key, 0) + 1
        return Trigger(event, code, offset, self._counts[key], callee)

    def is_mine(self, code: CodeType, offset: int) -> bool:
        """Return whether the main thread runs ``code``; if another thread does, record the line that it reached."""
        if threading.get_ident() == self.main:
            return True
        self.recording.other_threads.add((code.co_filename, line_of(code, offset)))
        return False

    def enter(self, code: CodeType) -> bool:
        """Watch ``code`` from its first entry on if it is in scope; return whether it is in scope."""
        if id(code) in self.codes:
            return True
        if not self.in_scope(code.co_filename):
            return False
        events = self.events_in(code)
        self.codes[id(code)] = (code, events)
        _monitoring.set_local_events(self.tool, code, events)
        return True

    def events_in(self, _: CodeType) -> int:
        """Return the local events to watch for in code in scope."""
        return self.local
