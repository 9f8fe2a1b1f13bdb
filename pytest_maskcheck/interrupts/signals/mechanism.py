"""The mechanism ``signal``: interrupts that arrive as signals, through their handlers, in the main thread."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.entering import with_checks_on_entering
from pytest_maskcheck.interrupts.cpython.frames import walk
from pytest_maskcheck.interrupts.cpython.unavailable import EngineUnavailableError
from pytest_maskcheck.interrupts.mechanism import Victim
from pytest_maskcheck.interrupts.signals import delivery, expiry
from pytest_maskcheck.interrupts.signals.delivery import Delivery
from pytest_maskcheck.interrupts.signals.samples import Samples
from pytest_maskcheck.interrupts.signals.states import SignalRecording
from pytest_maskcheck.reasons import NotAudited, Note, Reason
from pytest_maskcheck.system import signals
from pytest_maskcheck.system.unpatched import signal, threading
from pytest_maskcheck.system.untrusted import is_a, parts_of, traceback_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.engine import Engine
    from pytest_maskcheck.interrupts.places import InScope
    from pytest_maskcheck.interrupts.strike import Strike

_DEFAULT = int(signal.SIGINT)


class SignalMechanism:
    """The mechanism ``signal``; see :class:`~pytest_maskcheck.interrupts.mechanism.Mechanism`.

    Parameters:
        engine: finds places, and strikes at them.
    """

    name: ClassVar[str] = "signal"
    victim: ClassVar[Victim] = Victim(elsewhere=Reason(NotAudited.OTHER_THREAD), absent=Reason(NotAudited.IN_A_THREAD))
    raises_in: ClassVar[str] = delivery.__name__

    def __init__(self, engine: Engine[Delivery]) -> None:
        self.engine = engine

    @classmethod
    def choose(cls) -> tuple[SignalMechanism, str]:
        if sys.implementation.name != "cpython":
            message = f"maskcheck knows where CPython handles signals, not where {sys.implementation.name} does"
            raise EngineUnavailableError(message)
        if facts.HAS_MONITORING:
            from pytest_maskcheck.interrupts.signals.monitoring.engine import MonitoringEngine

            return cls(MonitoringEngine()), "sys.monitoring: code out of scope runs at full speed"
        from pytest_maskcheck.interrupts.signals.tracing.engine import TracingEngine

        return cls(TracingEngine()), "sys.settrace: this CPython has no sys.monitoring"

    def get_ready(self) -> None:
        with suppress(
            EngineUnavailableError, ValueError
        ):  # no spare signal, or not the main thread: an audit reports it
            with_checks_on_entering()

    @classmethod
    def has(cls, number: int) -> bool:
        return number > 0

    @classmethod
    def parse(cls, text: str) -> int:
        return signals.parse(text) if text else _DEFAULT

    @classmethod
    def label(cls, number: int) -> str:
        return signals.name(number)

    @classmethod
    def suffix(cls, number: int) -> str:
        return f"@{signals.name(number)}" if number != _DEFAULT else ""

    def recording(self, numbers: Collection[int], *, outside: bool) -> SignalRecording:
        return SignalRecording(signums=tuple(numbers), outside=outside)

    def delivery(
        self,
        number: int,
        struck: Callable[[], None],
        landed: Callable[[FrameType], object] | None = None,
        strike: Strike | None = None,
    ) -> Delivery:
        return Delivery(number, struck, landed, strike)

    def hold_back(self, number: int) -> Callable[[], bool]:
        # Sent to this thread: if it were sent to the process, a thread that does not block it might receive it.
        # A mask of the kernel, rather than a handler: it changes nothing that the code under test is likely to look at.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        signal.pthread_kill(threading.get_ident(), number)

        def take_back() -> bool:
            is_waiting = number in signal.sigpending()
            if is_waiting:
                signal.sigwait({number})
            if number not in before:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            return is_waiting

        return take_back

    def samples(self, in_scope: InScope, every: float) -> Samples:
        return Samples(in_scope, every)

    def begin(self) -> None:
        expiry.begin()

    def is_interrupt(self, error: BaseException, strike: Strike | None = None) -> bool:
        """Return whether ``error`` is an interrupt, or a group of interrupts such as trio raises.

        Besides ``KeyboardInterrupt``, an interrupt is an exception of the type that the handler of ``strike`` raised; if that type is
        not known, any exception that came out of that handler.
        """
        if is_a(error, BaseExceptionGroup) and not _from_handler(error, strike):
            return all(self.is_interrupt(part, strike) for part in parts_of(error))
        return is_a(error, KeyboardInterrupt) or _from_handler(error, strike)

    def is_delivered(self, error: BaseException, strike: Strike) -> bool:
        # If the audit ran the handler, frames of the audit are in the traceback.
        if not self.is_interrupt(error, strike):
            return False
        if not strike.landed:
            return True
        parts = error.exceptions if isinstance(error, BaseExceptionGroup) and not _from_handler(error, strike) else ()
        came = any(_is_delivery(each.tb_frame) for each in walk(error.__traceback__))
        return came or any(self.is_delivered(part, strike) for part in parts)

    def may_be_users(self, strike: Strike) -> bool:
        return strike.signum == _DEFAULT or strike.error is None or issubclass(strike.error, KeyboardInterrupt)

    def begins_delivery(self, code: CodeType, frame: FrameType, strike: Strike) -> bool:
        # The entries that follow are the handler's, whether CPython called it or the audit.
        one: Strike | None = strike
        while one is not None:
            if code is one.handler_code and one.fired and not one.landed:
                return True
            one = one.earlier
        return _is_delivery(frame)

    def reason_against(self, numbers: Collection[int], inherited: Collection[int]) -> Reason | None:
        if _DEFAULT in numbers and _is_ignored():
            return Reason(NotAudited.SIGINT_IGNORED)
        if blocked := sorted(set(inherited).intersection(numbers)):
            names = ", ".join(map(signals.name, blocked))
            return Reason(NotAudited.SIGNALS_BLOCKED, signals=names)
        return None

    def clear_way(self, numbers: Collection[int], inherited: Collection[int]) -> list[Reason]:
        notes: list[Reason] = []
        if _DEFAULT in numbers and _is_ignored():  # for example under nohup, or as a background job of a script
            signal.signal(signal.SIGINT, signal.default_int_handler)
            notes.append(Reason(Note.SIGINT_RESTORED))
        if inherited:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, inherited)
            if names := [signals.name(number) for number in sorted(inherited) if number in numbers]:
                notes.append(Reason(Note.UNBLOCKED, signals=", ".join(names)))
        return notes


def _from_handler(error: BaseException, strike: Strike | None) -> bool:
    """Return whether ``error`` came out of the handler of a signal that was sent, or has the type of an exception that did."""
    for one in strike.in_turn() if strike else ():
        if one.error is not None and type(error) is one.error:
            return True
        if one.fired and not one.landed and one.handler_code is not None:
            codes = (entry.tb_frame.f_code for entry in walk(traceback_of(error)))
            if any(code is one.handler_code for code in codes):
                return True
    return False


def _is_delivery(frame: FrameType) -> bool:
    """Return whether a frame belongs to :mod:`.delivery`, whose functions call the handler in force."""
    return frame.f_globals.get("__name__") == delivery.__name__


def _is_ignored() -> bool:
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN
