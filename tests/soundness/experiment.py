"""Compare the places that the engine predicts with the places where real asynchronous signals land.

Run it alone: ``python tests/soundness/experiment.py [--signals 100000] [--seconds 120] [--only prediction]``

1. *prediction*: the engine records the workload, in fresh and in warm code; the prediction is the union of all places.
2. *reality*: the same workload, not instrumented, under a timer that fires every 20 to 200 microseconds; the handler
   notes in which frame and at which instruction CPython ran it. *Warm* code has run before; *cold* code was
   replaced by fresh copies that CPython has not specialised yet.
3. *missed*: landings in scope at places that were not predicted. *Silent*: predicted places that ran often and
   never saw a signal. Real places are silent by chance if little time passes before them; an instruction whose
   places are *all* silent is invented. The next step makes sure of every sort of call.
4. *constructs*: single constructs in a tight loop (warm) and written out many times (cold), each under a timer; here
   every place hit must be predicted, and every place predicted must be hit.
5. *injection*: every predicted hit of the deterministic part is struck; the interrupt must surface exactly there.
6. *anywhere*: scope is the workload alone, as for users who audit a package of their own. Wherever a signal lands during the workload,
   including the standard library, there must be a place that means the same for the code in scope: that very place or, out of scope,
   the stretch that the innermost line in scope has called.

Otherwise, scope is the workload and the whole standard library. Code that only other threads run cannot be hit. Two sorts of
checks are known not to be predicted, and the workload has neither of them (see ``monitoring/__init__.py``): C code that waits
outside of a call, and ``int("x")``, which loses interrupts.
"""

from __future__ import annotations

import argparse
import dis
import gc
import importlib.util
import itertools
import marshal
import random
import signal
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType

if importlib.util.find_spec("pytest_maskcheck") is None:  # run alone, from a checkout
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from pytest_maskcheck.interrupts import choose
from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.positions import line_of

Place = tuple[CodeType, int]
Task = Callable[[], object]

GOAL = 0.999
"""The share of landings in scope that must be at predicted places."""

_INTERVALS = (20e-6, 200e-6)
_OFTEN = 2000
"""The number of executions from which a predicted place without a landing is suspect."""


def sibling(name: str) -> ModuleType:
    """Load a module from the folder of this one, regardless of ``sys.path``."""
    full = f"maskcheck_soundness_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


_STDLIB = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
_OTHERS = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


def in_scope(filename: str) -> bool:
    """Return whether a file is in scope: the workload or the standard library, including frozen modules."""
    if filename.startswith(("<frozen", "<construct")) or filename == sibling("workload").__file__:
        return True
    return filename.startswith(_STDLIB) and not filename.startswith(_OTHERS) and "site-packages" not in filename


# --- one name for all copies of a code object ------------------------------------------------------------------------


class Names:
    """Maps all copies of a code object to one of them."""

    def __init__(self) -> None:
        self._first: dict[tuple[object, ...], CodeType] = {}
        self._known: dict[int, tuple[CodeType, CodeType]] = {}

    def __call__(self, code: CodeType) -> CodeType:
        """Return the first copy of ``code`` that was seen."""
        known = self._known.get(id(code))
        if known is None:
            key = (code.co_filename, code.co_qualname, code.co_firstlineno, code.co_code, code.co_linetable)
            known = self._known[id(code)] = (code, self._first.setdefault(key, code))
        return known[1]

    def forget(self) -> None:
        """Drop the references to all copies but the first ones."""
        self._known.clear()


names = Names()


@contextmanager
def cooling(codes: Iterable[CodeType]) -> Iterator[Callable[[], None]]:
    """Yield a function that makes all functions with one of the codes cold, with fresh copies; restore their code at the end."""
    wanted = {id(code) for code in codes}
    functions = [
        (thing, thing.__code__, marshal.dumps(thing.__code__))
        for thing in gc.get_objects()
        if type(thing) is FunctionType and id(names(thing.__code__)) in wanted
    ]

    def cool() -> None:
        for function, _, code in functions:
            function.__code__ = marshal.loads(code)

    try:
        yield cool
    finally:
        for function, code, _ in functions:
            function.__code__ = code


