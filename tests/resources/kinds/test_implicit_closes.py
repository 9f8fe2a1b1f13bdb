"""Resources that only the interpreter closed, as ResourceWarnings report them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings, warning_watcher
from pytest_maskcheck.resources.kinds.implicit_closes import ImplicitCloses
from pytest_maskcheck.resources.warning_watcher import Filters

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture
def kind(surroundings: Surroundings) -> ImplicitCloses:
    """Return the kind."""
    return ImplicitCloses(surroundings)


def drop(path: Path) -> None:
    """Open a file and let the interpreter close it."""
    file = open(path, "w")
    del file


@pytest.mark.parametrize("action", ["ignore", "always", "default", "once"])
def test_an_unclosed_file_is_a_leftover_whatever_the_filters(
    kind: ImplicitCloses, watch: Watch, tmp_path: Path, action: str
) -> None:
    """A file closed by the interpreter is a leftover; its key is the warning's text without the parts that vary between runs."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter(action)  # type: ignore[arg-type]
        for _ in range(2):
            before = kind.snapshot()
            assert kind.compare(before) == []
            drop(tmp_path / "x")
            (leftover,) = kind.compare(before)
            kind.finish(before)
            assert (leftover.kind, leftover.key, leftover.altered) == ("implicit", "unclosed file <tmp_path>/x", False)
            assert leftover.detail.startswith("unclosed file <_io.TextIOWrapper")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_warning_that_is_an_error_is_seen(kind: ImplicitCloses, watch: Watch, tmp_path: Path) -> None:
    """A warning that a filter turns into an error is recorded, although raised in a finalizer the error itself is lost."""
    raised = []
    old, sys.unraisablehook = sys.unraisablehook, lambda details: raised.append(details.exc_type)
    try:
        with warnings.catch_warnings():
            compare = watch(kind)
            warnings.simplefilter("error")
            drop(tmp_path / "x")
            assert [leftover.key for leftover in compare()] == ["unclosed file <tmp_path>/x"]
    finally:
        sys.unraisablehook = old
    assert raised == [ResourceWarning]


def test_texts_are_normalised(kind: ImplicitCloses, watch: Watch) -> None:
    """Numbers and addresses in a warning's text are replaced, so that keys are equal in every run."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        compare = watch(kind)
        unclosed = socket.socket()
        del unclosed
        warnings.warn("unclosed <Loop at 0x7f3a2b> fd=12", ResourceWarning, stacklevel=1)
        keys = [leftover.key for leftover in compare()]
    assert keys[0].startswith("unclosed <socket.socket fd=#")
    assert keys[1] == "unclosed <Loop at #x#> fd=#"


def test_other_warnings_and_closed_files_do_not_count(kind: ImplicitCloses, watch: Watch, tmp_path: Path) -> None:
    """Warnings other than ResourceWarning are no leftovers, nor are files that were closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare = watch(kind)
        warnings.warn("another", UserWarning, stacklevel=1)
        (tmp_path / "x").write_text("closed")
        assert compare() == []


def test_other_warnings_go_where_they_went_before(kind: ImplicitCloses, watch: Watch, tmp_path: Path) -> None:
    """Watching does not change which warnings are shown, recorded or raised."""
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        warnings.filterwarnings("error", "bad")
        warnings.filterwarnings("ignore", "dull")
        watch(kind)
        warnings.warn("shown", UserWarning, stacklevel=1)
        warnings.warn("dull", UserWarning, stacklevel=1)
        with pytest.raises(DeprecationWarning, match="bad"):
            warnings.warn("bad", DeprecationWarning, stacklevel=1)
        drop(tmp_path / "x")
    assert [warning.category for warning in log] == [UserWarning, ResourceWarning]


def test_recorders_in_the_test_body_work(kind: ImplicitCloses, tmp_path: Path) -> None:
    """``pytest.warns``, ``catch_warnings`` and new filters work in the body, and hide nothing from the kind."""
    before = kind.snapshot()
    try:
        with pytest.warns(UserWarning, match="expected"):
            warnings.warn("expected", UserWarning, stacklevel=1)
        with pytest.warns(ResourceWarning):
            drop(tmp_path / "warns")
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            drop(tmp_path / "recorded")
        with warnings.catch_warnings():
            warnings.resetwarnings()
            warnings.simplefilter("ignore")
            drop(tmp_path / "reset")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", append=False)
            warnings.filterwarnings("error", append=True)
            drop(tmp_path / "ignored")
        found = kind.compare(before)
    finally:
        kind.finish(before)
    assert len(log) == 1
    assert [leftover.key.rpartition("/")[2] for leftover in found] == ["warns", "recorded", "reset", "ignored"]


