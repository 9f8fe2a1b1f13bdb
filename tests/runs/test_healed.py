"""Each point is judged by itself: damage that a later run would undo is found by comparing modules and by a whole run that follows."""

from __future__ import annotations

import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import types
from contextlib import ExitStack
from textwrap import dedent

import pytest

from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.results import Audit, Point
from pytest_maskcheck.runs import fingerprint
from pytest_maskcheck.runs.fixture_channels import FixtureChannels
from pytest_maskcheck.runs.fork_sharing import HAS_PROC
from pytest_maskcheck.runs.forked import Forked
from pytest_maskcheck.runs.module_state import ModuleState
from pytest_maskcheck.runs.requests import Conditions, RunResult
from pytest_maskcheck.system import descendants

KEPT = """
import collections, functools, itertools, threading, weakref

class Door:
    shared = False
    slammed = []

    def __init__(self):
        self.open = False

    def flip(self):
        self.open = not self.open

    @staticmethod
    def count(*, seen={"times": 0}):
        seen["times"] += 1

class Slotted:
    __slots__ = ("open",)
    def __init__(self):
        self.open = False

class Meta(type):
    def __eq__(cls, other):
        raise RuntimeError("the user's own code")
    __hash__ = __repr__ = __eq__

class Odd(metaclass=Meta):
    def __eq__(self, other):
        raise RuntimeError("the user's own code")
    __hash__ = __len__ = __repr__ = __eq__

def make():
    state = False
    def flip():
        nonlocal state
        state = not state
    return flip

def default(state=[False]):
    state[0] = not state[0]

def numbers():
    yield 1
    yield 2

DOOR, SLOTTED, ODD, FLIP = Door(), Slotted(), Odd(), make()
DEEP, MANY, BYTES = {"a": [Door()]}, [0] * 1000, bytearray(b"abc")
TURNS, COUNT, LEFT, NUMBERS = collections.deque("ab"), itertools.count(), iter([1, 2]), numbers()
PART, BOUND, LOCK, NAMES = functools.partial(default, [1]), Door().flip, threading.Lock(), {"a"}
STATE = {"open": False, "runs": 0}
SEEN, RUNS = [], 0
next(NUMBERS)
"""

CHANGES = [
    "DOOR.flip()",
    "DOOR.new = 1",
    "del DOOR.open",
    "SLOTTED.open = True",
    "Door.shared = True",
    "Door.slammed.append(1)",
    "Door.count()",
    "FLIP()",
    "default()",
    "DEEP['a'][0].flip()",
    "MANY[500] = 1",
    "MANY.append(0)",
    "BYTES[0] = 0",
    "TURNS.rotate()",
    "next(COUNT)",
    "next(LEFT)",
    "next(NUMBERS)",
    "PART.args[0][0] = 2",
    "BOUND()",
    "LOCK.acquire()",
    "NAMES.add('b')",
    "STATE['open'] = True",
    "del STATE['runs']; STATE['walks'] = 0",
    "default = make()",
    "NEW = 1",
    "ODD = 1",
]

RENEWED = [
    "pass",
    "DOOR = Door()",
    "SLOTTED = Slotted()",
    "STATE = {'open': False, 'runs': 0}",
    "MANY = [0] * 1000",
    "TURNS = collections.deque('ab')",
    "FLIP = make()",
    "LOCK.acquire(); LOCK.release()",
    "FLIP(); FLIP()",
]


@pytest.fixture
def kept(module_of):
    """Return a module in scope."""
    return module_of(KEPT)


@pytest.fixture
def usual(kept):
    """Return the state that the module has after an uninterrupted run."""
    usual = ModuleState(fingerprint.Fingerprints(lambda name: name == "kept.py"))
    usual.take()
    return usual


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_as_quickly_as_by_a_fingerprint(kept, usual, change):
    """The quick comparison and the fingerprint both detect each change, without running code of the user's objects."""
    before = usual.fingerprints.take()
    assert usual.holds()
    exec(change, vars(kept))
    assert not usual.holds()
    assert fingerprint.differences(usual.fingerprints.take(), before)


