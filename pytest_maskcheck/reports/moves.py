"""Decides whether a defect is one that the baseline has under another name, as code was renamed or moved.

Keys contain names: ``pkg.a.LOCK`` that of a module, and what is swallowed that of the function. If that was moved, they are compared without it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pytest_maskcheck.reports.definitions import may_define

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_maskcheck.results import Fingerprint


class Moves:
    """What was moved.

    Parameters:
        file_of: returns the file that reports show as a path, or ``""`` if there is none.
    """

    def __init__(self, file_of: Callable[[str], str]) -> None:
        self._file_of = cache(file_of)

    def has_moved(self, old: Fingerprint, new: Fingerprint) -> bool:
        """Return whether an entry may stand for a defect with the same line, verdict and kind."""
        if self._has_home(old):
            return (old.path, old.function) == (new.path, new.function) and self._has_moved_key(old, new)
        if old.key == new.key:
            return True
        # Without names, keys of unrelated code are alike: `LOCK` is a common name. So it may have been moved or renamed, not both.
        is_near = old.function == new.function or old.path == new.path
        return is_near and (_own_key(old) == _own_key(new) or self._has_moved_key(old, new))

    def _has_home(self, fingerprint: Fingerprint) -> bool:
        """Return whether there still is a function of that name in the file."""
        file = self._file_of(fingerprint.path)
        return bool(file) and may_define(file, fingerprint.function)

    def _has_moved_key(self, old: Fingerprint, new: Fingerprint) -> bool:
        """Return whether a key names a thing in a module, and an older key the same in a module that is gone."""
        parts = new.key.split(".")
        module = next((each for each in _prefixes(parts) if self._is_module(each)), "")
        rest = new.key.removeprefix(module)
        if not module or not old.key.endswith(rest):
            return False
        return _own_key(old) == rest.removeprefix(".") or not self._is_module(old.key.removesuffix(rest))

    def _is_module(self, name: str) -> bool:
        path = name.replace(".", "/")
        return bool(self._file_of(f"{path}.py") or self._file_of(f"{path}/__init__.py"))


def _own_key(fingerprint: Fingerprint) -> str:
    """Return the key without the name of its file, function or module, if it names them."""
    key, path = fingerprint.key, fingerprint.path
    if key in (path, fingerprint.function):
        return "path" if key == path else "function"
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    modules = (".".join(parts[start:]) for start in range(len(parts)))
    prefix = next((f"{module}." for module in modules if key.startswith(f"{module}.")), "")
    return key.removeprefix(prefix)


def _prefixes(parts: list[str]) -> list[str]:
    """Return the names of which a dotted name may be an attribute, the longest first."""
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
