"""``--maskcheck-since``: only tests that reach lines changed since a commit are audited."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import read_audits

pytestmark = pytest.mark.newest

OK, NONE, USAGE = pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.USAGE_ERROR

CODE = """\
    import functools

    SIZE = 1


    def one(yes=False):
        if yes:
            return len("yes")
        return len("one")


    def two():
        return len("two")


    @functools.cache
    def once():
        return len("once")
"""

TESTS = """\
    import pytest
    from code_of_ours import once, one, two

    def setup_function():
        pass

    @pytest.fixture
    def thing():
        return 1

    def test_one():
        assert one()

    @pytest.mark.parametrize("size", [3])
    def test_two(thing, size):
        assert two() == size

    def test_once():
        assert once() == 4
"""

FILES = {
    "pytest.ini": "[pytest]\npythonpath = .\n",
    ".gitignore": "__pycache__\nreport.json\n",
    "code_of_ours.py": CODE,
    "tests/test_it.py": TESTS,
    "tests/data.json": "{}",
}


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> Callable[..., str]:
    """Return a function that runs git in the directory of the inner pytest, without any configuration of the user's."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(pytester.path.parent))

    def git(*arguments: str, where: str = ".") -> str:
        name = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
        command = ["git", *name, "-c", "commit.gpgSign=false", *arguments]
        return subprocess.run(command, cwd=where, capture_output=True, text=True, check=True).stdout

    return git


