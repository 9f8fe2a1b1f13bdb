"""An audit has the same findings however pytest was started: under ``nohup``, in the background, or with signals blocked."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_maskcheck.results import Audit

SOURCE = """
    import signal
    import threading
    import pytest

    LOCK = threading.Lock()

    def leak():
        LOCK.acquire()
        len("x")
        LOCK.release()

    @pytest.mark.interrupt_safe
    def test_forked():
        leak()

    @pytest.mark.interrupt_safe(isolation="none")
    def test_here():
        leak()

    @pytest.fixture
    def handled():
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        yield
        signal.signal(signal.SIGTERM, before)

    @pytest.mark.interrupt_safe(isolation="none", signals=["SIGTERM"])
    def test_another_signal(handled):
        leak()

    @pytest.fixture(scope="module")
    def masked():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        yield
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @pytest.mark.interrupt_safe
    def test_masked_by_a_fixture(masked):
        leak()
"""


@contextmanager
def blocked() -> Iterator[None]:
    """Block SIGINT in every process started in the ``with`` block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore all signals in every process started in the ``with`` block, but SIGCHLD, without which children cannot be waited for."""
    numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) is not None}
    try:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def audited(audit_folder, started) -> dict[str, Audit]:
    """Return the audits of a pytest started under ``started``, by name of the test."""
    with started():
        folder = audit_folder({"test_it.py": SOURCE})
    return {audit.test.partition("::test_")[2]: audit for audit in folder.audits}


@pytest.fixture(scope="module")
def with_sigint_blocked(audit_folder) -> dict[str, Audit]:
    """The audits of a pytest that was started with SIGINT blocked."""
    return audited(audit_folder, blocked)


@pytest.fixture(scope="module")
def with_all_ignored(audit_folder) -> dict[str, Audit]:
    """The audits of a pytest that was started with all signals ignored."""
    return audited(audit_folder, ignored)


def lost(audit: Audit) -> set[str]:
    """Return the kinds of the failing defects."""
    return {defect.kind for defect in audit.failures}


def test_a_signal_blocked_from_the_start_is_audited_as_if_it_were_not(with_sigint_blocked):
    """In a forked process, a signal blocked at the start is audited as if it were not, and a note says so."""
    audit = with_sigint_blocked["forked"]
    assert lost(audit) == {"lock"}
    assert audit.audited == len(audit.points) > 1
    assert "pytest was started with SIGINT blocked; audited as if it were not" in audit.notes


def test_a_signal_blocked_from_the_start_is_not_unblocked_in_the_session(with_sigint_blocked):
    """In the session's process, a test is refused if its signal was blocked at the start; other signals are audited."""
    assert (
        with_sigint_blocked["here"].refused == "pytest was started with SIGINT blocked; start it so that signals arrive"
    )
    assert lost(with_sigint_blocked["another_signal"]) == {"lock"}


def test_a_mask_that_a_fixture_sets_is_part_of_what_is_audited(with_all_ignored):
    """A signal that a fixture blocks stays blocked during the audit, if it was not blocked when the session began."""
    audit = with_all_ignored["masked_by_a_fixture"]
    assert not audit.audited
    assert not audit.failures


def test_signals_ignored_from_the_start_are_audited_as_if_they_were_not(with_all_ignored):
    """Signals ignored at the start are audited as if they were not, even if none has its default action.

    In the session's process, a test of SIGINT is refused.
    """
    assert lost(with_all_ignored["forked"]) == {"lock"}
    assert "SIGINT is ignored in this process; audited as if it were not" in with_all_ignored["forked"].notes
    assert with_all_ignored["here"].refused.startswith("SIGINT is ignored in this process")
    assert lost(with_all_ignored["another_signal"]) == {"lock"}
