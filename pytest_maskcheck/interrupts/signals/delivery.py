"""How a signal is sent from inside a trace or monitoring callback.

Rules:

1. The handler and the signal mask in force decide. The handler is neither replaced nor wrapped: code that checks
   whether ``signal.default_int_handler`` is installed must find it.
2. Where CPython would check for signals between the callback and the next instruction, the signal is left
   *pending* and CPython delivers it itself (:class:`~.probe.Trip`). Where the check has already happened (function entry) or
   depends on the state of warm-up (calls), the callback calls the handler, as CPython would have done.
3. A signal that the main thread blocks is sent for real: the kernel decides which thread receives it, and when.
4. If the moment of landing matters, or the exception that a user's handler raised, a *stand-in* is left pending: a signal
   of our own (``probe.py``). CPython runs the stand-in's handler at the same place, and that calls the handler in force.
5. A signal that has its default action is not sent: it would end the process, and the audit with it.
6. An armed timer that sends the signal is left in the state it has after it expires (:mod:`.expiry`).

When a signal is left pending, no checkpoint may run between the trip and the end of the callback. So the trip is
an attribute of an ``int``, and reading it is the callback's last act: ``return trip.now``. Other callbacks would be
checkpoints too, so the engine switches its events off first.

What does not work: while C code writes arriving signals to a descriptor (``signal.set_wakeup_fd``), a stand-in would be written
there too. In that case the signal itself is left pending, and neither its landing nor the handler's exception is seen.
Whether there is a wakeup descriptor is read once per strike (``system/wakeup_descriptor.py``).
"""

from __future__ import annotations

from sys import call_tracing
from types import CodeType
from typing import TYPE_CHECKING, cast

from pytest_maskcheck.interrupts.cpython.probe import Probe, Trip
from pytest_maskcheck.interrupts.places import site_of
from pytest_maskcheck.interrupts.signals.expiry import expire, expires
from pytest_maskcheck.interrupts.signals.handlers import called_by, change_mask, handler_of
from pytest_maskcheck.interrupts.strike import Strike
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system import signals
from pytest_maskcheck.system.unpatched import os, signal
from pytest_maskcheck.system.untrusted import dict_of, has, is_a, name_of, read
from pytest_maskcheck.system.wakeup_descriptor import NONE, wakeup_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pytest_maskcheck.interrupts.places import InScope, Mode, Trigger

    _Call = Callable[[Callable[..., object], tuple[object, ...]], object]


class Kill(int):
    """A signal number; reading ``kill.now`` sends the signal to the process, as another process would."""

    @property
    def now(self) -> None:
        """Send the signal."""
        os.kill(os.getpid(), self)


class Unsent(int):
    """A signal number; reading ``unsent.now`` does nothing."""

    now = None


Pending = Trip | Kill | Unsent
"""An object whose ``now`` a callback reads and returns as its last act."""


