"""Audit the masks themselves: interrupt them at the checkpoints of their own code.

Each program uses a mask; ``pytest --maskcheck`` interrupts it with the masking module in scope. A fixture of the programs fails if a
handler, a mask, a counter or a signal is left behind, or if a signal was lost or delivered twice.

``MASKCHECK_ALL_POINTS=1`` audits every point. Without it, pairs of interrupts and the modes without checkpoints are only sampled.
"""

from __future__ import annotations

import os
from textwrap import dedent, indent

import pytest

from pytest_maskcheck.results import Audit

pytestmark = pytest.mark.oldest_and_newest

EVERY = bool(os.environ.get("MASKCHECK_ALL_POINTS"))

PREAMBLE = """
import os, signal, threading
from signal import SIGINT, SIGTERM, SIGUSR1
import pytest
from pytest_maskcheck import masking
from pytest_maskcheck.masking import bracket, is_masked, mask, shield, sigmask, deliver_pending

LOCK = threading.Lock()
SEEN = []

class Stop(KeyboardInterrupt):
    pass

def raising(signum, frame):
    SEEN.append(signum)
    raise Stop(signum)

def quiet(signum, frame):
    SEEN.append(signum)

@pytest.fixture(autouse=True)
def nothing_left_behind():
    signal.signal(SIGTERM, raising)
    signal.signal(SIGUSR1, quiet)
    SEEN.clear()
    done = threading.Event()
    idle = threading.Thread(target=done.wait)
    if {thread}:
        idle.start()
    yield
    done.set()
    if {thread}:
        idle.join()
    left = (masking._stack, masking._nested, list(masking._queue))
    masking._stack.clear(); masking._nested.clear(); masking._queue.clear()
    handlers = [signal.getsignal(signum) for signum in (SIGINT, SIGTERM, SIGUSR1)]
    signal.signal(SIGTERM, signal.SIG_DFL)
    signal.signal(SIGUSR1, signal.SIG_DFL)
    assert left == ([], [], []), left
    assert handlers == [signal.default_int_handler, raising, quiet]
    assert len(SEEN) <= {interrupts}, SEEN

class Resource:
    def __enter__(self):
        self.fd = os.open(os.devnull, os.O_RDONLY)
        return self.fd
    def __exit__(self, *_):
        os.close(self.fd)

@pytest.mark.interrupt_safe(include=["pytest_maskcheck.masking"], {options})
def test_it(tmp_path):
"""

PROGRAMS = {
    "mask": """
        with mask(SIGINT):
            assert is_masked()
            len("x")
        """,
    "mask_of_another_signal": """
        with mask(SIGTERM):
            len("x")
        """,
    "mask_of_three": """
        with mask(SIGINT, SIGTERM, SIGUSR1):
            len("x")
        """,
    "nested": """
        with mask(SIGTERM):
            with mask(SIGTERM, SIGINT):
                with mask(SIGINT, SIGUSR1):
                    len("x")
        """,
    "restore": """
        with mask(SIGINT, SIGTERM) as restore:
            with mask(SIGINT) as inner:
                with inner():
                    len("x")
                with restore():
                    len("x")
            len("y")
        """,
    "shield": """
        with shield(Resource):
            len("x")
        """,
    "shield_open": """
        with shield(open, tmp_path / "file", "w") as file:
            file.write("x")
        """,
    "bracket": """
        with bracket(LOCK.acquire, lambda _: LOCK.release()):
            len("x")
        """,
    "bracket_within_mask": """
        with mask(SIGTERM):
            with bracket(os.open, os.close, os.devnull, os.O_RDONLY):
                len("x")
        """,
    "start_and_stop": """
        one = mask(SIGINT, SIGTERM)
        one.start()
        try:
            len("x")
        finally:
            one.stop()
        """,
    "deliver_pending": """
        with mask(SIGINT, SIGTERM):
            len("x")
            deliver_pending()
            len("y")
        """,
    "sigmask": """
        with sigmask(SIGINT, SIGTERM, other_threads="allow"):
            len("x")
        """,
}

