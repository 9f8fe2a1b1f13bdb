"""Finds the project's own distribution: its name, from the project's files, and where its code is installed.

An author who runs the tests against an installed package, in a virtual environment or from ``src/``, wants that package audited.

1. The name is looked up in the root directory, then in the directories above it, since the root may be the directory of the tests.
2. The installation is the one that this interpreter imports, as ``importlib.metadata`` finds it.
3. An editable installation records where the project is (``direct_url.json``, PEP 610), and the code is there.
4. A plain installation lists its files. Each package counts as a directory. A namespace does not, since other distributions share it:
   packages inside a namespace count as directories, and its modules count one by one.

What does not work: a computed name (``setup(name=find_name())``) is found only in a ``PKG-INFO``, as in an unpacked source
distribution. Code that an editable installation takes from outside the project's directory is not found.
"""

from __future__ import annotations

import ast
import configparser
import json
import tomllib
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib import metadata
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pytest_maskcheck.system.unpatched import os, pathlib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed distribution.

    Parameters:
        name: the name of the project.
        directories: all code below them is the project's.
        files: files of the project that are not below ``directories``.
        editable: it is an editable installation, which refers to the project's directory.
    """

    name: str
    directories: tuple[str, ...]
    files: tuple[str, ...] = ()
    editable: bool = False


def project_distribution(root: str) -> Installed | None:
    """Return the distribution of the project that ``root`` is part of; ``None`` if it has no name, or is not installed."""
    return installed(name) if (name := project_name(root)) else None


def project_name(root: str) -> str:
    """Return the name of the project that ``root`` is part of, or ``""``."""
    for place in (pathlib.Path(root), *pathlib.Path(root).parents):
        for file, reader in _READERS.items():
            if name := _read(place / file, reader):
                return name
    return ""


def _read(path: pathlib.Path, reader: Callable[[str], object]) -> str:
    """Return the name in a file, or ``""`` if there is no such file or no name in it. Malformed files are not reported here."""
    try:
        name = reader(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, configparser.Error, AttributeError):
        return ""
    return name.strip() if isinstance(name, str) else ""


def _of_pyproject(text: str) -> object:
    data = tomllib.loads(text)
    return data.get("project", {}).get("name") or data.get("tool", {}).get("poetry", {}).get("name")


def _of_setup_cfg(text: str) -> object:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    return parser.get("metadata", "name", fallback="")


def _of_setup_py(text: str) -> object:
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    keywords = (word for call in calls if _is_setup(call.func) for word in call.keywords if word.arg == "name")
    return next((word.value.value for word in keywords if isinstance(word.value, ast.Constant)), "")


def _is_setup(function: ast.expr) -> bool:
    return getattr(function, "id", getattr(function, "attr", "")) == "setup"


_READERS: dict[str, Callable[[str], object]] = {
    "pyproject.toml": _of_pyproject,
    "setup.cfg": _of_setup_cfg,
    "setup.py": _of_setup_py,
    "PKG-INFO": lambda text: HeaderParser().parsestr(text, headersonly=True)["Name"],
}
"""The files that may name a project, in order of precedence, with a reader for each."""


def installed(name: str) -> Installed | None:
    """Return the installed distribution with this name, or ``None`` if there is none, or it has no code."""
    try:
        found = metadata.distribution(name)
        project = _editable(found)
    except (metadata.PackageNotFoundError, ValueError, OSError):
        return None
    if project:
        return Installed(name, (project,), editable=True)
    directories, files = _code_of(found)
    return Installed(name, directories, files) if directories or files else None


def _editable(found: metadata.Distribution) -> str:
    """Return the project directory that an editable installation refers to, or ``""`` if the installation is not editable."""
    url = json.loads(found.read_text("direct_url.json") or "{}")
    if not url.get("dir_info", {}).get("editable"):
        return ""
    place = unquote(urlsplit(url.get("url", "")).path)
    return place if os.path.isdir(place) else ""


def _code_of(found: metadata.Distribution) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the directories and single files of the code of a plain installation."""
    # Paths with ``..`` are not importable code: distributions may install other files, such as scripts in ``../../bin``.
    code = [
        pathlib.PurePosixPath(file) for file in found.files or () if file.suffix == ".py" and ".." not in file.parts
    ]
    shared = {
        pathlib.PurePosixPath(*name.split(".")) for name in (found.read_text("namespace_packages.txt") or "").split()
    }
    packages = {path.parent for path in code if path.name == "__init__.py"} - {pathlib.PurePosixPath(), *shared}
    directories: set[pathlib.PurePosixPath] = set()
    files: set[pathlib.PurePosixPath] = set()
    for path in code:
        outermost = next((parent for parent in reversed(path.parents) if parent in packages), None)
        directories |= {outermost} if outermost else set()
        files |= set() if outermost else {path}
    return _located(found, directories), _located(found, files)


def _located(found: metadata.Distribution, paths: Iterable[pathlib.PurePosixPath]) -> tuple[str, ...]:
    """Return absolute paths, with symbolic links resolved because coverage names the files that they lead to."""
    return tuple(sorted(os.path.realpath(str(found.locate_file(path))) for path in paths))
