"""The command ``cure``: edits that were tried, shown as a diff, and written if that is wanted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_maskcheck.__main__ import main
from pytest_maskcheck.patches.proposals import _diff
from pytest_maskcheck.patches.trial import TrialError, copied
from pytest_maskcheck.reports import formats, reading
from pytest_maskcheck.results import over_tests
from tests.reports.exported import audit, finding

pytestmark = pytest.mark.slow

POOL = '''\
"""A pool."""

import os
import threading

LOCK = threading.Lock()
STATE = []


def take():
    LOCK.acquire()
    abs(1)
    LOCK.release()


def read(path):
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 1)
    os.close(fd)


def half_done():
    STATE.append(1)
    abs(1)
    STATE.pop()


def swallow():
    try:
        abs(1)
    except (OSError, BaseException):
        pass


def swallow_all():
    try:
        abs(1)
    except BaseException:
        pass


FILES = []


def open_twice(path):
    first = os.open(path, os.O_RDONLY)
    FILES.append(first)
    os.close(FILES.pop())
    abs(1)
    second = os.open(path, os.O_RDONLY)
    FILES.append(second)
    os.close(FILES.pop())
'''

TESTS = """
import pytest
import pool

def test_take():
    pool.take()

def test_read():
    pool.read("pool.py")

@pytest.mark.interrupt_safe
def test_half_done(maskcheck):
    maskcheck.unchanged(lambda: list(pool.STATE))
    pool.half_done()
