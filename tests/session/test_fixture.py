"""The fixture ``maskcheck``: programs that break what they promise, and twins that do not.

A comment announces what an interrupt on its line leads to, as in ``test_verdicts.py``.
"""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit

PREAMBLE = """
import asyncio, os, pytest, signal, threading, unittest
pytestmark = pytest.mark.interrupt_safe

class Account:
    def __init__(self):
        self.left, self.right = 2, 0

    def move(self):
        self.left -= 1
        len("x")  # MOVE
        self.right += 1

    def move_or_undo(self):
        before = self.left, self.right
        try:
            self.left -= 1
            len("x")
            self.right += 1
        except BaseException:
            self.left, self.right = before
            raise

    def balanced(self):
        return self.left + self.right == 2
"""

BROKEN = {
    # Invariants
    "invariant": (
        "invariant@call",
        """
        def test_it(maskcheck):
            account = Account()
            maskcheck.invariant(account.balanced)
            account.move()
        """,
    ),
    "invariant_kept": (
        "",
        """
        def test_it(maskcheck):
            account = Account()
            maskcheck.invariant(account.balanced)
            account.move_or_undo()
        """,
    ),
    "invariant_asserts": (
        "invariant@call",
        """
        def test_it(maskcheck):
            account = Account()
            def balanced():
                assert account.left + account.right == 2
            maskcheck.invariant(balanced)
            account.move()
        """,
    ),
    "invariant_raises": (
        "invariant@call",
        """
        def test_it(maskcheck):
            account = Account()
            maskcheck.invariant(lambda: {2: True}[account.left + account.right], "total")
            account.move()
        """,
    ),
    "invariant_of_fixture": (
        "invariant@call",
        """
        @pytest.fixture
        def account(maskcheck):
            account = Account()
            maskcheck.invariant(account.balanced, "balance")
            return account

        def test_it(account):
            account.move()
        """,
    ),
    "invariant_of_unittest": (
        "invariant@call",
        """
        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def attach(self, maskcheck):
                self.maskcheck = maskcheck

            def test_it(self):
                account = Account()
                self.maskcheck.invariant(account.balanced)
                account.move()
        """,
    ),
    "invariant_too_late": (
        "",
        """
        def test_it(maskcheck):
            account = Account()
            account.move()
            maskcheck.invariant(account.balanced)
        """,
    ),
    "invariant_hangs": (
        "hang@call",
        """
        @pytest.mark.interrupt_safe(timeout=1)
        def test_it(maskcheck):
            account = Account()
            def balanced():
                while account.left + account.right != 2: pass
                return True
            maskcheck.invariant(balanced)
            account.move()
        """,
    ),
    # Unchanged
    "unchanged_object": (
        "",
        """
        def test_it(maskcheck):
            table = {"a": [1]}
            maskcheck.unchanged(table)
            table["a"].append(2)  # invariant@call
            len("x")  # invariant@call
            table["a"].pop()
        """,
    ),
    "unchanged_object_kept": (
        "",
        """
        def test_it(maskcheck):
            table = {"a": [1]}
            maskcheck.unchanged(table)
            try:
                table["a"].append(2)
                len("x")
            finally:
                table["a"] = [1]
        """,
    ),
    "unchanged_called": (
        "invariant@call",
        """
        def test_it(maskcheck):
            account = Account()
            maskcheck.unchanged(lambda: (account.left, account.right), "both")
            account.move()
        """,
    ),
    "unchanged_file": (
        "",
        """
        def test_it(maskcheck, tmp_path):
            path = tmp_path / "file"
            maskcheck.unchanged(path)
            os.mkdir(path)  # leak@call invariant@call
            len("x")  # leak@call invariant@call
            os.rmdir(path)
        """,
    ),
    "unchanged_directory": (
        "",
        """
        def test_it(maskcheck, tmp_path):
            (tmp_path / "file").write_bytes(b"1")
            maskcheck.unchanged(tmp_path)
            os.truncate(tmp_path / "file", 0)  # invariant@call
        """,
    ),
    "unchanged_before": (
        "",
        """
        def test_it(maskcheck):
            table = {}
            table[len("x")] = 1
            maskcheck.unchanged(table)
            len("x")
        """,
    ),
    "unchanged_handled": (
        "",
        """
        @pytest.fixture(autouse=True)
        def handler():
            before = signal.signal(signal.SIGTERM, lambda *_: None)
            yield
            signal.signal(signal.SIGTERM, before)

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(maskcheck, monkeypatch):
            table = {}
            maskcheck.unchanged(table)
            len("x")
            table["done"] = True
        """,
    ),
    "unchanged_of_fixture": (
        "",
        """
        @pytest.fixture
        def table(maskcheck):
            table = []
            maskcheck.unchanged(table)
            return table

        def test_it(table):
            len("x")
            len("x")
            table.append(1)  # invariant@call
            table.pop()
            len("x")
        """,
    ),
    "unchanged_twice": (
        "",
        """
        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it(maskcheck):
            table = []
            maskcheck.unchanged(table)
            try:
                table += [1]
                len("x")
                table.remove(1)
            except BaseException:
                len("x")  # invariant@call
                table[:] = []
                raise
        """,
    ),
    # Atomic
    "atomic": (
        "",
        """
        def test_it(maskcheck, tmp_path):
            path = tmp_path / "file"
            path.write_bytes(b"old")
            maskcheck.atomic(path)
            new = os.open(path, os.O_WRONLY | os.O_TRUNC)  # leak@call invariant@call
            try:
                os.write(new, b"new")
                len("x")
            finally:
                os.close(new)
        """,
    ),
    "atomic_kept": (
        "",
        """
        def test_it(maskcheck, tmp_path):
            path = tmp_path / "file"
            path.write_bytes(b"old")
            (tmp_path / "new").write_bytes(b"new")
            maskcheck.atomic(tmp_path / "file")
            os.replace(tmp_path / "new", path)
            len("x")
        """,
    ),
    "atomic_object": (
        "",
        """
        def test_it(maskcheck):
            table = {}
            maskcheck.atomic(table)
            table["a"] = 1
            len("x")  # invariant@call
            table["b"] = 2
            len("x")
        """,
    ),
    "atomic_varies": (
        "",
        """
        RUNS = []

        def test_it(maskcheck):
            table = {}
            maskcheck.atomic(table, "table")
            RUNS.append(1)
            table["a"] = 1
            len("x")
            table["b"] = len(RUNS)
        """,
    ),
    # No traces of its own
    "keeps_nothing_alive": (
        "",
        """
        class Opened:
            def __init__(self):
                self.file = open(os.devnull)  # (implicit@call)

        def make(maskcheck):
            opened = Opened()  # (implicit@call)
            maskcheck.invariant(lambda: opened.file)
            len("x")  # (implicit@call)
            opened.file.close()

        def test_it(maskcheck):
            make(maskcheck)
        """,
    ),
    "leaves_nothing_of_checks": (
        "",
        """
        KEPT = []

        def check():
            KEPT.append(open(os.devnull))
            return True

        def test_it(maskcheck):
            maskcheck.invariant(check)
            reader, writer = os.pipe()  # leak@call
            os.close(reader)  # leak@call
            os.close(writer)
            LOCK = threading.Lock()
        """,
    ),
    # Paused
    "paused": (
        "",
        """
        LOCK = threading.Lock()

        def test_it(maskcheck):
            with maskcheck.paused():
                LOCK.acquire()
                len("x")
                LOCK.release()
            len("x")
        """,
    ),
    "paused_not": (
        "",
        """
        LOCK = threading.Lock()

        def test_it(maskcheck):
            LOCK.acquire()
            with maskcheck.paused():
                len("x")
            LOCK.release()
        """,
    ),
    "paused_by_fixture": (
        "",
        """
        @pytest.fixture
        def quiet(maskcheck):
            with maskcheck.paused():
                yield

        def test_it(quiet):
            len("x")
        """,
    ),
    "paused_second": (
        "",
        """
        LOCK = threading.Lock()

        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it(maskcheck):
            try:
                len("x")
            finally:
                with maskcheck.paused():
                    LOCK.acquire()
                    LOCK.release()
                len("x")
        """,
    ),
    # Asynchronous tests
    "asyncio": (
        "",
        """
        @pytest.mark.asyncio
        async def test_it(maskcheck):
            account = Account()
            maskcheck.invariant(account.balanced)
            account.left -= 1
            await asyncio.sleep(0)
            account.right += 1
        """,
    ),
    "asyncio_kept": (
        "",
        """
        @pytest.mark.asyncio
        async def test_it(maskcheck):
            account = Account()
            maskcheck.invariant(account.balanced)
            await asyncio.sleep(0)
            account.move()
        """,
    ),
    "anyio": (
        "invariant@call",
        """
        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_it(maskcheck):
            account = Account()
            maskcheck.unchanged(lambda: account.balanced(), "balance")
            account.move()
        """,
    ),
    # Refused
    "never_holds": (
        "",
        """
        def test_it(maskcheck):
            maskcheck.invariant(lambda: 1 == 2, "sums")
            len("x")
        """,
    ),
}
"""Name -> (what an interrupt inside ``move`` leads to, program)."""

