"""``--maskcheck-changed``: whatever decides a result makes the test be audited again, and nothing else does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_maskcheck.reports.reading import read

PROJECT = {
    "pkg/__init__.py": "",
    "pkg/store.py": """
        from pkg.tools import Base, decorated, helper, on_exit

        LIMIT = 3


        class Store(Base):
            factor = 2

            def total(self, number):
                return helper(number) * self.factor * LIMIT

            def run(self):
                try:
                    return self.step()
                except BaseException:
                    self._roll_back()
                    raise

            def _roll_back(self):
                return abs(-1)

            def close(self):
                return abs(-2)

            def __exit__(self, *_):
                self.close()

            def __enter__(self):
                return self


        @decorated
        def shown(number):
            return number


        def registered():
            on_exit(later)
            return abs(4)


        def later():
            return abs(5)


        def unrelated(number):
            # a comment
            return number + 1
        """,
    "pkg/hidden.py": """
        from contextlib import suppress

        import pkg.hidden_parts as parts
        from pkg.hidden_parts import FILLED, OTHERS as others, by_alias as aliased


        def in_branch():
            return abs(0)  # in_branch


        def in_while():
            return abs(0)  # in_while


        def in_for():
            return abs(0)  # in_for


        def in_with():
            return abs(0)  # in_with


        def in_try():
            return abs(0)  # in_try


        def in_except():
            return abs(0)  # in_except


        def in_comparison():
            return abs(0)  # in_comparison


        def in_assert():
            return abs(0)  # in_assert


        def by_default():
            return abs(0)  # by_default


        def by_keyword():
            return abs(0)  # by_keyword


        def in_list():
            return abs(0)  # in_list


        def in_table():
            return abs(0)  # in_table


        def as_item():
            return abs(0)  # as_item


        def as_name():
            return abs(0)  # as_name


        def as_attribute(*_):
            return abs(0)  # as_attribute


        def in_same():
            return abs(0)  # in_same


        def as_exit(*_):
            return abs(0)  # as_exit


        def put_elsewhere():
            return abs(0)  # put_elsewhere


        def appended():
            return abs(0)  # appended


        def of_nobody():
            return abs(0)  # of_nobody


        REGISTERED = []


        def register(function):
            REGISTERED.append(function)
            return function


        @register
        def stored():
            return abs(0)  # stored


        class Registry:
            def __init__(self):
                self.kept = {}

            def keep(self, key):
                def keep_it(function):
                    self.kept[key] = function
                    return function

                return keep_it

            def call(self):
                try:
                    return len("ab")
                except BaseException:
                    for each in self.kept.values():
                        each()
                    raise


        registry = Registry()


        @registry.keep("put")
        def put():
            return abs(0)  # put


        LIST = [in_list]
        TABLE = {"a": in_table}
        TABLE["b"] = as_item
        NAME = as_name
        SAME = []
        same = SAME
        same += [in_same]
        FILLED.append(appended)
        others += [put_elsewhere]


        class Late:
            handler = as_attribute
            __exit__ = as_exit

            def __enter__(self):
                return self


        class Guard:
            def __enter__(self):
                return self

            def __exit__(self, kind, *_):
                if kind: in_branch()
                while kind: in_while(); kind = None
                for _ in range(bool(kind)): in_for()
                with suppress(KeyError): {}["a" if kind is None else "b"]; in_with()
                try: {}["a"]; in_try()
                except KeyError: abs(0) if kind is None else in_except()
                assert kind is None, in_assert()
                return 0 < bool(kind) < in_comparison()


        def hidden(clean=by_default, *, again=by_keyword):
            late = Late
            with Guard():
                try:
                    registry.call()
                except BaseException:
                    clean(); again(); aliased(); parts.by_module(); NAME(); late.handler()
                    for each in [*LIST, *SAME, *REGISTERED, *parts.FILLED, *parts.OTHERS, *parts.REMOTE]: each()
                    TABLE["b"]()
                    with late():
                        raise
            return True
        """,
    "pkg/hidden_parts.py": """
        def by_alias():
            return abs(0)  # by_alias


        def by_module():
            return abs(0)  # by_module


        def in_remote():
            return abs(0)  # in_remote


        FILLED = []
        OTHERS = []
        REMOTE = [in_remote]
        """,
    "pkg/tools.py": """
        def helper(number):
            return abs(number)


        class Base:
            def step(self):
                return len("ab")


        def decorated(function):
            def wrapper(*values):
                return function(*values)

            return wrapper


        def on_exit(function):
            return None
        """,
    "conftest.py": """
        import pytest
        from support import make_number


        @pytest.fixture
        def number():
            return make_number()
        """,
    "support.py": """
        def make_number():
            return 2
        """,
    "noting.py": """
        def pytest_maskcheck_audited(item, audit):
            print("\\nAUDITED", item.name)

        def pytest_collection_finish(session):
            keeping = session.config.pluginmanager.get_plugin("maskcheck-session")._keeping
            if session.config.option.collectonly:
                for item in session.items:
                    if keeping.earlier.of(item) is None:
                        print("\\nAUDITED", item.name)
        """,
    "tests/test_store.py": """
        import pytest

        from pkg import store
        from pkg.hidden import hidden
        from pkg.store import Store, registered, shown, unrelated


        def test_total(number):
            assert Store().total(number) > 0


        def test_run():
            assert Store().run()


        def test_shown():
            assert shown(1)


        def test_registered():
            assert registered()


        def test_hidden():
            assert hidden()


        def test_unrelated():
            assert unrelated(1)


        @pytest.mark.parametrize("value", [1, 2])
        def test_value(value):
            assert unrelated(value)


        def test_replaced(monkeypatch):
            monkeypatch.setattr(store, "helper", fake)
            assert Store().total(1)


        def fake(number):
            return abs(number)
        """,
}

ALL = {
    "test_total",
    "test_run",
    "test_shown",
    "test_registered",
    "test_hidden",
    "test_unrelated",
    "test_replaced",
    "test_value[1]",
    "test_value[2]",
}
STORES = {"test_total", "test_run", "test_replaced"}
VALUES = {"test_value[1]", "test_value[2]"}


@dataclass
class Project:
    """A project whose tests were audited once, and the file with the results."""

    path: Path
    results: Path
    run: Callable[..., pytest.RunResult]

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file."""
        text = (self.path / file).read_text()
        assert old in text
        (self.path / file).write_text(text.replace(old, new, 1))

    def audited(self, *args: str) -> set[str]:
        """Run the tests again, only what changed; return the names of those that were audited, or with --collect-only would be."""
        result = self.run(*args)
        return {line.split()[1] for line in result.outlines if line.startswith("AUDITED")}


