"""A recording: the hits of one run, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from pytest_maskcheck.interrupts.cpython.codes import number_of
from pytest_maskcheck.interrupts.places import Context, Hit, Site, context_of, is_own, near

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope, PlaceKind, Trigger

_KEPT = 2
"""Number of hits of a group that are kept, besides the last one."""

_NO_HIT = cast("Hit", None)
"""Takes the place of a hit that is not kept."""


_LONG = 100
"""Length, in characters, from which a string constant is too long to be a name."""


@dataclass(slots=True, repr=False)
class Recording:
    """All hits of one run in order, and the lines that other threads reached.

    An engine calls ``begins``, ``add`` and ``add_from`` during the run.
    """

    hits: list[Hit] = field(default_factory=list)
    other_threads: set[tuple[str, int]] = field(default_factory=set)
    numbers: dict[tuple[int, int, PlaceKind], int] = field(default_factory=dict)
    paused: bool = False
    """The test has paused interrupts; see :func:`~pytest_maskcheck.session.fixture.Maskcheck.paused`."""
    own: frozenset[str] | None = None
    """Files of the test's own code, if hits are to be thinned out; ``None`` keeps all hits.

    Hits are grouped by place, nearby callers and state; of each group, the first two and the last are kept. For code that the test did not
    call, the groups begin anew at each hit of code that it did call.
    """
    outside: bool = False
    """Stretches of code out of scope are recorded, too."""
    files: set[str] = field(default_factory=set)
    """Files whose code has run, in scope or not."""

    running: int = 0
    """The frame of the last hit, by ``id``; 0 if a function has begun or resumed since, because another frame may have that ``id`` now."""
    _before: Trigger | None = None
    _context: Context = ()
    _near: tuple[tuple[int, int], ...] = ()
    _called: bool = False
    _latest: dict[object, list[int]] = field(default_factory=dict)
    _others: dict[object, list[int]] = field(default_factory=dict)

    def sites(self) -> list[Site]:
        """Return the instructions of all hits, each once in a calling context."""
        sites = (Site(hit.code, hit.offset, hit.context) for hit in self.hits if not hit.aside)
        return [*{(number_of(site.code), site.offset, site.near): site for site in sites}.values()]

    def words(self) -> set[str]:
        """Return the names and short string constants in the code that has hits."""
        codes = {id(hit.code): hit.code for hit in self.hits}.values()
        constants = (each for code in codes for each in code.co_consts if type(each) is str and len(each) < _LONG)
        return {*constants, *(name for code in codes for name in code.co_names)}

    def begins(self, code: CodeType) -> None:
        """Record that a function begins, in scope or not."""
        self.running = 0
        self.files.add(code.co_filename)

    def add(self, kind: PlaceKind, offset: int, frame: FrameType, in_scope: InScope, trigger: Trigger) -> None:
        """Record that the victim reached ``offset`` of ``frame``."""
        code = frame.f_code
        # Most hits are in the same frame as the hit before, so the context is computed once per frame.
        if self.running != id(frame):
            self.running, self._context = id(frame), context_of(frame, in_scope)
            if self.own is not None:
                self._near, self._called = near(self._context), is_own(code, self._context, self.own)
        hit = self._append(kind, code, offset, self._context, trigger)
        if self.own is not None:
            self._thin(hit, self._near, called=self._called)

    def add_from(self, site: Site, kind: PlaceKind, trigger: Trigger, after: tuple[int, ...]) -> None:
        """Record that the victim reached a checkpoint out of scope, in code that ``site`` called."""
        hit = self._append(kind, site.code, site.offset, site.context, trigger, after=after)
        if self.own is not None:
            self._thin(hit, site.near, called=is_own(site.code, site.context, self.own))

    def _append(
        self,
        kind: PlaceKind,
        code: CodeType,
        offset: int,
        context: Context,
        trigger: Trigger,
        *,
        after: tuple[int, ...] = (),
    ) -> Hit:
        place = (number_of(code), offset, kind)
        number = self.numbers[place] = self.numbers.get(place, 0) + 1
        before, self._before = self._before, trigger
        hit = Hit(code, offset, kind, number, context, trigger, self.state(), self.paused, after=after, before=before)
        self.hits.append(hit)
        return hit

    def _thin(self, hit: Hit, around: tuple[tuple[int, int], ...], *, called: bool) -> None:
        """Forget the previous hit of this hit's group, unless that was the first or the second."""
        key = (number_of(hit.code), hit.offset, hit.kind, around, hit.state, hit.aside, hit.after)
        groups = self._latest if called else self._others
        if called:
            self._others.clear()
        group = groups.get(key)
        if group is None:
            group = groups[key] = [0, 0]
        count, position = group
        # The previous hit is no longer the last of its group. It is overwritten, not removed: ``groups`` hold positions in the list.
        if count > _KEPT:
            hit.stands_for += self.hits[position].stands_for
            self.hits[position] = _NO_HIT
        group[:] = count + 1, len(self.hits) - 1

    def settle(self) -> None:
        """Remove the gaps that forgotten hits left; call this when the recording has ended."""
        self.hits = [hit for hit in self.hits if hit is not _NO_HIT]

    def state(self) -> tuple[object, ...]:
        """Return what decides the fate of interrupts now; empty if nothing is unusual, or if the mechanism has no such states."""
        return ()