# --- prediction ------------------------------------------------------------------------------------------------------


@dataclass
class Prediction:
    """The places with their kinds, how often each was executed, and in how many rounds."""

    kinds: dict[Place, str] = field(default_factory=dict)
    executed: Counter[Place] = field(default_factory=Counter)
    rounds: int = 0

    def per_round(self, place: Place) -> float:
        """Return how often one round executes ``place``."""
        return self.executed[place] / max(1, self.rounds)


def record(prediction: Prediction, work: Task, *, counted: bool = True) -> None:
    """Add the places that the engine sees in one run of ``work``; ``counted`` is whether every round runs it."""
    engine = choose()[0].engine
    with engine.record(in_scope, "checkpoint") as recording:
        work()
        gc.collect()
    prediction.rounds += counted
    for hit in recording.hits:
        place = (names(hit.code), hit.offset)
        prediction.kinds[place] = hit.kind
        prediction.executed[place] += counted


def predict(tasks: Iterable[Task], rounds: int = 4, rare: Iterable[Task] = ()) -> Prediction:
    """Return the places recorded in the tasks, cold and warm; the ``rare`` ones are recorded once."""
    prediction = Prediction()

    def work() -> None:
        for task in tasks:
            task()

    work()
    record(prediction, work)
    for task in rare:
        record(prediction, task, counted=False)
    for _ in range(rounds - 1):
        with cooling(code for code, _ in prediction.kinds) as cool:
            cool()
            record(prediction, work)
            record(prediction, work)
    return prediction


# --- reality ---------------------------------------------------------------------------------------------------------


class Storm:
    """Fires a timer at random intervals and records where CPython runs the handler."""

    def __init__(self, seed: int = 1) -> None:
        chance = random.Random(seed)
        self._intervals = itertools.cycle([chance.uniform(*_INTERVALS) for _ in range(9973)])
        self._noted: list[tuple[CodeType, int]] = []
        self._blows = False
        self.signals = 0
        self.landings: Counter[Place] = Counter()

    @contextmanager
    def blowing(self) -> Iterator[None]:
        """Fire signals during the body of the ``with`` statement."""
        before = signal.signal(signal.SIGALRM, self._handle)
        self._blows = True
        try:
            signal.setitimer(signal.ITIMER_REAL, next(self._intervals))
            yield
        finally:
            self._blows = False  # before the timer stops: a handler that runs later must not start it again
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._settle()

    def _handle(self, _: int, frame: FrameType | None) -> None:
        if frame is not None:
            self._note(frame)
        if self._blows:
            signal.setitimer(signal.ITIMER_REAL, next(self._intervals))

    def _note(self, frame: FrameType) -> None:
        self._noted.append((frame.f_code, frame.f_lasti))

    def _settle(self) -> None:
        self.signals += len(self._noted)
        for code, offset in self._noted:
            if in_scope(code.co_filename):
                self.landings[names(code), facts.landing(code, offset)] += 1
        self._noted.clear()


class Everywhere(Storm):
    """Records the innermost place of the workload for each signal, inverted (``~``) if the signal landed in code called from there."""

    def _note(self, frame: FrameType) -> None:
        workload = sibling("workload").__file__
        running: FrameType | None = frame
        while running is not None and running.f_code.co_filename != workload:
            running = running.f_back
        if running is not None:
            self._noted.append((running.f_code, running.f_lasti if running is frame else ~running.f_lasti))

    def _settle(self) -> None:
        self.signals += len(self._noted)
        for code, offset in self._noted:
            beyond = offset < 0
            place = facts.calling(code, ~offset) if beyond else facts.landing(code, offset)
            self.landings[names(code), ~place if beyond else place] += 1
        self._noted.clear()


