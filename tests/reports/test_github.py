"""Workflow commands and the job summary of GitHub Actions."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

import pytest

from pytest_maskcheck import __main__ as command
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports import formats, github
from pytest_maskcheck.results import Audit
from tests.reports.exported import CLEAN, HOSTILE, SOURCE, audit, finding, refused


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Return name, properties and text of a workflow command, as the runner reads them."""
    form = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line)
    assert form, line
    properties = dict(each.split("=", 1) for each in form[2].split(","))
    return form[1], {name: unquote(value) for name, value in properties.items()}, unquote(form[3])


def test_an_error_for_each_defect(tmp_path):
    """A defect that fails is an error at the line to cure, however many tests meet it; one that is listed is a notice."""
    path = tmp_path / "a.py"
    path.write_text(SOURCE, encoding="utf-8")
    bad = finding(file=str(path))
    first = audit(bad, finding("LISTED", fails=False, file=str(path)), file=str(path))
    found = [*map(read, github.commands([first, audit(bad, test="other", file=str(path))]))]
    assert [name for name, *_ in found] == ["error", "notice"]
    _, about, text = found[0]
    assert about == {
        "title": "maskcheck: leak: lock LOCK, in 2 tests",
        "file": "a.py",
        "line": "2",
        "col": "5",
        "endColumn": "19",
    }
    assert text.startswith("Leak: lock LOCK, in 2 tests. A lock is still held: LOCK. ")
    assert text.splitlines()[1].startswith("To see it again: pytest --maskcheck-point")


def test_ten_of_each_level():
    """GitHub drops what is beyond ten of a level; the worst are there."""
    many = [finding(f"F{number}", fails=number % 2 == 0) for number in range(40)]
    # In a shorter run none would be exposed for longer than the run, and most of them equally.
    found = [*map(read, github.commands([replace(audit(*many), duration=1e40)]))]
    assert [name for name, *_ in found] == ["error"] * 10 + ["notice"] * 10
    assert "F38" in found[0][2]
    assert "F39" in found[10][2]


def test_a_known_defect_has_none():
    """What the baseline has is accepted."""
    known = audit(finding()).defects[0].fingerprints[0].digest
    assert not [*github.commands([audit(finding(), known=(known,))])]


def test_tests_that_were_not_audited():
    """Each reason why tests were not audited is a warning, unless they need not be audited here."""
    unwanted = Audit("b", refused=Reason(NotAudited.UNTOUCHED, commit="HEAD"))
    ((name, about, text),) = map(read, github.commands([CLEAN, refused(), unwanted]))
    assert (name, about) == ("warning", {"title": "maskcheck: not audited"})
    assert text == "1 test, such as test_a.py::test_other: doctests cannot be run twice"


@pytest.mark.parametrize(
    "name", [HOSTILE, "a\n::stop-commands::x", "%0A%3A", ",file=/etc/passwd", "\u2028\x85::error::"]
)
def test_hostile_names(name):
    """A name stays within the text of its own command, on one line."""
    (line,) = github.commands([audit(finding(name))])
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    command, about, text = read(line)
    assert (command, about["file"]) == ("error", "a.py")
    assert {*about} == {"title", "file", "line"}
    assert text.count("\n") == 1 + 2 * name.count("\n")  # in the headline and in the detail


def test_the_summary_is_appended(tmp_path):
    """The summary comes after those of other programs, and together they fit into what GitHub takes."""
    path = tmp_path / "summary.md"
    path.write_text("others\n", encoding="utf-8")
    github.append_summary(str(path), [audit(finding())], "")
    github.append_summary(str(path), [audit(finding())], "")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("others\n## maskcheck: 1 defect\n")
    assert text.count("## maskcheck") == 2
    path.write_bytes(b"x" * ((1 << 20) - 1000))
    github.append_summary(str(path), [audit(*(finding(f"L{number}") for number in range(50)))], "")
    assert path.stat().st_size <= 1 << 20
    assert b"had no room here" in path.read_bytes()
    path.write_bytes(b"x" * (1 << 20))
    github.append_summary(str(path), [audit(finding())], "")
    assert path.stat().st_size == 1 << 20


def test_merge_annotates_once_for_all_shards(tmp_path, monkeypatch, capsys):
    """``merge --github`` writes what a session would, without it nothing, and says in one line what it cannot write."""
    report, summary = tmp_path / "in.json", tmp_path / "summary.md"
    formats.write("json", str(report), [audit(finding())])
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert command.main(["merge", str(report)]) == 1
    assert "::error" not in capsys.readouterr().out
    assert not summary.exists()
    assert command.main(["merge", str(report), "--github"]) == 1
    assert capsys.readouterr().out.count("\n::error ") == 1
    assert summary.read_text(encoding="utf-8").startswith("## maskcheck: 1 defect")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "summary.md"))
    assert command.main(["merge", str(report), "--github"]) == 1
    assert "\nthe job summary cannot be written: " in capsys.readouterr().out
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert command.main(["merge", str(report), "--github"]) == 1
