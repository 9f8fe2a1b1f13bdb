"""Results: grouping, counts, JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_maskcheck.reasons import NotAudited, Reason, Strategy, as_second
from pytest_maskcheck.reports import account
from pytest_maskcheck.results import SCHEMA, Audit, Finding, Frame, Point, PointResult, Verdict

FRAME = Frame("a.py", 3, "f", "/a.py")


def point(line: int) -> Point:
    """Return the point on a line."""
    return Point(f"a.py:{line}:call#1", "a.py", "/a.py", line, "call", 1, "f", (FRAME,))


LEAK = Finding(Verdict.LEAK, "fd", "pipe", "descriptor 3 is still open")
OTHER = Finding(Verdict.LEAK, "fd", "pipe", "descriptor 9 is still open")
LISTED = Finding(Verdict.IMPLICIT, "fd", "x", "dropped", fails=False)
AUDIT = Audit(
    test="t.py::test",
    engine="e",
    isolation="fork: because",
    mode="checkpoint",
    points=(point(1), point(2), point(3)),
    results=(
        PointResult("a.py:1:call#1", (LEAK, LISTED), "", "a note", "KeyboardInterrupt", (FRAME,)),
        PointResult("a.py:2:call#1", reason="not reached again"),
        PointResult("a.py:3:call#1", (OTHER,)),
    ),
    left_out={"too many": 4},
    notes=("so",),
    ignores={"a.py:9": False},
)


def test_equal_findings_are_one_defect() -> None:
    """Findings with equal verdict, kind and key are one defect, which has the detail of the first of them."""
    leak, listed = AUDIT.defects
    assert [p.line for p in leak.points] == [1, 3]
    assert (leak.detail, leak.traceback) == (LEAK.detail, (FRAME,))
    assert [p.line for p in listed.points] == [1]
    assert AUDIT.failures == (leak,)


def test_nothing_is_left_out_of_the_counts() -> None:
    """Every point and every hit left out is counted, either as audited or as not audited for a reason."""
    assert AUDIT.audited == 2
    assert AUDIT.not_audited == {"too many": 4, "not reached again": 1}


def test_json_gives_back_the_same_audit() -> None:
    """An audit that is written as JSON and read again equals the original."""
    assert Audit.from_json(json.loads(json.dumps(AUDIT.to_json()))) == AUDIT


def test_json_has_the_codes_of_reasons_and_gives_them_back() -> None:
    """JSON has the code of each reason beside its text, with the values of its sentence, and they are restored when it is read."""
    why = Reason(NotAudited.BUDGET, seconds=1.5)
    audit = replace(
        AUDIT,
        strategy=Reason(Strategy.RERUN, why=Reason(Strategy.SHORT)),
        results=(PointResult("a.py:1:call#1", reason=why), *AUDIT.results[1:]),
        left_out={as_second(why): 3},
        unmeasured={"os": Reason(NotAudited.FROZEN)},
    )
    data = json.loads(json.dumps(audit.to_json()))
    assert data["results"][0]["code"] == "time-budget"
    assert data["codes"]["second interrupt: beyond the time budget of 1.5 s"] == {
        "code": "second-interrupt",
        "values": {
            "why": {"text": "beyond the time budget of 1.5 s", "code": "time-budget", "values": {"seconds": 1.5}}
        },
    }
    assert data["codes"]["so"] == {"code": "other", "values": {"text": "so"}}
    again = Audit.from_json(data)
    assert again == audit
    assert again.to_json() == audit.to_json()


def test_another_schema_is_refused_in_one_sentence() -> None:
    """Data with another schema version is refused in one sentence."""
    with pytest.raises(ValueError, match=f"this is maskcheck result schema 99; this version reads schema {SCHEMA}"):
        Audit.from_json({**AUDIT.to_json(), "schema": 99})


@pytest.mark.parametrize(
    ("text", "shown"), [("plain \U0001f40d", "plain \U0001f40d"), ("caf\udce9", r"caf\xe9"), ("\ud800", r"\ud800")]
)
def test_a_legible_audit_is_the_one_that_its_json_gives_back(text: str, shown: str) -> None:
    """``legible`` returns the same object if all texts can be encoded, and otherwise what JSON would give back."""
    note = Reason(NotAudited.FAILED_BEFORE, trouble=text)
    audit = replace(AUDIT, results=(PointResult("a.py:1:call#1", reason=note), *AUDIT.results[1:]))
    assert (audit.legible() is audit) is (text == shown)
    assert audit.legible() == Audit.from_json(json.loads(json.dumps(audit.to_json())))
    assert shown in audit.legible().results[0].reason


def test_results_are_frozen() -> None:
    """An attribute of an audit cannot be set."""
    with pytest.raises(AttributeError):
        AUDIT.test = "other"  # type: ignore[misc]


@pytest.mark.parametrize("different", [3, 40])
def test_of_many_different_notes_a_few_are_told(different: int) -> None:
    """If a defect has many notes, the three with the most points are shown and the others are counted."""
    points = tuple(point(line) for line in range(1, different + 2))
    notes = [f"arrived at b.py:{min(line, different)}" for line in range(1, different + 2)]
    results = tuple(PointResult(each.id, (LEAK,), "", note) for each, note in zip(points, notes, strict=True))
    told = account.section(replace(AUDIT, points=points, results=results))
    assert told.count("arrived at b.py:") == 3
    assert f"  note        arrived at b.py:{different} (2 of {different + 1} points: " in told
    assert ("other note" in told) == (different > 3)
    if different > 3:
        assert "and 37 other notes on 37 points: the JSON report has them" in told
