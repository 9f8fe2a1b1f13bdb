"""Tests of the scope, the lines that a run reached, and exclusions."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import TYPE_CHECKING

import coverage
import pytest

from pytest_maskcheck.points import scope as scope_module
from pytest_maskcheck.points.cleanup_calls import cleanup_lines
from pytest_maskcheck.points.coverage_pause import paused
from pytest_maskcheck.points.reach import Reach
from pytest_maskcheck.points.scope_entries import UnknownScopeError

if TYPE_CHECKING:
    from tests.conftest import AuditSource

Load = Callable[[str, str], ModuleType]

SETTINGS = {
    "source": ("run", "source", ["lib"], {"lib/inner.py", "lib/outer.py"}),
    "source_pkgs": ("run", "source_pkgs", ["lib.inner"], {"lib/inner.py"}),
    "include": ("run", "include", ["*/inner.py", "*/single.py"], {"lib/inner.py", "single.py"}),
    "omit": ("run", "omit", ["lib/*"], {"single.py", "test_scope.py"}),
}
"""Section, key, value, and the files that are in scope with this setting."""

FILES = {
    "lib/__init__.py": "",
    "lib/inner.py": "def f():\n    return abs(-1)\n",
    "lib/outer.py": "def f():\n    return abs(-1)\n",
    "single.py": "def f():\n    return abs(-1)\n",
}

SCOPE_TEST = """
    import pytest, single
    from lib import inner, outer

    @pytest.mark.interrupt_safe
    def test_scope():
        assert inner.f() + outer.f() + single.f() == 3
"""

EXCLUDED = """
    import pytest

    @pytest.mark.interrupt_safe
    def test_excluded():
        number = abs(-1)
        if number:  # never mind
            number = abs(-2)
        number += abs(-3)  # pragma: no cover
        assert number == 5
"""


def write_configuration(place: Path, name: str, section: str, key: str, values: list[str]) -> None:
    """Write one of coverage's settings to a configuration file with this name."""
    if name == "pyproject.toml":
        text = f"[tool.coverage.{section}]\n{key} = {json.dumps(values)}\n"
    else:
        prefix = "" if name == ".coveragerc" else "coverage:"
        text = f"[{prefix}{section}]\n{key} =\n" + "".join(f"    {value}\n" for value in values)
    (place / name).write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a new current directory with the files of a small project; the suite's own measurement is hidden."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(scope_module, "running", lambda: None)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in {"lib", "single"}]:
        del sys.modules[name]


@pytest.fixture
def load(place: Path) -> Load:
    """Return a function that writes a module and imports it."""

    def load(name: str, source: str) -> ModuleType:
        path = place / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(source))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def reached(scope: Reach, work: Callable[[], object], *files: str) -> set[str]:
    """Return the names of the files where coverage measured lines while ``work`` ran."""
    with paused_for_real(), scope.measuring(*files):
        work()
    return {Path(path).name for path in scope.files}


def paused_for_real() -> object:
    """Return a context manager that pauses a coverage measurement of the suite itself."""
    return paused(*([measurement] if (measurement := coverage.Coverage.current()) else []))


def line_of(path: Path, text: str) -> int:
    """Return the number of the first line that contains ``text``."""
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


# Scope


@pytest.mark.parametrize(
    ("entry", "inside"),
    [
        ("lib", {"inner.py", "outer.py"}),
        ("lib/inner.py", {"inner.py"}),
        ("lib/in*.py", {"inner.py"}),
        ("**/inner.py", {"inner.py"}),
        ("lib.outer", {"outer.py"}),
        ("single", {"single.py"}),
    ],
)
def test_entries_of_include(place: Path, load: Load, entry: str, inside: set[str]) -> None:
    """An entry of ``include`` may be a directory, a file, a glob, a module or a package."""
    inner, outer, single = (load(name, FILES[f"{name}.py"]) for name in ("lib/inner", "lib/outer", "single"))
    assert reached(Reach(str(place), [entry]), lambda: (inner.f(), outer.f(), single.f())) == inside


def test_exclude_wins_over_include(place: Path, load: Load) -> None:
    """A module that is both included and excluded is out of scope."""
    inner, outer = (load(name, FILES[f"{name}.py"]) for name in ("lib/inner", "lib/outer"))
    assert reached(Reach(str(place), ["lib"], ["lib.outer"]), lambda: (inner.f(), outer.f())) == {"inner.py"}


