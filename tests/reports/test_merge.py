"""Shards: ``--maskcheck-shard`` divides the points of an audit, and ``merge`` merges the results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_maskcheck.reasons import NotAudited, Note, Reason, as_second, elsewhere, reason_of
from pytest_maskcheck.reports import formats
from pytest_maskcheck.results import SCHEMA, Audit, Finding, Point, PointResult, Verdict

pytestmark = pytest.mark.newest

SOURCE = """
    import threading
    import pytest

    LOCK = threading.Lock()
    OTHER = threading.Lock()

    def careful(lock):
        lock.acquire()
        try:
            for number in range(6):
                abs(number)
        finally:
            lock.release()

    @pytest.mark.interrupt_safe(allow={"lock:*OTHER": "of no account"})
    def test_unsafe(tmp_path):
        careful(LOCK)
        careful(OTHER)
        try:
            len("x")
        except BaseException:
            pass
        len("y")  # maskcheck: ignore

    @pytest.mark.interrupt_safe
    def test_safe():
        with LOCK:
            pass

    @pytest.mark.interrupt_safe(interrupts=2)
    def test_twice():
        try:
            len("x")
        finally:
            LOCK.acquire()
            LOCK.release()

    @pytest.mark.interrupt_safe(max_points=3)
    def test_sample():
        len("x"), len("y"), len("z")
        len("x"), len("y"), len("z")
