"""The summary of a session: what fits on a screen, and what is shown only if it is wanted."""

from __future__ import annotations

from itertools import product

import pytest

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports import cures, hints
from pytest_maskcheck.reports.appearance import Appearance
from pytest_maskcheck.reports.baseline import After, Entry, changes
from pytest_maskcheck.reports.summary import summary
from pytest_maskcheck.results import (
    Audit,
    Category,
    Defect,
    Finding,
    Fingerprint,
    Frame,
    Origin,
    Point,
    PointResult,
    Verdict,
    over_tests,
)

SCREEN = 40
"""Lines of a screen."""


def audit(number: int, *, fails: bool = True, tests: str = "test_it.py::test") -> Audit:
    """Return an audit with one defect, and with much that is only counted."""
    point = Point(f"a.py:{number}:call#1", "a.py", "/a.py", number, "call", 1, f"f{number}")
    origin = Origin((), Frame("a.py", number - 1, f"f{number}", "/a.py"))
    finding = Finding(Verdict.LEAK, "lock", f"LOCK{number}", "lost", fails, origin)
    left_out = {Reason(NotAudited.HITS, hits=3): 4, Reason(NotAudited.IGNORED): 1, Reason(NotAudited.PAUSED): 1}
    return Audit(
        f"{tests}_{number}",
        options=("--maskcheck-hits=1",),
        points=(point,),
        results=(PointResult(point.id, (finding,)),),
        left_out={str(reason): many for reason, many in left_out.items()},
        left_anyway=tuple(f"thread:pool-{each}" for each in range(5)),
        reached={"a.py": "1-99"},
    )


def lines(*audits: Audit, verbose: bool = False) -> list[str]:
    """Return the lines of a summary."""
    return [*summary(audits, verbose=verbose)]


def test_fits_a_screen():
    """Of forty defects ten are shown, in three lines each; the others and long lists are counted."""
    shown = lines(*map(audit, range(10, 50)), *(audit(number, fails=False) for number in range(60, 90)))
    assert len(shown) <= SCREEN
    assert [line[:3] for line in shown if line[2:3] == "."] == [f"{number:2}." for number in range(1, 11)]
    assert shown[:3] == [
        " 1. leak: lock LOCK10; cure: `with lock:` or `with bracket(...)`",
        "    a.py:10, from line 9",
        "    'a.py:10:call#1' test_it.py::test_10",
    ]
    assert shown[30:] == [
        "    and 30 more defects, which -v shows",
        "    to see one again: pytest --maskcheck-hits=1 --maskcheck-point POINT TEST",
        "with -v also: 30 findings that fail no test; 420 points not audited, for 3 reasons; 5 things that tests leave behind uninterrupted",
        "70 tests audited at 70 points: 40 defects; 70 of 99 reached lines of a interrupted, 0 points undecided",
    ]


def test_fits_a_narrow_screen():
    """Where lines are longer than the terminal is wide, fewer defects are shown, and at least one."""
    look = Appearance()
    audits = [audit(number, tests="tests/" + "long/" * 30 + "test_it.py::test") for number in range(10, 50)]
    for look.columns, number in ((200, 10), (80, 6), (30, 2), (1, 1)):
        shown = [*summary(audits, verbose=False, look=look)]
        assert sum(line[2:3] == "." for line in shown) == number
        assert f"    and {40 - number} more defects, which -v shows" in shown


def test_all_of_it():
    """With -v every defect has its cure and its command, and each line of a list is there."""
    shown = lines(*map(audit, range(10, 50)), *(audit(number, fails=False) for number in range(60, 90)), verbose=True)
    assert [line[:3] for line in shown if line[2:3] == "."] == [f"{number:2}." for number in range(1, 41)]
    assert shown[1:4] == [
        "    a.py:10, from line 9",
        f"    cure: {cures.BY_KIND['lock']}",
        "    pytest --maskcheck-hits=1 --maskcheck-point 'a.py:10:call#1' test_it.py::test_10",
    ]
    assert shown[6] == "    cure: as for 1"
    assert sum(line.startswith("listed: ") for line in shown) == 30
    assert not any("-v" in line.split() for line in shown)


