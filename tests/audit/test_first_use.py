"""Code that only the first run in a process reaches is audited in processes that are kept cold."""

from __future__ import annotations

import os

import pytest

from pytest_maskcheck.points.ids import is_id
from pytest_maskcheck.results import Verdict

LAZY = """
    import functools, threading
    import pytest

    LOCK = threading.Lock()
    MADE = None

    def value():
        global MADE
        if MADE is None:
            {take}
                MADE = object()
                str(MADE)
            {give}
        return MADE

    @functools.lru_cache
    def cached():
        LOCK.acquire()
        str(1)
        LOCK.release()
        return 1

    class Registry:
        known = {{}}

        def get(self):
            with threading.Lock():
                if "a" not in self.known:
                    LOCK.acquire()
                    self.known["a"] = str(1)
                    LOCK.release()
            return self.known["a"]

    def imports():
        import slow
        return slow.VALUE

    @pytest.mark.interrupt_safe
    def test_it({arguments}):
        assert {call}
"""

SLOW = """
    import kept
    kept.LOCK.acquire()
    VALUE = len("abc")
    kept.LOCK.release()
"""

PLAIN = {"take": "if LOCK.acquire():", "give": "LOCK.release()", "arguments": "", "call": "value()"}
PROGRAMS = {
    "lazy": PLAIN,
    "safe": {**PLAIN, "take": "with LOCK:", "give": "pass"},
    "cached": {**PLAIN, "call": "cached()"},
    "registry": {**PLAIN, "call": "Registry().get()", "arguments": "tmp_path, monkeypatch"},
    "imports": {**PLAIN, "call": "imports()"},
    "nothing": {**PLAIN, "call": "str(1)"},
    "protocol": {**PLAIN, "arguments": "caplog"},
}


@pytest.fixture(scope="module")
def audits(audit_together):
    sources = {name: LAZY.format(**values) for name, values in PROGRAMS.items()}
    kept = "import threading\nLOCK = threading.Lock()\n"
    return audit_together(sources, {"slow.py": SLOW, "kept.py": kept})


@pytest.mark.parametrize("name", ["lazy", "cached", "registry", "protocol"])
def test_a_lock_lost_in_the_first_use_is_found(audits, name):
    """Locks lost in singletons, caches and registries are found, with and without fixtures, and within pytest's whole protocol."""
    audit = audits[name]
    (defect,) = audit.failures
    assert (defect.verdict, defect.kind) == (Verdict.LEAK, "lock")
    assert all(point.id.endswith("~first") for point in defect.points)
    assert not audit.reached_first
    assert not audit.no_first_use


def test_code_that_the_first_run_imports_is_audited(audits):
    """A module that the first run imports is audited; this one can lose a lock of another module."""
    (defect,) = audits["imports"].failures
    assert defect.key.endswith("kept.LOCK")
    assert {point.path for point in defect.points} == {"slow.py"}


def test_correct_first_use_passes(audits):
    """Correct first use passes, and its points were audited."""
    assert not audits["safe"].failures
    assert any(point.id.endswith("~first") for point in audits["safe"].points)
    assert all(not result.reason for result in audits["safe"].results)


def test_where_all_runs_do_the_same_there_are_no_first_points(audits):
    assert not [point for point in audits["nothing"].points if point.id.endswith("~first")]


def test_a_point_of_the_first_run_is_reproduced(audit):
    """The printed id reproduces a point of the first run."""
    source = LAZY.format(**PLAIN)
    point = next(defect.points[0] for defect in audit(source).audit.failures)
    assert is_id(point.id)
    again = audit(source, "--maskcheck-point", point.id)
    again.result.assert_outcomes(failed=1)
    assert [each.id for each in again.audit.points] == [point.id]
    assert again.defect.key == "test_a_point_of_the_first_run_is_reproduced.LOCK"


def test_points_of_the_first_run_beyond_the_budget_say_so(audit):
    """Points of the first run beyond the budget are reported like any other points."""
    audited = audit(
        """
        import mmap, time
        import pytest

        RUNS = mmap.mmap(-1, 1)  # shared with the processes that the audit forks
        VALUES = {}

        def value():
            if not VALUES:
                RUNS[0] += 1
                time.sleep(0.01 if RUNS[0] < 4 else 1)  # slow at the points, not before
                for number in range(20):
                    VALUES[str(number)] = abs(number)

        @pytest.mark.interrupt_safe(hits="all")
        def test_it():
            value()
        """,
        "--maskcheck-budget=6",
    ).audit
    assert sum(point.first_use for point in audited.points) > 5
    assert list(audited.not_audited) == ["beyond the time budget of 6 s"]


