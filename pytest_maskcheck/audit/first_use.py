"""What only the first run in a process does: lazy values, caches, imports within functions, daemons that start when first needed.

Theory of operation. The ordinary run has done all that before an audit begins. So a process is forked before the ordinary run, waits, and
stays *cold*: each of its children makes the test's first run. One child records this run. Places that it reaches and later runs do not
are points of their own (their ids end with ``~first``). Each is interrupted in a child of its own, which then runs the test once more.

Rules:

1. The process is forked after fixtures of longer life are set up, and before those of function scope: each child sets up its own.
2. Points are sent from child to child as names. A code object is named by file, name, first line and hash, which forked processes share.
3. What an uninterrupted first run leaves behind is the purpose of first use, and is no finding.
4. Code that does not exist before it runs (modules that the first run imports, functions that it generates) is sent as ``marshal``
   data; the engine recognises an equal code object when that begins to run.

What does not work: what an earlier test of the session has already done is not cold. If no process can be kept cold, the lines that
only the first run reaches are unknown; the report states that, with the reason.
"""

from __future__ import annotations

import marshal
from dataclasses import dataclass, replace
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts import Hit, Trigger
from pytest_maskcheck.interrupts.cpython.codes import stand_in
from pytest_maskcheck.interrupts.places import INNERMOST
from pytest_maskcheck.points.ids import FIRST
from pytest_maskcheck.points.plan import Aim
from pytest_maskcheck.runs.requests import Trace
from pytest_maskcheck.system.bytecode import per_code
from pytest_maskcheck.system.unpatched import gc

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from pytest_maskcheck.interrupts import Recording
    from pytest_maskcheck.interrupts.places import PlaceKind
    from pytest_maskcheck.points.plan import Plan
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import Executor, Last, Request, RunResult

CodeName = tuple[str, str, int, int]
"""File, qualified name, first line and hash of a code object: the same in all processes forked from one."""


@per_code
def name_of(code: CodeType) -> CodeName:
    """Return the name of a code object."""
    return (code.co_filename, code.co_qualname, code.co_firstlineno, hash(code))


def key_of(hit: Hit) -> int:
    """Return a number that is equal for hits of one place in one calling context, in all processes forked from one."""
    context = tuple((name_of(code), line) for code, line in hit.context[:INNERMOST])
    return hash((name_of(hit.code), hit.offset, hit.kind, context))


def keys_of(recording: Recording) -> frozenset[int]:
    """Return the keys of all hits of a recording."""
    return frozenset(map(key_of, recording.hits))


@dataclass(frozen=True, slots=True)
class Address:
    """A trigger in a form that can be sent to another process."""

    event: str
    code: CodeName
    offset: int
    count: int
    callee: CodeName | None
    since: Address | None

    @classmethod
    def of(cls, trigger: Trigger) -> Address:
        """Return the address of a trigger."""
        callee = name_of(trigger.callee) if trigger.callee is not None else None
        since = cls.of(trigger.since) if trigger.since is not None else None
        return cls(trigger.event, name_of(trigger.code), trigger.offset, trigger.count, callee, since)

    def trigger(self, codes: dict[CodeName, CodeType]) -> Trigger:
        """Return the trigger in this process."""
        callee = codes[self.callee] if self.callee else None
        since = self.since.trigger(codes) if self.since else None
        return Trigger(self.event, codes[self.code], self.offset, self.count, callee, since)


@dataclass(frozen=True, slots=True)
class FirstPoint:
    """A point of the first run in a form that can be sent to another process.

    Parameters:
        point: the point.
        code, offset, kind: its place.
        context: call sites in scope that led there, innermost first.
        address: the address of the event to interrupt at.
        signum: the signal.
    """

    point: Point
    code: CodeName
    offset: int
    kind: PlaceKind
    context: tuple[tuple[CodeName, int], ...]
    address: Address
    signum: int

    @classmethod
    def of(cls, point: Point, aim: Aim) -> FirstPoint:
        """Return a point of a plan, with its aim, in this form."""
        hit = aim.first
        context = tuple((name_of(code), line) for code, line in hit.context)
        address = Address.of(hit.trigger)
        return cls(point, name_of(hit.code), hit.offset, hit.kind, context, address, aim.signum)

    def aim(self, codes: dict[CodeName, CodeType]) -> Aim:
        """Return the aim of the point in this process."""
        context = tuple((codes[name], line) for name, line in self.context)
        trigger = self.address.trigger(codes)
        hit = Hit(codes[self.code], self.offset, self.kind, self.point.hit, context, trigger)
        return Aim(hit, self.signum)


@dataclass(frozen=True, slots=True, repr=False)
class FirstPlan:
    """The points of a first run in a form that can be sent to another process.

    Parameters:
        points: the points, with ids of first runs.
        codes: the code objects they refer to, as ``marshal`` data.
    """

    points: tuple[FirstPoint, ...]
    codes: dict[CodeName, bytes]

    @classmethod
    def of(cls, plan: Plan) -> FirstPlan:
        """Return a plan in this form; its points get ids of the first run."""
        codes = {
            name_of(code): code
            for aim in plan.aims.values()
            for code in (aim.first.code, *(code for code, _ in aim.first.context), *aim.first.trigger.codes())
        }
        points = (
            FirstPoint.of(replace(each, id=named_first(each.id), first_use=True), plan.aims[each.id])
            for each in plan.points
        )
        return cls(tuple(points), {name: marshal.dumps(code) for name, code in codes.items()})

    def here(self) -> dict[CodeName, CodeType]:
        """Return the code objects in this process, and stand-ins for those that do not exist yet."""
        found = codes_of(self.codes)
        return {name: found.get(name) or stand_in(data) for name, data in self.codes.items()}


def named_first(name: str) -> str:
    """Return the id of a point of the first run, given the id that it would have in a later run."""
    place, at, signal = name.partition("@")
    return place + FIRST + at + signal


def codes_of(wanted: Iterable[CodeName]) -> dict[CodeName, CodeType]:
    """Return those of the wanted code objects that functions in this process have, directly or among their constants."""
    missing = set(wanted)
    files = {name[0] for name in missing}
    found: dict[CodeName, CodeType] = {}
    queue = [thing.__code__ for thing in gc.get_objects() if type(thing) is FunctionType]
    seen: set[int] = set()
    while queue and missing:
        code = queue.pop()
        if id(code) in seen or code.co_filename not in files:
            continue
        seen.add(id(code))
        queue += [each for each in code.co_consts if isinstance(each, CodeType)]
        name = name_of(code)
        if name in missing:
            missing.discard(name)
            found[name] = code
    return found


@dataclass(frozen=True, slots=True)
class FirstRuns:
    """An executor with cold processes.

    A watched run without an interrupt makes first use itself, so the runs after it are made in another process.
    """

    executor: Executor

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        return True

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """See :class:`pytest_maskcheck.runs.requests.Executor`."""
        first, *rest = requests
        if rest and isinstance(first, Trace) and first.point is None:
            yield from self.executor.runs([first], last)
            yield from self.executor.runs(rest, last)
        else:
            yield from self.executor.runs(requests, last)
