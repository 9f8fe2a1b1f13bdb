"""Recognises a point that other tests of the session have audited already.

Many tests reach the same lines of the project in the same way. What an interrupt there leads to is decided near the place: by the
``with`` and ``try`` blocks around it and around the calls that led there (:data:`.places.INNERMOST`). So a point has a *key*, which equal
points of all tests share, in all processes of a session. Where a key was audited without a finding, auditing it again shows nothing new.

Rules:

1. A key consists of the code and the instruction; the kind of the place; what began a stretch of code out of scope; the innermost
   callers up to the test's own code, which is another one in each test; handlers and mask; the signal; whether this is the first of
   the hits audited there, as later ones may find caches filled; and the settings that verdicts depend on.
2. Code is named by file, qualified name, first line and a digest of its content: if a test replaces a function by another one of the
   same name, or modules are loaded again after a change, the keys differ.
3. Points of the test's own code have no key: another test cannot have them.
4. If no key can be made, the point is audited.
5. Results that are kept need keys that *last* when code above is edited: the same ones without the lines where functions begin.

What does not work: callers further out or out of scope, and the objects that code works on, are not part of a key. An interrupt may do
harm only with the object that another test uses there. ``repeats=all``, and the marker by default, audit every point of a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from types import CodeType
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython.codes import code_with
from pytest_maskcheck.interrupts.places import INNERMOST
from pytest_maskcheck.points.hit_filters import circumstances_of
from pytest_maskcheck.points.ids import place_of
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system.bytecode import per_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_maskcheck.interrupts import Hit
    from pytest_maskcheck.points.plan import Aim, Plan
    from pytest_maskcheck.results import Point

_SIZE = 32
"""Characters of a key."""

_TEST = "the test"
"""The last part of a context that begins in the test's own code."""


@dataclass(slots=True, repr=False)
class Repeats:
    """What other tests of the session have audited, as the plan of one test needs it.

    Parameters:
        least: in how many other tests a point has to be audited before this test leaves it out; ``None``: it leaves none out.
        settings: the settings that verdicts depend on, as text.
        clean: key -> the other tests that audited it without a finding.
        failing: key -> the other tests that have a defect there.
        own: files of the test's own code.
        name: returns the short name of a file.
    """

    least: int | None = None
    settings: str = ""
    clean: Callable[[str], Sequence[str]] = lambda _: ()
    failing: Callable[[str], Sequence[str]] = lambda _: ()
    own: frozenset[str] = frozenset()
    name: Callable[[str], str] = str

    def sort_out(self, aims: Iterable[tuple[Point, Aim]], chosen: Plan) -> list[tuple[Point, Aim]]:
        """Give points their keys; return those to audit, and record in the plan which were left out and why."""
        seen: set[object] = set()
        try:
            keyed = [(point, aim, self._keys(aim, seen)) for point, aim in aims]
        except Exception:  # noqa: BLE001  (a defect of ours, and no reason to audit less)
            return [*aims]
        kept = []
        for point, aim, keys in keyed:
            if self._is_left_out(point, keys, chosen):
                continue
            if keys is not None:
                chosen.keys[point.id], chosen.lasting[point.id] = keys
            kept.append((point, aim))
        return kept

    def _is_left_out(self, point: Point, keys: tuple[str, str] | None, chosen: Plan) -> bool:
        if self.least is None or keys is None:
            return False
        key, lasting = keys
        if tests := self.failing(key):
            chosen.found[point.id] = tests[0]
            chosen.leave_out(Reason(NotAudited.FOUND))
            return True
        tests = self.clean(key)
        if len(tests) < self.least:
            return False
        chosen.repeated[point.id] = tests[0]
        chosen.leaning[lasting] = tuple(tests[: self.least])
        chosen.leave_out(Reason(NotAudited.REPEATED, repeats=self.least))
        return True

    def is_known(self, key: str) -> bool:
        """Return whether another test has audited a key, though not yet as many as it takes."""
        return self.least is not None and bool(key) and bool(self.clean(key))

    def _keys(self, aim: Aim, seen: set[object]) -> tuple[str, str] | None:
        """Return the key of a point, and the one that lasts; ``None`` if it is in the test's own code.

        Parameters:
            aim: the aim of the point.
            seen: the places, each in its circumstances, of earlier points; grows.
        """
        hit = aim.first
        if hit.code.co_filename in self.own:
            return None
        group = (place_of(hit), circumstances_of(hit), aim.signum)
        is_first = group not in seen
        seen.add(group)
        common = (self.settings, is_first, int(aim.signum))
        return _digest((*common, *self._place(hit, lasting=False))), _digest((*common, *self._place(hit, lasting=True)))

    def _place(self, hit: Hit, *, lasting: bool) -> tuple[object, ...]:
        code = self._code(code_with(hit.after[0]), lasting=lasting) if hit.after else None
        after = (code, *hit.after[1:]) if hit.after else ()
        state = tuple(self._plain(each, lasting=lasting) for each in hit.state)
        return (
            self._code(hit.code, lasting=lasting),
            hit.offset,
            hit.kind,
            self._context(hit, lasting=lasting),
            state,
            after,
        )

    def _context(self, hit: Hit, *, lasting: bool) -> tuple[object, ...]:
        """Return the innermost callers, up to the test's own code: where that calls from is another line in each test."""
        callers: list[object] = []
        for code, line in hit.context[:INNERMOST]:
            if code.co_filename in self.own:
                return (*callers, _TEST)
            callers.append((self._code(code, lasting=lasting), line - code.co_firstlineno if lasting else line))
        return tuple(callers)

    def _code(self, code: CodeType, *, lasting: bool) -> tuple[str, str, int, str]:
        first = 0 if lasting else code.co_firstlineno
        return (self.name(code.co_filename), code.co_qualname, first, digest_of(code))

    def _plain(self, value: object, *, lasting: bool) -> object:
        """Return a part of a hit's state as plain data, the same in all processes."""
        if isinstance(value, CodeType):
            return self._code(value, lasting=lasting)
        if isinstance(value, tuple):
            return tuple(self._plain(each, lasting=lasting) for each in value)
        if isinstance(value, int):  # members of signal.Signals are shown in another way
            return int(value)
        if value is None or isinstance(value, str):
            return value
        raise TypeError(type(value))


def _digest(parts: tuple[object, ...]) -> str:
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:_SIZE]


@per_code
def digest_of(code: CodeType) -> str:
    """Return a digest of what a code object does, the same in all processes; where it stands in its file does not matter."""
    return sha256(repr(_content(code)).encode("utf-8", "surrogatepass")).hexdigest()[:_SIZE]


def _content(code: CodeType) -> tuple[object, ...]:
    return (
        code.co_code,
        tuple(map(_constant, code.co_consts)),
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_exceptiontable,
        code.co_flags,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
    )


def _constant(value: object) -> object:
    if isinstance(value, CodeType):
        return (value.co_qualname, digest_of(value))
    if isinstance(value, tuple):
        return tuple(map(_constant, value))
    if isinstance(value, frozenset):  # its order differs from process to process
        return sorted(repr(_constant(each)) for each in value)
    return repr(value)
