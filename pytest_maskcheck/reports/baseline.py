"""The baseline: a file of the defects that a project knows and accepts for now. Only others make a test fail.

1. An entry is found again by its fingerprint: file, function, text of the line where the thing came from, verdict, kind and key. So it
   survives edits elsewhere in the file, other tests that meet the defect, other checkouts and other interpreters.
2. If a function was renamed or moved, its entry is found by the rest of the fingerprint (:mod:`.moves`), but only if no such function is left
   in the file.
3. An entry is gone if :mod:`.evidence` shows it. What the session has not looked for stays in the file.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pytest_maskcheck.reports import files
from pytest_maskcheck.reports.appearance import PLAIN, Tone
from pytest_maskcheck.reports.moves import Moves
from pytest_maskcheck.results import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_maskcheck.reports.appearance import Appearance
    from pytest_maskcheck.reports.evidence import Evidence
    from pytest_maskcheck.results import Audit

VERSION = 1
"""Version of the file's form."""

_HEAD = f"""\
# Defects that `pytest --maskcheck` knows and accepts. `--maskcheck-baseline-update` writes this file; a `reason` may be added to an entry.
version = {VERSION}
"""

_NAMED = 10
"""Number of entries that are named as gone; the others are counted."""

_FIELDS = tuple(each.name for each in fields(Fingerprint))


class BaselineError(Exception):
    """The file cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A defect that is known.

    Parameters:
        fingerprint: identifies it.
        reason: why it is accepted, or ``""``.
    """

    fingerprint: Fingerprint
    reason: str = ""


def read(path: str) -> tuple[Entry, ...]:
    """Return the entries of a file.

    Raises:
        BaselineError: there is no such file, or it is no baseline.
    """
    try:
        content = files.read(path).decode()
        data = tomllib.loads(content)
    except FileNotFoundError:
        raise BaselineError("does not exist: write it with --maskcheck-baseline-update") from None
    except OSError as error:
        message = f"cannot be read ({error.strerror or 'it is no file'}): name a file that can"
        raise BaselineError(message) from None
    except ValueError as error:  # no TOML, or no UTF-8
        message = f"is no baseline ({error}): mend it, or remove it and write it with --maskcheck-baseline-update"
        raise BaselineError(message) from None
    if not content.strip():
        raise BaselineError("is empty: remove it, and --maskcheck-baseline-update writes a new one")
    version = data.get("version")
    if type(version) is not int:
        raise BaselineError("is no baseline (it has no version): name another file")
    if version != VERSION:
        message = (
            f"has version {version}, and this version of pytest-maskcheck reads version {VERSION}: "
            "use one version of pytest-maskcheck, or remove the file and write it with --maskcheck-baseline-update"
        )
        raise BaselineError(message)
    rows = data.get("defect", [])
    if not isinstance(rows, list):
        raise BaselineError("is no baseline: each entry must begin with [[defect]]")
    return tuple(_entry(row, number) for number, row in enumerate(rows, 1))


def _entry(row: object, number: int) -> Entry:
    if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
        message = f"is no baseline: entry {number} must consist of texts"
        raise BaselineError(message)
    if missing := [name for name in _FIELDS if name not in row]:
        message = f"is no baseline: entry {number} has no {missing[0]}"
        raise BaselineError(message)
    if unknown := row.keys() - {*_FIELDS, "reason"}:
        message = f"is no baseline: entry {number} has {min(unknown)}, which is not known; it takes {', '.join(_FIELDS)}, reason"
        raise BaselineError(message)
    return Entry(Fingerprint(*(row[name] for name in _FIELDS)), row.get("reason", ""))


def write(path: str, entries: Iterable[Entry]) -> None:
    """Write a file, sorted, so that two versions of it are easy to compare.

    Raises:
        OSError: the file cannot be written.
    """
    files.write(path, "\n".join([_HEAD, *map(_table, sorted(set(entries)))]).encode())


def _table(entry: Entry) -> str:
    rows = [(name, getattr(entry.fingerprint, name)) for name in _FIELDS]
    if entry.reason:
        rows.append(("reason", entry.reason))
    return "\n".join(["[[defect]]", *(f"{name} = {_quoted(value)}" for name, value in rows), ""])


def _quoted(text: str) -> str:
    """Return a text as a basic string of TOML: that of JSON, with one more character escaped."""
    legible = text.encode("utf-8", "backslashreplace").decode()
    return json.dumps(legible, ensure_ascii=False).replace("\x7f", "\\u007f")


