"""What ``unusable`` reports: where the next run failed, and how the state left by the interrupt differs from an uninterrupted run's."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_maskcheck.runs import fingerprint

STORE = """
STATE = {"open": 0}
SEEN = []

class Store:
    total = 0

    def __init__(self):
        self.items = {}

STORE = Store()

def get():
    assert not STATE["open"], "still open"
    SEEN.append(len(SEEN))
    STATE["open"] = 1
    len("x")
    STATE["open"] = 0

def put():
    if "half" in STORE.items:
        raise KeyError("half")
    STORE.items["half"] = []
    len("x")
    del STORE.items["half"]

def count():
    if Store.total:
        raise ValueError("total")
    Store.total += 1
    len("x")
    Store.total -= 1
"""

PROGRAMS = {
    "dict": (
        "store.get()",
        "the next run of the test raised AssertionError: still open",
        "in get; ",
        "store.STATE['open'] is 1, after an uninterrupted run it is 0",
    ),
    "instance": (
        "store.put()",
        "raised KeyError: 'half'",
        "in put; ",
        "store.STORE.items['half'] is a list of 0, after an uninterrupted run it is not there",
    ),
    "class": (
        "store.count()",
        "raised ValueError: total",
        "in count; ",
        "store.Store.total is 1, after an uninterrupted run it is 0",
    ),
    "hidden": (
        "path = '/proc/self/comm'\n    assert open(path).read() != 'x\\n'\n    open(path, 'w').write('x')\n    len('x')\n    open(path, 'w').write('y')",
        "raised AssertionError",
        "in test_it",
        "",
    ),
}


@pytest.fixture(scope="module")
def audits(audit_together):
    """The audits of all programs."""
    sources = {
        name: f"import pytest, store\n\n@pytest.mark.interrupt_safe\ndef test_it():\n    {body}\n"
        for name, (body, *_) in PROGRAMS.items()
    }
    return audit_together(sources, {"store.py": STORE, "conftest.py": "import sys; sys.path.insert(0, '.')"})


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_names_where_the_next_run_failed_and_what_differs(audits, name):
    """The report names the place where the next run failed and the state that differs, but not state that varies anyway (``SEEN``)."""
    _, how, where, differs = PROGRAMS[name]
    (defect,) = (defect for defect in audits[name].failures if defect.verdict == "unusable")
    assert how in defect.detail
    assert where in defect.detail
    _, _, told = defect.detail.partition("differs: ")
    assert told == differs


KEPT = """
import collections, enum, threading
from functools import lru_cache

class Colour(enum.Enum):
    RED = 1

class Slotted:
    __slots__ = ("left",)
    def __init__(self):
        self.left = [1]

class Counted(dict):
    def __len__(self):
        raise RuntimeError("the user's own code")
    __repr__ = items = __len__

def memo():
    cache = {}
    def remembered():
        return cache
    return remembered

LOCK, AGAIN = threading.Lock(), threading.RLock()
MANY = list(range(1000))
SLOTTED, COUNTED, REMEMBERED = Slotted(), Counted(a=1), memo()
COLOUR, NAMES, LATEST, LOOP = Colour.RED, {"a"}, collections.deque([1]), []
LOOP.append(LOOP)
OTHER = object()

@lru_cache
def cached(number):
    return number
"""


DIGEST = f"{hash(tuple((object.__hash__(int), item) for item in [*range(1000), 1])) & 0xFFFFFFFF:08x}"


@pytest.fixture
def kept(module_of):
    """The module ``kept``, which is in scope of ``look``."""
    return module_of(KEPT)


def look() -> fingerprint.Fingerprint:
    """Return the fingerprint of the module ``kept``."""
    return fingerprint.Fingerprints(lambda name: name == "kept.py").take()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("LOCK.acquire()", "kept.LOCK is a lock, locked, after an uninterrupted run it is a lock, unlocked"),
        ("AGAIN.acquire()", "kept.AGAIN is a RLock, locked, after an uninterrupted run it is a RLock, unlocked"),
        (
            "MANY.append(1)",
            f"kept.MANY is a list of 1001 with digest {DIGEST}, after an uninterrupted run it is a list of 1000",
        ),
        ("MANY[999] = None", "kept.MANY[999] is None, after an uninterrupted run it is 999"),
        ("SLOTTED.left[0] = 2", "kept.SLOTTED.left[0] is 2, after an uninterrupted run it is 1"),
        ("SLOTTED.left = None", "kept.SLOTTED.left is None, after an uninterrupted run it is a list of 1"),
        ("del SLOTTED.left", "kept.SLOTTED.left is not there, after an uninterrupted run it is a list of 1"),
        (
            "dict.update(COUNTED, b={'c': 1})",
            "kept.COUNTED['b'] is a dict of 1, after an uninterrupted run it is not there",
        ),
        ("REMEMBERED()['a'] = 1", "kept.REMEMBERED.<cache>['a'] is 1, after an uninterrupted run it is not there"),
        ("COLOUR = None", "kept.COLOUR is None, after an uninterrupted run it is a Colour RED"),
        ("NAMES.clear()", "kept.NAMES['a'] is not there, after an uninterrupted run it is True"),
        ("LATEST.append(2)", "kept.LATEST[1] is 2, after an uninterrupted run it is not there"),
        (
            "cached(1)",
            "kept.cached is a _lru_cache_wrapper of 1, after an uninterrupted run it is a _lru_cache_wrapper of 0",
        ),
        ("OTHER = object()", ""),
        ("import os", ""),
    ],
    ids=lambda value: value.partition(" with digest")[0],
)
def test_a_fingerprint_sees(kept, change, told):
    """Each change is reported once, by the deepest name; state that cannot be read is not reported."""
    before = look()
    exec(change, vars(kept))
    assert fingerprint.differences(look(), before, before) == told


def test_what_varies_is_not_named(kept):
    """A value that two uninterrupted runs leave differently is not named."""
    first = look()
    kept.COLOUR = 1
    second = look()
    kept.COLOUR = 2
    assert fingerprint.differences(look(), first, second) == ""


def test_five_differences_are_named(kept):
    """Five differences are named, and the others are counted."""
    before = look()
    for number in range(7):
        setattr(kept, f"NEW{number}", number)
    told = fingerprint.differences(look(), before, before)
    assert told.count("; kept.NEW") == 4
    assert told.endswith("; and 2 more")


LATER = """
import pytest

