"""Interrupts that code in C drops: one lost in a finalizer is listed, one lost in a call fails.

The programs announce what must be reported. A comment ``# lost`` marks a function that a finalizer calls and that must be reported to
have lost the interrupt; ``# dropped`` marks a function that code in C calls and that must be reported to have dropped it. Nothing else
may be found.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit, Verdict

PREAMBLE = """
import functools, io, pytest, socket, sqlite3

class Source(io.RawIOBase):
    shut = False
"""

PROGRAMS = {
    "at_the_end_of_a_name": """
        class Named(Source):
            @property  # lost
            def closed(self):
                return self.shut

            def close(self):  # lost
                self.shut = True

        @pytest.mark.interrupt_safe
        def test_it():
            source = Named()
            source = None
        """,
    "at_a_return": """
        class Returned(Source):
            @property  # lost
            def closed(self):
                return True

        class Store:
            def take(self, name, *rest):
                source = Returned()
                return name

        @pytest.mark.interrupt_safe
        def test_it():
            names = ["a"]
            assert Store().take(*names) == "a"
        """,
    "within_a_call": """
        class Temporary(Source):
            @property  # lost
            def closed(self):
                return True

        @pytest.mark.interrupt_safe
        def test_it():
            assert len([str(Temporary())]) == 1
        """,
    "what_is_asked_for": """
        class Asked(Source):
            @property
            def closed(self):
                return self.shut

        KEPT = Asked()

        @pytest.mark.interrupt_safe
        def test_it():
            assert not KEPT.closed
        """,
    "in_a_callback_of_sqlite": """
        def allow(*about):  # dropped
            return sqlite3.SQLITE_OK

        @pytest.mark.interrupt_safe
        def test_it():
            connection = sqlite3.connect(":memory:", isolation_level=None)
            try:
                connection.set_authorizer(allow)
                try:
                    connection.execute("select 1")
                except sqlite3.DatabaseError:
                    pass
            finally:
                connection.close()
        """,
    "an_error_that_is_called_for": """
        class Key:
            def __hash__(self):
                return 1

            def __eq__(self, other):
                return True

        @pytest.mark.interrupt_safe
        def test_it():
            assert {Key(): 1}[Key()] == 1
            assert not hasattr(Key(), "name")
            assert sorted([2, 1], key=functools.cmp_to_key(lambda one, other: one - other)) == [1, 2]
        """,
}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """Return the audits of all programs, by name."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in PROGRAMS.items()})


def _announced(audit: Audit, mark: str) -> set[str]:
    lines = Path(audit.points[0].file).read_text(encoding="utf-8").splitlines()
    following = (line + lines[number + 1] for number, line in enumerate(lines) if line.endswith(f"# {mark}"))
    return {match[1] for text in following if (match := re.search(r"def (\w+)", text))}


@pytest.mark.parametrize("name", PROGRAMS)
def test_who_dropped_it_is_told(audits, name):
    """An interrupt lost by a finalizer in C is listed under the function that it called; one dropped by other code in C fails."""
    audit = audits[name]
    assert not audit.refused
    assert not audit.undecided
    swallowed = [each for each in audit.defects if each.verdict is Verdict.SWALLOWED]
    lost = [each for each in swallowed if each.kind == "finalizer"]
    dropped = [each for each in swallowed if each.kind == "exception"]
    told = {each.key.rpartition(".")[2] for each in lost}
    # From 3.13 on CPython prints what comes out of ``close``, with the object in place of the function.
    assert {"close" if each == "Named" else each for each in told} == _announced(audit, "lost")
    assert {each.key.rpartition(".")[2] for each in dropped} == _announced(audit, "dropped")
    assert not any(each.fails for each in lost)
    assert all(each.fails for each in dropped)


def test_an_interrupt_at_a_call_does_not_arrive_in_a_finalizer(audits):
    """Locals of the returning function die before the call checks for signals, so the interrupt comes out of the call."""
    audit = audits["at_a_return"]
    points = [point for point in audit.points if point.kind == "call"]
    lost = {point.id for each in audit.defects for point in each.points}
    assert not lost & {point.id for point in points}


FAILING = """
import io, pytest, socket, threading

LOCK = threading.Lock()

class Source(io.RawIOBase):
    @property
    def closed(self):
        LOCK.acquire()
        len("x")
        LOCK.release()
        return True

@pytest.mark.interrupt_safe
def test_a_lock():
    source = Source()
    del source

@pytest.mark.interrupt_safe
def test_a_socket():
    one = socket.socket()
    del one
"""


def test_what_stays_behind_makes_it_fail(audit):
    """A lock left held by a function that a finalizer in C calls fails; a library's function called in this way is named."""
    with_lock, with_socket = audit(FAILING).audits
    failing = {(each.verdict, each.kind) for each in with_lock.failures}
    assert failing == {(Verdict.LEAK, "lock"), (Verdict.SWALLOWED, "finalizer")}
    swallowed = [each for each in with_socket.defects if each.verdict is Verdict.SWALLOWED]
    assert "socket.__repr__" in {each.key for each in swallowed}  # on 3.11, what it warns with is, too
    assert not any(each.fails for each in swallowed)
