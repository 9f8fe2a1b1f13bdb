"""Modules are found without looking at each of them, and are the same that a look at each finds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pytest_maskcheck.points.reach import Reach
from pytest_maskcheck.runs.fingerprint import Fingerprints
from pytest_maskcheck.system.loaded_modules import LOADED, LoadedModules, last_loaded


def module(name: str, file: object = None) -> ModuleType:
    """Return a new module."""
    made = ModuleType(name)
    if file is not None:
        made.__file__ = file  # type: ignore[assignment]
    return made


@pytest.fixture
def loaded() -> Iterator[LoadedModules]:
    """Modules as they are when a test begins; what it adds to ``sys.modules`` is removed."""
    before = {**sys.modules}
    found = LoadedModules()
    found.note()
    yield found
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]
    sys.modules.update(before)


def test_new_names_are_those_since_the_last_look(loaded: LoadedModules) -> None:
    """A module that is added later is new until the next look; one that is removed is not found."""
    assert loaded.new() == []
    state = last_loaded()
    sys.modules["later"] = later = module("later", "/lib/later.py")
    assert last_loaded() != state
    assert loaded.new() == ["later"]
    assert list(loaded.of_files(["/lib/later.py"])) == []
    assert loaded.names_of(later) == ["later"]
    loaded.note()
    assert loaded.new() == []
    assert list(loaded.of_files(["/lib/later.py", "<frozen os>"])) == ["later", "os"]
    assert loaded.files["later"] == "/lib/later.py"
    things = {id(thing): thing for thing in (sys, later, len)}
    assert list(loaded.among(things).values()) == [sys, later]
    assert loaded.in_order(["later", "os", "newer", "sys"]) == ["sys", "os", "later", "newer"]
    del sys.modules["later"]
    assert loaded.names_of(later) == []


def test_a_module_in_place_of_another_is_found_under_its_own_file(loaded: LoadedModules) -> None:
    """A module that replaces one of the same name counts with its own file after the next look."""
    sys.modules["later"] = module("later", "/lib/later.py")
    loaded.note()
    del sys.modules["later"]
    sys.modules["between"] = module("between")
    sys.modules["later"] = other = module("later", "/lib/other.py")
    loaded.note()
    assert loaded.files["later"] == "/lib/other.py"
    assert list(loaded.of_files(["/lib/other.py"])) == ["later"]
    assert loaded.names_of(other) == ["later"]


def test_objects_that_are_no_modules_do_no_harm(loaded: LoadedModules) -> None:
    """Whatever lies in ``sys.modules`` is looked at without running its code; a file that is no text may be any file."""

    class Lazy:
        __file__ = "/lib/lazy.py"

        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(name)

    sys.modules.update(lazy=Lazy(), none=None, path=module("path", Path("/lib/path.py")))  # type: ignore[call-overload]
    loaded.note()
    assert loaded.files["lazy"] == loaded.files["none"] == loaded.files["path"] == ""
    assert list(loaded.of_files(["/lib/path.py"])) == ["path"]


def test_modules_in_scope_are_those_that_a_look_at_each_finds(loaded: LoadedModules, tmp_path: Path) -> None:
    """The modules in scope are found among all that are loaded: old ones, new ones, and those of the test's own files."""
    root, away = tmp_path / "root", tmp_path / "away"
    for file in (root / "old.py", root / "new.py", away / "own.py", away / "other.py"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("X = 1\n")
    sys.modules.update({name: module(name, str(away / f"{name}.py")) for name in ("own", "other")})
    sys.modules["old"] = module("old", str(root / "old.py"))
    reach = Reach(str(root))
    with reach.measuring(str(away / "own.py")):
        exec(compile("X = 1\n", str(away / "own.py"), "exec"), {})
    reach.read_ahead()
    sys.modules["new"] = module("new", str(root / "new.py"))
    every = Fingerprints(reach.covers).modules()
    assert Fingerprints(reach.covers, names=reach.modules).modules() == every
    assert {name for name, _ in every} >= {"own", "old", "new"}
    assert "other" not in dict(every)
    reach.read_ahead()
    assert LOADED.new() == []
    assert Fingerprints(reach.covers, names=reach.modules).modules() == every
