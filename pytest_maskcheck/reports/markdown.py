"""Markdown for people: a table of defects, the story of each that fails, and what was not audited. GitHub shows it as a job summary.

Names come from the code under test and may have any characters. In a code span all of them are literal, but for the backtick, which a
longer fence takes in, and the bar within a table.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.appearance import PLAIN
from pytest_maskcheck.reports.entries import Level, entries
from pytest_maskcheck.reports.exposure import brief, why_none, why_none_briefly
from pytest_maskcheck.reports.provisos import provisos
from pytest_maskcheck.reports.repository import path_in_repository
from pytest_maskcheck.reports.summary import closing
from pytest_maskcheck.reports.unaudited import extent, unaudited
from pytest_maskcheck.reports.ways import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.reports.entries import Entry
    from pytest_maskcheck.reports.unaudited import Extent, Unaudited
    from pytest_maskcheck.reports.ways import Region
    from pytest_maskcheck.results import Audit

_NAME = 200
"""Number of characters of a name."""

_STAGES = 30
"""Number of stages of a way that are shown: the first and the last ones."""

_ROOM = 200
"""Bytes that are kept for the line that counts what there was no room for."""

_ANY = 1 << 62

_LEVELS = {Level.FAILS: "fails", Level.KNOWN: "known", Level.LISTED: "listed"}


def encode(audits: Sequence[Audit], shard: str, shortfall: str = "") -> bytes:
    """Return the content of the file; see :class:`~.formats.Format`."""
    return within(_ANY, audits, shard, shortfall)


def within(room: int, audits: Sequence[Audit], shard: str, shortfall: str = "") -> bytes:
    """Return a report of at most so many bytes: totals first, then the defects, what was not audited, and stories.

    What there is no room for is counted; a part is there as a whole or not at all.
    """
    found = entries(audits)
    head = _head(found, audits, shard, extent(audits, shortfall))
    parts = [head, *_table(found), *_unaudited_table(audits), *map(_details, _failing(found))]
    written = [part.encode("utf-8", "backslashreplace") for part in parts]
    size = 0
    for number, part in enumerate(written):
        size += len(part)
        if size > room - _ROOM * (number < len(written) - 1):
            left = f"\n*{count(len(written) - number, 'more row')} had no room here: the JSON report has everything.*\n"
            return b"".join([*written[:number], left.encode()]) if room > _ROOM else b""
    return b"".join(written)


def _head(found: Sequence[Entry], audits: Sequence[Audit], shard: str, came: Extent) -> str:
    defects = sum(each.level is Level.FAILS for each in found)
    early = ", ended early" if came.is_early else ""
    known = sum(each.level is Level.KNOWN for each in found)
    title = f"{count(defects, 'defect')}{f' and {known} known' if known else ''}{early}"
    title = "nothing was audited" if came.is_nothing else title
    lacks = f"**{sentence(_escaped(came.text))}**\n\n" if came.text else ""
    lacks += "".join(f"**{_escaped(each.sentence)}**\n\n" for each in provisos(audits))
    totals = "" if came.is_nothing else f"{sentence(_escaped(closing(audits, look=PLAIN)))}\n"
    if earlier := sum(audit.earlier for audit in audits):
        totals += f"\n{count(earlier, 'test')} {'was' if earlier == 1 else 'were'} audited in an earlier session, and not again.\n"
    return f"## maskcheck: {title}{f', shard {shard}' if shard else ''}\n\n{lacks}{totals}"


def _table(found: Sequence[Entry]) -> Iterator[str]:
    for number, entry in enumerate(found, 1):
        cells = [
            str(number),
            _LEVELS[entry.level],
            code(entry.headline, in_table=True),
            code(_place(entry.way.cure_at), in_table=True),
            brief(entry.shared.exposed.audit, entry.shared.exposed.defect) or why_none_briefly(entry.defect),
        ]
        head = "\n| | | defect | to cure at | exposed |\n| --: | --- | --- | --- | --- |\n" if number == 1 else ""
        yield f"{head}| {' | '.join(cells)} |\n"


def _failing(found: Sequence[Entry]) -> list[tuple[int, Entry]]:
    return [(number, entry) for number, entry in enumerate(found, 1) if entry.level is Level.FAILS]


def _details(numbered: tuple[int, Entry]) -> str:
    number, entry = numbered
    stages = entry.way.stages
    half = _STAGES // 2
    shown = stages if len(stages) <= _STAGES else [*stages[:half], *stages[-half:]]
    lines = [
        f"\n<details><summary>{number}. {html.escape(_on_one_line(entry.headline))}</summary>\n",
        *(f"1. {code(stage.text)}{f' {code(_place(stage.region))}' if stage.region else ''}" for stage in shown),
        "",
        *([f"Exposed: {entry.exposure}.\n"] if entry.exposure else []),
        *([f"{sentence(why)}\n"] if not entry.exposure and (why := why_none(entry.defect)) else []),
        f"To cure it: {entry.cure}.\n",
        *(["A proven edit:\n", *_diff(entry.shared.edit.diff), ""] if entry.shared.edit is not None else []),
        "To see it again:\n",
        *_block(entry.command),
        "",
        "</details>\n",
    ]
    return "\n".join(lines)


def _unaudited_table(audits: Sequence[Audit]) -> Iterator[str]:
    for number, row in enumerate(unaudited(audits)):
        head = "\n| not audited | because | |\n| --- | --- | --- |\n" if number == 0 else ""
        yield f"{head}| {row.number} | {code(row.reason, in_table=True)} | {_tests(row)} |\n"


def _tests(row: Unaudited) -> str:
    first, *others = row.tests
    return code(first, in_table=True) + (f" and {count(others, 'other test')}" if others else "")


def _place(region: Region) -> str:
    return f"{path_in_repository(region.path, region.file)}:{region.line}"


def code(text: str, *, in_table: bool = False) -> str:
    """Return a text as a code span, in which nothing of it is markup."""
    text = _on_one_line(text)
    text = text if len(text) <= _NAME else text[: _NAME - 3] + "..."
    if in_table:
        text = text.replace("\\|", "\\ |").replace("|", "\\|")  # a table knows no other escape
    fence = "`" * (_longest_run(text) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text or ' '}{fence}"


def _block(text: str) -> list[str]:
    """Return a text as a block of code."""
    text = _on_one_line(text)
    fence = "`" * max(3, _longest_run(text) + 1)
    return [f"{fence}console", text, fence]


def _diff(text: str) -> list[str]:
    fence = "`" * max(3, _longest_run(text) + 1)
    lines = ("\t".join(map(_on_one_line, line.split("\t"))) for line in text.removesuffix("\n").split("\n"))
    return [f"{fence}diff", *lines, fence]


def _longest_run(text: str) -> int:
    """Return how many backticks follow each other in a text."""
    return max(map(len, re.findall("`+", text)), default=0)


def _on_one_line(text: str) -> str:
    """Return a text with all that ends a line, or is not shown, written with backslashes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _escaped(text: str) -> str:
    """Return a text in which no character begins markup."""
    return re.sub(r"([\\`*_\[\]<>~#|@&])", r"\\\1", _on_one_line(text))
