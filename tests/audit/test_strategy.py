"""The choice of strategy and isolation, and the sentences that give the reasons."""

from __future__ import annotations

import pytest

from pytest_maskcheck.audit.rehearsal import Rehearsal, Uninterrupted
from pytest_maskcheck.audit.strategy import IsolationChoice, Strategy, choose, why_rerun
from pytest_maskcheck.reasons import Isolation, Reason
from pytest_maskcheck.reasons import Strategy as Code
from pytest_maskcheck.results import Point
from pytest_maskcheck.runs import fork_sharing

POINTS = [Point(f"a.py:{line}:call#1", "a.py", "/a.py", line, "call", 1, "f") for line in range(1, 5)]


def chosen(rehearsal: Rehearsal) -> Strategy:
    """Return the strategy for a long test with four points."""
    return choose("snapshot", POINTS, Uninterrupted((), 1.0, rehearsal))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rehearsal", "sentence"),
    [
        (Rehearsal(reached={0, 1, 2, 3}), "snapshot for 4 points"),
        (
            Rehearsal(reached={0, 1, 2}, effect="os.mkdir"),
            "snapshot for 3 points, rerun for 1 point: after an effect outside the process: os.mkdir",
        ),
        (Rehearsal(reached={0}), "snapshot for 1 point, rerun for 3 points: not reached again"),
        (
            Rehearsal(effect="os.mkdir"),
            "rerun: an effect outside the process comes before the first point: os.mkdir",
        ),
        (
            Rehearsal(reached={0}, effect="os.mkdir", fixture=True),
            "rerun: a fixture has an effect outside the process: os.mkdir",
        ),
    ],
)
def test_a_strategy_says_what_is_rerun_and_why(rehearsal: Rehearsal, sentence: str) -> None:
    """Points before the first effect outside the process use snapshots; the sentence gives the reason why the others are rerun."""
    assert chosen(rehearsal).text() == sentence


def test_a_test_of_which_only_the_ordinary_run_took_long_is_rerun(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the uninterrupted test turns out to be short, no process is forked to find out how long that takes."""
    monkeypatch.setattr("pytest_maskcheck.audit.strategy._fork_seconds", lambda: pytest.fail("forked"))
    reached = Rehearsal(reached={0, 1, 2, 3})
    short = choose("auto", POINTS, Uninterrupted((), 0.001, reached))  # type: ignore[arg-type]
    assert short.text() == "rerun: the test is short"
    monkeypatch.setattr("pytest_maskcheck.audit.strategy._fork_seconds", lambda: 0.001)
    assert choose("auto", POINTS, Uninterrupted((), 1.0, reached)).snapshots  # type: ignore[arg-type]


def test_snapshots_that_ended_early_say_so() -> None:
    """If snapshots end early, the sentence counts the points that are rerun; if there are none, the sentence does not change."""
    strategy = chosen(Rehearsal(reached={0, 1, 2, 3}))
    assert strategy.ended_early("no room", 2).text() == "snapshot for 4 points; rerun for 2 of them: no room"
    assert strategy.ended_early("no room", 0).text() == "snapshot for 4 points"


@pytest.mark.skipif(not fork_sharing.HAS_PROC, reason="needs /proc")
@pytest.mark.parametrize(
    ("asked", "isolation", "fixtures", "reason"),
    [
        ("rerun", Isolation.FORK, (), Reason(Isolation.AS_ASKED)),
        ("snapshot", Isolation.NONE, (), Reason(Code.IN_SESSION)),
        ("auto", Isolation.FORK, (), Reason(Code.SHORT)),
        ("snapshot", Isolation.FORK, ("tmp_path", "capfd"), Reason(Code.READS_OUTPUT, fixture="capfd")),
    ],
)
def test_the_first_reason_against_snapshots_counts(
    asked: str, isolation: Isolation, fixtures: tuple[str, ...], reason: Reason
) -> None:
    """Of several reasons against snapshots the first is reported: the user's choice, then the platform, then the test."""
    assert why_rerun(asked, isolation, fixtures, 0.0, frozenset()) == reason


def test_a_reason_shows_its_detail() -> None:
    """The detail of a reason is inserted verbatim, even if it contains braces."""
    choice = IsolationChoice.none(Isolation.LOSES_THREADS, threads="pool-{0}, other")
    assert (choice.how, choice.why) == (
        "none",
        "a fork would lose running threads: pool-{0}, other; hangs and crashes are not caught",
    )
    assert IsolationChoice.fork(Isolation.CLEAN).how == "fork"
