"""Where a leftover came from: the line that made it, what still refers to it, and what it blocks.

In each program, ``# origin`` marks the line that a defect comes from.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.points.ids import Names
from pytest_maskcheck.resources import Kind, Leftover
from pytest_maskcheck.results import Audit, Category
from pytest_maskcheck.runs import origins
from pytest_maskcheck.runs.origins import Watch

PREAMBLE = """
import os, pytest, select, signal, socket, subprocess, threading
LOCK = threading.Lock()
RLOCK = threading.RLock()
SLOTS = threading.Semaphore(2)
KEPT = {}

class Store:
    def __init__(self):
        self._lock = threading.Lock()
        self._files = []
"""

PROGRAMS = {
    # Made by calls that raise no audit event
    "pipe": """
        def make():
            return os.pipe()  # origin

        @pytest.mark.interrupt_safe
        def test_it():
            ends = make()
            len("x")
            os.close(ends[0]); os.close(ends[1])
        """,
    "dup": """
        @pytest.mark.interrupt_safe
        def test_it():
            len("x")
            fd = os.dup(1)  # origin
            len("x")
            os.close(fd)
        """,
    "epoll": """
        @pytest.mark.interrupt_safe
        def test_it():
            KEPT["epoll"] = select.epoll()  # origin
            len("x")
            KEPT.pop("epoll").close()
        """,
    "lock": """
        @pytest.mark.interrupt_safe
        def test_it():
            with LOCK:
                pass
            LOCK.acquire()  # origin
            len("x")
            LOCK.release()
        """,
    "rlock": """
        @pytest.mark.interrupt_safe
        def test_it():
            with RLOCK:
                len("x")
            RLOCK.acquire()  # origin
            RLOCK.release()
        """,
    "semaphore": """
        @pytest.mark.interrupt_safe
        def test_it():
            SLOTS.acquire()  # origin
            len("x")
            SLOTS.release()
        """,
    # Made by calls that raise one
    "file": """
        @pytest.mark.interrupt_safe
        def test_it(tmp_path):
            store = KEPT["store"] = Store()
            store._files.append(open(tmp_path / "a", "w"))  # origin
            len("x")
            store._files.pop().close()
        """,
    "socket": """
        @pytest.mark.interrupt_safe
        def test_it():
            KEPT["pair"] = socket.socketpair()  # origin
            len("x")
            for end in KEPT.pop("pair"):
                end.close()
        """,
    "path": """
        @pytest.mark.interrupt_safe
        def test_it(tmp_path):
            os.mkdir(tmp_path / "a")  # origin
            len("x")
            os.rmdir(tmp_path / "a")
        """,
    "child": """
        @pytest.mark.interrupt_safe
        def test_it():
            pid = os.posix_spawnp("sleep", ["sleep", "9"], os.environ)  # origin
            len("x")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        """,
    "thread": """
        @pytest.mark.interrupt_safe
        def test_it():
            end = threading.Event()
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()  # origin
            len("x")
            end.set()
            thread.join()
        """,
    # Altered state
    "cwd": """
        @pytest.mark.interrupt_safe
        def test_it(tmp_path):
            before = os.getcwd()
            os.chdir(tmp_path)  # origin
            len("x")
            os.chdir(before)
        """,
    "handler": """
        @pytest.mark.interrupt_safe
        def test_it():
            before = signal.signal(signal.SIGUSR1, print)  # origin
            len("x")
            signal.signal(signal.SIGUSR1, before)
        """,
    # Listed, but no failure
    "implicit": """
        @pytest.mark.interrupt_safe
        def test_it():
            epoll = select.epoll()  # origin
            len("x")
            epoll.close()
        """,
    # Pending from one line on, the interrupt arrives after a call of the next one
    "by_line": """
        @pytest.mark.interrupt_safe(points="line")
        def test_it():
            number = 1
            LOCK.acquire()
            LOCK.release()
        """,
    # A handler queues the interrupt, and the lock is taken later
    "deferred": """
        @pytest.mark.interrupt_safe
        def test_it():
            queue = []
            before = signal.signal(signal.SIGINT, lambda *arrival: queue.append(arrival))
            len("x")
            LOCK.acquire()  # taken
            signal.signal(signal.SIGINT, before)
            if queue:
                raise KeyboardInterrupt
            LOCK.release()
        """,
    # After the interrupt there is nothing to trace
    "afterwards": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                len("x")
            except KeyboardInterrupt:
                KEPT["late"] = os.dup(1)
                raise
        """,
}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """Return the audits of all programs, by name."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in PROGRAMS.items()})


def marked(audit: Audit) -> int:
    """Return the line that a program marks with ``# origin``."""
    lines = Path(audit.points[0].file).read_text(encoding="utf-8").splitlines()
    (line,) = (number for number, text in enumerate(lines, 1) if "# origin" in text)
    return line


