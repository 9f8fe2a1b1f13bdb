"""Code objects as keys, and code objects that stand for others which are equal.

A code object is never a key itself here: its hash is computed anew each time, from all it contains, in 50 us for a function of 1,000
lines. ``id`` is the key, and whatever uses it keeps the code alive, so that no other object gets that ``id``.
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
    """Return a number that equal code objects share in this process; it keeps them alive."""
    known = _KNOWN.get(id(code))
    if known is None:
        known = _KNOWN[id(code)] = (code, _NUMBERS.setdefault(code, len(_NUMBERS)))
    return known[1]


def per_code(function: Callable[Concatenate[CodeType, P], T]) -> Callable[Concatenate[CodeType, P], T]:
    """Cache what a function returns for each code object; the cache keeps the code alive."""
    known: dict[int, tuple[CodeType, dict[Any, T]]] = {}

    @wraps(function)
    def remember(code: CodeType, /, *args: P.args, **kwargs: P.kwargs) -> T:
        entry = known.get(id(code))  # the entry keeps the code alive, so that its ``id`` stays its own
        if entry is None:
            entry = known[id(code)] = (code, {})
        results = entry[1]
        if args not in results:
            results[args] = function(code, *args, **kwargs)
        return results[args]

    return remember


_STANDING_IN: dict[int, CodeType] = {}


def stand_in(data: bytes) -> CodeType:
    """Return a code object for one that this process does not have yet, from its ``marshal`` data."""
    code: CodeType = marshal.loads(data)
    _STANDING_IN[id(code)] = code
    return code


def is_stand_in(code: CodeType) -> bool:
    """Return whether another code object, equal to this one, may be the one that runs: code of no file is compiled in each run anew."""
    return id(code) in _STANDING_IN or (code.co_filename[:1] == "<" and not code.co_filename.startswith("<frozen "))
