"""The base class of the kinds for process state; each kind has its own tests."""

from __future__ import annotations

from pytest_maskcheck.resources import Leftover
from pytest_maskcheck.resources.kinds.umask import Umask
from pytest_maskcheck.resources.process_state import Former


def test_the_token_of_an_alteration_compares_by_what_was_altered() -> None:
    """Two comparisons that find the same alteration have equal tokens, whatever the former value is."""
    assert Former("a", []) == Former("a", {})
    assert hash(Former("a", [])) == hash(Former("a", []))
    assert Former("a", []) != Former("b", [])


def test_repair_never_raises() -> None:
    """``repair`` returns false for a token of another kind, and for a value that cannot be restored."""
    assert Umask().repair(Leftover("umask", "", "", 7)) is False
    assert Umask().repair(Leftover("umask", "", "", Former("umask", "no number"))) is False
