"""The judge: how runs become verdicts, whichever executor makes the runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import count

import pytest

from pytest_maskcheck.audit.judge import Judge
from pytest_maskcheck.audit.left_anyway import leftovers
from pytest_maskcheck.audit.rules import Rules
from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.resources import Leftover
from pytest_maskcheck.results import Frame, Point, PointResult, Verdict
from pytest_maskcheck.runs.raised import Raised
from pytest_maskcheck.runs.requests import Catch, Catcher, CaughtBy, RunResult
from pytest_maskcheck.settings import Allow

FRAME = Frame("a.py", 1, "f", "/a.py")


def point(number: int, **more: str) -> Point:
    """Return the point on a line."""
    return Point(f"a.py:{number}:call#1", "a.py", "/a.py", number, "call", 1, "f", **more)


def interrupted(*leaked: Leftover, text: str = "KeyboardInterrupt", fired: bool = True, **more: object) -> RunResult:
    """Return an interrupted run that ended with an exception."""
    name = text.partition(":")[0]
    raised = Raised(name, text, name == "KeyboardInterrupt", (FRAME,), late=False)
    return RunResult(Strike(fired=fired, raised=True), raised, leaked, **more)  # type: ignore[arg-type]


def passed() -> RunResult:
    """Return an uninterrupted run that passed."""
    return RunResult(Strike())


LOCK = Leftover("lock", "LOCK", "a lock is still held", None)
Runs = Callable[[list["Point | None"]], RunResult]


class Script:
    """An executor with scripted runs: ``run`` is passed all points run so far in the process, and returns the latest run."""

    clean = True

    def __init__(self, run: Runs) -> None:
        self.run = run
        self.processes: list[list[Point | None]] = []

    def runs(
        self, points: Sequence[Point | None], last: Callable[[Point | None, RunResult], bool]
    ) -> Generator[RunResult, None, None]:
        """Make the runs of one process."""
        history: list[Point | None] = []
        self.processes.append(history)
        for wanted in points:
            history.append(wanted)
            ran = self.run(history)
            ran.whole = wanted is None
            yield ran
            if ran.died or last(wanted, ran):
                return


def judged(run: Runs, number: int = 3, **rules: object) -> tuple[list[PointResult], Script]:
    """Audit ``number`` points with scripted runs; return the results and the script."""
    script = Script(run)
    plan = Plan([point(line) for line in range(1, number + 1)])
    said: list[PointResult] = []
    results = Judge(script, plan, Rules(**rules), report=said.append).audit()  # type: ignore[arg-type]
    assert list({result.point: result for result in said}.values()) == list(results)
    return list(results), script


def test_clean_points_share_one_process_and_the_run_after_them_is_their_retry() -> None:
    """If nothing is wrong, one process runs every point once, followed by one uninterrupted run."""
    results, script = judged(lambda history: interrupted() if history[-1] else passed())
    assert [(result.reason, result.findings) for result in results] == [("", ())] * 3
    assert [[p and p.line for p in process] for process in script.processes] == [[1, 2, 3, None]]


def test_a_leak_is_confirmed_in_a_clean_process_and_the_next_point_gets_a_new_one() -> None:
    """A leak is confirmed in a clean process, and the next point gets a new process that the leak cannot affect."""

    def run(history: list[Point | None]) -> RunResult:
        last = history[-1]
        return interrupted(LOCK) if last and last.line == 2 else interrupted() if last else passed()

    results, script = judged(run)
    assert [[finding.verdict for finding in result.findings] for result in results] == [[], [Verdict.LEAK], []]
    assert [[p and p.line for p in process] for process in script.processes] == [[1, 2], [2], [3, None], [1, None]]


def test_a_leak_that_is_never_seen_again_counts_as_not_audited() -> None:
    """A leak that was seen only once proves nothing, but its point does not pass either."""
    sightings = iter([LOCK])

    def run(history: list[Point | None]) -> RunResult:
        last = history[-1]
        if last and last.line == 2:
            return interrupted(*([leak] if (leak := next(sightings, None)) else []))
        return interrupted() if last else passed()

    results, _ = judged(run)
    assert results[1].findings == ()
    assert results[1].reason == "different each time: leak LOCK"


def test_a_known_leak_is_not_confirmed_again_when_it_was_seen_in_a_clean_process() -> None:
    """A leak that was already seen in a clean process takes one process at further points, not two."""

    def run(history: list[Point | None]) -> RunResult:
        return interrupted(LOCK) if history[-1] else passed()

    _, script = judged(run)
    assert [[p and p.line for p in process] for process in script.processes] == [[1], [1], [2], [3]]


def test_one_process_passes_a_known_leak_at_several_points() -> None:
    """Points with a leak that is already confirmed share a process if nothing else is left; the first other result needs a clean one."""

    def run(history: list[Point | None]) -> RunResult:
        last = history[-1]
        return interrupted(*([LOCK] if last.line < 5 else []), passable=True) if last else passed()

    results, script = judged(run, 6)
    assert [[finding.verdict for finding in result.findings] for result in results] == [[Verdict.LEAK]] * 4 + [[], []]
    lines = [[p and p.line for p in process] for process in script.processes]
    assert lines == [[1], [1], [2, 3, 4, 5], [5, 6, None]]


def test_only_a_clean_process_shows_what_is_new_after_a_known_leak() -> None:
    """Another leak, or a run that does not reach its point, is looked at again in a clean process, and so never blamed on a known leak."""
    other = Leftover("lock", "OTHER", "a lock is still held", None)

    def run(history: list[Point | None]) -> RunResult:
        last = history[-1]
        if last is None:
            return passed()
        if last.line == 3:
            return interrupted(LOCK, *([other] if len(history) == 1 else []), passable=True)
        if last.line == 4 and len(history) > 1:
            return interrupted(text="ValueError: broken", fired=False)
        return interrupted(LOCK, passable=True)

    results, script = judged(run, 5)
    assert [[finding.key for finding in result.findings] for result in results] == [
        ["LOCK"],
        ["LOCK"],
        ["LOCK"],
        ["LOCK"],
        ["LOCK"],
    ]
    lines = [[p and p.line for p in process] for process in script.processes]
    assert lines == [[1], [1], [2, 3, 4], [4, 5, None]]


@pytest.mark.parametrize("how", ["shared", "held", "more"])
def test_a_leak_that_may_affect_further_runs_is_not_passed(how: str) -> None:
    """Where runs share a process, a lock cannot be released, or something else is left, each point with a leak has its own process."""

    def run(history: list[Point | None]) -> RunResult:
        return interrupted(LOCK, passable=how != "more") if history[-1] else passed()

    script = Script(run)
    script.clean = how != "shared"
    judge = Judge(script, Plan([point(line) for line in range(1, 4)]), Rules(), release=lambda: how != "held")  # type: ignore[arg-type]
    assert all(result.findings for result in judge.audit())
    assert [[p and p.line for p in process] for process in script.processes] == [[1], [1], [2], [3]]


@pytest.mark.parametrize(
    "wreck",
    [
        interrupted(text="ValueError: broken", fired=False),
        RunResult(Strike(), died="hang", detail="no end"),
        RunResult(Strike(), trouble="setup of the test failed: x"),
    ],
    ids=["fails", "hangs", "fixture"],
)
def test_a_run_that_fails_before_its_point_shows_that_the_one_before_left_the_code_unusable(wreck: RunResult) -> None:
    """A run of the suspected point and an uninterrupted run confirm the suspicion; the innocent point is audited in a clean process."""

    def run(history: list[Point | None]) -> RunResult:
        if any(p and p.line == 1 for p in history[:-1]):
            return wreck
        return interrupted() if history[-1] else passed()

    results, script = judged(run)
    assert [[finding.verdict for finding in result.findings] for result in results] == [[Verdict.UNUSABLE], [], []]
    assert [[p and p.line for p in process] for process in script.processes] == [[1, 2], [1, None], [2, 3, None]]


def test_a_suspicion_that_is_not_confirmed_is_noted_only() -> None:
    """If a suspicion is not confirmed, the suspected point passes with a note, and the next point is run in a clean process."""
    strays = iter([interrupted(text="OSError: once", fired=False)])

    def run(history: list[Point | None]) -> RunResult:
        last = history[-1]
        if last and last.line == 2 and len(history) > 1:
            return next(strays, interrupted())
        return interrupted() if last else passed()

    results, _ = judged(run)
    assert not any(result.findings or result.reason for result in results)
    assert results[0].note == "once, the next run in the same process raised OSError: once; not so in a clean process"


def test_a_point_that_is_not_reached_again_is_tried_alone_and_then_counts_as_not_audited() -> None:
    """A point that is not reached again is tried once more in a clean process, and then counts as not audited."""

    def run(history: list[Point | None]) -> RunResult:
        last = history[-1]
        return passed() if last is None or last.line == 2 else interrupted()

    results, script = judged(run)
    assert [result.reason for result in results] == ["", "not reached again", ""]
    assert [[p and p.line for p in process] for process in script.processes] == [[1, 2], [2], [3, None], [1, None]]


@pytest.mark.parametrize("verdict", ["hang", "crash"])
def test_a_death_after_the_strike_is_a_verdict_and_the_audit_goes_on(verdict: str) -> None:
    """The point that ends the process gets the verdict, and the other points are audited."""

    def run(history: list[Point | None]) -> RunResult:
        last = history[-1]
        if last and last.line == 2:
            return RunResult(Strike(fired=True), died=verdict, detail="so it went", stack=(FRAME,))
        return interrupted() if last else passed()

    results, _ = judged(run)
    (finding,) = results[1].findings
    assert (finding.verdict, finding.key) == (verdict, "a.py:1")
    assert finding.detail == "so it went, at a.py:1 in f"
    assert not results[0].findings
    assert not results[2].findings


def verdicts(ran: RunResult, **rules: object) -> list[tuple[str, bool]]:
    """Return (verdict, fails) of each finding of one run."""
    judge = Judge(Script(lambda _: ran), Plan(), Rules(**rules))  # type: ignore[arg-type]
    return [(finding.verdict, finding.fails) for finding in judge.findings.result(point(1), ran).findings]


def test_verdicts_about_the_exception() -> None:
    """An interrupt swallowed, replaced or lost in a finalizer is a finding; one that comes out, is handled or may be swallowed is not."""
    swallowed = RunResult(Strike(fired=True, raised=True))
    assert verdicts(interrupted()) == []
    assert verdicts(swallowed) == [("swallowed", True)]
    assert verdicts(swallowed, may_swallow=True) == []
    assert verdicts(interrupted(text="OSError: x")) == [("replaced", True)]
    assert verdicts(RunResult(Strike(fired=True, raised=False, handler="on_sigint"))) == []
    lost = RunResult(Strike(fired=True, raised=True), lost=("Pool.__del__",))
    assert verdicts(lost) == [("swallowed", False)]
    assert verdicts(lost, strict=True) == [("swallowed", True)]
    assert verdicts(RunResult(Strike(fired=True, raised=True), leaked=(LOCK,), lost=("f",))) == [
        ("leak", True),
        ("swallowed", True),
    ]


def test_verdicts_about_leftovers() -> None:
    """Leftovers are leaked, altered, dropped, warned about or allowed; ``test_excuses.py`` has those attributed to CPython."""
    altered = Leftover("cwd", "cwd", "moved", None, altered=True)
    warned = Leftover("implicit", "unclosed file", "unclosed file", None)
    assert verdicts(interrupted(LOCK, altered)) == [("leak", True), ("altered", True)]
    assert verdicts(interrupted(dropped=(LOCK,))) == [("implicit", False)]
    assert verdicts(interrupted(dropped=(LOCK,)), strict=True) == [("implicit", True)]
    assert verdicts(interrupted(warned)) == [("implicit", False)]
    assert verdicts(interrupted(LOCK), allow=(Allow("lock:L*"),)) == []
    assert verdicts(interrupted(LOCK), allow=(Allow("fd:*"),)) == [("leak", True)]


def test_what_the_uninterrupted_test_leaves_behind_too_is_no_finding() -> None:
    """What is left anyway is subtracted by kind and key, and a point that leaves no more needs no process of its own."""
    script = Script(lambda history: interrupted(LOCK) if history[-1] else passed())
    plan = Plan([point(1), point(2)])
    judge = Judge(script, plan, Rules())
    judge.left_anyway.numbers = {("lock", "LOCK"): 1}
    results = judge.audit()
    assert not any(result.findings for result in results)
    assert len(script.processes) == 1


def test_one_more_than_the_uninterrupted_test_leaves_is_a_finding() -> None:
    """What is left anyway counts things, except for warnings and for those that two uninterrupted runs do not leave equally often."""
    two, warned = Leftover("fd", "pipe", "", None), Leftover("implicit", "unclosed", "", None)
    one_run = RunResult(Strike(), None, (two, warned))
    judge = Judge(Script(lambda _: passed()), Plan(), Rules(strict=True))
    judge.learn_left_anyway(leftovers(one_run), leftovers(one_run))
    assert not judge.findings.result(point(1), interrupted(two, warned, warned)).findings
    assert [finding.key for finding in judge.findings.result(point(1), interrupted(two, two)).findings] == ["pipe"]
    judge.learn_left_anyway(leftovers(one_run), leftovers(passed()))
    assert not judge.findings.result(point(1), interrupted(two, two)).findings


def random_name(number: int) -> Leftover:
    """Return a file whose name no other run has."""
    return Leftover("path", f"<t>/part-{chr(97 + number)}#x{number}", "", None)


def test_a_random_name_that_is_known_is_not_confirmed_again() -> None:
    """Names without an origin are compared once; after that a point with the pattern takes one process, as with any other name."""
    numbers = iter(range(20))
    results, script = judged(lambda history: interrupted(random_name(next(numbers))) if history[-1] else passed())
    assert {finding.key for result in results for finding in result.findings} == {"<t>/part-*"}
    assert [[p and p.line for p in process] for process in script.processes] == [[1], [1], [2], [3]]


def test_of_what_is_found_with_a_random_name_nothing_is_lost() -> None:
    """A run that loses one thing with a constant name and one with a random name has two findings."""
    numbers = iter(range(20))
    results, _ = judged(lambda history: interrupted(LOCK, random_name(next(numbers))) if history[-1] else passed())
    assert [sorted(finding.key for finding in result.findings) for result in results] == [["<t>/part-*", "LOCK"]] * 3


def test_names_that_are_words_are_not_alike() -> None:
    """Two files with different names are not the same file unless an origin or random-looking digits show that they are."""
    names = iter(["alpha", "beta", "gamma"])

    def run(history: list[Point | None]) -> RunResult:
        return interrupted(Leftover("path", f"<t>/{next(names)}.lock", "", None)) if history[-1] else passed()

    (result,), _ = judged(run, 1)
    assert result.reason == "different each time: leak <t>/alpha.lock"


def test_an_interrupt_that_was_held_back_or_ignored_to_the_end_proves_nothing() -> None:
    """A point whose interrupt did not arrive counts as not audited, with the reason."""
    judge = Judge(Script(lambda _: passed()), Plan(), Rules())
    held = judge.findings.result(point(1), RunResult(Strike(fired=True, held="signal mask")))
    ignored = judge.findings.result(
        point(1),
        RunResult(Strike(fired=True, raised=False, undelivered=Reason(NotAudited.SIGNAL_IGNORED, signal="SIGINT"))),
    )
    late = judge.findings.result(point(1), RunResult(Strike(fired=True, raised=False, handler="note"), late=True))
    assert late.reason == "held back to the end of the test: the interrupt came out of a fixture"
    elsewhere = interrupted()
    elsewhere.strike.strayed = True
    assert held.reason == "held back by the signal mask to the end of the run"
    assert ignored.reason == "SIGINT is ignored there (SIG_IGN)"
    assert "another calling context" in judge.findings.result(point(1), elsewhere).reason


def test_notes_say_how_the_interrupt_arrived() -> None:
    """A note states that the interrupt was held back, went to the program's handler, or came out elsewhere."""
    judge = Judge(Script(lambda _: passed()), Plan(), Rules())
    held = interrupted()
    held.strike.held, held.strike.handler = "signal mask", "queue_it"
    assert (
        judge.findings.result(point(7), held).note
        == "went to queue_it, held back by the signal mask, arrived at a.py:1"
    )
    assert judge.findings.result(point(7), interrupted()).note == "arrived at a.py:1"
    assert judge.findings.result(point(1), interrupted()).note == ""


