"""A temporary directory for one audit, so that what others do in the shared one is not taken for a finding."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_maskcheck.system.signals import all_blocked
from pytest_maskcheck.system.unpatched import FOR_FILES, keep, os, shutil, state_of, tempfile, unpatched

if TYPE_CHECKING:
    from collections.abc import Iterator

keep("shutil", "tempfile")


@contextmanager
def scratch_directory() -> Iterator[str]:
    """Make ``tempfile`` use a directory that belongs to the audit alone.

    Yields a directory that contains two others: ``t``, which ``tempfile`` uses, and ``p`` for ``tmp_path``.
    """
    state = state_of("tempfile")
    before = state["tempdir"]
    directory = ""
    try:
        with all_blocked(), unpatched(*FOR_FILES, "shutil"):
            directory = os.path.realpath(tempfile.mkdtemp(prefix="mc-"))
        for name in "tp":
            os.mkdir(os.path.join(directory, name))
        state["tempdir"] = os.path.join(directory, "t")
        yield directory
    finally:
        state["tempdir"] = before
        try:
            _remove(directory)
        except KeyboardInterrupt:  # raised before _remove blocks signals, or held back until it unblocks them
            _remove(directory)
            raise


def _remove(directory: str) -> None:
    with all_blocked(), unpatched(*FOR_FILES, "shutil"):
        shutil.rmtree(directory, ignore_errors=True)
