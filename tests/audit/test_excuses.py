"""Which findings are attributed to CPython: only those that an interrupt past its defect does not cause.

Each body breaks ``depth``, which nothing restores after an interrupt, and takes a lock that its handler releases. At the points of a
defect, the depth is the body's own finding, and the lock is CPython's.
"""

from __future__ import annotations

import re
import sys
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.interrupts.cpython.entering import with_checks_on_entering
from pytest_maskcheck.results import Audit, Verdict

if TYPE_CHECKING:
    from tests.conftest import AuditTogether

PREAMBLE = """
    import threading
    import pytest

    LOCK = threading.Lock()
    OTHER = threading.Lock()
    REENTRANT = threading.RLock()
    DEPTH = [0]
    FAILING = []

    class Entered:
        def __enter__(self):
            pass

        def __exit__(self, *details):
            pass

    def run(coroutine):
        try:
            coroutine.send(None)
        except StopIteration:
            pass

    @pytest.mark.interrupt_safe{settings}
    def test_it(maskcheck):
        maskcheck.unchanged(lambda: DEPTH[0], "depth")
        n = 0
        DEPTH[0] = 1
    {body}
        DEPTH[0] = 0
"""

LOOPS = """
        LOCK.acquire()
        try:
            while n < 3:
                n += 1
            while True:
                n += 1
                if n == 6:
                    break
        FINALLY
        """

JUMPS = {
    "except": """
        LOCK.acquire()
        try:
            while n < 3:
                n += 1
            while True:
                n += 1
                if n == 6:
                    break
        except BaseException:
            LOCK.release()
            raise
        LOCK.release()
        """,
    "nested": """
        LOCK.acquire()
        try:
            try:
                for number in (1, 2, 3):
                    if number == 2:
                        continue
                    while n < 3:
                        n += 1
            except ValueError:
                pass
        FINALLY
        """,
    "with_block": """
        with LOCK:
            while n < 3:
                n += 1
        """,
    "one_line": """
        with LOCK:
            numbers = [number for number in (0, 1, 0) if number]
        """,
    "while_true": """
        LOCK.acquire()
        try:
            while True:
                n += 1
                if n == 3:
                    break
        FINALLY
        """,
    "generator": """
        def generate(n=0):
            LOCK.acquire()
            try:
                yield
                while n < 3:
                    n += 1
            FINALLY
        list(generate())
        """,
    "async_loop": """
        class Numbers:
            n = 0

            def __aiter__(self):
                return self

            async def __anext__(self):
                self.n += 1
                if self.n == 3:
                    raise StopAsyncIteration

        async def main(n=0):
            LOCK.acquire()
            try:
                async for _ in Numbers():
                    pass
                while n < 3:
                    n += 1
            FINALLY
        run(main())
        """,
}

UNUSABLE = """
        DEPTH[0] = 0
        if FAILING:
            raise AssertionError(FAILING)
        FAILING.append(1)
        try:
            while n < 3:
                n += 1
            while True:
                n += 1
                if n == 6:
                    break
        finally:
            FAILING.clear()
        DEPTH[0] = 0
"""

SETTINGS = {"snapshot": '(strategy="snapshot", hits=1)', "pairs": "(interrupts=2, hits=1, max_points=16)"}

ENTERED = """
        def inner():
            with LOCK:
                return 1
        with OTHER, LOCK:
            n = 1
        with LOCK: pass
        inner()
        """

ENTERED_AGAIN = """
        with LOCK, REENTRANT, REENTRANT:
            n = 1
        with REENTRANT:
            with REENTRANT:
                with Entered():
                    n = 2
        """

ASYNC_WITH = """
        class Held:
            async def __aenter__(self):
                LOCK.acquire()

            async def __aexit__(self, *details):
                LOCK.release()

        async def main():
            async with Held():
                len("x")
            len("y")
        run(main())
        """


CHECKS_BEFORE_JUMPING = sys.version_info[:2] in {(3, 13), (3, 14)}
"""Whether a jump checks before it is made. On 3.12 it checks afterwards: an interrupt is handled at the target and nothing escapes."""


def program(body: str, settings: str = "(hits=1)") -> str:
    text = dedent(PREAMBLE).replace("{settings}", settings)
    body = re.sub(r"^( *)FINALLY$", r"\1finally:\n\1    LOCK.release()", body, flags=re.MULTILINE)
    return text.replace("{body}", indent(dedent(body).strip(), "    "))


