"""The report in Markdown: what it has, what names can do in it, and that it fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from pytest_maskcheck.reports import markdown
from pytest_maskcheck.results import Audit
from tests.reports.exported import CLEAN, HOSTILE, LEFT_OUT, audit, finding, refused


def text_of(*audits: Audit, shard: str = "") -> str:
    """Return the report."""
    return markdown.encode(audits, shard).decode()


def rendered(text: str) -> str:
    """Return Markdown as HTML, in which HTML of the source is as it was."""
    return MarkdownIt("commonmark").enable("table").render(text)


def test_what_it_has():
    """It has totals, a table of the defects with the worst first, the story of those that fail, and what was not audited."""
    made = audit(finding("MILD"), finding("BAD"), finding("LISTED", fails=False), left_out=LEFT_OUT)
    text = text_of(made, refused())
    assert text.startswith(
        "## maskcheck: 2 defects\n\n**1 of 2 tests not audited: doctests cannot be run twice.**\n\n1 test audited"
    )
    assert "| 1 | fails | `leak: lock BAD` | `a.py:2` | 10 µs, about one Ctrl-C in 100,000 |" in text
    assert text.index("`leak: lock BAD`") < text.index("`leak: lock MILD`") < text.index("`leak: lock LISTED`")
    assert text.count("<details>") == text.count("</details>") == 2
    for part in (
        "`Acquired here: lock BAD.` `a.py:2`",
        "To cure it: take the lock",
        "--maskcheck-point 'a.py:2:call#2'",
    ):
        assert part in text
    assert "| 1 test | `doctests cannot be run twice` | `test_a.py::test_other` |" in text
    assert "| 12 points | `further hit of a place in one calling context (hits=3)` | `test_a.py::test` |" in text


def test_nothing_found():
    """A session without defects has its totals, and one without audits says so."""
    assert text_of(CLEAN, shard="1/3").startswith("## maskcheck: 0 defects, shard 1/3\n\n1 test audited")
    assert text_of().startswith("## maskcheck: nothing was audited\n\n**Nothing was audited: ")


@pytest.mark.parametrize("name", [HOSTILE, "``` a", "|", "\\|", "`", "</summary></details>", "\r\n\r\n# x", "\u2029"])
def test_hostile_names(name):
    """No name makes an element of its own, a row or a column of a table, or another line."""
    plain, hostile = (text_of(audit(finding(each)), refused(f"{each}.py::test")) for each in ("LOCK", name))
    html, expected = rendered(hostile), rendered(plain)
    for element in ("<script", "<h1", "<h2", "<td", "<tr", "<details", "<li", "<pre", "<code", "<a", "<del", "<p>"):
        assert html.count(element) == expected.count(element), element
    assert len(hostile.splitlines()) == len(plain.splitlines())
    assert "\x1b" not in hostile


def test_it_fits():
    """Of a report that is too long, the worst defects are there, each as a whole, and the rest is counted."""
    made = audit(*(finding(f"LOCK{number}") for number in range(40)))
    whole = markdown.encode([made], "")
    assert markdown.within(len(whole), [made], "") == whole
    for room in range(300, len(whole), 997):
        text = markdown.within(room, [made], "").decode()
        assert len(text.encode()) <= room
        assert "had no room here: the JSON report has everything" in text
        assert text.count("<details>") == text.count("</details>")
    assert markdown.within(10, [made], "") == b""


def test_a_name_is_cut():
    """A name of thousands of characters does not take the room of others."""
    assert len(text_of(audit(finding("x" * 5000)))) < 7500
    assert "x" * 300 not in text_of(audit(finding("x" * 5000))).partition("<details>")[0]


def test_known_defects_are_marked():
    """A defect of the baseline is in the table, and has no story."""
    made = audit(finding())
    text = text_of(replace(made, known=(made.defects[0].fingerprints[0].digest,)))
    assert "| 1 | known |" in text
    assert "<details>" not in text
