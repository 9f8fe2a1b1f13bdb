"""Opcodes of the running version, by what their instructions do.

``dis.opmap`` contains only the names of this version. Opcodes that only other versions have are missing from the sets. A constant for a
single such opcode is ``MISSING``, which equals no instruction.
"""

from __future__ import annotations

import dis
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MISSING = -1


def _where(wanted: Callable[[str], bool]) -> frozenset[int]:
    return frozenset(number for name, number in dis.opmap.items() if wanted(name))


def _named(*names: str) -> frozenset[int]:
    return _where(lambda name: name in names)


# Calls, and other instructions that run code

CALLS = _where(lambda name: name.startswith("CALL") and "INTRINSIC" not in name)
CALL = dis.opmap["CALL"]
STAR_CALL = dis.opmap["CALL_FUNCTION_EX"]
PRECALL = dis.opmap.get("PRECALL", MISSING)
"""Prepares a call; 3.11 only."""
CALLS_WITHOUT_EVENT = _named("BEFORE_WITH", "CALL", "CALL_KW", "CALL_FUNCTION_EX")
"""Calls that may have no event for a profile function: calls of types have none, nor do those of ``with`` up to 3.13."""
FORMATS = _where(lambda name: name.startswith("FORMAT_") or name == "CONVERT_VALUE")
BINARY_OP = dis.opmap["BINARY_OP"]
REMAINDERS = frozenset({6, 19})
"""Arguments of ``BINARY_OP`` for ``%`` and ``%=``."""
COMPARE_OP = dis.opmap["COMPARE_OP"]

# Jumps

BACKWARD_JUMPS = _where(lambda name: "JUMP_BACKWARD" in name and not name.endswith("NO_INTERRUPT"))
COMPARES_AND_JUMPS_BACK = _where(lambda name: name.startswith("POP_JUMP_BACKWARD"))
"""Once warm, they are fused with the comparison before them; 3.11 only."""
CONDITIONAL_JUMPS = _where(lambda name: name.startswith("POP_JUMP"))
JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))

# Function entry, suspension, end

RESUME = dis.opmap["RESUME"]
YIELD_VALUE = dis.opmap["YIELD_VALUE"]
SEND = dis.opmap["SEND"]
GET_AWAITABLE = dis.opmap["GET_AWAITABLE"]
OF_EXIT = 2
"""Argument of ``GET_AWAITABLE`` when the result of ``__aexit__`` is awaited."""
GOES = _where(lambda name: name.startswith(("RETURN_", "YIELD_")))
"""End or suspend a frame, other than by an exception."""

# ``with``

LOAD_SPECIAL = dis.opmap.get("LOAD_SPECIAL", MISSING)
ENTERS = frozenset({0, 2})
"""Arguments of ``LOAD_SPECIAL`` for ``__enter__`` and ``__aenter__``."""
ASYNC_WITH_CALLS_METHOD = "BEFORE_ASYNC_WITH" in dis.opmap
"""``async with`` calls a bound method. From 3.14 on it calls the function itself, which is inlined."""

# Handlers of exceptions

PUSH_EXC_INFO = dis.opmap["PUSH_EXC_INFO"]
"""The first instruction of a handler."""
WITH_EXCEPT_START = dis.opmap["WITH_EXCEPT_START"]
POP_TOP = dis.opmap["POP_TOP"]
MATCHES_GROUP = dis.opmap["CHECK_EG_MATCH"]
MATCHES = frozenset({dis.opmap["CHECK_EXC_MATCH"], MATCHES_GROUP})

# Instructions that do nothing, or only drop a reference

EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]
CACHE = dis.opmap.get("CACHE", 0)
BEGINS_HANDLER_OR_NOTHING = _named("PUSH_EXC_INFO", "NOP", "CACHE", "EXTENDED_ARG", "NOT_TAKEN")
ONLY_DROPS = _where(
    lambda name: (
        name.startswith(("STORE_FAST", "STORE_DEREF", "DELETE_FAST", "DELETE_DEREF", "POP_TOP", "POP_ITER", "RETURN_"))
        or name in {"POP_EXCEPT", "END_FOR", "END_SEND"}
    )
)
"""Python code runs at these only if they drop the last reference to an object."""
