"""Tests of interval timers: delivering the signal of a timer leaves the timer as the kernel does when it expires."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.interrupts.signals import expiry
from pytest_maskcheck.resources.kinds.interval_timers import HAS_TIMERS

if TYPE_CHECKING:
    from tests.conftest import AuditTogether

pytestmark = pytest.mark.skipif(not HAS_TIMERS, reason="no setitimer")

TIMED = """
import signal

import pytest

TIMER, SIGNAL = signal.{timer}, signal.{signal}


class Late(Exception):
    pass


def late(signum, frame):
    raise Late


@pytest.fixture(autouse=True)
def handler():
    before = signal.signal(SIGNAL, late)
    yield
    signal.setitimer(TIMER, 0)
    signal.signal(SIGNAL, before)


@pytest.mark.interrupt_safe(signals=["{sent}"], strategy="rerun"{more})
def test_timed():
    signal.setitimer(TIMER, {seconds})
    try:
        len("work")
    except Late:
        {expired}
        raise
    except BaseException:
        signal.setitimer(TIMER, 0)
        raise
    signal.setitimer(TIMER, 0)
"""

TRUSTING = "pass"
ASKING = "assert signal.getitimer(TIMER) == (0, 0), 'armed'"


def timed(timer: str, signum: str, *, seconds: str, expired: str = TRUSTING, sent: str = "", more: str = "") -> str:
    """Return the source of a test whose code is interrupted by its own timer."""
    return TIMED.format(timer=timer, signal=signum, seconds=seconds, expired=expired, sent=sent or signum, more=more)


REAL, VIRTUAL, PROF = (
    ("ITIMER_REAL", "SIGALRM"),
    ("ITIMER_VIRTUAL", "SIGVTALRM"),
    ("ITIMER_PROF", "SIGPROF"),
)

CLEAN = {
    "real": timed(*REAL, seconds="30"),
    "virtual": timed(*VIRTUAL, seconds="30"),
    "prof": timed(*PROF, seconds="30"),
    "asked": timed(*REAL, seconds="30", expired=ASKING),
    "in_one_process": timed(*REAL, seconds="30", more=', isolation="none"'),
    "by_line": timed(*REAL, seconds="30", more=', points="line"'),
    "masked": """
        import signal

        import pytest


        @pytest.fixture(autouse=True)
        def handler():
            before = signal.signal(signal.SIGALRM, signal.default_int_handler)
            yield
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


        @pytest.mark.interrupt_safe(signals=["SIGALRM"], strategy="rerun")
        def test_masked():
            signal.alarm(30)
            try:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
                len("work")
                if signal.SIGALRM not in signal.sigpending():
                    signal.alarm(0)
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    """,
}

DEFECTIVE = {
    "interval": timed(*REAL, seconds="30, 20"),
    "another_signal": timed(*REAL, seconds="30", sent="SIGTERM")
    .replace("signal.signal(SIGNAL, late)", "signal.signal(signal.SIGTERM, late)")
    .replace("signal.signal(SIGNAL, before)", "signal.signal(signal.SIGTERM, before)"),
    "armed_afterwards": timed(*REAL, seconds="30", expired="signal.setitimer(TIMER, 40)"),
    "other_timer": timed(*REAL, seconds="30", expired="signal.setitimer(signal.ITIMER_PROF, 40)"),
}

KEPT = """
import signal

import pytest


class Late(Exception):
    pass


def late(signum, frame):
    raise Late


@pytest.fixture(autouse=True)
def watchdog():
    handler = signal.signal(signal.SIGALRM, late)
    before = signal.setitimer(signal.ITIMER_REAL, 600)
    yield
    signal.setitimer(signal.ITIMER_REAL, *before)
    signal.signal(signal.SIGALRM, handler)


@pytest.mark.interrupt_safe(signals=["SIGALRM"])
def test_work():
    {body}
"""
OWN = """before = signal.setitimer(signal.ITIMER_REAL, 30)
    len("work")
    signal.setitimer(signal.ITIMER_REAL, *before)"""


def test_a_timer_that_fires_once_is_not_armed_after_its_signal(audit_together: AuditTogether) -> None:
    """Code that does not touch its timer after the timer's signal has no defect, for each of the three timers."""
    audits = audit_together(CLEAN)
    for name, audit in audits.items():
        assert not audit.defects, (name, audit.defects)
        assert audit.audited >= 2, name


def test_a_timer_that_is_armed_after_the_signal_is_a_defect(audit_together: AuditTogether) -> None:
    """A timer that stays armed is a defect: one with an interval, one when another signal arrived, or one armed after the signal."""
    for name, audit in audit_together(DEFECTIVE).items():
        assert {(defect.verdict, defect.kind) for defect in audit.defects} >= {("altered", "itimer")}, name


def test_the_timer_of_a_fixture_stays_armed(audit_together: AuditTogether) -> None:
    """A timer that a fixture armed before the body is not expired and no finding; one that the body arms in its place is expired."""
    audits = audit_together({"work": KEPT.format(body='len("work")'), "own": KEPT.format(body=OWN)})
    assert not audits["work"].defects
    found = {(defect.verdict, defect.key) for defect in audits["own"].defects}
    assert found == {("altered", "ITIMER_REAL")}  # on 3.11 each point reports its own line as the origin


REALLY = """
import json, signal, sys

class Late(Exception):
    pass

def late(signum, frame):
    raise Late

timer, number, interval = sys.argv[1:]
timer = getattr(signal, timer)
signal.signal(getattr(signal, number), late)
try:
    signal.setitimer(timer, 0.01, float(interval))
    while True:
        pass
except Late:
    print(json.dumps(signal.getitimer(timer)))
"""


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize(("timer", "number"), [REAL, VIRTUAL, PROF])
@pytest.mark.parametrize("interval", [0.0, 500.0])
def test_timers_are_left_as_the_kernel_leaves_them(timer: str, number: str, interval: float) -> None:
    """``expire`` leaves a timer in the same state as a real expiry does."""
    command = [sys.executable, "-c", REALLY, timer, number, str(interval)]
    real = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    which = getattr(signal, timer)
    expiry.begin()
    signal.setitimer(which, 1000, interval)
    try:
        expiry.expire(getattr(signal, number))
        assert signal.getitimer(which) == pytest.approx(real, abs=100)
        assert (signal.getitimer(which) == (0, 0)) is (interval == 0)
    finally:
        signal.setitimer(which, 0)
