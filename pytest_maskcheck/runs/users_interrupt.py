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
    """Distinguishes the user's own Ctrl-C from the interrupts of a run.

    Parameters:
        outcomes: reads tracebacks.
        mechanism: returns which strikes may look like the user's Ctrl-C.

    Attributes:
        foreign: records signals that the kernel delivers, and so distinguishes the user's Ctrl-C from a strike pending at the same time.
    """

    outcomes: Outcomes
    mechanism: Mechanism[Any]
    foreign: ForeignSignals | None = None
    _sends_itself: bool = False

    def noting(self) -> AbstractContextManager[None]:
        """Return a context manager for the body, within which signals that the kernel delivers are recorded."""
        return self.foreign.noting() if self.foreign else nullcontext()

    def came(self, strike: Strike, caught: list[BaseException]) -> bool:
        """Return whether something other than the strike interrupted the run.

        Parameters:
            strike: what was sent in the run.
            caught: the exception that came out of the body, if any.
        """
        error = caught[0] if caught else None
        came = self.foreign is not None and self.foreign.came()
        strikes = [one for one in strike.in_turn() if one.fired]
        # More interrupts came out than the strikes can account for.
        if error is not None and count_interrupts(error) > sum(map(self.mechanism.may_be_users, strikes)):
            return True
        if came and error is None and not strikes:
            self._sends_itself = True  # the signal is part of the test
        # A strike that was sent through the kernel is recorded like the user's Ctrl-C, so the two cannot be told apart.
        sent = any(one.sent and one.signum == signal.SIGINT for one in strikes)
        return came and bool(strikes) and not sent and not self._sends_itself

    def presentable(self, caught: list[BaseException], strike: Strike) -> KeyboardInterrupt:
        """Return the user's own interrupt with a traceback that pytest can show, as each of its entries has a line."""
        error = caught[0] if caught else None
        if error is None or not is_a(error, KeyboardInterrupt):
            return KeyboardInterrupt()
        # pytest reads the lines of the whole chain, and some entries of interrupted code have none.
        for item in list(chain(error)):
            with_traceback(item, traceback_of(self.outcomes.entries(item, strike)))
        return cast("KeyboardInterrupt", error)