KEPT = []

def first():
    KEPT.append(1)
    len("x")
    KEPT.pop()

def second():
    for each in "abcdefgh":
        len(each)

def third():
    assert not KEPT, "kept"

@pytest.mark.interrupt_safe(strategy="{strategy}")
def test_it():
    first()
    second()
    {last}
"""


@pytest.mark.parametrize("strategy", ["rerun", "snapshot"])
@pytest.mark.parametrize("last", ["third()", "third(); len('y')"])
def test_what_fails_only_later_is_found_where_it_was_caused(audit, strategy, last):
    """The point that broke the state is blamed, though runs in between end at their own points before they can fail."""
    audited = audit(LATER.format(strategy=strategy, last=last)).audit
    assert audited.strategy.startswith(strategy)
    (defect,) = audited.failures
    assert defect.verdict == "unusable"
    assert {point.function for point in defect.points} == {"first"}
    assert {point.line for point in defect.points} == {6, 7}
    assert "the next run of the test raised AssertionError: kept" in defect.detail
    assert not any("not so in a clean process" in result.note for result in audited.results)


HALF = """
import os
import pytest

HALF = []

def switch():
    assert not HALF, "half"
    os.environ["SWITCHED"] = "on"
    HALF.append(1)
    len("x")
    HALF.clear()
    del os.environ["SWITCHED"]

@pytest.mark.interrupt_safe{settings}
def test_it():
    switch()
"""


def test_what_breaks_all_further_runs_need_not_be_seen_twice(audit):
    """Without isolation, a point that broke the test has its findings, though no second run reaches it to confirm them."""
    alone = audit(HALF.format(settings="(isolation='none')")).audit
    broken = [result for result in alone.results if "unusable" in {finding.verdict for finding in result.findings}]
    assert [{finding.kind for finding in result.findings} for result in broken] == [{"environ", "test"}]
    assert not any(result.varies for result in alone.results)
    assert any("since the interrupt at" in result.reason for result in alone.results)


def test_a_reproduction_that_breaks_the_test_reproduces(audit):
    """A point that breaks the test has the same findings when it is reproduced in the session's process."""
    forked = audit(HALF.format(settings="")).audit
    point = next(point for defect in forked.failures for point in defect.points if point.line == 10).id
    alone = audit(HALF.format(settings=""), f"--maskcheck-point={point}").audit
    assert {"environ"} < {finding.kind for result in alone.results for finding in result.findings}
    assert not any(result.reason for result in alone.results)


def test_code_that_stays_usable_is_not_blamed(audit):
    """Neither one point nor several are blamed for state that accumulates but breaks nothing."""
    source = LATER.format(strategy="rerun", last="third()").replace("assert not KEPT", "assert len(KEPT) >= 0")
    audited = audit(source).audit
    assert not audited.failures
    assert not any(result.note for result in audited.results)


def test_what_fails_only_later_is_found_behind_other_defects(audit):
    """A defect that ends the process does not hide what earlier points left in it."""
    source = LATER.format(strategy="rerun", last="leak(); leak(); third()") + dedent(
        """
        def leak():
            handle = open(__file__)
            HANDLES.append(handle)
            len("z")
            HANDLES.pop()
            handle.close()

        HANDLES = []
        """
    )
    audited = audit(source).audit
    assert {defect.verdict for defect in audited.failures} == {"leak", "unusable"}
    (unusable,) = (defect for defect in audited.failures if defect.verdict == "unusable")
    assert {point.line for point in unusable.points} == {6, 7}


CLOCK = """
    import time

    import _pytest.timing
    import pytest

    REAL = time.perf_counter
    CLOCKS = [REAL]

    def fake():
        return CLOCKS[-1]()

    def patched():
        before = _pytest.timing.perf_counter
        _pytest.timing.perf_counter = fake
        CLOCKS.pop()
        CLOCKS.append(REAL)
        _pytest.timing.perf_counter = before

    @pytest.mark.interrupt_safe
    def test_it():
        patched()
"""


def test_where_pytest_failed_is_told(pytester, audit):
    """If state left by the interrupt makes code that pytest calls raise, the report names the place in that code."""
    pytester.makeconftest("def pytest_runtest_setup(item): pass")  # so runs have pytest's whole protocol
    audited = audit(CLOCK)
    titles = [defect.key for defect in audited.audit.failures if defect.key.startswith("pytest failed: ")]
    assert any(title.startswith("pytest failed: IndexError: list index out of range, at ") for title in titles)
    assert all(title.endswith(" in fake") for title in titles)
