"""The data file of coverage.py, as far as it does not depend on a session; see ``tests/session/test_cleanup_lines.py`` for the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from coverage import CoverageData

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports import coverage_data
from pytest_maskcheck.results import Audit, Finding, Point, PointResult, Verdict

POINTS = tuple(Point(f"src/a.py:{n}:call#1", "src/a.py", "/p/src/a.py", n, "call", 1, "f") for n in range(2, 6))
LEAK = Finding(Verdict.LEAK, "fd", "pipe", "descriptor 3 is still open")
AUDIT = Audit(
    "t.py::test",
    points=POINTS,
    results=(
        PointResult(POINTS[0].id),
        PointResult(POINTS[1].id, (LEAK,)),
        PointResult(POINTS[2].id, (replace(LEAK, key="other", fails=False),)),
        PointResult(POINTS[3].id, reason="not reached again"),
    ),
    reached={"src/a.py": "2-6", "t.py": "3"},
    cleanup_lines={"src/a.py": "9", "src/b.py": "3"},
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty directory, where coverage has no configuration."""
    monkeypatch.chdir(tmp_path)


def data_of(*audits: Audit) -> CoverageData:
    """Return the data of a file for these audits."""
    Path("it.coverage").write_bytes(coverage_data.encode(audits, ""))
    data = CoverageData("it.coverage")
    data.read()
    return data


def test_each_line_has_the_context_of_what_became_of_it() -> None:
    """Lines that were only reached, or that have no verdict at all, are in no context."""
    data = data_of(AUDIT)
    assert data.contexts_by_lineno("/p/src/a.py") == {
        2: ["maskcheck: interrupted, clean"],
        3: ["maskcheck: interrupted, defect"],
        4: ["maskcheck: interrupted, listed"],
        9: ["maskcheck: clean-up"],
    }
    # A file without points lies below the directory of the others, if it exists there; else its path is taken from here.
    assert data.measured_files() == {"/p/src/a.py", str(Path("src/b.py").absolute()), str(Path("t.py").absolute())}
    assert not data.has_arcs()


def test_files_are_found_beside_those_with_points() -> None:
    """A file in which there are no points is looked for in the directory that the paths of other files are relative to."""
    Path("project").mkdir()
    Path("project/t.py").touch()
    root = Path("project").absolute()
    moved = tuple(replace(point, file=f"{root}/{point.path}") for point in POINTS)
    assert f"{root}/t.py" in data_of(replace(AUDIT, points=moved)).measured_files()


def test_without_lines_there_is_a_file_nevertheless() -> None:
    """Coverage can read, and combine, the file of a session in which nothing was interrupted."""
    refused = Audit("t.py::test", refused=Reason(NotAudited.DOCTEST))
    assert data_of(refused).measured_files() == set()
    assert data_of(replace(AUDIT, points=(), results=(), cleanup_lines=None)).lines(str(Path("t.py").absolute())) == []


def test_branches_and_relative_paths_are_as_coverage_is_configured() -> None:
    """With ``branch`` the file has arcs, and with ``relative_files`` relative paths, as the two cannot be combined with others."""
    Path(".coveragerc").write_text("[run]\nbranch = true\nrelative_files = true\n", encoding="utf-8")
    root = Path.cwd()
    moved = tuple(replace(point, file=f"{root}/{point.path}") for point in POINTS)
    data = data_of(replace(AUDIT, points=moved))
    assert data.has_arcs()
    assert data.measured_files() == {"src/a.py", "src/b.py", "t.py"}
    assert sorted(data.lines("src/a.py") or ()) == [2, 3, 4, 9]


def test_a_configuration_that_cannot_be_read_loses_nothing() -> None:
    """The file is written as without a configuration."""
    Path(".coveragerc").write_text("[run\n", encoding="utf-8")
    assert sorted(data_of(AUDIT).lines("/p/src/a.py") or ()) == [2, 3, 4, 9]


def test_names_that_cannot_be_encoded_are_written_with_backslashes() -> None:
    """A file whose name is not UTF-8 does not keep the data from being written."""
    point = replace(POINTS[0], path="src/\udcff.py", file="/p/src/\udcff.py")
    audit = replace(AUDIT, points=(point,), results=AUDIT.results[:1], reached={"src/\udcff.py": "2"}, cleanup_lines={})
    assert data_of(audit).measured_files() == {"/p/src/\\xff.py"}
