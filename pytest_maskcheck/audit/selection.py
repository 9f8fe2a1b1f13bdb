"""Choose the points of one test: plan, one point wanted, shards, other plugins, and batches for the time budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.first_use import key_of
from pytest_maskcheck.audit.messages import ShardDealt
from pytest_maskcheck.audit.preparation import Refused
from pytest_maskcheck.interrupts import Recording, mechanism_of
from pytest_maskcheck.points.choice import choose_points, known_among, ran_elsewhere
from pytest_maskcheck.points.cover import Depth
from pytest_maskcheck.points.layers import judged_key, layers_of
from pytest_maskcheck.points.pairs import Pairs
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.points.sampling import layered
from pytest_maskcheck.reasons import NotAudited, Reason, as_first, elsewhere
from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

    from pytest_maskcheck.audit.assignment import Assignment, Send
    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.points.cover import Chosen
    from pytest_maskcheck.points.hit_filters import Counted
    from pytest_maskcheck.points.ids import Names
    from pytest_maskcheck.points.layers import Layers
    from pytest_maskcheck.points.plan import Aim
    from pytest_maskcheck.points.reach import Reach
    from pytest_maskcheck.points.repeats import Repeats
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.settings import Shard

Filter = Callable[["list[Point]"], "tuple[list[Point], dict[Reason, int], list[Reason]]"]
"""Returns the points that no plugin removes; how many were removed, by reason; and complaints about plugins."""

_UNCHOSEN = len(Depth)

_FIRST_BATCH = 10
"""Points that are audited before their duration is known; each further batch is at most as large as all before it together."""


@dataclass(slots=True, repr=False)
class Selection:
    """Chooses the points of one test.

    Parameters:
        assignment: what is wanted.
        scope: the code and the lines that are audited.
        names: short names of files.
        files: the files of the test's own code, which are in scope whatever the settings are.
        body: code of the test function; ``None`` if it has none.
        filter: removes the points that other plugins do not want; ``None``: there are no other plugins.
        repeats: returns what other tests have audited, or ``None`` if that does not matter to this test; called after the recorded run.

    Attributes:
        recording: the hits of the uninterrupted run that the plan was made from.
        room: how many points with a second interrupt ``max_points`` leaves room for.
    """

    assignment: Assignment
    scope: Reach
    names: Names
    files: frozenset[str]
    body: CodeType | None
    filter: Filter | None
    repeats: Callable[[], Repeats | None] = lambda: None
    recording: Recording = field(default_factory=Recording)
    room: int = 0

    def plan(self, recording: Recording) -> Plan:
        """Return the points of an uninterrupted run.

        Raises:
            Refused: the body of the test ran on another thread.
        """
        assignment, settings = self.assignment, self.assignment.settings
        self.recording = recording
        if self.body is not None and ran_elsewhere(self.body, recording):
            raise Refused(mechanism_of(assignment.signums[0]).victim.absent)
        plan = choose_points(
            recording,
            self.names,
            self.scope.reason_against,
            hits=settings.hits,
            max_points=settings.max_points,
            seed=settings.seed,
            body=self.files,
            signums=assignment.signums,
            only=assignment.first_wanted,
            repeats=self.repeats(),
        )
        if assignment.depth != "all" and assignment.chosen is not None:
            self._thin_to_depth(plan, assignment.chosen)
        return plan

    def _thin_to_depth(self, plan: Plan, chosen: Chosen) -> None:
        """Keep the first point of each kind at each instruction that the survey of the suite has chosen.

        The survey may have taken an instruction for a place that is none. Then another point of its line is kept.
        """
        keys = self._layers(plan.aims[point.id] for point in plan.points)
        missed = {chosen.lines[context] for context in chosen.contexts.keys() - {key.context for key in keys}}
        seen: set[object] = set()
        kept = []
        for point, key in zip(plan.points, keys, strict=True):
            wanted = (key.context, point.kind) if key.context in chosen.contexts else key.line
            if wanted not in seen and (key.context in chosen.contexts or key.line in missed):
                seen |= {wanted, key.line}
                kept.append(point)
        self._keep(plan, kept, Reason(NotAudited.DEPTH, depth=self.assignment.depth))

    def first_plan(self, warm: frozenset[int], recording: Recording) -> Plan:
        """Return the points of the first run in a process that later runs, with the keys ``warm``, do not reach."""
        settings = self.assignment.settings
        return choose_points(
            recording,
            self.names,
            partial(self.scope.reason_against, reached=True),
            hits=settings.hits,
            max_points=settings.max_points,
            seed=settings.seed,
            body=self.files,
            signums=self.assignment.signums,
            wanted=lambda hit: key_of(hit) not in warm,
        )

    def pairs(self, room: int) -> Pairs:
        """Return a collector with room for so many points with a second interrupt."""
        settings = self.assignment.settings
        self.scope.open_up(*self.files)
        return Pairs(
            self.recording,
            self.names,
            self.scope.reason_against,
            hits=settings.hits,
            room=room,
            max_points=settings.max_points,
            seed=settings.seed,
            body=self.files,
            only=self.assignment.only,
        )

    def deal(self, plan: Plan, shard: Shard, send: Send) -> str:
        """Keep the points of one shard; return a digest of all points.

        The shard seeks second interrupts after its own points, and after no others.
        """
        whole = plan.points
        digest = sha256("\n".join(point.id for point in whole).encode()).hexdigest()[:16]
        send(ShardDealt(digest))
        self._keep(plan, shard.deal(whole), elsewhere(str(shard)))
        # The shards divide the room for second interrupts as they divide the points.
        self.room = len(shard.deal(range(self.room)))
        return digest

    def remove(self, plan: Plan, send: Send, what: Counted = as_first) -> None:
        """Remove the points that other plugins do not want; a single point that is wanted stays."""
        if self.assignment.only or self.filter is None:
            return
        before = plan.points
        plan.points, removed, complaints = self.filter(before)
        kept = {point.id for point in plan.points}
        # Which of several plugins removed a point is not known here, so its line is given for each of them.
        places = [(point.file, point.line) for point in before if point.id not in kept]
        for reason, number in removed.items():
            plan.leave_out(what(reason), number, places)
        for complaint in complaints:
            send(complaint)

    def _keep(self, plan: Plan, kept: list[Point], reason: Reason) -> None:
        """Keep these points of a plan, and leave out the others for a reason."""
        known = {point.id for point in kept}
        places = [(point.file, point.line) for point in plan.points if point.id not in known]
        plan.leave_out(reason, len(places), places)
        plan.points = kept

    def batches(self, plan: Plan, share: Share | None, seconds: float, least: int) -> Iterator[Plan]:
        """Yield the points for which there is time, in batches.

        The estimate of the time may be wrong. Even then, every line should get a point before any line gets further ones.

        Parameters:
            plan: all points.
            share: the time; ``None``: no limit.
            seconds: duration of a run.
            least: at least so many points, even if there is no time.
        """
        if share is None:
            yield plan
            return
        aims = [(point, plan.aims[point.id]) for point in plan.points]
        last = known_among(aims, plan, self.repeats())
        taken: set[int] = set()
        for later in self._later(aims):
            ready = len(aims) - len(later)
            while (room := max(share.room(seconds), least - len(taken))) and len(taken) < ready:
                size = min(room, max(len(taken), _FIRST_BATCH))
                batch = layered(aims, size, self.assignment.settings.seed + share.turn, taken | later, last)
                taken.update(batch)
                began = time.perf_counter()
                # If the time is up early, similar tests do not all end at the same point.
                first = share.turn % len(batch)
                yield Plan([plan.points[position] for position in (*batch[first:], *batch[:first])])
                seconds = (time.perf_counter() - began) / len(batch)

    def _layers(self, aims: Iterable[Aim]) -> list[Layers]:
        """Return the keys that a survey has for points."""
        judged = judged_key(self.assignment.settings)
        return [layers_of(aim.first, aim.signum, judged) for aim in aims]

    def _later(self, aims: list[tuple[Point, Aim]]) -> Iterator[set[int]]:
        """Yield, for each stage of the audit, the positions of the points that come later; none in the last stage.

        Points that the survey of the suite has chosen come first: those for lines, those for places, the others.
        """
        chosen = self.assignment.chosen
        if chosen is not None:
            keys = self._layers(aim for _, aim in aims)
            depths = [chosen.contexts.get(key.context, _UNCHOSEN) for key in keys]
            for stage in Depth:
                yield {position for position, depth in enumerate(depths) if depth > stage}
        yield set()

    def sample(self, plan: Plan, room: int) -> frozenset[str]:
        """Return the ids of a sample of so many points."""
        aims = [(point, plan.aims[point.id]) for point in plan.points]
        return frozenset(aims[position][0].id for position in layered(aims, room, self.assignment.settings.seed))