class Delivery:
    """One signal to deliver, and what becomes of it.

    Parameters:
        signum: the signal.
        struck: called just before the signal is sent.
        begin: called with the interrupted frame when the signal has landed, just before the handler runs.
        strike: filled in with what becomes of the signal.
    """

    def __init__(
        self,
        signum: int,
        struck: Callable[[], None],
        begin: Callable[[FrameType], object] | None = None,
        strike: Strike | None = None,
    ) -> None:
        self.strike = strike or Strike()
        self.strike.signum = signum
        self._struck = struck
        self.begin = begin
        self._stand_in: Probe | None = None
        self.held: Callable[[FrameType | None], object] | None = None
        """Called with the interrupted frame, in place of ``begin``, if the signal is blocked: its landing cannot be seen then."""

    def lands_at_once(self) -> bool:
        """Return whether a signal sent now would go to a handler, and would neither wait nor be lost."""
        return callable(handler_of(self.strike.signum)) and not self._is_masked()

    def fires(self, frame: FrameType, in_scope: InScope) -> None:
        """Record that the place was reached; the signal is sent next."""
        self.strike.fires(frame, in_scope)
        self._struck()

    def by_force(self, frame: FrameType) -> None:
        """Raise ``KeyboardInterrupt`` regardless of the handler; for signals other than SIGINT, run the handler in force."""
        if self.strike.signum != signal.SIGINT:
            self.at_once(frame)
            return
        self._land(frame)
        self.strike.raised = True
        raise KeyboardInterrupt

    def at_once(self, frame: FrameType, *, before: bool = False) -> None:
        """Deliver the signal to ``frame`` now: run the handler in force, or send the signal if it is blocked.

        An exception that the handler raises propagates.

        Parameters:
            frame: the interrupted frame.
            before: the signal arrived before it was blocked.
        """
        handler = self._look()
        if _is(handler, signal.SIG_DFL):  # not sent, see rule 5
            self.strike.raised = False
        elif not before and self._blocked():
            self._hold(frame)
            expire(self.strike.signum)
            # Sent to the process, as a sender would: another thread that does not block it may receive it.
            os.kill(os.getpid(), self.strike.signum)
        else:
            # Within a callback, only code that call_tracing runs is watched.
            self._run(frame, _call if self.begin is None else call_tracing)

    def _hold(self, frame: FrameType) -> None:
        if self.held is not None:
            self.held(frame)

    def pending(self, frame: FrameType, home: FrameType | None = None) -> Pending:
        """Return the object whose ``now``, read as a callback's last act, leaves the signal pending or sends it for real.

        Parameters:
            frame: where the event came.
            home: the frame where the signal is to arrive, rather than in finalizers that run when ``frame`` ends.
        """
        strike = self.strike
        handler = self._look()
        if _is(handler, signal.SIG_DFL):
            strike.raised = False
            return Unsent(strike.signum)
        if self._blocked():
            self._hold(frame)
            expire(strike.signum)
            return Kill(strike.signum)
        own = handler is signal.default_int_handler
        if own:
            strike.raised = True
        elif _is(handler, signal.SIG_IGN):
            strike.raised = False
        # Python has no handler to run: the action is SIG_IGN, or a handler in C that Python did not install.
        strike.sent = not callable(handler)
        if strike.sent:
            expire(strike.signum)
            return Kill(strike.signum)
        if wakeup_descriptor() != NONE:  # CPython would write the number of the stand-in there
            expire(strike.signum)
            return Trip(strike.signum)
        # The plainest way, for most strikes: nothing has to happen at the landing, so no stand-in is needed.
        if own and self.begin is None and home is None and not expires(strike.signum):
            return Trip(strike.signum)
        self._stand_in = Probe(self._run, {strike.signum})
        self._stand_in.home = id(home) if home is not None else 0
        self._stand_in.__enter__()  # not in a ``with`` statement: it stays installed until ``close``
        return self._stand_in.trip

    def close(self) -> None:
        """Take back a signal that has not arrived: it must not reach fixtures or the harness."""
        if self._stand_in is not None:
            self._stand_in.__exit__(None, None, None)
        strike = self.strike
        # ``sigwait`` takes the signal back from the kernel, so that unmasking it later delivers nothing.
        if strike.held and strike.signum in signal.sigpending():
            signal.sigwait({strike.signum})
            strike.withdrawn = True

    def _look(self) -> object:
        """Record the handler in force, and return it."""
        handler = handler_of(self.strike.signum)
        self.strike.handler = _name(handler)
        self.strike.handler_code = _code(handler)
        self.strike.undelivered = _why_undelivered(handler, self.strike.signum)
        return handler

    def _blocked(self) -> bool:
        blocked = self._is_masked()
        if blocked:
            self.strike.held = "signal mask"
            self.strike.sent = True
        return blocked

    def _is_masked(self) -> bool:
        return change_mask is not None and self.strike.signum in change_mask(signal.SIG_BLOCK, ())

    def _land(self, frame: FrameType) -> None:
        self.strike.landed = True
        if self.begin is not None:
            self.begin(frame)

    def _run(self, frame: FrameType, call: _Call | None = None) -> None:
        """Run the handler in force in ``frame``."""
        call = call or _call
        strike = self.strike
        handler = handler_of(strike.signum)  # read again: it may have been replaced while the signal was pending
        strike.sent = not callable(handler) or wakeup_descriptor() != NONE
        strike.raised = True
        expire(strike.signum)
        self._land(frame)
        try:
            if callable(handler) and not strike.sent:
                call(handler, (strike.signum, frame))
            else:
                call(os.kill, (os.getpid(), strike.signum))  # runs the handler before it returns
        except BaseException as error:
            strike.error = type(error)
            raise
        strike.raised = False


def deliver(
    delivery: Delivery, trigger: Trigger, frame: FrameType, in_scope: InScope, mode: Mode, *, late: bool
) -> Pending | None:
    """Send the signal from a ``sys.monitoring`` callback, or return what that callback is to leave pending as its last act.

    Parameters:
        delivery: the signal.
        trigger: the event.
        frame: where the event came.
        in_scope: which calling frames make up a context.
        mode: where interrupts go.
        late: the signal arrived before the called function blocked it.
    """
    place: FrameType | None = frame
    if trigger.leaves:
        place = site_of(frame.f_back, in_scope)
    elif trigger.since is not None:
        place = site_of(frame, in_scope)
    elif trigger.callee is not None:
        place = frame.f_back
    delivery.fires(place or frame, in_scope)
    if mode == "raise":
        delivery.by_force(frame)
        return None
    if mode == "checkpoint" and trigger.event in {"PY_START", "PY_RESUME", "C_RETURN"}:
        delivery.at_once(frame, before=late)
        return None
    returns = trigger.event == "PY_RETURN" and trigger.callee is not None and trigger.since is None
    return delivery.pending(frame, place if returns else None)


def _call(function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    return function(*arguments)


def _is(handler: object, unused: int) -> bool:
    """Return whether a handler is the constant ``unused`` (``SIG_DFL`` or ``SIG_IGN``), without running code of a user's object."""
    return is_a(handler, int) and handler == unused


def _name(handler: object) -> str:
    if handler is signal.default_int_handler:
        return ""
    if handler is None or is_a(handler, int):
        return {None: "a handler installed from C", 0: "SIG_DFL", 1: "SIG_IGN"}[cast("int | None", handler)]
    name = read(handler, "__qualname__")
    return name if type(name) is str else name_of(type(handler))


def _why_undelivered(handler: object, signum: int) -> Reason | None:
    """Return why a signal has no effect under the handler in force, or ``None``."""
    if _is(handler, signal.SIG_IGN):
        return Reason(NotAudited.SIGNAL_IGNORED, signal=signals.name(signum))
    if _is(handler, signal.SIG_DFL):
        return Reason(NotAudited.SIGNAL_DEFAULT, signal=signals.name(signum), action=signals.default_action(signum))
    return None


def _code(handler: object) -> CodeType | None:
    """Return the code of the Python function that a handler is or calls, or ``None`` if there is none."""
    handler = called_by(handler)
    function = handler if has(handler, "__code__") else dict_of(type(handler)).get("__call__")
    code = read(function, "__code__")
    return code if type(code) is CodeType else None