"""

PLUGIN = ("-p", "pytest_maskcheck.plugin")
"""The inner pytest loads no plugins by itself."""

Cure = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cure(pytester, run) -> Cure:
    """Return a function that audits the project and runs the command on the report."""
    pytester.makepyfile(pool=POOL, test_pool=TESTS)

    def cured(*words: str, tests: str = TESTS) -> subprocess.CompletedProcess[str]:
        pytester.makepyfile(test_pool=tests)
        run("--maskcheck-all", "--maskcheck-report=json:report.json", "-q", fresh=True)
        return command("report.json", *words, "--", *PLUGIN)

    return cured


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command here."""
    return subprocess.run(
        [sys.executable, "-m", "pytest_maskcheck", "cure", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_cures_are_shown(cure):
    """For each defect an edit is shown as a diff, with what was found before and after; the project is left alone."""
    done = cure()
    assert done.returncode == 0, done.stderr
    assert "cured: leak: lock pool.LOCK [2 points, pool.py:11-12]: take the lock with `with`" in done.stdout
    assert "-    LOCK.acquire()\n-    abs(1)\n-    LOCK.release()\n+    with LOCK:\n+        abs(1)\n" in done.stdout
    assert "+    with bracket(os.open, os.close, path, os.O_RDONLY) as fd:\n" in done.stdout
    assert "+    with mask():\n" in done.stdout
    assert "+from pytest_maskcheck.masking import bracket, mask\n" in done.stdout
    assert "3 tests audited again: 3 defects before, 0 after" in done.stdout
    assert Path("pool.py").read_text(encoding="utf-8").strip() == POOL.strip()


def test_cures_are_written(cure, run):
    """With --apply the edits are written, and the next audit finds nothing."""
    done = cure("--apply")
    assert done.stdout.endswith("written: pool.py\n"), done.stderr
    result = run("--maskcheck-all", "-q", fresh=True)
    assert result.ret == 0
    done = cure()
    assert (done.returncode, done.stdout) == (0, "no defect makes a test fail: there is nothing to cure\n")


def saved() -> dict[tuple[str, str], str]:
    """Return the diffs that the report has, by key of the defect and test."""
    report = reading.read("report.json")
    return {(each.defect.key, each.tests[0]): each.edit.diff for each in over_tests(report.audits) if each.edit}


def test_edits_are_saved_in_the_report(cure):
    """With --save the report has the diff of each defect's own edit, and merged reports have it, too; without, it stays as it was."""
    cure()
    assert saved() == {}
    before = Path("report.json").read_bytes()
    command("report.json", "--", *PLUGIN)
    assert Path("report.json").read_bytes() == before
    done = command("report.json", "--save", "--", *PLUGIN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("saved: edits for 3 defects in report.json\n")
    diffs = {test.rpartition("::")[2]: diff for (_, test), diff in saved().items()}
    assert diffs.keys() == {"test_take", "test_read", "test_half_done"}
    assert "+    with LOCK:\n" in diffs["test_take"]
    assert "bracket" not in diffs["test_take"]
    assert "bracket(os.open, os.close, path, os.O_RDONLY)" in diffs["test_read"]
    assert all(diff.startswith("--- a/pool.py\n+++ b/pool.py\n") for diff in diffs.values())
    report = reading.read("report.json")
    Path("former.json").write_bytes(before)
    assert tuple(replace(audit, edits={}) for audit in report.audits) == reading.read("former.json").audits
    words = [sys.executable, "-m", "pytest_maskcheck", "merge", "report.json", "-o", "merged.json"]
    subprocess.run(words, check=False, capture_output=True, timeout=60)
    assert reading.read("merged.json").audits == report.audits


def test_an_edit_that_cures_another_defect_is_saved_for_both(cure):
    """A defect that the edit of another one cures has that edit in the report."""
    done = cure("--save", tests=BOTH)
    assert "cured by another edit: " in done.stdout, done.stdout
    assert "saved: edits for 2 defects" in done.stdout
    first, second = saved().values()
    assert first == second != ""


def test_edits_of_a_defect_that_is_not_cured_are_not_saved(cure):
    """A defect without an edit has none in the report, and one that was saved before is dropped."""
    cure(tests="import pool\ndef test_swallow():\n    pool.swallow()\n")
    data = json.loads(Path("report.json").read_bytes())
    (defect,) = (each for each in over_tests(reading.read("report.json").audits) if each.fails)
    (name,) = defect.defect.fingerprints
    data["audits"][0]["edits"] = {name.digest: {"title": "old", "diff": "old", "tests": []}}
    Path("report.json").write_text(json.dumps(data))
    assert list(saved().values()) == ["old"]
    done = command("report.json", "--save", "--", *PLUGIN)
    assert done.stdout.endswith("saved: edits for 0 defects in report.json\n"), done.stdout + done.stderr
    assert saved() == {}


def test_a_report_that_changes_meanwhile_is_not_overwritten(cure, pytester):
    """A report that another session writes while edits are tried is left as it is, and the exit status shows it."""
    cure()
    pytester.makeconftest(CHANGES.format(str(Path("report.json").absolute())))
    done = command("report.json", "--save", "--", *PLUGIN)
    assert "not saved: report.json has changed since it was read; run the command again\n" in done.stdout, done.stderr
    assert done.returncode == 1
    assert saved() == {}


CHANGES = """
import pathlib
path = pathlib.Path({!r})
path.write_text(path.read_text() + " ")
"""

BOTH = """
import pytest
import pool

@pytest.mark.interrupt_safe
def test_half_done(maskcheck):
    maskcheck.unchanged(lambda: list(pool.STATE), "state")
    maskcheck.unchanged(lambda: len(pool.STATE), "number")
    pool.half_done()
"""


def test_what_no_edit_cures(cure):
    """An edit that does not cure is not shown, and the exit status says that a defect is left."""
    done = cure(tests="import pool\ndef test_swallow():\n    pool.swallow()\n")
    assert done.returncode == 1
    assert done.stdout.startswith("no edit found: swallowed: ")
    assert "---" not in done.stdout


def test_several_edits(cure):
    """A defect with several windows is cured by an edit of each; the edits of one that is not cured are undone."""
    done = cure(tests="import pool\ndef test_open_twice():\n    pool.open_twice('pool.py')\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("+    with mask():\n") == 2
    assert "1 test audited again" in done.stdout


def test_catching_less(cure):
    """A clause that catches interrupts is narrowed, and no mask hides it."""
    done = cure(tests="import pool\ndef test_swallow_all():\n    pool.swallow_all()\n")
    assert "-    except BaseException:\n+    except Exception:\n" in done.stdout
    assert "mask" not in done.stdout.partition("---")[2]


CONDITION = """
import threading
CONDITION = threading.Condition()
def test_condition():
    CONDITION.acquire()
    abs(1)
    CONDITION.release()
"""


def test_what_is_only_listed_then(cure):
    """A ``with`` whose manager is Python code out of scope loses the thing there: that is no cure, although it fails no test."""
    done = cure(tests=CONDITION)
    assert "take the lock with `with`, masked but in its body\n" in done.stdout
    assert "+    with mask() as restore:\n+        with CONDITION:\n+            with restore():\n" in done.stdout


SOMETIMES = """
import os, pool
def test_take():
    if not os.path.exists("skip"):
        pool.take()
def test_read():
    pool.read("pool.py")
"""


def test_what_the_test_does_not_come_to_again_is_not_cured(cure):
    """A test that takes another way in the copy shows nothing: an edit elsewhere in the file has not cured what it does not come to."""
    cure(tests=SOMETIMES)
    Path("skip").touch()
    done = command("report.json", "--", *PLUGIN)
    assert "cured: leak: fd" in done.stdout, done.stdout
    assert "not met in a copy of the project: leak: lock pool.LOCK" in done.stdout
    assert "cured by another edit" not in done.stdout
    assert done.returncode == 1


def test_what_is_mended_already(cure):
    """A defect that the copy does not have is named as such."""
    cure(tests="import pool\ndef test_take():\n    pool.take()\n")
    text = Path("pool.py").read_text(encoding="utf-8")
    Path("pool.py").write_text(text.replace("    LOCK.acquire()\n    abs(1)\n    LOCK.release()\n", "    abs(1)\n"))
    done = command("report.json", "--", *PLUGIN)
    assert done.stdout.startswith("not met in a copy of the project: leak: lock pool.LOCK"), done.stdout
    assert done.stdout.endswith("\nthe project has changed since report.json was written: audit it again\n")
    assert done.returncode == 1
    Path("test_pool.py").write_text("import pool\ndef test_other(): pool.take()\n")
    Path("pool.py").write_text("def take(:\n")
    done = command("report.json", "--", *PLUGIN)
    assert done.stdout.startswith("no edit"), done.stdout
    assert done.stdout.endswith("\nthe project has changed since report.json was written: audit it again\n")
    assert (done.stderr, done.returncode, done.stdout.count("\n")) == ("", 1, 2)


def test_a_report_of_another_directory(cure, monkeypatch):
    """The message names the directory to run the command in."""
    cure()
    here = Path.cwd()
    (here / "other").mkdir()
    monkeypatch.chdir("other")
    done = command("../report.json", "--", *PLUGIN)
    assert done.returncode == 2
    message = f"error: none of the test files of ../report.json is in {here / 'other'}: run the command in {here}\n"
    assert done.stderr.endswith(message), done.stderr


TWO_WAYS = """
import threading

LOCK = threading.Lock()

def take(early):
    LOCK.acquire()
    if early:
        {}
        return 1
    abs(1)
    LOCK.release()
    return 2
"""

TWO_TESTS = """
import pytest
import two

@pytest.mark.interrupt_safe
def test_late():
    assert two.take(False) == 2

{}
def test_early():
    assert two.take(True) == 1
    {}
"""


def test_ways_of_other_tests(cure, pytester, run):
    """An edit cures a defect in all tests that meet it, also if they leave the function in different ways, and the suite still passes."""
    pytester.makepyfile(two=TWO_WAYS.format("LOCK.release()"))
    done = cure("--apply", tests=TWO_TESTS.format("@pytest.mark.interrupt_safe", ""))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mask signals from the first to the last of these lines (in 2 tests that meet it)\n" in done.stdout
    assert "2 tests audited again: 1 defect before, 0 after" in done.stdout
    result = run("--maskcheck", "-q", fresh=True)
    assert result.ret == 0
    assert Path("two.py").read_text(encoding="utf-8").count("with mask():") == 1


def test_an_edit_that_breaks_another_test(cure, pytester):
    """An edit after which a test fails that is not audited is none, even if the audits find nothing; what failed before does not count."""
    pytester.makepyfile(two=TWO_WAYS.format("abs(1)"))  # the caller releases
    pytester.makepyfile(test_failing="def test_it(): assert 0\n")
    pytester.makeini("[pytest]\naddopts = --maskcheck\n")
    tests = TWO_TESTS.format("", "two.LOCK.release()")
    pytester.makepyfile(test_pool=tests)
    subprocess.run(
        [sys.executable, "-m", "pytest", "--maskcheck-report=json:report.json", "-q", *PLUGIN],
        capture_output=True,
        timeout=300,
        check=False,
    )
    done = command("report.json", "--", *PLUGIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+    with LOCK" not in done.stdout
    assert "cured: leak: lock two.LOCK [2 points, two.py:6-10]: mask signals" in done.stdout


def test_suite(pytester, monkeypatch):
    """A test that stops passing counts against an edit; one that fails now and then does not, nor one that failed before."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    flaky = """
from pathlib import Path

def test_flaky():
    runs = Path("runs")
    runs.write_text(runs.read_text() + "x")
    assert len(runs.read_text()) != 2

def test_failing():
    assert 0
"""
    pytester.makepyfile(mod="A = 1\n", test_mod="import mod\ndef test_it(): assert mod.A == 1\n", test_flaky=flaky)
    Path("runs").write_text("")
    with copied(Path.cwd(), PLUGIN) as copy:
        passing = copy.passing()
        assert passing == {"test_mod.py::test_it", "test_flaky.py::test_flaky"}
        assert copy.read("mod.py").strip() == "A = 1"  # in an encoding that is kept
        copy.write("mod.py", "A = 2 - 1\n")
        assert not copy.breaks(passing)
        for text in ("A = 2\n", "A =\n"):
            copy.write("mod.py", text)
            assert copy.breaks(passing)


FILE = """import threading

LOCK = threading.Lock()

def take():
    LOCK.acquire()
    abs(1)
    LOCK.release()
"""

FILES_TESTS = """
import latin, link, mark

def test_latin(): latin.take()
def test_link(): link.take()
def test_mark(): mark.take()
"""


def test_files_of_all_sorts(cure, pytester):
    """Encodings, byte order marks, and missing ends of lines stay; the file behind a link is edited, and what is no file is not copied."""
    before = {
        "latin.py": f'# coding: latin-1\n\n\n\n{FILE}\n\n\nNAME = "h\xe4h"\n'.encode("latin-1"),
        "mark.py": FILE.encode("utf-8-sig"),
        "shared/re al.py": FILE.strip().encode(),
    }
    Path("shared").mkdir()
    for name, data in before.items():
        Path(name).write_bytes(data)
    Path("link.py").symlink_to(Path("shared/re al.py").absolute())
    os.mkfifo("pipe")
    done = cure(tests=FILES_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\ncured") + done.stdout.startswith("cured") == 3
    assert all(Path(name).read_bytes() == data for name, data in before.items())
    diff = "---" + done.stdout.partition("\n---")[2].rpartition("\n\n")[0] + "\n"
    subprocess.run(["git", "apply", "-"], input=diff.encode(), check=True, timeout=60)
    after = {name: Path(name).read_bytes() for name in before}
    assert all(b"    with LOCK:\n        abs(1)" in data for data in after.values())
    assert after["latin.py"].endswith(b'NAME = "h\xe4h"\n')
    assert after["mark.py"].startswith(b"\xef\xbb\xbfimport")
    assert after["shared/re al.py"].endswith(b"abs(1)")


def test_diffs():
    """Only line feeds end lines in a diff, and a missing last one is marked."""
    assert _diff("a.py", "a\x0cb\nc", "a\x0cb\nd\n") == (
        "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n a\x0cb\n-c\n\\ No newline at end of file\n+d\n"
    )


def test_files_that_change_meanwhile(cure, pytester):
    """A file that was edited while the command ran is not written; the others are, and the exit status is 1."""
    Path("one.py").write_text(FILE)
    Path("two.py").write_text(FILE)
    pytester.makeconftest(
        f"from pathlib import Path\nif Path.cwd() != Path({str(Path.cwd())!r}): Path({str(Path('two.py').absolute())!r}).write_text('mine = 1')\n"
    )
    done = cure("--apply", tests="import one, two\ndef test_one(): one.take()\ndef test_two(): two.take()\n")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.endswith(
        "written: one.py\nnot written: two.py has changed since it was copied; run the command again\n"
    )
    assert Path("two.py").read_text() == "mine = 1"
    assert "with LOCK" in Path("one.py").read_text()


def test_a_test_that_does_not_end(pytester, monkeypatch):
    """A session in the copy that takes far longer than the first one is ended."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(test_slow="import time\ndef test_it():\n    time.sleep(60)\n")
    with copied(Path.cwd(), PLUGIN, limit=3.0) as copy, pytest.raises(TrialError, match="pytest does not end"):
        copy.audit(["test_slow.py::test_it"])


def test_code_of_others(cure):
    """A defect of code that is not in the project is named as such, unless a line of the project leads there."""
    done = cure(
        tests="import pytest, tempfile\n@pytest.mark.interrupt_safe(include=['tempfile'])\ndef test_it(tmp_path):\n    with tempfile.TemporaryDirectory(dir=tmp_path):\n        abs(1)\n"
    )
    assert "+    with shield(tempfile.TemporaryDirectory, dir=tmp_path):\n" in done.stdout, done.stdout


def test_bad_input(pytester):
    """What cannot be used is one sentence."""
    os.mkfifo("pipe")
    for words, message in {
        ("none.json",): "the report cannot be read: ",
        ("bad.json",): "bad.json is no report of pytest-maskcheck",
        ("none.json", "--save"): "the report cannot be read: ",
        ("pipe", "--save"): "pipe is no file that edits can be saved in: leave out --save, or name a file\n",
    }.items():
        Path("bad.json").write_text("x")
        done = command(*words)
        assert done.returncode == 2
        assert f"error: {message}" in done.stderr
        assert "Traceback" not in done.stderr


def test_project_that_does_not_run_in_a_copy(cure):
    """If pytest fails in the copy, one sentence says why."""
    cure()
    done = command("report.json", "--", *PLUGIN, "--no-such-option")
    assert done.returncode == 2
    message = r"error: pytest ends with exit status 4 in a copy of the project: .*: unrecognized arguments: --no-such-option\n\Z"
    assert re.search(message, done.stderr), done.stderr
    assert json.loads(Path("report.json").read_text(encoding="utf-8"))["tool"] == "pytest-maskcheck"


def test_what_the_baseline_has_is_not_cured(tmp_path, capsys):
    """If a report has known defects alone, it is said how to cure them, and nothing is tried."""
    found = audit(finding())
    known = replace(found, known=(found.defects[0].fingerprints[0].digest,))
    formats.write("json", str(tmp_path / "report.json"), [known])
    assert main(["cure", str(tmp_path / "report.json")]) == 0
    assert capsys.readouterr().out.endswith("; write the report without the baseline to cure its 1 known defect\n")
