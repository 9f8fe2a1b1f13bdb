"""The owner's side of a shared audit."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.sharing.board import POLL, Done, Offer, claim, read, write
from pytest_maskcheck.reasons import Note, Reason, count
from pytest_maskcheck.system.unpatched import os, shutil, time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_maskcheck.audit.sharing.board import Board
    from pytest_maskcheck.results import Audit, Point, PointResult

_LONG = 1.0
"""Points are offered if they are at least this many seconds of work, as a run takes, or as the first of them took."""

_LEAST = (0.3, 8)
"""Seconds, and points, of work in the smallest chunk."""

_MOST = (10.0, 60)
"""Seconds, or points, of work in the largest chunk; a process that dies loses its chunk."""

_ROUNDS = 1.5
"""How many chunks of the present size each worker would take of the points left: each chunk costs two more runs, and fewer chunks divide less evenly."""

_MARGIN = 0.001
"""Seconds that a point costs beyond its run."""


class Lead:
    """Audits the points of one test together with helpers; created in the process that ends last, used in the one that audits.

    Parameters:
        board: where the points are offered.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._name = board.new_name()
        self._turn = 0
        self._place = ""
        self._shares: Counter[str] = Counter()
        self._alone_since: float | None = None
        self._is_paused = False

    def work(
        self,
        audit: Audit,
        seconds: float,
        *,
        do: Callable[[Sequence[Point]], Done],
        take: Callable[[Done], object],
        wait: Callable[[], object],
        firsts: Mapping[str, PointResult] | None = None,
        left_anyway: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        """Audit points together with any helpers.

        Parameters:
            audit: the points, and what is known about the test so far.
            seconds: how long a run takes.
            do: audits points in this process.
            take: called with each outcome of a helper.
            wait: called now and then while there is nothing to do here.
            firsts: see :class:`Offer`.
            left_anyway: see :class:`Offer`.
        """
        seconds += _MARGIN
        if len(audit.points) * seconds < _LONG:
            points, seconds = self._begin_alone(audit.points, do)
            audit = replace(audit, points=points)
            if not points:
                return
        cuts = self._cuts(len(audit.points), seconds)
        offer = Offer(self._board.name, audit, cuts, seconds, dict(firsts or {}), dict(left_anyway or {}))
        if not self._publish(offer):
            do(audit.points)
            return
        left = dict(enumerate(offer.chunks))
        while left:
            ended = self._ended(left)
            for number, done in ended.items():
                take(done)
                self._shares[done.worker] += len(done.results)
                known = {result.point for result in done.results}
                left[number] = tuple(point for point in left[number] if point.id not in known)
                if left[number]:
                    self._do(number, left[number], do)
                del left[number]
            claimed = self._claim(left)
            if claimed is not None:
                self._do(claimed, left.pop(claimed), do)
            elif left and not ended:
                wait()
                time.sleep(POLL)

    def _begin_alone(
        self, points: tuple[Point, ...], do: Callable[[Sequence[Point]], Done]
    ) -> tuple[tuple[Point, ...], float]:
        """Audit points as long as nobody could help; return those left to offer, and how long one takes."""
        self._alone_since, self._is_paused = time.perf_counter(), False
        done = do(points)
        seconds = (time.perf_counter() - self._alone_since) / max(len(done.results), 1)
        self._alone_since = None
        if not self._is_paused:  # what has no result now gets none
            return (), seconds
        self._shares[self._board.name] += len(done.results)
        known = {result.point for result in done.results}
        return tuple(point for point in points if point.id not in known), seconds

    def goes_on_with_others(self, done: int, left: int) -> bool:
        """Return whether the points left are to be offered: they turn out to take long, as findings take many times as long as a run."""
        if self._alone_since is None or not done or left < _LEAST[1]:
            return False
        seconds = time.perf_counter() - self._alone_since
        self._is_paused = seconds > _LEAST[0] and seconds / done * left >= _LONG
        return self._is_paused

    def note(self) -> str:
        """Return how many points each process audited, in words; ``""`` if no other process helped."""
        shares = {name: number for name, number in sorted(self._shares.items()) if number}
        if not shares.keys() - {self._board.name}:
            return ""
        words = ", ".join(f"{name} audited {count(number, 'point')}" for name, number in shares.items())
        return Reason(Note.DIVIDED, shares=words)

    def found(self) -> dict[str, PointResult]:
        """Return the results of this test that are on the board: id of a point -> its result."""
        offers = self._board.offers(f"{self._name}-")
        done = [each for name, offer in offers for each in self._board.done(name, offer)]
        return {result.point: result for each in done for result in each.results}

    def close(self) -> None:
        """Withdraw the offers; called in the process that created this object."""
        with suppress(OSError):
            for name in os.listdir(self._board.path):
                if name.startswith(f"{self._name}-"):
                    # Rename first: a helper must not see a half-removed offer.
                    over = self._board.place_of(f"over-{name}")
                    os.rename(self._board.place_of(name), over)
                    shutil.rmtree(over, ignore_errors=True)

    def _cuts(self, number: int, seconds: float) -> tuple[int, ...]:
        """Return the positions where chunks end: the fewer points are left, the smaller the chunk."""
        least = max(round(_LEAST[0] / seconds), _LEAST[1])
        most = max(round(_MOST[0] / seconds), _MOST[1])
        cuts: list[int] = []
        while (start := cuts[-1] if cuts else 0) < number:
            size = min(max(int((number - start) / (_ROUNDS * max(self._board.workers, 2))), least), most)
            cuts.append(min(start + size, number))
        return tuple(cuts)

    def _publish(self, offer: Offer) -> bool:
        self._turn += 1
        name = f"{self._name}-{self._turn}"
        if not self._board.publish(name, offer):
            return False
        self._place = self._board.place_of(name)
        return True

    def _claim(self, left: Mapping[int, object]) -> int | None:
        try:
            return claim(self._place, left, self._board.name)
        except OSError:  # the board is gone, and the helpers with it
            return next(iter(left), None)

    def _do(self, number: int, chunk: Sequence[Point], do: Callable[[Sequence[Point]], Done]) -> None:
        done = replace(do(chunk), worker=self._board.name)
        self._shares[done.worker] += len(done.results)
        # The judge has the results already: without the file, they only do not survive this process.
        with suppress(OSError):
            write(os.path.join(self._place, f"{number}.done"), done)

    def _ended(self, left: Mapping[int, object]) -> dict[int, Done]:
        """Return the outcomes of chunks that other processes did or gave up, by number of the chunk."""
        ended = {}
        for number in left:
            try:
                claimant = os.readlink(os.path.join(self._place, f"{number}.claim"))
            except OSError:
                continue
            # In this order, a claimant that writes its outcome and then ends is never taken for one that did nothing.
            alive = self._board.attendance.lives(claimant)
            done = read(os.path.join(self._place, f"{number}.done"))
            if done is not None or not alive:
                ended[number] = done or Done()
        return ended