"""

OPTION = "--maskcheck-shard"


def merge(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m pytest_maskcheck merge``."""
    command = [sys.executable, "-m", "pytest_maskcheck", "merge", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def read(path: Path) -> list[Audit]:
    """Return the audits of a report."""
    return [Audit.from_json(audit) for audit in json.loads(path.read_text(encoding="utf-8"))["audits"]]


def alike(audit: Audit) -> Audit:
    """Return an audit without the fields that differ between sessions; no shard has all points of a window, and so none tries them."""
    return replace(audit, seconds=0.0, exposures={}, duration=0.0, strategy="", held_back=())


def test_merge_without_an_output_prints_the_summary(pytester, audit):
    """Without ``-o`` and ``--report`` the summary is printed, with the exit status that it stands for, and nothing is written."""
    audit(SOURCE, "--maskcheck-report=json:one.json")
    before = sorted(pytester.path.iterdir())
    done = merge("one.json", cwd=pytester.path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("4 tests audited at ")
    assert sorted(pytester.path.iterdir()) == before


def test_merged_shards_are_the_audit_without_shards(pytester, audit):
    """The merged reports of three shards equal the report of one session in everything but seconds, strategy and windows that were tried."""
    whole = audit(SOURCE)
    parts = []
    for shard in ("1/3", "2/3", "3/3"):
        part = audit(SOURCE, OPTION, shard)
        assert {one.shard for one in part.audits} == {shard}
        assert all(one.left_out[elsewhere(shard)] for one in part.audits)
        parts.append(pytester.path / f"{shard[0]}.json")
        (pytester.path / "report.json").rename(parts[-1])
    done = merge(parts[2], *parts[:2], "-o", "out.json", cwd=pytester.path)
    assert done.returncode == 1, done
    assert "4 tests audited at" in done.stdout
    merged = {one.test: one for one in read(pytester.path / "out.json")}
    assert [one.test for one in whole.audits] == list(merged)
    for one in whole.audits:
        assert alike(merged[one.test]) == alike(one)
        assert alike(merged[one.test]).defects == alike(one).defects
        assert merged[one.test].exposures.keys() == one.exposures.keys()
    assert any(point.first for point in whole.audits[2].points)


def test_no_shard_audits_all(audit):
    """Without ``--maskcheck-shard`` the audit has all points and leaves none out."""
    audited = audit("""
        import pytest

        @pytest.mark.interrupt_safe
        def test_it():
            len("x")
        """)
    assert audited.audit.shard == ""
    assert audited.audit.not_audited == {}


def test_more_shards_than_points(audit):
    """A shard without points audits none, reports them as in another shard, and ends with exit status 0."""
    audited = audit(
        """
        import pytest

        @pytest.mark.interrupt_safe
        def test_it():
            len("x")
        """,
        OPTION,
        "9/9",
    )
    audited.result.assert_outcomes(passed=1)
    assert audited.result.ret == pytest.ExitCode.OK
    assert audited.audit.points == ()
    assert list(audited.audit.not_audited) == ["in another shard (--maskcheck-shard 9/9)"]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/5", "½/2"])
def test_a_shard_that_does_not_exist_is_told_in_one_sentence(run, text):
    """A shard that is not K/N with K from 1 to N is a usage error that says so."""
    result = run("--maskcheck", f"{OPTION}={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {OPTION} is '{text}'; it must be K/N with K from 1 to N, *"])


@pytest.mark.parametrize(
    ("options", "words"),
    [((), "add --maskcheck"), (("--maskcheck-point=a.py:1:call#1",), "leave one of them out")],
)
def test_a_shard_of_nothing_is_told_in_one_sentence(run, options, words):
    """--maskcheck-shard without an audit, or with a single point, is a usage error."""
    result = run(f"{OPTION}=1/3", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {OPTION} divides *{words}"])


def point(number: int) -> Point:
    """Return one of the points of a plan."""
    return Point(f"a.py:{number}:call#1", "a.py", "/a.py", number, "call", 1, "f")


LEAK = Finding(Verdict.LEAK, "lock", "L", "still locked")


def part(k: int, n: int, total: int = 4, **changes: object) -> Audit:
    """Return the audit of one shard."""
    points = tuple(point(number) for number in range(1, total + 1))[k - 1 :: n]
    audit = Audit(
        test="a.py::test",
        points=points,
        results=tuple(PointResult(one.id) for one in points),
        left_out={elsewhere(f"{k}/{n}"): total - len(points), "elsewhere": 2},
        notes=(Reason(Note.ALLOWED, number=k, what="lock:M (because)"), "a note"),
        shard=f"{k}/{n}",
        plan=f"of {total}",
    )
    return replace(audit, **changes)


@pytest.fixture
def write(tmp_path):
    """Write a report of some audits, and return its path."""

    def write(name: str, *audits: Audit, shard: str = "") -> Path:
        path = tmp_path / name
        formats.write("json", str(path), audits, shard or (audits[0].shard if audits else ""))
        return path

    return write


def test_nothing_is_counted_twice(write, tmp_path):
    """Hits that every shard left out are counted once, and the numbers of allowed points are added up."""
    paths = [write(f"{k}.json", part(k, 2)) for k in (1, 2)]
    assert merge(*paths, "-o", "out.json", cwd=tmp_path).returncode == 0
    (audit,) = read(tmp_path / "out.json")
    assert [one.line for one in audit.points] == [1, 2, 3, 4]
    assert audit.left_out == {"elsewhere": 2}
    assert audit.notes == ("allowed at 3 points: lock:M (because)", "a note")
    assert (audit.shard, audit.plan) == ("", "")


def test_second_interrupts_that_were_left_out_add_up(write, tmp_path):
    """Second interrupts left out are added up, as each is counted by one shard only; the codes of reasons decide, not their words."""
    why = Reason(NotAudited.FIRST_NOT_AUDITED)
    paths = []
    for k in (1, 2):
        left = {
            **part(k, 2).left_out,
            as_second(why): k,
            Reason(NotAudited.NO_SECOND, why=why): 1,
            Reason(NotAudited.PAUSED): 7,
        }
        paths.append(write(f"{k}.json", part(k, 2, left_out=left)))
    assert merge(*paths, "-o", "out.json", cwd=tmp_path).returncode == 0
    (audit,) = read(tmp_path / "out.json")
    assert audit.left_out == {
        "elsewhere": 2,
        "second interrupt: the first one was not audited": 3,
        "no second interrupt after it: the first one was not audited": 2,
        "within maskcheck.paused()": 7,
    }


def test_what_a_shard_did_not_audit_is_told(write, tmp_path):
    """Points of a shard that did not audit the test are counted as not audited, and the reason is reported."""
    refused = part(2, 3, points=(), results=(), left_out={}, plan="", refused="run again, the test hung")
    paths = [write("1.json", part(1, 3)), write("2.json", refused), write("3.json", shard="3/3")]
    assert merge(*paths, "-o", "out.json", cwd=tmp_path).returncode == 0
    (audit,) = read(tmp_path / "out.json")
    assert [one.line for one in audit.points] == [1, 4]
    assert audit.not_audited == {
        "elsewhere": 2,
        "shard 2/3 was not audited: run again, the test hung": 1,
        "shard 3/3 was not audited: the test did not run there, or did not pass": 1,
    }


def test_lines_that_were_left_out_are_those_of_all_shards(write, tmp_path):
    """What is in another shard is audited there, so its lines are left out only if that one is missing; other reasons keep theirs."""
    paused = Reason(NotAudited.PAUSED)

    def parts(k: int) -> Audit:
        own = part(k, 2)
        at = {elsewhere(f"{k}/2"): {"a.py": "1,3" if k == 2 else "2,4"}, paused: {"a.py": "9"}}
        return replace(own, left_out={**own.left_out, paused: 1}, left_out_at=at)

    paths = [write(f"{k}.json", parts(k)) for k in (1, 2)]
    assert merge(*paths, "-o", "out.json", cwd=tmp_path).returncode == 0
    assert [each.left_out_at for each in read(tmp_path / "out.json")] == [{paused: {"a.py": "9"}}]
    assert merge(paths[0], write("none.json", shard="2/2"), "-o", "one.json", cwd=tmp_path).returncode == 0
    (one,) = read(tmp_path / "one.json")
    codes = {reason_of(reason).code: lines for reason, lines in one.left_out_at.items()}
    assert codes == {NotAudited.PAUSED: {"a.py": "9"}, NotAudited.SHARD_MISSING: {"a.py": "2,4"}}


@pytest.mark.parametrize(("second", "merged"), [("x", "x"), ("", "")])
def test_a_content_that_one_shard_does_not_know(write, tmp_path, second, merged):
    """If one shard does not know what a file was like, the merged audit has no digest that a file could have."""
    digests = ({"a.py": "x"}, {"a.py": second})
    paths = [write(f"{k}.json", part(k, 2, digests=digests[k - 1])) for k in (1, 2)]
    assert merge(*paths, "-o", "out.json", cwd=tmp_path).returncode == 0
    assert [each.digests for each in read(tmp_path / "out.json")] == [{"a.py": merged}]


def test_reports_of_different_tests_are_joined(write, tmp_path):
    """Reports of sessions without shards are joined, and the exit status is 1 if any of them has a defect."""
    unsafe = Audit("b.py::test", points=(point(1),), results=(PointResult(point(1).id, (LEAK,)),))
    one, other = write("a.json", Audit("a.py::test")), write("b.json", unsafe)
    done = merge(one, other, "-o", "out.json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "not audited: a.py::test: it reached no point in scope",
        "1 test audited at 1 point: 1 defect; 0 of 0 reached lines of the tests interrupted, 0 points undecided",
    ]
    assert [audit.test for audit in read(tmp_path / "out.json")] == ["a.py::test", "b.py::test"]


def test_a_report_of_nothing_does_not_end_well(write, tmp_path):
    """If no report has an audited point, the exit status is 5, or 0 with --allow-none."""
    path = write("a.json", Audit("a.py::test", refused="run again, the test hung"))
    done = merge(path, "-o", "out.json", cwd=tmp_path)
    assert done.returncode == 5
    assert done.stdout.endswith("\nnothing was audited (exit status 5; --allow-none if that is meant)\n")
    assert merge(path, "-o", "out.json", "--allow-none", cwd=tmp_path).returncode == 0


NOT_ALIKE = {
    "missing": ([part(1, 3), part(3, 3)], "the report of shard 2/3 is missing; name the reports of all 3 shards"),
    "twice": ([part(1, 2), part(1, 2)], "shard 1/2 is there twice, as 0.json and 1.json; leave one of them out"),
    "numbers": (
        [part(1, 2), part(2, 3)],
        "0.json is shard 1/2 and 1.json is shard 2/3; merge the shards of one session first, and the results of that afterwards",
    ),
    "plans": (
        [part(1, 2), part(2, 2, 6)],
        "the shards planned different points for a.py::test: run all of them with the same code, settings and interpreter, and leave out",
    ),
    "sources": (
        [part(1, 2, digests={"a.py": "x"}), part(2, 2, digests={"a.py": "y"})],
        "a.py was not the same for 0.json and 1.json; run all shards with the same code and interpreter",
    ),
    "interpreters": (
        [part(1, 2, interpreter="CPython 3.11.7"), part(2, 2, interpreter="CPython 3.13.0")],
        "the interpreter was not the same for 0.json and 1.json; run all shards with the same code and interpreter",
    ),
    "tests": (
        [Audit("a.py::test"), Audit("a.py::test")],
        "a.py::test is there twice, in 0.json and 1.json; merge reports of different tests, or of shards",
    ),
}


@pytest.mark.parametrize("case", NOT_ALIKE)
def test_reports_that_do_not_fit_are_told_in_one_sentence(write, tmp_path, case):
    """Reports that do not fit together make ``merge`` exit with status 2 and a remedy, without writing anything."""
    audits, words = NOT_ALIKE[case]
    names = [write(f"{number}.json", audit).name for number, audit in enumerate(audits)]
    refused(merge(*names, "-o", "out.json", cwd=tmp_path), words, tmp_path)


SESSION = '"session": {"tests": 0, "audited": 0, "shortfall": null}'
START = f'{{"tool": "pytest-maskcheck", "shard": "", {SESSION}, "audits": [], "schema": '
TEXTS = {
    "nothing": ("", "0.json is no report of pytest-maskcheck (it is no JSON: "),
    "deep": ("[" * 100_000, "0.json is no report of pytest-maskcheck (it is nested too deeply); name a file that "),
    "twice": (
        START + f'{SCHEMA}, "audits": []}}',
        "0.json is no report of pytest-maskcheck (the name 'audits' is there twice in one object)",
    ),
    "NaN": (START + "NaN}", "0.json is no report of pytest-maskcheck (NaN is no number of JSON)"),
    "schema as text": (
        START + f'"{SCHEMA}"}}',
        f"0.json has the result schema '{SCHEMA}', and this version reads schema {SCHEMA}; ",
    ),
    "schema as float": (
        START + f"{SCHEMA}.0}}",
        f"0.json has the result schema {SCHEMA}.0, and this version reads schema {SCHEMA}; ",
    ),
    "schema as truth": (
        START + "true}",
        f"0.json has the result schema True, and this version reads schema {SCHEMA}; ",
    ),
    "shard": (
        START.replace('""', '"3/2"') + f"{SCHEMA}}}",
        "0.json is a damaged report: shard is '3/2', and must be K/N with K from 1 to N",
    ),
    "huge shard": (
        START.replace('""', '"1/999999999"') + f"{SCHEMA}}}",
        "the report of shards 2/999999999, 3/999999999, ",
    ),
    "no JSON": ("{", "0.json is no report of pytest-maskcheck (it is no JSON: "),
    "other JSON": (
        "[1]",
        "0.json is no report of pytest-maskcheck; name a file that --maskcheck-report=json:PATH wrote",
    ),
    "schema": (
        '{"tool": "pytest-maskcheck", "schema": 3}',
        f"0.json has the result schema 3, and this version reads schema {SCHEMA}; make and merge all reports with one version of ",
    ),
    "damaged": (
        f'{{"tool": "pytest-maskcheck", "schema": {SCHEMA}, "shard": "", {SESSION}, "audits": [{{"schema": {SCHEMA}}}]}}',
        "0.json is a damaged report: audits[0] has no test; write it anew with --maskcheck-report=json:PATH",
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_file_that_is_no_report_is_told_in_one_sentence(tmp_path, case):
    """A file of another program or version, or a damaged one, is refused in one sentence."""
    text, words = TEXTS[case]
    (tmp_path / "0.json").write_text(text)
    refused(merge("0.json", "-o", "out.json", cwd=tmp_path), words, tmp_path)


def test_a_file_that_cannot_be_read_or_written_is_told_in_one_sentence(write, tmp_path):
    """A file that cannot be read or written is refused in one sentence."""
    refused(merge("gone.json", "-o", "out.json", cwd=tmp_path), "the report cannot be read: ", tmp_path)
    path = write("a.json", Audit("a.py::test"))
    words = "the merged report cannot be written: "
    refused(merge(path, "-o", "no/such/out.json", cwd=tmp_path), words, tmp_path)
    refused(merge(path, "-o", str(tmp_path), cwd=tmp_path), words, tmp_path)


KNOWN = "allowed at 1 point: fd:x"
"""A text that has a code in the report that is damaged."""

DAMAGES = {
    "type": (
        lambda audit: audit["points"][0].update(line="1"),
        "audits[0].points[0].line is '1', and must be a whole number",
    ),
    "number": (lambda audit: audit.update(seconds=-1), "audits[0].seconds is -1, and must be a number"),
    "verdict": (
        lambda audit: audit["results"][0]["findings"][0].update(verdict="bad"),
        "audits[0].results[0].findings[0].verdict is 'bad', and must be one of leak, implicit, ",
    ),
    "field": (
        lambda audit: audit["points"][0].update(colour="red"),
        "audits[0].points[0] has a field 'colour', which no report has",
    ),
    "missing": (lambda audit: audit.pop("notes"), "audits[0] has no notes"),
    "result": (
        lambda audit: audit["results"].clear(),
        "audits[0].results must have one entry for each of its points, in their order",
    ),
    "lines": (
        lambda audit: audit.update(reached={"a.py": "1-99999999"}),
        "audits[0].reached['a.py'] is '1-99999999', and must be ",
    ),
    "left out": (
        lambda audit: audit.update(left_out_at={"why": {"a.py": "1"}}),
        "audits[0].left_out_at['why'] is none of the reasons of left_out",
    ),
    "lines left out": (
        lambda audit: audit.update(left_out={KNOWN: 1}, left_out_at={KNOWN: {"a.py": "one"}}),
        f"audits[0].left_out_at['{KNOWN}']['a.py'] is 'one', and must be numbers of lines",
    ),
    "shard": (lambda audit: audit.update(shard="1/2"), "audits[0].shard is '1/2', and that of the report is ''"),
    "code": (
        lambda audit: audit["results"][0].update(code="bad"),
        "audits[0].results[0].code is 'bad', and must be a code of a reason, such as ",
    ),
    "no code": (lambda audit: audit["notes"].append("more"), "audits[0].codes has no entry for 'more'"),
    "value": (
        lambda audit: audit["codes"]["allowed at 1 point: fd:x"]["values"].update(number="one"),
        "audits[0].codes['allowed at 1 point: fd:x'].values.number is 'one', and must be a whole number",
    ),
    "no value": (
        lambda audit: audit["codes"]["allowed at 1 point: fd:x"]["values"].pop("what"),
        "audits[0].codes['allowed at 1 point: fd:x'].values has no what",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_what_is_wrong_with_a_damaged_report_is_told(write, tmp_path, case):
    """A damaged report is refused, and the message has the place of the damage; before it was damaged, the report is merged."""
    damage, words = DAMAGES[case]
    notes = (Reason(Note.ALLOWED, number=1, what="fd:x"),)
    results = (PointResult(point(1).id, (LEAK,)),)
    path = write("0.json", Audit("a.py::test", points=(point(1),), results=results, notes=notes))
    assert merge("0.json", "-o", "whole.json", cwd=tmp_path).returncode == 1
    data = json.loads(path.read_text())
    damage(data["audits"][0])
    path.write_text(json.dumps(data))
    refused(merge("0.json", "-o", "out.json", cwd=tmp_path), f"0.json is a damaged report: {words}", tmp_path)


def test_any_setting_in_a_reason_is_read(write, tmp_path):
    """A negative seed and numbers as large as settings allow are accepted in the reasons of a report."""
    reasons = [
        Reason(NotAudited.MAX_POINTS, max_points=2**63 - 1, seed=-(2**63) + 1),
        Reason(NotAudited.BUDGET, seconds=1e300),
        Reason(NotAudited.BUDGET, seconds=0.5),
    ]
    path = write("a.json", Audit("a.py::test", left_out=dict.fromkeys(reasons, 1)))
    assert merge(path, "-o", "out.json", "--allow-none", cwd=tmp_path).returncode == 0
    (audit,) = read(tmp_path / "out.json")
    assert list(audit.left_out) == reasons


def test_a_file_with_a_mark_of_byte_order_is_read(write, tmp_path):
    """A report with a byte order mark, as some editors add it, is merged."""
    path = write("a.json", Audit("a.py::test", points=(point(1),), results=(PointResult(point(1).id),)))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert merge(path, "-o", "out.json", cwd=tmp_path).returncode == 0


def test_names_that_are_no_utf_8_are_written_and_read(write, tmp_path):
    """File names that are not UTF-8, which Python decodes to surrogates, are escaped in reports and summaries."""
    name = "a\udcff.py::test"
    path = write("a.json", Audit(name, refused="why not"))
    done = merge(path, "-o", "out.json", "--allow-none", cwd=tmp_path)
    assert done.returncode == 0
    assert "a\\xff.py::test: why not" in done.stdout
    assert [audit.test for audit in read(tmp_path / "out.json")] == ["a\\xff.py::test"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_refused(write, tmp_path):
    """A pipe without a writer, a folder and a device are refused: ``merge`` neither waits for them nor reads them endlessly."""
    os.mkfifo(tmp_path / "pipe")
    refused(merge("pipe", "-o", "out.json", cwd=tmp_path), "pipe is no report of ", tmp_path)
    refused(merge(".", "-o", "out.json", cwd=tmp_path), "the report cannot be read: . is no file; ", tmp_path)
    refused(
        merge("/dev/zero", "-o", "out.json", cwd=tmp_path),
        "the report cannot be read: /dev/zero is no file; ",
        tmp_path,
    )
    path = write("a.json", Audit("a.py::test", refused="why not"))
    refused(merge(path, "-o", "pipe", cwd=tmp_path), "the merged report cannot be written: ", tmp_path)


def test_a_summary_that_cannot_be_printed_is_no_defect(write, tmp_path):
    """If the summary cannot be printed, the exit status is 2, not 1, and the merged report is written."""
    path = write("a.json", Audit("a.py::test", points=(point(1),), results=(PointResult(point(1).id),)))
    command = [sys.executable, "-m", "pytest_maskcheck", "merge", str(path), "-o", "out.json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert "error: the summary cannot be printed: " in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out.json").exists()


def refused(done: subprocess.CompletedProcess[str], words: str, place: Path) -> None:
    """Assert that ``merge`` wrote nothing and gave the reason."""
    assert done.returncode == 2
    assert f"error: {words}" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (place / "out.json").exists()