def test_recwarn_works(kind: ImplicitCloses, watch: Watch, recwarn: pytest.WarningsRecorder, tmp_path: Path) -> None:
    """A recorder installed before the snapshot still records."""
    compare = watch(kind)
    drop(tmp_path / "x")
    assert [warning.category for warning in recwarn.list] == [ResourceWarning]
    assert len(compare()) == 1


def test_finish_puts_the_filters_back(kind: ImplicitCloses) -> None:
    """``finish`` puts the original list of filters back in force, even if the run left a ``catch_warnings`` open."""
    with warnings.catch_warnings():
        filters = warnings.filters
        copy = list(filters)
        before = kind.snapshot()
        left_open = warnings.catch_warnings()
        left_open.__enter__()
        warnings.simplefilter("ignore")
        kind.finish(before)
        assert warnings.filters is filters
        assert list(filters) == copy


def test_context_aware_warnings_are_seen(tmp_path: Path) -> None:
    """With ``-X context_aware_warnings``, where filters belong to a context, warnings are seen too."""
    if not hasattr(sys.flags, "context_aware_warnings"):
        pytest.skip("no context-aware warnings")
    code = """if True:
        import os, warnings
        from pytest_maskcheck.resources import Surroundings
        from pytest_maskcheck.resources.kinds.implicit_closes import ImplicitCloses
        kind = ImplicitCloses(Surroundings())
        def drop():
            file = open(os.devnull)
        for nested in False, True:
            with warnings.catch_warnings(record=nested):
                warnings.simplefilter("always" if nested else "ignore")
                before = kind.snapshot()
                drop()
                with warnings.catch_warnings(record=True) as log:
                    warnings.simplefilter("always")
                    file = open("/dev/zero", "rb")
                    del file
                print(len(log), [leftover.key for leftover in kind.compare(before)])
                kind.finish(before)
    """
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-X", "context_aware_warnings=1", "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, env=environ, check=True).stdout
    assert shown == "1 ['unclosed file /dev/null', 'unclosed file /dev/zero']\n" * 2


def test_the_list_of_filters_keeps_its_watcher_first() -> None:
    """The list of filters keeps its watcher first, whatever is done to it, and so do its copies."""
    filters = Filters("watcher", ["a", "b"])
    filters.insert(0, "c")
    filters.append("d")
    assert filters == ["watcher", "c", "a", "b", "d"]
    copy = filters[:]
    filters[:] = ["e"]
    assert filters == ["watcher", "e"]
    filters.clear()
    assert filters == ["watcher"]
    copy.insert(0, "f")
    assert copy == ["watcher", "f", "c", "a", "b", "d"]
    assert copy.others() == ["f", "c", "a", "b", "d"]


def test_watching_calls_no_python_function(kind: ImplicitCloses, watch: Watch, tmp_path: Path) -> None:
    """A warning is recorded without calling Python code of the plugin, so that no signal can be handled there."""
    called: list[str] = []
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        compare = watch(kind)
        old = sys.getprofile()
        sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_filename) if event == "call" else None)
        try:
            file = open(tmp_path / "x", "w")
            del file
        finally:
            sys.setprofile(old)
        assert len(compare()) == 1
    assert warning_watcher.__file__ not in called


def test_a_suite_that_makes_warnings_errors_does_not_stop_finalizers(kind: ImplicitCloses, watch: Watch) -> None:
    """A finalizer that warns runs to its end, although warnings are errors: ``Popen.__del__`` warns before it reaps its child."""

    class Closing:
        """A class that warns, then closes."""

        closed = False

        def __del__(self) -> None:
            warnings.warn("unclosed thing", ResourceWarning, stacklevel=1)
            Closing.closed = True

    with warnings.catch_warnings(record=True):
        warnings.simplefilter("error")
        compare = watch(kind)
        Closing()
        assert Closing.closed
        assert [leftover.key for leftover in compare()] == ["unclosed thing"]
