"""A recording that also contains the handlers in force and the signal mask at each hit: they decide what becomes of signals there.

The signal mask and the wakeup descriptor are read only once code has run that can change them, as far as the names it uses show. Handlers
are read at each hit, since that is cheap (see :mod:`.handlers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython.bytecode import offsets_naming
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.interrupts.recording import Recording
from pytest_maskcheck.interrupts.signals import handlers
from pytest_maskcheck.interrupts.signals.handlers import change_mask, handler_of, likeness
from pytest_maskcheck.system.bytecode import per_code
from pytest_maskcheck.system.unpatched import signal

if TYPE_CHECKING:
    from types import CodeType

_SETS_WAKEUP = "set_wakeup_fd"
_SETS_MASK = "pthread_sigmask"


@dataclass(slots=True, repr=False)
class SignalRecording(Recording):
    """A recording with the state of some signals at each hit."""

    signums: tuple[int, ...] = ()
    """Signals whose handler and mask are recorded at each hit."""
    masking: bool = False
    """Code that can change the signal mask has run, so the mask is read at each hit from then on. Each read takes 0.2 to 1.7 us."""
    waking: bool = False
    """There may be a wakeup descriptor: one was set at the beginning, or code that can set one has run. Only then is it read
    before a probe, because reading it removes it for an instant."""

    def begins(self, code: CodeType) -> None:
        # Repeats the base method instead of calling ``super``: this runs at each function call of a recorded run.
        self.running = 0
        self.files.add(code.co_filename)
        if not self.masking and _SETS_MASK in code.co_names:
            self.masking = True
        if not self.waking and names_wakeup(code):
            self.waking = True

    def state(self) -> tuple[object, ...]:
        state: tuple[object, ...] = ()
        for signum in self.signums:
            handler = handler_of(signum)
            if handler is not handlers.USUAL:
                state += ((signum, likeness(handler)),)
        if self.masking and change_mask is not None:
            state += tuple(sorted(change_mask(signal.SIG_BLOCK, ()).intersection(self.signums)))
        return state


@per_code
def wakeup_lines(code: CodeType) -> frozenset[int]:
    """Return the lines of ``code`` that name ``set_wakeup_fd``."""
    if not names_wakeup(code):
        return frozenset()
    return frozenset(line_of(code, offset) for offset in offsets_naming(code, _SETS_WAKEUP))


def names_wakeup(code: CodeType) -> bool:
    """Return whether ``code`` may set the wakeup descriptor."""
    return _SETS_WAKEUP in code.co_names