def breaking(broken: Callable[[list[Point | None]], bool], *leaking: int) -> Runs:
    """Return a script whose full runs fail if ``broken`` returns true, and whose interrupted runs leak on the lines in ``leaking``."""

    def run(history: list[Point | None]) -> RunResult:
        last = history[-1]
        if last is not None:
            return interrupted(*([LOCK] if last.line in leaking else []))
        return interrupted(text="ValueError: broken", fired=False) if broken(history) else passed()

    return run


def test_what_breaks_a_full_run_only_is_found_by_halving() -> None:
    """Exactly the points that break a full run are found, in clean processes; runs that stop at their points never fail."""
    breaks = breaking(lambda history: any(point and point.line in {2, 7} for point in history))
    results, script = judged(breaks, number=9)
    assert [len(result.findings) for result in results] == [0, 1, 0, 0, 0, 0, 1, 0, 0]
    assert {finding.verdict for result in results for finding in result.findings} == {Verdict.UNUSABLE}
    assert not any("not so in a clean process" in result.note for result in results)
    assert script.processes[0] == [*(point(line) for line in range(1, 10)), None]


def test_what_only_several_points_break_together_is_told() -> None:
    """A failure that takes several points together is noted, and no point is blamed for it."""
    results, _ = judged(breaking(lambda history: len(history) > 3), number=9)
    assert not any(result.findings for result in results)
    assert "the next run in the same process raised ValueError: broken; not so in a clean process" in results[-1].note


