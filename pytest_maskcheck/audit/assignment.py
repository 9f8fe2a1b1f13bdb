"""What one audit is to do, and what it does it with; both are decided before the audit begins, and independent of pytest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pytest_maskcheck.points import plan as points

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

    from pytest_maskcheck.audit.auditor import Auditor
    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.audit.channels import Channel, OwnChannels
    from pytest_maskcheck.audit.selection import Selection
    from pytest_maskcheck.audit.sharing import Helper, Lead
    from pytest_maskcheck.interrupts import Engine
    from pytest_maskcheck.points.plan import Names
    from pytest_maskcheck.points.reach import Reach
    from pytest_maskcheck.resources import Kind, Own
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.runs.fingerprint import Fingerprints
    from pytest_maskcheck.runs.runner import Runner
    from pytest_maskcheck.runs.usual import Usual
    from pytest_maskcheck.settings import Allow, Settings, Shard

Send = Callable[[object], None]
"""Receives each message of an audit; see :mod:`.messages`. A text is a note, ``None`` a sign of life."""


@dataclass(frozen=True, slots=True, repr=False)
class Assignment:
    """What one audit is to do.

    Parameters:
        settings: those of the test.
        outline: returns the audit as far as the order alone determines it; it is passed the other fields.
        signums: the signals to send.
        only: id of the one point wanted, or ``""``.
        shard: the part of the points that is wanted; ``None``: all of them.
        share: this process's part in an audit by several workers; ``None``: no other worker takes part.
        budget: the test's part of the time budget, if there is one.
        seconds: duration of the ordinary run.
        began: when the preparations of the audit began, by the clock of the audit.
        channels: what the test shares with others for longer than a run.
        seeing: kind whose canary was tried in this session -> why it did not see it, or ``""``.
        left: ``kind:key`` of process state that the ordinary run changed.
        why_rerun: why snapshots are out of the question before the points are known, or ``""``.
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
    why_rerun: str
    seeing: dict[str, str] = field(default_factory=dict)

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
        return points.ID.fullmatch(self.only)


class GuaranteeLedger(Protocol):
    """The guarantees of a test, over all of its runs."""

    @property
    def allowed(self) -> Mapping[Allow, None]:
        """Leftovers that the test accepts."""
        ...

    def settle(self) -> Iterator[str]:
        """Fix the values that uninterrupted runs end with; yield a note for each that cannot be judged."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Instruments:
    """What one audit works with.

    Parameters:
        runner: runs the test once.
        auditor: prepares the test and makes interrupted runs.
        engine: finds and hits places.
        scope: the code and the lines that are audited.
        names: short names of files.
        kinds: what leftovers are looked for.
        user_kinds: those of them that other plugins define.
        ledger: the guarantees of the test.
        selection: chooses the points.
        usual: what modules keep after a whole run.
        fingerprints: what modules keep, for the report.
        conditions: what is done in each process between runs.
    """

    runner: Runner
    auditor: Auditor
    engine: Engine
    scope: Reach
    names: Names
    kinds: tuple[Kind, ...]
    user_kinds: tuple[Own, ...]
    ledger: GuaranteeLedger
    selection: Selection
    usual: Usual
    fingerprints: Fingerprints
    conditions: OwnChannels
