"""The layers of a suite's points, from coarse to fine: each line, each place, each place in each calling context.

Their keys are equal in all processes of a session, and in all tests: they name code by its file, name, first line and instructions. They
choose what is audited first; they do not decide what is left out as a repetition.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from pytest_maskcheck.interrupts.places import INNERMOST
from pytest_maskcheck.system.bytecode import per_code

if TYPE_CHECKING:
    from types import CodeType

    from pytest_maskcheck.interrupts import Hit
    from pytest_maskcheck.interrupts.places import Site
    from pytest_maskcheck.settings import Settings


class Layers(NamedTuple):
    """The keys of the groups that a point belongs to, each finer than the one before."""

    line: int
    place: int
    context: int


def judged_key(settings: Settings) -> int:
    """Return the part of keys that stands for settings: what is a finding of one test may be none of a test with others."""
    return _digest(repr(settings.judged_by))


def layers_of(site: Site | Hit, signum: int, judged: int) -> Layers:
    """Return the keys of an instruction, in its calling context, that is interrupted with a signal.

    Parameters:
        site: the instruction, or a hit of it.
        signum: the signal.
        judged: what :func:`judged_key` returned for the settings of the test.
    """
    place = hash((judged, _key(site.code), site.offset, signum))
    near = tuple((_key(code), line) for code, line in site.context[:INNERMOST])
    return Layers(hash((judged, _digest(site.code.co_filename), site.line)), place, hash((place, near)))


# Keys are made of numbers alone, since each process of xdist hashes texts in a way of its own.


@per_code
def _key(code: CodeType) -> int:
    return _digest(repr((code.co_filename, code.co_qualname, code.co_firstlineno, code.co_code)))


@cache
def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=7).digest())
