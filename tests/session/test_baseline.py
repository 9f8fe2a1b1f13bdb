"""The baseline: known defects do not fail, others do, and those that are gone are named."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pytest_maskcheck.__main__ import main
from pytest_maskcheck.reports import baseline
from pytest_maskcheck.reports.baseline import Entry
from pytest_maskcheck.reports.reading import read
from pytest_maskcheck.results import Fingerprint

FILE = "known.toml"
WITH = (f"--maskcheck-baseline={FILE}", "--maskcheck-all", "-q")
UPDATE = "--maskcheck-baseline-update"

STORE = """
    import threading

    class Store:
        def __init__(self):
            self.lock = threading.Lock()

    STORES = {name: Store() for name in "abc"}

    def take(name):
        STORES[name].lock.acquire()
        STORES[name].lock.release()

    def keep():
        STORES["a"].lock.acquire()
        abs(1)
        STORES["a"].lock.release()

    def swallow():
        try:
            abs(1)
        except BaseException:
            pass
    """

TESTS = """
    import pytest
    import store

    def test_take():
        store.take("b")

    def test_keep():
        store.keep()

    def test_swallow():
        store.swallow()
    """


@pytest.fixture
def project(pytester, run):
    """Return a function that audits the project with its baseline."""
    pytester.makepyfile(store=STORE, test_store=TESTS)

    def audited(*args: str) -> pytest.RunResult:
        return run(*WITH, *args, fresh=True)

    return audited


def test_adopted(project):
    """Once the defects are written down, the project passes, and the file is the same if it is written again."""
    assert project(UPDATE).ret == 0
    text = Path(FILE).read_text(encoding="utf-8")
    entries = tomllib.loads(text)["defect"]
    assert [(entry["function"], entry["text"], entry["verdict"]) for entry in entries] == [
        ("keep", 'STORES["a"].lock.acquire()', "leak"),
        ("swallow", "except BaseException:", "swallowed"),
        ("take", "STORES[name].lock.acquire()", "leak"),
    ]
    result = project("--maskcheck-report=json:report.json")
    assert result.ret == 0
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["baseline: 3 known, 0 new, 0 gone, 0 not met (known.toml)", "*: 0 defects and 3 known;*"]
    )
    result.stdout.no_fnmatch_line("listed: *")
    defects = [defect for audit in read("report.json").audits for defect in audit.defects]
    assert [(defect.known, defect.fails) for defect in defects] == [(True, False)] * 3
    assert project(UPDATE).ret == 0
    assert Path(FILE).read_text(encoding="utf-8") == text


def test_new_defect(project):
    """A defect that the baseline does not have fails its test, and only that."""
    project(UPDATE)
    source = Path("store.py").read_text(encoding="utf-8")
    Path("store.py").write_text(
        source.replace(
            "        abs(1)\n    except",
            "        STORES['c'].lock.acquire()\n        STORES['c'].lock.release()\n    except",
        )
    )
    result = project()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["baseline: 3 known, 1 new, 0 gone, 0 not met*", "FAILED test_store.py::test_swallow - leak: *"]
    )


def test_moved_code_renamed_tests(project):
    """Entries are found again after edits elsewhere, renamed functions and tests; with xdist, too."""
    project(UPDATE)
    source = Path("store.py").read_text(encoding="utf-8")
    Path("store.py").write_text('"""Docs."""\n\n\n' + source.replace("def take(", "def obtain(") + "\ntake = obtain\n")
    tests = Path("test_store.py").read_text(encoding="utf-8")
    Path("test_store.py").write_text(tests.replace("def test_", "def test_that_"))
    result = project("-p", "xdist", "-n2")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["baseline: 3 known, 0 new, 0 gone, 0 not met*"])


def test_same_line_elsewhere(project):
    """An entry does not stand for the same line in another function, as long as its own is there."""
    project(UPDATE)
    source = Path("store.py").read_text(encoding="utf-8")
    Path("store.py").write_text(
        source.replace(
            "def keep():",
            "def also():\n    STORES['b'].lock.acquire()\n    STORES['b'].lock.release()\n\ndef keep():\n    also()",
        )
    )
    project().assert_outcomes(passed=2, failed=1)


def test_same_line_again(project):
    """A second line with the same text in the same function is another defect."""
    project(UPDATE)
    source = Path("store.py").read_text(encoding="utf-8")
    twice = "STORES['a'].lock.acquire()\n    abs(1)\n    STORES['a'].lock.release()\n"
    twice = twice.replace("'", '"')
    Path("store.py").write_text(source.replace(twice, f"{twice}    {twice}"))
    result = project()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["baseline: 3 known, 1 new, 0 gone, 0 not met*"])


def test_gone(project):
    """A defect that is gone is named, and an update drops it; reasons stay."""
    project(UPDATE)
    text = Path(FILE).read_text(encoding="utf-8")
    Path(FILE).write_text(text + 'reason = "soon"\n')  # of the last entry
    source = Path("store.py").read_text(encoding="utf-8")
    Path("store.py").write_text(
        source.replace(
            "        abs(1)\n    except BaseException:\n        pass", "        abs(1)\n    finally:\n        pass"
        )
    )
    result = project()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "baseline: gone: swallowed: exception swallow, store.py in swallow: except BaseException:",
            "baseline: 2 known, 0 new, 1 gone, 0 not met (*); --maskcheck-baseline-update removes what is gone",
        ]
    )
    assert project(UPDATE).ret == 0
    entries = tomllib.loads(Path(FILE).read_text(encoding="utf-8"))["defect"]
    assert {entry["function"]: entry.get("reason") for entry in entries} == {"keep": None, "take": "soon"}


def test_what_was_not_met_stays(project):
    """A session that does not come to an entry neither calls it gone nor drops it."""
    project(UPDATE)
    text = Path(FILE).read_text(encoding="utf-8")
    result = project("-k", "take", UPDATE)
    result.stdout.fnmatch_lines(["baseline: 1 known, 0 new, 0 gone, 2 not met (written to *)"])
    assert Path(FILE).read_text(encoding="utf-8") == text


def test_some_functions_known(pytester, run):
    """Of a defect whose line is not known, each function must be known."""
    source = """
        import test_it

        def work():
            try:
                abs(1)
                more()
            except KeyboardInterrupt:
                raise ValueError from None

        def more():
            {more}
        """
    pytester.makepyfile(work=source.format(more="pass"), test_it="import work\ndef test_it(): work.work()")
    assert run(*WITH, UPDATE).ret == 0
    assert [entry["text"] for entry in tomllib.loads(Path(FILE).read_text(encoding="utf-8"))["defect"]] == ["", ""]
    assert run(*WITH).ret == 0
    pytester.makepyfile(
        work=source.replace("def more():", "def more():\n            last()\n\n        def last():").format(
            more="abs(1)"
        )
    )
    run(*WITH).assert_outcomes(failed=1)


def test_found_in_another_test(pytester, run):
    """A test that reaches the known defect of another one passes, too."""
    pytester.makepyfile(store=STORE, test_store=TESTS + "\n    def test_again():\n        store.keep()\n")
    assert run(*WITH, UPDATE).ret == 0
    result = run(*WITH)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["reached again: 1 other test would meet what fails *test_keep*"])


def test_kept_results(project):
    """With --maskcheck-changed the baseline of today decides, not that of the session that made the audit."""
    cached = ("--maskcheck-changed", "--maskcheck-cache=results")
    project(*cached, UPDATE).assert_outcomes(passed=3)
    project(*cached).assert_outcomes(passed=3)
    Path(FILE).write_text("version = 1\n")
    result = project(*cached)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["unchanged: 3 tests *"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist: write it with --maskcheck-baseline-update"),
        ("defect = [", "is no baseline (*): mend it, or remove it and write it with --maskcheck-baseline-update"),
        ("", "is empty: remove it, and --maskcheck-baseline-update writes a new one"),
        ("\n \n", "is empty: remove it, and --maskcheck-baseline-update writes a new one"),
        ("[tool.other]\nversion = 1", "is no baseline (it has no version): name another file"),
        ("version = true", "is no baseline (it has no version): name another file"),
        ("version = 2", "has version 2, and this version of pytest-maskcheck reads version 1: use one version *"),
        ('{"tool": "pytest-maskcheck"}', "is no baseline (*): mend it, *"),
        ("version = 1\ndefect = 3", "is no baseline: each entry must begin with [[][[]defect]]"),
        ("version = 1\n[[defect]]\npath = 3", "is no baseline: entry 1 must consist of texts"),
        ("version = 1\n[[defect]]\npath = 'x'", "is no baseline: entry 1 has no function"),
        (
            "version = 1\n[[defect]]\npath = ''\nfunction = ''\ntext = ''\nverdict = ''\nkind = ''\nkey = ''\nline = ''",
            "is no baseline: entry 1 has line, which is not known; *",
        ),
    ],
)
def test_unusable(pytester, run, text, message):
    """A file that cannot be used is one clear sentence."""
    pytester.makepyfile(test_it="def test_it(): pass")
    if text is not None:
        Path(FILE).write_text(text)
    result = run(*WITH)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = filter(None, result.errlines)
    assert line.startswith("ERROR: --maskcheck-baseline: ")
    result.stderr.fnmatch_lines([f"*{FILE} {message}"])


@pytest.mark.parametrize("text", ["[tool.other]\n", "version = 2\n", "version = 1\n[[defect]]\npath = 3\n", "{}"])
def test_an_update_overwrites_no_other_file(pytester, run, text):
    """An update does not replace a file that it cannot read: neither one of another tool nor a baseline that somebody has edited."""
    pytester.makepyfile(test_it="def test_it(): pass")
    Path(FILE).write_text(text)
    result = run(*WITH, UPDATE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len([*filter(None, result.errlines)]) == 1
    assert Path(FILE).read_text(encoding="utf-8") == text


def test_a_folder_is_no_baseline(pytester, run):
    """A folder is named as such."""
    pytester.makepyfile(test_it="def test_it(): pass")
    Path(FILE).mkdir()
    result = run(*WITH)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --maskcheck-baseline: *known.toml cannot be read (it is no file): *"])


def test_not_written_at_the_end(project, pytester):
    """If the file cannot be written any more at the end, the session says so, with its results; what was there stays."""
    project(UPDATE)
    text = Path(FILE).read_text(encoding="utf-8")
    pytester.makeconftest(
        """
        import os, pytest

        @pytest.fixture(scope="session", autouse=True)
        def moved():
            yield
            os.rename("known.toml", "moved.toml")
            os.mkdir("known.toml")
        """
    )
    result = project(UPDATE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(
        [
            "ERROR: the baseline cannot be written: *",
            "baseline: 3 known, 0 new, 0 gone, 0 not met (known.toml)",
            "3 tests audited at *",
        ]
    )
    assert Path("moved.toml").read_text(encoding="utf-8") == text


def test_with_xdist_one_sentence(pytester, run):
    """With workers, too, a file that cannot be used is one sentence."""
    pytester.makepyfile(test_it="def test_it(): pass")
    Path(FILE).write_text("[tool.other]")
    result = run(*WITH, "-p", "xdist", "-n2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len([*filter(None, result.errlines)]) == 1


def test_update_without_file(pytester, run):
    """An update needs the name of the file, and a place where it can be written."""
    pytester.makepyfile(test_it="def test_it(): pass")
    result = run("--maskcheck", UPDATE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --maskcheck-baseline-update writes the file that --maskcheck-baseline names: add it"]
    )
    result = run("--maskcheck", UPDATE, "--maskcheck-baseline=nowhere/known.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --maskcheck-baseline is *known.toml; it must name a file in a folder that exists *"]
    )


def test_other_checkout(pytester, run, tmp_path, monkeypatch):
    """The configuration file names the baseline; in another checkout it holds, too."""
    ini = f"[pytest]\nmaskcheck_baseline = {FILE}\n"
    for folder in (pytester.path, tmp_path):
        (folder / "pytest.ini").write_text(ini)
        (folder / "store.py").write_text(_dedented(STORE))
        (folder / "test_store.py").write_text(_dedented(TESTS))
    assert run("--maskcheck-all", UPDATE).ret == 0
    (tmp_path / FILE).write_text(Path(FILE).read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert run("--maskcheck-all", fresh=True).ret == 0


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.splitlines())


def test_a_file_elsewhere(pytester, run, tmp_path):
    """A file that does not lie below the root directory is shown with its whole path."""
    pytester.makepyfile(test_it="def test_it(): abs(1)")
    file = tmp_path / "elsewhere.toml"
    result = run(f"--maskcheck-baseline={file}", "--maskcheck-all", UPDATE)
    result.stdout.fnmatch_lines([f"baseline: 0 known, 0 new, 0 gone, 0 not met (written to {file})"])


def test_merged_shards(project, capsys):
    """Shards with a baseline merge into a report in which its defects are known, so that only others make `merge` fail."""
    project(UPDATE)
    reports = [f"{number}.json" for number in (1, 2)]
    for number, report in enumerate(reports, 1):
        result = project(f"--maskcheck-shard={number}/2", f"--maskcheck-report=json:{report}")
        assert result.ret == 0
        result.stdout.fnmatch_lines(["baseline: * known, 0 new, 0 gone, * not met (known.toml)"])
    assert main(["merge", *reports, "-o", "merged.json"]) == 0
    assert "3 known" in capsys.readouterr().out
    text = Path(FILE).read_text(encoding="utf-8")
    Path(FILE).write_text(text.replace('function = "take"', 'function = "keep"'), encoding="utf-8")
    for number, report in enumerate(reports, 1):
        project(f"--maskcheck-shard={number}/2", f"--maskcheck-report=json:{report}")
    assert main(["merge", *reports, "-o", "merged.json"]) == 1


def test_two_updates_at_once(tmp_path):
    """Two sessions that write at once leave the whole file of one of them."""
    path = str(tmp_path / FILE)
    both = [[Entry(Fingerprint(name, "f", "", "leak", "lock", str(key))) for key in range(1000)] for name in "ab"]
    code = f"import sys; sys.path[:0] = {sys.path!r}; from tests.session.test_baseline import write_often; write_often"
    writers = [subprocess.Popen([sys.executable, "-c", f"{code}({path!r}, {name!r})"]) for name in "ab"]
    while any(writer.poll() is None for writer in writers):
        if Path(path).exists():
            assert [*baseline.read(path)] in (sorted(both[0]), sorted(both[1]))
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def write_often(path: str, name: str) -> None:
    """Write a file of a thousand entries twenty times."""
    for _ in range(20):
        baseline.write(path, [Entry(Fingerprint(name, "f", "", "leak", "lock", str(key))) for key in range(1000)])
