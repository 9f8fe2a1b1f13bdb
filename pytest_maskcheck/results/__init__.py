"""What an audit found, as frozen data that can be converted to JSON. Import from here; the modules below are its parts."""

from pytest_maskcheck.results.audit import SCHEMA, Audit
from pytest_maskcheck.results.over_tests import Meeting, SharedDefect, over_tests
from pytest_maskcheck.results.values import (
    Category,
    Defect,
    Edit,
    Exposure,
    Finding,
    Fingerprint,
    Frame,
    HeldBackRun,
    Origin,
    Packed,
    Point,
    PointResult,
    Span,
    Step,
    StepKind,
    Story,
    Verdict,
)

__all__ = [
    "SCHEMA",
    "Audit",
    "Category",
    "Defect",
    "Edit",
    "Exposure",
    "Finding",
    "Fingerprint",
    "Frame",
    "HeldBackRun",
    "Meeting",
    "Origin",
    "Packed",
    "Point",
    "PointResult",
    "SharedDefect",
    "Span",
    "Step",
    "StepKind",
    "Story",
    "Verdict",
    "over_tests",
]
