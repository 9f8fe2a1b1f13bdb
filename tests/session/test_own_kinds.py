"""The hooks for other plugins: what implementations can add, and how those that fail are reported."""

from __future__ import annotations

import pytest

TEST = """
import pytest, pool
from contextlib import contextmanager

pytestmark = pytest.mark.interrupt_safe

def test_unsafe():
    name = pool.take("a")
    len("x")
    pool.give(name)

def test_safe():
    name = None
    try:
        name = pool.take("a")
    finally:
        pool.OUT.clear()

@pytest.mark.interrupt_safe(allow=["slot:slot a"])
def test_allowed():
    name = pool.take("a")
    pool.give(name)

def test_twice():
    pool.take("a")
    pool.take("a")
    pool.OUT.clear()
"""

POOL = """
OUT = []

def take(name):
    OUT.append(name)
    return name

def give(name):
    OUT.remove(name)
"""

GOOD = """
import sys
from contextlib import contextmanager

sys.path.insert(0, ".")
import pool

class Slots:
    name = "slot"
    cost = 1.0
    asked = 0

    def snapshot(self):
        return iter(pool.OUT)

    def describe(self, thing):
        return f"slot {thing}"

    def repair(self, thing):
        pool.OUT.remove(thing)

    @contextmanager
    def canary(self):
        pool.OUT.append("canary")
        yield
        pool.OUT.remove("canary")

class Dear(Slots):
    name = "dear"
    cost = 5

def pytest_maskcheck_resources(config):
    Slots.asked += 1
    assert Slots.asked == 1
    return [Dear(), Slots()]

def pytest_maskcheck_audited(item, audit):
    print("audited", item.name, len(audit.failures), Slots.asked, pool.OUT)
"""


@pytest.fixture(scope="module")
def good(audit_folder):
    """The audits of tests with user-defined resources, by name of the test, and the output."""
    folder = audit_folder({"test_it.py": TEST, "pool.py": POOL, "conftest.py": GOOD}, "-s")
    return {audit.test.partition("::")[2]: audit for audit in folder.audits}, folder.output


def leaks(audit) -> set[tuple[str, str, int]]:
    """Return kind, key and line of each leak."""
    return {(defect.kind, defect.key, point.line) for defect in audit.failures for point in defect.points}


def test_a_resource_of_ones_own_is_looked_at(good):
    """A thing that a user-defined resource sees after a run and not before it is a leak, named as the resource describes it."""
    audits, _ = good
    line = TEST[: TEST.index("    name = pool")].count("\n") + 1
    assert {(kind, key) for kind, key, _ in leaks(audits["test_unsafe"])} == {("slot", "slot a"), ("dear", "slot a")}
    assert line + 1 in {where for *_, where in leaks(audits["test_unsafe"])}


def test_what_is_given_back_is_no_finding(good):
    """A thing that was given back, or is allowed by kind and key, is no finding."""
    audits, _ = good
    assert not leaks(audits["test_safe"])
    assert {kind for kind, *_ in leaks(audits["test_allowed"])} == {"dear"}


def test_no_resource_is_blind_or_complained_of(good):
    """A working user-defined resource sees its canary, and no note complains of it."""
    audits, _ = good
    notes = [note for audit in audits.values() for note in audit.notes if not note.startswith("allowed at ")]
    assert not [note for note in notes if "slot" in note or "dear" in note]


def test_the_session_learns_of_each_audit(good):
    """The hook for audits is called once for each test, in the session's process; resources are collected once."""
    audits, output = good
    told = [line.partition("audited test_")[2] for line in output.splitlines() if "audited test" in line]
    assert told == [f"{name.removeprefix('test_')} {len(audit.failures)} 1 []" for name, audit in audits.items()]


POINTS = """
def pytest_maskcheck_points(item, points):
    points[:] = [point for point in points if point.kind != "entry"]
    if item.name == "test_safe":
        points.append("one more")
    if item.name == "test_allowed":
        points.clear()
        raise RuntimeError("no")
    if item.name == "test_twice":
        return points
"""


def test_points_are_removed_and_never_added(audit_folder):
    """Points that a plugin removes are counted under the plugin's name; a plugin cannot add any."""
    conftest = "import sys; sys.path.insert(0, '.')\n" + POINTS
    folder = audit_folder({"test_it.py": TEST, "pool.py": POOL, "conftest.py": conftest})
    audits = {audit.test.partition("::")[2]: audit for audit in folder.audits}
    hook = "pytest_maskcheck_points of the plugin conftest.py"
    assert "entry" not in {point.kind for point in audits["test_unsafe"].points}
    assert audits["test_unsafe"].left_out == {"removed by the plugin conftest.py": 3}
    assert audits["test_safe"].notes == (
        f"{hook} added to the list; the audit goes on without it: points can only be removed",
    )
    assert audits["test_allowed"].notes == (f"{hook} raised RuntimeError: no; the audit goes on without it: repair it",)
    assert {"entry", "call"} <= {point.kind for point in audits["test_allowed"].points}
    assert audits["test_twice"].notes == (
        f"{hook} returned an object of type list; the audit goes on without it: remove points from the list in place",
    )


ONE = """
import pytest

HELD = []

@pytest.mark.interrupt_safe
def test_it():
    HELD.append(1)
    len("x")
    HELD.clear()
"""

BASE = """
import sys

class Held:
    name = "held"
    cost = 1
    def snapshot(self): return list(sys.modules["test_it"].HELD)
    def describe(self, thing): return f"held {thing}"
    def repair(self, thing): sys.modules["test_it"].HELD.remove(thing)
"""

