"""Make the order of an item's audit: scope, isolation and channels, from its settings and the state of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.audit.audited_points import AuditedPoints
from pytest_maskcheck.audit.strategy import IsolationChoice
from pytest_maskcheck.points.ids import FIRST
from pytest_maskcheck.reasons import Isolation, Reason
from pytest_maskcheck.runs import fork_sharing
from pytest_maskcheck.runs.child import CAN_FORK
from pytest_maskcheck.session.order import Order
from pytest_maskcheck.settings import MARKER
from pytest_maskcheck.system import signals

if TYPE_CHECKING:
    from pytest_maskcheck.interrupts import Mechanism
    from pytest_maskcheck.points.changed_code import Changed
    from pytest_maskcheck.points.repeats import Repeats
    from pytest_maskcheck.session.audited_items import AuditedItems
    from pytest_maskcheck.session.changes import Changes
    from pytest_maskcheck.session.dealing import Dealing
    from pytest_maskcheck.session.extensions import Extensions
    from pytest_maskcheck.session.first_use_process import FirstUse
    from pytest_maskcheck.session.progress import Progress
    from pytest_maskcheck.session.shared_fixtures import SharedFixtures
    from pytest_maskcheck.session.workers import Workers
    from pytest_maskcheck.settings import Settings


class OrderMaker:
    """Makes the orders of a session.

    Parameters:
        config: pytest's configuration.
        items: the items to audit.
        mechanism: how interrupts are delivered.
        extensions: what other plugins add.
        shared: what fixtures share with others.
        workers: the workers of xdist.
        progress: shows how far an audit is.
        only: the id of the only point to audit, or ``""``.
        dealing: which shard audits which tests.
        changes: what tests must reach to be audited; ``None``: they are audited whatever they reach.
        notes_lines: the lines that run from interrupts on are noted.

    Attributes:
        seeing: kind whose canary was tried in this session -> why it did not see it, or ``""``.
        audited: what the tests of this session have audited so far.
        first: the process for what only the first run of the test under way reaches, if there is one.
    """

    def __init__(
        self,
        config: pytest.Config,
        items: AuditedItems,
        mechanism: Mechanism[Any],
        extensions: Extensions,
        *,
        shared: SharedFixtures,
        workers: Workers,
        progress: Progress,
        only: str,
        dealing: Dealing,
        changes: Changes | None,
        notes_lines: bool,
    ) -> None:
        self._config = config
        self._items = items
        self._mechanism = mechanism
        self._extensions = extensions
        self._shared = shared
        self._workers = workers
        self._progress = progress
        self._only = only
        self.dealing = dealing
        self._changes = changes
        self._notes_lines = notes_lines
        self._descriptors: frozenset[int] = frozenset()
        self._blocked: frozenset[int] = frozenset()
        self.seeing: dict[str, str] = {}
        self.audited = AuditedPoints(workers.shared_file)
        self.first: FirstUse | None = None

    def note_state(self) -> None:
        """Record the state of the process; call this before fixtures are set up."""
        self._descriptors = fork_sharing.descriptors()
        self._blocked = signals.blocked()

    def order(self, item: pytest.Item, seconds: float) -> Order:
        """Return the order for a test whose ordinary run took so many seconds."""
        chosen = self._items.settings(item)
        isolation = self.isolation(chosen.isolation, item)
        known = self._descriptors | (self.first.descriptors if self.first else frozenset())
        channels = self._shared.channels_of(item, known)
        return Order(
            item,
            chosen,
            self._mechanism,
            self._items.reach(chosen),
            isolation.how,
            isolation.why,
            self._only,
            self.seeing,
            self._extensions,
            seconds,
            known,
            channels,
            self._blocked,
            progress=self._progress,
            shard=self.dealing.part_of(item.nodeid),
            session_shard=str(self.dealing.shard or ""),
            over=self._workers.is_over,
            repeats=self._repeats(item, chosen, isolation.how),
            changed=self.changed(item),
            story_apart=isolation.why.code is Isolation.ONE_POINT
            and not channels
            and self._best_isolation(item).how is Isolation.FORK,
            notes_lines=self._notes_lines,
        )

    def _repeats(self, item: pytest.Item, chosen: Settings, isolation: Isolation) -> Repeats | None:
        """Return what other tests have audited; ``None`` for audits that have to be the same wherever and whenever they are made."""
        if self._only or self.dealing.shard or chosen.interrupts > 1:
            return None
        least = chosen.other_tests(marked=item.get_closest_marker(MARKER) is not None)
        return self.audited.repeats(item.nodeid, least, repr((isolation, *chosen.judged_by)))

    def changed(self, item: pytest.Item) -> Changed | None:
        """Return what a test must reach to be audited; ``None``: it is audited whatever it reaches."""
        if self._changes is None:
            return None
        return self._changes.for_item(item)

    def isolation(self, asked: str, item: pytest.Item | None = None) -> IsolationChoice:
        """Return how audited runs are isolated, and why.

        Raises:
            pytest.UsageError: ``fork`` is requested on a platform that cannot fork.
        """
        if asked == "fork" and not CAN_FORK:
            message = "maskcheck isolation is 'fork', but this platform cannot fork; use isolation=none"
            raise pytest.UsageError(message)
        if asked != "auto":
            return IsolationChoice({str(each): each for each in Isolation}[asked], Reason(Isolation.AS_ASKED))
        if self._only and FIRST not in self._only:
            return IsolationChoice.none(Isolation.ONE_POINT)
        return self._best_isolation(item)

    def _best_isolation(self, item: pytest.Item | None) -> IsolationChoice:
        """Return how runs are isolated if nothing else is asked for."""
        if self._config.getoption("usepdb", False):
            return IsolationChoice.none(Isolation.DEBUGGER)
        if not CAN_FORK:
            return IsolationChoice.none(Isolation.CANNOT_FORK)
        others = self._shared.threads_of(item)
        if others:
            return IsolationChoice.none(Isolation.LOSES_THREADS, threads=", ".join(others))
        return IsolationChoice.fork(Isolation.CLEAN)