REFUSED = {"never_holds"}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """The audits of all programs."""
    sources = {
        name: PREAMBLE.replace("MOVE", moved or "nothing") + dedent(source) for name, (moved, source) in BROKEN.items()
    }
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "anyio.pytest_plugin")
    return audit_together(sources, None, *plugins)


@pytest.mark.parametrize("name", sorted({*BROKEN} - REFUSED - {"asyncio", "paused_not"}))
def test_every_point_meets_its_known_fate(audits, announced, found, name):
    """Exactly the points that the program's comments announce have a finding."""
    audit = audits[name]
    assert not audit.refused
    assert found(audit) == (announced(audit) if audit.points else set())
    assert audit.audited == len(audit.points)


def test_asyncio_delivers_at_the_next_await(audits):
    """Under ``asyncio`` an interrupt cancels the test at the next ``await``, where the invariant does not hold."""
    (defect,) = audits["asyncio"].failures
    assert (defect.verdict, defect.key) == ("invariant", "Account.balanced")


@pytest.mark.parametrize(
    ("name", "kind", "key", "detail"),
    [
        ("invariant", "invariant", "Account.balanced", "the check returned False"),
        ("invariant_asserts", "invariant", "balanced", "assert (1 + 0) == 2"),
        ("invariant_raises", "invariant", "total", "the check raised KeyError: 1"),
        ("unchanged_called", "unchanged", "both", "it is not what it was: (2, 0) == (1, 0)\nAt index 0 diff: 2 != 1"),
        ("unchanged_object", "unchanged", "dict (test_unchanged_object.py:29)", "{'a': [1]} == {'a': [1, 2]}"),
        ("unchanged_file", "unchanged", "<tmp_path>/file", "it is not what it was: <nothing> == {}"),
        ("unchanged_directory", "unchanged", "<tmp_path>", "Differing items:"),
        ("atomic", "atomic", "<tmp_path>/file", "it is not what it was: b'old' == b''"),
        ("atomic", "atomic", "<tmp_path>/file", "and not what it is at the end: b'new' == b''"),
    ],
)
def test_a_defect_shows_both_values(audits, name, kind, key, detail):
    """The detail of a defect shows both values as pytest's assertions do."""
    (defect,) = (defect for defect in audits[name].failures if defect.verdict == "invariant")
    assert (defect.kind, defect.key) == (kind, key)
    assert detail in defect.detail


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("paused", {"within maskcheck.paused()"}),
        ("paused_not", {"within maskcheck.paused()"}),
        ("paused_by_fixture", {"within maskcheck.paused()"}),
        ("paused_second", {"within maskcheck.paused()", "second interrupt: within maskcheck.paused()"}),
    ],
)
def test_what_is_paused_is_counted(audits, name, reasons):
    """Points within a pause are counted as not audited, and the reason is reported."""
    assert set(audits[name].not_audited) == reasons


