"""Code objects as keys, and code objects that stand in for equal ones.

Code objects are not used as keys here, because their hash is computed from all their contents on each use: 50 us for a function of 1,000
lines. The key is the ``id``, and whatever uses it keeps the code alive, so that no other object gets the same ``id``.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import CodeType

P = ParamSpec("P")
T = TypeVar("T")

_NUMBERS: dict[CodeType, int] = {}
_KNOWN: dict[int, tuple[CodeType, int]] = {}


def number_of(code: CodeType) -> int:
    """Return a number that equal code objects share in this process; the table of numbers keeps them alive."""
    known = _KNOWN.get(id(code))
    if known is None:
        known = _KNOWN[id(code)] = (code, _NUMBERS.setdefault(code, len(_NUMBERS)))
    return known[1]


def per_code(function: Callable[Concatenate[CodeType, P], T]) -> Callable[Concatenate[CodeType, P], T]:
    """Cache the results of a function per code object; the cache keeps the code alive."""
    known: dict[int, tuple[CodeType, dict[Any, T]]] = {}

    @wraps(function)
    def remember(code: CodeType, /, *args: P.args, **kwargs: P.kwargs) -> T:
        entry = known.get(id(code))  # the entry keeps the code alive, so that no other object gets its ``id``
        if entry is None:
            entry = known[id(code)] = (code, {})
        results = entry[1]
        if args not in results:
            results[args] = function(code, *args, **kwargs)
        return results[args]

    return remember


_STANDING_IN: dict[int, CodeType] = {}


def stand_in(data: bytes) -> CodeType:
    """Return a stand-in for a code object that this process has not compiled yet, from ``marshal`` data."""
    code: CodeType = marshal.loads(data)
    _STANDING_IN[id(code)] = code
    return code


def is_stand_in(code: CodeType) -> bool:
    """Return whether the code that runs may be another, equal code object.

    That is so for stand-ins, and for code that comes from no file: each run compiles it anew.
    """
    return id(code) in _STANDING_IN or (code.co_filename[:1] == "<" and not code.co_filename.startswith("<frozen "))
