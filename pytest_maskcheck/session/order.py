"""The order of one audit: which item, with which settings, where, and with whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.reasons import Isolation

if TYPE_CHECKING:
    import pytest

    from pytest_maskcheck.audit.assignment import Channel
    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.audit.sharing.helper import Helper
    from pytest_maskcheck.audit.sharing.lead import Lead
    from pytest_maskcheck.interrupts import Mechanism
    from pytest_maskcheck.points.changed_code import Changed
    from pytest_maskcheck.points.cover import Chosen
    from pytest_maskcheck.points.reach import Reach
    from pytest_maskcheck.points.repeats import Repeats
    from pytest_maskcheck.reasons import Reason
    from pytest_maskcheck.session.extensions import Extensions
    from pytest_maskcheck.session.progress import Progress
    from pytest_maskcheck.settings import Settings, Shard


@dataclass(frozen=True, slots=True, repr=False)
class Order:
    """What is to be audited, and how.

    Parameters:
        item: a test that passed.
        settings: those of the test.
        mechanism: how interrupts are delivered.
        reach: the scope.
        isolation: ``Isolation.FORK`` or ``Isolation.NONE``, and ``why``.
        only: the id of the only point to audit, or ``""``.
        seeing: kind whose canary was tried -> why it did not see it, or ``""``.
        extensions: what other plugins add.
        seconds: duration of the ordinary run.
        descriptors: those that were open when the session began.
        channels: what the test shares with others for longer than a run.
        blocked: the signals that were blocked when the session began.
        budget: the test's part of the time budget, if there is one.
        progress: shows how far the audit is.
        shard: the part of the points to audit; ``None``: all of them.
        share: this process's part in an audit by several workers; ``None``: no other worker takes part.
        session_shard: the shard of the session, which may have all points of this test; ``""``: it is no shard.
        over: returns whether the session has ended, so that nobody waits for the audit.
        repeats: what other tests have audited; ``None`` if this audit must not depend on them.
        chosen: the points that are audited first; ``None``: no survey has chosen any.
        depth: how finely the session audits; see :class:`.Depth`.
        left: ``kind:key`` of process state that the ordinary run changed and did not restore.
        changed: what the test must reach to be audited; ``None``: it is audited whatever it reaches.
        story_apart: the story of the only point may be recorded in a forked process, although the audit is made in this one.
        notes_lines: the lines that run from interrupts on are noted.
    """

    item: pytest.Item
    settings: Settings
    mechanism: Mechanism[Any]
    reach: Reach
    isolation: Isolation
    why: Reason
    only: str = ""
    seeing: dict[str, str] = field(default_factory=dict)
    extensions: Extensions | None = None
    seconds: float = 0.0
    descriptors: frozenset[int] = frozenset()
    channels: tuple[Channel, ...] = ()
    blocked: frozenset[int] = frozenset()
    budget: Share | None = None
    progress: Progress | None = None
    shard: Shard | None = None
    session_shard: str = ""
    share: Lead | Helper | None = None
    over: Callable[[], bool] = lambda: False
    repeats: Repeats | None = None
    left: frozenset[str] = frozenset()
    changed: Changed | None = None
    chosen: Chosen | None = None
    depth: str = "all"
    story_apart: bool = False
    notes_lines: bool = False

    @property
    def is_here(self) -> bool:
        """Whether audited runs are made in the process of the session."""
        return self.isolation == Isolation.NONE
