"""A project whose tests were audited once, for the tests of ``--maskcheck-changed``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import start_apart

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
    "taking.py": """
        import sys

        # Nothing can watch what is entered, as before CPython 3.12.
        if hasattr(sys, "monitoring"):
            sys.monitoring.use_tool_id(5, "other")
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
STORE = "pkg/store.py"
TOOLS = "pkg/tools.py"
TESTS = "tests/test_store.py"
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


UNSEEN = ("-p", "taking")
OPTIONS = ("-q", "-s", "-p", "noting", "--maskcheck-all", "--maskcheck-points=line", "--maskcheck-hits=1")


def write(folder: Path) -> None:
    """Write the project's files, and remove others."""
    for each in folder.rglob("*"):
        if each.is_file() and each.name != "results":
            each.unlink()
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))


def make(folder: Path, *options: str) -> Path:
    """Audit the tests of the project in a folder; return the folder, with the results in the file ``results``."""
    write(folder)
    process = start_apart(folder, *options, *OPTIONS, "--maskcheck-cache=results")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert {line.split()[1] for line in output.splitlines() if line.startswith("AUDITED")} == ALL
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the project, with the results of its tests."""
    return make(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def made_unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the project, audited while nothing could watch which code was entered."""
    return make(tmp_path_factory.mktemp("unseen"), *UNSEEN)


@pytest.fixture
def project(made, run, monkeypatch, tmp_path) -> Project:
    """Return the project as it was audited, with a copy of its results."""
    return audited(made, run, monkeypatch, tmp_path)


@pytest.fixture
def unseen_project(made_unseen, run, monkeypatch, tmp_path) -> Project:
    """Return the project as it was audited while nothing could watch which code was entered."""
    return audited(made_unseen, run, monkeypatch, tmp_path, *UNSEEN)


def audited(made, run, monkeypatch, tmp_path, *options: str) -> Project:
    """Return the project in a folder as it was audited, with a copy of its results."""
    write(made)
    results = tmp_path / "results"
    shutil.copy(made / "results", results)

    def again(*args: str) -> pytest.RunResult:
        # A new interpreter, as the first session had: a forked one has other modules and flags.
        return run(*options, *OPTIONS, "--maskcheck-changed", f"--maskcheck-cache={results}", *args, fresh=True)

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    monkeypatch.chdir(made)
    return Project(made, results, again)


@pytest.fixture
def item_of(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.Function]:
    """Return a function that collects the one test of a source, without installed plugins, as these may take part in runs."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def item_of(source: str, *args: str) -> pytest.Function:
        config = pytester.parseconfigure(pytester.makepyfile(f"import pytest, unittest\n\n{source}"), *args)
        session = pytest.Session.from_config(config)
        config.hook.pytest_sessionstart(session=session)
        (item,) = session.perform_collect()
        assert isinstance(item, pytest.Function)
        return item

    return item_of
