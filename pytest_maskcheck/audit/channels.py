"""Channels: connections to other processes or threads that outlive a run.

An interrupted run may leave a channel in a state that breaks, or heals, the runs after it. So a verdict about one run requires a
channel of its own. Each forked process sets up again the fixtures that opened a channel, if that is possible and cheap. If it is not,
the audit reports which channel all runs share.

What does not work: a channel that no fixture of the test opened cannot be opened again. Neither can one with a fixed name (Django's
test database): the second setup would take it away from the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_maskcheck.audit.failed_runs import trouble
from pytest_maskcheck.reasons import Note, Reason
from pytest_maskcheck.runs.requests import Conditions, alone

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_maskcheck.audit.assignment import Channel, Send
    from pytest_maskcheck.runs.module_state import ModuleState
    from pytest_maskcheck.runs.requests import Executor

_PATIENCE = 2.0
"""Seconds that setting up the fixtures of all channels may take in each process."""


class Renewable(Protocol):
    """A target that can set up longer-lived fixtures again in a forked process."""

    def renew(self, names: Collection[str]) -> None:
        """Discard the parent's instances of these fixtures, so that this process sets up its own."""
        ...

    def reuse_directory(self) -> None:
        """From now on, in this process, use the directory of ``tmp_path`` again where nothing can tell."""
        ...

    def end_renewed(self) -> None:
        """Tear down the fixtures that this process has set up again."""
        ...


@dataclass(slots=True, repr=False)
class OwnChannels(Conditions):
    """Gives each process its own channels, and compares modules between runs.

    See :class:`pytest_maskcheck.runs.requests.Conditions`.

    Parameters:
        usual: the state of modules after a whole run.
        target: the test.
        fixtures: names of the fixtures that each process sets up again.
    """

    usual: ModuleState
    target: Renewable
    fixtures: frozenset[str] = frozenset()
    wary: bool = False

    @property
    def renewing(self) -> bool:
        """Whether each process sets up fixtures again."""
        return bool(self.fixtures)

    def begin(self) -> None:
        """Discard the parent's instances of the fixtures, and keep what this process makes of its own."""
        self.target.reuse_directory()
        if self.fixtures:
            self.target.renew(self.fixtures)

    def settle(self) -> bool:
        """Record the present state of modules as the usual one; return whether it was that before."""
        if self.usual.holds():
            return True
        self.usual.take()
        return False

    def is_usual(self) -> bool:
        """Return whether the state of modules is that after a whole run."""
        return self.usual.holds()

    def end(self) -> None:
        """Tear down the fixtures that this process has set up again."""
        if self.fixtures:
            self.target.end_renewed()


def separate(channels: Sequence[Channel], conditions: OwnChannels, executor: Executor, send: Send) -> str:
    """Give each process its own channels if possible; return a description of what all runs share nevertheless.

    One additional run checks whether the test passes with a second instance of its fixtures beside the first.
    """
    # A whole run follows each interrupted one if a comparison of modules cannot show what the interrupt left.
    conditions.wary = bool(channels or conditions.usual.unseen)
    if not executor.clean:
        return _shared(channels) or "all runs share this process"
    owned = [channel for channel in channels if channel.fixture]
    others = [channel for channel in channels if not channel.fixture]
    if fixed := [channel for channel in owned if channel.fixed]:
        return f"{_shared(fixed)}, and another one would be the same"
    if (seconds := sum(channel.seconds for channel in owned)) > _PATIENCE:
        return f"{_shared(owned)}, and to set up another one in each process would take {seconds:.0f} s"
    if owned:
        conditions.fixtures = frozenset(channel.fixture for channel in owned)
        (ran,) = alone(executor, None)
        if ran.spoiled:
            conditions.fixtures = frozenset()
            common = Reason(Note.SHARED, shared=_shared(owned), trouble=trouble(ran))
            send(common)
            return common
    return _shared(others)


def _shared(channels: Sequence[Channel]) -> str:
    """Return a description of what all runs share, ``""`` if that is nothing."""
    if not channels:
        return ""
    first = channels[0]
    return f"all runs share what {f'fixture {first.fixture}' if first.fixture else 'a module'} opened: {first.what}"