@pytest.mark.parametrize("change", RENEWED)
def test_what_is_equal_is_usual(kept, usual, change):
    """Equal state counts as unchanged, even if its objects are new ones."""
    exec(change, vars(kept))
    assert usual.holds()


def test_what_is_dropped_is_not_kept_alive(kept, usual):
    """The comparison keeps no object alive, since that would look like a leftover of the run that dropped it."""
    dropped = kept.weakref.ref(kept.DOOR)
    assert usual.holds()
    kept.DOOR = kept.Door()
    assert dropped() is None


def run_of(kept):
    """Return a function that makes an uninterrupted run, where some state differs each time."""
    numbers = itertools.count()

    def run():
        number = next(numbers)
        kept.SEEN.append(number)
        kept.RUNS += 1
        kept.STATE["runs"] += 1
        kept.STATE[f"run {number}"] = []
        kept.DOOR.latest = f"run {number}"
        kept.Door.runs = number
        next(kept.COUNT)

    return run


def test_what_varies_is_usual(kept, usual):
    """State that differs between uninterrupted runs is ignored in every later comparison."""
    run = run_of(kept)
    run()
    usual.learn(run)
    for _ in range(3):
        run()
        assert usual.holds()


@pytest.mark.parametrize(
    "change",
    ["STATE['open'] = True", "DOOR.flip()", "Door.shared = True", "MANY[3] = 1", "FLIP()", "SLOTTED.open = 1"],
)
def test_what_is_beside_that_which_varies_is_still_seen(kept, usual, change):
    """Entries beside one that varies, in the same dictionary, instance, class or module, are still compared."""
    run = run_of(kept)
    run()
    usual.learn(run)
    exec(change, vars(kept))
    assert not usual.holds()


def test_modules_that_the_test_has_nothing_to_do_with_are_left_out(kept, usual):
    """Only modules whose code the test ran, and modules without code, are compared."""
    far = ModuleState(usual.fingerprints, lambda _: False)
    far.take()
    kept.DOOR.flip()
    assert far.holds()
    assert not usual.holds()


@pytest.fixture
def away(monkeypatch):
    """Return a module out of scope."""
    away = types.ModuleType("away")
    away.__file__ = "/lib/away.py"
    monkeypatch.setitem(sys.modules, "away", away)
    away.function, away.LARGE = len, [0] * 1001
    away.STATE, away.ITEMS, away.NAMES, away.DOOR = {"busy": False}, [1], {1}, types.SimpleNamespace(open=False)
    return away


@pytest.fixture
def touched(usual, away):
    """Return the state of modules for a test that ran code of the module out of scope."""
    touched = ModuleState(usual.fingerprints, has_run=lambda file: file == "/lib/away.py")
    touched.take()
    return touched


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("away.function = max", True),
        ("away.new = 1", True),
        ("away.STATE['busy'] = True", True),
        ("away.STATE['new'] = True", True),
        ("away.ITEMS.append(2)", True),
        ("away.ITEMS[0] = 2", True),
        ("away.NAMES.add(2)", True),
        ("away.DOOR.open = True", True),
        ("away.DOOR = types.SimpleNamespace(open=False)", True),
        ("away.STATE = None", True),
        ("away.LARGE.append(1)", False),
        ("away.STATE.update(busy=False)", False),
        ("away.ITEMS.append(2); away.ITEMS.pop()", False),
    ],
)
def test_what_modules_out_of_scope_keep_is_looked_at(touched, away, change, seen):
    """Of a module out of scope, the objects that its names refer to are compared, which shows a monkeypatch, and their contents."""
    assert touched.holds()
    exec(change)
    assert touched.holds() != seen


def test_of_modules_that_others_refer_to_the_names_count(usual, away, kept):
    """Of a module that another one refers to, only the names are compared, since the rest would take too long."""
    kept.away = away
    usual.take()
    away.STATE["busy"] = True
    assert usual.holds()
    away.function = max
    assert not usual.holds()


