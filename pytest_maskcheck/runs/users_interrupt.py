"""The user's own Ctrl-C in a run that shares the process with the session: it ends the session, and is no finding."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pytest_maskcheck.runs.raised import chain, count_interrupts
from pytest_maskcheck.runs.tracebacks import traceback_of
from pytest_maskcheck.system.unpatched import signal
from pytest_maskcheck.system.untrusted import is_a, with_traceback

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_maskcheck.interrupts import Mechanism, Strike
    from pytest_maskcheck.interrupts.foreign import ForeignSignals
    from pytest_maskcheck.runs.outcomes import Outcomes


@dataclass(slots=True, repr=False)
class UsersInterrupt:
    """Tells the user's own Ctrl-C from the interrupts of a run.

    Parameters:
        outcomes: reads tracebacks.
        mechanism: how interrupts come.

    Attributes:
        foreign: notes signals that the kernel delivered: tells the user's Ctrl-C from a strike that is pending at the same time.
    """

    outcomes: Outcomes
    mechanism: Mechanism[Any]
    foreign: ForeignSignals | None = None
    _sends_itself: bool = False

    def noting(self) -> AbstractContextManager[None]:
        """Return the context of a body in which signals of the kernel are noted."""
        return self.foreign.noting() if self.foreign else nullcontext()

    def came(self, strike: Strike, caught: list[BaseException]) -> bool:
        """Tell whether somebody else than the strike interrupted the run.

        Parameters:
            strike: what was sent in the run.
            caught: the exception that came out of the body, if any.
        """
        error = caught[0] if caught else None
        came = self.foreign is not None and self.foreign.came()
        strikes = [one for one in strike.in_turn() if one.fired]
        # More of them came out than strikes can have led to.
        if error is not None and count_interrupts(error) > sum(map(self.mechanism.may_be_users, strikes)):
            return True
        if came and error is None and not strikes:
            self._sends_itself = True  # part of the test
        # A strike that was sent through the kernel is noted like the user's Ctrl-C: then neither can be told apart.
        sent = any(one.sent and one.signum == signal.SIGINT for one in strikes)
        return came and bool(strikes) and not sent and not self._sends_itself

    def presentable(self, caught: list[BaseException], strike: Strike) -> KeyboardInterrupt:
        """Return the user's own interrupt with a traceback that pytest can show: one in which every entry has a line."""
        error = caught[0] if caught else None
        if error is None or not is_a(error, KeyboardInterrupt):
            return KeyboardInterrupt()
        # pytest reads lines of all of them, and some entries of interrupted code have none.
        for item in list(chain(error)):
            with_traceback(item, traceback_of(self.outcomes.entries(item, strike)))
        return cast("KeyboardInterrupt", error)
