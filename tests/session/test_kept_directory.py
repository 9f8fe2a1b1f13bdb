"""The directory of ``tmp_path`` is used again only where no run can tell; the corpus and the runs of other tests use it all the time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.session.kept_directory import KeptDirectory
from pytest_maskcheck.session.target import ItemTarget

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def kept(tmp_path: Path) -> KeptDirectory:
    """Return a new directory that is to be used again."""
    directory = tmp_path / "kept"
    directory.mkdir(0o700)
    return KeptDirectory(str(directory))


def fill(path: Path) -> None:
    """Leave files, directories and links."""
    (path / "file").write_text("x", encoding="utf-8")
    (path / "deep" / "deeper").mkdir(parents=True)
    (path / "deep" / "deeper" / "file").write_text("x", encoding="utf-8")
    (path / "link").symlink_to(path.parent)
    (path / "dangling").symlink_to(path / "gone")


def test_a_directory_is_emptied(kept: KeptDirectory) -> None:
    """Files, directories and links are removed, not what links refer to; the directory has the times of a new one."""
    path = Path(kept.path)
    fill(path)
    os.utime(path, (1, 1))
    assert kept.empty(kept.path)
    assert path.is_dir()
    assert not [*path.iterdir()]
    assert path.stat().st_mtime > 1


def test_a_directory_gets_another_name(kept: KeptDirectory) -> None:
    """A directory is renamed if the next run is to find it under another path, and can be used again after that."""
    first, second = Path(kept.path), Path(kept.path).with_name("next")
    fill(first)
    assert kept.empty(str(second))
    assert not first.exists()
    fill(second)
    assert kept.empty(str(first))
    assert not [*first.iterdir()]


def replace(path: Path) -> None:
    """Put another directory in the place of this one."""
    path.rename(path.with_name("other"))
    path.mkdir(0o700)


def link(path: Path) -> None:
    """Put a link in the place of the directory."""
    path.rename(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


def grow(path: Path) -> None:
    """Make the directory itself larger."""
    size = path.stat().st_size
    for number in range(3_000):
        (path / f"{number:0200}").touch()
        if path.stat().st_size != size and number > 500:
            break


def attribute(path: Path) -> None:
    """Set an extended attribute."""
    os.setxattr(path, "user.mark", b"x")


@pytest.mark.parametrize(
    "change", [replace, link, lambda path: path.chmod(0o755), lambda path: path.rmdir(), attribute], ids=range(5)
)
def test_a_changed_directory_is_not_used_again(kept: KeptDirectory, change: Callable[[Path], object]) -> None:
    """A directory that was replaced, removed, or whose mode or attributes differ, is not like a new one."""
    if change is attribute and not hasattr(os, "setxattr"):
        pytest.skip("no extended attributes here")
    try:
        change(Path(kept.path))
    except OSError as error:
        pytest.skip(f"the file system does not permit that: {error}")
    assert not kept.empty(kept.path)


def test_a_directory_that_has_grown_is_not_used_again(kept: KeptDirectory) -> None:
    """Some file systems keep a directory as large as it was: that is no new one."""
    path = Path(kept.path)
    size = path.stat().st_size
    grow(path)
    for entry in path.iterdir():
        entry.unlink()
    if path.stat().st_size == size:
        pytest.skip("directories become smaller again on this file system")
    assert not kept.empty(kept.path)


def test_what_cannot_be_removed_is_left_to_the_usual_way(kept: KeptDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be emptied is not used again, and no exception comes out."""
    (Path(kept.path) / "file").touch()

    def unlink(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(sys.modules[KeptDirectory.__module__].os, "unlink", unlink)  # type: ignore[attr-defined]
    assert not kept.empty(kept.path)


# Runs of an item

TEST = """
def test_it(tmp_path):
    SEEN.append((str(tmp_path), tmp_path.stat().st_ino, sorted(entry.name for entry in tmp_path.iterdir())))
    (tmp_path / "file").touch()

SEEN = []
"""


def runs(target: ItemTarget, *left: set[str]) -> list[bool]:
    """Make a run for each set of kinds that a run leaves; return whether each of them was still."""
    stills = []

    def around(body: Callable[[], object]) -> None:
        stills.append(target.still)
        body()
        target.note_left(kinds)

    for kinds in left:  # noqa: B007  (``around`` reads it)
        assert target(around) == ""
    return stills


@pytest.mark.parametrize(
    ("source", "stills"),
    [
        (TEST, [False, True, True]),
        (TEST.replace("it(tmp_path)", "it(tmp_path, request)"), [False] * 3),
        (TEST.replace("it(tmp_path)", "it(tmp_path, monkeypatch)"), [False] * 3),
        ("import pytest\n@pytest.fixture\ndef tmp_path(tmp_path): yield tmp_path\n" + TEST, [False] * 3),
    ],
    ids=["alone", "request", "another", "overridden"],
)
def test_only_the_fixture_alone_is_kept(item_of, source: str, stills: list[bool]) -> None:
    """Other fixtures of function scope, ``request`` and a fixture that overrides ``tmp_path`` mean a new directory for each run."""
    item = item_of(source)
    target = ItemTarget(item)
    target.reuse_directory()
    assert runs(target, set(), {"path"}, set()) == stills
    target.close()
    assert [names for *_, names in item.module.SEEN] == [[]] * 3


def test_paths_are_those_of_new_directories(item_of) -> None:
    """Runs find the same paths whether directories are used again or not, and the same directory only if they are."""
    usual = item_of(TEST)
    target = ItemTarget(usual)
    runs(target, set(), set(), set())
    paths = [Path(path).name for path, *_ in usual.module.SEEN]
    usual.config._tmp_path_factory.__dict__.get("_next_number", {}).clear()
    usual.module.SEEN.clear()
    again = ItemTarget(usual)
    again.reuse_directory()
    runs(again, set(), set(), set())
    assert [Path(path).name for path, *_ in usual.module.SEEN] == paths
    assert len({inode for _, inode, _ in usual.module.SEEN}) == 1
    again.close()
    assert not Path(usual.module.SEEN[-1][0]).exists()


@pytest.mark.parametrize("kinds", [{"fd"}, {"path", "cwd"}])
def test_a_run_that_leaves_something_ends_the_use(item_of, kinds: set[str]) -> None:
    """After a run that left more than files, the next one gets a directory of its own."""
    target = ItemTarget(item_of(TEST))
    target.reuse_directory()
    assert runs(target, set(), kinds, set(), set()) == [False, True, False, True]
    target.close()


def test_without_being_asked_nothing_is_kept(item_of) -> None:
    """Processes that others are forked from make a directory for each run."""
    assert runs(ItemTarget(item_of(TEST)), set(), set()) == [False, False]
