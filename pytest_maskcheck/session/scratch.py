"""A directory for one audit: what others do in the shared temporary directory is no finding of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_maskcheck.system.signals import all_blocked
from pytest_maskcheck.system.unpatched import keep, os, shutil, state_of, tempfile, unpatched

if TYPE_CHECKING:
    from collections.abc import Iterator

keep("shutil", "tempfile")


@contextmanager
def scratch_directory() -> Iterator[str]:
    """Make ``tempfile`` use a directory of the audit's own.

    Yields a directory with two others in it: ``t``, which ``tempfile`` uses, and ``p`` for ``tmp_path``.
    """
    state = state_of("tempfile")
    before = state["tempdir"]
    directory = ""
    try:
        with all_blocked(), unpatched():
            directory = os.path.realpath(tempfile.mkdtemp(prefix="mc-"))
        for name in "tp":
            os.mkdir(os.path.join(directory, name))
        state["tempdir"] = os.path.join(directory, "t")
        yield directory
    finally:
        state["tempdir"] = before
        try:
            _remove(directory)
        except KeyboardInterrupt:  # between here and the first line of _remove, or held back until its last one
            _remove(directory)
            raise


def _remove(directory: str) -> None:
    with all_blocked(), unpatched():
        shutil.rmtree(directory, ignore_errors=True)
