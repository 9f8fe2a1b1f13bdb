"""No format looks whole where a session was not: it ended early, tests did not pass, or nothing was audited."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_maskcheck import __main__ as command
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports import badge, formats, github, gitlab, html, markdown, merge, reading, sarif
from pytest_maskcheck.reports.summary import summary, undecided
from pytest_maskcheck.reports.unaudited import extent
from pytest_maskcheck.results import Audit
from tests.reports.exported import CLEAN

CTRL_C = Reason(NotAudited.CTRL_C)
STOPPED = Reason(NotAudited.STOPPED, why="stopping after 1 failures")
UNTOUCHED = Reason(NotAudited.UNTOUCHED, commit="HEAD")


def lost(reason: Reason, name: str = "lost") -> Audit:
    """Return what stands for a test without an audit."""
    return Audit(f"test_a.py::test_{name}", refused=reason)


EARLY = [CLEAN, lost(CTRL_C, "b"), lost(CTRL_C, "c")]
WHOLE = [CLEAN, lost(Reason(NotAudited.SKIPPED), "b"), lost(Reason(NotAudited.XFAILED), "c")]


@pytest.mark.parametrize(
    ("audits", "shortfall", "text", "is_error"),
    [
        ([CLEAN], "", "", False),
        (WHOLE, "", "", False),
        (EARLY, CTRL_C, "ended early: 2 of 3 tests not audited: the session was ended by Ctrl-C", True),
        ([CLEAN], CTRL_C, "ended early: the session was ended by Ctrl-C", True),
        ([], STOPPED, "nothing was audited, ended early: pytest ended the session: stopping after 1 failures", True),
        ([CLEAN, lost(Reason(NotAudited.FAILED))], "", "1 of 2 tests not audited: it does not pass, ", False),
        ([CLEAN, lost(Reason(NotAudited.WORKER_DIED))], "", "1 of 2 tests not audited: the worker died", False),
        ([CLEAN, lost(Reason(NotAudited.NOT_COLLECTED))], "", "ended early: a module could not be collected, ", True),
        ([lost(Reason(NotAudited.BUDGET, seconds=1.0))], "", "nothing was audited: beyond the time budget", True),
        ([lost(Reason(NotAudited.SKIPPED))], "", "nothing was audited: it was skipped", True),
        ([lost(UNTOUCHED)], "", "nothing was audited: it reaches no", False),
        ([], Reason(NotAudited.NONE_MARKED), "nothing was audited: no test that was selected is marked", True),
        ([], "", "nothing was audited: no test was to be audited, or none passed", True),
    ],
)
def test_how_far_a_session_came(audits: list[Audit], shortfall: str, text: str, is_error: bool) -> None:
    """The sentence names what the session lacks and why; it is an error unless the session was meant to do no more."""
    came = extent(audits, shortfall)
    assert came.text.startswith(text)
    assert bool(came.text) == bool(text)
    assert came.is_error is is_error


def test_a_session_that_ended_early_is_whole_in_no_format() -> None:
    """Each format says that it ended early, and why; none of them does of a whole session."""
    text = "2 of 3 tests not audited: the session was ended by Ctrl-C"
    outputs = {
        "sarif": sarif.encode,
        "gitlab": gitlab.encode,
        "markdown": markdown.encode,
        "html": html.encode,
        "github": lambda *values: "".join(github.commands(values[0], values[2])).encode(),
        "terminal": lambda *values: [*summary(values[0], shortfall=values[2])][-1].encode(),
    }
    for name, encode in outputs.items():
        assert f"nded early: {text}" in encode(EARLY, "", CTRL_C).decode(), name
        assert "ended early" not in encode(WHOLE, "", "").decode(), name
    assert json.loads(badge.encode(EARLY, "", CTRL_C))["color"] == "yellow"
    assert json.loads(badge.encode([CLEAN], "", CTRL_C))["color"] == "yellow"
    assert json.loads(badge.encode(WHOLE, "", ""))["color"] == "brightgreen"
    assert undecided(EARLY).startswith("2 tests not audited: ")
    assert not undecided(WHOLE)


def test_sarif_succeeds_only_if_the_session_came_to_its_end() -> None:
    """What ended early or audited nothing has an error, and did not succeed; --maskcheck-since without a change is a warning."""

    def invocation(audits: list[Audit], shortfall: str = "") -> tuple[bool, str]:
        (run,) = json.loads(sarif.encode(audits, "", shortfall))["runs"]
        (invocation,) = run["invocations"]
        first = invocation["toolExecutionNotifications"][:1]
        return invocation["executionSuccessful"], first[0]["level"] if first else ""

    assert invocation([CLEAN]) == (True, "")
    assert invocation(WHOLE) == (True, "note")
    assert invocation([CLEAN, lost(Reason(NotAudited.FAILED))]) == (True, "warning")
    assert invocation(EARLY, CTRL_C) == (False, "error")
    assert invocation([], Reason(NotAudited.NONE_MARKED)) == (False, "error")
    assert invocation([lost(UNTOUCHED)]) == (True, "warning")


def test_a_session_without_audits_says_so_first() -> None:
    """The headlines of HTML and Markdown say that nothing was audited; there is no sentence on points with an interrupt."""
    why = Reason(NotAudited.NONE_MARKED)
    page = html.encode([], "", why).decode()
    assert ">Nothing was audited</h1>" in page
    assert "at each of them the test was run" not in page
    assert markdown.encode([], "", why).startswith(b"## maskcheck: nothing was audited\n")
    (issue,) = json.loads(gitlab.encode([], "", why))
    assert issue["severity"] == "major"


def write(path: Path, audits: list[Audit], shortfall: str = "", shard: str = "") -> reading.Report:
    """Write a JSON report; return it as read."""
    formats.write("json", str(path), audits, shard, shortfall)
    return reading.read(str(path))


def test_json_and_merge_keep_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has the number of tests and why the session ended; merge keeps that, and does not end with success."""
    report = write(tmp_path / "a.json", EARLY, CTRL_C)
    data = json.loads((tmp_path / "a.json").read_bytes())["session"]
    assert data == {
        "tests": 3,
        "audited": 1,
        "shortfall": {"text": str(CTRL_C), "code": "session-interrupted", "values": {}},
    }
    assert (report.shortfall, list(report.audits)) == (CTRL_C, EARLY)
    write(tmp_path / "b.json", [Audit("test_b.py::test", points=CLEAN.points, results=CLEAN.results)])
    names = [str(tmp_path / name) for name in ("a.json", "b.json")]
    assert command.main(["merge", *names, "--report", f"json:{tmp_path / 'all.json'}"]) == 1
    assert "ended early: 2 of 4 tests not audited: the session was ended by Ctrl-C" in capsys.readouterr().out
    assert reading.read(str(tmp_path / "all.json")).shortfall == CTRL_C
    assert command.main(["merge", names[1]]) == 0
    capsys.readouterr()