def write(files: Mapping[str, str], where: str = ".") -> None:
    """Write files below the working directory; remove those without a text."""
    for name, text in files.items():
        path = Path(where, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(dedent(text), encoding="utf-8")


@pytest.fixture
def commit(git) -> Callable[..., None]:
    """Return a function that commits files to a repository, which it makes."""

    def commit(files: Mapping[str, str], where: str = ".") -> None:
        write(files, where)
        git("init", "-q", where=where)
        git("add", "-A", where=where)
        git("commit", "-qm", "files", where=where)

    return commit


@pytest.fixture
def audited(run) -> Callable[..., set[str]]:
    """Return a function that returns the names of the tests audited since the last commit."""

    def audited(*arguments: str) -> set[str]:
        report = Path("report.json").absolute()
        result = run("--maskcheck-all", "--maskcheck-since=HEAD", f"--maskcheck-report=json:{report}", *arguments)
        assert result.ret == OK
        audits = read_audits(report)
        assert {audit.refused for audit in audits} <= {"", "it reaches no line changed since HEAD"}
        return {audit.test.partition("::test_")[2].partition("[")[0] for audit in audits if audit.audited}

    return audited


@pytest.fixture
def touched(run) -> Callable[[], set[str]]:
    """Return a function that returns the names of the tests touched since the last commit, whatever their audits find."""

    def touched() -> set[str]:
        report = Path("report.json").absolute()
        run("--maskcheck-all", "--maskcheck-since=HEAD", f"--maskcheck-report=json:{report}")
        return {audit.test.partition("::test_")[2] for audit in read_audits(report) if audit.audited}

    return touched


CODE_OF = {"code_of_ours.py": CODE}
ALL = {"one", "two", "once"}

CHANGES = {
    "nothing": ({}, set()),
    "data": ({"tests/data.json": "[]", "LICENSE": "text"}, set()),
    "a function": ({"code_of_ours.py": CODE.replace('"two"', '"owt"')}, {"two"}),
    "a function that only the first run calls": ({"code_of_ours.py": CODE.replace('"once"', '"ecno"')}, {"once"}),
    "code at import": ({"code_of_ours.py": CODE.replace("SIZE = 1", "SIZE = 2")}, {"one", "two", "once"}),
    "a comment": ({"code_of_ours.py": CODE.replace("SIZE = 1", "SIZE = 1\n    # of things")}, set()),
    "a branch not reached": ({"code_of_ours.py": CODE.replace("if yes:", "if yes:\n            len('more')")}, {"one"}),
    "the test": ({"tests/test_it.py": TESTS.replace("assert one()", "assert one() > 0")}, {"one"}),
    "parameters": ({"tests/test_it.py": TESTS.replace("[3]", "[3, 3]")}, {"two"}),
    "a fixture": ({"tests/test_it.py": TESTS.replace("return 1", "return 2")}, {"two"}),
    "a set-up": ({"tests/test_it.py": TESTS.replace("pass", "len('set up')")}, ALL),
    "another test file": ({"tests/test_new.py": "def test_new():\n    len('new')"}, {"new"}),
    "conftest.py": ({"tests/conftest.py": "X = 1"}, ALL),
    "conftest.py elsewhere": ({"others/conftest.py": "X = 1"}, set()),
    "configuration": ({"setup.cfg": "[metadata]"}, ALL),
    "configuration elsewhere": ({"others/setup.cfg": "[metadata]"}, set()),
    "constants not imported": ({"setup.py": "X = 1"}, set()),
}


@pytest.mark.parametrize("case", CHANGES)
def test_only_tests_that_reach_a_change_are_audited(git, commit, audited, case):
    """A test is audited if it reaches what changed in the working tree, untracked files included, or depends on it otherwise."""
    files, expected = CHANGES[case]
    commit(FILES)
    write(files)
    assert audited() == expected


def test_tests_not_touched_are_counted(git, commit, run):
    """One line counts the tests that reach nothing changed; a session where that holds for all ends with 0."""
    commit(FILES)
    result = run("--maskcheck-all", "--maskcheck-since=HEAD")
    result.stdout.fnmatch_lines(["maskcheck: since HEAD: tests that reach what changed in 0 Python files"])
    result.stdout.fnmatch_lines(["3 tests reach no line changed since HEAD", "0 tests audited *"])
    result.stdout.no_fnmatch_line("*nothing was audited*")
    result.stdout.no_fnmatch_line("not audited: *")
    assert result.ret == OK
    write({"code_of_ours.py": CODE.replace('"two"', '"owt"')})
    result = run("--maskcheck-all", "--maskcheck-since=HEAD", "-k", "one or two")
    result.stdout.fnmatch_lines(["1 test reaches no line changed since HEAD", "1 test audited at *"])
    write({"tox.ini": ""})
    result = run("--maskcheck-all", "--maskcheck-since=HEAD", "-k", "two")
    result.stdout.fnmatch_lines(["maskcheck: since HEAD: all tests, as tox.ini changed", "1 test audited at *"])


def test_a_session_without_tests_still_audits_nothing(git, commit, run):
    """Where no test is marked, the session says so, whatever changed."""
    commit(FILES)
    result = run("--maskcheck", "--maskcheck-since=HEAD")
    result.stdout.fnmatch_lines(["nothing was audited: no test that was selected is marked*"])
    assert result.ret == NONE


def test_a_point_is_audited_whatever_changed(git, commit, run):
    """``--maskcheck-point`` wins: who names a point wants it audited."""
    commit(FILES)
    result = run("--maskcheck-point=code_of_ours.py:13:call#1", "--maskcheck-since=HEAD", "-k", "two")
    result.stdout.fnmatch_lines(["1 test audited at 1 point: *"])


USES = {
    "code_of_ours.py": """\
        from contextlib import contextmanager

        import helping
        from helping import TABLE
        from helping import aliased as other


        def idle():
            return len("idle")


        def use():
            helper = helping.Helper()
            try:
                return helping.work()
            except KeyboardInterrupt:
                helping.undo()
                helper.close()
                from constants import SIZE
                helping.work(SIZE)
                helper.state
                TABLE["x"]()
                other()
                raise


        @contextmanager
        def managed():
            try:
                yield helping.work()
            except KeyboardInterrupt:
                helping.back()
                raise
    """,
    "helping.py": """\
        import functools


        def decorated(function):
            @functools.wraps(function)
            def inner():
                return function()
            return inner


        def work(size=1):
            return len("work") * size


        def undo():
            return work()


        def release():
            return work()


        @decorated
        def back():
            return work()


        def others():
            return work()


        def listed():
            return work()


        def aliased():
            return work()


        TABLE = {"x": listed}


        class Base:
            def close(self):
                return work()


        class Helper(Base):
            def close(self):
                super().close()

            @property
            def state(self):
                return work()


        class Block:
            def __enter__(self):
                return self

            def __exit__(self, kind, *error):
                if kind is not None:
                    work()
                    release()
    """,
    "constants.py": "SIZE = 1\n",
    "tests/test_it.py": """\
        from code_of_ours import managed, use
        from helping import Block

        def test_use():
            assert use()

        def test_managed():
            with managed() as size:
                assert size

        def test_block():
            with Block():
                len("block")
    """,
    "tests/test_others.py": """\
        def test_others():
            len("others")
    """,
}
IMPORTING = {"use", "managed", "block"}

INTERRUPTED = {
    "a line in the except": ("code_of_ours.py", "helping.undo()", "helping.work(2); helping.undo()", {"use"}),
    "a line added before raise": ("code_of_ours.py", "raise\n", "len('more')\n                raise\n", {"use"}),
    "a function that only the except calls": (
        "helping.py",
        "def undo():\n",
        "def undo():\n            work(2)\n",
        {"use"},
    ),
    "a branch of __exit__": ("helping.py", "is not None:\n", "is not None:\n                    work(2)\n", {"block"}),
    "what __exit__ calls in a branch": (
        "helping.py",
        "def release():\n",
        "def release():\n            work(2)\n",
        {"block"},
    ),
    "a constant imported in the except": ("constants.py", "1", "2", IMPORTING),
    "the except of a context manager": (
        "code_of_ours.py",
        "helping.back()\n",
        "helping.back()\n                helping.work(2)\n",
        {"managed"},
    ),
    "a decorated function of that": ("helping.py", "def back():\n", "def back():\n            work(2)\n", {"managed"}),
    "a property used there": (
        "helping.py",
        "def state(self):\n",
        "def state(self):\n                work(2)\n",
        {"use"},
    ),
    "a method called there": ("helping.py", "super()", "work(2); super()", {"use"}),
    "what super() calls there": (
        "helping.py",
        "class Base:\n            def close(self):\n",
        "class Base:\n            def close(self):\n                work(2)\n",
        {"use"},
    ),
    "a function in a table": ("helping.py", "def listed():\n", "def listed():\n            work(2)\n", {"use"}),
    "one that is imported by another name": (
        "helping.py",
        "def aliased():\n",
        "def aliased():\n            work(2)\n",
        {"use"},
    ),
    "a new override": (
        "helping.py",
        "class Helper(Base):\n",
        "class Helper(Base):\n            def __exit__(self, *error):\n                work()\n\n",
        {"use"},
    ),
    "the function of the decorator": (
        "helping.py",
        "def inner():\n",
        "def inner():\n                work(2)\n",
        IMPORTING,
    ),
    "a decorator": ("helping.py", "@decorated", "@functools.cache", IMPORTING),
    "a function that nothing calls": ("helping.py", "def others():\n", "def others():\n            work(2)\n", set()),
    "one in the file of the code": ("code_of_ours.py", "def idle():\n", "def idle():\n            len('2')\n", set()),
    "a comment there": ("code_of_ours.py", "helping.undo()\n", "helping.undo()\n                # more\n", set()),
}
"""File, text, what replaces it, and the tests that this touches."""


@pytest.mark.parametrize("case", INTERRUPTED)
def test_what_only_an_interrupted_run_reaches_counts(git, commit, touched, case):
    """A test is touched by changes of code that none but an interrupted run of it comes to; not by those of other code."""
    name, text, other, expected = INTERRUPTED[case]
    commit({**FILES, **USES})
    assert text in USES[name]
    write({name: USES[name].replace(text, other, 1)})
    assert touched() == expected


def test_a_defect_that_was_added_to_an_except_block_is_found(git, commit, run):
    """The uninterrupted run reaches no line of the change, and the session fails."""
    code = """\
        import threading

        lock = threading.Lock()

        def work():
            len("work")

        def use():
            try:
                work()
            except KeyboardInterrupt:
                work()
                raise
    """
    tests = "from code_of_ours import use\ndef test_use():\n    use()\n"
    commit({**FILES, "code_of_ours.py": code, "tests/test_it.py": tests})
    assert run("--maskcheck-all", "--maskcheck-since=HEAD").ret == OK
    write({"code_of_ours.py": code.replace("raise\n", "lock.acquire()\n                raise\n")})
    assert run("--maskcheck-all", "--maskcheck-since=HEAD").ret == pytest.ExitCode.TESTS_FAILED


def test_what_a_fixture_calls_counts(git, commit, audited):
    """Functions that only fixtures call are followed, too."""
    tests = TESTS.replace("return 1", "from made import make; return make()")
    made = "def make():\n    return 1\n\ndef unused():\n    return 1\n"
    commit({**FILES, "tests/test_it.py": tests, "made.py": made})
    write({"made.py": made.replace("return 1\n\n", "return 2\n\n")})
    assert audited() == {"two"}


@pytest.mark.parametrize("name", ["with space.py", 'quote"d.py', "ünï.py", "tab\t.py", "back\\slash.py", "-dash.py"])
def test_a_file_may_have_any_name(git, commit, audited, name):
    """A changed file is found whatever its name is, tracked or not."""
    load = f"""
        import importlib.util, pathlib
        path = pathlib.Path(__file__).with_name({name[:-3]!r} + ".py")  # in one piece it could be the name of a module
        spec = importlib.util.spec_from_file_location("odd", path)
        odd = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(odd)

        def test_odd():
            odd.f()

        def test_other():
            len("other")
    """
    files = {"pytest.ini": "[pytest]\n", ".gitignore": "report.json", "test_it.py": load}
    commit({**files, name: "def f():\n    len('x')\n"})
    write({name: "def f():\n    len('y')\n"})
    assert audited() == {"odd"}
    git("rm", "-q", "--cached", "--", name)
    assert audited() == {"odd"}


def test_a_renamed_file_is_new(git, commit, audited):
    """A file with a new name counts as changed for the tests that reach it; its former name touches none."""
    commit(
        {
            **FILES,
            "other.py": "def f():\n    pass\n",
            "tests/test_other.py": "from other import f\ndef test_f():\n    f()\n",
        }
    )
    git("mv", "code_of_ours.py", "our_code.py")
    write({"tests/test_it.py": TESTS.replace("code_of_ours", "our_code")})
    assert audited() == ALL


def test_a_removed_module_touches_all_tests_if_one_still_imports_it(git, commit, audited):
    """Where a module is gone that another still tries to import, code that did not change may do something else."""
    trying = "try:\n    from fast import f\nexcept ImportError:\n    from slow import f\n"
    tests = "import trying\ndef test_f():\n    trying.f()\ndef test_g():\n    len('g')\n"
    function = "def f():\n    len('x')\n"
    files = {
        "trying.py": trying,
        "fast.py": function,
        "slow.py": function,
        "unused.py": function,
        "tests/test_it.py": tests,
    }
    commit({**FILES, **files})
    write({"unused.py": None})
    assert audited() == set()
    write({"fast.py": None})
    assert audited() == {"f", "g"}


def test_constants_touch_all_tests(git, commit, audited):
    """No test reaches a line of a module without functions: if it is imported, it touches all."""
    commit({**FILES, "constants.py": "X = 1\n", "code_of_ours.py": "from constants import X\n" + dedent(CODE)})
    write({"constants.py": "X = 2\n"})
    assert audited() == ALL


@pytest.mark.parametrize("dirty", [False, True])
def test_a_submodule_that_changed_is_changed_as_a_whole(git, commit, audited, tmp_path, dirty):
    """The files of a submodule count as changed if it has another commit, or changes that are not committed."""
    library = tmp_path / "library"
    library.mkdir()
    commit({"lib.py": "def f():\n    len('x')\n", "lib_2.py": ""}, str(library))
    tests = {
        "test_f.py": "from sub.lib import f\ndef test_f():\n    f()\n",
        "test_g.py": "def test_g():\n    len('g')\n",
    }
    write({"pytest.ini": FILES["pytest.ini"], ".gitignore": FILES[".gitignore"], **tests})
    git("init", "-q")
    git("submodule", "--quiet", "add", str(library), "sub")
    commit({})
    assert audited() == set()
    write({"sub/lib_2.py": "X = 1\n"})
    if not dirty:
        git("commit", "-qam", "more", where="sub")
    assert audited() == {"f"}


def test_the_repository_may_lie_above_the_root_directory(git, commit, run, pytester, audited):
    """Paths are those of the repository, whose top may lie above the root directory."""
    commit({f"project/{name}": text for name, text in FILES.items()})
    write({"project/code_of_ours.py": CODE.replace('"two"', '"owt"'), "elsewhere/setup.cfg": ""})
    os.chdir("project")
    assert audited() == {"two"}


def test_the_repository_may_lie_below_the_root_directory(git, commit, audited):
    """If the root directory is in no repository, that of the tests named on the command line counts."""
    Path("project").mkdir()
    commit(FILES, "project")
    write({"pytest.ini": "[pytest]\npythonpath = project\n"})
    write({"project/code_of_ours.py": CODE.replace('"two"', '"owt"')})
    assert audited("-c", "pytest.ini", "--rootdir=.", "project/tests/test_it.py::test_two", "project/tests") == {"two"}


def test_the_users_configuration_of_git_changes_nothing(git, commit, audited, monkeypatch):
    """Settings that change what ``git diff`` prints, and variables that git sets for its hooks, have no effect."""
    commit({**FILES, ".gitattributes": "*.py binary\n"})
    settings = {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.interHunkContext": "9",
        "diff.external": "false",
        "color.ui": "always",
        "core.quotePath": "false",
    }
    for name, value in settings.items():
        git("config", name, value)
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=9")
    write({"code_of_ours.py": CODE.replace('"two"', '"owt"')})
    os.chdir("tests")
    assert audited() == {"two"}


def test_workers_audit_the_same_tests(git, commit, run):
    """Under xdist each worker finds out what changed."""
    pytest.importorskip("xdist")
    commit(FILES)
    write({"code_of_ours.py": CODE.replace('"two"', '"owt"')})
    result = run("-p", "xdist", "-n2", "--maskcheck-all", "--maskcheck-since=HEAD")
    result.stdout.fnmatch_lines(["2 tests reach no line changed since HEAD", "1 test audited at *"])
    assert result.ret == OK


def test_shards_merge(git, commit, run, capsys):
    """The reports of shards agree on which tests are not touched, and so does the merged one."""
    commit(FILES)
    write({"code_of_ours.py": CODE.replace('"two"', '"owt"')})
    for shard in "12":
        arguments = (f"--maskcheck-shard={shard}/2", f"--maskcheck-report=json:{shard}.json")
        assert run("--maskcheck-all", "--maskcheck-since=HEAD", *arguments).ret == OK
    from pytest_maskcheck.__main__ import main

    capsys.readouterr()
    assert main(["merge", "1.json", "2.json", "-o", "both.json"]) == 0
    assert "2 tests reach no line changed since HEAD\n" in capsys.readouterr().out


# Bad input


def refused(run, *arguments: str) -> str:
    """Return the message of a session that is refused."""
    result = run("--maskcheck-all", *arguments)
    assert result.ret == USAGE
    (line,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    return line


@pytest.mark.parametrize("value", ["", " ", "-u", "--output=x"])
def test_a_value_that_names_no_commit(run, value):
    """An empty value, and one that git would take for an option, are usage errors."""
    assert "must be a commit, branch or tag of git" in refused(run, f"--maskcheck-since={value}")
    assert not Path("x").exists()


def test_an_unknown_commit(git, commit, run):
    """A commit that the repository does not have is a usage error that says what to name instead."""
    commit(FILES)
    assert "'nowhere', but there is no such commit in " in refused(run, "--maskcheck-since=nowhere")


def test_a_shallow_clone(git, commit, run, pytester):
    """In a shallow clone the message says how to get the other commits."""
    commit(FILES)
    git("commit", "-qm", "second", "--allow-empty")
    git("clone", "-q", "--depth=1", f"file://{pytester.path}", "clone")
    os.chdir("clone")
    assert "`git fetch --unshallow`" in refused(run, "--maskcheck-since=HEAD~1")


def test_no_repository(git, run):
    """Outside of a repository the option is a usage error."""
    assert "is in no git repository" in refused(run, "--maskcheck-since=HEAD")


def test_no_git(git, run, monkeypatch):
    """Without git the option is a usage error."""
    monkeypatch.setenv("PATH", "")
    assert "git cannot be run" in refused(run, "--maskcheck-since=HEAD")


def test_git_refuses(git, commit, run):
    """What git says is in the message, on one line."""
    commit(FILES)
    Path(".git/index").write_text("damaged")
    assert "git cannot compare" in refused(run, "--maskcheck-since=HEAD")