def anywhere(tasks: Iterable[Task], signals: int, seconds: float = 600) -> Comparison:
    """Compare all landings of signals with a prediction whose scope is the workload alone."""
    workload = sibling("workload").__file__
    engine = choose()[0].engine
    prediction = Prediction()
    tasks = tuple(tasks)

    def record() -> None:
        for task in tasks:
            with engine.record(lambda file: file == workload, "checkpoint", outside=True) as recording:
                task()
            for hit in recording.hits:
                beyond = hit.kind in {"into", "back"}
                offset = facts.calling(hit.code, hit.offset)
                prediction.kinds[names(hit.code), ~offset if beyond else hit.offset] = hit.kind

    record()
    with cooling(code for code, _ in prediction.kinds) as cool:
        for _ in range(3):
            cool()
            record()
            record()
        blow = Everywhere()
        end = time.monotonic() + seconds
        rounds = 0
        while blow.signals < signals and time.monotonic() < end:
            if rounds % 8 == 0:
                cool()
            with blow.blowing():
                for task in tasks:
                    task()
            rounds += 1
            names.forget()
    return Comparison(prediction, blow.landings, blow.signals, rounds)


@dataclass
class Comparison:
    """The comparison of a prediction with the landings of real signals."""

    prediction: Prediction
    landings: Counter[Place]
    signals: int
    rounds: int = 0

    @property
    def in_scope(self) -> int:
        """The number of landings in scope."""
        return self.landings.total()

    @property
    def missed(self) -> Counter[Place]:
        """Landings at places that were not predicted."""
        kinds = self.prediction.kinds
        return Counter({place: count for place, count in self.landings.items() if place not in kinds})

    @property
    def share(self) -> float:
        """The share of landings in scope that were at predicted places."""
        return 1 - self.missed.total() / max(1, self.in_scope)

    @property
    def silent(self) -> list[tuple[Place, int]]:
        """Predicted places that ran often and saw no signal, with the number of executions."""
        executed = ((place, int(self.prediction.per_round(place) * self.rounds)) for place in self.prediction.kinds)
        found = [(place, times) for place, times in executed if times >= _OFTEN and not self.landings[place]]
        return sorted(found, key=lambda item: -item[1])

    @property
    def instructions(self) -> dict[str, tuple[int, int]]:
        """Executions and landings of all places, by kind and instruction."""
        executed, landed = Counter[str](), Counter[str]()
        for place, kind in self.prediction.kinds.items():
            name = f"{kind} {instruction_at(place)}"
            executed[name] += int(self.prediction.per_round(place) * self.rounds)
            landed[name] += self.landings[place]
        return {name: (executed[name], landed[name]) for name in executed}

    @property
    def invented(self) -> list[str]:
        """Instructions that ran often although none of their places saw a signal."""
        return [name for name, (executed, landed) in self.instructions.items() if executed >= _OFTEN and not landed]

    def reaches(self, goal: float = GOAL, deviations: float = 0) -> bool:
        """Return whether the share reaches the goal, less the given number of standard deviations for chance."""
        slack = deviations * (goal * (1 - goal) / max(1, self.in_scope)) ** 0.5
        return self.share >= goal - slack


def storm(
    tasks: Iterable[Task], prediction: Prediction, signals: int, seconds: float = 600, rare: Iterable[Task] = ()
) -> Comparison:
    """Run the tasks under signals, cold in every eighth round and warming up after it; run ``rare`` tasks in every fiftieth."""
    blow = Storm()
    end = time.monotonic() + seconds
    rounds = 0
    with cooling(code for code, _ in prediction.kinds) as cool:
        while blow.signals < signals and time.monotonic() < end:
            if rounds % 8 == 0:
                cool()
            with blow.blowing():
                for task in tasks:
                    task()
                if rounds % 50 == 0:
                    for task in rare:
                        task()
            rounds += 1
            names.forget()
    return Comparison(prediction, blow.landings, blow.signals, rounds)


# --- constructs ------------------------------------------------------------------------------------------------------


@dataclass
class Construct:
    """The result for one construct: instructions that were hit but not predicted, and those that were predicted but never hit."""

    source: str
    missed: Counter[str]
    invented: set[str]
    landings: int


