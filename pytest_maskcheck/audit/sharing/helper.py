"""The helper's side of a shared audit."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.sharing.board import Done, claim, write
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from pytest_maskcheck.audit.sharing.board import Board, Offer
    from pytest_maskcheck.results import Point

_START = (0.5, 8)
"""Seconds, and runs, that a helper takes to begin; an offer must have more work left than that."""


class Helper:
    """Helps with one offer; created in the process that ends last, used in the one that audits.

    Parameters:
        board: the board.
        name: the name of the offer.
        offer: the offer.
    """

    def __init__(self, board: Board, name: str, offer: Offer) -> None:
        self.name = name
        self.offer = offer
        self._board = board
        self._place = board.place_of(name)
        self._left = dict(enumerate(offer.chunks))

    @classmethod
    def find(cls, board: Board, known: Container[str]) -> Helper | None:
        """Return a helper for an offer with enough work left whose name is not in ``known``; ``None`` if there is none now."""
        for name, offer in board.offers():
            if name not in known and offer.owner != board.name and _is_worth(board, name, offer):
                return cls(board, name, offer)
        return None

    def work(
        self,
        left_behind: Sequence[str],
        known: Callable[[Sequence[Point]], Mapping[str, Point]],
        do: Callable[[Sequence[Point]], Done],
    ) -> None:
        """Claim and audit chunk after chunk.

        Parameters:
            left_behind: what the uninterrupted test leaves behind in this process; see :class:`Audit`.
            known: returns the points that this process found, by id; at least those among the given ones.
            do: audits points in this process.
        """
        if not {*left_behind} <= {*self.offer.audit.left_anyway}:
            return
        with suppress(OSError):  # raised when the owner has withdrawn the offer
            while self.is_wanted():
                number = claim(self._place, self._left, self._board.name)
                if number is None:
                    return
                chunk = self._left.pop(number)
                mine = known(chunk)
                if any(mine.get(point.id) != point for point in chunk):
                    return  # close() gives the chunk up
                write(os.path.join(self._place, f"{number}.done"), replace(do(chunk), worker=self._board.name))

    def is_wanted(self) -> bool:
        """Return whether the session is open, the owner is present, and the offer still stands."""
        there = self._board.attendance
        return there.is_open() and there.lives(self.offer.owner) and os.path.exists(self._place)

    def close(self) -> None:
        """Give up chunks that were claimed but not done; called in the creating process when the auditing one has ended."""
        with suppress(OSError):
            for name in os.listdir(self._place):
                number, _, what = name.partition(".")
                place = os.path.join(self._place, number)
                mine = what == "claim" and os.readlink(f"{place}.claim") == self._board.name
                if mine and not os.path.exists(f"{place}.done"):
                    write(f"{place}.done", Done(self._board.name))


def _is_worth(board: Board, name: str, offer: Offer) -> bool:
    """Return whether an offer has more work left than a helper takes to begin."""
    free = sum(
        len(chunk)
        for number, chunk in enumerate(offer.chunks)
        if not os.path.lexists(os.path.join(board.place_of(name), f"{number}.claim"))
    )
    seconds, runs = _START
    return (free - runs) * offer.seconds > seconds and board.attendance.lives(offer.owner)
