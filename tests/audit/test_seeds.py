"""The seed cases: acquisitions and releases whose outcome is known at every point.

A comment in a program announces what an interrupt on its line leads to (see the fixture ``announced``). There must be
no other findings. All programs are audited in one session.
"""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit, Category, Verdict

PREAMBLE = """
import os, pytest, threading
LOCK = threading.Lock()
"""

PROGRAMS = {
    # Acquisition before ``try``
    "acquire_before_try": """
        @pytest.mark.interrupt_safe
        def test_it():
            LOCK.acquire()  # leak@call
            try:
                len("x")
            finally:
                LOCK.release()
        """,
    "with_lock": """
        @pytest.mark.interrupt_safe
        def test_it():
            with LOCK:
                len("x")
        """,
    "open_before_try": """
        @pytest.mark.interrupt_safe
        def test_it(tmp_path):
            fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)  # leak@call
            try:
                len("x")
            finally:
                os.close(fd)
        """,
    "with_open": """
        @pytest.mark.interrupt_safe
        def test_it(tmp_path):
            with open(tmp_path / "file", "w") as file:  # (implicit@call)
                file.write("x")
        """,
    # ``except BaseException: release(); raise``
    "release_and_raise": """
        @pytest.mark.interrupt_safe
        def test_it():
            LOCK.acquire()  # leak@call
            try:
                len("x")
            except BaseException:
                LOCK.release()
                raise
            LOCK.release()
        """,
    "release_and_raise_around_all": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                LOCK.acquire()
                len("x")
            except BaseException:
                LOCK.release()
                raise
            LOCK.release()
        """,
    "release_and_raise_too_early": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                LOCK.acquire()
            except BaseException:
                LOCK.release()
                raise
            len("x")  # leak@call
            LOCK.release()
        """,
    "release_and_raise_open": """
        @pytest.mark.interrupt_safe
        def test_it():
            fd = None
            try:
                fd = os.open(os.devnull, os.O_RDONLY)  # leak@call
                len("x")
            except BaseException:
                if fd is not None:
                    os.close(fd)
                raise
            os.close(fd)
        """,
    "release_in_python": """
        def release():  # leak@entry
            LOCK.release()

        @pytest.mark.interrupt_safe
        def test_it():
            try:
                LOCK.acquire()
                len("x")
            finally:
                release()
        """,
    # Context managers in Python
    "python_exit": """
        class Guard:
            def __enter__(self):
                self.fd = os.open(os.devnull, os.O_RDONLY)  # leak@call
            def __exit__(self, *exc):  # leak@entry
                os.close(self.fd)

        @pytest.mark.interrupt_safe
        def test_it():
            with Guard():
                len("x")
        """,
    "counter": """
        @pytest.mark.interrupt_safe
        def test_it():
            count = 0
            for _ in range(3):
                count += len("ab")
            assert count == 6
        """,
}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """The audits of all programs."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in PROGRAMS.items()})


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_point_meets_its_known_fate(audits, announced, found, name):
    """Exactly the points that the program's comments announce have a finding, and every point was audited."""
    audit = audits[name]
    assert not audit.refused
    assert found(audit) == announced(audit)
    assert audit.audited == len(audit.points)
    assert not audit.not_audited


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("acquire_before_try", ("leak", "lock", "test_acquire_before_try.LOCK")),
        ("open_before_try", ("leak", "fd", "<tmp_path>/file")),
        ("release_and_raise", ("leak", "lock", "test_release_and_raise.LOCK")),
    ],
)
def test_a_leak_before_try_is_one_defect_at_one_point(audits, name, about):
    """Acquisition before ``try`` is one defect that names the resource; its only point is the first call of the acquiring line."""
    (defect,) = audits[name].defects
    assert (defect.verdict, defect.kind, defect.key) == about
    (point,) = defect.points
    assert point.id == f"test_{name}.py:7:call#1"


def test_one_resource_lost_at_several_points_is_one_defect(audits):
    """A descriptor lost on entry to and on exit from a context manager written in Python makes one defect of each category."""
    defects = {defect.category: defect for defect in audits["python_exit"].failures}
    assert {
        category: [(point.function, point.kind) for point in defect.points] for category, defect in defects.items()
    } == {
        Category.OWN: [("Guard.__enter__", "call")],
        Category.CLEANUP: [("Guard.__exit__", "entry")],
    }


def test_a_with_statement_is_blamed_on_the_interpreter_where_that_is_at_fault(audits):
    """``with lock:`` loses the lock on CPython 3.14 only, and the defect is listed there with its issue number."""
    defects = audits["with_lock"].defects
    if sys.version_info[:2] != (3, 14):
        assert not defects
        return
    (defect,) = defects
    assert defect.verdict is Verdict.INTERPRETER
    assert not defect.fails
    assert "gh-148874" in defect.detail
