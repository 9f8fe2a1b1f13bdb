"""Environment variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.environ import Environ

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED", "secret")
    monkeypatch.setenv("REMOVED", "secret")
    monkeypatch.delenv("SET", raising=False)


def test_what_was_set_changed_and_removed_is_altered_state(watch: Watch) -> None:
    """A variable that was set, changed or removed is reported by name, without values; repair undoes each change."""
    kind = Environ()
    compare = watch(kind)
    os.environ["CHANGED"] = "other secret"
    os.environ["SET"] = "secret"
    del os.environ["REMOVED"]
    found = compare()
    assert [(leftover.key, leftover.detail) for leftover in found] == [
        ("CHANGED", "the environment variable CHANGED was changed"),
        ("REMOVED", "the environment variable REMOVED was removed"),
        ("SET", "the environment variable SET was set"),
    ]
    assert all(leftover.altered for leftover in found)
    assert compare() == found
    assert all(kind.repair(leftover) for leftover in found)
    assert compare() == []
    assert (os.environ["CHANGED"], os.environ["REMOVED"], os.environ.get("SET")) == ("secret", "secret", None)


def test_variables_put_back_and_the_one_of_pytest_do_not_count(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restored variable is not reported, nor is PYTEST_CURRENT_TEST, which pytest sets for each phase of a test."""
    compare = watch(Environ())
    del os.environ["CHANGED"]
    os.environ["CHANGED"] = "secret"
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "another phase")
    assert compare() == []
