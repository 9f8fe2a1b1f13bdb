"""Modules are compared after each run: which changes are seen, and which state counts as usual."""

from __future__ import annotations

import itertools
import sys
import types

import pytest

from pytest_maskcheck.runs import fingerprint
from pytest_maskcheck.runs.module_state import ModuleState

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


@pytest.mark.parametrize("before", [None, {"version": 1}])
@pytest.mark.parametrize("where", ["kept", "away"])
def test_what_the_warnings_module_remembers_is_no_state_of_a_module(touched, kept, away, where, before):
    """A registry of warnings that a run changed or added is put back, and counts for nothing; other changes still count."""
    module = {"kept": kept, "away": away}[where]
    if before is not None:
        module.__warningregistry__ = {**before}
    touched.take()
    module.__warningregistry__ = {"version": 3, ("text", UserWarning, 7): True}
    assert touched.holds()
    assert where == "kept" or vars(module).get("__warningregistry__") == before
    module.__warningregistry__ = {"version": 3}
    module.__warningregistry__["version"] = 2
    assert touched.holds()
    module.__warningregistry__ = {"version": 4}
    module.other = 1
    assert not touched.holds()


def test_learning_needs_no_further_run_for_a_registry_of_warnings(touched, kept, away):
    """A registry that changes in each run is not learned as varying, which would take more runs."""
    touched.take()
    kept.__warningregistry__, away.__warningregistry__ = {"version": 1}, {"version": 1}
    touched.learn(lambda: pytest.fail("one more run"))
    away.function = max
    assert not touched.holds()