def test_one_defect_is_told_by_its_test():
    """If there is only one defect, the test that fails by it tells everything; short lists are shown as they are."""
    few = lines(audit(10))
    assert not any("LOCK" in line for line in few)
    shown = lines(Audit("test", left_out={str(Reason(NotAudited.PAUSED)): 2}))
    assert "not audited: 2 points: within maskcheck.paused()" in shown


def test_met_by_several_tests():
    """A defect that several tests meet is one entry, which counts them."""
    shown = lines(audit(10), audit(10, tests="test_it.py::test_again"), audit(11))
    assert [line for line in shown if "leak" in line] == [
        " 1. leak: lock LOCK10, in 2 tests; cure: `with lock:` or `with bracket(...)`",
        " 2. leak: lock LOCK11; cure: `with lock:` or `with bracket(...)`",
    ]


def several(*names: str, line: int = 9, origin: bool = True, test: str = "test") -> Audit:
    """Return an audit of a line that changes several variables."""
    point = Point("a.py:20:call#1", "a.py", "/a.py", 20, "call", 1, "f")
    place = Origin((), Frame("a.py", line, "f", "/a.py")) if origin else None
    findings = tuple(Finding(Verdict.ALTERED, "environ", name, "changed", origin=place) for name in names)
    return Audit(test, points=(point,), results=(PointResult(point.id, findings),))


def test_what_one_line_does_is_one_entry():
    """Several things of a kind that one line changes are one entry, and -v names them; those of another line are another one."""
    audits = several("A", "B", "C"), several("A", "D", line=10, test="other")
    shown = [line.partition(";")[0] for line in lines(*audits) if "altered" in line]
    assert shown == [" 1. altered: environ A and 2 more", " 2. altered: environ A and 1 more"]
    assert [line for line in lines(*audits, verbose=True) if "also" in line] == [
        "    also environ B, environ C",
        "    also environ D",
    ]
    assert "2 tests audited at 2 points: 5 defects;" in lines(*audits)[-1]


@pytest.mark.parametrize(("lines_", "number"), [((9,), 1), ((9, 10), 3)])
def test_a_defect_without_an_origin(lines_, number):
    """A defect whose origin was not found is the one that has the same findings in that function, if there is only one."""
    known = [several("A", line=line, test=f"test_{line}") for line in lines_]
    assert len(over_tests([*known, several("A", origin=False, test="late")])) == number


@pytest.mark.parametrize(("verbose", "number"), [(False, 0), (True, 1)])
def test_reached_again(verbose, number):
    """Tests that reach a defect of another one are counted with that; -v names them."""
    again = Audit("again", found={"a.py:10:call#2": audit(10).test})
    shown = lines(audit(10), again, verbose=verbose)
    assert shown[0].startswith(" 1. leak: lock LOCK10 (1 test fails, 1 other reaches it)")
    assert sum(line.startswith("reached again: 1 other test ") for line in shown) == number


@pytest.mark.parametrize("category", Category)
def test_each_defect_has_a_hint(category):
    """There is a short hint for each verdict and each kind that has a cure of its own."""
    kinds = {*cures.BY_KIND, "finalizer", "exception", "made_up"}
    for verdict, kind in product(Verdict, kinds):
        defect = Defect(verdict, kind, "key", "", fails=True, points=(), traceback=(), category=category)
        assert 0 < len(hints.hint(defect)) <= hints.LONGEST


@pytest.mark.parametrize(("verbose", "number"), [(False, 12), (True, 31)])
def test_what_is_gone_is_named(verbose, number):
    """Of what is gone from a baseline, the first ten are named and the others counted; with -v all are named."""
    gone = [Entry(Fingerprint("a.py", f"f{each}", "", "leak", "lock", "key")) for each in range(30)]
    assert len([*changes(After([], [], gone, []), "known.toml", updated=False, verbose=verbose)]) == number