def test_odd_modules_are_looked_at_without_running_their_code(usual, monkeypatch):
    """Objects in ``sys.modules`` that are not modules are compared without running their code."""

    class Lazy:
        __file__ = "/lib/odd.py"

        def __getattribute__(self, name):
            raise RuntimeError(name)

    odd = types.ModuleType("odd")
    odd.__file__ = "/lib/odd.py"
    vars(odd).update({1: [], "__name__": None, "state": []})
    for number, module in enumerate([None, Lazy(), object(), odd]):
        monkeypatch.setitem(sys.modules, f"odd{number}", module)
    touched = ModuleState(
        usual.fingerprints, has_run=lambda file: file == "/lib/odd.py", words=lambda: ["odd0", "odd1", "odd2"]
    )
    touched.take()
    assert touched.holds()
    odd.state.append(1)
    assert not touched.holds()


@pytest.mark.parametrize(
    ("has_run", "words", "looked_at"),
    [
        ("/lib/away.py", (), True),
        ("<frozen away>", (), True),
        ("", ("x", "away.function"), True),
        ("/lib/refers.py", (), True),
        ("/lib/other.py", ("y", "function"), False),
    ],
)
def test_modules_out_of_scope_that_the_test_does_not_touch_are_left_out(usual, monkeypatch, has_run, words, looked_at):
    """Only modules whose code the test ran, that code in scope names, or that one of these refers to, are compared."""
    for name in ("away", "refers"):
        module = types.ModuleType(name)
        module.__file__ = f"/lib/{name}.py"
        monkeypatch.setitem(sys.modules, name, module)
    away, refers = sys.modules["away"], sys.modules["refers"]
    away.function, refers.away = len, away
    chosen = ModuleState(usual.fingerprints, has_run=lambda file: file == has_run, words=lambda: words)
    chosen.take()
    assert chosen.holds()
    away.function = max
    assert chosen.holds() != looked_at


@pytest.mark.parametrize(("words", "looked_at"), [((), False), (("away.function",), True)])
def test_modules_of_plugins_count_only_where_code_in_scope_names_them(usual, away, words, looked_at):
    """Code of a plugin of pytest runs in every test: that is no sign that the test has to do with its modules."""
    chosen = ModuleState(
        usual.fingerprints,
        has_run=lambda file: file == "/lib/away.py",
        words=lambda: words,
        plugins=frozenset({"away"}),
    )
    chosen.take()
    assert chosen.holds()
    away.function = max
    assert chosen.holds() != looked_at


@pytest.mark.parametrize(
    ("varies", "hidden", "seen"),
    [
        ("away.last = object()", ["away.function = max"], ["other.function = max", "away.STATE['busy'] = True"]),
        ("away.STATE['last'] = object()", ["away.ITEMS.append(1)"], ["other.function = max", "away.function = max"]),
    ],
)
def test_what_varies_out_of_scope_is_usual(usual, away, monkeypatch, *, varies, hidden, seen):
    """If the names of a module out of scope vary, or its deeper state, that part of it is ignored and the rest is still compared."""
    monkeypatch.setitem(sys.modules, "other", other := types.ModuleType("other"))
    other.function = len
    touched = ModuleState(usual.fingerprints, has_run=lambda file: file == "/lib/away.py", words=lambda: ["other"])
    touched.take()
    exec(varies)
    touched.learn(lambda: exec(varies, {"away": away}))
    exec(varies)
    assert touched.holds()
    for change in hidden:
        exec(change)
        assert touched.holds()
    for change in seen:
        exec(change)
        assert not touched.holds()
        touched.take()


@pytest.mark.parametrize(("size", "name"), [(10_000, ""), (10_001, "kept.MANY")])
def test_what_is_too_large_to_compare_is_named(kept, usual, size, name):
    """A container that is too large to compare is left out and named, and the rest is still compared."""
    kept.MANY = [0] * size
    usual.take()
    assert usual.beyond == name
    kept.MANY[5] = 1
    assert usual.holds() is bool(name)
    kept.DOOR.flip()
    assert not usual.holds()


def test_what_cannot_be_compared_is_named(kept, usual):
    """An object whose state cannot be compared is named, so that a whole run can follow each point."""
    assert not usual.unseen
    kept.TURN = itertools.cycle("ab")
    usual.take()
    assert usual.unseen == "kept.TURN"


