"""The workers of xdist: the board on which they share long audits, and what they report to the controller.

The controller makes the board and hands its path to each worker on this machine. A worker announces itself before any test runs. When it
has no more tests, it stays and helps with the audits of others until no worker runs tests any more.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_maskcheck.audit.sharing.board import CAN_SPREAD, POLL, Board
from pytest_maskcheck.audit.sharing.helper import Helper
from pytest_maskcheck.audit.sharing.lead import Lead
from pytest_maskcheck.runs.child import CAN_FORK
from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pytest

    from pytest_maskcheck.audit.sharing.journal import Journal
    from pytest_maskcheck.results import Audit

    Assist = Callable[[pytest.Item, Helper], object]


T = TypeVar("T")

_START = 30.0
"""Seconds within which a worker must have begun, so that others wait for it."""


class Workers:
    """This process among the workers of xdist, or their controller, or neither.

    Parameters:
        config: pytest's configuration.
        only: the id of the only point to audit, or ``""``: a single point is not shared.

    Attributes:
        journal: records the audits of this process, if it is a worker.
    """

    def __init__(self, config: pytest.Config, only: str) -> None:
        self._config: Any = config
        self._only = only
        self._board: Board | None = None
        self._nodes: list[str] = []
        self.journal: Journal | None = None
        self.is_worker = hasattr(config, "workerinput")

    @property
    def count(self) -> int:
        """The number of workers; 1 without xdist."""
        number: int = getattr(self._config, "workerinput", {}).get("workercount", 1)
        return number

    def send(self, name: str, value: object) -> None:
        """Send a value to the controller, if this is a worker."""
        if self.is_worker:
            self._config.workeroutput[f"maskcheck_{name}"] = value

    def post(self, name: str, values: Sequence[str]) -> None:
        """Post texts for the controller, which reads them even if this worker dies; without a board, they are sent at its end."""
        self.send(name, [*values])
        if self._board is not None and self.is_worker:
            with suppress(OSError):
                self._board.post(name, [*values])

    # In the controller

    def posted(self, name: str) -> list[str]:
        """Return the texts that workers have posted, if this is the controller."""
        if self._board is None or self.is_worker:
            return []
        return [each for node in self._nodes for each in self._board.posted(name, node) or ()]

    def configure(self, node: Any) -> None:
        """Pass the board's path to a worker on this machine; the worker also reads there whether the session goes on."""
        self._nodes.append(node.gateway.id)
        # A board is a directory, with locks of the local kernel: workers on other machines have none.
        if not (CAN_SPREAD and CAN_FORK and node.gateway.spec.popen):
            return
        with suppress(OSError):  # no room for a board: every worker for itself
            self._board = self._board or Board.make()
            node.workerinput["maskcheck_board"] = self._board.path

    def left_behind(self, test: str, report: Any) -> Audit | None:
        """Return what is known of the audit that a worker was making when it died."""
        return self._board.left_behind(test, report.node.gateway.id) if self._board else None

    def in_progress(self) -> Iterable[Audit]:
        """Return the audits that workers are making, or made last, if this is the controller."""
        return self._board.in_progress() if self._board and not self.is_worker else ()

    def close(self) -> None:
        """Make all workers leave, if this is the controller."""
        if self._board and not self.is_worker:
            self._board.attendance.close_session()

    def remove(self) -> None:
        """Remove the board when all workers are gone, if this is the controller."""
        if self._board and not self.is_worker:
            self._board.remove()

    # In a worker

    def attend(self) -> None:
        """Announce on the board that this worker is running tests."""
        given = getattr(self._config, "workerinput", {})
        if "maskcheck_board" in given:
            board = Board(given["maskcheck_board"], given["workerid"], given["workercount"])
            with suppress(OSError):
                board.attendance.attend()
                self._board = board
                self.journal = board.journal()

    def leave(self) -> None:
        """Withdraw the announcement."""
        if self._board and self.is_worker:
            self._board.attendance.leave()

    def own_part(self, items: Sequence[T]) -> Sequence[T]:
        """Return this worker's part of something that all workers have; all of it without xdist."""
        number = self._number
        return items[len(items) * number // self.count : len(items) * (number + 1) // self.count]

    def gather(self, what: str, mine: Sequence[T]) -> list[T]:
        """Post this worker's part; return the parts of all workers, as far as they come.

        Parameters:
            what: names what is gathered.
            mine: this worker's part.
        """
        if self._board is None or not self.is_worker:
            return [*mine]
        with suppress(OSError):
            self._board.post(what, [*mine])
        return [each for number in range(self.count) for each in self._awaited(what, number)]

    def _awaited(self, what: str, number: int) -> list[Any]:
        """Wait for the part of another worker while that lives, or may still begin to."""
        assert self._board is not None
        name, latest = f"gw{number}", time.perf_counter() + _START
        while self._board.attendance.is_open():
            lives = name == self._board.name or self._board.attendance.lives(name)
            found: list[Any] | None = self._board.posted(what, name)
            if found is not None:
                return found
            if not lives and time.perf_counter() > latest:
                return []
            if lives:
                latest = 0.0  # it has begun: it is not waited for once it is gone
            time.sleep(POLL)
        return []

    @property
    def _number(self) -> int:
        """The number of this worker; one that replaces another has a number of its own, and no part of anything."""
        digits: str = getattr(self._config, "workerinput", {}).get("workerid", "gw0").removeprefix("gw")
        return int(digits) if digits.isdecimal() else self.count

    def lead(self) -> Lead | None:
        """Return a lead, which offers the points of one test to other workers; ``None`` if there are no other workers."""
        return Lead(self._shared_board) if self._shared_board else None

    def shared_file(self) -> str:
        """Return the path of the file where workers share which points they audited; ``""`` if there are no other workers."""
        return self._shared_board.place_of("audited") if self._shared_board else ""

    def is_over(self) -> bool:
        """Return whether this is a worker whose session has ended, or was interrupted."""
        return self.is_worker and self._board is not None and not self._board.attendance.is_open()

    def help(self, items: Iterable[pytest.Item], assist: Assist) -> None:
        """Help with one long audit after another, until no worker runs tests any more.

        Parameters:
            items: the items to audit.
            assist: helps with the audit of one item.
        """
        board = self._shared_board
        if board is None:
            return
        board.attendance.rest()
        by_id: dict[str, pytest.Item] = {}
        for item in items:
            by_id.setdefault(item.nodeid, item)
        known: set[str] = set()
        while board.attendance.is_open():
            helper = Helper.find(board, known)
            if helper is None:
                if not board.attendance.others_run():
                    return
                time.sleep(POLL)
                continue
            known.add(helper.name)
            if helper.offer.audit.test in by_id:
                assist(by_id[helper.offer.audit.test], helper)

    @property
    def _shared_board(self) -> Board | None:
        """The board, if this is one of several workers that help each other."""
        shared = self._board is not None and self.is_worker and self._board.workers > 1 and not self._only
        return self._board if shared else None