UNPROTECTED = """
        with Resource():
            len("x")
        """

WAYS = {
    "one interrupt": 'hits="all"',
    "three signals, with a thread": 'signals=["SIGINT", "SIGTERM", "SIGUSR1"], max_points={few}',
    "two interrupts": "interrupts=2, hits=1, max_points={many}",
    "two of another signal": 'signals=["SIGTERM"], interrupts=2, hits=1, max_points={many}',
    "by line": 'points="line"',
}
"""Settings of the audits. ``points=raise`` is missing: it raises where no signal can arrive, between statements that rely on that."""

CHOICE = {
    "two interrupts": ("mask_of_three", "shield"),
    "two of another signal": ("nested",),
    "by line": ("restore", "shield"),
}
"""The programs audited with some settings, unless all points are; with other settings all programs are."""

FEW, MANY = (100_000, 100_000) if EVERY else (40, 200)
"""Limits of points, for single interrupts and for pairs. Single points come first, and pairs get the rest."""


def chosen(way: str) -> tuple[str, ...]:
    """Return the names of the programs that are audited with these settings."""
    names = tuple(PROGRAMS) if EVERY else CHOICE.get(way, tuple(PROGRAMS))
    return tuple(
        name for name in names if not ("thread" in way and name == "sigmask")
    )  # sigmask refuses to be used beside another thread


def program(body: str, way: str) -> str:
    """Return the source of a test with this body and these settings."""
    options = WAYS[way].format(few=FEW, many=MANY) + ", timeout=20"
    count = 2 if "two" in way else 1
    preamble = PREAMBLE
    for name, value in (("thread", "thread" in way), ("interrupts", count), ("options", options)):
        preamble = preamble.replace(f"{{{name}}}", str(value))
    return preamble + indent(dedent(body), "    ")


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """Return the audits of all programs with all settings, and of a control."""
    sources = {
        f"{name} {way}".replace(" ", "_").replace(",", ""): program(PROGRAMS[name], way)
        for way in WAYS
        for name in chosen(way)
    }
    return audit_together({**sources, "control": program(UNPROTECTED, "one interrupt")})


def about(defects: object) -> list[str]:
    """Return a line of text for each defect."""
    return [f"{defect.verdict} {defect.kind} {defect.key} at {defect.points[0].id}" for defect in defects]


@pytest.mark.parametrize("way", WAYS)
def test_the_masks_hold(audits, way):
    """No program that uses a mask has a failing defect, and points were audited in each."""
    end = way.replace(" ", "_").replace(",", "")
    mine = {name: audit for name, audit in audits.items() if name.endswith("_" + end)}
    assert len(mine) == len(chosen(way))
    assert {name: about(audit.failures) for name, audit in mine.items() if audit.failures} == {}
    assert {name: audit.refused for name, audit in mine.items() if audit.refused} == {}
    assert all(audit.audited for audit in mine.values())
    pairs = [point for audit in mine.values() for point in audit.points if point.first]
    assert bool(pairs) == ("two" in way)


def test_an_unprotected_resource_does_not_hold(audits):
    """The same audit finds the leak of a context manager in Python that is used without a shield."""
    assert "leak fd /dev/null" in {f"{d.verdict} {d.kind} {d.key}" for d in audits["control"].failures}


KNOWN = (
    "beyond max_points",
    "outside the test",
    "held back",
    "not reached again",  # the recorder's own handler, and what a module remembers from its first use
    "reached in another calling context",
    "coverage did not see the line",
    "further hit",
    "second interrupt: further hit",
    "second interrupt: beyond max_points",
    "no second interrupt after it: the first one was not audited",
    "no second interrupt after it: when the first one lands cannot be seen (signal mask",
)


def test_nothing_is_left_out_without_a_known_reason(audits):
    """Points are left out only for known reasons: sampling, or places that other runs do not reach."""
    reasons = {reason for audit in audits.values() for reason in audit.not_audited}
    assert reasons
    assert {reason for reason in reasons if not reason.startswith(KNOWN)} == set()