@cache
def _instructions(code: CodeType) -> dict[int, str]:
    return {instruction.offset: instruction.opname for instruction in dis.get_instructions(code)}


def construct(source: str, seconds: float) -> Construct:
    """Predict the places of one construct, and fire signals at it in a loop and in cold code."""
    make, workload = sibling("constructs").make, sibling("workload")
    looped, straight = make(source, workload, 1, True), make(source, workload, 30, False)
    codes = {function.__code__ for function in (looped, straight)}
    first, frozen = names(looped.__code__), marshal.dumps(straight.__code__)
    prediction = Prediction()
    for function in (looped, straight):
        for _ in range(3):
            record(prediction, lambda run=function: run((1,) * 5))
    blow = Storm()
    often = (1,) * 500
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with blow.blowing():
            looped(often)
    middle = time.monotonic() + seconds
    while time.monotonic() < middle:
        fresh = [
            FunctionType(marshal.loads(frozen), straight.__globals__, "f", straight.__defaults__) for _ in range(30)
        ]
        with blow.blowing():
            for function in fresh:
                function(often)
        del fresh
    names.forget()
    own = {names(code) for code in codes}
    ending = max(offset for code, offset in prediction.kinds if code is first)  # the jump of the loop itself
    kinds = {place: kind for place, kind in prediction.kinds.items() if place[0] in own}
    landed = {place: count for place, count in blow.landings.items() if place[0] in own}
    shown = {code: _instructions(code) for code in own}
    missed: Counter[str] = Counter()
    for place, count in landed.items():
        if place not in kinds:
            missed[shown[place[0]][place[1]]] += count
    # A place in the loop and its copies in the straight code are one instruction: a hit at any of them is enough.
    hit = {_shape(place, shown) for place in landed}
    asked = (place for place, kind in kinds.items() if kind != "entry" and place != (first, ending))
    invented = {_shape(place, shown) for place in asked} - hit
    return Construct(source, missed, invented, sum(landed.values()))


def _shape(place: Place, shown: dict[CodeType, dict[int, str]]) -> str:
    """Name an instruction of a construct by its operation and its position in the source line."""
    code, offset = place
    instruction = next(each for each in dis.get_instructions(code) if each.offset == offset)
    position = instruction.positions
    before = shown[code].get(offset - facts.CODE_UNIT, "")
    column = position.col_offset if position is not None else None
    return f"{shown[code][offset]} at column {column}" + (" after LOAD_SPECIAL" if before == "LOAD_SPECIAL" else "")


# --- injection -------------------------------------------------------------------------------------------------------


@dataclass
class Injections:
    """The number of strikes, how many surfaced exactly where predicted, and a description of the others."""

    total: int = 0
    exact: int = 0
    others: list[str] = field(default_factory=list)


