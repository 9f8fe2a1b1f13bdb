"""Paths as code hosts know them: relative to the root of the repository, which may lie above pytest's root directory."""

from __future__ import annotations

from functools import lru_cache

from pytest_maskcheck.system.unpatched import os


def path_in_repository(path: str, file: str) -> str:
    """Return the path of a file for a code host.

    Parameters:
        path: the file as shown in reports; returned if the file lies in no repository, is installed, or is not on this machine.
        file: the absolute path.
    """
    root = _root_of(os.path.dirname(file))
    # Installed code is named as it is imported, even in an environment within the repository.
    return path if root is None or "site-packages" in file[len(root) :] else os.path.relpath(file, root)


@lru_cache(maxsize=256)
def _root_of(directory: str) -> str | None:
    """Return the nearest directory above that has a ``.git``, which is a file in a worktree and in a submodule."""
    if not os.path.isdir(directory):
        return None
    while not os.path.exists(os.path.join(directory, ".git")):
        directory, before = os.path.dirname(directory), directory
        if directory == before:
            return None
    return directory
