"""Warning filters."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.implicit_closes import ImplicitCloses
from pytest_maskcheck.resources.kinds.warning_filters import WarningFilters

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with warnings.catch_warnings():
        yield


@pytest.fixture(params=[False, True], ids=["alone", "watched"])
def watched(request: pytest.FixtureRequest, watch: Watch) -> bool:
    """Return whether the kind for ResourceWarnings is to install its list of filters after the snapshot."""
    return bool(request.param)


def _start(kind: WarningFilters, watch: Watch, watched: bool) -> object:
    compare = watch(kind)
    if watched:
        watch(ImplicitCloses(Surroundings()))
    return compare


def test_another_filter_is_altered_state(watch: Watch, watched: bool) -> None:
    """An added filter is reported in its written form, such as ``ignore:BytesWarning``; repair restores the former filters."""
    kind = WarningFilters()
    compare = _start(kind, watch, watched)
    warnings.simplefilter("ignore", BytesWarning)
    (leftover,) = found = compare()  # type: ignore[operator]
    assert (leftover.key, leftover.altered) == ("ignore:BytesWarning", True)
    assert leftover.detail == "a warning filter was added: ignore:BytesWarning"
    assert compare() == found  # type: ignore[operator]
    assert kind.repair(leftover) is True
    assert compare() == []  # type: ignore[operator]


def test_filters_that_are_gone_are_altered_state(watch: Watch, watched: bool) -> None:
    """Each removed filter is reported separately; repair restores them all."""
    warnings.filterwarnings("ignore", "some text", module="some_module")
    kind = WarningFilters()
    compare = _start(kind, watch, watched)
    warnings.resetwarnings()
    found = compare()  # type: ignore[operator]
    assert "a warning filter is gone: ignore:some text:Warning in some_module" in {each.detail for each in found}
    assert kind.repair(found[0]) is True
    assert compare() == []  # type: ignore[operator]


def test_filters_put_back_are_no_difference(watch: Watch, watched: bool) -> None:
    """Filters restored by a context manager or by hand are not reported."""
    compare = _start(WarningFilters(), watch, watched)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("error")
    with warnings.catch_warnings():
        warnings.resetwarnings()
    saved = warnings.filters[:]
    warnings.filters[:] = saved  # type: ignore[index]
    assert compare() == []  # type: ignore[operator]


@pytest.mark.skipif(
    getattr(sys.flags, "context_aware_warnings", False), reason="warnings.filters are not those in force"
)
@pytest.mark.parametrize(
    "undo",
    [
        pytest.param(lambda filters: filters.pop(0), id="pop"),
        pytest.param(lambda filters: filters.__delitem__(0), id="del"),
        pytest.param(lambda filters: filters.__setitem__(slice(None), filters[1:]), id="slice"),
        pytest.param(lambda filters: filters.remove(next(_named(filters))), id="remove"),
    ],
)
def test_a_filter_taken_away_by_hand_is_no_difference(
    watch: Watch, watched: bool, undo: Callable[[list[object]], object]
) -> None:
    """Removing the first filter by hand removes the one added last, not the watcher, and nothing is reported."""
    compare = _start(WarningFilters(), watch, watched)
    warnings.simplefilter("ignore", BytesWarning)
    undo(warnings.filters)  # type: ignore[arg-type]
    assert compare() == []  # type: ignore[operator]


def _named(filters: list[object]) -> Iterator[object]:
    return (item for item in filters if item[0] == "ignore" and item[2] is BytesWarning)  # type: ignore[index]


def test_what_shows_warnings_counts_too(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replaced function that shows warnings is altered state; repair restores it."""
    kind = WarningFilters()
    compare = watch(kind)
    monkeypatch.setattr(warnings, "showwarning", lambda *_: None)
    (leftover,) = compare()
    assert leftover.key == "showwarning"
    assert kind.repair(leftover) is True
    assert compare() == []


def test_recording_that_was_not_ended_is_seen(watch: Watch, watched: bool) -> None:
    """A recorder that was not exited is altered state, since no warning would be shown again; recorded warnings are not reported."""
    warnings.simplefilter("always", UserWarning)
    compare = _start(WarningFilters(), watch, watched)
    manager = warnings.catch_warnings(record=True)
    recorded = manager.__enter__()
    warnings.warn("some text", UserWarning, stacklevel=1)
    found = compare()  # type: ignore[operator]
    assert compare() == found  # type: ignore[operator]
    manager.__exit__(None, None, None)
    assert recorded is not None
    assert {leftover.key for leftover in found} <= {"_showwarnmsg_impl", "showwarning"}
    assert found or getattr(sys.flags, "context_aware_warnings", False)
    assert compare() == []  # type: ignore[operator]


def test_a_context_manager_that_was_not_left_is_seen(watch: Watch, watched: bool) -> None:
    """The filters of a ``catch_warnings`` that was not exited stay in force and are reported."""
    compare = _start(WarningFilters(), watch, watched)
    manager = warnings.catch_warnings()
    manager.__enter__()
    warnings.simplefilter("error", BytesWarning)
    assert [leftover.key for leftover in compare()] == ["error:BytesWarning"]  # type: ignore[operator]
    manager.__exit__(None, None, None)
    assert compare() == []  # type: ignore[operator]
