"""Puts a page together: what the templates show, and the policy that lets a browser run our script alone."""

from __future__ import annotations

import base64
import linecache
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape  # which Jinja2 requires

from pytest_maskcheck.reasons import NotAudited, count, reason_of
from pytest_maskcheck.reports.entries import entries
from pytest_maskcheck.reports.exposure import interval
from pytest_maskcheck.reports.html import sources
from pytest_maskcheck.reports.html.limits import limits_of
from pytest_maskcheck.reports.html.marks import Mark, files_of
from pytest_maskcheck.reports.html.stories import stories_of
from pytest_maskcheck.reports.source_content import digests_of
from pytest_maskcheck.reports.unaudited import extent
from pytest_maskcheck.reports.ways import sentence
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_maskcheck.reports.entries import Entry
    from pytest_maskcheck.reports.html.marks import File
    from pytest_maskcheck.reports.html.sources import Source
    from pytest_maskcheck.reports.unaudited import Extent
    from pytest_maskcheck.results import Audit

_NO_FRAGMENT = re.compile(r"[^A-Za-z0-9_./+-]")
"""Characters of a path that would have to be escaped in a link."""

_EQUAL = re.compile(r" \(\d+\)\Z")
"""What :attr:`.Audit.sources` adds to the second of equal lines of a function, and to further ones."""

_LEGEND = {
    Mark.DEFECT: "an interrupt here leads into a defect",
    Mark.KNOWN: "into a defect that the baseline has",
    Mark.LISTED: "into something that is only listed",
    Mark.UNAUDITED: "not audited, for the reason beside it",
    Mark.PARTLY: "clean where it was audited; some of it was not, for the reason beside it",
    Mark.SAMPLED: "clean at every place of the line, in some of the turns of a loop, such as the first and the last",
    Mark.CLEAN: "clean: audited at every place of the line, each time",
    Mark.CURE: "a defect that is met on other lines is to be cured here",
    Mark.REACHED: "reached, but no place where Python looks for interrupts",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A file as the page shows it."""

    file: File
    fragment: str
    source: Source


def rendered(audits: Sequence[Audit], shard: str, shortfall: str = "") -> str:
    """Return the page about a session, or about one shard of it."""
    came = extent(audits, shortfall)
    found = entries(audits)  # in the order, and with the names, that all formats have
    files = files_of(audits, [each.shared for each in found], [each.way for each in found])
    texts = _texts(audits)
    shown = _shown(files.values(), texts, digests_of(audits))
    stories = [*stories_of(found)]
    fragments = {each.file.path: each.fragment for each in shown}
    environment = _environment()
    environment.globals.update(
        href=lambda path, line: f"#{fragments[path]}:{line}" if path in fragments else "",
        code_at=_CodeAt({each.file.path: each.source for each in shown}, texts),
    )
    style, script, early = (_asset(environment, name) for name in ("page.css", "page.js", "early.js"))
    code = [each.file for each in shown if not each.file.is_test] or [each.file for each in shown]
    failing = sum(story.state == "fails" for story in stories)
    context: dict[str, Any] = {
        "policy": _policy([style], [early, script]),
        "style": style,
        "script": script,
        "early": early,
        "verdict": _verdict(found, came),
        "nothing": _prose(came.text) if came.is_nothing else "",
        "failing": failing,
        "known": sum(story.state == "known" for story in stories),
        "listed": sum(story.state == "listed" for story in stories),
        "audited": sum(audit.audited for audit in audits),
        "tests": sum(1 for audit in audits if audit.audited),
        "reached": sum(file.reached for file in code),
        "interrupted": sum(file.interrupted for file in code),
        "earlier": sum(audit.earlier for audit in audits),
        "limits": limits_of(audits, shard, came, [each.file.path for each in shown if each.source.changed]),
        "files": shown,
        "stories": stories,
        "legend": _LEGEND,
    }
    return environment.get_template("page.html").render(context)


def _verdict(found: Iterable[Entry], came: Extent) -> str:
    """Return the headline: what was found, and if the session did not come to its end, that."""
    early = ", but the session ended early" if came.is_early else ""
    failing = [each.shared for each in found if each.shared.fails]
    tests = len({test for each in failing for test in each.failing})
    fail = "a test fail" if tests == 1 else f"{tests} tests fail"
    if failing:
        return f"{count(failing, 'defect')} {'makes' if len(failing) == 1 else 'make'} {fail}{early}"
    return "Nothing was audited" if came.is_nothing else f"No defect makes a test fail{early}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pytest_maskcheck.reports.html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        count=count,
        time=interval,
        left_out=_left_out,
        prose=_prose,
        code=_code,
        number=lambda value: f"{value:,}",
        path=_path,
    )
    return environment


def _prose(text: str) -> Markup:
    """Return a clause as a sentence in HTML."""
    return _code(sentence(text))


def _code(text: str) -> Markup:
    """Return a text as HTML; what stands in backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))


