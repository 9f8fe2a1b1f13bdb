"""Code objects as keys, and code objects that stand in for equal ones.

Their numbers are found by ``id``, for the reason that :func:`~pytest_maskcheck.system.bytecode.per_code` gives.
"""

from __future__ import annotations

import marshal
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

_NUMBERS: dict[CodeType, int] = {}
_KNOWN: dict[int, tuple[CodeType, int]] = {}
_BY_NUMBER: list[CodeType] = []


def number_of(code: CodeType) -> int:
    """Return a number that equal code objects share in this process; the table of numbers keeps them alive."""
    known = _KNOWN.get(id(code))
    if known is None:
        known = _KNOWN[id(code)] = (code, _NUMBERS.setdefault(code, len(_NUMBERS)))
    return known[1]


def code_with(number: int) -> CodeType:
    """Return a code object to which :func:`number_of` gave this number in this process."""
    while len(_BY_NUMBER) <= number:  # dictionaries keep their order, which is that of the numbers
        _BY_NUMBER.extend(islice(_NUMBERS, len(_BY_NUMBER), None))
    return _BY_NUMBER[number]


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