PREAMBLE = """
    import itertools, mimetypes, os, pathlib, socket, sqlite3, subprocess, sys, threading
    import pytest

    class Door:
        open = False

    DOOR, STEP, ERRORS, CACHE, TURNS = Door(), "", 0, {}, itertools.cycle("ab")

    def flip(door):
        door.open = not door.open

    def toggle(door):
        flip(door)
        len("x")
        flip(door)
        assert not door.open

    def toggle_elsewhere():
        doors = mimetypes.types_map
        doors[".door"] = not doors.get(".door")
        len("x")
        doors[".door"] = not doors.get(".door")
        assert not doors[".door"]

    def patched():
        saved, os.getppid = os.getppid, lambda: 0
        assert os.getppid() == 0
        len("x")
        os.getppid = saved
        assert os.getppid() != 0

    def slam(database):
        database.execute("update doors set open = 1 - open")

    def ask(line, word):
        line[1](word)
        assert line[0]() == word.upper()

    def serve(read, write):
        while word := read():
            write(word.upper())

    @pytest.fixture(scope="module")
    def door():
        return Door()

    @pytest.fixture(scope="module")
    def pipes():
        to, back = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            os.close(to[1])
            os.close(back[0])
            serve(lambda: os.read(to[0], 1), lambda word: os.write(back[1], word))
            os._exit(0)
        os.close(to[0])
        os.close(back[1])
        try:
            yield lambda: os.read(back[0], 1), lambda word: os.write(to[1], word)
        finally:
            os.close(back[0])
            os.close(to[1])
            os.waitpid(child, 0)

    @pytest.fixture(scope="module")
    def line(pipes):
        return pipes

    @pytest.fixture(scope="module")
    def thread():
        ours, theirs = socket.socketpair()
        server = threading.Thread(target=serve, args=(lambda: theirs.recv(1), theirs.send))
        server.start()
        yield lambda: ours.recv(1), ours.send
        ours.close()
        server.join()
        theirs.close()

    @pytest.fixture(scope="module")
    def only_one():
        path = pathlib.Path(__file__ + ".lock")
        path.touch(exist_ok=False)
        ours, theirs = socket.socketpair()
        child = os.fork()
        if not child:
            ours.close()
            serve(lambda: theirs.recv(1), theirs.send)
            os._exit(0)
        theirs.close()
        yield lambda: ours.recv(1), ours.send
        ours.close()
        os.waitpid(child, 0)
        path.unlink()

    @pytest.fixture(scope="module")
    def database():
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute("create table doors (open)")
        connection.execute("insert into doors values (0)")
        yield connection
        connection.close()

    @pytest.fixture(scope="session")
    def sleeper():
        with subprocess.Popen(["sleep", "60"]) as child:
            yield child
            child.kill()

"""

BROKEN = {
    "module": ("", "toggle(DOOR)", {"strategy": "rerun"}),
    "module_by_snapshots": ("", "toggle(DOOR)", {"strategy": "snapshot"}),
    "patch": ("", "patched()", {"strategy": "rerun"}),
    "patch_by_snapshots": ("", "patched()", {"strategy": "snapshot"}),
    "elsewhere": ("", "toggle_elsewhere()", {"strategy": "rerun"}),
    "elsewhere_by_snapshots": ("", "toggle_elsewhere()", {"strategy": "snapshot"}),
    "module_here": ("", "toggle(DOOR)", {"isolation": "none"}),
    "fixture": ("door", "toggle(door)", {}),
    "unseen": ("", "next(TURNS); len('x'); assert next(TURNS) == 'b'", {}),
    "database": (
        "database",
        "slam(database); len('x'); slam(database); assert database.execute('select open from doors').fetchone() == (0,)",
        {},
    ),
    "pipes": ("line", "ask(line, b'a'); ask(line, b'b'); len('x')", {}),
    "thread": ("thread", "ask(thread, b'a'); ask(thread, b'b'); len('x')", {}),
    "only_one": ("only_one", "ask(only_one, b'a'); ask(only_one, b'b'); len('x')", {}),
}
"""Programs that an interrupt breaks: parameters and body of a test, and settings of its marker."""

