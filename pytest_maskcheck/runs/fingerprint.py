"""What modules keep, as text by name: to tell what an interrupt changed for good.

A fingerprint goes from the names of modules, and of other roots, through classes, instances, functions (closures, defaults) and
containers, to a small depth. It runs no code of the user's: values are read from namespaces, and only those of built-in types are
printed. Taking one is slow; :mod:`.usual` finds out whether it is worth while.
"""

from __future__ import annotations

import array
import collections
import enum
import functools
import itertools
import operator
import re
import reprlib
import sys
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_maskcheck.system.unpatched import gc, io
from pytest_maskcheck.system.untrusted import namespace_of

_DEPTH = 5
_MANY = 1000
"""Items above which a container counts as a whole: by its size and a digest."""

_MOST = 20_000
"""Entries of a fingerprint; what lies deeper is left out."""

_SHOWN = 5
"""Differences named."""

identity: Callable[[object], int] = object.__hash__
"""What :func:`id` is for, in a twentieth of its time: ``id`` tells all audit hooks of each call, and detectors have one."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


def _ids(*kinds: type) -> frozenset[int]:
    """Return ids of types: to look a type up by itself, its metaclass may be asked for a hash."""
    return frozenset(map(identity, kinds))


PLAIN = _ids(int, float, complex, bool, str, bytes, type(None), type(Ellipsis), range)
"""Ids of types whose values can be compared and printed."""

_CONTAINERS: tuple[Any, ...] = (dict, list, tuple, collections.deque, set, frozenset)
_SETS: tuple[Any, ...] = (set, frozenset)
_SILENT = (type, types.ModuleType, types.BuiltinFunctionType, types.MethodType)
_BOUND = _ids(staticmethod, classmethod)
_ITERATED: tuple[Any, ...] = ([], (), "", "é", b"", bytearray(), {}, {}.values(), {}.items(), set(), range(0))
_ITERATORS = _ids(*(type(iter(each)) for each in _ITERATED), type(reversed([])), type(reversed({})))
_LAZY = _ids(enumerate, filter, map, zip, *(each for each in vars(itertools).values() if isinstance(each, type)))
_BYTES = _ids(bytearray, array.array)
_OTHERS = _ids(weakref.ref, itertools.count, functools._lru_cache_wrapper)  # noqa: SLF001  (the type has no other name)
_OPAQUE = {
    ("itertools", "cycle"),
    ("sqlite3", "Connection"),
    ("_queue", "SimpleQueue"),
    ("_io", "BytesIO"),
    ("_io", "StringIO"),
}
HARNESS = frozenset({"_pytest", "pluggy", "pytest_maskcheck"})
"""Packages whose objects change with each run, and are not the user's."""
_SUSPENDED = {
    identity(types.GeneratorType): "gi_frame",
    identity(types.CoroutineType): "cr_frame",
    identity(types.AsyncGeneratorType): "ag_frame",
}

_CLASS_DICT: Callable[[type], Mapping[str, object]] = type.__dict__["__dict__"].__get__
_MRO: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_QUALNAME: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_MODULE: Callable[[type], object] = type.__dict__["__module__"].__get__

Fingerprint = dict[str, str]
"""Name, such as ``store.STATE['open']`` -> value, such as ``1``."""


Visit = tuple[str, object, "list[tuple[str, object]] | None"]
"""A name, what it names, and the names and values of its parts; ``None`` where its parts are not looked at."""


class Fingerprints:
    """Takes fingerprints of the modules in scope.

    Parameters:
        in_scope: tells whether the file of a module is.
        named: puts names in place of directories that differ from run to run.
        roots: returns what is kept elsewhere, by name.
    """

    def __init__(
        self,
        in_scope: Callable[[str], bool],
        named: Callable[[str], str] = str,
        roots: Callable[[], list[tuple[str, object]]] = list,
    ) -> None:
        self._in_scope = in_scope
        self._named = named
        self.roots = roots
        self._modules: list[tuple[str, object]] = []
        self._of = 0

    def take(self) -> Fingerprint:
        """Return what the modules keep now."""
        found: Fingerprint = {}
        for name, thing, _ in self.walk([*self.modules(), *self.roots()]):
            if value := value_of(thing):
                found[name] = self._named(_ADDRESS.sub("0x...", value))
            if len(found) == _MOST:
                break
        return found

    def modules(self) -> list[tuple[str, object]]:
        """Return the modules in scope, by name."""
        if self._of != len(sys.modules):
            self._modules = [
                (name, module) for name, module in list(sys.modules.items()) if _is_wanted(module, self._in_scope)
            ]
            self._of = len(sys.modules)
        return self._modules

    def walk(self, roots: list[tuple[str, object]]) -> Iterator[Visit]:
        """Yield what can be reached from some roots, each thing with its parts under the first of its names only."""
        seen: set[int] = set()
        queue = collections.deque((name, thing, 0) for name, thing in roots)
        while queue:
            name, thing, depth = queue.popleft()
            parts = None
            if identity(type(thing)) not in PLAIN and depth < _DEPTH and identity(thing) not in seen:
                seen.add(identity(thing))
                parts = [(name + step, part) for step, part in _parts(thing)]
                queue += [(longer, part, depth + 1) for longer, part in parts]
            yield name, thing, parts


