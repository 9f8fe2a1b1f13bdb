"""Standard streams."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.standard_streams import StandardStreams

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


def test_another_stream_is_altered_state(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replaced stream is reported under its variable; repair restores the former object."""
    kind, old = StandardStreams(), sys.stdout
    compare = watch(kind)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    found = compare()
    again = compare()
    repaired = kind.repair(found[0])
    assert sys.stdout is old
    assert [(leftover.kind, leftover.key, leftover.altered) for leftover in found] == [("stdio", "sys.stdout", True)]
    assert found[0].detail == "sys.stdout is another object now, of type StringIO"
    assert again == found
    assert repaired is True
    assert compare() == []


def test_a_stream_put_back_is_no_difference(watch: Watch) -> None:
    """A stream redirected for a while is not reported."""
    compare = watch(StandardStreams())
    old, sys.stderr = sys.stderr, io.StringIO()
    sys.stderr = old
    assert compare() == []
