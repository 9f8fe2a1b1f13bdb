"""What modules keep, as text by name, to find what an interrupt changed for good.

A fingerprint starts at modules and other roots, and follows classes, instances, functions (closures, defaults) and containers to a
small depth. It runs no code of the user's: values are read from namespaces, and only those of built-in types are printed.
Taking one is slow; :mod:`.module_state` finds out whether it is worth while.
"""

from __future__ import annotations

import collections
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

from pytest_maskcheck.runs.namespaces import PLAIN, identity, namespace
from pytest_maskcheck.runs.parts import parts_of
from pytest_maskcheck.runs.value_texts import Value, value_of

_DEPTH = 5

_MOST = 20_000
"""Entries of a fingerprint; what lies deeper is left out."""

_SHOWN = 5
"""Differences that are described; of the others, only the number is given."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")

Fingerprint = dict[str, Value]
"""Name, such as ``store.STATE['open']`` -> value, such as ``1``."""


Visit = tuple[str, object, "list[tuple[str, object]] | None"]
"""A name, what it names, and the names and values of its parts; ``None`` where its parts are left out."""


class Fingerprints:
    """Takes fingerprints of the modules in scope.

    Parameters:
        in_scope: whether a file is in scope.
        named: replaces directories that differ from run to run by names.
        roots: returns the roots besides modules, by name.
        names: returns the names of all loaded modules in scope, and perhaps of others.
    """

    def __init__(
        self,
        in_scope: Callable[[str], bool],
        named: Callable[[str], str] = str,
        roots: Callable[[], list[tuple[str, object]]] = list,
        names: Callable[[], list[str]] = lambda: [*sys.modules],
    ) -> None:
        self._in_scope = in_scope
        self._named = named
        self.roots = roots
        self._names = names
        self._modules: list[tuple[str, object]] = []
        self._of = 0

    def take(self) -> Fingerprint:
        """Return what the modules keep now."""
        found: Fingerprint = {}
        for name, thing, _ in self.walk([*self.modules(), *self.roots()]):
            if value := value_of(thing):
                found[name] = value._replace(text=self._named(_ADDRESS.sub("0x...", value.text)))
            if len(found) == _MOST:
                break
        return found

    def modules(self) -> list[tuple[str, object]]:
        """Return the modules in scope, by name."""
        if self._of != len(sys.modules):
            loaded = [(name, sys.modules.get(name)) for name in self._names()]
            self._modules = [(name, module) for name, module in loaded if _is_wanted(module, self._in_scope)]
            self._of = len(sys.modules)
        return self._modules

    def walk(self, roots: list[tuple[str, object]]) -> Iterator[Visit]:
        """Yield what can be reached from ``roots``; a thing with several names comes with its parts under the first one only."""
        seen: set[int] = set()
        queue = collections.deque((name, thing, 0) for name, thing in roots)
        while queue:
            name, thing, depth = queue.popleft()
            parts = None
            if identity(type(thing)) not in PLAIN and depth < _DEPTH and identity(thing) not in seen:
                seen.add(identity(thing))
                parts = [(name + step, part) for step, part in parts_of(thing)]
                queue += [(longer, part, depth + 1) for longer, part in parts]
            yield name, thing, parts


def _is_wanted(module: object, in_scope: Callable[[str], bool]) -> bool:
    # Asked of every module: no call for those of the plain type, whose attributes can be read without running code.
    names = module.__dict__ if type(module) is ModuleType else namespace(module)
    file = names.get("__file__")
    return isinstance(file, str) and in_scope(file)


def differences(now: Fingerprint, ordinary: Fingerprint, *others: Fingerprint) -> str:
    """Return a description of what differs from the state after an uninterrupted run, ``""`` if nothing does.

    Parameters:
        now: the present state.
        ordinary: the state after an uninterrupted run.
        others: those after further ones, some of them in another process; what differs between them is ignored.
    """
    names = [
        name
        for name in {**ordinary, **now}
        if all(other.get(name) == ordinary.get(name) for other in others) and now.get(name) != ordinary.get(name)
    ]
    # A thing that is new, gone or replaced is named instead of its parts; a container that changed only in size, by its parts.
    strong = {name for name in names if not _is_size(now.get(name), ordinary.get(name))}
    deepest = [
        name
        for name in names
        if not any(_within(name, other) for other in strong)
        and (name in strong or not any(_within(other, name) for other in names))
    ]
    if not deepest:
        return ""
    texts = [_difference(name, now.get(name), ordinary.get(name)) for name in deepest]
    more = len(texts) - _SHOWN
    return "; ".join(texts[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _is_size(now: Value | None, ordinary: Value | None) -> bool:
    return bool(now and ordinary and now.differs_in_size(ordinary))


def _within(name: str, other: str) -> bool:
    return name != other and name.startswith((other + ".", other + "["))


def _difference(name: str, now: Value | None, ordinary: Value | None) -> str:
    is_now = "is not there" if now is None else f"is {now}"
    return f"{name} {is_now}, after an uninterrupted run it is {'not there' if ordinary is None else ordinary}"
