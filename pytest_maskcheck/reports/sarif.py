"""SARIF 2.1.0, which code scanning reads: one result for each defect, at the line at which to cure it.

GitHub ignores or refuses what is beyond its limits, so less is written: the worst results, and of long ways both ends. A notification
says how many defects were left out, as others say what was not audited.
"""

from __future__ import annotations

import json
import re
import zlib
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.cures import general_cure
from pytest_maskcheck.reports.entries import Level, entries
from pytest_maskcheck.reports.jsonfile import TOOL
from pytest_maskcheck.reports.meanings import DOCUMENTATION, HOMEPAGE, LISTED, MEANINGS
from pytest_maskcheck.reports.provisos import provisos
from pytest_maskcheck.reports.repository import path_in_repository
from pytest_maskcheck.reports.unaudited import extent, unaudited
from pytest_maskcheck.reports.ways import StageKind, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_maskcheck.reports.entries import Entry
    from pytest_maskcheck.reports.unaudited import Extent, Unaudited
    from pytest_maskcheck.reports.ways import Region, Stage
    from pytest_maskcheck.results import Audit

Json = dict[str, Any]

_RESULTS = 5_000
"""Number of results that GitHub shows of a file; it takes 25,000."""

_BYTES = 10_000_000
"""Size of a compressed file that GitHub takes."""

_STAGES = 500
"""Number of places of a way; GitHub shows 1,000."""

_RELATED = 20
"""Number of related places of a result; GitHub shows 100."""

_NAMED = 20
"""Number of tests and of points of a result, and of a notification."""

_TEXT = 1_000
"""Number of characters of a text: GitHub cuts descriptions at 1,024."""

_LEVELS = {Level.FAILS: "error", Level.KNOWN: "note", Level.LISTED: "note"}


