"""No false alarms: correct bodies that use the standard library and popular packages are audited in one session.

A body (``bodies/*.py``) announces in comments what an interrupt on a line leads to, as programs in other tests do: ``leak@call``
fails, ``(implicit@call)`` is listed. ``?`` after it means that some interpreters do not check for signals there, and ``on 3.11`` limits
it to those interpreters. What no comment announces must not be found. What is announced as failing also happens with real signals:
see ``test_real_signals.py`` beside this file.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_maskcheck.results import Audit, Category, Point, Verdict

BODIES = {path.stem: path for path in sorted(Path(__file__).with_name("bodies").glob("*.py"))}
PLACES = [
    f"{name}::{node.name}"
    for name, path in BODIES.items()
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]
ALL = ("--maskcheck-all", "--maskcheck-hits=1", "--maskcheck-repeats=all")
_COMMENT = re.compile(
    r"(\()?\b(\w+@(?:entry|resume|call|jump|into|back))\b\)?(\?)?(?: on (3\.\d+)(?: and (earlier|later))?)?"
)

Told = set[tuple[int, str]]


@pytest.fixture(scope="module")
def audits(audit_folder) -> dict[str, Audit]:
    """Return the audits of all bodies, by file and name."""
    files = {f"test_{name}.py": path.read_text(encoding="utf-8") for name, path in BODIES.items()}
    folder = audit_folder(files, *ALL, "--maskcheck-strategy=rerun")
    return {_place(audit): audit for audit in folder.audits}


@pytest.fixture(scope="module")
def by_snapshots(audit_folder) -> dict[str, Audit]:
    """Return the audits, by snapshots, of bodies that may have no effect outside their process.

    Each file has a session of its own, since a thread that one body leaves running excludes snapshots of all later ones.
    """
    audits = {}
    for name in ("files", "included", "language", "packages", "state", "tasks"):
        files = {f"test_{name}.py": _without_directories(BODIES[name].read_text(encoding="utf-8"))}
        folder = audit_folder(files, *ALL, "--maskcheck-strategy=snapshot")
        audits |= {_place(audit): audit for audit in folder.audits}
    return audits


def _place(audit: Audit) -> str:
    return audit.test.removeprefix("test_").replace(".py::", "::")


def _without_directories(source: str) -> str:
    """Return a source without the tests that use ``tmp_path``, with line numbers unchanged."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and any(each.arg == "tmp_path" for each in node.args.args):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            lines[first - 1 : node.end_lineno] = [""] * (node.end_lineno - first + 1)
    return "\n".join([*lines, ""])


def _races(place: str, points: Iterable[str]) -> set[str]:
    """Return the points where two audits may differ, since the kernel decides whether a child has ended by then."""
    if place != "tasks::test_async_subprocess":
        return set()
    return {point for point in points if re.search(r":(into|back)[.#]", point)}


def announced(name: str) -> tuple[Told, Told]:
    """Return what the comments of a file announce, and the part of it that need not be found."""
    told, uncertain = set(), set()
    for number, text in enumerate(BODIES[name].read_text(encoding="utf-8").splitlines(), 1):
        for listed, word, perhaps, version, others in _COMMENT.findall(text.partition("#")[2]):
            if _applies(version, others):
                told.add((number, f"({word})" if listed else word))
            if perhaps or word.endswith(("@into", "@back")):  # libraries do not behave the same in each run
                uncertain.add((number, f"({word})" if listed else word))
    return told, uncertain


def _applies(version: str, others: str) -> bool:
    if not version:
        return True
    named, ours = int(version.partition(".")[2]), sys.version_info.minor
    return ours == named or (ours < named if others == "earlier" else others == "later" and ours > named)


@pytest.mark.parametrize("place", PLACES)
def test_what_is_found_is_what_the_comments_announce(audits, place):
    """At the lines that a body reaches, exactly the announced defects are found, and every point is audited."""
    if place not in audits:
        pytest.skip("a package is not installed")
    audit = audits[place]
    assert not audit.refused
    # Libraries do not behave the same in each run, so points at their calls may not be reached again.
    loose = {point.id for point in audit.points if point.kind in ("into", "back")}
    assert {result.point for result in audit.results if result.reason} <= loose
    file = f"test_{place.partition('::')[0]}.py"
    told, uncertain = announced(place.partition("::")[0])
    reached = {point.line for point in audit.points if Path(point.file).name == file}

    def place_of(point: Point) -> int | str:
        return point.line if Path(point.file).name == file else point.id

    found = {
        (place_of(point), word if defect.fails else f"({word})")
        for defect in audit.defects
        for point in defect.points
        for word in [f"{defect.verdict}@{point.kind}"]
        if defect.verdict is not Verdict.INTERPRETER
        and not (
            defect.category is Category.INSIDE and Path(point.file).name != file
        )  # the standard library's own defects
    }
    of_chance = {  # a finalizer of the standard library may run wherever the collector does or a last reference goes
        (place_of(point), f"({defect.verdict}@{point.kind})")
        for defect in audit.defects
        for point in defect.points
        if defect.kind == "finalizer" and not defect.fails
    }
    due = {(line, word) for line, word in told if line in reached}
    assert found - due - of_chance == set(), [
        f"{defect.verdict} {defect.kind} {defect.key}: {defect.detail}" for defect in audit.defects
    ]
    assert due - found - uncertain == set()


def test_most_is_found_and_nearly_all_decided_in_calls_out_of_scope(audits):
    """At calls out of scope, most of what is announced is found and nearly all points are audited."""
    due, missing, points, undecided = 0, set(), 0, set()
    for place, audit in audits.items():
        name = place.partition("::")[0]
        lines = {point.line for point in audit.points if Path(point.file).name == f"test_{name}.py"}
        words = {
            (point.line, word if defect.fails else f"({word})")
            for defect in audit.defects
            for point in defect.points
            for word in [f"{defect.verdict}@{point.kind}"]
        }
        told = {(line, word) for line, word in announced(name)[1] if line in lines}
        due += len(told)
        missing |= {(place, *each) for each in told - words}
        outside = {point.id for point in audit.points if point.kind in ("into", "back")}
        points += len(outside)
        undecided |= {(place, result.point) for result in audit.results if result.point in outside and result.reason}
    assert len(missing) <= 0.25 * due, missing
    assert len(undecided) <= 0.01 * points, undecided


@pytest.mark.newest
def test_snapshots_find_the_same(audits, by_snapshots, results_of):
    """Snapshots and rerun have the same findings at each point that both audited."""
    taken = {place for place, audit in by_snapshots.items() if audit.strategy.startswith("snapshot")}
    assert len(taken) >= 50
    for place in taken:
        found, expected = results_of(by_snapshots[place]), results_of(audits[place])
        # Event loops iterate as often as needed, so a place may not be reached again at the same hit, with either strategy.
        decided = {point for point in found.keys() & expected.keys() if not (found[point][1] or expected[point][1])}
        compared = expected.keys() - _races(place, expected)
        decided &= compared
        assert len(decided) >= 0.8 * len(compared), place
        assert {point: found[point] for point in decided} == {point: expected[point] for point in decided}, place


def test_there_are_many_bodies():
    assert len(PLACES) >= 110


def test_every_comment_announces_for_a_line_that_is_reached(audits):
    """Every line whose comment announces something is reached, since other comments would mean nothing."""
    for name in BODIES:
        reached = {
            point.line for place, audit in audits.items() if place.startswith(f"{name}::") for point in audit.points
        }
        told, uncertain = announced(name)
        assert {line for line, word in told - uncertain} <= reached