def test_stdlib_is_the_standard_library_alone(place: Path) -> None:
    """``stdlib`` includes packages of the standard library, but not packages installed below it."""
    pluggy = pytest.importorskip("pluggy")
    scope = Reach(str(place), ["stdlib"])
    decoder = json.JSONDecoder()
    names = reached(scope, lambda: (decoder.decode("[1]"), pluggy.PluginManager("x").get_plugins()))
    assert "decoder.py" in names
    assert not {path for path in scope.files if "site-packages" in path}


@pytest.mark.parametrize("entry", ["no_such_module", "no.such.module", "lib/no_such.py", "..wrong"])
def test_unknown_entries_are_errors(place: Path, entry: str) -> None:
    """An entry of ``include`` or ``exclude`` that names nothing is an error."""
    with pytest.raises(UnknownScopeError, match="neither a file"):
        Reach(str(place), [entry])
    with pytest.raises(UnknownScopeError, match="neither a file"):
        Reach(str(place), [], [entry])


def test_default_is_the_code_below_the_root(place: Path, load: Load) -> None:
    """Without settings, code below the root directory is in scope, and installed packages are not."""
    inner = load("lib/inner", FILES["lib/inner.py"])
    installed = place / "env" / "site-packages"
    installed.mkdir(parents=True)
    package = load("env/site-packages/package", "def f():\n    return abs(-1)\n")
    assert reached(Reach(str(place)), lambda: (inner.f(), package.f(), json.dumps([1]))) == {"inner.py"}


def test_given_files_are_in_scope_whatever_the_settings_say(place: Path, load: Load) -> None:
    """The test's own file is measured regardless of the scope, even with special characters in its name."""
    inner = load("lib/inner", FILES["lib/inner.py"])
    odd = load("odd[1]*", "def f():\n    return 1\n")
    names = reached(Reach(str(place), ["lib"]), lambda: (inner.f(), odd.f()), str(place / "odd[1]*.py"))
    assert names == {"inner.py", "odd[1]*.py"}