def _is_wanted(module: object, in_scope: Callable[[str], bool]) -> bool:
    file = namespace(module).get("__file__")
    return isinstance(file, str) and in_scope(file)


def value_of(thing: Any) -> str:
    """Return a short text for a thing by itself; ``""`` if its parts say all."""
    kind = type(thing)
    if identity(kind) in PLAIN:
        return reprlib.repr(thing)
    if issubclass(kind, _SILENT):
        return ""
    if kind is types.FunctionType:
        return f"the function {thing.__qualname__}"
    for base in _CONTAINERS:
        if issubclass(kind, base):
            size = base.__len__(thing)
            return f"a {_QUALNAME(kind)} of {size}{_digest(thing, base) if size > _MANY else ''}"
    return f"a {_QUALNAME(kind)}{_condition(thing, kind)}"


def _digest(thing: Any, base: Any) -> str:
    """Return what tells big containers with other plain items apart."""
    items = base.__iter__(thing) if base is not dict else itertools.chain.from_iterable(dict.items(thing))
    plain = [(identity(type(item)), item if identity(type(item)) in PLAIN else None) for item in items]
    return f" with digest {(hash(frozenset(plain)) if base in _SETS else hash(tuple(plain))) & 0xFFFFFFFF:08x}"


def _condition(thing: Any, kind: type) -> str:  # noqa: PLR0911  (one for each sort of object)
    """Return what can be said of objects of a few built-in types."""
    if issubclass(kind, enum.Enum):
        return f" {vars(thing).get('_name_')}"
    if module_of(kind) == "_io" and issubclass(kind, io.IOBase):  # of others it may be the user's code that tells
        return ", closed" if thing.closed else ", open"
    if identity(kind) in _SUSPENDED:
        frame = getattr(thing, _SUSPENDED[identity(kind)])
        return ", ended" if frame is None else f", suspended at line {frame.f_lineno}"
    if kind is weakref.ref:
        return ", dead" if thing() is None else ", alive"
    if kind is functools._lru_cache_wrapper:  # noqa: SLF001  (the type has no other name)
        return f" of {thing.cache_info().currsize}"
    if module_of(kind) == "_thread" and kind.__name__ in {"lock", "RLock"}:
        return ", unlocked" if repr(thing).startswith("<unlocked") else ", locked"
    if identity(kind) in _BYTES:
        return f" of {len(thing)} with digest {hash(bytes(thing)) & 0xFFFFFFFF:08x}"
    if kind is itertools.count and all(
        identity(type(part)) in PLAIN or part is kind for part in gc.get_referents(thing)
    ):
        return f" at {thing!r}"
    if identity(kind) in _ITERATORS:
        return f" with {operator.length_hint(thing)} to come"
    return ""


def is_opaque(kind: type) -> bool:
    """Tell whether objects of a built-in type keep what nobody can see from outside."""
    return (module_of(kind), _QUALNAME(kind)) in _OPAQUE


def is_stateful(kind: type) -> bool:
    """Tell whether objects of a built-in type keep what their parts do not show, and :func:`value_of` does."""
    return (
        any(identity(kind) in kinds for kinds in (_SUSPENDED, _ITERATORS, _BYTES, _OTHERS))
        or (module_of(kind) == "_thread" and kind.__name__ in {"lock", "RLock"})
        or (module_of(kind) == "_io" and issubclass(kind, io.IOBase))
    )


def _parts(thing: Any) -> Iterator[tuple[str, object]]:
    """Yield (how a name goes on, value) for what a thing keeps."""
    kind = type(thing)
    if issubclass(kind, dict):
        if dict.__len__(thing) <= _MANY:
            yield from ((step(key), value) for key, value in dict.items(thing) if _printable(key))
    elif issubclass(kind, (list, tuple, collections.deque)):
        base = next(base for base in _CONTAINERS if issubclass(kind, base))
        if base.__len__(thing) <= _MANY:
            yield from ((f"[{position}]", value) for position, value in enumerate(base.__iter__(thing)))
    elif issubclass(kind, (set, frozenset)):
        members: Any = set if issubclass(kind, set) else frozenset
        if members.__len__(thing) <= _MANY:
            yield from (
                (f"[{member!r}]", True) for member in members.__iter__(thing) if identity(type(member)) in PLAIN
            )
    yield from _attached(thing, kind)