class Baseline:
    """The defects that are known.

    Parameters:
        entries: those of the file.
        file_of: returns the file that reports show as a path, or ``""`` if there is none.
        accepts_all: every defect is accepted, as the file is about to be written.
    """

    def __init__(self, entries: Sequence[Entry], file_of: Callable[[str], str], *, accepts_all: bool = False) -> None:
        self._file_of = file_of
        self._accepts_all = accepts_all
        self._moves = Moves(file_of)
        self._entries = {each.fingerprint: each for each in entries}
        self._by_line: dict[tuple[str, ...], list[Entry]] = {}
        for each in entries:
            self._by_line.setdefault(_line(each.fingerprint), []).append(each)

    def known(self, audit: Audit) -> tuple[str, ...]:
        """Return the digests of the fingerprints of an audit that are known."""
        met = [each for defect in audit.failures for each in defect.fingerprints]
        return tuple(sorted({each.digest for each in met if self._accepts_all or self._candidates(each)}))

    def after(self, audits: Sequence[Audit], evidence: Evidence) -> After:
        """Return what a session has shown about the entries.

        Parameters:
            audits: those of the session.
            evidence: tells which defects that were not met are gone.
        """
        # What is only listed today, as it would fail only with `strict`, is still there.
        found: dict[Fingerprint, Entry | None] = {
            each: entry for each in _met(audits, failing=False) if (entry := self._entries.get(each))
        }
        found |= self._found(_met(audits, failing=True))
        still = {entry.fingerprint for entry in found.values() if entry}
        missing = [entry for key, entry in self._entries.items() if key not in still]
        gone = {entry for entry in missing if evidence.shows_gone(entry.fingerprint)}
        unmet = [entry for entry in missing if entry not in gone]
        new = [Entry(key) for key, entry in found.items() if entry is None]
        kept = [Entry(key, entry.reason) for key, entry in found.items() if entry]
        return After(kept, new, [*gone], unmet)

    def _found(self, fingerprints: Iterable[Fingerprint]) -> dict[Fingerprint, Entry | None]:
        """Return the entry of each fingerprint: one that no other has, if there is such a one."""
        found: dict[Fingerprint, Entry | None] = {}
        taken: set[Entry] = set()
        for each in sorted(set(fingerprints), key=lambda each: (each not in self._entries, each)):
            candidates = self._candidates(each)
            found[each] = next((entry for entry in candidates if entry not in taken), next(iter(candidates), None))
            taken.update(filter(None, [found[each]]))
        return found

    def _candidates(self, fingerprint: Fingerprint) -> list[Entry]:
        """Return the entries that may stand for a fingerprint, the likeliest first."""
        if entry := self._entries.get(fingerprint):
            return [entry]
        alike = self._by_line.get(_line(fingerprint), ())
        moved = [entry for entry in alike if self._moves.has_moved(entry.fingerprint, fingerprint)]
        return sorted(moved, key=lambda entry: entry.fingerprint.function != fingerprint.function)


@dataclass(frozen=True, slots=True)
class After:
    """What a session has shown about the entries of a baseline.

    Parameters:
        kept: the known defects that were met, with the fingerprints that they have now.
        new: defects that the baseline did not have.
        gone: entries whose defects are gone.
        unmet: entries that the session did not come to.
    """

    kept: Sequence[Entry]
    new: Sequence[Entry]
    gone: Sequence[Entry]
    unmet: Sequence[Entry]

    @property
    def entries(self) -> list[Entry]:
        """The entries of the next baseline."""
        return [*self.kept, *self.new, *self.unmet]


def changes(after: After, path: str, *, updated: bool, verbose: bool = True, look: Appearance = PLAIN) -> Iterator[str]:
    """Yield the lines of the summary on a baseline.

    Parameters:
        after: what the session has shown.
        path: that of the file.
        updated: it was written anew.
        verbose: name all that is gone, not only the first few.
        look: how parts of the lines stand out.
    """
    gone = sorted(after.gone)
    for entry in gone if verbose else gone[:_NAMED]:
        yield f"baseline: {look.toned('gone', Tone.GOOD)}: {_described(entry.fingerprint)}"
    if not verbose and (more := len(gone) - _NAMED) > 0:
        yield f"baseline: {look.toned('gone', Tone.GOOD)}: {more} more, which -v shows"
    parts = [
        f"{len(after.kept)} known",
        f"{len(after.new)} new",
        f"{len(after.gone)} gone",
        f"{len(after.unmet)} not met",
    ]
    remedy = "" if updated or not after.gone else "; --maskcheck-baseline-update removes what is gone"
    yield f"baseline: {', '.join(parts)} ({'written to ' if updated else ''}{path}){remedy}"


def _described(fingerprint: Fingerprint) -> str:
    thing = f"{fingerprint.verdict}: {fingerprint.kind} {fingerprint.key}".rstrip()
    text = f": {fingerprint.text}" if fingerprint.text else ""
    return f"{thing}, {fingerprint.path} in {fingerprint.function}{text}"


def _line(fingerprint: Fingerprint) -> tuple[str, ...]:
    """Return what stays of a fingerprint, whatever was renamed or moved."""
    return (fingerprint.text, fingerprint.verdict, fingerprint.kind)


def _met(audits: Iterable[Audit], *, failing: bool) -> Iterator[Fingerprint]:
    """Yield the fingerprints of the defects that fail, or would if they were not known; or those of the others."""
    for audit in audits:
        for defect in audit.defects:
            if (defect.fails or defect.known) is failing:
                yield from defect.fingerprints