def encode(audits: Sequence[Audit], shard: str, shortfall: str = "") -> bytes:
    """Return the content of the file; see :class:`~.formats.Format`."""
    found = entries(audits)
    shown = found[:_RESULTS]
    while True:
        data = json.dumps(_log(shown, len(found), audits, shard, shortfall), indent=1).encode()
        if len(data) <= _BYTES or len(zlib.compress(data)) <= _BYTES or not shown:
            return data + b"\n"
        shown = shown[: len(shown) // 2]


def _log(shown: Sequence[Entry], total: int, audits: Sequence[Audit], shard: str, shortfall: str) -> Json:
    rules = {rule: number for number, rule in enumerate(dict.fromkeys(each.rule for each in shown))}
    examples = {each.rule: each for each in reversed(shown)}
    run = {
        "tool": {"driver": {**_driver(), "rules": [_rule(rule, examples[rule]) for rule in rules]}},
        # Shards are uploaded as categories of their own; otherwise each of them would close the alerts of the others.
        "automationDetails": {"id": f"maskcheck/{shard.replace('/', '-of-')}/" if shard else "maskcheck/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(audits, total - len(shown), extent(audits, shortfall))],
        "results": [_result(each, rules[each.rule]) for each in shown],
    }
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _driver() -> Json:
    about = {"name": TOOL, "informationUri": HOMEPAGE}
    try:
        return {**about, "semanticVersion": metadata.version(TOOL)}
    except metadata.PackageNotFoundError:  # run from a copy of the source
        return about


def _rule(rule: str, example: Entry) -> Json:
    verdict, kind = example.defect.verdict, example.defect.kind
    meaning, helps = MEANINGS[verdict], general_cure(verdict, kind)
    about = f"{verdict}: {kind}" if kind != verdict else str(verdict)
    help_text = f"{meaning} To cure it: {helps}."
    return {
        "id": rule,
        "name": _name(about),
        "shortDescription": _text(f"{about}: {meaning}"),
        "fullDescription": _text(help_text),
        "help": {
            **_text(help_text),
            "markdown": f"{meaning}\n\n**To cure it:** {helps}.\n\n[Verdicts]({DOCUMENTATION})",
        },
        "helpUri": DOCUMENTATION,
        "defaultConfiguration": {"level": "note" if verdict in LISTED else "error"},
        "properties": {
            "tags": ["interrupt-safety", "reliability", verdict],
            "precision": "very-high",
            "problem.severity": "recommendation" if verdict in LISTED else "error",
        },
    }


def _name(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"\w+", text))


def _result(entry: Entry, rule: int) -> Json:
    way = entry.way
    related = way.of(StageKind.ACQUIRED, StageKind.CAUGHT, StageKind.INTERRUPTED, StageKind.BLOCKS)
    result = {
        "ruleId": entry.rule,
        "ruleIndex": rule,
        "level": _LEVELS[entry.level],
        "message": _text(_message(entry)),
        "locations": [_location(way.cure_at)],
        "relatedLocations": [
            {"id": number, **_location(stage.region, stage.text)}
            for number, stage in enumerate(related[:_RELATED], 1)
            if stage.region is not None
        ],
        "codeFlows": [{"threadFlows": [{"locations": _flow(way.stages, way.cure_at)}]}],
        # GitHub compares only this one.
        "partialFingerprints": {"primaryLocationLineHash": entry.fingerprint, "maskcheckDefect/v1": entry.fingerprint},
        "properties": _properties(entry),
    }
    if entry.level is Level.KNOWN:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": "in the baseline"}]
    return result


def _message(entry: Entry) -> str:
    """Return the message of a result; where there is little room, GitHub shows only its first sentence."""
    return f"{entry.about} To see it again: {entry.command}"


def _properties(entry: Entry) -> Json:
    defect, shared = entry.defect, entry.shared
    exposed = shared.exposed.defect.exposure
    found: Json = {
        "verdict": defect.verdict,
        "kind": defect.kind,
        "key": defect.key[:_TEXT],
        "category": defect.category,
        "tests": [*shared.tests[:_NAMED]],
        "points": [point.id for point in shared.points[:_NAMED]],
        "command": entry.command,
    }
    if exposed is not None:
        found["exposure"] = {"least": exposed.least, "greatest": exposed.greatest, "waiting": exposed.waiting}
    return found


def _flow(stages: Sequence[Stage], cure_at: Region) -> list[Json]:
    """Return the places of a way. A stage without one is shown where the way has come to."""
    here = next((stage.region for stage in stages if stage.region is not None), cure_at)
    half = _STAGES // 2
    kept = stages if len(stages) <= _STAGES else [*stages[:half], *stages[-half:]]
    found = []
    for number, stage in enumerate(kept, 1):
        here = stage.region or here
        important = stage.kind is not StageKind.UNWOUND
        found.append(
            {
                "location": _location(here, stage.text),
                "kinds": [stage.kind],
                "executionOrder": number,
                "importance": "essential" if important else "important",
            }
        )
    return found


def _location(region: Region, message: str = "") -> Json:
    physical = {"artifactLocation": _artifact(region), "region": _region(region)}
    found: Json = {
        "physicalLocation": physical,
        "logicalLocations": [{"fullyQualifiedName": region.function, "kind": "function"}],
    }
    return {**found, "message": _text(message)} if message else found


def _artifact(region: Region) -> Json:
    path = path_in_repository(region.path, region.file)
    uri = quote(path.encode("utf-8", "surrogatepass"))
    return {"uri": f"file://{uri}"} if path.startswith("/") else {"uri": uri, "uriBaseId": "%SRCROOT%"}


def _region(region: Region) -> Json:
    """Return the four fields that GitHub requires; without its source, a line is empty."""
    column, end = (region.column, region.end_column) if region.column else (1, 1)
    return {"startLine": region.line, "startColumn": column, "endLine": region.end_line, "endColumn": end}


def _invocation(audits: Sequence[Audit], more: int, came: Extent) -> Json:
    rows = unaudited(audits)
    notes = [*_left_out(more), *_incomplete(came), *_restrictions(audits), *(_notification(row) for row in rows)]
    failed = came.is_error or any(row.is_error for row in rows) or any(audit.broken for audit in audits)
    return {"executionSuccessful": not failed, "toolExecutionNotifications": notes}


def _left_out(more: int) -> Iterator[Json]:
    if more > 0:
        text = f"{count(more, 'more defect')} than code scanning takes: the JSON report has all of them."
        yield {"descriptor": {"id": "left-out"}, "level": "warning", "message": _text(text)}


def _incomplete(came: Extent) -> Iterator[Json]:
    """Yield what the session as a whole lacks."""
    if came.is_early or came.is_nothing:
        code = "ended-early" if came.is_early else "nothing-audited"
        text = sentence(came.text)
        yield {"descriptor": {"id": code}, "level": "error" if came.is_error else "warning", "message": _text(text)}


def _restrictions(audits: Sequence[Audit]) -> Iterator[Json]:
    """Yield what the results are not about."""
    for each in provisos(audits):
        level = "warning" if each.is_gap else "note"
        yield {"descriptor": {"id": each.code}, "level": level, "message": _text(each.sentence)}


def _notification(row: Unaudited) -> Json:
    """Return what says that something was not audited."""
    level = "error" if row.is_error else "warning" if row.refused and not row.is_meant else "note"
    return {
        "descriptor": {"id": row.code.value},
        "level": level,
        "message": _text(f"Not audited: {row.number}: {row.reason}."),
        "properties": {"points": row.points, "tests": _few(row.tests), "refused": row.refused},
    }


def _few(texts: Iterable[str]) -> list[str]:
    return [*texts][:_NAMED]


def _text(text: str) -> Json:
    """Return a message with a text of which SARIF would take no part for a placeholder or a link."""
    text = text if len(text) <= _TEXT else text[: _TEXT - 3] + "..."
    text = re.sub(r"\{(\d+)\}", r"{{\1}}", text)
    return {"text": text.replace("](", "\\](")}
