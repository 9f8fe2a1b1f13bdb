"""What the tests of a session have audited so far, by the keys of :mod:`pytest_maskcheck.points.repeats`.

Rules:

1. A key counts as audited without a finding only if the place alone decided the results of all its points: the interrupt was delivered
   there, modules keep what they keep after an uninterrupted run, and nothing was found, not even something that is only listed. One
   thing may be: a leftover that code out of scope, or CPython, acquired and lost on its own. It would be listed again in the same words.
2. Nothing counts from a test that leaves something behind uninterrupted: that is no finding of its own, but may be one of another test.
   Nor does anything where a kind of another plugin failed in the midst of the audit, and was looked at no more.
3. A key counts as failing only if its test is reported as failed: the tests that meet the defect again do not fail by themselves.
4. The workers of xdist share what they audited through one file: a worker appends one line for each test by a single write, and reads
   what others have appended since. A line that is cut off, as on a full disk, is ignored.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from pytest_maskcheck.points.repeats import Repeats
from pytest_maskcheck.reasons import Note, codes_of, reason_of
from pytest_maskcheck.results import Category, Verdict
from pytest_maskcheck.system.unpatched import io, os

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from pytest_maskcheck.results import Audit, Finding, PointResult


class AuditedPoints:
    """The keys that this session has audited.

    Parameters:
        shared: returns the path of the file that the workers share, or ``""``.
    """

    def __init__(self, shared: Callable[[], str] = str) -> None:
        self._shared = shared
        self._clean: dict[str, dict[str, None]] = {}
        self._failing: dict[str, dict[str, None]] = {}
        self._read = 0

    def repeats(self, test: str, least: int | None, settings: str) -> Repeats:
        """Return what other tests have audited.

        Parameters:
            test: the node id of the test that is to be audited.
            least, settings: see :class:`.Repeats`.
        """
        for record in self._others():
            self._take(*record)
        return Repeats(
            least, settings, partial(_others_in, self._clean, test), partial(_others_in, self._failing, test)
        )

    def add(self, audit: Audit, keys: Mapping[str, str], unsettled: Collection[str], *, failed: bool) -> None:
        """Add the points of one audit.

        Parameters:
            audit: the audit.
            keys: id of a point -> its key.
            unsettled: ids of points whose interrupts left modules in another state.
            failed: the test is reported as failed.
        """
        failing = {
            keys[result.point]
            for result in audit.results
            if result.point in keys and any(finding.fails for finding in result.findings)
        }
        record = (audit.test, sorted(clean_keys(audit, keys, unsettled)), sorted(failing) if failed else [])
        if record[1] or record[2]:
            self._take(*record)
            self._append(record)

    def _take(self, test: str, clean: Iterable[str], failing: Iterable[str]) -> None:
        for keys, table in ((clean, self._clean), (failing, self._failing)):
            for key in keys:
                table.setdefault(key, {})[test] = None

    # Between workers

    def _append(self, record: tuple[str, list[str], list[str]]) -> None:
        path = self._shared()
        if not path:
            return
        # Between line ends on both sides, so that it stands alone even after a line that was cut off.
        line = b"\n" + json.dumps(record).encode() + b"\n"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError:  # no room, or the board is gone: the other workers audit these points themselves
            return

    def _others(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield what workers, this one included, have appended since the last call."""
        path = self._shared()
        if not path:
            return
        try:
            with io.open(path, "rb") as file:
                file.seek(self._read)
                text = file.read()
        except OSError:  # nobody has written yet, or the board is gone
            return
        whole = text.rfind(b"\n") + 1  # a worker may be writing the rest
        self._read += whole
        for line in text[:whole].splitlines():
            try:
                test, clean, failing = json.loads(line)
            except ValueError:  # empty, or cut off
                continue
            yield test, clean, failing


def clean_keys(audit: Audit, keys: Mapping[str, str], unsettled: Collection[str]) -> set[str]:
    """Return the keys that count as audited without a finding; parameters as for :meth:`AuditedPoints.add`."""
    noted = {reason_of(note).code for note in audit.notes}
    if audit.refused or audit.broken or audit.left_anyway or Note.RESOURCE_FAILED in noted:
        return set()
    rows = [(keys[result.point], result) for result in audit.results if result.point in keys]
    doubtful = {key for key, result in rows if result.point in unsettled or not _is_settled(result)}
    return {key for key, _ in rows} - doubtful


def _others_in(table: Mapping[str, Mapping[str, None]], test: str, key: str) -> tuple[str, ...]:
    """Return the tests other than ``test`` that have a key."""
    return tuple(other for other in table.get(key, ()) if other != test)


def _is_settled(result: PointResult) -> bool:
    """Return whether the place alone decided the result, and it does not fail the test."""
    if result.reason or result.varies or result.error or not {*codes_of(result.note)} <= _ARRIVALS:
        return False
    return not any(finding.fails or not _is_outside(finding) for finding in result.findings)


_ARRIVALS = {Note.HANDLER, Note.ARRIVED}
"""Notes on how the interrupt arrived that the place decides: in code that the line calls, through the handler that the key names."""


def _is_outside(finding: Finding) -> bool:
    """Return whether code out of scope, or CPython, lost a thing on its own: what the test passed to it does not matter."""
    if finding.verdict is Verdict.INTERPRETER:
        return True
    return finding.verdict is Verdict.LEAK and finding.category is Category.INSIDE