def test_no_first_run_is_made_when_the_time_is_up(audit):
    """If the time is up before a first run is made, the report says that there was no time for it."""
    audited = audit(
        """
        import functools, mmap, time
        import pytest

        RUNS = mmap.mmap(-1, 1)  # shared with the processes that the audit forks

        @functools.cache
        def value():
            return abs(1)

        @pytest.mark.interrupt_safe(hits="all")
        def test_it():
            RUNS[0] += 1
            if RUNS[0] == 20:  # at one of the points
                time.sleep(4)
            for _ in range(30):
                abs(1)
            value()
        """,
        "--maskcheck-budget=3",
        "--maskcheck-strategy=rerun",
    ).audit
    assert audited.no_first_use == "beyond the time budget of 3 s"
    assert not any(point.first_use for point in audited.points)


def test_where_no_process_can_be_kept_cold_the_report_says_why(audit):
    """If a fork would lose a thread, no process is kept cold, and the report gives that as the reason why first use was not audited."""
    audited = audit(
        """
        import threading, pytest

        threading.Thread(target=threading.Event().wait, daemon=True).start()
        MADE = []

        @pytest.mark.interrupt_safe
        def test_it():
            if not MADE:
                MADE.append(str(1))
        """
    )
    assert audited.audit.no_first_use == "a fork would lose running threads"
    audited.result.stdout.fnmatch_lines(["first use not audited in 1 test: a fork would lose running threads"])


def test_tests_that_wait_for_any_child_meet_none_of_ours(audit):
    """The cold process is not a child of the session, so ``os.wait`` in the ordinary run does not see it."""
    audited = audit(
        """
        import os, pytest

        @pytest.mark.interrupt_safe(allow=["child:*", "implicit:*"])
        def test_it():
            pid = os.fork()
            if not pid:
                os._exit(0)
            assert os.waitpid(-1, 0)[0] == pid
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
        """
    )
    assert audited.audits
    assert not audited.audit.refused


def test_a_longer_lived_fixture_that_is_asked_for_late_is_not_set_up_twice(audit):
    """A cold process forked before a longer-lived fixture was set up is given up: it would set up a second one."""
    audited = audit("""
        import pathlib
        import pytest

        @pytest.fixture(scope="session")
        def lasting():
            place = pathlib.Path("lasting")
            place.write_text("set up once\\n", "utf-8") if not place.exists() else place.write_text("twice", "utf-8")
            yield place
            assert place.read_text() == "set up once\\n"

        @pytest.fixture
        def asks(request):
            return request.getfixturevalue("lasting")

        @pytest.mark.interrupt_safe
        def test_it(asks):
            assert asks.exists()
    """)
    audited.result.assert_outcomes(passed=1)
    assert audited.audit.no_first_use.startswith("fixture lasting is asked for")
    assert audited.audit.audited > 0


SEMAPHORES = """
    import _multiprocessing, functools, os
    import pytest

    @functools.cache
    def value():
        made = _multiprocessing.SemLock(1, 1, 1, f"/mp-{{os.urandom(4).hex()}}", {unlinks})
        str(1)
        {then}
        return 1

    @pytest.mark.interrupt_safe(kinds="shared_memory")
    def test_it():
        assert value()
"""


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="nothing lists semaphores")
@pytest.mark.parametrize("unlinks", [False, True])
def test_a_semaphore_that_only_the_first_run_makes_is_found(audit, unlinks):
    """A semaphore that only the first run creates is found though no earlier run shows that, and is not left on the machine."""
    then = "" if unlinks else "_multiprocessing.sem_unlink(made.name)"
    found = audit(SEMAPHORES.format(unlinks=unlinks, then=then)).audit
    leaked = {defect.key for defect in found.failures}
    assert leaked == (set() if unlinks else {"sem.mp-*"})
    assert any(point.first_use for point in found.points)