@pytest.mark.parametrize("name", [".coveragerc", "pyproject.toml", "setup.cfg", "tox.ini"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_scope_of_the_configuration(place: Path, load: Load, name: str, setting: str) -> None:
    """Coverage's ``source``, ``source_pkgs``, ``include`` and ``omit`` determine the scope, whichever file contains them."""
    section, key, values, inside = SETTINGS[setting]
    write_configuration(place, name, section, key, values)
    work = load("test_scope", SCOPE_TEST).test_scope
    assert reached(Reach(str(place)), work) == {Path(path).name for path in inside}


def test_configuration_of_the_root_from_another_directory(
    place: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths in coverage's configuration are relative to its file, not to the current directory."""
    work = load("test_scope", SCOPE_TEST).test_scope
    script = load("scripts/script", "def f():\n    return abs(-1)\n")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    for key, value in (("source", "scripts"), ("include", "scripts/*")):
        write_configuration(place, ".coveragerc", "run", key, [value])
        assert reached(Reach(str(place)), lambda: (work(), script.f())) == {"script.py"}
    write_configuration(place, ".coveragerc", "run", "omit", ["scripts/*"])
    assert "script.py" not in reached(Reach(str(place)), lambda: (work(), script.f()))


def test_root_with_the_characters_of_globs(place: Path, load: Load) -> None:
    """A root directory whose name contains glob characters can be audited."""
    script = load("a[1] (copy)*/script", "def f():\n    return abs(-1)\n")
    root = place / "a[1] (copy)*"
    for scope in (Reach(str(root)), Reach(str(root), ["script.py"]), Reach(str(root), ["*.py"])):
        assert reached(scope, script.f) == {"script.py"}


@pytest.mark.parametrize(
    ("setting", "name"),
    [("source", ".coveragerc"), ("source_pkgs", "setup.cfg"), ("include", "pyproject.toml"), ("omit", "setup.cfg")],
)
def test_points_of_the_configured_scope(pytester: pytest.Pytester, audit: AuditSource, setting: str, name: str) -> None:
    """An audit has points in the configured scope and in the test itself, and nowhere else."""
    section, key, values, inside = SETTINGS[setting]
    for path, text in FILES.items():
        (pytester.path / path).parent.mkdir(exist_ok=True)
        (pytester.path / path).write_text(text)
    write_configuration(pytester.path, name, section, key, values)
    paths = {point.path for point in audit(SCOPE_TEST).audit.points}
    itself = {path for path in paths if path.startswith("test_")}
    assert len(itself) == 1
    assert paths - itself == inside - {"test_scope.py"}


# Exclusions


@pytest.mark.parametrize("name", [".coveragerc", "pyproject.toml", "setup.cfg"])
@pytest.mark.parametrize(("key", "left"), [("exclude_lines", {1, 3}), ("exclude_also", {1})])
def test_excluded_lines_are_not_audited(place: Path, load: Load, name: str, key: str, left: set[int]) -> None:
    """``exclude_lines`` replaces coverage's own pragma, and ``exclude_also`` adds to it; both exclude whole blocks."""
    write_configuration(place, name, "report", key, ["never mind"])
    work = load("test_excluded", EXCLUDED).test_excluded
    path = place / "test_excluded.py"
    scope = Reach(str(place))
    reached(scope, work)
    audited = {number for number in (1, 2, 3) if not scope.reason_against(str(path), line_of(path, f"abs(-{number})"))}
    assert audited == left


def test_excluded_points_are_counted(pytester: pytest.Pytester, audit: AuditSource) -> None:
    """Points on lines that coverage's configuration excludes are left out of the audit, and counted with the reason."""
    write_configuration(pytester.path, "pyproject.toml", "report", "exclude_also", ["never mind"])
    done = audit(EXCLUDED).audit
    assert done.left_out == {"excluded by coverage's configuration": 2}
    lines = (pytester.path / done.points[0].path).read_text().splitlines()
    assert ["abs(-1)" in lines[point.line - 1] for point in done.points if point.kind == "call"] == [True]


IGNORES = """
    def f(numbers):
        first = abs(-1)
        second = abs(-2)  # maskcheck: ignore
        for number in numbers:  # maskcheck: ignore
            first += abs(number)
        unused = 0  #maskcheck:ignore (without a call)
        return first + second + unused


    def g():  # maskcheck: ignore
        return abs(-3)
"""


def test_ignore_comments(place: Path, load: Load) -> None:
    """``# maskcheck: ignore`` excludes its line, or the block that it heads; unused comments are recorded."""
    module = load("ignores", IGNORES)
    path = str(place / "ignores.py")
    scope = Reach(str(place))
    reached(scope, lambda: (module.f([1]), module.g()))
    reasons = {line: scope.reason_against(path, line) for line in (3, 4, 5, 6, 8, 12)}
    assert {line for line, reason in reasons.items() if reason == "# maskcheck: ignore"} == {4, 5, 6, 12}
    assert scope.reason_against(path, 11, entry=True) == "# maskcheck: ignore"
    assert not reasons[3]
    assert not reasons[8]
    assert scope.ignores() == {(path, 4): True, (path, 5): True, (path, 7): False, (path, 11): True}


# Lines


LINES = """
    def long(a, *rest):
        result = sum(
            [
                a,
                *rest,
                abs(
                    -1,
                ),
            ],
        )
        text = '''
        {}
        '''.format(
            result
        )
        return (
            text
            or
            result
        )


    def other(): return abs(-1)


    def never(number):
        return number + abs(
            number
        )


    @abs.__class__.__call__ if False else (lambda function: function)
    def decorated(
        one=1,
    ):
        return one
"""


def test_statements_over_several_lines(place: Path, load: Load) -> None:
    """A line of a multi-line statement counts as reached exactly if the statement was reached."""
    module = load("lines", LINES)
    path = place / "lines.py"
    scope = Reach(str(place))
    reached(scope, lambda: (module.long(1), module.other()))
    lines = {number: scope.reason_against(str(path), number) for number in range(2, 33)}
    first, last = line_of(path, "result = sum("), line_of(path, "abs(-1)")
    assert not {number: reason for number, reason in lines.items() if first <= number <= last - 3 and reason}
    assert "coverage did not see the line" in lines[line_of(path, "number + abs(")]
    assert "coverage did not see the line" in lines[line_of(path, "number + abs(") + 1]


def test_entry_is_on_the_line_of_the_definition(place: Path, load: Load) -> None:
    """The entry of a called function is audited, although its ``def`` line ran only at import; a ``def`` line alone is not audited."""
    module = load("lines", LINES)
    path = place / "lines.py"
    scope = Reach(str(place))
    reached(scope, lambda: (module.long(1), module.decorated()))
    for text in ("def long", "def decorated", "@abs"):
        assert not scope.reason_against(str(path), line_of(path, text), entry=True)
    assert scope.reason_against(str(path), line_of(path, "def never"))


def test_code_out_of_scope(place: Path, load: Load) -> None:
    """Files where no line was measured are not in scope, and neither is code without a file."""
    module = load("lines", LINES)
    scope = Reach(str(place))
    reached(scope, lambda: module.long(1))
    assert scope.in_scope(module.long.__code__.co_filename)
    for name in ("<string>", str(place / "single.py"), os.path.join(sysconfig.get_path("stdlib"), "os.py")):
        assert not scope.in_scope(name)
        assert scope.reason_against(name, 1) == "not in scope"


def test_relative_names_of_code(place: Path, load: Load) -> None:
    """Code compiled under a relative file name is in scope."""
    load("lines", LINES)
    names: dict[str, Callable[..., object]] = {}
    exec(compile((place / "lines.py").read_text(), "lines.py", "exec"), names)
    scope = Reach(str(place))
    reached(scope, lambda: names["long"](1))
    assert scope.in_scope("lines.py")
    assert not scope.reason_against("lines.py", line_of(place / "lines.py", "result = sum("))


def test_lines_of_other_threads_are_reached(place: Path, load: Load) -> None:
    """A line counts as reached, whichever thread reached it."""
    module = load("lines", LINES)
    scope = Reach(str(place))

    def work() -> None:
        thread = threading.Thread(target=module.long, args=(1,))
        thread.start()
        thread.join()

    assert reached(scope, work) == {"lines.py"}
    assert not scope.reason_against(str(place / "lines.py"), line_of(place / "lines.py", "result = sum("))


def test_measuring_again_forgets(place: Path, load: Load) -> None:
    """A second measurement replaces the first, because several tests share a ``Reach``."""
    inner, outer = (load(name, FILES[f"{name}.py"]) for name in ("lib/inner", "lib/outer"))
    scope = Reach(str(place))
    assert reached(scope, inner.f) == {"inner.py"}
    assert reached(scope, outer.f) == {"outer.py"}
    assert not scope.in_scope(str(place / "lib" / "inner.py"))


def test_a_measurement_made_ready_beforehand_measures_the_same(place: Path, load: Load) -> None:
    """A measurement that was made ready serves once, for the files it was made ready for; this coverage can be made ready."""
    inner = load("lib/inner", FILES["lib/inner.py"])
    own = load("single", FILES["single.py"])
    file = str(own.__file__)
    scope = Reach(str(place), include=["lib"])

    def work() -> None:
        assert inner.f() + own.f() == 2

    for ready in (False, True, True):  # the third finds that the second has used it up
        if ready and scope._ready[1] is None:
            scope.read_ahead(file)
            assert scope._ready[1] is not None
        assert reached(scope, work, file) == {"inner.py", "single.py"}
        assert scope.statements()[str(place / "lib" / "inner.py")] == [2]
        assert scope._ready[1] is None
    scope.read_ahead(file)
    assert reached(scope, work) == {"inner.py"}  # made ready for other files


def test_a_measurement_made_ready_leaves_nothing_registered(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage registers a function with ``atexit`` for each measurement, which would keep all of them until the session ends."""
    registered: list[object] = []
    monkeypatch.setattr("atexit.register", registered.append)
    Reach(str(place)).read_ahead(str(place / "single.py"))
    assert registered == []


def test_a_file_that_was_written_since_is_read_again(place: Path, load: Load) -> None:
    """A test may generate a module at the place of another one; an unchanged file is read once."""
    path = place / "lib" / "inner.py"
    scope = Reach(str(place))
    scope.note([str(path)])
    scope.read_ahead()
    first = scope._exclusions.of(str(path))
    scope.read_ahead()
    assert scope._exclusions.of(str(path)) is first
    path.write_text("x = 1\n\ndef f():\n    x = 2\n    return x\n")
    scope.read_ahead()
    assert scope._exclusions.of(str(path)).first_lines == [1, 3, 4, 5]


def test_the_lines_of_clean_up_follow_the_file(tmp_path: Path) -> None:
    """The lines within ``finally`` are found anew after the file was written."""
    path = tmp_path / "one.py"
    path.write_text("try:\n    a()\nfinally:\n    b()\n")
    assert cleanup_lines(str(path)) == {4}
    path.write_text("try:\n    a()\n    a()\nfinally:\n    b()\n")
    assert cleanup_lines(str(path)) == {5}
    assert cleanup_lines(str(tmp_path / "none.py")) == frozenset()
