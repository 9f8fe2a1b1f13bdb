"""Results of earlier sessions: which of them still hold, and which of this session are kept.

1. A result holds if its basis is the same (:mod:`.basis`). The test itself runs nevertheless, once: only the audit is left out.
2. Kept are results that another audit would find again: of whole audits, without errors. What is left out for a reason that is the same
   each time, such as a comment, is no obstacle. If points stayed undecided by chance, as where a test takes another way each time, the
   next session tries once more; then the result is kept with the points that are undecided still.
3. A result is not kept if code that decides it was edited since the session began: what was loaded may be older than the file.
4. A test that left out points because others audit them leans on these: its result holds only while theirs still have the points, or
   have them again, as a test that was audited anew earlier in this session. Line numbers do not count in that.
5. Nothing is read unless the user wants it. Results are written whenever there is a place for them, so that the first session with
   ``--maskcheck-changed`` profits from the one before it.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_maskcheck.audit.audited_points import clean_keys
from pytest_maskcheck.points.deciding_code import Reached
from pytest_maskcheck.points.source_files import SourceFiles
from pytest_maskcheck.reasons import NotAudited, Note, Reason, reason_of
from pytest_maskcheck.results import Audit
from pytest_maskcheck.results.briefs import brief
from pytest_maskcheck.results.encoding import texts_in
from pytest_maskcheck.session.basis import Bases
from pytest_maskcheck.session.result_store import ResultStore, Row, UnusableStoreError
from pytest_maskcheck.system.breakdown import breakdown_of
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.unpatched import os, time

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pytest_maskcheck.reasons import Code
    from pytest_maskcheck.session.audited_items import AuditedItems
    from pytest_maskcheck.session.outcome import Outcome
    from pytest_maskcheck.settings import SessionSettings

T = TypeVar("T")

_FILE = "results.sqlite"
_FOLDER = "maskcheck"

STEADY = frozenset(
    {
        NotAudited.EXCLUDED,
        NotAudited.HARNESS,
        NotAudited.HITS,
        NotAudited.IGNORED,
        NotAudited.MAX_POINTS,
        NotAudited.NO_SOURCE,
        NotAudited.OUT_OF_SCOPE,
        NotAudited.PAUSED,
        NotAudited.REMOVED,
        NotAudited.REPEATED,  # as long as the other test audits them without a finding
        NotAudited.FIRST_HAS_FINDING,
        NotAudited.FIRST_UNSEEN,
        NotAudited.TRACING_ENDS,
        NotAudited.HELD_BACK,
        NotAudited.HELD_BACK_PAST_TEST,
        NotAudited.SIGNAL_DEFAULT,
        NotAudited.SIGNAL_IGNORED,
        NotAudited.FOUND,  # as long as the test with the defect still fails
        NotAudited.FROZEN,
        NotAudited.NOT_PYTHON,
        NotAudited.NO_FILE,
        NotAudited.LATE_FIXTURE,
        NotAudited.PATCHED_FORK,
        NotAudited.SESSIONS_PROCESS,
    }
)
"""Reasons for which another audit would leave out the same."""

CHANCE = frozenset(
    {
        NotAudited.FAILED_BEFORE,
        NotAudited.NOT_REACHED,
        NotAudited.NOT_REACHED_AFTER_FIRST,
        NotAudited.OTHER_CONTEXT,
        NotAudited.UNMEASURED,
    }
)
"""Reasons for which another audit may leave out something else: a run took another way."""

_UNSTEADY_NOTES = {Note.HOOK_FAILED, Note.RESOURCE_FAILED, Note.UNTRACED}
"""Notes that the next session should have, too."""


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """A result of an earlier session that still holds.

    Parameters:
        brief: what the summary needs, as JSON, if the audit found nothing.
        audit: the whole audit, if that is needed.
    """

    brief: str = ""
    audit: Audit | None = None


class Earlier:
    """The results of earlier sessions, and those of this session for later ones.

    Parameters:
        config: pytest's configuration.
        items: the tests to audit.
        store: where results are kept.
        chosen: settings of the session.
        name: the name of this session; that of the interrupted one if it goes on.
        reads: results of earlier sessions may be used.

    Attributes:
        bases: determines the basis of each test.
    """

    def __init__(
        self,
        config: pytest.Config,
        items: AuditedItems,
        store: ResultStore,
        chosen: SessionSettings,
        name: str,
        *,
        reads: bool,
    ) -> None:
        self._config = config
        self._items = items
        self._store: ResultStore | None = store
        self._chosen = chosen
        self._name = name
        self._reads = reads
        self._began = time.time()
        self._sources = SourceFiles(lambda: self._access(ResultStore.sources, {}))
        self.bases = Bases(config, items, self._sources)
        self._environment = ""
        self._rows: dict[str, Row] | None = None
        self._current: dict[tuple[str, str], bool] = {}
        self._clean: dict[str, frozenset[str]] = {}
        self._used: list[str] = []
        self._failing: dict[str, bool] = {}
        self.complaint = store.complaint

    def _access(self, what: Callable[[ResultStore], T], otherwise: T) -> T:
        """Use the store; if that fails, use it no more."""
        if self._store is None:
            return otherwise
        try:
            return what(self._store)
        except sqlite3.Error as error:
            self.complaint = f"results are no longer kept: {self._store.path} cannot be used ({error})"
            self._store = None
            return otherwise

    # Results of earlier sessions

    def of(self, item: pytest.Item) -> Found | None:
        """Return the result that a test has from an earlier session, if it still holds."""
        ENTERED.begin()
        if not self._reads or not isinstance(item, pytest.Function):
            return None
        row = self._row_of(item)
        if row is None:
            return None
        try:
            return self._found(row)
        except Exception:  # noqa: BLE001  (somebody has edited the file, or an error of maskcheck: audit the test)
            return None

    def _row_of(self, item: pytest.Item) -> Row | None:
        if self._rows is None:
            self._environment = self.bases.environment
            nothing: dict[str, Row] = {}
            self._rows = self._access(lambda store: store.rows(self._environment), nothing)
        row = self._rows.get(item.nodeid)
        if row is None or not (self._chosen.changed or row.session == self._name):
            return None
        return row

    def _found(self, row: Row) -> Found | None:
        if not row.settled or not self._is_current(row) or not self._holds_others(row):
            return None
        if row.brief and not self._config.getoption("--maskcheck-report"):
            self._used.append(row.test)
            return Found(brief=row.brief)
        audit = self._whole(row)
        if audit is None or not all(map(self._still_fails, {*audit.found.values()})):
            return None
        if self._chosen.cleanup and audit.points and audit.cleanup_lines is None:  # nobody wanted to know then
            return None
        self._used.append(row.test)
        return Found(audit=replace(audit, earlier=True))

    def _holds_others(self, row: Row) -> bool:
        """Return whether other tests still audit without a finding what a test has left out because they did."""
        leaning: dict[str, list[str]] = json.loads(row.leaning)
        return all(self._clean_in(test).issuperset(keys) for test, keys in leaning.items())

    def _clean_in(self, test: str) -> frozenset[str]:
        """Return the keys of the points that a test audits without a finding, as far as that is known for its code as it is now."""
        if test not in self._clean:
            row = (self._rows or {}).get(test)
            if row is None or not self._is_current(row):
                # It may have been audited anew in this session, by any worker; if it is yet to be, nothing is known.
                row = self._access(lambda store: store.row(test, self._environment), None)
                if row is None or row.session != self._name or not self._is_current(row):
                    return frozenset()
            self._clean[test] = frozenset(row.clean.split())
        return self._clean[test]

    def _is_current(self, row: Row) -> bool:
        """Return whether what a test audits itself is decided by the same code as it was."""
        key = row.test, row.basis
        if key not in self._current:
            reached = Reached.from_json(json.loads(row.reached))
            item = self._items.item(row.test)
            if isinstance(item, pytest.Function):
                self._current[key] = self.bases.of(item, reached) == row.basis
            else:  # It is not part of this session: only what it entered can be compared, if that is known.
                self._current[key] = reached.is_all and self.bases.texts(reached) == row.texts
        return self._current[key]

    def _whole(self, row: Row) -> Audit | None:
        """Return the whole audit of a row, if its ids and lines still hold."""
        if self.bases.positions(Reached.from_json(json.loads(row.reached))) != row.positions:
            return None
        text = self._access(lambda store: store.audit(row), None)
        return None if text is None else Audit.from_json(json.loads(text))

    def _still_fails(self, test: str) -> bool:
        """Return whether another test of this session still fails as it did then: it stands for those that reach its defect, too."""
        if test not in self._failing:
            item, audit = self._items.item(test), None
            if isinstance(item, pytest.Function) and (row := self._row_of(item)) is not None:
                audit = self._whole(row) if self._is_current(row) else None
            self._failing[test] = audit is not None and bool(audit.failures)
        return self._failing[test]

    # Results for later sessions

    def keep(self, item: pytest.Item, outcome: Outcome) -> None:
        """Keep the result of a test for later sessions, if another audit would find the same.

        Parameters:
            item: the test.
            outcome: the result.
        """
        audit = outcome.audit
        if self._store is None or not isinstance(item, pytest.Function) or audit.refused or audit.earlier:
            return
        self._environment = self.bases.environment
        if not is_steady(audit, STEADY | CHANCE):
            self._access(lambda store: store.drop(item.nodeid, self._environment), None)
            return
        try:
            self._keep(item, outcome)
        except Exception as error:  # noqa: BLE001  (an error of maskcheck: the session goes on without the result)
            self.complaint = f"the result of {item.nodeid} is not kept for later sessions: {breakdown_of(error).reason}"

    def _keep(self, item: pytest.Function, outcome: Outcome) -> None:
        audit = outcome.audit
        reached = self.bases.reached(item, audit)
        basis = self.bases.of(item, reached)
        if self.bases.was_edited(item, reached, self._began):
            return
        short = "" if audit.defects or audit.found else _json(brief(audit).to_json())
        settled = is_steady(audit) or self._was_tried(item)
        clean = clean_keys(audit, outcome.lasting, outcome.unsettled) if outcome.unsettled is not None else ()
        leaning: dict[str, list[str]] = {}
        for key, tests in outcome.leaning.items():
            for test in tests:
                leaning.setdefault(test, []).append(key)
        row = Row(
            item.nodeid,
            basis,
            _json(reached.to_json()),
            self.bases.positions(reached),
            self.bases.texts(reached),
            " ".join(clean),
            _json(leaning),
            short,
            self._name,
            settled,
        )
        kept = _json(replace(audit, known=()).to_json())  # the baseline of a later session may be another one
        self._access(lambda store: store.keep(row, self._environment, kept), None)

    def _was_tried(self, item: pytest.Function) -> bool:
        """Return whether an earlier session has audited a test that is still the same."""
        row = self._row_of(item)
        return row is not None and self._is_current(row)

    def close(self) -> None:
        """Write what concerns all tests, at the end of the session."""
        learned, used, tests = self._sources.learned, self._sources.used, self._used
        if learned or used:
            self._access(lambda store: store.keep_sources(learned, used), None)
        if tests:
            self._access(lambda store: store.note_used(tests, self._environment), None)


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))


def is_steady(audit: Audit, steady: Collection[Code] = STEADY) -> bool:
    """Return whether another audit of the same code would find the same.

    Parameters:
        audit: the audit.
        steady: the reasons for which something may have been left out.
    """
    if audit.refused or audit.broken or audit.shard or any(result.varies or result.error for result in audit.results):
        return False
    texts = {name: getattr(audit, name) for name in ("no_first_use", "left_out", "unmeasured")}
    reasons = texts_in({"isolation": "", "strategy": "", "refused": "", "breakdown": "", "notes": (), **texts})
    results = (result.reason for result in audit.results if result.reason)
    notes = {reason_of(note).code for note in audit.notes}
    return notes.isdisjoint(_UNSTEADY_NOTES) and all(_is_among(text, steady) for text in {*reasons, *results})


def _is_among(text: str, codes: Collection[Code]) -> bool:
    reason = reason_of(text)
    if reason.code in {NotAudited.SECOND, NotAudited.NO_SECOND}:
        why = reason.values.get("why")
        return isinstance(why, Reason) and _is_among(why, codes)
    return reason.code in codes


# The file


def open_store(config: pytest.Config, chosen: SessionSettings) -> ResultStore | None:
    """Open the file of results; return ``None`` if there is no place for one and the user did not ask for it.

    Raises:
        pytest.UsageError: the file cannot be used.
    """
    wanted = next((f"--maskcheck-{name}" for name in ("changed", "resume") if getattr(chosen, name)), "")
    if chosen.cache is not None:
        try:
            return ResultStore(chosen.cache, named=True)
        except UnusableStoreError as error:
            message = (
                f"--maskcheck-cache is {chosen.cache}, which cannot be used: {error}; name a file in a folder that can be written to, "
                "or delete this one"
            )
            raise pytest.UsageError(message) from None
    cache: Any = getattr(config, "cache", None)
    if cache is None:
        if wanted:
            message = f"{wanted} needs results of earlier sessions, and pytest's cache is switched off: name a file with --maskcheck-cache"
            raise pytest.UsageError(message)
        return None
    try:
        return ResultStore(os.path.join(str(cache.mkdir(_FOLDER)), _FILE), named=False)
    except (OSError, UnusableStoreError) as error:
        if wanted:
            message = f"{wanted} needs pytest's cache, which cannot be used: {error}; name another file with --maskcheck-cache"
            raise pytest.UsageError(message) from None
        return None
