"""The documentation lists exactly the kinds that exist."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_maskcheck.resources import Surroundings, all_kinds

_PAGE = Path(__file__).parents[1] / "docs" / "kinds.md"


def _rows() -> dict[str, list[str]]:
    """Return the cells of each row of the table, by name of the kind."""
    lines = _PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {name.strip("`"): others for name, *others in cells}


def test_every_kind_has_its_row_and_no_other_has_one() -> None:
    """Every kind has a row in the documentation, and on Linux, which has all kinds, every row has a kind."""
    names = [kind.name for kind in all_kinds(Surroundings())]
    documented = list(_rows())
    assert sorted(name for name in documented if name in names or sys.platform == "linux") == sorted(names)


def test_the_table_tells_which_are_on() -> None:
    """Each row has six cells, and its default begins with on or off as the kind's does."""
    rows = _rows()
    for kind in all_kinds(Surroundings()):
        _, _, _, default, since = rows[kind.name]
        assert default.partition(":")[0] == ("on" if kind.default else "off")
        assert since.startswith("3.")
