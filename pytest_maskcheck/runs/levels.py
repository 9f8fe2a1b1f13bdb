"""Levels: what is found the same number of references away from some namespaces, compared at the speed of C.

One call of :func:`gc.get_referents` returns everything that the things of a level refer to. That is compared with what the call
returned before: by type and, for plain values, by value. The things at some positions of the result make up the next level.
Only types, plain values and identities are kept from one look to the next.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import attrgetter, is_, itemgetter
from typing import Any

from pytest_maskcheck.runs.namespaces import PLAIN, identity
from pytest_maskcheck.runs.value_texts import Value, is_stateful, value_of
from pytest_maskcheck.system.unpatched import gc
from pytest_maskcheck.system.untrusted import namespace_of

_code = attrgetter("__code__")
_namespace_of = object.__getattribute__

Look = Callable[[Any], "list[object]"]
"""Returns the values of some entries of a dictionary, of a class or of an instance."""


@dataclass(slots=True, repr=False)
class Level:
    """What is expected of things that are the same number of references away from a root.

    Parameters:
        types: the types of everything that they refer to.
        plain: picks plain values, which are to equal ``values``.
        functions: picks functions; ``codes`` identifies the code that they are to have.
        stateful: positions of objects that keep something that references do not show, and their values.
        into: picks what is looked into next; ``instances`` and ``dicts`` pick from that.
        partly: picks things of which only some entries are compared, by the functions in ``looks``.
    """

    types: list[type]
    plain: Callable[[Sequence[Any]], Sequence[Any]]
    values: Sequence[Any]
    functions: Callable[[Sequence[Any]], Sequence[Any]]
    codes: list[int]
    stateful: list[tuple[int, Value | None]]
    into: Callable[[Sequence[Any]], Sequence[Any]]
    instances: Callable[[Sequence[Any]], Sequence[Any]]
    dicts: Callable[[Sequence[Any]], Sequence[Any]]
    partly: Callable[[Sequence[Any]], Sequence[Any]]
    looks: list[Look]

    def holds(self, found: Sequence[Any]) -> bool:
        """Return whether the things refer to what is expected."""
        return (
            len(found) == len(self.types)
            and all(map(is_, map(type, found), self.types))  # == would call metaclasses
            and self.plain(found) == self.values
            and list(map(identity, map(_code, self.functions(found)))) == self.codes
            and all(value_of(found[position]) == expected for position, expected in self.stateful)
        )


def found_in(
    into: Sequence[Any], instances: Sequence[Any], dicts: Sequence[Any], looks: Iterable[tuple[Any, Look]]
) -> list[Any]:
    """Return what things refer to, with the keys of dictionaries, which CPython does not report where all keys are texts."""
    # Up to CPython 3.12, an instance refers to its values until its dictionary is read, and to that from then on. So it is read here.
    for _ in map(_namespace_of, instances, repeat("__dict__")):
        pass
    found = gc.get_referents(*into)
    found += chain.from_iterable(map(dict.__iter__, dicts))
    for thing, look in looks:
        found += look(thing)
    return found


def level_of(found: list[Any], chosen: list[int], looks: dict[int, Look]) -> Level:
    """Return what is expected of a level from now on.

    Parameters:
        found: what its things refer to.
        chosen: positions of what is looked into next.
        looks: id -> the function that returns the entries to compare, for a thing of which only some are compared.
    """
    plain = [position for position, each in enumerate(found) if identity(type(each)) in PLAIN]
    functions = [position for position, each in enumerate(found) if type(each) is types.FunctionType]
    partly = [position for position in chosen if identity(found[position]) in looks]
    whole = [position for position in chosen if identity(found[position]) not in looks]
    into = [found[position] for position in whole]
    return Level(
        types=list(map(type, found)),
        plain=picker(plain),
        values=picker(plain)(found),
        functions=picker(functions),
        codes=list(map(identity, map(_code, picker(functions)(found)))),
        stateful=[(at, value_of(each)) for at, each in enumerate(found) if is_stateful(type(each))],
        into=picker(whole),
        instances=picker([at for at, each in enumerate(into) if _is_instance(each)]),
        dicts=picker([at for at, each in enumerate(into) if issubclass(type(each), dict)]),
        partly=picker(partly),
        looks=[looks[identity(found[position])] for position in partly],
    )


def _is_instance(thing: object) -> bool:
    """Return whether a thing has a dictionary of its own, which may never have been read."""
    if issubclass(type(thing), type):
        return False
    return namespace_of(thing) is not None


def picker(keys: Sequence[Any]) -> Callable[[Any], Sequence[Any]]:
    """Return a function that picks some items of a list or mapping, by position or key, at the speed of C."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return (lambda items: (items[keys[0]],)) if keys else (lambda _: ())
