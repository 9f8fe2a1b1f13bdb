"""Finds the files of an entry of ``include`` or ``exclude``: a path, a glob, a module or package, or ``stdlib``."""

from __future__ import annotations

import sys
import sysconfig
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pytest_maskcheck.points.coverage_globs import PATTERN_ERRORS, below, escaped, matcher
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system.plain import brief, described, quoted
from pytest_maskcheck.system.unpatched import os
from pytest_maskcheck.system.untrusted import read

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_FROZEN = Reason(NotAudited.FROZEN)


class UnknownScopeError(ValueError):
    """An entry of ``include`` or ``exclude``, or coverage's configuration, cannot be used; the message is a sentence."""


def _unusable(entry: str, why: str) -> UnknownScopeError:
    return UnknownScopeError(f"maskcheck include or exclude: {quoted(entry)} {why}")


def patterns_of(entry: str, root: str) -> tuple[list[str], dict[str, Reason]]:
    """Return the file patterns of an entry, and those of its modules without any line that can be audited, with the reason.

    Raises:
        UnknownScopeError: the entry cannot be used.
    """
    if entry == "stdlib":
        frozen = dict.fromkeys(filter(_is_frozen, sorted(sys.stdlib_module_names)), _FROZEN)
        return _standard_library(), frozen
    # Paths take precedence: a directory may have the name of a module.
    path = os.path.join(root, entry)
    if os.path.isdir(path):
        return [below(path)], {}
    if os.path.isfile(path):
        return [escaped(path)], {}
    if any(character in entry for character in "*?["):
        return [_glob(entry, root)], {}
    try:
        patterns = module_patterns(entry)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (packages above the module are imported)
        raise _unusable(entry, f"cannot be imported: {described(error)}") from None
    if patterns is None:
        why = f"is neither a file below {root}, nor a glob, nor a module that can be imported"
        raise _unusable(entry, why)
    return patterns, {} if patterns else {entry: _why_unmeasurable(entry)}


def _glob(entry: str, root: str) -> str:
    pattern = os.path.join(escaped(root), entry)
    try:
        matcher(pattern)
    except (*PATTERN_ERRORS, Warning) as error:
        raise _unusable(entry, f"is no glob that coverage.py can use: {brief(str(error))}") from None
    return pattern


def module_patterns(name: str) -> list[str] | None:
    """Return the patterns of the files of a module or package, or ``None`` if there is no such module.

    This imports the parent packages, which may raise anything.
    """
    spec = _spec_of(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return [below(place) for place in spec.submodule_search_locations]
    return [escaped(spec.origin)] if spec.origin and _is_python(spec.origin) else []


def _spec_of(name: str) -> ModuleSpec | None:
    """Return the spec of a module, or ``None`` if there is none.

    A module may have replaced itself in ``sys.modules`` by an object without a spec; its spec is then searched for.
    """
    with suppress(ImportError, ValueError, AttributeError):
        return find_spec(name)  # other exceptions come from the import of its package, and propagate
    with suppress(Exception):
        if name not in sys.modules:
            return None
        package = sys.modules.get(name.rpartition(".")[0])
        return PathFinder.find_spec(name, read(package, "__path__"))
    return None


def _is_python(origin: str) -> bool:
    return os.path.isfile(origin) and not origin.endswith(tuple(EXTENSION_SUFFIXES))


def _is_frozen(name: str) -> bool:
    spec = read(sys.modules.get(name), "__spec__")
    return bool(read(spec, "origin") == "frozen")


def _why_unmeasurable(name: str) -> Reason:
    origin = read(_spec_of(name), "origin")
    if origin == "frozen":
        return _FROZEN
    if origin == "built-in" or str(origin).endswith(tuple(EXTENSION_SUFFIXES)):
        return Reason(NotAudited.NOT_PYTHON)
    return Reason(NotAudited.NO_FILE)


def _standard_library() -> list[str]:
    """Return the patterns of the standard library, without the packages installed below it."""
    place = sysconfig.get_path("stdlib")
    return [
        below(entry.path) if entry.is_dir() else escaped(entry.path)
        for entry in os.scandir(place)
        if entry.name.endswith(".py") or (entry.is_dir() and entry.name not in {"site-packages", "dist-packages"})
    ]
