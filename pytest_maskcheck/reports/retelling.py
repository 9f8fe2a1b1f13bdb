"""The story of one point, line by line: from the interrupt to what is left."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.appearance import PLAIN, Tone
from pytest_maskcheck.reports.defects import title
from pytest_maskcheck.results import StepKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_maskcheck.reports.appearance import Appearance
    from pytest_maskcheck.results import Audit, Frame, Step

_LABELS = {StepKind.INTERRUPTED: "interrupted", StepKind.RAN: "runs", StepKind.LEFT: "leaves"}

_LABEL = 12
_WIDEST = 50
"""Width of the column of places, at most."""


def retold(audit: Audit, look: Appearance = PLAIN) -> Iterator[str]:
    """Yield the story of an audit of a single point; nothing if the audit has none."""
    if audit.story is None:
        return
    steps = audit.story.steps
    yield look.toned(f"{', '.join(point.title for point in audit.points)} in {audit.test}", Tone.STRONG)
    width = min(_WIDEST, max((len(_place(step.frame)) for step in steps), default=0))
    for step in steps:
        yield _line(step, width, look)
    if audit.story.more:
        yield f"{'':{_LABEL}}and {count(audit.story.more, 'more step')}"
    for result in audit.results:
        yield f"{'comes out':{_LABEL}}{result.exception or 'nothing'}"
    if not audit.defects:
        yield f"{'found':{_LABEL}}{look.toned('nothing wrong', Tone.GOOD)}"
    for defect in audit.defects:
        tone = Tone.BAD if defect.fails else Tone.STRONG
        yield f"{'found':{_LABEL}}{look.toned(defect.verdict, tone)}: {defect.detail or title(defect)}"
        if defect.origin is not None:
            place = defect.origin.place
            yield f"{'from':{_LABEL}}{_linked(place, look)}{_gap(place, width)}{_source(place)}".rstrip()
    yield ""


def _line(step: Step, width: int, look: Appearance) -> str:
    frame = step.frame
    label = look.toned(
        f"{_LABELS[step.kind]:{_LABEL}}", Tone.STRONG if step.kind is StepKind.INTERRUPTED else Tone.FAINT
    )
    source = "" if step.kind is StepKind.LEFT else _source(frame)
    return f"{label}{_linked(frame, look)}{_gap(frame, width)}{source}".rstrip()


def _gap(frame: Frame, width: int) -> str:
    return " " * (max(0, width - len(_place(frame))) + 2)


def _linked(frame: Frame, look: Appearance) -> str:
    return look.linked(_place(frame), frame.file, frame.line)


def _place(frame: Frame) -> str:
    return f"{frame.path}:{frame.line} in {frame.function}"


def _source(frame: Frame) -> str:
    """Return the line with its indentation, which shows what belongs to which block."""
    return linecache.getline(frame.file, frame.line).rstrip()