@pytest.mark.parametrize("name", [name for name in PROGRAMS if "# origin" in PROGRAMS[name]])
def test_a_defect_comes_from_the_line_that_made_it(audits, name):
    """Every defect has the line that made the leftover as its origin, whether the call raises an audit event or not."""
    audit = audits[name]
    about = [defect for defect in audit.defects if defect.kind != "implicit" and defect.verdict != "interpreter"]
    inside = {"into", "back"}  # what is lost before a call out of scope returns may have no line in scope
    about = [defect for defect in about if defect.origin or not inside & {point.kind for point in defect.points}]
    assert about
    assert {defect.origin and defect.origin.place.line for defect in about} == {marked(audit)}


def test_what_is_made_after_the_interrupt_has_no_origin(audits):
    """A leftover made after the interrupt has no origin; on 3.11, where the interrupt is sent before the call, it may have one."""
    (defect,) = audits["afterwards"].defects
    assert defect.kind == "fd"
    assert defect.origin is None or audits["afterwards"].engine == "sys.settrace"


def test_what_is_made_while_the_interrupt_is_pending_has_no_origin(audits):
    """A leftover made between sending the interrupt, as a line begins, and its arrival has no origin."""
    (defect,) = audits["by_line"].defects
    assert (defect.kind, len(defect.points)) == ("lock", 2)
    assert defect.origin is None


def test_what_is_made_while_a_handler_keeps_the_interrupt_does_not_come_from_where_that_arrived(audits):
    """A leftover made after a handler deferred the interrupt does not come from the interrupted line, even on 3.11."""
    audit = audits["deferred"]
    lines = Path(audit.points[0].file).read_text(encoding="utf-8").splitlines()
    taken = next(number for number, text in enumerate(lines, 1) if "# taken" in text)
    early = [defect for defect in audit.defects if any(point.line == taken - 1 for point in defect.points)]
    assert early
    assert {defect.origin and defect.origin.place.line for defect in audit.defects} <= {None, taken}


def test_the_stack_goes_from_the_test_to_the_call(audits):
    """The stack of an origin has the frames from the test to the call, without those of pytest and the audit."""
    origin = audits["pipe"].defects[0].origin
    assert [frame.function for frame in origin.stack] == ["test_it", "make"]
    origin = audits["semaphore"].defects[0].origin
    assert origin.stack[0].function == "test_it" == origin.place.function
    assert origin.stack[-1].function == "Semaphore.acquire"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("file", "test_file.KEPT['store']._files[0]"),
        ("socket", "test_socket.KEPT['pair'][_]"),
        ("lock", "test_lock.LOCK"),
        ("rlock", "test_rlock.RLOCK"),
        ("semaphore", "test_semaphore.SLOTS"),
        ("dup", ""),
    ],
)
def test_who_holds_it(audits, name, path):
    """A leftover has a path of references to it; a bare descriptor has none, and of two like leftovers either path is shown."""
    defects = [defect for defect in audits[name].defects if defect.fails]
    found = [
        re.sub(r"^local variable .*", "", defect.origin.held_by).replace(".raw", "").replace(".buffer", "")
        for defect in defects
    ]
    if name == "socket":
        found = [re.sub(r"\[\d\]$", "[_]", each) for each in found]
    assert path in found


@pytest.mark.oldest_and_newest
def test_what_a_fixture_holds_is_named_as_one_writes_it(audit):
    """The path from a fixture's value shows neither pytest's cache of the value nor attribute dictionaries."""
    audited = audit("""
        import types, threading, pytest

        @pytest.fixture(scope="module")
        def pool():
            return types.SimpleNamespace(places=types.SimpleNamespace(lock=threading.Lock()))

        @pytest.mark.interrupt_safe
        def test_it(pool):
            pool.places.lock.acquire()
            len("x")
            pool.places.lock.release()
        """)
    (defect,) = audited.audit.failures
    assert defect.origin.held_by == "fixture pool.places.lock"