OPTIONS = ("-q", "-s", "-p", "noting", "--maskcheck-all", "--maskcheck-points=line", "--maskcheck-hits=1")


def write(folder: Path) -> None:
    """Write the project's files, and remove others."""
    for each in folder.rglob("*"):
        if each.is_file() and each.name != "results":
            each.unlink()
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the project, with the results of its tests in the file ``results``."""
    folder = tmp_path_factory.mktemp("project")
    write(folder)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    plugins = ("-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *plugins, *OPTIONS, "--maskcheck-cache=results"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert {line.split()[1] for line in done.stdout.splitlines() if line.startswith("AUDITED")} == ALL
    return folder


@pytest.fixture
def project(made, run, monkeypatch, tmp_path) -> Iterator[Project]:
    """Return the project as it was audited, with a copy of its results."""
    write(made)
    results = tmp_path / "results"
    shutil.copy(made / "results", results)
    monkeypatch.chdir(made)
    monkeypatch.syspath_prepend(str(made))

    def again(*args: str) -> pytest.RunResult:
        # A new interpreter, as the first session had: a forked one has other modules and flags.
        return run(*OPTIONS, "--maskcheck-changed", f"--maskcheck-cache={results}", *args, fresh=True)

    monkeypatch.undo()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    monkeypatch.chdir(made)
    return Project(made, results, again)


def test_nothing_changed(project):
    """Without a change no test is audited, one line says so, and the session is a success."""
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["unchanged: 9 tests audited in an earlier session at * points, not audited again"])
    assert not [line for line in result.outlines if line.startswith("AUDITED")]


STORE = "pkg/store.py"
TOOLS = "pkg/tools.py"
TESTS = "tests/test_store.py"

DECIDES = [
    ("reached function", STORE, "return number + 1", "return 1 + number", {"test_unrelated", *VALUES}),
    ("helper in another file", TOOLS, "return abs(number)", "return +abs(number)", {"test_total", "test_replaced"}),
    ("only an interrupt comes there", STORE, "return abs(-1)", "return abs(-7)", {"test_run"}),
    ("what that calls", STORE, "return abs(-1)", "return later()", {"test_run"}),
    ("a special method of a class in use", STORE, "self.close()", "self.close()  # again", STORES),
    ("what special methods call", STORE, "return abs(-2)", "return abs(-3)", STORES),
    ("a callback", STORE, "return abs(5)", "return abs(6)", {"test_registered"}),
    ("method of a base class", TOOLS, 'len("ab")', 'len("abc")', {"test_run"}),
    (
        "decorated function",
        STORE,
        "def shown(number):\n    return number",
        "def shown(number):\n    return +number",
        {"test_shown"},
    ),
    ("class attribute", STORE, "factor = 2", "factor = 4", ALL),
    ("constant", STORE, "LIMIT = 3", "LIMIT = 4", ALL),
    ("decorator", TOOLS, "return wrapper", "return (wrapper)", ALL),
    ("override", STORE, "def close(self)", "def step(self):\n        return 9\n\n    def close(self)", STORES),
    ("ignore comment", STORE, "return self.step()", "return self.step()  # maskcheck: ignore", {"test_run"}),
    ("ignored class", STORE, "class Store(Base):", "class Store(Base):  # maskcheck: ignore", ALL),
    ("body of the test", TESTS, "assert Store().run()", "assert Store().run() == 2", {"test_run"}),
    ("parameters", TESTS, "[1, 2]", "[2, 1]", VALUES),
    ("other parameters", TESTS, "[1, 2]", "[1, 3]", {"test_value[1]", "test_value[3]"}),
    ("parameters with an id", TESTS, "[1, 2]", "[pytest.param(7, id='1'), 2]", VALUES),
    ("mark", TESTS, "def test_run", "@pytest.mark.interrupt_safe(hits=2)\ndef test_run", {"test_run"}),
    ("mark without effect", TESTS, "def test_run", "@pytest.mark.anything\ndef test_run", {"test_run"}),
    ("fixture", "conftest.py", "return make_number()", "return make_number() + 1", {"test_total"}),
    ("what a fixture calls", "support.py", "return 2", "return 3", {"test_total"}),
    ("fixture in use everywhere", "conftest.py", "@pytest.fixture\n", "@pytest.fixture(autouse=True)\n", ALL),
    ("hook", "conftest.py", "import pytest\n", "import pytest\n\ndef pytest_runtest_setup(item): pass\n", ALL),
    ("new import", TESTS, "import pytest\n", "import pytest\nimport decimal\n", ALL),
    ("replacement", TESTS, "    return abs(number)", "    return +abs(number)", {"test_replaced"}),
    ("scope", "pytest.ini", "", "[pytest]\nmaskcheck_exclude = support.py\n", ALL),
    ("setting", "pytest.ini", "", "[pytest]\nmaskcheck_timeout = 4\n", ALL),
    ("setting of pytest", "pytest.ini", "", "[pytest]\nconsole_output_style = classic\n", ALL),
    ("coverage's configuration", ".coveragerc", "", "[run]\nomit = support.py\n", ALL),
    ("coverage's exclusions", ".coveragerc", "", "[report]\nexclude_also = abs\n", ALL),
    ("conftest.py in a subfolder", "tests/conftest.py", "", "import pytest\n", ALL),
    ("package", "tests/__init__.py", "", "X = 1\n", ALL),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "audited"), [row[1:] for row in DECIDES], ids=[row[0] for row in DECIDES]
)
def test_what_decides_is_noticed(project, file, old, new, audited):
    """A change of what decides a result makes the test be audited again, and no other test."""
    if old:
        project.edit(file, old, new)
    else:
        (project.path / file).write_text(new)
    assert project.audited("--collect-only") == audited


HIDDEN = [
    ("branch on one line", "pkg/hidden.py", "in_branch", {"test_hidden"}),
    ("while on one line", "pkg/hidden.py", "in_while", {"test_hidden"}),
    ("for on one line", "pkg/hidden.py", "in_for", {"test_hidden"}),
    ("with on one line", "pkg/hidden.py", "in_with", {"test_hidden"}),
    ("try on one line", "pkg/hidden.py", "in_try", {"test_hidden"}),
    ("except on one line", "pkg/hidden.py", "in_except", {"test_hidden"}),
    ("message of an assert", "pkg/hidden.py", "in_assert", {"test_hidden"}),
    ("chained comparison", "pkg/hidden.py", "in_comparison", {"test_hidden"}),
    ("default value", "pkg/hidden.py", "by_default", {"test_hidden"}),
    ("default value of a keyword", "pkg/hidden.py", "by_keyword", {"test_hidden"}),
    ("list", "pkg/hidden.py", "in_list", {"test_hidden"}),
    ("dictionary", "pkg/hidden.py", "in_table", {"test_hidden"}),
    ("item assigned", "pkg/hidden.py", "as_item", {"test_hidden"}),
    ("variable", "pkg/hidden.py", "as_name", {"test_hidden"}),
    ("class attribute with a function", "pkg/hidden.py", "as_attribute", {"test_hidden"}),
    ("other name of a list", "pkg/hidden.py", "in_same", {"test_hidden"}),
    ("special method assigned", "pkg/hidden.py", "as_exit", {"test_hidden"}),
    ("decorator that stores", "pkg/hidden.py", "stored", ALL),
    ("method as decorator that stores", "pkg/hidden.py", "put", ALL),
    ("added to a list elsewhere", "pkg/hidden.py", "put_elsewhere", {"test_hidden"}),
    ("appended at import", "pkg/hidden.py", "appended", ALL),
    ("alias", "pkg/hidden_parts.py", "by_alias", {"test_hidden"}),
    ("alias of a module", "pkg/hidden_parts.py", "by_module", {"test_hidden"}),
    ("list in another file", "pkg/hidden_parts.py", "in_remote", {"test_hidden"}),
    ("nothing", "pkg/hidden.py", "of_nobody", set()),
]
"""What only an interrupt comes to, and no handler mentions by its own name; the last row is mentioned nowhere."""


@pytest.mark.parametrize(("file", "name", "audited"), [row[1:] for row in HIDDEN], ids=[row[0] for row in HIDDEN])
def test_hidden_clean_up_is_noticed(project, file, name, audited):
    """A change of a clean-up function makes the test be audited again that may come to it, by whatever name it is called."""
    project.edit(file, f"return abs(0)  # {name}\n", f"return abs(1)  # {name}\n")
    assert project.audited("--collect-only") == audited


ELSEWHERE = [
    ("comment between functions", STORE, "LIMIT = 3", "# three\n\nLIMIT = 3"),
    ("documentation", STORE, "from pkg.tools", '"""A store."""\nfrom pkg.tools'),
    ("new function", STORE, "class Store", "def added():\n    return 1\n\n\nclass Store"),
    ("new test", TESTS, "def test_run", "def helper_of_nobody():\n    pass\n\n\ndef test_run"),
    ("reordered", STORE, "factor = 2\n", "\n\n\n    factor = 2\n"),
    ("unused file", "pkg/unused.py", "", "X = 1\n"),
    ("data", "data.txt", "", "data"),
]


@pytest.mark.parametrize(("file", "old", "new"), [row[1:] for row in ELSEWHERE], ids=[row[0] for row in ELSEWHERE])
def test_what_does_not_decide_is_no_matter(project, file, old, new):
    """A change of something else makes no test be audited again."""
    if old:
        project.edit(file, old, new)
    else:
        (project.path / file).write_text(new)
    assert project.audited("--collect-only") == set()


@pytest.mark.parametrize(
    "option",
    [
        "--maskcheck-interrupts=2",
        "--maskcheck-signals=SIGTERM",
        "--maskcheck-isolation=none",
        "--import-mode=importlib",
        "--assert=plain",
    ],
)
def test_options_decide(project, option):
    """A result counts only under the settings that it was found with."""
    assert project.audited("--collect-only", option) == ALL


@pytest.mark.parametrize(
    "option", ["-v", "-x", "--tb=short", "--durations=3", "--maskcheck-budget=100", "--maskcheck-allow-none"]
)
def test_options_that_do_not_decide(project, option):
    """A result counts whatever is shown of it, and however long a session may take."""
    assert project.audited("--collect-only", option) == set()


def test_selection_does_not_decide(project):
    """A result counts if its test is selected alone."""
    assert project.audited("tests/test_store.py::test_run") == set()


def test_distribution_decides(project, monkeypatch, tmp_path):
    """A result counts only with the distributions that it was found with, and with their content."""
    folder = tmp_path / "dependency-1.0.dist-info"
    folder.mkdir()
    (folder / "RECORD").write_text("dependency.py,sha256=abc,12\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert project.audited() == ALL
    assert project.audited("--collect-only") == set()
    (folder / "RECORD").write_text("dependency.py,sha256=def,12\n")
    assert project.audited("--collect-only") == ALL
    folder.rename(tmp_path / "dependency-1.1.dist-info")
    assert project.audited("--collect-only") == ALL


def test_interpreter_decides(project, monkeypatch):
    """A result counts only with the same flags of the interpreter."""
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    assert project.audited("--collect-only") == ALL


def test_renamed_and_deleted(project):
    """A renamed test has no result; a deleted one is in the way of nothing."""
    project.edit(TESTS, "def test_run", "def test_goes")
    project.edit(TESTS, "def test_shown():\n    assert shown(1)\n", "")
    assert project.audited() == {"test_goes"}


def test_two_sessions_with_xdist(project):
    """Workers of xdist share the file: they find what is there, and keep what they find."""
    pytest.importorskip("xdist")
    assert "unchanged: 9 tests" in project.run("-p", "xdist", "-n2").stdout.str()
    project.edit(STORE, "return number + 1", "return 1 + number")
    assert "unchanged: 6 tests" in project.run("-p", "xdist", "-n2").stdout.str()
    assert project.audited() == set()


def test_edited_while_audited(project):
    """A result is not kept if the code was edited while the session ran: it was found with the old code."""
    project.edit(
        "noting.py",
        'print("\\nAUDITED", item.name)',
        "import pathlib\n    path = pathlib.Path('pkg/tools.py')\n    path.write_text(path.read_text() + '\\n')\n"
        '    print("\\nAUDITED", item.name)',
    )
    assert project.audited() == ALL
    assert project.audited() == ALL


def test_reports(project, tmp_path):
    """A report has the audits of earlier sessions, too, marked; a test whose lines have moved is audited again for it."""
    report = tmp_path / "report.json"
    assert project.audited(f"--maskcheck-report=json:{report}") == set()
    audits = read(str(report)).audits
    assert len(audits) == 9
    assert all(audit.earlier and audit.points for audit in audits)
    project.edit(STORE, "def unrelated", "\n\ndef unrelated")
    assert project.audited(f"--maskcheck-report=json:{report}") == {"test_unrelated", *VALUES}


def test_results_without_reading(project):
    """Without --maskcheck-changed every test is audited, and the results are kept."""
    result = project.run("--maskcheck-changed")
    assert result.ret == 0
