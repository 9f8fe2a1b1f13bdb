"""The differences between the working tree and a commit, as git shows them.

Untracked files count as new, and uncommitted changes count. A submodule that changed in any way, and another repository that lies in
this one untracked, count as changed in every line.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.points.changed_code import Hunk
from pytest_maskcheck.system.plain import brief, quoted
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from subprocess import CompletedProcess

_COMPARE = (
    *("diff", "-U0", "--inter-hunk-context=0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"),
    *("--text", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=none"),
)
"""The comparison, whatever the user's configuration of git says."""

_OF_HOOKS = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_DIFF_OPTS"}
"""Variables that git sets for its hooks, relative to another directory, or that would add context to a diff."""

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences; all paths are absolute, and those of what exists are real paths.

    Parameters:
        hunks: file -> its changes; none for a file that is new.
        removed: files that are gone.
        folders: folders in which everything counts as changed, each with a separator at its end.
    """

    hunks: dict[str, list[Hunk]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def add(self, path: str, hunks: list[Hunk]) -> None:
        """Add what changed at a path: a file, or a submodule or a link to a folder."""
        real = os.path.realpath(path)
        if os.path.isdir(real):
            self.folders.append(os.path.join(real, ""))
        else:  # the changes of a link are not those of the file that it leads to
            self.hunks[real] = [] if os.path.islink(path) else hunks


def differences(places: Iterable[str], commit: str) -> Diff:
    """Return the differences between a commit and the working tree.

    Parameters:
        places: directories; the first that is in a repository determines which.
        commit: the commit, as the user named it.

    Raises:
        pytest.UsageError: git cannot compare them.
    """
    git = _Git(places, commit)
    diff = Diff()
    for path, hunks in _changes(git.lines(*_COMPARE, git.sha, "--"), git.top, diff.removed):
        diff.add(path, hunks)
    for name in git.run("ls-files", "--others", "--exclude-standard", "-z").split(b"\0"):
        if name:
            diff.add(os.path.join(git.top, os.fsdecode(name)), [])
    diff.removed[:] = [path for path in diff.removed if not os.path.lexists(path)]  # one may only be tracked no more
    return diff


def _changes(lines: Iterator[bytes], top: str, removed: list[str]) -> Iterator[tuple[str, list[Hunk]]]:
    """Yield the path of each file that exists and differs, with its changes; add the paths of the others to ``removed``."""
    old = b""
    hunks: list[Hunk] = []
    for line in lines:
        if line.startswith(b"diff --git "):
            old = b""
        elif line.startswith(b"--- "):
            old = _name(line[4:])
        elif line.startswith(b"+++ "):
            hunks = []
            new = _name(line[4:])
            if new:
                # A new file counts as changed as a whole, which takes no hunks.
                yield os.path.join(top, os.fsdecode(new)), hunks if old else []
            else:
                removed.append(os.path.join(top, os.fsdecode(old)))
        elif found := _HUNK.match(line):
            # Counted, as a line of the file may look like one of a header.
            less, more = (1 if each is None else int(each) for each in found.group(1, 3))
            start = int(found[2]) + (0 if more else 1)
            gone = tuple(next(lines)[1:].decode("utf-8", "replace") for _ in range(less))
            _skip(lines, more)
            hunks.append(Hunk(start, more, gone))


def _skip(lines: Iterator[bytes], number: int) -> None:
    """Skip so many added lines."""
    while number:
        number -= next(lines).startswith(b"+")  # before them may be a note that the last removed line has no end


def _name(text: bytes) -> bytes:
    """Return the path in a header of a diff; empty if there is no such file."""
    if text.startswith(b'"'):
        text = ast.literal_eval(f"b{text.decode('ascii')}")
    return b"" if text == b"/dev/null" else text.removesuffix(b"\t")[2:]


class _Git:
    """Runs git in the top directory of a repository.

    Parameters:
        places, commit: see :func:`differences`.

    Attributes:
        top: the real path of the top directory.
        sha: the commit's number.

    Raises:
        pytest.UsageError: there is no repository, or no such commit in it.
    """

    def __init__(self, places: Iterable[str], commit: str) -> None:
        self._commit = commit
        self.top, *others = places
        found = self._run("rev-parse", "--show-toplevel")
        for place in others:
            if b"not a git repository" not in found.stderr:
                break
            at_first, self.top = self.top, place
            found = self._run("rev-parse", "--show-toplevel")
            if found.returncode:
                self.top = at_first
        if b"not a git repository" in found.stderr:
            raise self._error(f"{self.top} is in no git repository; run pytest in a clone, or leave the option out")
        self.top = os.path.realpath(os.fsdecode(self._output(found).removesuffix(b"\n")))
        resolved = self._run("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
        if resolved.returncode:
            raise self._error(self._unknown())
        self.sha = resolved.stdout.decode().strip()

    def run(self, *arguments: str) -> bytes:
        """Return what a git command prints.

        Raises:
            pytest.UsageError: it failed.
        """
        return self._output(self._run(*arguments))

    def lines(self, *arguments: str) -> Iterator[bytes]:
        """Yield the lines that a git command prints; errors as for :meth:`run`."""
        yield from self.run(*arguments).split(b"\n")

    def _run(self, *arguments: str) -> CompletedProcess[bytes]:
        import subprocess  # here: only this option needs it

        kept = (
            os.environ if "GIT_WORK_TREE" in os.environ else {k: v for k, v in os.environ.items() if k not in _OF_HOOKS}
        )
        environment = {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
        command = ["git", "-c", "core.quotePath=true", *arguments]
        try:
            return subprocess.run(
                command, cwd=self.top, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except OSError as error:
            raise self._error(f"git cannot be run ({error.strerror}); install it, or leave the option out") from None

    def _output(self, done: CompletedProcess[bytes]) -> bytes:
        if done.returncode:
            said = os.fsdecode(done.stderr).strip().partition("\n")[0].removeprefix("fatal: ")
            raise self._error(
                f"git cannot compare {self.top} with it ({brief(said)}); try `git diff {self._commit}` there"
            )
        return done.stdout

    def _unknown(self) -> str:
        if self._run("rev-parse", "--is-shallow-repository").stdout.strip() == b"true":
            return (
                f"there is no such commit in {self.top}, which is a shallow clone; get the others with `git fetch --unshallow`, "
                "or in CI by a checkout of the whole history"
            )
        return f"there is no such commit in {self.top}; name one that `git log` shows, a branch or a tag, or fetch it"

    def _error(self, why: str) -> pytest.UsageError:
        return pytest.UsageError(f"maskcheck since is {quoted(self._commit)}, but {why}")
