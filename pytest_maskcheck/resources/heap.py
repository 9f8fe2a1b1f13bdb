"""Find new objects of a few types without walking the whole heap.

The audit freezes the heap before its runs, so that :func:`gc.get_objects` returns only what was made since. A census records
older objects; see ``census.py``.

Theory of operation:

1. One walk serves all kinds: within ``with at_once:`` its result is kept, sorted by type.
2. Types are classified once. ``_WANTED`` contains the types that some kind looks for, ``_SEEN`` all types that were classified,
   and ``_IGNORED`` those of them that no kind looks for. So most objects cost one set lookup.
3. These sets must not keep a class alive that could be garbage collected, and a new class at the same address must not be taken
   for the old one. So classes that no module holds are classified again at each walk (``_PASSING``).
4. Hashing a type calls its metaclass, which may be the user's. If that raises, objects count as instances of the first base
   class whose metaclass hashes and compares as ``type`` does.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from operator import attrgetter
from types import FrameType, ModuleType, TracebackType

from pytest_maskcheck.system.own_code import is_in_package
from pytest_maskcheck.system.unpatched import gc
from pytest_maskcheck.system.untrusted import attempt, dict_of, mro_of, namespace_of

_Found = dict[type, list[object]]

_WANTED: set[type] = set()
"""All types that were ever looked for, and the members of all families."""

_ASKED: set[type] = set()
"""Those that were looked for by themselves, not as members of a family."""

_SEEN: set[type] = set()
"""Types that last as long as the process and were classified, that is, added to the families they belong to."""

_IGNORED: set[type] = set()
"""The types in ``_SEEN`` that no kind looks for."""

_PASSING: list[tuple[set[type], type]] = []
"""(set, class) for classes that may be garbage collected: the class is removed from the set at the next walk."""

_OLD_MODULES = frozenset(sys.modules)
"""Modules that were loaded before the first test was."""

_COMING = {
    FrameType,
    TracebackType,
    KeyboardInterrupt,
    Counter,
    closing,
    attrgetter,
    type(iter(())),
    type({}.values().__iter__()),
}
"""Types from elsewhere that may have no instances before the first audited run."""

# Read with the descriptor of ``type``, as a metaclass may define ``__flags__``.
_FLAGS: Callable[[type], int] = vars(type)["__flags__"].__get__
_HEAP, _IMMUTABLE = 1 << 9, 1 << 8  # Py_TPFLAGS_HEAPTYPE, Py_TPFLAGS_IMMUTABLETYPE


def _walk() -> _Found:
    return _wanted(gc.get_objects())


def _wanted(objects: list[object]) -> _Found:
    """Return those of ``objects`` whose type is wanted, by type."""
    try:
        return _sorted(objects, type)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (hashing a type calls its metaclass, which may be the user's)
        return _sorted(objects, _usable)


def _usable(thing: object) -> type:
    """Return the first type in the MRO of ``thing``'s type that can be hashed without running a user's metaclass."""
    return next(kind for kind in mro_of(type(thing)) if _compares_as_usual(type(kind)))


def _compares_as_usual(metaclass: type) -> bool:
    return metaclass is type or all(
        "__eq__" not in dict_of(base) and "__hash__" not in dict_of(base)
        for base in mro_of(metaclass)
        if base is not type and base is not object
    )


def _sorted(objects: list[object], kind_of: Callable[[object], type]) -> _Found:
    """Return those of ``objects`` whose type is wanted, by type."""
    things = [thing for thing in objects if kind_of(thing) not in _IGNORED]
    # These classes are not in _SEEN, so those that still have instances are classified again below.
    _forget_passing()
    if not things:
        return {}
    kinds = set(map(kind_of, things))
    if not kinds <= _SEEN:
        _classify(kinds - _SEEN)
        # Objects of lasting types that no kind looks for are skipped from now on.
        _IGNORED.update(kinds & _SEEN - _WANTED)
    found: _Found = {kind: [] for kind in kinds & _WANTED}
    for thing in things:
        if (kind := kind_of(thing)) in found:
            found[kind].append(thing)
    return found


def rehearse() -> None:
    """Walk the heap once as after an interrupt, so that forked processes need not classify the types that exist only then."""
    try:
        _interrupted()
    except KeyboardInterrupt:  # meanwhile the exception and its traceback keep the frame of a call that has ended
        look()


def _interrupted() -> None:
    raise KeyboardInterrupt


def _classify(kinds: set[type]) -> None:
    """Add types to the families they belong to."""
    bases: dict[object, list[Family]] = {}
    for module, word, family in _FAMILIES:
        # Looked up again each time: the module may have been imported since, and a test may have replaced the class.
        base = (namespace_of(sys.modules.get(module)) or {}).get(word)
        if issubclass(type(base), type):
            bases.setdefault(base, []).append(family)
    for kind in kinds:
        lasts = _lasts(kind)
        if lasts:
            _SEEN.add(kind)
        for base in mro_of(kind):
            for members in [_WANTED, *(family.members for family in bases[base])] if base in bases else ():
                members.add(kind)
                if not lasts:
                    _PASSING.append((members, kind))


def _forget_passing() -> None:
    while _PASSING:
        family, kind = _PASSING.pop()
        family.discard(kind)


def _is_of_c(kind: type) -> bool:
    flags = _FLAGS(kind)
    return not flags & _HEAP or bool(flags & _IMMUTABLE)


def _lasts(kind: type) -> bool:
    """Return whether a type lasts as long as the process: it is written in C, or a module holds it."""
    return _is_of_c(kind) or attempt(
        lambda: _place_of(kind) is kind, otherwise=False
    )  # a metaclass, or a module, may be the user's


def _place_of(kind: type) -> object:
    place: object = sys.modules.get(kind.__module__)
    for word in kind.__qualname__.split("."):
        place = getattr(place, word, None)
    return place


class Family:
    """Types given by name (``module:Class``), and their subclasses. No module is imported to find them."""

    def __init__(self, *names: str) -> None:
        self.members: set[type] = set()
        for name in names:
            module, _, word = name.partition(":")
            _FAMILIES.append((module, word, self))
        # Types that were classified before this family existed may belong to it.
        _SEEN.clear()
        _IGNORED.clear()

    def __call__(self) -> frozenset[type]:
        """Return those of its types of which the heap has, or had, instances."""
        look()
        return frozenset(self.members)

    def made(self) -> Collection[object]:
        """Return the instances made since the heap was frozen."""
        found = at_once.found
        if found is None:
            found = look()
        members = self.members
        if members.isdisjoint(found):
            return ()
        return [thing for kind in members if kind in found for thing in found[kind]]


_FAMILIES: list[tuple[str, str, Family]] = []


class _AtOnce:
    """See :data:`at_once`."""

    __slots__ = ("active", "found")

    def __init__(self) -> None:
        self.found: _Found | None = None
        self.active = False

    def __enter__(self) -> None:
        self.active = True

    def __exit__(self, *_: object) -> None:
        self.active = False
        self.found = None

    def forget(self) -> None:
        """Drop the result of the walk, which keeps the objects alive. The next caller walks again."""
        self.found = None


at_once = _AtOnce()
"""Within ``with at_once:`` the heap is walked once for all callers; objects made meanwhile are not seen."""


def want(types: Collection[type]) -> None:
    """Make every walk from now on look for these types, too."""
    _ASKED.update(types)
    _WANTED.update(types)
    _IGNORED.difference_update(types)


def classify() -> None:
    """Classify the types that have instances now, and our own, so that processes forked later need not. Further calls do nothing.

    Of other classes written in Python, only those of modules as old as this one are remembered: a test may unload others, and expect
    that they are gone.
    """
    if _SEEN:
        return
    look()
    # Classifying looks at many modules. A forked process would copy the memory of each, for objects of ours that only it makes.
    _classify(_own_classes() | _COMING)
    _forget_others(_SEEN)
    _IGNORED.update(_SEEN - _WANTED)


def _own_classes() -> set[type]:
    """Return the classes that the modules of this package hold."""
    modules = [module for name, module in sys.modules.copy().items() if is_in_package(name)]
    things = [thing for module in modules if type(module) is ModuleType for thing in vars(module).values()]
    return {thing for thing in things if type(thing) is type and is_in_package(thing.__module__)}


def _forget_others(seen: Collection[type]) -> None:
    """Forget those of the classes just seen that a test may unload."""
    others = {kind for kind in seen if not _stays(kind)}
    for known in (_SEEN, _IGNORED, *(family.members for _, _, family in _FAMILIES)):
        known.difference_update(others)
    _WANTED.difference_update(others - _ASKED)
    _forget_passing()


def wanted_in(objects: list[object]) -> list[object]:
    """Return those of ``objects`` that some kind looks for, and remember no class that a test may unload."""
    before = {*_SEEN}
    found = _wanted(objects)
    _forget_others(_SEEN - before)
    return [thing for things in found.values() for thing in things]


def number_wanted() -> int:
    """Return the number of types and families that kinds look for: it grows when a kind looks for another one."""
    return len(_ASKED) + len(_FAMILIES)


def show(others: Iterable[object]) -> None:
    """Within ``at_once``, let all callers see ``others`` besides the objects on the heap."""
    at_once.found = _wanted([*gc.get_objects(), *others])


def _stays(kind: type) -> bool:
    if _is_of_c(kind):
        return True
    return attempt(lambda: kind.__module__ in _OLD_MODULES or is_in_package(kind.__module__), otherwise=False)


def look(types: Collection[type] = ()) -> _Found:
    """Return the wanted objects by type. Within ``at_once`` the first walk's are returned, if ``types`` were wanted then."""
    found = at_once.found
    if found is None or not _WANTED.issuperset(types):
        want(types)
        found = _walk()
        if at_once.active:
            at_once.found = found
    return found


def made(types: Collection[type]) -> Collection[object]:
    """Return the instances of exactly these types made since the heap was frozen; all instances if it is not frozen."""
    found = at_once.found
    if found is None or not _WANTED.issuperset(types):
        found = look(types)
    if found.keys().isdisjoint(types):
        return ()
    return [thing for kind in types if kind in found for thing in found[kind]]


class Exactly:
    """One type, without its subclasses."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        want({kind})

    def made(self) -> Collection[object]:
        """Return the instances made since the heap was frozen."""
        found = at_once.found
        if found is None:
            found = look()
        return found.get(self.kind, ())
