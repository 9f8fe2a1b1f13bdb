"""What one audit is to do: values that are fixed before it begins and do not depend on pytest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.points.ids import ID

if TYPE_CHECKING:
    import re

    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.audit.sharing.helper import Helper
    from pytest_maskcheck.audit.sharing.lead import Lead
    from pytest_maskcheck.points.changed_code import Changed
    from pytest_maskcheck.points.cover import Chosen
    from pytest_maskcheck.reasons import Reason
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.settings import Settings, Shard

Send = Callable[[object], None]
"""Receives each message of an audit; see :mod:`.messages`. A text is a note, ``None`` a sign of life."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A connection to other processes or threads that outlives runs.

    Parameters:
        fixture: name of the fixture that opened it; ``""`` if none did, or none that the test names.
        what: what it is: an open descriptor, a running child or thread, shared memory.
        descriptors: the descriptors that it consists of.
        seconds: duration of the fixture's setup.
        fixed: setting the fixture up again would open the same thing, and take it away from its present user.
    """

    fixture: str
    what: Reason
    descriptors: frozenset[int] = frozenset()
    seconds: float = 0.0
    fixed: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Assignment:
    """What one audit is to do.

    Parameters:
        settings: the settings of the test.
        outline: returns the audit before its points; it is passed the fields that the order alone does not determine.
        signums: the signals to send.
        only: id of the one point wanted, or ``""``.
        shard: the part of the points that is wanted; ``None``: all of them.
        share: this process's part in an audit by several workers; ``None``: no other worker takes part.
        budget: the test's part of the time budget, if there is one.
        seconds: duration of the ordinary run.
        began: when the preparations of the audit began, by the clock of the audit.
        channels: what runs of the test share for longer than one run.
        seeing: kind whose canary was tried in this session -> why the kind did not see it, or ``""``.
        chosen: the points that are audited first; ``None``: no survey has chosen any.
        depth: how finely the session audits; see :class:`.Depth`.
        left: ``kind:key`` of process state that the ordinary run changed.
        why_rerun: why snapshots are ruled out even before the points are known, or ``None``.
        changed: what the test must reach to be audited; ``None``: it is audited whatever it reaches.
        story_apart: the story of the one point wanted is recorded in a forked process.
    """

    settings: Settings
    outline: Callable[..., Audit]
    signums: tuple[int, ...]
    only: str
    shard: Shard | None
    share: Lead | Helper | None
    budget: Share | None
    seconds: float
    began: float
    channels: tuple[Channel, ...]
    left: frozenset[str]
    why_rerun: Reason | None
    seeing: dict[str, str] = field(default_factory=dict)
    changed: Changed | None = None
    chosen: Chosen | None = None
    depth: str = "all"
    story_apart: bool = False

    @property
    def wants_pair(self) -> bool:
        """Whether the one point wanted has a second interrupt."""
        return bool(self._wanted and self._wanted["second"])

    @property
    def first_wanted(self) -> str:
        """Id of the one point wanted, or of its first interrupt; ``""``: all points are wanted."""
        return self._wanted["first"] if self._wanted else ""

    @property
    def _wanted(self) -> re.Match[str] | None:
        return ID.fullmatch(self.only)
