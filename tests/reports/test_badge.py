"""The badge: its numbers, and that its colour promises no more than was shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import __main__ as command
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports import badge, formats, jsonfile
from pytest_maskcheck.results import Audit, Finding, Point, PointResult, Verdict

if TYPE_CHECKING:
    from tests.conftest import Run

LEAK = Finding(Verdict.LEAK, "fd", "pipe", "descriptor 3 is still open")
POINTS = tuple(Point(f"src/a.py:{n}:call#1", "src/a.py", "/p/src/a.py", n, "call", 1, "f") for n in (2, 3))
CLEAN = Audit(
    "t.py::test",
    points=POINTS,
    results=tuple(PointResult(each.id) for each in POINTS),
    reached={"src/a.py": "2-4", "t.py": "3-9"},
    own=("t.py",),
)
LEAKING = replace(CLEAN, results=(PointResult(POINTS[0].id, (LEAK,)), CLEAN.results[1]))


def shown(*audits: Audit, shard: str = "") -> tuple[str, str]:
    """Return the message and the colour of the badge."""
    data = json.loads(badge.encode(audits, shard))
    assert (data["schemaVersion"], data["label"]) == (1, "interrupt-safe")
    assert data.keys() == {"schemaVersion", "label", "message", "color"}
    return data["message"], data["color"]


def test_a_clean_session_is_green() -> None:
    """Without a defect, and with a verdict everywhere, the badge is green; lines of the tests themselves do not count."""
    assert shown(CLEAN) == ("2 of 3 lines", "brightgreen")


def test_any_defect_is_red() -> None:
    """The badge is red and counts defects, also those that the baseline has, and also if points are undecided besides."""
    assert shown(LEAKING) == ("1 defect, 1 of 3 lines", "red")
    (defect,) = LEAKING.defects
    known = replace(LEAKING, known=(defect.fingerprints[0].digest,))
    assert shown(known) == ("1 known defect, 1 of 3 lines", "red")
    assert shown(replace(LEAKING, results=(LEAKING.results[0], PointResult(POINTS[1].id, reason="x"))))[1] == "red"


def test_a_finding_that_is_only_listed_is_not_red() -> None:
    """What is listed fails no test; its line is not clean, though."""
    listed = replace(LEAK, fails=False)
    audit = replace(CLEAN, results=(PointResult(POINTS[0].id, (listed,)), CLEAN.results[1]))
    assert shown(audit) == ("1 of 3 lines", "brightgreen")


@pytest.mark.parametrize(
    "more",
    [
        {"results": (CLEAN.results[0], PointResult(POINTS[1].id, reason=Reason(NotAudited.NOT_REACHED)))},
        {"results": (CLEAN.results[0], PointResult(POINTS[1].id, varies=True))},
        {"breakdown": "maskcheck itself failed"},
        {"left_out": {Reason(NotAudited.BUDGET, seconds=1.0): 3}},
        {"left_out": {Reason(NotAudited.MAX_POINTS, max_points=2, seed=0): 3}},
        {"left_out": {Reason(NotAudited.ELSEWHERE, shard="1/2"): 3}},
        {"left_out": {Reason(NotAudited.OTHER_THREAD): 1}},
        {"left_out": {Reason(NotAudited.DEPTH, depth="lines"): 1}},
        {"left_out": {Reason(NotAudited.SECOND, why=Reason(NotAudited.BUDGET, seconds=1.0)): 3}},
        {"left_out": {"a reason of a later version": 1}},
        {"reached": {"src/a.py": "9"}},
        {"reached_first": {"src/a.py": "4"}},
        {"no_first_use": Reason(NotAudited.NO_COLD_PROCESS)},
    ],
    ids=[
        "undecided",
        "varies",
        "failed",
        "budget",
        "sample",
        "elsewhere",
        "thread",
        "depth",
        "second",
        "unknown",
        "none-interrupted",
        "first-only",
        "no-first-use",
    ],
)
def test_what_has_no_verdict_is_never_green(more: dict[str, object]) -> None:
    """If a point has no verdict, the badge is yellow."""
    assert shown(replace(CLEAN, **more))[1] == "yellow"  # type: ignore[arg-type]


def test_a_test_that_was_not_audited_is_never_green() -> None:
    """A refused test makes the badge yellow, unless others stand for it by --maskcheck-depth; a shard is never the whole."""
    refused = Audit("t.py::other", refused=Reason(NotAudited.DOCTEST))
    assert shown(CLEAN, refused)[1] == "yellow"
    assert shown(CLEAN, Audit("t.py::other", refused=Reason(NotAudited.UNTOUCHED, commit="HEAD")))[1] == "yellow"
    assert shown(CLEAN, Audit("t.py::other", refused=Reason(NotAudited.DEPTH, depth="lines")))[1] == "brightgreen"
    assert shown(CLEAN, shard="1/2")[1] == "yellow"


def test_points_left_out_for_a_settled_reason_do_not_count() -> None:
    """What a comment leaves out, or another test has audited, does not keep the badge from being bright green."""
    for reason in (Reason(NotAudited.IGNORED), Reason(NotAudited.REPEATED, repeats=1)):
        assert shown(replace(CLEAN, left_out={reason: 9}))[1] == "brightgreen"


def test_further_turns_cost_the_bright_green() -> None:
    """If only some turns of loops were audited, also of second interrupts, the badge is green, and not the brighter one."""
    turns = Reason(NotAudited.HITS, hits=3)
    for reason in (turns, Reason(NotAudited.SECOND, why=turns)):
        assert shown(replace(CLEAN, left_out={reason: 9}))[1] == "green"


def test_nothing_audited_is_grey() -> None:
    """Without an audit, the badge promises nothing."""
    assert shown() == ("not audited", "lightgrey")
    assert shown(Audit("t.py::test", refused=Reason(NotAudited.DOCTEST))) == ("not audited", "lightgrey")


def test_sessions_and_merge_write_it(pytester: pytest.Pytester, run: Run) -> None:
    """The option of pytest and ``merge`` write a badge."""
    pytester.makepyfile(
        test_it="import pytest\n@pytest.mark.interrupt_safe\ndef test_it():\n    abs(-1)\n    abs(-2)\n"
    )
    run("--maskcheck", "--maskcheck-report=badge:badge.json", "--maskcheck-report=json:report.json")
    expected = {"schemaVersion": 1, "label": "interrupt-safe", "message": "2 of 2 lines", "color": "brightgreen"}
    assert json.loads(Path("badge.json").read_bytes()) == expected
    assert command.main(["merge", "report.json", "--report", "badge:merged.json"]) == 0
    assert Path("merged.json").read_bytes() == Path("badge.json").read_bytes()


def test_a_badge_is_no_report_to_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``merge`` refuses a badge in one sentence."""
    (tmp_path / "badge.json").write_bytes(formats.FORMATS["badge"].encode([CLEAN], ""))
    with pytest.raises(SystemExit):
        command.main(["merge", str(tmp_path / "badge.json")])
    assert "badge.json is no report of pytest-maskcheck" in capsys.readouterr().err
    assert jsonfile.TOOL == "pytest-maskcheck"
