"""Every kind detects its canary, and finds nothing when nothing was left."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_maskcheck.resources import Kind, Surroundings, all_kinds, kind_names, self_test
from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.kinds.locks import Locks
from pytest_maskcheck.system.frozen_heap import FrozenHeap

ALL = [pytest.param(index, id=name) for index, name in enumerate(kind_names())]


@pytest.fixture
def kind(request: pytest.FixtureRequest, surroundings: Surroundings) -> Kind:
    """Return one of the kinds that this platform offers."""
    return all_kinds(surroundings)[request.param]


@pytest.mark.parametrize("kind", ALL, indirect=True)
def test_a_kind_sees_its_canary(kind: Kind) -> None:
    """The self-test passes for each kind: it detects its own canary."""
    assert self_test([kind]) == {}


@pytest.mark.parametrize("kind", ALL, indirect=True)
def test_a_canary_is_undone(kind: Kind, frozen_heap: None) -> None:
    """Leaving the canary's context undoes what the canary left, and ``finish`` removes what the snapshot installed."""
    outer = kind.snapshot()
    try:
        self_test([kind])
        assert [leftover for leftover in kind.compare(outer) if leftover.kind != "implicit"] == []
    finally:
        kind.finish(outer)


@pytest.mark.parametrize("kind", ALL, indirect=True)
def test_nothing_is_seen_where_nothing_is(kind: Kind) -> None:
    """A kind finds nothing in a thousand runs that do nothing, and its own objects do not pile up."""
    kind.prepare()
    gc.collect()
    FrozenHeap.freeze()
    try:
        for _ in range(1000):
            before = kind.snapshot()
            assert kind.compare(before) == []
            assert kind.compare(before) == []
            kind.finish(before)
        del before
        gc.collect()
        # The heap is frozen, so only objects made by the thousand rounds are listed here.
        assert len(gc.get_objects()) < 100
    finally:
        FrozenHeap.thaw()


@pytest.mark.parametrize("kind", ALL, indirect=True)
def test_a_kind_stays_quiet_if_runs_are_not_finished(kind: Kind, frozen_heap: None) -> None:
    """A snapshot that was never finished does not disturb a later one."""
    first = kind.snapshot()
    for _ in range(100):
        assert kind.compare(kind.snapshot()) == []
    kind.finish(first)


@pytest.mark.parametrize("kind", ALL, indirect=True)
def test_a_canary_is_repaired_or_honestly_not(kind: Kind, frozen_heap: None) -> None:
    """If ``repair`` returns true for the canary, the canary is no longer found."""
    if kind.name == "implicit":
        pytest.skip("a warning cannot be taken back")
    canary = kind.canary()
    before = kind.snapshot()
    try:
        with _whatever_its_end(canary):
            (leftover, *_) = kind.compare(before)
            if kind.repair(leftover):
                assert leftover not in kind.compare(before)
    finally:
        kind.finish(before)


class _whatever_its_end:  # noqa: N801
    """Enters a canary, and ignores the error that its exit raises when nothing is left to undo."""

    def __init__(self, canary: object) -> None:
        self.canary = canary

    def __enter__(self) -> None:
        self.canary.__enter__()  # type: ignore[attr-defined]

    def __exit__(self, *details: object) -> None:
        try:
            self.canary.__exit__(*details)  # type: ignore[attr-defined]
        except (OSError, RuntimeError, ValueError):
            pass


def test_a_sabotaged_detector_is_found_out() -> None:
    """A kind that finds nothing, and one that fails, do not pass the self-test."""

    class Blind(Locks):
        name = "blind"

        def compare(self, before: object) -> list[object]:  # type: ignore[override]
            return []

    class Failing(Locks):
        name = "failing"

        def snapshot(self) -> object:
            raise RuntimeError("out of order")

    class Leaving(Locks):
        name = "leaving"

        def snapshot(self) -> object:
            raise SystemExit("not here")

    class Mute(Locks):
        name = "mute"

        def canary(self) -> nullcontext[None]:  # type: ignore[override]
            return nullcontext()

    reasons = self_test([Blind(), Failing(), Leaving(), Mute(), Locks()])
    assert reasons == {
        "blind": "it did not see its canary, but nothing at all",
        "failing": "RuntimeError: out of order",
        "leaving": "SystemExit: not here",
        "mute": "it did not see its canary, but nothing at all",
    }


def test_what_may_make_a_kind_blind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the first few replaced functions of the standard library, and what was found instead of the canary."""

    class Misled(Locks):
        name = "misled"

        def compare(self, before: object) -> list[Leftover]:
            return [replace(leftover, kind="lock") for leftover in super().compare(before)]

    for name in ("kill", "stat", "dup", "pipe"):
        monkeypatch.setattr(os, name, lambda *_: None)
    (reason,) = self_test([Misled()]).values()
    assert re.fullmatch(
        r"it did not see its canary, but lock .*; replaced in this process: os\.\w+, os\.\w+, os\.\w+ and 1 more",
        reason,
    )


def test_names_are_unique() -> None:
    """No two kinds have the same name."""
    assert len(set(kind_names())) == len(kind_names())


def test_the_package_is_light() -> None:
    """Importing the kinds imports neither pytest nor coverage nor subprocess."""
    code = (
        "import sys, pytest_maskcheck.resources;"
        "print([name for name in ('pytest', '_pytest', 'coverage', 'subprocess') if name in sys.modules])"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-S", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, env=environ, check=True).stdout == "[]\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="children are listed in /proc")
def test_canaries_leave_no_process_behind() -> None:
    """Canaries leave no process behind, not even a helper that Python starts for itself, such as the resource tracker."""
    code = (
        "import os; from pytest_maskcheck.resources import Surroundings, all_kinds, self_test;"
        "assert self_test(all_kinds(Surroundings())) == {};"
        "assert open(f'/proc/self/task/{os.getpid()}/children').read() == ''"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


SHOWN = """
import sys
from pytest_maskcheck.resources import Surroundings, all_kinds
(kind,) = (kind for kind in all_kinds(Surroundings()) if kind.name == sys.argv[1])
with kind.canary():
    print("shown", flush=True)
    input()
"""


def _runs(group: int) -> bool:
    """Return whether any process of a group runs; a zombie does not count, since its new parent may never wait for it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    if not os.path.exists("/proc/self/stat"):
        return True
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group, *_ = path.read_text().rpartition(")")[2].split()
            if int(its_group) == group and state != "Z":
                return True
    return False


@pytest.mark.parametrize("name", ["child", "popen", "manager"])
def test_the_process_of_a_canary_ends_with_the_one_that_shows_it(name: str) -> None:
    """The process of a canary ends with the process that made it, even if that is killed; its open output would block a reader."""
    shown = subprocess.Popen(
        [sys.executable, "-c", SHOWN, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert shown.stdout.readline() == b"shown\n"
        shown.kill()
        shown.communicate(timeout=10)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if not _runs(shown.pid):
                return
            time.sleep(0.01)
        pytest.fail("a process is left")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shown.pid, signal.SIGKILL)
