"""A defect that a session has not looked for is not gone from the baseline: it is not met, and an update keeps it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

FILE = "known.toml"
WITH = (f"--maskcheck-baseline={FILE}", "-q")
UPDATE = "--maskcheck-baseline-update"
NOT_MET = "baseline: 0 known, 0 new, 0 gone, 1 not met (*)"

CODE = """
    import os

    def work(flag):
        if flag:
            os.environ["A"] = "1"
            del os.environ["A"]
        return abs(-1)
    """

ONE = """
    import os
    import sys
    import code_under_test
    import pytest

    @pytest.mark.interrupt_safe
    def test_one():
        if "SKIP" in os.environ:
            pytest.skip()
        if "REFUSE" in os.environ:
            os.environ["REFUSE"] += "again"
            assert os.environ["REFUSE"] == "again"
        if "DIE" in os.environ:
            os._exit(9)
        assert "FAIL" not in os.environ
        code_under_test.work(True)
    """

TWO = """
    import code_under_test
    import pytest

    @pytest.mark.interrupt_safe
    def test_two():
        code_under_test.work(False)
    """

LEAVES_OUT = """
    import os

    if "IGNORE" in os.environ:
        collect_ignore = ["test_one.py"]

    def pytest_collection_modifyitems(items):
        if "REMOVE" in os.environ:
            items[:] = [item for item in items if item.name != "test_one"]
    """


@pytest.fixture
def adopted(pytester, run):
    """A project whose only defect is met by the first of two tests, and is in the baseline; return the text of the file."""
    pytester.makepyfile(code_under_test=CODE, test_one=ONE, test_two=TWO)
    pytester.makeconftest(LEAVES_OUT)
    result = run("--maskcheck", *WITH, UPDATE)
    result.stdout.fnmatch_lines(["baseline: 0 known, 1 new, 0 gone, 0 not met (*)"])
    return Path(FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize("state", ["SKIP", "FAIL", "REFUSE", "IGNORE", "REMOVE"])
def test_a_test_without_an_audit(adopted, run, monkeypatch, state):
    """A test that is skipped, fails, cannot be audited, or is left out by a conftest leaves its entry as it was."""
    monkeypatch.setenv(state, "")
    run("--maskcheck", *WITH, UPDATE).stdout.fnmatch_lines([NOT_MET])
    assert Path(FILE).read_text(encoding="utf-8") == adopted


@pytest.mark.parametrize(
    "options",
    [
        ["--ignore=test_one.py"],
        ["--deselect=test_one.py"],
        ["-k", "two"],
        ["test_two.py"],
        ["-p", "xdist", "-n1", "-k", "two"],
        ["-p", "xdist", "-n1", "--ignore=test_one.py"],
        ["--maskcheck-kinds=-environ"],
        ["--maskcheck-allow=environ:A"],
        ["-p", "xdist", "-n1", "--maskcheck-allow=environ:A"],
    ],
    ids=" ".join,
)
def test_options_that_leave_out(adopted, run, options):
    """Options that leave tests out, or that kind of defect, leave the entry as it was; with workers, too."""
    run("--maskcheck", *WITH, UPDATE, *options).stdout.fnmatch_lines([NOT_MET])
    assert Path(FILE).read_text(encoding="utf-8") == adopted


def test_allowed_findings_say_nothing_about_others(adopted, run):
    """An entry of which nothing is allowed can be gone in a session that allows something else."""
    mended = CODE.replace('os.environ["A"] = "1"\n            del os.environ["A"]', "abs(1)")
    Path("code_under_test.py").write_text(mended.replace("\n    ", "\n"), encoding="utf-8")
    result = run("--maskcheck", *WITH, "--maskcheck-allow=lock:*", "--maskcheck-kinds=-lock", fresh=True)
    result.stdout.fnmatch_lines(["baseline: 0 known, 0 new, 1 gone, 0 not met (*)*"])


def test_a_session_that_ends_early(adopted, pytester, run):
    """A session that the first failure ends leaves the entries of the tests after it as they were."""
    pytester.makepyfile(test_first=TWO.replace("False", "False)\n        raise ValueError("), test_before=TWO)
    run("--maskcheck", *WITH, UPDATE, "-x").stdout.fnmatch_lines([NOT_MET])
    assert Path(FILE).read_text(encoding="utf-8") == adopted


def test_a_worker_that_dies(adopted, run, monkeypatch):
    """A worker of xdist that dies leaves the entries of its test as they were."""
    monkeypatch.setenv("DIE", "")
    result = run("--maskcheck", *WITH, UPDATE, "-p", "xdist", "-n1")
    result.stdout.fnmatch_lines([NOT_MET])
    assert Path(FILE).read_text(encoding="utf-8") == adopted


def test_the_same_line_reached_by_another_test(adopted, pytester, run, monkeypatch):
    """That another test reaches the very line without meeting the defect does not show that it is gone."""
    masked = TWO.replace(
        "        code_under_test.work(False)", "        with mask():\n            code_under_test.work(True)"
    )
    masked = masked.replace("import pytest\n", "import pytest\n    from pytest_maskcheck.masking import mask\n")
    pytester.makepyfile(test_two=masked)
    monkeypatch.setenv("SKIP", "")
    run("--maskcheck", *WITH, UPDATE, fresh=True).stdout.fnmatch_lines([NOT_MET])
    assert Path(FILE).read_text(encoding="utf-8") == adopted


def test_what_was_not_touched(adopted, run):
    """With --maskcheck-since, entries of tests that reach nothing that changed stay as they were."""
    for command in ("init -q", "add .", "-c user.name=x -c user.email=x@example.org commit -q -m x"):
        subprocess.run(["git", *command.split()], check=True)
    path = Path("test_two.py")
    path.write_text(path.read_text(encoding="utf-8").replace("work(False)", "work(0)"), encoding="utf-8")
    run("--maskcheck", *WITH, UPDATE, "--maskcheck-since=HEAD", fresh=True).stdout.fnmatch_lines([NOT_MET])
    assert Path(FILE).read_text(encoding="utf-8") == adopted


@pytest.mark.parametrize("shard", ["1/2", "2/2"])
def test_shards_of_whole_tests(adopted, pytester, run, shard):
    """Where tests are dealt out as a whole, entries of those in other shards stay as they were."""
    pytester.makepyfile(test_two="import time\n" + dedent(TWO).replace("False)", "False)\n    time.sleep(0.05)"))
    times = "--maskcheck-cache=times"
    run("--maskcheck", *WITH, times, fresh=True)
    result = run("--maskcheck", *WITH, times, UPDATE, f"--maskcheck-shard={shard}", fresh=True)
    result.stdout.fnmatch_lines(["baseline: * known, 0 new, 0 gone, *"])
    assert Path(FILE).read_text(encoding="utf-8") == adopted


@pytest.mark.parametrize("part", ["1/2", "2/2"])
def test_shards(pytester, run, part):
    """A shard does not call the defects of the other shards gone."""
    pytester.makepyfile(
        test_it="""
        import threading

        LOCK = threading.Lock()

        def test_it():
            LOCK.acquire()
            LOCK.release()
        """
    )
    run(*WITH, "--maskcheck-all", UPDATE).stdout.fnmatch_lines(["baseline: 0 known, 1 new, *"])
    text = Path(FILE).read_text(encoding="utf-8")
    result = run(*WITH, "--maskcheck-all", f"--maskcheck-shard={part}", UPDATE)
    result.stdout.fnmatch_lines(["baseline: * known, 0 new, 0 gone, *"])
    assert Path(FILE).read_text(encoding="utf-8") == text


def test_mended_where_the_line_stays(pytester, run):
    """If a complete session has interrupted the line and does not meet the defect any more, that is gone, although the line is still there.

    Not so the defect that is left in clean-up code, and allowed there.
    """
    pytester.makepyfile(
        store="""
        import os

        def change():
            os.environ["A"] = "1"
            abs(1)
            del os.environ["A"]

        def swallow():
            try:
                abs(1)
            except BaseException:
                pass
        """,
        test_it="import store\ndef test_change(): store.change()\ndef test_swallow(): store.swallow()",
    )
    run(*WITH, "--maskcheck-all", UPDATE).stdout.fnmatch_lines(["baseline: 0 known, 2 new, *"])
    text = Path("store.py").read_text(encoding="utf-8")
    mended = text.replace("    abs(1)\n    del os.environ", "    del os.environ").replace(
        "        pass", "        raise"
    )
    mended = mended.replace(
        '    os.environ["A"] = "1"\n    del os.environ["A"]',
        '    try:\n        os.environ["A"] = "1"\n    finally:\n        os.environ.pop("A", None)',
    )
    Path("store.py").write_text(mended, encoding="utf-8")
    result = run(*WITH, "--maskcheck-all", "--maskcheck-allow=cleanup:*", fresh=True)
    result.stdout.fnmatch_lines(["baseline: gone: swallowed: *", "baseline: 0 known, 0 new, 1 gone, 1 not met (*)*"])


@pytest.mark.parametrize(("max_points", "gone"), [(1000, 1), (2, 0)])
def test_a_sample(pytester, run, max_points, gone):
    """That a sample of the points of a test meets no defect does not show that it is gone."""
    source = "import os\n\ndef test_it():\n{}    os.environ['A'] = '1'\n    abs(1)\n    os.environ.pop('A')\n"
    Path("test_it.py").write_text(source.format(""), encoding="utf-8")
    run(*WITH, "--maskcheck-all", UPDATE).stdout.fnmatch_lines(["baseline: 0 known, 1 new, *"])
    masked = (
        source.format("    with mask():\n")
        .replace("    os.environ", "        os.environ")
        .replace("    abs", "        abs")
    )
    masked = "from pytest_maskcheck.masking import mask\n" + masked + "    abs(2)\n"
    Path("test_it.py").write_text(masked, encoding="utf-8")
    result = run(*WITH, "--maskcheck-all", f"--maskcheck-max-points={max_points}", fresh=True)
    result.stdout.fnmatch_lines([f"baseline: 0 known, 0 new, {gone} gone, {1 - gone} not met (*"])
