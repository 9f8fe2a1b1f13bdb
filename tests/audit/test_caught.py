"""Who caught an interrupt that did not come out: the test itself, the code that it tests, or code out of scope.

``# caught`` marks a line that the audit must name as the one that caught the interrupt, and that must make the test fail;
``# (caught)`` marks a line that is only listed. There must be no other findings. All programs are audited in one session.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest

from pytest_maskcheck.results import Audit, Category, Verdict

PREAMBLE = """
import asyncio, contextlib, pytest, signal, threading, unittest
LOCK = threading.Lock()

def work():
    return str(1)

def interrupted():
    str(1)
    raise KeyboardInterrupt
"""

PROGRAMS = {
    # The code under test
    "and_an_assertion": """
        def tolerant():
            try:
                return work()
            except BaseException:  # caught
                return None

        @pytest.mark.interrupt_safe
        def test_it():
            assert tolerant() == "1"
        """,
    "the_clause_that_matches": """
        def tolerant():
            try:
                return work()
            except ValueError:
                return "value"
            except (OSError, LookupError) as error:
                return error
            except (EOFError, KeyboardInterrupt) as error:  # caught
                return error
            except BaseException:
                return "any"

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "a_clause_on_one_line": """
        def tolerant():
            try: work()
            except ValueError: pass
            except: pass  # caught

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "behind_other_handlers": """
        def tolerant():
            try:
                with LOCK:
                    try:
                        work()
                    finally:
                        len("x")
            except KeyboardInterrupt:  # caught
                pass

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "in_a_caller": """
        def inner():
            try:
                work()
            except KeyboardInterrupt:
                raise

        def outer():
            try:
                inner()
            except KeyboardInterrupt as error:  # caught
                del error

        @pytest.mark.interrupt_safe
        def test_it():
            outer()
        """,
    "by_suppress": """
        def tolerant():
            with contextlib.suppress(KeyboardInterrupt):  # caught
                work()

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "by_an_exit_stack": """
        def tolerant():
            with contextlib.ExitStack() as stack:  # caught
                stack.enter_context(contextlib.suppress(KeyboardInterrupt))
                work()

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "by_an_exit_in_the_test": """
        class Tolerant:
            def __enter__(self):
                pass

            def __exit__(self, *details):
                return True

        @pytest.mark.interrupt_safe
        def test_it():
            with Tolerant():  # caught
                work()
        """,
    "by_an_exit_of_a_coroutine": """
        class Tolerant:
            async def __aenter__(self):
                pass

            async def __aexit__(self, *details):
                await asyncio.sleep(0)
                return True

        def run(coroutine):
            with contextlib.suppress(StopIteration):
                while True:
                    coroutine.send(None)

        @pytest.mark.interrupt_safe
        def test_it():
            async def main():
                async with Tolerant():  # caught
                    work()
            run(main())
        """,
    "in_a_generator": """
        @contextlib.contextmanager
        def tolerant():
            try:
                yield
            except KeyboardInterrupt:  # caught
                pass

        @pytest.mark.interrupt_safe
        def test_it():
            with tolerant():
                work()
        """,
    "by_finally": """
        def tolerant():
            try:
                return work()
            finally:
                return "2"  # caught

        @pytest.mark.filterwarnings("ignore::SyntaxWarning")
        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "by_a_group_clause": """
        def tolerant():
            try:
                work()
            except* ValueError:
                pass
            except* KeyboardInterrupt:  # caught
                pass

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "made_another_exception": """
        class Abort(Exception):
            pass

        def tolerant():
            try:
                work()
            except KeyboardInterrupt:  # caught
                raise Abort from None
            raise Abort

        @pytest.mark.interrupt_safe
        def test_it():
            with pytest.raises(Abort):
                tolerant()
        """,
    "before_an_interrupt_of_the_tests_own": """
        def tolerant():
            try:
                work()
            except BaseException:  # caught
                pass

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
            with pytest.raises(KeyboardInterrupt):
                raise KeyboardInterrupt
        """,
    "what_a_handler_raised": """
        def late(signum, frame):
            raise TimeoutError

        @pytest.fixture(autouse=True)
        def handler():
            before = signal.signal(signal.SIGUSR1, late)
            yield
            signal.signal(signal.SIGUSR1, before)

        def tolerant():
            try:
                return work()
            except OSError:  # caught
                return None

        @pytest.mark.interrupt_safe(signals="SIGUSR1")
        def test_it():
            assert tolerant() == "1"
        """,
    "after_a_way_of_its_own": """
        def tolerant():
            try:
                return work()
            except BaseException:  # caught
                return None

        @pytest.mark.interrupt_safe(strategy="snapshot")
        def test_it():
            assert tolerant() == "1"
        """,
    # The test itself
    "raises": """
        @pytest.mark.interrupt_safe
        def test_it():
            with pytest.raises(KeyboardInterrupt):  # (caught)
                interrupted()
        """,
    "raises_called": """
        @pytest.mark.interrupt_safe
        def test_it():
            pytest.raises(KeyboardInterrupt, interrupted)  # (caught)
        """,
    "raises_in_a_helper": """
        def check(function):
            with pytest.raises(KeyboardInterrupt):  # (caught)
                function()

        @pytest.mark.interrupt_safe
        def test_it():
            check(interrupted)
        """,
    "raises_and_an_assertion": """
        @pytest.mark.interrupt_safe
        def test_it():
            done = []
            with pytest.raises(KeyboardInterrupt):  # (caught)
                work()
                done.append(1)
                raise KeyboardInterrupt
            assert done == [1]
        """,
    "raises_a_group": """
        @pytest.mark.interrupt_safe
        def test_it():
            with pytest.RaisesGroup(KeyboardInterrupt, allow_unwrapped=True):  # (caught)
                interrupted()
        """,
    "suppress": """
        @pytest.mark.interrupt_safe
        def test_it():
            with contextlib.suppress(KeyboardInterrupt):  # (caught)
                work()
        """,
    "clause": """
        @pytest.mark.interrupt_safe
        def test_it():
            result = None
            try:
                result = work()
            except KeyboardInterrupt:  # (caught)
                pass
            assert result == "1"
        """,
    "within_the_test": """
        @pytest.mark.interrupt_safe
        def test_it():
            def body():
                try:
                    work()
                except KeyboardInterrupt:  # (caught)
                    pass
            body()
        """,
    "an_exit_within_the_test": """
        @pytest.mark.interrupt_safe
        def test_it():
            class Tolerant:
                def __enter__(self):
                    pass

                def __exit__(self, *details):
                    return True

            with Tolerant():  # (caught)
                work()
        """,
    "below_a_decorator": """
        import functools

        def decorated(function):
            @functools.wraps(function)
            def call(*args):
                return function(*args)
            return call

        @pytest.mark.interrupt_safe
        @decorated
        def test_it():
            with pytest.raises(KeyboardInterrupt):  # (caught)
                interrupted()
            with contextlib.suppress(KeyboardInterrupt):  # (caught)
                work()
        """,
    "assert_raises": """
        @pytest.mark.interrupt_safe
        class TestIt(unittest.TestCase):
            def test_it(self):
                with self.assertRaises(KeyboardInterrupt):  # (caught)
                    interrupted()
                self.assertRaises(KeyboardInterrupt, interrupted)  # (caught)
                with self.assertRaisesRegex(KeyboardInterrupt, ""):  # (caught)
                    interrupted()
        """,
    "assert_raises_in_a_coroutine": """
        @pytest.mark.interrupt_safe(signals="SIGUSR1")
        class TestIt(unittest.IsolatedAsyncioTestCase):
            def setUp(self):
                def late(signum, frame):
                    raise TimeoutError
                before = signal.signal(signal.SIGUSR1, late)
                self.addCleanup(signal.signal, signal.SIGUSR1, before)

            async def test_it(self):
                with self.assertRaises(TimeoutError):  # (caught)
                    work()
                    raise TimeoutError
        """,
    "held_by_a_mask": """
        @pytest.mark.interrupt_safe
        def test_it():
            with pytest.raises(KeyboardInterrupt):  # (caught)
                before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                try:
                    work()
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
                raise KeyboardInterrupt
        """,
    # Nobody
    "raises_something_else": """
        @pytest.mark.interrupt_safe
        def test_it():
            with pytest.raises(ValueError):
                work()
                raise ValueError
        """,
    "reraised": """
        @contextlib.contextmanager
        def passing():
            try:
                yield
            except BaseException:
                raise

        @pytest.mark.interrupt_safe
        def test_it():
            with passing(), contextlib.suppress(ValueError):
                work()
        """,
    "on_purpose": """
        def tolerant():
            try:
                work()
            except BaseException:
                pass

        @pytest.mark.interrupt_safe(may_swallow=True)
        def test_it():
            tolerant()
        """,
}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """The audits of all programs."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in PROGRAMS.items()})


@pytest.mark.parametrize("name", PROGRAMS)
def test_who_caught_it_is_named(audits, name):
    """The report names the line that caught the interrupt; the test fails only where code under test caught it."""
    audit = audits[name]
    assert not audit.refused
    assert not audit.undecided
    marks = re.compile(r"# (\()?caught")
    lines = Path(audit.points[0].file).read_text(encoding="utf-8").splitlines()
    announced = {(number, not match[1]) for number, text in enumerate(lines, 1) if (match := marks.search(text))}
    defects = [each for each in audit.defects if each.kind == "exception"]
    assert all(each.verdict is Verdict.SWALLOWED and each.origin is not None for each in defects)
    assert {(each.origin.place.line, each.fails) for each in defects} == announced


def test_what_the_test_raised_afterwards_is_told(audits):
    """An exception that the test raised after the interrupt was caught has not replaced it and is not a second defect."""
    for name in ("and_an_assertion", "clause"):
        (defect,) = [each for each in audits[name].defects if each.kind == "exception"]
        assert "then the test raised AssertionError" in defect.detail
    (defect,) = audits["and_an_assertion"].failures
    assert defect.traceback[-1].function == "work"


REPLACED = {
    "finally": ("AssertionError", """
        done = []
        try:
            str(1)
            done.append(1)
        finally:
            assert done
        """),
    "clean_up_in_a_clause": ("IndexError", """
        done = []
        try:
            str(1)
            done.append(1)
        except BaseException:
            undo(done)
            raise
        """),
    "builtin_in_a_clause": ("ValueError", """
        done = []
        try:
            str(1)
            done.append(1)
        except BaseException:
            done.remove(1)
            raise
        """),
    "code_under_test": ("RuntimeError", """
        translating()
        """),
    "clause_that_raises": ("RuntimeError", """
        try:
            str(1)
        except BaseException as error:
            raise RuntimeError("interrupted") from error
        """),
}  # fmt: skip

HELPERS = """
import pytest

