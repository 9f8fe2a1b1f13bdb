"""The figures of files: lines reached, interrupted, clean, and those of clean-up code."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reports import jsonfile, reading
from pytest_maskcheck.results import Audit, Edit, Finding, Point, PointResult, Verdict, over_tests
from pytest_maskcheck.results.figures import figures

if TYPE_CHECKING:
    from pathlib import Path

LEAK = Finding(Verdict.LEAK, "fd", "pipe", "descriptor 3 is still open")
LISTED = Finding(Verdict.IMPLICIT, "fd", "x", "dropped", fails=False)


def point(line: int, kind: str = "call", path: str = "src/a.py", hit: int = 1) -> Point:
    """Return a point on a line."""
    return Point(f"{path}:{line}:{kind}#{hit}", path, f"/p/{path}", line, kind, hit, "f")


def audit(test: str, *results: tuple[Point, PointResult], **more: object) -> Audit:
    """Return the audit of a test with these points and results."""
    made = Audit(test, points=tuple(each for each, _ in results), results=tuple(each for _, each in results))
    return replace(made, **more)  # type: ignore[arg-type]


def clean(at: Point) -> tuple[Point, PointResult]:
    """Return a point with a result without findings."""
    return at, PointResult(at.id)


def undecided(at: Point) -> tuple[Point, PointResult]:
    """Return a point without a verdict."""
    return at, PointResult(at.id, reason="not reached again")


def found(at: Point, finding: Finding = LEAK) -> tuple[Point, PointResult]:
    """Return a point with a finding."""
    return at, PointResult(at.id, (finding,))


def test_each_line_is_clean_only_if_nothing_was_found_or_left_undecided_there() -> None:
    """Of the interrupted lines, those with a defect, a listed finding or a point without a verdict are not clean."""
    made = audit(
        "t.py::test",
        clean(point(2)),
        found(point(3)),
        clean(point(3, hit=2)),
        found(point(4), LISTED),
        clean(point(5)),
        undecided(point(5, hit=2)),
        undecided(point(6)),
        reached={"src/a.py": "2-7"},
    )
    (each,) = figures([made])
    assert each.reached == {2, 3, 4, 5, 6, 7}
    assert each.interrupted == {2, 3, 4, 5}
    assert (each.defects, each.listed, each.undecided) == ({3}, {4}, {5, 6})
    assert each.clean == {2}
    assert (each.file, each.is_support) == ("/p/src/a.py", False)


def test_a_line_with_a_defect_in_one_test_is_not_clean_because_of_another() -> None:
    """Figures are those of all tests: a line that is clean in one test may have a defect in another."""
    first = audit("t.py::one", clean(point(2)), reached={"src/a.py": "2-3"})
    second = audit("t.py::two", found(point(2)), clean(point(3)), reached={"src/a.py": "2-3"})
    (each,) = figures([first, second])
    assert (each.interrupted, each.clean, each.defects) == ({2, 3}, {3}, {2})


def test_a_known_defect_is_a_defect() -> None:
    """A line whose defect the baseline has is not clean."""
    made = audit("t.py::test", found(point(2)), reached={"src/a.py": "2"})
    digests = tuple(name.digest for defect in made.defects for name in defect.fingerprints)
    (each,) = figures([replace(made, known=digests)])
    assert (each.defects, each.clean) == ({2}, set())


def test_a_defect_at_the_entry_of_a_function_is_on_the_line_of_its_def() -> None:
    """The test does not reach the line of a ``def``, which ran at import; the defect is shown there nevertheless."""
    made = audit("t.py::test", found(point(1, "entry")), clean(point(2)), reached={"src/a.py": "2"})
    (each,) = figures([made])
    assert (each.defects, each.reached, each.clean) == ({1}, {2}, {2})


def test_the_lines_of_a_statement_count_as_its_first_one() -> None:
    """A point on a later line of a statement belongs to the statement's first line."""
    made = audit("t.py::test", clean(point(4)), reached={"src/a.py": "2,7"})
    (each,) = figures([made])
    assert each.clean == {2}


def test_clean_up_lines_are_those_that_no_uninterrupted_test_reaches() -> None:
    """A line that ran after an interrupt is none of clean-up alone if any other test reaches it uninterrupted."""
    first = audit("t.py::one", reached={"src/a.py": "2-3"}, cleanup_lines={"src/a.py": "8-9", "src/b.py": "4"})
    second = audit("t.py::two", reached={"src/a.py": "8"}, cleanup_lines={})
    found_of = {each.path: each.cleanup for each in figures([first, second])}
    assert found_of == {"src/a.py": {9}, "src/b.py": {4}}


