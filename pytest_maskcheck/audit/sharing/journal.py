"""The messages of the audit that a worker is making, in a file that survives the worker.

Rules:

1. What was found is written at once. Clean results wait for others, up to :data:`_WAIT`: a write costs about as much as a short run, and
   what is pickled together takes less time.
2. The file is opened for each write: a descriptor that stayed open would look to the audit like something that its processes share.
3. A file that ends in the middle of a message is read up to there: the worker was killed while it wrote.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.messages import Collected
from pytest_maskcheck.results import Audit, PointResult
from pytest_maskcheck.system.unpatched import io, os, pickle, time

if TYPE_CHECKING:
    from pytest_maskcheck.reasons import Reason

_WAIT = 0.2
"""Seconds that a clean result may wait to be written; no longer than until the next message, whenever that comes."""


class Journal:
    """Records the audit of one test after the other.

    Parameters:
        path: the file, which has the latest test.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._waiting: list[object] = []
        self._written = 0.0

    def begin(self, outline: Audit) -> None:
        """Begin with a test, or anew with the same one, whose audit is known in outline."""
        self._waiting = []
        self._write((outline, time.time()), "wb")

    def add(self, message: object) -> None:
        """Record a message of the audit."""
        if message is None:  # only shows that the auditing process lives
            return
        self._waiting.append(message)
        is_clean = isinstance(message, PointResult) and not message.findings
        if not is_clean or time.perf_counter() - self._written > _WAIT:
            waiting, self._waiting = self._waiting, []
            self._write(waiting, "ab")

    def _write(self, content: object, mode: str) -> None:
        # No room, the board is gone, or a message that cannot be recorded: none of them is a reason to end an audit.
        with suppress(Exception), io.open(self._path, mode) as file:
            file.write(pickle.dumps(content))
        self._written = time.perf_counter()


def audit_in(path: str, test: str | None, died: Reason | None, more: Collected | None = None) -> Audit | None:
    """Return the audit in a journal; ``None`` if there is none.

    Parameters:
        path: the file.
        test: the test that is wanted; ``None``: any.
        died: why points without a result have none; ``None``: as the audit ended early.
        more: results and notes from elsewhere.
    """
    collected = Collected()
    try:
        with io.open(path, "rb") as file:
            outline, began = pickle.load(file)
            if test not in (None, outline.test):
                return None
            with suppress(EOFError, pickle.UnpicklingError):
                while True:
                    for message in pickle.load(file):
                        collected.take(message)
            seconds = os.fstat(file.fileno()).st_mtime - began
    except Exception:  # noqa: BLE001  (not there, cut off, or written by another version of this package: of no use)
        return None
    if more is not None:
        collected.results = more.results | collected.results
        collected.notes += [note for note in more.notes if note not in collected.notes]
    collected.refused = collected.refused or died or ""
    return collected.audit(outline, max(seconds, 0.0))
