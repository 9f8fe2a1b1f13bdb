"""One audit by several processes: a directory, the board, on which points are offered, claimed and done.

Who audits a test, the owner, offers its points in chunks. Who has nothing else to do, a helper, finds the same points in a process of
its own and takes chunks from the front, as the owner does. The owner tells all results as its own: there is one audit.

Rules:

1. A chunk is claimed by a symbolic link that names who claims it: of several that try, the file system lets one succeed.
2. What is written appears as a whole: it is written aside and renamed.
3. Who is there holds a lock on a file of its own. The locks are those of POSIX: a process has them for itself, forked children neither
   inherit nor release them, and they end with the process, however that ends. Nobody opens its own file a second time, which
   would release the lock.
4. A claimed chunk without a result whose claimant has ended, or has given it up, is done by the owner: with a helper nothing is lost.
5. The owner, too, writes down what it has done, and it stays until all has been told: it survives the owner.
6. A helper does what it would have planned itself: it gives a chunk up in which it does not find the very same points, and
   does not help if the uninterrupted test leaves more behind there than it does with the owner.
7. Only ends of chunks are waited for that somebody alive has claimed. A helper leaves when the board is closed or whoever made
   it has ended, when the owner has ended, and when nobody runs tests any more.

What does not work: a board cannot be shared by machines, and needs symbolic links and ``fcntl``. A chunk begins in a clean
process, which costs two more runs; so short audits are not offered, and chunks grow smaller only towards the end.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.reasons import count
from pytest_maskcheck.results import Audit, PointResult
from pytest_maskcheck.system.unpatched import HAS_FCNTL, fcntl, io, os, pickle, shutil, tempfile, time

CAN_SPREAD = HAS_FCNTL

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    from pytest_maskcheck.results import Point

_LONG = 1.0
"""Seconds of work from which on points are offered."""

_LEAST = (0.3, 8)
"""Seconds, and points, of work in the smallest chunk."""

_MOST = (5.0, 60)
"""Seconds, or points, of work in the largest one, of which more would be lost with a process."""

_START = (0.5, 8)
"""Seconds, and runs, that a helper takes to begin: it does not come for less."""

_MARGIN = 0.001
"""Seconds that a point costs beyond its run."""

POLL = 0.05
"""Seconds between two looks at the board."""

_OFFER = "offer-"
_SESSION = "session"
DIED = "the worker died"
"""Why points are not audited that an owner left behind."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Points that anybody may audit.

    Parameters:
        owner: who audits the test.
        audit: what the owner knows of the audit so far, the points on offer included, without results.
        cuts: the positions at which its chunks end.
        seconds: how long a point takes.
        firsts: for points with a second interrupt, what the first one alone does.
        baseline: kind and key of what the uninterrupted test leaves behind -> how many of them.
    """

    owner: str
    audit: Audit
    cuts: tuple[int, ...]
    seconds: float
    firsts: dict[str, PointResult] = field(default_factory=dict)
    baseline: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def chunks(self) -> list[tuple[Point, ...]]:
        """The points, chunk by chunk."""
        starts = (0, *self.cuts)
        return [self.audit.points[start:end] for start, end in zip(starts, self.cuts, strict=False)]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a chunk; without results it is given up.

    Parameters:
        worker: who did it.
        results: those of its points.
        notes: what else a reader should know.
        allowed: kind and key of what was found and dropped -> the points at which it was.
    """

    worker: str = ""
    results: tuple[PointResult, ...] = ()
    notes: tuple[str, ...] = ()
    allowed: dict[tuple[str, str], set[str]] = field(default_factory=dict)


