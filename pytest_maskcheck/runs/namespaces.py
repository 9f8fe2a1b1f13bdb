"""Read what things keep without running code of the user's: no metaclass, ``__getattribute__`` or ``__hash__`` is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_maskcheck.system.own_code import PACKAGE
from pytest_maskcheck.system.unpatched import gc
from pytest_maskcheck.system.untrusted import namespace_of

identity: Callable[[object], int] = object.__hash__
"""Does what :func:`id` does in a twentieth of the time: each call of ``id`` raises an audit event, and the kinds have a hook."""


def ids(*kinds: type) -> frozenset[int]:
    """Return the ids of types. In a set of the types themselves, a lookup would call the ``__hash__`` of a metaclass."""
    return frozenset(map(identity, kinds))


PLAIN = ids(int, float, complex, bool, str, bytes, type(None), type(Ellipsis), range)
"""Ids of types whose values can be compared and printed."""

_HARNESS = frozenset({"_pytest", "pluggy", PACKAGE})
"""Packages whose objects change with each run, and are not the user's."""

# Read from ``type`` itself: a metaclass may have attributes of the same names.
_CLASS_DICT: Callable[[type], Mapping[str, object]] = type.__dict__["__dict__"].__get__
_MODULE: Callable[[type], object] = type.__dict__["__module__"].__get__
mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
qualname_of: Callable[[type], str] = type.__dict__["__qualname__"].__get__


def module_of(kind: type) -> str:
    """Return the name of the module of a class."""
    name = _MODULE(kind)
    return name if type(name) is str else ""


def is_harness(module: str) -> bool:
    """Return whether a module, given by name, belongs to pytest or to this package."""
    return module.partition(".")[0] in _HARNESS


def class_dict(kind: type) -> dict[str, object]:
    """Return the namespace of a class itself, not the proxy that protects it."""
    names: dict[str, object]
    (names,) = gc.get_referents(_CLASS_DICT(kind))
    return names


def namespace(thing: object) -> Mapping[str, object]:
    """Return the attributes that an object keeps itself."""
    names = namespace_of(thing)
    return {} if names is None else names