def test_a_full_run_follows_also_where_a_defect_ended_the_process() -> None:
    """Points that passed before a defect ended the process are run once more, followed by a full run."""
    results, _ = judged(breaking(lambda history: any(point and point.line == 1 for point in history), 3), number=4)
    assert [[finding.verdict for finding in result.findings] for result in results] == [
        [Verdict.UNUSABLE],
        [],
        [Verdict.LEAK],
        [],
    ]


def test_nobody_is_blamed_when_the_time_is_up() -> None:
    """When the time is up, no further runs are made to find a point to blame, neither of one point nor of several."""
    script = Script(breaking(lambda history: point(1) in history, 2))
    judge = Judge(script, Plan([point(1), point(2)]), Rules(), late=lambda _: len(script.processes) > 1)
    judge.audit()
    assert [[each and each.line for each in process] for process in script.processes] == [[1, 2], [2]]


OTHER_LOCK = Leftover("lock", "OTHER", "a lock is still held", None)


def test_what_a_finalizer_lost_fails_only_with_what_stays_each_time() -> None:
    """An interrupt lost in a finalizer fails only with leftovers that are equal in each run and not allowed."""
    left = iter([LOCK, OTHER_LOCK])

    def run(history: list[Point | None]) -> RunResult:
        leaked = (next(left),) if history[-1] else ()
        return RunResult(Strike(fired=True, raised=True), leaked=leaked, lost=("f",)) if history[-1] else passed()

    results, _ = judged(run, 1)
    assert [(each.verdict, each.fails) for each in results[0].findings] == [(Verdict.SWALLOWED, False)]
    lost = RunResult(Strike(fired=True, raised=True), leaked=(LOCK,), lost=("f",))
    assert verdicts(lost, allow=(Allow("lock:*"),)) == [("swallowed", False)]


def caught_when(comes: int) -> Runs:
    """Return a script of a test that catches the interrupt; watched run number ``comes`` is the first to reach its point."""
    watched = count(1)

    def run(history: list[Point | None]) -> RunResult:
        if isinstance(history[-1], Catch):
            if next(watched) < comes:
                return RunResult(Strike())
            return RunResult(Strike(fired=True, raised=True), caught=Catcher(FRAME, by=CaughtBy.TEST))
        return RunResult(Strike(fired=True, raised=True)) if history[-1] else passed()

    return run


@pytest.mark.parametrize(("comes", "fails"), [(2, False), (9, True)], ids=["at_last", "never"])
def test_a_watched_run_that_does_not_come_to_its_point_is_made_again(comes: int, fails: bool) -> None:
    """Watched runs are repeated until one reaches its point and shows what caught the interrupt; if none does, it counts as swallowed."""
    (result,), _ = judged(caught_when(comes), 1)
    assert [(finding.verdict, finding.fails) for finding in result.findings] == [(Verdict.SWALLOWED, fails)]