RETURNS = "def pytest_maskcheck_resources(config): "
AGAIN = "resource held_{name} of the plugin bad_{name} is looked at no more: its "
HOOK = "pytest_maskcheck_resources of the plugin bad_{name} "
GIVE = RETURNS + "return [Held()]"

BAD = {
    "raises": (RETURNS + "raise ValueError('no')", HOOK + "raised ValueError: no; "),
    "skips": ("import pytest\n" + RETURNS + "pytest.skip('no')", HOOK + "raised Skipped: no; "),
    "no_list": (RETURNS + "return Held()", HOOK + "returned an object of type Held; "),
    "a_class": (RETURNS + "return [Held]", HOOK + "returned the class Held; "),
    "no_name": (RETURNS + "return [object()]", HOOK + "returned an object of type object with the name None; "),
    "a_colon": ("Held.name = 'a:b'\n" + GIVE, HOOK + "returned an object of type Held with the name 'a:b'; "),
    "twice": (
        "Held.name = 'fd_of_mine'\n" + RETURNS + "return [Held(), Held()]",
        HOOK + "returned a resource named fd_of_mine, a name that is taken; ",
    ),
    "built_in": ("Held.name = 'fd'\n" + GIVE, HOOK + "returned a resource named fd, a name that is taken; "),
    "no_cost": ("del Held.cost\n" + GIVE, HOOK + "returned the resource held_no_cost with the cost None; "),
    "no_repair": ("del Held.repair\n" + GIVE, HOOK + "returned the resource held_no_repair without repair(); "),
    "snapshot": ("Held.snapshot = lambda self: 1 / 0\n" + GIVE, AGAIN + "snapshot() failed with ZeroDivisionError: "),
    "no_things": ("Held.snapshot = lambda self: 1\n" + GIVE, AGAIN + "snapshot() failed with TypeError: "),
    "unhashable": (
        "Held.snapshot = lambda self: [[]]\n" + GIVE,
        AGAIN + "snapshot() failed with TypeError: it returned things of type list, ",
    ),
    "no_text": (
        "Held.describe = lambda self, thing: 1\n" + GIVE,
        AGAIN + "describe() failed with TypeError: it returned 1, ",
    ),
    "describe": (
        "Held.describe = lambda self, thing: 1 / 0\n" + GIVE,
        AGAIN + "describe() failed with ZeroDivisionError: ",
    ),
    "late": (
        "def late(self):\n    if sys.modules['test_it'].HELD: raise OSError('late')\n    return []\n"
        "Held.snapshot = late\n" + GIVE,
        AGAIN + "snapshot() failed with OSError: late; repair it",
    ),
    "blind": (
        "import contextlib\nHeld.canary = lambda self: contextlib.nullcontext()\n" + GIVE,
        "kind held_{name} is blind here: it did not see its canary, but nothing at all",
    ),
    "audited": (
        "def pytest_maskcheck_audited(item, audit): item.nothing",
        "pytest_maskcheck_audited of the plugin bad_{name} raised AttributeError: ",
    ),
}


@pytest.fixture(scope="module")
def beside_bad(audit_folder):
    """An audit with a good resource and all the bad ones, each in a plugin of its own, and the output."""
    plugins = [f"bad_{name}" for name in BAD]
    files = {f"bad_{name}.py": f"{BASE}\nHeld.name = 'held_{name}'\n{source}\n" for name, (source, _) in BAD.items()}
    conftest = f"{BASE}\npytest_plugins = {plugins}\n{GIVE}\n"
    folder = audit_folder({"test_it.py": ONE, "conftest.py": conftest, **files})
    (audit,) = folder.audits
    return audit, folder.output


@pytest.mark.parametrize("name", BAD)
def test_a_hook_that_fails_is_named_once(beside_bad, name):
    """A hook implementation that fails is named once, in one sentence."""
    told = BAD[name][1].format(name=name)
    assert len([note for note in beside_bad[0].notes if note.startswith(told)]) == 1


def test_the_audit_goes_on_without_what_fails(beside_bad):
    """Hook implementations that work are still used although others fail, and no traceback is printed."""
    audit, output = beside_bad
    assert {defect.kind for defect in audit.failures} == {"held", "held_blind", "fd_of_mine"}
    assert {defect.key for defect in audit.failures} == {"held 1"}
    assert audit.audited == len(audit.points)
    assert len(audit.notes) == len(BAD)
    assert "Traceback" not in output


def test_without_isolation_what_is_left_is_repaired(audit_folder):
    """If runs share the session's process, the ``repair`` of a user-defined resource undoes what a run left."""
    (audit,) = audit_folder(
        {"test_it.py": ONE, "conftest.py": BASE + RETURNS + "return [Held()]"}, "--maskcheck-isolation=none"
    ).audits
    assert [defect.key for defect in audit.failures] == ["held 1"]
    assert not [result for result in audit.results if result.reason]


def test_off_the_hooks_are_known_and_not_called(pytester, run):
    """Without ``--maskcheck`` a conftest file may implement the hooks, and none is called."""
    pytester.makeconftest(
        "\n".join(
            f"def pytest_maskcheck_{name}: raise RuntimeError"
            for name in ("resources(config)", "points(item, points)", "audited(item, audit)")
        )
    )
    pytester.makepyfile(ONE)
    run().assert_outcomes(passed=1)


def test_a_misspelt_argument_is_refused(pytester, run):
    """A hook implementation with an argument that the hook does not have is refused by pluggy."""
    pytester.makeconftest("def pytest_maskcheck_resources(configuration): pass")
    pytester.makepyfile(ONE)
    assert run().ret != 0
