"""Every verdict, with a program that gets it and a twin that does not.

A comment in a program announces what an interrupt on its line leads to (see the fixture ``announced``). There must be
no other findings. All programs are audited in one session.
"""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit

PREAMBLE = """
import os, pytest, signal, sys, threading, time
LOCK = threading.Lock()
"""

PROGRAMS = {
    # Released only by reference counting
    "implicit": """
        @pytest.mark.interrupt_safe
        def test_it():
            file = open(os.devnull)  # (implicit@call)
            file.read()  # (implicit@call)
            file.close()
        """,
    "implicit_strict": """
        @pytest.mark.interrupt_safe(strict=True)
        def test_it():
            file = open(os.devnull)  # implicit@call
            file.read()  # implicit@call
            file.close()
        """,
    "implicit_and_logged": """
        import logging

        def use(file):  # (implicit@entry)
            os.fstat(file.fileno())  # (implicit@call)

        @pytest.mark.interrupt_safe
        def test_it():
            try:
                file = open(os.devnull)  # (implicit@call)
                use(file)
                file.close()
            except BaseException as error:
                logging.exception("failed: %s", error)
                raise
        """,
    "implicit_and_warned": """
        async def work():
            len("x")

        @pytest.mark.interrupt_safe
        def test_it():
            coroutine = work()
            len("x")  # (implicit@call)
            coroutine.close()
        """,
    "implicit_not": """
        @pytest.mark.interrupt_safe(strict=True)
        def test_it():
            file = None
            try:
                file = open(os.devnull)  # implicit@call
                file.read()
            finally:
                if file is not None:
                    file.close()
        """,
    # Process state
    "altered": """
        @pytest.mark.interrupt_safe
        def test_it():
            os.environ["MASKCHECK_SEED"] = "1"
            len("x")  # altered@call
            del os.environ["MASKCHECK_SEED"]
        """,
    "altered_not": """
        @pytest.mark.interrupt_safe
        def test_it(monkeypatch):
            monkeypatch.setenv("MASKCHECK_SEED", "1")
            len("x")
        """,
    # The interrupt must come out
    "swallowed": """
        def tolerant():
            try:
                len("x")  # swallowed@call
            except BaseException:
                pass

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "swallowed_on_purpose": """
        def tolerant():
            try:
                len("x")
            except BaseException:
                pass

        @pytest.mark.interrupt_safe(may_swallow=True)
        def test_it():
            tolerant()
        """,
    "swallowed_not": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                len("x")
            except Exception:
                pass
        """,
    "finalizer": """
        class Closing:
            def __del__(self):  # (swallowed@entry)
                len("x")  # (swallowed@call)

        @pytest.mark.interrupt_safe
        def test_it():
            Closing()
        """,
    "finalizer_strict": """
        class Closing:
            def __del__(self):  # swallowed@entry
                len("x")  # swallowed@call

        @pytest.mark.interrupt_safe(strict=True)
        def test_it():
            Closing()
        """,
    "replaced": """
        @pytest.mark.interrupt_safe
        def test_it():
            done = []
            try:
                len("x")  # replaced@call
                done += [1]
            finally:
                done[0]
        """,
    "replaced_by_exit": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                len("x")  # replaced@call
            except KeyboardInterrupt:
                sys.exit(2)
        """,
    "replaced_not": """
        @pytest.mark.interrupt_safe
        def test_it():
            done = []
            try:
                len("x")
                done += [1]
            finally:
                done and done[0]
        """,
    # The code works afterwards
    "unusable": """
        STATE = {"busy": False}

        @pytest.mark.interrupt_safe
        def test_it():
            assert not STATE["busy"]
            STATE["busy"] = True
            len("x")  # unusable@call
            STATE["busy"] = False
        """,
    "unusable_hang": """
        STATE = {"busy": False}

        @pytest.mark.interrupt_safe(timeout=1)
        def test_it():
            while STATE["busy"]:
                time.sleep(0.01)
            STATE["busy"] = True
            len("x")  # unusable@call
            STATE["busy"] = False
        """,
    "unusable_not": """
        STATE = {"busy": False}

        @pytest.mark.interrupt_safe
        def test_it():
            assert not STATE["busy"]
            try:
                STATE["busy"] = True
                len("x")
            finally:
                STATE["busy"] = False
        """,
    # Cleaning up comes to an end
    "hang_lock": """
        @pytest.mark.interrupt_safe(timeout=1)
        def test_it():
            with LOCK:
                try:
                    len("x")  # hang@call
                except KeyboardInterrupt:
                    LOCK.acquire()
        """,
    "hang_lock_not": """
        @pytest.mark.interrupt_safe(timeout=1)
        def test_it():
            with LOCK:
                try:
                    len("x")
                except KeyboardInterrupt:
                    LOCK.acquire(timeout=0.01)
                    raise
        """,
    "hang_read": """
        READER, WRITER = os.pipe()

        @pytest.mark.interrupt_safe(timeout=1)
        def test_it():
            try:
                len("x")  # hang@call
                os.write(WRITER, b"x")
            finally:
                os.read(READER, 1)
        """,
    "hang_read_not": """
        READER, WRITER = os.pipe()

        @pytest.mark.interrupt_safe(timeout=1)
        def test_it():
            try:
                len("x")
            finally:
                os.write(WRITER, b"x")
                os.read(READER, 1)
        """,
    "hang_masked": """
        @pytest.mark.interrupt_safe(timeout=1)
        def test_it():
            try:
                len("x")  # hang@call
            except KeyboardInterrupt:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
                while True: pass
        """,
    # The process lives on
    "crash_abort": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                len("x")  # crash@call
            except KeyboardInterrupt:
                os.abort()
        """,
    "crash_exit": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                len("x")  # crash@call
            except KeyboardInterrupt:
                os._exit(3)
        """,
    "crash_signal": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                len("x")  # crash@call
            except KeyboardInterrupt:
                os.kill(os.getpid(), signal.SIGSEGV)
        """,
    "crash_not": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                len("x")
            except OSError:
                os.abort()
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
        ("altered", ("altered", "environ", "MASKCHECK_SEED")),
        ("swallowed", ("swallowed", "exception", "tolerant")),
        ("finalizer", ("swallowed", "finalizer", "Closing.__del__")),
        ("replaced", ("replaced", "exception", "IndexError")),
        ("replaced_by_exit", ("replaced", "exception", "SystemExit")),
        ("unusable", ("unusable", "test", "AssertionError")),
        ("unusable_hang", ("unusable", "test", "hang")),
        ("hang_lock", ("hang", "process", "test_hang_lock.py:11")),
        ("hang_read", ("hang", "process", "test_hang_read.py:13")),
        ("hang_masked", ("hang", "process", "test_hang_masked.py:11")),
        ("crash_abort", ("crash", "process", "test_crash_abort.py:10")),
        ("crash_signal", ("crash", "process", "test_crash_signal.py:10")),
    ],
)
def test_a_defect_names_what_it_is_about(audits, name, about):
    """A program's only defect names the resource, the exception or the place that it is about."""
    (defect,) = (defect for defect in audits[name].defects if defect.verdict != "interpreter")
    assert (defect.verdict, defect.kind, defect.key) == about


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("crash_abort", "killed by SIGABRT"),
        ("crash_exit", "the process exited with status 3"),
        ("crash_signal", "killed by SIGSEGV"),
        ("unusable", "the next run of the test raised AssertionError"),
        ("unusable_hang", "the next run of the test hung"),
        ("replaced_by_exit", "SystemExit: 2 came out instead of the interrupt"),
        ("finalizer", "Closing.__del__, a finalizer"),
    ],
)
def test_a_defect_says_what_happened(audits, name, detail):
    """The detail of a defect states how the process ended, how the next run failed, or what replaced the interrupt."""
    (defect,) = audits[name].defects
    assert detail in defect.detail