SOUND = {
    "restored": ("", "try:\n    flip(DOOR)\n    len('x')\nfinally:\n    DOOR.open = False\nassert not DOOR.open", {}),
    "steps": ("", "global STEP\nfor STEP in 'abcdef':\n    len(STEP)\nSTEP = 'done'", {}),
    "errors": (
        "",
        "global ERRORS\ntry:\n    for each in 'abcdef':\n        len(each)\nexcept BaseException:\n    ERRORS += 1\n    raise",
        {},
    ),
    "cache": ("", "CACHE[len(CACHE)] = []\nlen('x')\nlen('y')", {}),
    "channel": ("line, sleeper", "line[1](b'')\nlen('x')\nlen('y')", {}),
}


def written(arguments, body, settings):
    """Return a test file with one marked test."""
    marks = ", ".join(f"{name}={value!r}" for name, value in ({"hits": "all", "timeout": 5} | settings).items())
    head = f"\n@pytest.mark.interrupt_safe({marks})\ndef test_it({arguments}):\n"
    return dedent(PREAMBLE) + head + "".join(f"    {line}\n" for line in body.splitlines())


FORKS = """
import os

def note():
    with open("forks", "a") as file:
        file.write("fork\\n")

os.register_at_fork(after_in_child=note)
"""


@pytest.fixture(scope="module")
def broken(audit_together) -> dict[str, Audit]:
    """Return the audits of the programs that an interrupt breaks."""
    return audit_together({name: written(*program) for name, program in BROKEN.items()})


@pytest.fixture(scope="module")
def sound(audit_folder):
    """Return the audits of the programs that no interrupt breaks, and how many processes were forked for them."""
    files = {f"test_{name}.py": written(*program) for name, program in SOUND.items()}
    folder = audit_folder({**files, "conftest.py": FORKS})
    audits = {audit.test.partition(".")[0].removeprefix("test_"): audit for audit in folder.audits}
    return audits, len((folder.path / "forks").read_text().splitlines())


ALL_SHARE = {"module_here", "thread", "only_one"}
"""Programs whose runs share what an interrupt breaks, so that later points cannot be audited."""


@pytest.mark.parametrize("name", BROKEN)
def test_each_point_that_breaks_something_is_found(broken, name):
    """Every point that breaks something is found, whatever the next interrupted run does, unless all runs share it."""
    audit = broken[name]
    assert not audit.refused
    assert {defect.verdict for defect in audit.failures} == {"unusable"}
    found = {point.id for defect in audit.failures for point in defect.points}
    reasons = {result.reason for result in audit.results if result.reason}
    if name in ALL_SHARE:
        assert len(found) == 1
        (reason,) = reasons
        (point,) = found
        assert f"since the interrupt at {point}; all runs share" in reason
    else:
        assert len(found) > 1
        assert not reasons
        assert audit.audited == len(audit.points)


@pytest.mark.parametrize("name", ["module", "patch", "elsewhere"])
def test_rerun_and_snapshots_agree(broken, results_of, name):
    """Rerun and snapshots give the same result at each point."""
    assert broken[f"{name}_by_snapshots"].strategy.startswith("snapshot")
    by_rerun, by_snapshots = (
        {point.partition(":")[2]: result for point, result in results_of(broken[each]).items()}
        for each in (name, f"{name}_by_snapshots")
    )
    assert by_rerun == by_snapshots


def test_what_all_runs_share_is_named(broken):
    """The reason names what all runs share, and why a process cannot have its own."""
    reasons = {name: {result.reason for result in broken[name].results if result.reason} for name in ALL_SHARE}
    assert all("all runs share this process" in reason for reason in reasons["module_here"])
    assert all("all runs share what fixture thread opened" in reason for reason in reasons["thread"])
    assert all("all runs share what fixture only_one opened" in reason for reason in reasons["only_one"])
    assert all("with another one beside it the test setup of the test failed" in each for each in reasons["only_one"])


