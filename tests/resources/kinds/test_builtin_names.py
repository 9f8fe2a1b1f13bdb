"""Names of the builtins module."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.builtin_names import BuiltinNames

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "input", input)
    monkeypatch.setattr(builtins, "names", "there before", raising=False)
    monkeypatch.setattr(builtins, "_", None, raising=False)


def test_names_added_replaced_and_removed_are_altered_state(watch: Watch) -> None:
    """Added, replaced and removed names are altered state; repair undoes all three."""
    kind = BuiltinNames()
    compare = watch(kind)
    builtins.added = builtins.input = print  # type: ignore[attr-defined, assignment]
    del builtins.names  # type: ignore[attr-defined]
    found = compare()
    assert [leftover.detail for leftover in found] == [
        "builtins.added was added",
        "builtins.input is now print",
        "builtins.names was removed",
    ]
    assert compare() == found
    assert [kind.repair(leftover) for leftover in found] == [True] * 3
    assert compare() == []


def test_the_last_value_at_a_prompt_is_no_difference(watch: Watch) -> None:
    """The last value at an interactive prompt (``_``) and a restored name are not reported."""
    compare = watch(BuiltinNames())
    old, builtins.input = builtins.input, print  # type: ignore[assignment]
    builtins.input = old
    builtins._ = 7  # type: ignore[attr-defined]
    assert compare() == []