def test_who_waits_for_a_lock(audits):
    """A leaked lock lists where the uninterrupted test acquires it, by ``with`` or by call; other kinds list nothing."""
    (defect,) = audits["lock"].failures
    line = marked(audits["lock"])
    assert [frame.line for frame in defect.origin.waiting] == [line - 2, line]
    assert audits["pipe"].defects[0].origin.waiting == ()


def test_one_resource_of_two_origins_is_two_defects(audit):
    """Two descriptors with equal keys that were made on different lines are two defects, each with its own points."""
    audited = audit("""
        import os, pytest

        @pytest.mark.interrupt_safe
        def test_it():
            a = os.dup(1)
            len("x")
            os.close(a)
            b = os.dup(1)
            os.close(b)
        """)
    defects = audited.audit.defects
    assert [(defect.kind, defect.origin.place.line) for defect in defects] == [("fd", 5), ("fd", 8)]
    assert len({defect.key for defect in defects}) == 1
    assert [[point.line for point in defect.points] for defect in defects] == [[5, 6], [8]]
    assert [lines for defect in defects for _, lines in defect.lines] == ["5-6", "8"]


def test_the_report_tells_all_of_it(audit):
    """The terminal shows a lock's origin, what holds it, and where the test would block on it."""
    result = audit(PREAMBLE + dedent(PROGRAMS["lock"])).result
    result.stdout.fnmatch_lines(
        [
            "leak: lock *.LOCK",
            "  interrupted *.py:*:call#1, *",
            "  lost at     *.py:*-* (2 points)",
            "  came from   *.py:* in test_it",
            "  held by     *.LOCK",
            "  blocks      whoever acquires it next: *.py:* in test_it, *.py:* in test_it",
        ]
    )


