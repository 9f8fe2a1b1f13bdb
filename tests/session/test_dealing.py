"""Shards: whole tests are dealt out by the times that their audits took in an earlier session."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_maskcheck.reasons import NotAudited, reason_of
from pytest_maskcheck.reports.merge import merge
from pytest_maskcheck.reports.reading import Report, ReportError, read
from pytest_maskcheck.results import Audit
from pytest_maskcheck.session.dealing import Dealing
from pytest_maskcheck.settings import Shard

pytestmark = pytest.mark.newest

SOURCE = """
    import pytest

    @pytest.mark.interrupt_safe
    @pytest.mark.parametrize("number", range(5))
    def test_short(number):
        abs(number)

    @pytest.mark.interrupt_safe
    def test_long():
        for number in range(40):
            abs(number)
            abs(number), abs(number), abs(number)
    """


def dealt(shards: int, times: dict[str, float], tests: list[str]) -> list[dict[str, int]]:
    """Return the owners of tests, as each of several shards deals them out."""
    dealings = [Dealing(Shard(number, shards), times, "file") for number in range(1, shards + 1)]
    for dealing in dealings:
        dealing.deal(tests)
    assert len({dealing.name for dealing in dealings}) == 1
    return [dealing.owners for dealing in dealings]


def test_the_longest_tests_go_first_to_the_shard_with_the_least_to_do():
    """All shards make the same choice, and have about as much to do, in whatever order the tests come."""
    times = {f"t{number}": float(number) for number in range(1, 21)}
    first, *others = dealt(3, times, [*times])
    assert all(each == first for each in (*others, *dealt(3, times, [*times][::-1])))
    loads = [sum(times[test] for test, owner in first.items() if owner == shard) for shard in (1, 2, 3)]
    assert sum(loads) == 210
    assert max(loads) - min(loads) <= 2


@pytest.mark.parametrize("times", [{}, {"other": 3.0}, {"a": 9.0, "b": 1.0, "c": 1.0}])
def test_tests_without_a_time_and_those_that_are_too_long_are_dealt_point_by_point(times):
    """A test whose time is unknown, and one for which the other shards would have to wait, belongs to no shard as a whole."""
    (owners, again) = dealt(2, times, ["a", "b", "c"])
    assert owners == again
    assert owners.keys() == times.keys() & {"b", "c"}


def test_one_session_deals_nothing_out():
    """Without shards, every test is audited here."""
    dealing = Dealing(None, {"a": 1.0, "b": 1.0}, "file")
    dealing.deal(["a", "b"])
    assert not dealing.owners
    assert not dealing.header()
    assert dealing.part_of("a") is None
    assert dealing.against("a") is None


@pytest.fixture
def shards(pytester, run):
    """Return a function that makes both shards with a file of times, or without one, and returns their reports."""
    pytester.makepyfile(test_it=SOURCE)

    def shards(*options: str) -> list[Report]:
        reports = []
        for number in "12":
            done = run(
                "--maskcheck", f"--maskcheck-shard={number}/2", f"--maskcheck-report=json:{number}.json", *options
            )
            done.assert_outcomes(passed=6)
            how = (
                "*: whole tests, by the times of 6 tests in *"
                if options
                else "*: each test point by point, as --maskcheck-cache names *"
            )
            done.stdout.fnmatch_lines([f"maskcheck: shard {number}/2{how}"])
            reports.append(read(Path(f"{number}.json")))
        return reports

    return shards


def alike(audits: list[Audit]) -> dict[str, Audit]:
    return {audit.test: replace(audit, seconds=0.0, exposures={}, duration=0.0, strategy="") for audit in audits}


def test_shards_that_know_the_times_audit_whole_tests(pytester, run, shards):
    """The shards divide short tests, and not the long one; merged, they are the audits without shards. The file is only read."""
    run("--maskcheck", "--maskcheck-cache=times", "--maskcheck-report=json:all.json").assert_outcomes(passed=6)
    _set_times({"test_it.py::test_long": 60.0}, otherwise=1.0)
    before = Path("times").read_bytes()
    reports = shards("--maskcheck-cache=times")
    assert Path("times").read_bytes() == before
    for report in reports:
        elsewhere = [audit for audit in report.audits if audit.refused]
        assert {reason_of(audit.refused).code for audit in elsewhere} == {NotAudited.WHOLE_ELSEWHERE}
        assert all(audit.is_elsewhere for audit in elsewhere)
        (long,) = (audit for audit in report.audits if audit.test.endswith("test_long"))
        assert long.plan
    assert sorted(sum(bool(audit.refused) for audit in report.audits) for report in reports) == [2, 3]
    assert alike(merge(reports)) == alike(list(read(Path("all.json")).audits))


def test_shards_without_times_divide_each_test(shards):
    """Without a file that the user has named, each shard has points of each test."""
    for report in shards():
        assert not any(audit.refused for audit in report.audits)
        assert all(audit.plan for audit in report.audits)


def test_reports_of_shards_with_different_files_are_refused(pytester, run, shards):
    """If the shards did not make the same choice, a test might be missing: the reports are not merged."""
    run("--maskcheck", "--maskcheck-cache=times").assert_outcomes(passed=6)
    _set_times({}, otherwise=1.0)
    first, second = shards("--maskcheck-cache=times")
    assert merge([first, second])
    _set_times(
        {"test_it.py::test_short[0]": 1.5, "test_it.py::test_short[1]": 1.4, "test_it.py::test_short[3]": 1.3},
        otherwise=1.0,
    )
    with pytest.raises(ReportError, match="do not agree on which of them audits"):
        merge([first, shards("--maskcheck-cache=times")[1]])
    with pytest.raises(ReportError, match=r"do not agree|planned different points"):
        merge([first, shards()[1]])


def test_a_test_that_did_not_run_in_its_shard_is_not_audited():
    """If the only shard that was to audit a test has no audit of it, the merged report says so."""
    times = {"a": 1.0, "b": 1.0, "c": 1.0}
    dealing = Dealing(Shard(1, 2), times, "file")
    dealing.deal([*times])
    test = next(test for test, owner in dealing.owners.items() if owner == 2)
    reports = [Report("1", "1/2", (Audit(test, shard="1/2", refused=dealing.against(test)),)), Report("2", "2/2", ())]
    (audit,) = merge(reports)
    assert audit.refused == "shard 2/2 was not audited: the test did not run there, or did not pass"
    assert not audit.is_elsewhere


def test_a_test_that_fails_when_it_is_run_again_is_told_by_its_shard(audit):
    """A shard that divided the points of a test, and then could not audit it, says so, and does not pass."""
    source = """
        import pytest

        RUNS = []

        @pytest.mark.interrupt_safe
        def test_it():
            abs(1), abs(2), abs(3)
            RUNS.append(1)
            assert len(RUNS) < 4
        """
    audited = audit(source, "--maskcheck-shard=1/2")
    assert audited.audit.left_out
    assert not audited.audit.is_elsewhere
    audited.result.stdout.fnmatch_lines(["not audited: *test_it: *AssertionError*"])
    assert "maskcheck itself failed" not in audited.result.stdout.str()
    assert audited.result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_file_that_has_no_results_is_a_usage_error(pytester, run):
    """A file that cannot be used is told in one sentence; one that is not there has no times."""
    pytester.makepyfile(test_it=SOURCE)
    Path("times").write_text("no database")
    done = run("--maskcheck", "--maskcheck-cache=times", "--maskcheck-shard=1/2")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(
        ["ERROR: --maskcheck-cache is *times, which cannot be used: *; leave it out, or name another file"]
    )
    done = run("--maskcheck", "--maskcheck-cache=nothing", "--maskcheck-shard=1/2", "--co")
    done.stdout.fnmatch_lines(["maskcheck: shard 1/2: each test point by point, as there are no times in *nothing"])
    assert not Path("nothing").exists()


def _set_times(times: dict[str, float], *, otherwise: float) -> None:
    """Set the times in the file of results."""
    with closing(sqlite3.connect("times")) as database:
        for test, audit in database.execute("SELECT test, audit FROM results").fetchall():
            data = json.loads(zlib.decompress(audit)) | {"seconds": times.get(test, otherwise)}
            database.execute(
                "UPDATE results SET audit = ? WHERE test = ?", (zlib.compress(json.dumps(data).encode()), test)
            )
        database.commit()
