"""The board: offers, claims and results, as files in a directory. :mod:`pytest_maskcheck.audit.sharing` has the rules."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.audit.messages import Collected
from pytest_maskcheck.audit.sharing.attendance import Attendance
from pytest_maskcheck.audit.sharing.journal import Journal, audit_in
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.results import Audit, PointResult
from pytest_maskcheck.system.unpatched import HAS_FCNTL, io, os, pickle, shutil, tempfile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_maskcheck.results import Point

CAN_SPREAD = HAS_FCNTL

POLL = 0.05
"""Seconds between two readings of the board."""

DIED = Reason(NotAudited.WORKER_DIED)
"""Why points are not audited if their owner died."""

_OFFER = "offer-"
_JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Offer:
    """Points that any worker may audit.

    Parameters:
        owner: the process that audits the test.
        audit: what the owner has found out about the test so far, with the points on offer and without results.
        cuts: the positions where the chunks end.
        seconds: duration of the audit of one point.
        firsts: for points with a second interrupt, the result of the first one alone, by id.
        left_anyway: kind and key of what the uninterrupted test leaves behind -> how many of them.
    """

    owner: str
    audit: Audit
    cuts: tuple[int, ...]
    seconds: float
    firsts: dict[str, PointResult] = field(default_factory=dict)
    left_anyway: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def chunks(self) -> list[tuple[Point, ...]]:
        """The points, chunk by chunk."""
        starts = (0, *self.cuts)
        return [self.audit.points[start:end] for start, end in zip(starts, self.cuts, strict=False)]


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a chunk; one without results was given up.

    Parameters:
        worker: the process that did it.
        results: the results of its points.
        notes: the notes that the audit of the chunk gave.
        allowed: kind and key of each finding that was dropped -> ids of its points.
        unsettled: see :class:`.Judge`.
        since: see :class:`.CleanupRecord`.
    """

    worker: str = ""
    results: tuple[PointResult, ...] = ()
    notes: tuple[str, ...] = ()
    allowed: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    unsettled: frozenset[str] = frozenset()
    since: frozenset[tuple[str, int]] | None = frozenset()


class Board:
    """A board, as one process sees it.

    Parameters:
        path: the directory.
        name: the name of this process.
        workers: the number of processes that may help.

    Attributes:
        attendance: which processes are present.
    """

    def __init__(self, path: str, name: str, workers: int) -> None:
        self.path = path
        self.name = name
        self.workers = workers
        self.attendance = Attendance(path, name)
        self._offers = 0
        self._seen: dict[str, Offer] = {}

    @classmethod
    def make(cls) -> Board:
        """Make a board; it is open until this process closes it or ends.

        Raises:
            OSError: there is no room for one.
        """
        board = cls(os.path.realpath(tempfile.mkdtemp(prefix="maskcheck-")), "session", 0)
        try:
            board.attendance.open_session()
        except OSError:
            board.remove()
            raise
        return board

    def remove(self) -> None:
        """Close the board and remove what is on it."""
        self.attendance.close_session()
        shutil.rmtree(self.path, ignore_errors=True)

    def new_name(self) -> str:
        """Return a name for the offers of another test of this process."""
        self._offers += 1
        return f"{_OFFER}{self.name}-{self._offers}"

    def place_of(self, name: str) -> str:
        """Return the directory of an offer."""
        return os.path.join(self.path, name)

    def publish(self, name: str, offer: Offer) -> bool:
        """Put an offer on the board; return whether that was possible."""
        aside = self.place_of(f"new-{name}")
        try:
            os.mkdir(aside, 0o700)
            write(os.path.join(aside, "offer"), offer)
            os.rename(aside, self.place_of(name))
        except OSError:
            return False
        return True

    def offers(self, begins: str = _OFFER) -> Iterator[tuple[str, Offer]]:
        """Yield all offers whose names start with ``begins``, each with its name; those of one process come in the order it made them."""
        try:
            names = [name for name in os.listdir(self.path) if name.startswith(begins)]
        except OSError:
            return
        for name in sorted(names, key=lambda name: [int(part) for part in name.rsplit("-", 2)[1:]]):
            if name not in self._seen and (offer := read(os.path.join(self.path, name, "offer"))):
                self._seen[name] = offer
            if name in self._seen:
                yield name, self._seen[name]

    def done(self, name: str, offer: Offer) -> Iterator[Done]:
        """Yield the outcomes of an offer so far, chunk by chunk."""
        for number in range(len(offer.cuts)):
            if done := read(os.path.join(self.path, name, f"{number}.done")):
                yield done

    def post(self, what: str, content: object) -> None:
        """Post something for all other processes.

        Raises:
            OSError: there is no room, or the board is gone.
        """
        write(self.place_of(f"{what}-{self.name}"), content)

    def posted(self, what: str, by: str) -> Any:
        """Return what another process has posted; ``None`` if it has not."""
        return read(self.place_of(f"{what}-{by}"))

    def journal(self) -> Journal:
        """Return the journal of this process's audits."""
        return Journal(self._journal_of(self.name))

    def left_behind(self, test: str | None, owner: str, why: Reason | None = DIED) -> Audit | None:
        """Return an audit that its owner has not reported, with what helpers found; ``None`` if the owner was not auditing the test.

        Parameters:
            test: the test; ``None``: the latest one of the owner, whichever that was.
            owner: the process that audits it.
            why: why points without a result have none; ``None``: as the audit ended early.
        """
        kept = audit_in(self._journal_of(owner), test, why)
        if kept is None:
            return None
        helped = Collected()
        for name, offer in self.offers():
            if (offer.audit.test, offer.owner) == (kept.test, owner):
                for done in self.done(name, offer):
                    helped.results |= {result.point: result for result in done.results}
                    helped.notes += [note for note in done.notes if note not in helped.notes]
        return audit_in(self._journal_of(owner), test, why, helped) if helped.results else kept

    def in_progress(self) -> Iterator[Audit]:
        """Yield the latest audit of each worker, as far as it is known; that may have been reported."""
        with suppress(OSError):
            for name in sorted(os.listdir(self.path)):
                begin, _, owner = name.partition("-")
                if begin == _JOURNAL and (audit := self.left_behind(None, owner, None)):
                    yield audit

    def _journal_of(self, name: str) -> str:
        return self.place_of(f"{_JOURNAL}-{name}")


def claim(place: str, left: Mapping[int, object], name: str) -> int | None:
    """Claim the first chunk of an offer that nobody has claimed.

    Parameters:
        place: the directory of the offer.
        left: numbers of the chunks to choose from.
        name: the claimant.

    Returns:
        The number of the chunk; ``None`` if all are claimed.

    Raises:
        OSError: the offer is gone.
    """
    for number in left:
        try:
            os.symlink(name, os.path.join(place, f"{number}.claim"))
        except FileExistsError:
            continue
        return number
    return None


def write(path: str, content: object) -> None:
    """Write a file that appears as a whole.

    Raises:
        OSError: there is no room, or the directory is gone.
    """
    aside = f"{path}.{os.getpid()}"
    with io.open(aside, "wb") as file:
        pickle.dump(content, file)
    os.replace(aside, path)


def read(path: str) -> Any:
    """Return the content of a file, or ``None``."""
    try:
        with io.open(path, "rb") as file:
            return pickle.load(file)
    except Exception:  # noqa: BLE001  (not there, or written by another version of this package: of no use)
        return None