class Counted(Kind):
    """A kind whose leftovers are the items of a list."""

    name = "counted"

    def __init__(self) -> None:
        self.things: list[str] = []
        self.looks = 0

    def snapshot(self) -> object:
        return len(self.things)

    def compare(self, before: object) -> list[Leftover]:
        self.looks += 1
        return [Leftover(self.name, thing, thing, thing) for thing in self.things]

    def canary(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def watched() -> Callable[..., tuple[Watch, Counted]]:
    """Return a function that watches a call, and passes it the list whose items are leftovers."""

    def watched(function, **more) -> tuple[Watch, Counted]:
        kind = Counted()
        watch = Watch(Names(os.getcwd()), lambda path: path == __file__, frozenset({kind.name}), **more)
        watch.compare_with([kind], [kind.snapshot()])
        with watch:
            function(kind.things)
        return watch, kind

    return watched


def calls(things: list[str]) -> None:
    """Make 3000 calls, one of which leaves something."""
    for number in range(3000):
        (things.append if number == 2000 else len)("x")


def test_looks_become_rarer_when_the_budget_is_spent(watched, monkeypatch):
    """With the budget spent, the first run finds a stretch of calls, and a second run finds the call within it."""
    exact, kind = watched(calls)
    looks = kind.looks
    (sighting,) = exact.seen.values()
    assert sighting.exact

    monkeypatch.setattr(origins, "BUDGET", 0.0)
    rough, kind = watched(calls)
    assert kind.looks < looks / 100
    (stretch,) = (sighting.stretch for sighting in rough.seen.values())
    assert stretch[0] < sighting.stretch[1] <= stretch[1]

    closer, _ = watched(calls, stretch=stretch)
    (again,) = closer.seen.values()
    assert again.exact
    assert (again.stretch, again.origin.place) == (sighting.stretch, sighting.origin.place)


def test_what_went_and_came_again_has_its_last_origin(watched):
    """A resource that was released and acquired again comes from the last place."""

    def twice(things: list[str]) -> None:
        things.append("x")
        things.remove("x")
        things.append("x")

    watch, _ = watched(twice)
    (sighting,) = watch.seen.values()
    assert sighting.origin.place.line == twice.__code__.co_firstlineno + 3
    assert [frame.line - twice.__code__.co_firstlineno for frame in watch.places["counted", "x"]] == [1, 3]


def silently(things: list[str]) -> partial[None]:
    """Return a callable that appends to a list without a profile event: a type in C that calls C."""
    return partial(things.append, "x")


# Tests count lines from the ``def`` of this function and the next one: adding a line to either shifts what they expect.
def jumps_over(things: list[str]) -> None:
    """Leave something by a call without an event, before a branch that is not taken."""
    make, fail = silently(things), partial(len, "x")
    len("x")
    make()
    if make is None:
        fail()
    len("x")


def takes_one_branch(things: list[str]) -> None:
    """Leave something in one of two branches, by a call without an event."""
    make = silently(things)
    len("x")
    if not things:
        make()
    else:
        make()
    len("x")


EXECUTOR = """
import threading, pytest
from concurrent.futures import ThreadPoolExecutor

KEPT = {}

class Scheduler:
    def __init__(self):
        self.pool = ThreadPoolExecutor(1)  # origin
        KEPT["pool"] = self.pool
        self.ran = threading.Event()

    def main(self):
        self.pool.submit(self.ran.set)

@pytest.mark.interrupt_safe
def test_it():
    scheduler = Scheduler()
    thread = threading.Thread(target=scheduler.main)
    thread.start()
    assert scheduler.ran.wait(5)
    thread.join()
    len("x")
    scheduler.pool.shutdown()
"""


def test_an_executor_comes_from_where_it_was_made(audit):
    """An executor comes from the line that made it, although it counts only once it has a thread, which another thread may start."""
    audited = audit(EXECUTOR).audit
    lines = Path(audited.points[0].file).read_text(encoding="utf-8").splitlines()
    (made,) = [number for number, text in enumerate(lines, 1) if text.endswith("# origin")]
    defects = [each for each in audited.failures if each.kind == "executor"]
    assert {each.origin and each.origin.place.line for each in defects} == {made}
    assert {each.category for each in defects} == {Category.OWN}


def waits_for_another(things: list[str]) -> None:
    """Wait for a thread that leaves something."""
    begins, made, ends = (threading.Lock() for _ in range(3))
    for lock in (begins, made, ends):
        lock.acquire()

    def make() -> None:
        begins.acquire()
        things.append("x")
        made.release()
        ends.acquire()

    thread = threading.Thread(target=make)
    thread.start()
    begins.release()
    made.acquire()
    ends.release()
    thread.join()


def test_what_another_thread_made_has_no_origin(watched):
    """A leftover made by another thread has no origin, since the position of the main thread means nothing then."""
    watch, _ = watched(waits_for_another)
    assert not any(sighting.exact for sighting in watch.seen.values())
    assert not watch.places


def test_what_was_jumped_over_made_nothing(watched):
    """A leftover made by a call without an event is attributed to a call that ran, not to one in a branch that did not."""
    watch, _ = watched(jumps_over)
    (sighting,) = watch.seen.values()
    assert sighting.origin.place.line == jumps_over.__code__.co_firstlineno + 4


@pytest.mark.skipif(not facts.HAS_MONITORING, reason="which lines ran is not known")
def test_the_branch_that_was_taken_made_it(watched):
    """A leftover is attributed to a call in the branch that was taken."""
    watch, _ = watched(takes_one_branch)
    (sighting,) = watch.seen.values()
    assert sighting.origin.place.line == takes_one_branch.__code__.co_firstlineno + 5


def test_a_watch_ends_and_leaves_no_profile_function(watched):
    """An interrupted watch ends, records nothing more, and leaves no profile function."""
    import sys

    def interrupted(things: list[str]) -> None:
        watch = sys.getprofile().__self__
        things.append("before")
        watch.interrupt()
        things.append("after")

    watch, _ = watched(interrupted)
    assert sys.getprofile() is None
    assert [token for _, token in watch.seen] == ["before"]


def test_a_profile_function_of_the_test_is_left_alone(watched):
    """A test that profiles itself ends the watch, and keeps its own function."""
    import sys

    def profile(*_: object) -> None:
        pass

    try:
        watched(lambda things: sys.setprofile(profile))
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