@pytest.mark.parametrize("name", SOUND)
def test_what_the_next_run_does_not_mind_is_no_finding(sound, name):
    """State that differs but does not disturb the next run, and a channel that stays in step, are not reported."""
    audits, _ = sound
    assert not audits[name].failures
    assert audits[name].audited == len(audits[name].points)


def test_state_that_nobody_minds_costs_no_processes(sound):
    """Points that break nothing cost no process each: there are an auditor, a worker and a few more for each test."""
    audits, forks = sound
    assert sum(len(audit.points) for audit in audits.values()) > 30
    assert forks < 25 + 3 * len(audits)


def test_a_reproduction_line_reproduces(broken, audit_folder):
    """The reproduction line of an unusable point finds it again: a point that is run alone is followed by the same check."""
    point = broken["pipes"].failures[0].points[0].id
    (alone,) = audit_folder({"test_pipes.py": written(*BROKEN["pipes"])}, f"--maskcheck-point={point}").audits
    assert [each.id for each in alone.points] == [point]
    assert {defect.verdict for defect in alone.failures} == {"unusable"}


class Renewing(Conditions):
    """Conditions under which each worker starts a child, which only that worker would end."""

    renewing = True

    def begin(self) -> None:
        subprocess.Popen(["sleep", "60"])


def made_by(usual, *passes):
    """Return the results of a worker for three points.

    Parameters:
        usual: whether modules are unchanged, for each time that the worker checks.
        passes: whether the whole run passes, for each whole run.
    """
    answers, outcomes = iter(usual), iter(passes)
    conditions = Conditions()
    conditions.is_usual = lambda: next(answers)  # type: ignore[method-assign]

    def run(request, struck):
        if request is not None:
            return RunResult(Strike(fired=True), detail=request.id)
        return RunResult(Strike(), whole=True, trouble="" if next(outcomes) else "failed")

    points = [Point(name, "a.py", "/a.py", 1, "call", 1, "f") for name in "abc"]
    return list(Forked(run, 10, conditions=conditions).runs([*points, None], lambda *_: False))


def test_a_whole_run_follows_where_something_is_unusual():
    """A whole run follows an interrupted one that changed modules; it is among the results only if it fails, as the last one."""
    assert [ran.detail for ran in made_by([True, True], True, True)] == ["a", "b", "c", ""]
    assert [ran.detail for ran in made_by([False, True, True], True, True, True)] == ["a", "b", "c", ""]
    followed = made_by([True, False], True, False)
    assert [ran.detail for ran in followed] == ["a", "b", ""]
    assert followed[-1].trouble == "failed"


def test_a_process_ends_where_something_stays_unusual():
    """A worker whose modules stay changed after a whole run ends, so that the next point gets a new process."""
    assert [ran.detail for ran in made_by([False, False], True, True)] == ["a"]


def test_a_process_that_does_not_begin_well_is_spoiled():
    """A worker whose first run fails is spoiled, and runs no points."""
    (ran,) = made_by([], False)
    assert ran.spoiled
    assert ran.trouble == "failed"


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc")
def test_children_of_a_worker_are_ended_after_it():
    """Processes that fixtures started in a worker are ended, even if the worker is ended early."""
    spawned: set[descendants.Process] = set()

    def run(request, struck):
        return RunResult(Strike(fired=request is not None))

    point = Point("a", "a.py", "/a.py", 1, "call", 1, "f")
    runs = Forked(run, 10, conditions=Renewing()).runs([point, None], lambda *_: False)
    next(runs)
    spawned |= set(runs.gi_yieldfrom.gi_frame.f_locals["grandchildren"])
    runs.close()
    assert len(spawned) == 1
    until = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{process.pid}") for process in spawned) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(_lives(process.pid) for process in spawned)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


ASKED = """
    import os
    from pytest_maskcheck.runs.module_state import ModuleState

    answers = os.open("answers", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    holds = ModuleState.holds

    def noted(self):
        answer = holds(self)
        os.write(answers, b"yes " if answer else b"no ")
        return answer

    ModuleState.holds = noted
"""

