"""Every verdict has a title, a cure and a row in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.reports.defects import headline, title
from pytest_maskcheck.results import Category, Defect, Point, Verdict

PAGE = Path(__file__).parents[2] / "docs" / "usage.md"
POINT = Point("a.py:3:call#1", "a.py", "/a.py", 3, "call", 1, "f")


def defect(verdict: Verdict, category: Category = Category.OWN) -> Defect:
    """Return a defect with the verdict and the category."""
    return Defect(verdict, "kind", "key", "detail", True, (POINT,), (), category=category, package="pkg")


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_cure(verdict: Verdict, category: Category) -> None:
    """Every verdict has a cure, in every category."""
    assert cure(defect(verdict, category))


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_title(verdict: Verdict) -> None:
    """Every verdict has a title, which is the thing or the detail of the defect, and a headline that begins with the verdict."""
    assert title(defect(verdict)) in {"kind key", "detail"}
    assert headline(defect(verdict)).startswith(f"{verdict}: ")


def test_every_verdict_and_category_has_a_row_in_the_documentation() -> None:
    """The documentation has a row for every verdict and every category, and no other rows."""
    sections = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    verdicts = PAGE.read_text(encoding="utf-8").partition("\n## Verdicts\n")[2].partition("\n### ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", verdicts, re.MULTILINE)) == {verdict.value for verdict in Verdict}
    rows = re.findall(r"^\| `(\w+)` \|", sections["Whose a finding is"], re.MULTILINE)
    assert set(rows) == {category.value for category in Category}