PROGRAMS = {name: program(body) for name, body in JUMPS.items()}
PROGRAMS |= {"unusable": program(UNUSABLE), "entered": program(ENTERED)}
PROGRAMS |= {"entered_again": program(ENTERED_AGAIN), "async_with": program(ASYNC_WITH)}
PROGRAMS |= {name: program(LOOPS, SETTINGS[name]) for name in SETTINGS}


@pytest.fixture(scope="module")
def audits(audit_together: AuditTogether) -> dict[str, Audit]:
    """The audits of all programs."""
    return audit_together(PROGRAMS)


def of(audit: Audit, point: str) -> set[tuple[Verdict, str, bool]]:
    (result,) = (result for result in audit.results if result.point == point)
    return {(finding.verdict, finding.kind, finding.fails) for finding in result.findings}


def test_jumps_escape_where_they_are_known_to(audits: dict[str, Audit]) -> None:
    """Several bodies have jumps compiled outside of their ``try`` on exactly the versions that are known to do so."""
    names = {name for name in (*JUMPS, *SETTINGS) if any("gh-130279" in each.defect for each in audits[name].points)}
    assert (len(names) >= 2) == (sys.version_info[:2] in {(3, 12), (3, 13), (3, 14)})


def test_code_that_an_escape_leaves_unusable_is_excused(audits: dict[str, Audit]) -> None:
    """If the next run fails only because the escape kept the handler from running, the finding is CPython's."""
    audit = audits["unusable"]
    for point in audit.points:
        if "gh-130279" in point.defect:
            assert of(audit, point.id) == ({(Verdict.INTERPRETER, "test", False)} if CHECKS_BEFORE_JUMPING else set())


@pytest.mark.parametrize("name", [*JUMPS, *SETTINGS])
def test_only_what_handlers_restore_is_excused_at_jumps(audits: dict[str, Audit], name: str) -> None:
    """At each jump that escapes its ``try``, the depth is the body's own finding, and the lock is CPython's."""
    audit = audits[name]
    assert not audit.refused
    assert not [result.reason for result in audit.results if "different" in result.reason]
    escaping = [point for point in audit.points if "gh-130279" in point.defect and not point.first]
    excused = 0
    for point in escaping:
        found = of(audit, point.id)
        assert (Verdict.INVARIANT, "unchanged", True) in found
        assert (Verdict.LEAK, "lock", True) not in found
        assert not {verdict for verdict, _, fails in found if fails} - {Verdict.INVARIANT}
        excused += any(verdict is Verdict.INTERPRETER for verdict, _, _ in found)
    if escaping and CHECKS_BEFORE_JUMPING and name != "async_loop":
        assert excused


@pytest.mark.parametrize(("name", "number"), [("entered", 4), ("entered_again", 5)])
def test_only_what_exit_restores_is_excused_at_with(audits: dict[str, Audit], name: str, number: int) -> None:
    """Where ``with`` lets interrupts in too early, the depth is the body's own finding, and the lock is CPython's.

    The detour around one ``__enter__`` does not end at another (``entered_again``), which would lose the same lock.
    """
    audit = audits[name]
    points = [point for point in audit.points if "gh-148874" in point.defect]
    assert len(points) == (number if with_checks_on_entering() else 0)
    for point in points:
        found = of(audit, point.id)
        assert (Verdict.INVARIANT, "unchanged", True) in found
        assert (Verdict.LEAK, "lock", True) not in found
        assert (Verdict.INTERPRETER, "lock", False) in found


def test_only_what_the_exit_of_async_with_undoes_is_excused(audits: dict[str, Audit]) -> None:
    """An interrupt between the call of ``__aexit__`` and its first step cannot be prevented; one at its entry can, as in ``__exit__``."""
    audit = audits["async_with"]
    points = [point for point in audit.points if "async with" in point.defect]
    assert len(points) == (1 if sys.version_info < (3, 14) else 0)
    for point in points:
        found = of(audit, point.id)
        assert (Verdict.INVARIANT, "unchanged", True) in found
        assert (Verdict.LEAK, "lock", True) not in found
        assert (Verdict.INTERPRETER, "lock", False) in found
    (entry,) = [each for each in audit.points if each.kind == "entry" and each.function.endswith("__aexit__")]
    assert (Verdict.LEAK, "lock", True) in of(audit, entry.id)


def test_nothing_else_is_excused(audits: dict[str, Audit]) -> None:
    """At a point without a CPython defect, no finding is attributed to CPython."""
    for audit in audits.values():
        for point in audit.points:
            if not point.defect:
                assert Verdict.INTERPRETER not in {verdict for verdict, _, _ in of(audit, point.id)}
