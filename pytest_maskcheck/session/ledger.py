"""The ledger: the guarantees of one test over all runs of its audit, and their check.

The runner checks them after the interrupt has come out of the body, its traceback and the test's frames are gone, and garbage is
collected, but before the last reading of resources. Then everything that was registered is dropped: what a check keeps alive would look
like a leak.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_maskcheck.reasons import Note, Reason
from pytest_maskcheck.results import Finding, Verdict
from pytest_maskcheck.session.comparison import copied, equal, short
from pytest_maskcheck.session.guarantee import GUARANTEES
from pytest_maskcheck.system.bytecode import returns_nothing
from pytest_maskcheck.system.plain import described
from pytest_maskcheck.system.unpatched import os
from pytest_maskcheck.system.untrusted import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_maskcheck.session.guarantee import Guarantee
    from pytest_maskcheck.settings import Allow

_LINES = 30
"""Lines shown of one difference."""


class Watched(Protocol):
    """The recording of a run; see :class:`pytest_maskcheck.interrupts.Recording`."""

    paused: bool


_Identity = tuple[str, str, int]


class Ledger:
    """The guarantees of one test, over all runs of its audit.

    A value that is ``atomic`` may also end up as the uninterrupted test leaves it. This final value is read after the uninterrupted runs,
    and counts only if the last two of them agree.

    Parameters:
        item: the test; its plugins explain differences.
        key: replaces the parts of a name that differ from run to run.
        here: runs share the session's process, so a ``KeyboardInterrupt`` may be the user's own and is passed on.

    Attributes:
        allowed: leftovers that the test accepts; a dictionary, used as an ordered set.
        struck: returns whether the (last) interrupt of the run was sent.
        used: the test uses the fixture, so that what is judged depends on the test.
    """

    def __init__(self, item: pytest.Item, key: Callable[[str], str], *, here: bool = False) -> None:
        self._item = item
        self._key = key
        self._here = here
        self._watched: Watched | None = None
        self._depth = 0
        self._ends: deque[dict[_Identity, object]] = deque(maxlen=2)
        self._completed: dict[_Identity, object] = {}
        self._settled = False
        self.allowed: dict[Allow, None] = {}
        self.struck: Callable[[], bool] = _never
        self.used = False

    # Where interrupts are sent

    def watch(self, recording: Watched | None) -> None:
        """From now on, mark the hits in this recording that come while interrupts are paused."""
        self._watched = recording
        self._note()

    def pause(self) -> None:
        """Pause interrupts; pauses nest."""
        self._depth += 1
        self._note()

    def resume(self) -> None:
        """End one pause."""
        self._depth -= 1
        self._note()

    def _note(self) -> None:
        if self._watched is not None:
            self._watched.paused = self._depth > 0

    def start(self) -> None:
        """Begin a run: nothing is paused, and no interrupt has been sent."""
        self.used = True
        self._depth = 0
        self._note()
        self.struck = _never

    # What has to hold

    def begin(self, struck: Callable[[], bool]) -> None:
        """Store the function that returns whether the (last) interrupt of the run was sent."""
        self.struck = struck

    @property
    def asked(self) -> bool:
        """Whether the run that ended has anything to check."""
        return bool(self._guarantees())

    def _guarantees(self) -> list[Guarantee]:
        return self._item.stash.get(GUARANTEES, [])

    def check(self, *, returned: bool) -> tuple[Finding, ...]:
        """Return what does not hold after a run; after an uninterrupted one, record the final values.

        Parameters:
            returned: no exception came out of the body.
        """
        struck = self.struck()
        ends: dict[_Identity, object] = {}
        found: list[Finding] = []
        numbers: Counter[tuple[str, str]] = Counter()
        for guarantee in self._guarantees():
            name = (guarantee.sort, self._key(guarantee.name) if os.path.isabs(guarantee.name) else guarantee.name)
            numbers[name] += 1
            identity = (*name, numbers[name])
            lines: list[str] = []
            if guarantee.sort == "invariant":
                lines = self._tried(partial(self._invariant, guarantee))
            elif struck and not guarantee.late:
                lines = self._tried(partial(self._kept, guarantee, identity, returned=returned))
            elif not struck and not self._settled:
                self._remember(guarantee, identity, ends)
            if lines:
                found.append(Finding(Verdict.INVARIANT, *name, "\n".join(lines)))
        if not struck and not self._settled:
            self._ends.append(ends)
        return tuple(found)

    def forget(self) -> None:
        """Drop what was registered for the run."""
        self._guarantees().clear()

    def settle(self) -> Iterator[Reason]:
        """Fix the final values that the last two uninterrupted runs agree on; yield a note for each value that cannot be judged."""
        self._settled = True
        first, last = (self._ends[0], self._ends[-1]) if self._ends else ({}, {})
        for identity, value in {**first, **last}.items():
            if identity in first and identity in last and self._same(first[identity], value):
                self._completed[identity] = value
            elif identity[0] == "atomic":
                yield Reason(Note.NOT_JUDGED, name=identity[1])
        self._ends.clear()

    @staticmethod
    def _same(left: object, right: object) -> bool:
        try:
            return type(left) is not _Unknown and equal(left, right)
        except Exception:  # noqa: BLE001  (the user's __eq__)
            return False

    def _remember(self, guarantee: Guarantee, identity: _Identity, ends: dict[_Identity, object]) -> None:
        try:
            ends[identity] = copied(guarantee.sort, guarantee.read(), "it")
        except KeyboardInterrupt:
            raise
        except Exception:  # noqa: BLE001  (the user's own code; a value that cannot be read at the end cannot be judged)
            ends[identity] = _Unknown()

    def _tried(self, check: Callable[[], list[str]]) -> list[str]:
        """Return the lines that ``check`` returns; an exception becomes a line, too."""
        try:
            return check()
        except KeyboardInterrupt as error:
            if self._here:
                raise
            return [f"the check raised {type(error).__name__}"]
        except AssertionError as error:
            return _lines(text_of(error).splitlines() or ["the check raised AssertionError"])
        except BaseException as error:  # noqa: BLE001  (whatever the user's code raises is the result)
            return _lines([f"the check raised {described(error)}"])

    def _invariant(self, guarantee: Guarantee) -> list[str]:
        value = guarantee.read()
        return [] if value or (value is None and _asserts(guarantee.read)) else [f"the check returned {short(value)}"]

    def _kept(self, guarantee: Guarantee, identity: _Identity, *, returned: bool) -> list[str]:
        now = guarantee.read()
        if equal(guarantee.before, now):
            return []
        both = guarantee.sort == "atomic" or returned
        # Without a final value that is the same in all uninterrupted runs, there is nothing to judge by.
        if both and (identity not in self._completed or equal(self._completed[identity], now)):
            return []
        lines = ["it is not what it was: " + self._difference(guarantee.before, now)]
        if both:
            lines.append("and not what it is at the end: " + self._difference(self._completed[identity], now))
        return "\n".join(lines).splitlines()

    def _difference(self, left: object, right: object) -> str:
        """Return pytest's explanation of ``assert left == right``."""
        try:
            said = self._item.ihook.pytest_assertrepr_compare(config=self._item.config, op="==", left=left, right=right)
            lines = next(
                (found for one in said if one and (found := [text for line in one if (text := str(line))])), []
            )
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  (somebody else's plugin, and texts of the user's)
            lines = []
        return "\n".join(_lines(lines or [f"{short(left)} == {short(right)}"]))


class _Unknown:
    """The value of a guarantee that could not be read."""


def _never() -> bool:
    return False


def _lines(lines: list[str]) -> list[str]:
    more = len(lines) - _LINES
    return lines if more <= 0 else [*lines[:_LINES], f"... and {more} more lines"]


def _asserts(check: Callable[..., object]) -> bool:
    """Return whether a function always returns ``None``, so that only its ``assert`` statements can fail."""
    code = getattr(getattr(check, "__func__", check), "__code__", None)
    return code is not None and returns_nothing(code)


LEDGER = pytest.StashKey[Ledger]()
"""The key under which an item's stash holds the ledger while the item is audited."""