def _attached(thing: Any, kind: type) -> Iterator[tuple[str, object]]:
    """Yield what a thing keeps in attributes, closures and the like."""
    if issubclass(kind, types.ModuleType):
        yield from _attributes(thing, namespace(thing), thing.__name__)
    elif issubclass(kind, type):
        yield from _attributes(thing, class_dict(thing), module_of(thing))
    elif kind is types.FunctionType:
        yield from _attributes(thing, vars(thing), thing.__module__)
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=False):
            yield from ((f".<{name}>", value) for value in _contents(cell))
        yield from _defaults(thing)
    elif kind is types.MethodType:
        yield ".__self__", thing.__self__
    elif kind is functools.partial:
        yield from ((".func", thing.func), (".args", thing.args), (".keywords", thing.keywords))
    elif identity(kind) in _LAZY:
        yield from ((f".<{position}>", value) for position, value in enumerate(gc.get_referents(thing)))
    elif not issubclass(kind, (*_SILENT, enum.Enum)) and module_of(kind).partition(".")[0] not in HARNESS:
        yield from _attributes(thing, namespace(thing), "")


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """Yield the default values of parameters, which outlive each call."""
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount][-len(defaults) :] if defaults else ()
    yield from ((f"({name}=)", value) for name, value in zip(names, defaults, strict=False))
    yield from ((f"({name}=)", value) for name, value in (function.__kwdefaults__ or {}).items())


def step(key: object) -> str:
    """Return how a name goes on for what a dictionary keeps under a key."""
    return f"[{reprlib.repr(key)}]"


def _printable(key: object) -> bool:
    return identity(type(key)) in PLAIN or (type(key) is tuple and all(identity(type(part)) in PLAIN for part in key))


def _attributes(owner: object, names: Mapping[str, object], module: str) -> Iterator[tuple[str, object]]:
    """Yield what a namespace keeps, without what is imported into it."""
    value: Any
    for name, value in list(names.items()):
        if name.startswith(("__", "@")) or name == "pytestmark":
            continue
        kind = type(value)
        if identity(kind) in _BOUND:
            kind, value = type(value.__func__), value.__func__  # noqa: PLW2901
        if issubclass(kind, (types.ModuleType, property, staticmethod, classmethod, types.MemberDescriptorType)):
            continue
        # What is imported is looked at where it is from; a closure may have been made there for this module.
        if issubclass(kind, type) and module and module_of(value) != module:
            continue
        if kind is types.FunctionType and module and value.__module__ != module and not value.__closure__:
            continue
        yield f".{name}", value
    if issubclass(type(owner), type):
        return
    for base in _MRO(type(owner)):
        for name, member in class_dict(base).items():
            if type(member) is types.MemberDescriptorType and not name.startswith("__"):
                try:
                    yield f".{name}", member.__get__(owner)
                except AttributeError:
                    continue


def module_of(kind: type) -> str:
    """Return the name of the module of a class; its metaclass has no say."""
    name = _MODULE(kind)
    return name if type(name) is str else ""


def class_dict(kind: type) -> dict[str, object]:
    """Return the namespace of a class itself, not what protects it; its metaclass has no say."""
    names: dict[str, object]
    (names,) = gc.get_referents(_CLASS_DICT(kind))
    return names


def namespace(thing: object) -> Mapping[str, object]:
    """Return the attributes that an object keeps itself."""
    names = namespace_of(thing)
    return {} if names is None else names


def _contents(cell: types.CellType) -> list[object]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []


def differences(now: Fingerprint, ordinary: Fingerprint, *others: Fingerprint) -> str:
    """Return in words what is not as after an uninterrupted run, ``""`` if nothing is.

    Parameters:
        now: as it is.
        ordinary: after an uninterrupted run.
        others: after further ones, some of them in another process; what differs between them says nothing.
    """
    names = [
        name
        for name in {**ordinary, **now}
        if all(other.get(name) == ordinary.get(name) for other in others) and now.get(name) != ordinary.get(name)
    ]
    # What is new, gone or something else says it all of its parts; of a container that grew, its parts say it.
    strong = {name for name in names if not _is_size(now.get(name, ""), ordinary.get(name, ""))}
    deepest = [
        name
        for name in names
        if not any(_within(name, other) for other in strong)
        and (name in strong or not any(_within(other, name) for other in names))
    ]
    if not deepest:
        return ""
    texts = [_told(name, now.get(name), ordinary.get(name)) for name in deepest]
    more = len(texts) - _SHOWN
    return "; ".join(texts[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _is_size(now: str, ordinary: str) -> bool:
    if " with digest " in now + ordinary:
        return False  # which counts as a whole, perhaps only since it grew
    return now.rpartition(" of ")[0] == ordinary.rpartition(" of ")[0] != ""


def _within(name: str, other: str) -> bool:
    return name != other and name.startswith((other + ".", other + "["))


def _told(name: str, now: str | None, ordinary: str | None) -> str:
    is_now = "is not there" if now is None else f"is {now}"
    return f"{name} {is_now}, after an uninterrupted run it is {'not there' if ordinary is None else ordinary}"