def test_around_a_pause_interrupts_come(audits):
    """Interrupts are delivered before a pause, which loses the lock, and not within it."""
    (defect,) = audits["paused_not"].failures
    assert defect.points[0].line == 30
    assert 32 not in {point.line for point in audits["paused_not"].points}


def test_pairs_around_a_pause_are_audited(audits):
    """Pairs of interrupts around a pause are audited."""
    assert [point for point in audits["paused_second"].points if point.first]


def test_an_invariant_must_hold_uninterrupted(audits):
    """A test whose invariant does not hold without an interrupt is not audited."""
    reason = "invariant sums does not hold after the uninterrupted test: the check returned False"
    assert audits["never_holds"].refused == reason


def test_a_value_that_varies_is_not_judged(audits):
    """A value that differs between uninterrupted runs is not judged, and a note names it."""
    assert "atomic table is not judged: " in " ".join(audits["atomic_varies"].notes)


WRONG = {
    "invariant(1)": "maskcheck.invariant() takes a function that tells whether it holds, not 1; pass lambda: ...",
    "invariant(awaited)": "maskcheck.invariant() cannot await or iterate over awaited: pass a plain function",
    "invariant(len, 1)": "maskcheck.invariant() has the message 1; it must be a string",
    "unchanged('file')": "maskcheck.unchanged() was given 'file', which cannot change: pass a function that reads the value, *",
    "atomic((1, 2))": "maskcheck.atomic() was given (1, 2), which cannot change: *",
    "unchanged(LOCK)": "maskcheck.unchanged(): a lock cannot be copied (TypeError: *); pass a function that returns *",
    "unchanged(lambda: LOCK)": "maskcheck.unchanged(): what lambda (*) returns cannot be copied (TypeError: *",
    "unchanged(Plain())": "maskcheck.unchanged(): a Plain does not equal its own copy, so that a change cannot be seen; *",
    "atomic({}, 1)": "maskcheck.atomic() has the name 1; it must be a string",
    "allow('')": "maskcheck.allow() takes a glob on kind:key such as 'thread:pool-[*]', not ''",
    "allow(1)": "maskcheck.allow() has the glob 1; it must be a string",
}


