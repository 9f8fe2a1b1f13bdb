"""Created files and directories."""

from __future__ import annotations

import operator
import os
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings, audit_events
from pytest_maskcheck.resources.kinds import paths as module
from pytest_maskcheck.resources.kinds.paths import Paths

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture
def kind(surroundings: Surroundings) -> Paths:
    """Return the kind, which watches the temporary directory of the test."""
    return Paths(surroundings)


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that the surroundings do not name."""
    return tmp_path_factory.mktemp("elsewhere")


def test_new_files_in_a_place_are_leftovers(kind: Paths, watch: Watch, tmp_path: Path) -> None:
    """New files at any depth are found, under the name of the place."""
    (tmp_path / "old" / "deep").mkdir(parents=True)
    (tmp_path / "old" / "kept").touch()
    compare = watch(kind)
    (tmp_path / "a.lock").touch()
    (tmp_path / "old" / "deep" / "part-12").touch()
    found = compare()
    assert [leftover.key for leftover in found] == ["<tmp_path>/a.lock", "<tmp_path>/old/deep/part-#"]
    assert found[0].detail == f"file {tmp_path}/a.lock was created and is still there"
    assert compare() == found


def test_a_new_directory_is_one_leftover(kind: Paths, watch: Watch, tmp_path: Path) -> None:
    """A new directory is one leftover; its contents are not reported separately."""
    compare = watch(kind)
    (tmp_path / "new" / "deep").mkdir(parents=True)
    (tmp_path / "new" / "file").touch()
    (leftover,) = compare()
    assert leftover.key == "<tmp_path>/new"
    assert leftover.detail.startswith("directory ")


def test_what_was_there_or_is_gone_again_does_not_count(kind: Paths, watch: Watch, tmp_path: Path) -> None:
    """Old files, changed or removed, and new files that were removed are no leftovers."""
    (tmp_path / "kept").touch()
    (tmp_path / "removed").touch()
    (tmp_path / "folder").mkdir()
    compare = watch(kind)
    (tmp_path / "kept").write_text("changed")
    (tmp_path / "removed").unlink()
    (tmp_path / "folder").rmdir()
    (tmp_path / "new").touch()
    (tmp_path / "new").unlink()
    (tmp_path / "__pycache__").mkdir()
    assert compare() == []


def test_a_place_that_is_too_large_is_named_and_causes_no_false_alarm(
    kind: Paths, watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place with too many files is listed only partly, is recorded as such, and causes no false alarm."""
    monkeypatch.setattr(module, "LIMIT", 10)
    for number in range(20):
        (tmp_path / f"folder{number}").mkdir()
        (tmp_path / f"folder{number}" / "file").touch()
    compare = watch(kind)
    assert kind.unlisted == {"tmp_path"}
    assert compare() == []
    (tmp_path / "top").touch()
    assert [leftover.key for leftover in compare()] == ["<tmp_path>/top"]


def test_other_directories_are_learned(kind: Paths, watch: Watch, elsewhere: Path) -> None:
    """A directory elsewhere is watched only after an uninterrupted run has created something there."""
    with kind.learning():
        (elsewhere / "state-1").touch()
    (elsewhere / "state-1").unlink()
    compare = watch(kind)
    (elsewhere / "other").touch()
    assert [leftover.token for leftover in compare()] == [str(elsewhere / "other")]


def test_nothing_is_learned_while_nobody_learns(kind: Paths, watch: Watch, elsewhere: Path) -> None:
    """Outside ``learning`` nothing is recorded, and the installed hook is not a Python function."""
    with kind.learning():
        assert type(audit_events._HOOK).__call__ is not operator.is_
    assert type(audit_events._HOOK).__call__ is operator.is_
    (elsewhere / "early").touch()
    compare = watch(kind)
    (elsewhere / "late").touch()
    assert compare() == []


def test_the_idle_hook_calls_no_python_function(kind: Paths, elsewhere: Path) -> None:
    """Outside ``learning``, opening a file calls no Python code of the plugin, so that no signal can be handled there."""
    with kind.learning():
        pass
    called: list[str] = []
    old = sys.getprofile()
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_filename) if event == "call" else None)
    try:
        os.close(os.open(elsewhere / "file", os.O_CREAT))
    finally:
        sys.setprofile(old)
    assert module.__file__ not in called


