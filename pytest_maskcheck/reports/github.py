"""What GitHub Actions shows of a session: annotations at the lines to cure, and a job summary.

Annotations are made by *workflow commands*, lines of the log such as ``::error file=a.py,line=3::text``. GitHub takes ten of a level from a step and drops
the others, and takes a summary of 1 MiB and refuses a longer one, so no more is written, and the worst comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from pytest_maskcheck.reports.entries import Level, entries
from pytest_maskcheck.reports.markdown import within
from pytest_maskcheck.reports.provisos import provisos
from pytest_maskcheck.reports.unaudited import extent, unaudited
from pytest_maskcheck.system.unpatched import io, os

if TYPE_CHECKING:
    from pytest_maskcheck.reports.entries import Entry
    from pytest_maskcheck.results import Audit

_EACH = 10
"""Number of annotations of a level in a step."""

_SUMMARY = 1 << 20
"""Size of the summary of a step, in bytes; other programs may have written to it."""

_TEXT = 2_000
"""Number of characters of an annotation; GitHub shows no more than 4,096."""

_COMMANDS = {Level.FAILS: "error", Level.LISTED: "notice"}
"""Level of a defect -> the command. What the baseline has needs no annotation."""


def is_there(environment: Mapping[str, str]) -> bool:
    """Return whether this is a step of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def commands(audits: Sequence[Audit], shortfall: str = "") -> Iterator[str]:
    """Yield workflow commands: one for each defect, and a warning for each reason why tests were not audited."""
    found = entries(audits)
    came = extent(audits, shortfall)
    if came.is_early or came.is_nothing:
        yield _command("error" if came.is_error else "notice", {"title": "maskcheck"}, came.text)
    for level, command in _COMMANDS.items():
        room = _EACH - (level is Level.FAILS and came.is_error)
        for entry in islice((each for each in found if each.level is level), room):
            yield _command(command, _about(entry), f"{entry.about}\nTo see it again: {entry.command}")
    gaps = [each for each in provisos(audits) if each.is_gap]
    for each in gaps:
        yield _command("warning", {"title": "maskcheck"}, each.sentence)
    rows = (row for row in unaudited(audits) if row.is_error or (row.refused and not row.is_meant))
    for row in islice(rows, _EACH - len(gaps)):
        about = {"title": "maskcheck: not audited"}
        yield _command("warning", about, f"{row.number}, such as {row.tests[0]}: {row.reason}")


def append_summary(path: str, audits: Sequence[Audit], shard: str, shortfall: str = "") -> None:
    """Append the job summary to a file, as far as there is room.

    Raises:
        OSError: it cannot be written to.
    """
    with io.open(path, "ab") as file:
        room = _SUMMARY - os.fstat(file.fileno()).st_size
        file.write(within(room, audits, shard, shortfall))


def _about(entry: Entry) -> dict[str, str]:
    """Return the properties of an annotation; columns only within one line, as GitHub refuses others."""
    region = entry.way.cure_at
    found = {"title": f"maskcheck: {entry.headline}", "file": entry.path, "line": str(region.line)}
    if region.column and region.line == region.end_line:
        found |= {"col": str(region.column), "endColumn": str(region.end_column)}
    return found


def _command(name: str, properties: Mapping[str, str], text: str) -> str:
    """Return a workflow command, in which no character of a text can end it, or begin another one."""
    text = text if len(text) <= _TEXT else text[: _TEXT - 3] + "..."
    about = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{name} {about}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    # GitHub knows no other escapes; what is left would be shown by nobody, or take a part of the line for an escape of a terminal.
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