_TURNS = {1: "first", 2: "first and the last", 3: "first, the second and the last"}


def _left_out(reason: str) -> str:
    """Return why hits of a line were left out; of further turns, what was audited."""
    known = reason_of(reason)
    if known.code is NotAudited.HITS and (turns := _TURNS.get(known.values.get("hits", 0))):
        return f"where tests came here several times in one way, only the {turns} time was audited"
    return f"partly left out: {reason}"


def _path(text: str) -> Markup:
    """Return a path as HTML, with places where a long one may be broken."""
    return Markup("/<wbr>").join(text.split("/"))


def _asset(environment: Environment, name: str) -> Markup:
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _policy(styles: Iterable[str], scripts: Iterable[str]) -> str:
    """Return the content security policy: nothing is loaded, and only these styles and scripts are in force, by their hashes."""
    style, script = (" ".join(map(_hash, texts)) for texts in (styles, scripts))
    return f"default-src 'none'; style-src {style}; script-src {script}; img-src data:; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _texts(audits: Iterable[Audit]) -> dict[str, dict[int, str]]:
    """Return path -> line -> the text of the line at the time of the audit, for the lines that findings are about."""
    texts: dict[str, dict[int, str]] = {}
    for audit in audits:
        for place, text in audit.sources.items():
            path, _, line = place.rpartition(":")
            if line.isdecimal():
                texts.setdefault(path, {})[int(line)] = text
    return texts


def _shown(
    files: Iterable[File], texts: Mapping[str, Mapping[int, str]], digests: Mapping[str, set[str]]
) -> list[_Shown]:
    shown: list[_Shown] = []
    used: set[str] = {"overview", "limits", "defects", "files", "content"}  # ids of other parts of the page
    for number, file in enumerate(files):
        fragment = _NO_FRAGMENT.sub("_", file.path)
        if fragment in used:
            fragment += f"_{number}"
        used.add(fragment)
        last = max(file.lines, default=0)
        path = file.path
        source = sources.read(path, file.file, texts.get(path, {}), last, digests.get(path, ()))
        shown.append(_Shown(file, fragment, source))
    return shown


class _CodeAt:
    """Returns a line of source for a place of a story, highlighted; code out of scope has no page, but can be quoted.

    Of a file that has changed, the line is quoted as the audit has kept it, or not at all.
    """

    def __init__(self, known: Mapping[str, Source], texts: Mapping[str, Mapping[int, str]]) -> None:
        self._known = known
        self._texts = texts

    def __call__(self, path: str, file: str, line: int) -> Markup:
        if path in self._known and not self._known[path].is_known(line):
            kept = _EQUAL.sub("", self._texts.get(path, {}).get(line, ""))
            return Markup(sources.highlighted(kept)[0]) if kept else Markup()
        if path in self._known:
            return Markup(self._known[path].line(line).strip())
        if not (file.endswith(".py") and os.path.isfile(file)):  # as in `sources`
            return Markup()
        return Markup(sources.highlighted(linecache.getline(file, line).strip() or " ")[0].strip())