@pytest.mark.parametrize("option", ["--maskcheck-all", "-v"], ids=["on", "off"])
def test_wrong_arguments_are_the_same_errors_on_and_off(pytester, run, option):
    """A wrong argument is the same error with and without an audit, which says what is wrong and what to do."""
    tests = "".join(f"\ndef test_{number}(maskcheck):\n    maskcheck.{call}\n" for number, call in enumerate(WRONG))
    source = "import threading\nLOCK = threading.Lock()\nclass Plain: pass\nasync def awaited(): pass\n"
    pytester.makepyfile(source + tests)
    result = run(option, "--tb=line", "-W", "ignore")
    result.assert_outcomes(failed=len(WRONG))
    result.stdout.fnmatch_lines([f"*UsageError: {message}" for message in WRONG.values()])


def test_off_nothing_is_checked(pytester, run):
    """Without ``--maskcheck`` the fixture exists, but no check runs."""
    pytester.makepyfile(
        """
        import sys

        def test_it(maskcheck, tmp_path):
            maskcheck.invariant(lambda: 1 / 0)
            maskcheck.unchanged(tmp_path)
            maskcheck.atomic({})
            maskcheck.allow("thread:*", "by design")
            with maskcheck.paused():
                assert [(allow.glob, allow.reason) for allow in maskcheck.allowed] == [("thread:*", "by design")]
            assert "pytest_maskcheck.runs.runner" not in sys.modules
        """
    )
    run(fresh=True).assert_outcomes(passed=1)  # a forked pytest would have the engine in sys.modules


IN_PROCESS = PREAMBLE.replace("MOVE", "invariant@call") + dedent(BROKEN["invariant"][1])


def test_without_isolation(audit, announced, found):
    """Without isolation, guarantees are checked in the session's process as they are in forked ones."""
    audited = audit(IN_PROCESS, "--maskcheck-isolation=none").audit
    assert found(audited) == announced(audited)


def test_the_users_own_interrupt_in_a_check_ends_the_session(audit):
    """The user's own Ctrl-C within a check ends the session and does not count as a result of the check."""
    source = """
    import pytest

    RUNS = []

    def check():
        RUNS.append(1)
        if len(RUNS) == 6:
            raise KeyboardInterrupt
        return True

    @pytest.mark.interrupt_safe
    def test_it(maskcheck):
        maskcheck.invariant(check)
        len("x")
    """
    result = audit(source, "--maskcheck-isolation=none").result
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_the_report_shows_the_difference(audit):
    """The report aligns the lines of a difference below the first one, and the headline names the guarantee."""
    source = PREAMBLE + dedent(BROKEN["unchanged_called"][1])
    result = audit(source).result
    result.stdout.fnmatch_lines(
        [
            "invariant: unchanged both",
            "  what        it is not what it was: (2, 0) == (1, 0)",
            "              At index 0 diff: 2 != 1",
            "  cure        *",
            "FAILED *::test_it - *invariant: unchange*",
        ]
    )
