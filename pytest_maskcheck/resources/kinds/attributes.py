"""Functions, classes and modules that were replaced by others: monkeypatches that were not undone."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.resources.user_objects import label_of, same
from pytest_maskcheck.system.loaded_modules import LOADED, last_loaded
from pytest_maskcheck.system.untrusted import attempt, dict_of, is_a, name_of

_OFTEN = {
    "builtins": "open input print __import__",
    "time": "time sleep monotonic perf_counter",
    "datetime": "datetime date",
    "os": "open remove unlink rename replace listdir getcwd kill environ",
    "random": "random",
    "socket": "socket create_connection getaddrinfo",
    "subprocess": "Popen run",
    "threading": "Thread Lock",
    "urllib.request": "urlopen",
}
"""The names of the standard library that tests replace most often."""

_UNWATCHED = frozenset({"__builtins__", "__annotate__", "__annotate_func__", "__loader__", "__spec__"})
_OF_OTHERS = {  # other kinds watch these
    "threading": {"excepthook", "_trace_hook", "_profile_hook"},
    "warnings": {"showwarning", "formatwarning", "_showwarnmsg_impl"},
}
_MEMBERS = (staticmethod, classmethod, property)
_CANARY = types.SimpleNamespace(call=len, other=len)


class _Place:
    """A namespace, and those of its names that are bound to code."""

    def __init__(self, label: str, owner: object, namespace: Mapping[str, object], names: list[str]) -> None:
        self.label = label
        self.owner = owner
        self.namespace = namespace
        self.names = names
        self.get: Callable[[Any], tuple[object, ...]] = itemgetter(
            *names, names[0]
        )  # at least two: for a single name, ``itemgetter`` would return no tuple


_Reading = list[tuple[object, ...]]


class Attributes(ProcessState[_Reading]):
    """Attributes that are code: of the modules in scope and their classes, and a few of the standard library.

    Values are compared by identity. Data is not watched: caches, counters, objects made when first needed. New names do not count, nor
    do modules imported after ``prepare``.
    """

    name = "attribute"

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._state: object = None
        self._watch()

    def prepare(self) -> None:
        # Going through all modules takes milliseconds in a process that was forked just now, as it copies the memory of each.
        state = last_loaded()
        if state != self._state:
            self._state = state
            self._watch(*self._found())

    def _watch(self, *places: _Place) -> None:
        self._places = (_Place("canary", _CANARY, vars(_CANARY), ["call", "other"]), *places)
        self._readers = tuple((place.get, place.namespace) for place in self._places)

    def _found(self) -> Iterator[_Place]:
        for name in LOADED.in_order([*self.surroundings.modules(), *_OFTEN]):
            module = sys.modules.get(name)
            if type(module) is not types.ModuleType or name != vars(module).get("__name__"):
                continue
            namespace = vars(module)
            if name in _OFTEN:
                names = [each for each in _OFTEN[name].split() if each in namespace]
                yield _Place(name, module, namespace, names)
            file = namespace.get("__file__")
            if isinstance(file, str) and self.surroundings.in_scope(file):
                yield from _places(name, module, namespace)

    def read(self) -> _Reading:
        try:
            return [get(namespace) for get, namespace in self._readers]
        except KeyError:  # a name was removed
            return [tuple(map(place.namespace.get, (*place.names, place.names[0]))) for place in self._places]

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("_Reading", before), self.read()
        return [] if same(old, now) else list(self.differences(old, now))

    def differences(self, before: _Reading, now: _Reading) -> Iterator[Leftover]:
        for place, values, others in zip(self._places, before, now, strict=True):
            for name, old, new in zip(place.names, values, others, strict=False):
                # Compared only by identity: values may be the user's, with any ``__eq__``.
                if new is not old and old is not None:
                    key = f"{place.label}.{name}"
                    detail = f"{key} is now {label_of(new)} (before: {label_of(old)})"
                    yield self.altered(key, detail, key, (place, name, old))

    def put_back(self, of: Hashable, value: object) -> None:  # noqa: ARG002  (the value contains the place, too)
        place, name, old = cast("tuple[_Place, str, object]", value)
        setattr(place.owner, name, old)

    @contextmanager
    def canary(self) -> Iterator[None]:
        _CANARY.call = max
        try:
            yield
        finally:
            _CANARY.call = len


def _places(name: str, module: types.ModuleType, namespace: dict[str, Any]) -> Iterator[_Place]:
    """Yield the module and the classes that it defines, if they contain any code."""
    for label, owner, contents in (
        (name, module, namespace),
        *(
            (f"{name}.{name_of(thing)}", thing, dict_of(thing))
            for thing in list(namespace.values())
            if issubclass(type(thing), type)
            and attempt(lambda thing=thing: bool(thing.__module__ == name), otherwise=False)  # type: ignore[misc]
        ),
    ):
        unwatched = _UNWATCHED.union(_OF_OTHERS.get(label, ()))
        names = [each for each, value in list(contents.items()) if each not in unwatched and _is_code(value)]
        if names:
            yield _Place(label, owner, contents, names)


def _is_code(value: object) -> bool:
    return callable(value) or is_a(value, *_MEMBERS) or type(value) is types.ModuleType
