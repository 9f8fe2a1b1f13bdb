"""Defects as stories: where the thing came from, where the interrupt arrived, what it left behind, and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.reports.defects import category, fail_and_reach, title, where
from pytest_maskcheck.reports.exposure import exposure, interval, odds, why_none, why_none_briefly
from pytest_maskcheck.reports.leading import reproduce
from pytest_maskcheck.reports.ways import StageKind
from pytest_maskcheck.results import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.reports.entries import Entry
    from pytest_maskcheck.reports.ways import Stage
    from pytest_maskcheck.results import Defect, Edit
    from pytest_maskcheck.results.windows import Window

_LABELS = {
    StageKind.ACQUIRED: "acquired",
    StageKind.INTERRUPTED: "interrupted",
    StageKind.UNWOUND: "unwound through",
    StageKind.CALLED: "then called",
    StageKind.CAUGHT: "caught",
    StageKind.LEFT: "left behind",
    StageKind.HELD: "held by",
    StageKind.BLOCKS: "blocks",
}

_ENDS = {Verdict.HANG: "hangs", Verdict.CRASH: "crashes"}
"""How a run ended that left nothing behind to be looked at."""

_POINTS = 200
"""Number of ids of points shown of one defect; the others are counted."""


@dataclass(frozen=True, slots=True)
class Step:
    """Stages of a way that are shown together: those of one kind that follow each other.

    Parameters:
        kind: what happened.
        label: that in one or two words.
        stages: the sentence and the place of each.
    """

    kind: str
    label: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Masked:
    """A window, and what a mask over it has shown.

    Parameters:
        region: from the line where a mask would begin.
        lines: the lines that it would have to cover, in words.
        shown: where the interrupt would arrive then; ``""`` if no run has shown that nothing is lost there.
    """

    path: str
    line: int
    function: str
    lines: str
    shown: str


@dataclass(frozen=True, slots=True)
class Story:
    """A defect as the page shows it.

    Parameters:
        number: its position in the session, from 1.
        fragment: what leads to it in a link: its fingerprint, as in SARIF and other formats.
        state: ``fails``, ``known`` or ``listed``.
        verdict, title: what is wrong, and with what.
        where: the lines where an interrupt leads into it.
        place: the path and the line at which to cure it.
        micros: microseconds of exposure to sort by, -1.0 if that was not measured.
        time: the interval in which the exposure lies.
        exposed, odds: the exposure in words, and how often a Ctrl-C meets it.
        why_none: why it is never measured, or ``""``.
        steps: the way.
        cure: what helps, as a sentence.
        edit: the edit that was proven to help, if there is one.
        masks: what a mask would have to cover.
        command: the command that shows it again.
        tests: those that reach it, the failing ones first.
        failing: how many of them fail because of it.
        fail_and_reach: both numbers in words.
        points: ids of its points.
        more: the number of further points.
    """

    number: int
    fragment: str
    state: str
    verdict: str
    title: str
    where: str
    place: tuple[str, int]
    micros: float
    time: str
    exposed: str
    odds: str
    why_none: str
    steps: tuple[Step, ...]
    cure: str
    edit: Edit | None
    masks: tuple[Masked, ...]
    command: str
    tests: tuple[str, ...]
    failing: int
    fail_and_reach: str
    points: tuple[str, ...]
    more: int


def stories_of(entries: Sequence[Entry]) -> Iterator[Story]:
    """Yield the story of each defect."""
    for number, entry in enumerate(entries, 1):
        yield _story(number, entry)


def _story(number: int, entry: Entry) -> Story:
    shared, way = entry.shared, entry.way
    defect, exposed = shared.defect, shared.exposed
    about = title(defect)
    time = exposed.defect.exposure
    ids = [point.title for point in shared.points]
    return Story(
        number=number,
        fragment=entry.fingerprint,
        state=entry.level,
        verdict=defect.verdict,
        title=about + category(defect),
        where=where(defect),
        place=(way.cure_at.path, way.cure_at.line),
        micros=time.total if time else -1.0,
        time=interval(time) if time else "",
        exposed=exposure(exposed.audit, exposed.defect),
        odds=odds(exposed.audit, exposed.defect) or why_none_briefly(defect),
        why_none="" if time else why_none(defect),
        steps=tuple(
            Step(kind, _label(defect, kind), tuple(stages))
            for kind, stages in groupby(way.stages, lambda stage: stage.kind)
        ),
        cure=cure(defect),
        edit=shared.edit,
        masks=tuple(map(_masked, way.windows)),
        command=reproduce(shared),
        tests=tuple(dict.fromkeys((*shared.failing, *shared.tests))),
        failing=len(shared.failing),
        fail_and_reach=fail_and_reach(shared.failing, shared.tests),
        points=tuple(ids[:_POINTS]),
        more=max(0, len(ids) - _POINTS),
    )


def _label(defect: Defect, kind: StageKind) -> str:
    return _ENDS.get(defect.verdict, _LABELS[kind]) if kind is StageKind.LEFT else _LABELS[kind]


def _masked(window: Window) -> Masked:
    until = "the end of the function" if window.until is None else f"line {window.until}"
    lines = f"on line {window.since}" if window.until == window.since else f"from line {window.since} to {until}"
    shown = ""
    if window.proven:
        place = f"at {window.after.path}:{window.after.line}" if window.after is not None else "after the test"
        shown = f"{window.begins.signal} then arrives {place}, where nothing is lost"
    return Masked(window.path, window.since, window.function, lines, shown)