def test_clean_up_lines_that_were_not_recorded_are_not_none_at_all() -> None:
    """Without a record, it is unknown which lines ran only because of an interrupt; an empty record says that there are none."""
    made = audit("t.py::one", reached={"src/a.py": "2-3"})
    assert [each.cleanup for each in figures([made])] == [None]
    assert [each.cleanup for each in figures([replace(made, cleanup_lines={})])] == [frozenset()]


def test_files_of_the_tests_are_marked_unless_there_are_no_others() -> None:
    """The code that is tested counts, and the tests themselves if they are all there is."""
    own = {"t.py": "3-5", "tests/conftest.py": "2"}
    made = audit("t.py::test", reached={**own, "src/a.py": "2"}, own=("t.py",))
    assert {each.path: each.is_support for each in figures([made])} == {
        "t.py": True,
        "tests/conftest.py": True,
        "src/a.py": False,
    }
    alone = replace(made, reached=own)
    assert not any(each.is_support for each in figures([alone]))


def test_no_tests_have_no_figures() -> None:
    """Without audits, there are no files."""
    assert figures([]) == []


def test_a_json_report_has_the_figures_of_each_file(tmp_path: Path) -> None:
    """The figures stand in the JSON report, by the path of the file; a report is read without them."""
    made = audit(
        "t.py::test", clean(point(2)), found(point(3)), reached={"src/a.py": "2-4"}, cleanup_lines={"src/a.py": "9"}
    )
    data = json.loads(jsonfile.encode([made], ""))
    assert data["files"] == {
        "src/a.py": {
            "file": "/p/src/a.py",
            "reached": "2-4",
            "interrupted": "2-3",
            "clean": "2",
            "defects": "3",
            "listed": "",
            "undecided": "",
            "cleanup": "9",
            "support": False,
        }
    }
    del data["files"]
    (tmp_path / "a.json").write_text(json.dumps(data))
    assert reading.read(str(tmp_path / "a.json")).audits == (made,)


def test_names_that_cannot_be_encoded_are_written_with_backslashes() -> None:
    """A file whose name is not UTF-8 does not keep a report from being written."""
    made = audit("t.py::test", clean(point(2, path="src/\udcff.py")), reached={"src/\udcff.py": "2"})
    assert list(json.loads(jsonfile.encode([made], ""))["files"]) == ["src/\\xff.py"]


@pytest.mark.parametrize("wrong", ["x", "3-", 5, ["3"]])
def test_damaged_lines_are_refused_in_one_sentence(tmp_path: Path, wrong: object) -> None:
    """Lines of clean-up code that are no lines are a damaged report."""
    data = json.loads(jsonfile.encode([audit("t.py::test", cleanup_lines={"a.py": "3"})], ""))
    data["audits"][0]["cleanup_lines"]["a.py"] = wrong
    (tmp_path / "a.json").write_text(json.dumps(data))
    with pytest.raises(reading.ReportError, match=r"a\.json is a damaged report: audits\[0\]\.cleanup_lines"):
        reading.read(str(tmp_path / "a.json"))


def test_a_shared_defect_has_the_edit_that_was_saved_for_it() -> None:
    """An edit is found by the fingerprint of the defect, whichever of the tests has it; other defects have none."""
    made = [audit(f"t.py::{name}", found(point(2)), reached={"src/a.py": "2"}) for name in "ab"]
    (shared,) = over_tests(made)
    assert shared.edit is None
    edit = Edit("with", "--- a\n+++ b\n", ("t.py::b",))
    (name,) = shared.defect.fingerprints
    (shared,) = over_tests([made[0], replace(made[1], edits={name.digest: edit})])
    assert shared.edit == edit
    (shared,) = over_tests([made[0], replace(made[1], edits={sha256(b"").hexdigest()[:16]: edit})])
    assert shared.edit is None


def test_edits_and_clean_up_lines_survive_json(tmp_path: Path) -> None:
    """A report that is written and read again has the same edits and lines."""
    made = audit(
        "t.py::test",
        cleanup_lines={"src/a.py": "8-9"},
        edits={"00ff": Edit("with", "--- a\n+++ b\n", ("t.py::test",))},
    )
    (tmp_path / "a.json").write_bytes(jsonfile.encode([made], ""))
    assert reading.read(str(tmp_path / "a.json")).audits == (made,)
