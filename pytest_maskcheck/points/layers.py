"""The layers of a suite's points, from coarse to fine: each line, each place, each place in each calling context.

Their keys are equal in all processes that one session forks, and in all tests: they name code by file, name, first line and hash. They
choose what is audited first; they do not decide what is left out as a repetition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_maskcheck.interrupts.places import INNERMOST
from pytest_maskcheck.system.bytecode import per_code

if TYPE_CHECKING:
    from types import CodeType

    from pytest_maskcheck.interrupts import Hit
    from pytest_maskcheck.interrupts.places import Site

CodeName = tuple[str, str, int, int]
"""File, qualified name, first line and hash of a code object: the same in all processes forked from one."""


@per_code
def name_of(code: CodeType) -> CodeName:
    """Return the name of a code object."""
    return (code.co_filename, code.co_qualname, code.co_firstlineno, hash(code))


class Layers(NamedTuple):
    """The keys of the groups that a point belongs to, each finer than the one before."""

    line: int
    place: int
    context: int


def layers_of(site: Site | Hit, signum: int) -> Layers:
    """Return the keys of an instruction, in its calling context, that is interrupted with a signal."""
    place = hash((name_of(site.code), site.offset, signum))
    near = tuple((name_of(code), line) for code, line in site.context[:INNERMOST])
    return Layers(hash((site.code.co_filename, site.line)), place, hash((place, near)))