def undo(done):
    del done[0]

def translating():
    try:
        return str(1)
    except BaseException as error:
        raise RuntimeError("failed") from error

@pytest.mark.interrupt_safe
def test_it():
"""


def test_what_is_raised_while_the_interrupt_passes_replaces_it(audit_together):
    """An exception whose context is the interrupt has replaced it, whether clean-up fails or the test raises on purpose."""
    audits = audit_together({name: HELPERS + indent(dedent(body), "    ") for name, (_, body) in REPLACED.items()})
    for name, (raised, _) in REPLACED.items():
        failing = {(defect.verdict, defect.key) for defect in audits[name].failures}
        assert failing == {(Verdict.REPLACED, raised)}, name


LIBRARY = """
import sys

class Abort(Exception):
    pass

def invoke(function):
    try:
        try:
            function()
        except KeyboardInterrupt:
            raise Abort from None
    except Abort:
        return 1
    return 0
"""

CALLS_BACK = """
import library
import pytest

def command():
    return str(1)

@pytest.mark.interrupt_safe(strict={strict})
def test_it():
    assert library.invoke(command) == 0
"""


@pytest.mark.parametrize("strict", [False, True])
def test_code_out_of_scope_that_catches_is_named_and_listed(audit_folder, strict):
    """Code out of scope that catches the interrupt is listed, whatever code it called back; ``strict`` makes it fail."""
    files = {"library.py": LIBRARY, "test_it.py": CALLS_BACK.format(strict=strict)}
    (audit,) = audit_folder(files, "--maskcheck-exclude=library.py").audits
    (defect,) = [each for each in audit.defects if each.kind == "exception"]
    assert (defect.verdict, defect.category, defect.package) == (Verdict.SWALLOWED, Category.INSIDE, "library")
    assert defect.fails is strict
    assert "library.py:11" in defect.detail
    assert {point.function for point in defect.points} >= {"command"}