class Board:
    """A board, as one process sees it.

    Parameters:
        path: the directory.
        name: who looks at it.
        workers: how many may look for work.
    """

    def __init__(self, path: str, name: str, workers: int) -> None:
        """Hold no lock yet."""
        self.path = path
        self.name = name
        self.workers = workers
        self._locks: dict[str, int] = {}
        self._offers = 0
        self._seen: dict[str, Offer] = {}

    # Whose board it is

    @classmethod
    def make(cls) -> Board:
        """Make a board; it is open until this process closes it or ends.

        Raises:
            OSError: there is no room for one.
        """
        board = cls(os.path.realpath(tempfile.mkdtemp(prefix="maskcheck-")), _SESSION, 0)
        try:
            board._hold(_SESSION)
        except OSError:
            board.remove()
            raise
        return board

    def close(self) -> None:
        """Make everybody leave."""
        self._release(_SESSION)

    def remove(self) -> None:
        """Close the board and remove what is on it."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def left_behind(self, test: str, owner: str) -> Audit | None:
        """Return what is known of the audit of a test whose owner has died; ``None`` if it was not offered."""
        offers = [each for each in self.offers() if (each[1].audit.test, each[1].owner) == (test, owner)]
        if not offers:
            return None
        done = [each for name, offer in offers for each in self.done(name, offer)]
        found = {result.point: result for each in done for result in each.results}
        notes = dict.fromkeys(note for each in done for note in each.notes)
        points = tuple(point for _, offer in offers for point in offer.audit.points)
        results = tuple(found.get(point.id) or PointResult(point.id, reason=DIED) for point in points)
        return replace(offers[-1][1].audit, points=points, results=results, notes=tuple(notes))

    def done(self, name: str, offer: Offer) -> Iterator[Done]:
        """Yield what came of an offer so far, chunk by chunk."""
        for number in range(len(offer.cuts)):
            if done := _read(os.path.join(self.path, name, f"{number}.done")):
                yield done

    # Who is there

    def attend(self) -> None:
        """Be there, and have tests to run.

        Raises:
            OSError: the board is gone.
        """
        self._hold(f"{self.name}.alive")
        self._hold(f"{self.name}.runs")

    def rest(self) -> None:
        """Have no more tests to run."""
        self._release(f"{self.name}.runs")

    def leave(self) -> None:
        """Be there no more."""
        self.rest()
        self._release(f"{self.name}.alive")

    def is_open(self) -> bool:
        """Tell whether the session goes on."""
        return self._is_held(_SESSION)

    def lives(self, name: str) -> bool:
        """Tell whether somebody is still there."""
        return self._is_held(f"{name}.alive")

    def others_run(self) -> bool:
        """Tell whether anybody else has tests to run."""
        with suppress(OSError):
            for entry in os.listdir(self.path):
                if entry.endswith(".runs") and entry != f"{self.name}.runs" and self._is_held(entry):
                    return True
        return False

    def _hold(self, name: str) -> None:
        descriptor = os.open(os.path.join(self.path, name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        self._locks[name] = descriptor

    def _release(self, name: str) -> None:
        descriptor = self._locks.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def _is_held(self, name: str) -> bool:
        """Tell whether another process holds a lock."""
        try:
            descriptor = os.open(os.path.join(self.path, name), os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    # What is to be done

    def lead(self) -> Lead:
        """Return what offers the points of one test."""
        self._offers += 1
        return Lead(self, f"{_OFFER}{self.name}-{self._offers}")

    def look(self, known: Container[str]) -> Helper | None:
        """Return work that is worth coming for, other than what is ``known``; ``None`` if there is none now."""
        for name, offer in self.offers():
            if name not in known and offer.owner != self.name and self._is_worth(name, offer):
                return Helper(self, name, offer)
        return None

    def _is_worth(self, name: str, offer: Offer) -> bool:
        free = sum(
            len(chunk)
            for number, chunk in enumerate(offer.chunks)
            if not os.path.lexists(os.path.join(self.path, name, f"{number}.claim"))
        )
        seconds, runs = _START
        return (free - runs) * offer.seconds > seconds and self.lives(offer.owner)

    def offers(self, begins: str = _OFFER) -> Iterator[tuple[str, Offer]]:
        """Yield all offers with names that begin so, in the order in which they were made."""
        try:
            names = [name for name in os.listdir(self.path) if name.startswith(begins)]
        except OSError:
            return
        for name in sorted(names, key=lambda name: [int(part) for part in name.rsplit("-", 2)[1:]]):
            if name not in self._seen and (offer := _read(os.path.join(self.path, name, "offer"))):
                self._seen[name] = offer
            if name in self._seen:
                yield name, self._seen[name]


class Lead:
    """Spreads the points of one test; made in the process that ends last, works in the one that audits.

    Parameters:
        board: where to.
        name: begins the names of the directories.
    """

    def __init__(self, board: Board, name: str) -> None:
        """Offer nothing yet."""
        self._board = board
        self._name = name
        self._turn = 0
        self._place = ""
        self._shares: Counter[str] = Counter()

    def work(
        self,
        audit: Audit,
        seconds: float,
        *,
        do: Callable[[Sequence[Point]], Done],
        take: Callable[[Done], object],
        wait: Callable[[], object],
        firsts: Mapping[str, PointResult] | None = None,
        baseline: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        """Audit the points, together with whoever comes.

        Parameters:
            audit: the points, and what is known so far.
            seconds: how long a run takes.
            do: audits points in this process.
            take: is given what others did.
            wait: is called now and then while there is nothing to do here.
            firsts: see :class:`Offer`.
            baseline: see there.
        """
        seconds += _MARGIN
        cuts = self._cuts(len(audit.points), seconds)
        offer = Offer(self._board.name, audit, cuts, seconds, dict(firsts or {}), dict(baseline or {}))
        if len(audit.points) * seconds < _LONG or not self._publish(offer):
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

    def note(self) -> str:
        """Return who audited how many points; ``""`` if nobody came."""
        shares = {name: number for name, number in sorted(self._shares.items()) if number}
        if not shares.keys() - {self._board.name}:
            return ""
        told = ", ".join(f"{name} audited {count(number, 'point')}" for name, number in shares.items())
        return f"divided over workers: {told}"

    def found(self) -> dict[str, PointResult]:
        """Return all results that have been written down."""
        offers = self._board.offers(f"{self._name}-")
        done = [each for name, offer in offers for each in self._board.done(name, offer)]
        return {result.point: result for each in done for result in each.results}

    def close(self) -> None:
        """Take back what was offered, in the process that made this."""
        with suppress(OSError):
            for name in os.listdir(self._board.path):
                if name.startswith(f"{self._name}-"):
                    over = os.path.join(self._board.path, f"over-{name}")
                    os.rename(os.path.join(self._board.path, name), over)
                    shutil.rmtree(over, ignore_errors=True)

    def _cuts(self, number: int, seconds: float) -> tuple[int, ...]:
        """Return where chunks end: the fewer points are left, the smaller they are."""
        least = max(round(_LEAST[0] / seconds), _LEAST[1])
        most = max(round(_MOST[0] / seconds), _MOST[1])
        cuts: list[int] = []
        while (start := cuts[-1] if cuts else 0) < number:
            size = min(max((number - start) // (2 * max(self._board.workers, 2)), least), most)
            cuts.append(min(start + size, number))
        return tuple(cuts)

    def _publish(self, offer: Offer) -> bool:
        self._turn += 1
        place = os.path.join(self._board.path, f"{self._name}-{self._turn}")
        aside = os.path.join(self._board.path, f"new-{self._name}-{self._turn}")
        try:
            os.mkdir(aside, 0o700)
            _write(os.path.join(aside, "offer"), offer)
            os.rename(aside, place)
        except OSError:
            return False
        self._place = place
        return True

    def _claim(self, left: Mapping[int, object]) -> int | None:
        try:
            return _claim(self._place, left, self._board.name)
        except OSError:  # the board is gone, and with it all help
            return next(iter(left), None)

    def _do(self, number: int, chunk: Sequence[Point], do: Callable[[Sequence[Point]], Done]) -> None:
        done = replace(do(chunk), worker=self._board.name)
        self._shares[done.worker] += len(done.results)
        with suppress(OSError):
            _write(os.path.join(self._place, f"{number}.done"), done)

    def _ended(self, left: Mapping[int, object]) -> dict[int, Done]:
        """Return what others have done, or have given up, by number of the chunk."""
        ended = {}
        for number in left:
            try:
                claimant = os.readlink(os.path.join(self._place, f"{number}.claim"))
            except OSError:
                continue
            alive = self._board.lives(claimant)
            done = _read(os.path.join(self._place, f"{number}.done"))
            if done is not None or not alive:
                ended[number] = done or Done()
        return ended


class Helper:
    """Helps with one offer; made in the process that ends last, works in the one that audits.

    Parameters:
        board: where it is.
        name: its directory.
        offer: what is on offer.
    """

    def __init__(self, board: Board, name: str, offer: Offer) -> None:
        """Claim nothing yet."""
        self.name = name
        self.offer = offer
        self._board = board
        self._place = os.path.join(board.path, name)
        self._left = dict(enumerate(offer.chunks))

    def work(
        self,
        left_behind: Sequence[str],
        known: Callable[[Sequence[Point]], Mapping[str, Point]],
        do: Callable[[Sequence[Point]], Done],
    ) -> None:
        """Do chunk after chunk.

        Parameters:
            left_behind: what the uninterrupted test leaves behind in this process; see :class:`Audit`.
            known: returns the points known here, by id, those among the given ones at least.
            do: audits points in this process.
        """
        if not {*left_behind} <= {*self.offer.audit.baseline}:
            return
        with suppress(OSError):  # the owner has taken the offer back
            while self.is_wanted():
                number = _claim(self._place, self._left, self._board.name)
                if number is None:
                    return
                chunk = self._left.pop(number)
                mine = known(chunk)
                if any(mine.get(point.id) != point for point in chunk):
                    return
                _write(os.path.join(self._place, f"{number}.done"), replace(do(chunk), worker=self._board.name))

    def is_wanted(self) -> bool:
        """Tell whether the session and the owner are there, and wait for results."""
        return self._board.is_open() and self._board.lives(self.offer.owner) and os.path.exists(self._place)

    def close(self) -> None:
        """Give up what was claimed and not done, in the process that made this, when the one that works has ended."""
        with suppress(OSError):
            for name in os.listdir(self._place):
                number, _, what = name.partition(".")
                place = os.path.join(self._place, number)
                mine = what == "claim" and os.readlink(f"{place}.claim") == self._board.name
                if mine and not os.path.exists(f"{place}.done"):
                    _write(f"{place}.done", Done(self._board.name))


def _claim(place: str, left: Mapping[int, object], name: str) -> int | None:
    """Claim the first chunk that nobody has claimed; return its number, or ``None``."""
    for number in left:
        try:
            os.symlink(name, os.path.join(place, f"{number}.claim"))
        except FileExistsError:
            continue
        return number
    return None


def _write(path: str, content: object) -> None:
    aside = f"{path}.{os.getpid()}"
    with io.open(aside, "wb") as file:
        pickle.dump(content, file)
    os.replace(aside, path)


def _read(path: str) -> Any:
    """Return what was written, or ``None``."""
    try:
        with io.open(path, "rb") as file:
            return pickle.load(file)
    except Exception:  # noqa: BLE001  (not there, or by another version of this package: nobody can use it)
        return None