def test_another_session_may_have_the_audit(tmp_path: Path) -> None:
    """A test that one session has not come to, and another one has audited, is not twice there; nor is one that both lack."""
    made = Audit("test_a.py::test_b", points=CLEAN.points, results=CLEAN.results)
    first = write(tmp_path / "a.json", EARLY, CTRL_C)
    second = write(tmp_path / "b.json", [made, lost(Reason(NotAudited.SKIPPED), "c")])
    for reports in ([first, second], [second, first]):
        assert {audit.test: audit.refused for audit in merge.merge(reports)}["test_a.py::test_b"] == ""
        assert len(merge.merge(reports)) == 3
    assert merge.shortfall([second, write(tmp_path / "c.json", [], Reason(NotAudited.NONE_MARKED))]) == ""


@pytest.mark.parametrize(
    "session",
    [None, {}, {"tests": 1, "audited": 1, "shortfall": "x"}, {"tests": 1, "audited": 1, "shortfall": {"text": 1}}],
)
def test_a_damaged_end_is_refused(tmp_path: Path, session: object) -> None:
    """What a report says of its session must be as this version writes it."""
    write(tmp_path / "a.json", [CLEAN])
    data = json.loads((tmp_path / "a.json").read_bytes())
    (tmp_path / "a.json").write_text(json.dumps({**data, "session": session}), encoding="utf-8")
    with pytest.raises(reading.ReportError, match="damaged report: session"):
        reading.read(str(tmp_path / "a.json"))


def test_shards_that_ended_early(tmp_path: Path) -> None:
    """The reason of the shard that a test belongs to is kept; that another shard did not come to it is of no account."""
    elsewhere = Reason(NotAudited.WHOLE_ELSEWHERE, shard="1/2", dealing="abc")
    of_other = replace(lost(elsewhere), shard="2/2")
    early = write(tmp_path / "1.json", [replace(lost(CTRL_C), shard="1/2")], CTRL_C, "1/2")
    (merged,) = merge.merge([early, write(tmp_path / "2.json", [of_other], shard="2/2")])
    assert merged.refused == Reason(NotAudited.SHARD_MISSING, shard="1/2", why=CTRL_C)
    assert extent([merged]).is_early
    made = replace(CLEAN, test=of_other.test, shard="1/2")
    whole = write(tmp_path / "3.json", [made, replace(lost(elsewhere, "b"), shard="1/2")], shard="1/2")
    unbegun = [replace(lost(CTRL_C), shard="2/2"), replace(lost(elsewhere, "b"), shard="2/2")]
    merged, other = merge.merge([whole, write(tmp_path / "4.json", unbegun, CTRL_C, "2/2")])
    assert merged == replace(made, shard="")
    assert other.refused == Reason(NotAudited.SHARD_MISSING, shard="1/2", why=Reason(NotAudited.SHARD_WITHOUT_TEST))