HALF_DONE = """
    import pytest

    def work():
        work.half_done = {unusual}
        for number in range(10):
            str(number)
        work.half_done = False

    @pytest.mark.interrupt_safe(strategy="{strategy}", hits="all")
    def test_it():
        work()
"""


@pytest.mark.parametrize("strategy", ["rerun", "snapshot"])
@pytest.mark.parametrize("unusual", [False, True])
def test_a_run_is_followed_where_something_is_unusual_only(audit, pytester, unusual, strategy):
    """A whole run follows a change that the test made, but not one that the audit's own imports made."""
    pytester.makeconftest(dedent(ASKED))
    audited = audit(HALF_DONE.format(unusual=unusual, strategy=strategy)).audit
    assert audited.strategy.startswith(strategy)
    answers = (pytester.path / "answers").read_text().split()
    assert len(answers) > len(audited.points) > 20
    assert (answers.count("no") > 10) == unusual
    assert unusual or answers.count("no") < 2


OWN_PLACE = """
    import pathlib
    import pytest

    def written(place):
        place.unlink(missing_ok=True)
        with place.open("w") as file:
            yield file
        place.unlink()

    @pytest.fixture(scope="session")
    def fixed():
        yield from written(pathlib.Path("fixed.txt"))

    @pytest.fixture(scope="session")
    def elsewhere(tmp_path_factory):
        yield from written(tmp_path_factory.mktemp("elsewhere") / "elsewhere.txt")

    @pytest.mark.interrupt_safe
    @pytest.mark.parametrize("name", ["fixed", "elsewhere"])
    def test_it(name, request, FIXTURES):
        file = request.getfixturevalue(name)
        assert file.write("text") == 4
        file.flush()

    def test_afterwards(fixed, elsewhere):
        assert pathlib.Path(fixed.name).exists()
        assert pathlib.Path(elsewhere.name).exists()
"""


def test_a_file_at_a_fixed_place_is_not_made_a_second_time(audit_folder):
    """A worker does not set up a fixture with a file at a fixed path again, since that would replace the session's file."""
    folder = audit_folder({"test_it.py": OWN_PLACE.replace("FIXTURES", "fixed, elsewhere")})
    assert "3 passed" in folder.output, folder.output
    assert all(audit.audited for audit in folder.audits)


class Places:
    """Paths where a fixture may open a file, below a directory of this test."""

    def __init__(self, path):
        self.path = path
        self.there = pathlib.Path(tempfile.mkdtemp(dir=path))
        self.numbered = path / "numbered"
        self.numbered.mkdir()

    def random_file(self):
        fd, name = tempfile.mkstemp(dir=self.path)
        os.close(fd)
        return pathlib.Path(name)

    def random_directory(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.path)) / "file"

    def numbered_directory(self):
        (self.numbered / "some0").mkdir()
        return self.numbered / "some0" / "file"

    def named_alike(self):
        return self.path / "tmpfixed_name"

    def within_a_directory_of_another_fixture(self):
        return self.there / "file"

    def within_a_directory_made_here(self):
        (self.path / "data").mkdir()
        return self.path / "data" / "file"

    def within_what_pytest_numbers(self):
        return self.numbered / "file"

    def within_a_directory_of_a_fixture_within(self):
        with FixtureChannels().watching():
            return pathlib.Path(tempfile.mkdtemp(dir=self.path)) / "file"


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", [name for name in vars(Places) if not name.startswith("_")])
def test_only_places_with_names_made_up_by_the_fixture_are_its_own(tmp_path, name, fixed):
    """A file counts as the fixture's own only if the fixture made up its name, so that a second set-up makes another file."""
    places = Places(tmp_path)
    opened = FixtureChannels(lambda: str(places.numbered))
    with opened.watching(), ExitStack() as stack:
        ours = name in {"random_file", "random_directory", "numbered_directory"}
        if fixed:
            stack.enter_context((tmp_path / "another").open("w"))
        stack.enter_context(getattr(places, name)().open("w"))
        assert opened.is_fixed() == (fixed or not ours)