def _surfaced(error: BaseException | None) -> Place | None:
    place = None
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        if in_scope(trace.tb_frame.f_code.co_filename):
            place = (trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    return place


@contextmanager
def interrupts() -> Iterator[list[BaseException]]:
    """Collect the interrupts that finalizers swallow."""
    seen: list[BaseException] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda swallowed: seen.append(swallowed.exc_value)
    try:
        yield seen
    finally:
        sys.unraisablehook = before


def inject(task: Task, limit: int | None = None, step: int = 1) -> Injections:
    """Strike every ``step``-th predicted hit of ``task`` in the workload, and check where the interrupts surface."""
    engine = choose()[0].engine
    workload = sibling("workload").__file__
    result = Injections()
    for _ in range(3):
        task()
    with engine.record(lambda file: file == workload, "checkpoint") as recording:
        task()
    for hit in recording.hits[:limit:step]:
        result.total += 1
        with (
            interrupts() as seen,
            engine.strike(hit.trigger, in_scope, "checkpoint", signal.SIGINT, lambda: None) as strike,
        ):
            try:
                task()
            except KeyboardInterrupt as interrupt:
                seen.append(interrupt)
        place = _surfaced(seen[0] if seen else None)
        if strike.fired and place is not None and place[0] == hit.code and facts.landing(*place) == hit.offset:
            result.exact += 1
        else:
            where = "did not surface" if place is None else f"at {describe(place)}"
            result.others.append(f"{hit.kind} {describe((hit.code, hit.offset))} #{hit.number}: {where}")
    return result


# --- reports ---------------------------------------------------------------------------------------------------------


def instruction_at(place: Place) -> str:
    """Return the name of the instruction at a place."""
    return _instructions(place[0]).get(place[1], "?")


def describe(place: Place) -> str:
    """Return a description of a place: its file, line, function, offset and instruction."""
    code, offset = place
    file = Path(code.co_filename).name
    return f"{file}:{line_of(code, offset)} {code.co_qualname}+{offset} {instruction_at(place)}"


def _report(comparison: Comparison) -> None:
    print(
        f"signals {comparison.signals}, rounds {comparison.rounds}, in scope {comparison.in_scope}, "
        f"predicted {comparison.share:.4%} of landings; places: {len(comparison.prediction.kinds)} predicted, "
        f"{len(comparison.landings)} hit, {len(comparison.missed)} hit but not predicted"
    )
    for place, count in comparison.missed.most_common():
        print(f"  missed {count:6} {describe(place)}")
    for name, (executed, landed) in sorted(comparison.instructions.items()):
        print(f"  {name:35} {executed:8} executions {landed:8} landings")
    print(f"invented instructions: {comparison.invented}")
    silent = comparison.silent
    groups = Counter(f"{comparison.prediction.kinds[place]} {instruction_at(place)}" for place, _ in silent)
    print(f"silent places that ran {_OFTEN} times or more: {len(silent)} {dict(groups)}")
    for place, times in silent[:25]:
        print(f"  silent {times:6} executions {comparison.prediction.kinds[place]} {describe(place)}")


def main() -> int:
    """Run the experiment; return 0 if the goals were reached, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--signals", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=300, help="at most so long for the storm")
    parser.add_argument(
        "--construct-seconds", type=float, default=0.25, help="so long for each construct, warm and cold"
    )
    parser.add_argument("--only", choices=("storm", "constructs", "injection", "anywhere"))
    options = parser.parse_args()
    workload = sibling("workload")
    tasks = (*workload.DETERMINISTIC * 5, *workload.BROAD)
    good = True
    print(f"CPython {sys.version.split()[0]}, {choose()[0].engine.name}")
    if options.only in {None, "storm"}:
        prediction = predict((*workload.DETERMINISTIC, *workload.BROAD), rare=workload.SLOW)
        comparison = storm(tasks, prediction, options.signals, options.seconds, rare=workload.SLOW)
        _report(comparison)
        good &= comparison.reaches() and not comparison.invented
    if options.only in {None, "constructs"}:
        constructs = sibling("constructs").CONSTRUCTS
        for source in constructs:
            found = construct(source, options.construct_seconds)
            if found.missed or found.invented:
                good = False
                print(f"  construct {source!r}: missed {dict(found.missed)}, never hit {sorted(found.invented)}")
        print(f"constructs {len(constructs)}")
    if options.only in {None, "injection"}:
        injections = [inject(task) for task in workload.DETERMINISTIC]
        exact, total = sum(each.exact for each in injections), sum(each.total for each in injections)
        good &= exact == total
        print(f"injections {exact} exact of {total}")
        for other in (other for each in injections for other in each.others):
            print(f"  {other}")
    if options.only in {None, "anywhere"}:
        comparison = anywhere(tasks, options.signals, options.seconds)
        beyond = sum(count for (_, offset), count in comparison.landings.items() if offset < 0)
        good &= comparison.reaches()
        print(
            f"anywhere: signals {comparison.signals}, out of scope {beyond}, "
            f"with a place that means the same {comparison.share:.4%}"
        )
        for (code, offset), count in comparison.missed.most_common(25):
            print(f"  missed {count:6} {'in a call at ' if offset < 0 else ''}{describe((code, max(offset, ~offset)))}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