def _rename(path: Path) -> None:
    path.with_name("source").touch()
    path.with_name("source").rename(path)


def _link(path: Path) -> None:
    path.with_name("source").touch()
    path.hardlink_to(path.with_name("source"))


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table t (c)")
    connection.close()


@pytest.mark.parametrize(
    "create",
    [
        Path.touch,
        Path.mkdir,
        lambda path: path.write_text("text"),
        lambda path: path.symlink_to("anything"),
        lambda path: tempfile.mkdtemp(dir=path.parent),
        lambda path: os.close(tempfile.mkstemp(dir=path.parent)[0]),
        lambda path: open(os.fsencode(path), "xb").close(),
        _rename,
        _link,
        _database,
        _bind,
    ],
    ids=["os.open", "mkdir", "open", "symlink", "mkdtemp", "mkstemp", "bytes", "rename", "link", "sqlite3", "bind"],
)
def test_every_way_of_creating_is_learned(
    kind: Paths, tmp_path_factory: pytest.TempPathFactory, create: Callable[[Path], object]
) -> None:
    """Every call that creates a path makes the kind record the path's directory."""
    home = Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))
    with kind.learning():
        create(home / "new")
    assert str(home) in kind._learned


def test_reading_teaches_nothing(kind: Paths, elsewhere: Path) -> None:
    """Reading a file, opening a device or a file of the system, and writing bytecode are not recorded."""
    (elsewhere / "file").touch()
    with kind.learning():
        (elsewhere / "file").read_text()
        with open(os.devnull, "w"), open("/proc/self/comm", "w"):
            pass
        (elsewhere / "__pycache__").mkdir()
        (elsewhere / "__pycache__" / "m.pyc").touch()
    assert list(kind._learned) == [str(elsewhere)]


def test_a_directory_below_a_place_moves_with_it(
    surroundings: Surroundings, watch: Watch, elsewhere: Path, tmp_path: Path
) -> None:
    """A directory recorded below one run's ``tmp_path`` is watched below the next run's."""
    kind = Paths(surroundings)
    (tmp_path / "sub").mkdir()
    with kind.learning():
        (tmp_path / "sub" / "file").touch()
    assert list(kind._learned) == ["<tmp_path>/sub"]
    surroundings.places["tmp_path"] = str(elsewhere)
    (elsewhere / "sub").mkdir()
    compare = watch(kind)
    (elsewhere / "sub" / "file").touch()
    assert [leftover.key for leftover in compare()] == ["<tmp_path>/sub/file"]


def test_in_a_directory_for_everybody_only_names_like_those_learned_count(
    kind: Paths, watch: Watch, elsewhere: Path
) -> None:
    """In a directory such as /tmp, only files named like those of the uninterrupted run are leftovers."""
    elsewhere.chmod(0o1777)
    with kind.learning():
        (elsewhere / "tmpabcdefgh").touch()
        (elsewhere / "tmpabcdefgh").unlink()
    compare = watch(kind)
    (elsewhere / "tmp12345678").touch()
    (elsewhere / "somebody's").touch()
    assert [leftover.token for leftover in compare()] == [str(elsewhere / "tmp12345678")]


def test_a_learned_directory_that_is_gone_is_ignored(kind: Paths, watch: Watch, elsewhere: Path) -> None:
    """A recorded directory that no longer exists is ignored, since it may have been temporary."""
    with kind.learning():
        (elsewhere / "sub").mkdir()
        (elsewhere / "sub" / "file").touch()
    (elsewhere / "sub" / "file").unlink()
    (elsewhere / "sub").rmdir()
    assert watch(kind)() == []


def test_repair_removes(kind: Paths, watch: Watch, tmp_path: Path, elsewhere: Path) -> None:
    """Repair removes files, links and whole directories, but not the target of a link."""
    compare = watch(kind)
    (tmp_path / "file").touch()
    (tmp_path / "new" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(elsewhere)
    found = compare()
    assert len(found) == 3
    assert all(kind.repair(leftover) for leftover in found)
    assert compare() == []
    assert elsewhere.is_dir()
    assert all(kind.repair(leftover) for leftover in found)
