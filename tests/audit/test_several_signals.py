"""Audits with signals other than SIGINT, and with handlers of the test's own.

A comment in a program announces what an interrupt on its line leads to (see the fixture ``announced``). There must be
no other findings. All programs are audited in one session.
"""

from __future__ import annotations

import gc
import os
import signal
from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit
from pytest_maskcheck.system.signals import collect_garbage

PREAMBLE = """
import functools, os, pytest, signal, threading
LOCK = threading.Lock()
SEEN = {}

class Stop(Exception):
    pass

def stop(signum, frame):
    raise Stop

def note(signum, frame):
    SEEN[signum] = True

@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()

def handling(function, *signums):
    @pytest.fixture
    def handling():
        before = {signum: signal.signal(signum, function) for signum in signums}
        yield before
        for signum, handler in before.items():
            signal.signal(signum, handler)
    return handling
"""

LEAKS = """
SIGNALS = [signal.SIGTERM, "SIGALRM", 1, signal.SIGRTMAX, signal.SIGRTMIN + 2, signal.SIGCHLD]
handler = handling(stop, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP, *SIGNALS[3:])

@pytest.mark.interrupt_safe({})
def test_it(handler):
    LOCK.acquire()  # leak@call
    try:
        len("x")
    finally:
        LOCK.release()
"""

PROGRAMS = {
    # Any signal that can be handled
    "leaks": LEAKS.format("signals=SIGNALS"),
    "leaks_here": LEAKS.format("signals='SIGTERM', isolation='none'"),
    # What the handler raises must come out
    "exits": """
        def leave(signum, frame):
            raise SystemExit(3)
        handler = handling(leave, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(handler):
            try:
                for _ in range(2):
                    len("x")
            except Exception:
                pass
        """,
    "swallowed": """
        handler = handling(stop, signal.SIGTERM)

        def tolerant():
            try:
                len("x")  # swallowed@call
                for _ in (1, 2):
                    pass  # swallowed@jump
            except Exception:
                pass

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(handler):
            tolerant()
        """,
    "swallowed_on_purpose": """
        handler = handling(stop, signal.SIGTERM)

        def tolerant():
            try:
                for _ in (1, 2):
                    len("x")
            except Exception:
                pass

        @pytest.mark.interrupt_safe(signals="SIGTERM", may_swallow=True)
        def test_it(handler):
            tolerant()
        """,
    "replaced": """
        handler = handling(stop, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(handler):
            try:
                len("x")  # replaced@call
                for _ in (1, 2):
                    pass  # replaced@jump
            except Stop:
                raise ValueError
        """,
    "finalizer": """
        handler = handling(stop, signal.SIGTERM)

        class Closing:
            def __del__(self):  # (swallowed@entry)
                len("x")  # (swallowed@call)

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(handler):
            Closing()
        """,
    # A handler that raises nothing
    "noted": """
        handler = handling(note, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(handler):
            for _ in (1, 2):
                len("x")
        """,
    "noted_and_failing": """
        handler = handling(note, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(handler):
            len("x")
            assert not SEEN
        """,
    "noted_and_leaking": """
        handler = handling(note, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM")  # leak@entry
        def test_it(handler):
            LOCK.acquire()  # leak@call
            if not SEEN:
                LOCK.release()
        """,
    # The same for SIGINT
    "own_sigint": """
        handler = handling(stop, signal.SIGINT)

        @pytest.mark.interrupt_safe
        def test_it(handler):
            for _ in (1, 2):
                len("x")
            try:
                len("y")  # (swallowed@call)
            except Stop:
                pass
        """,
    # Handlers that hold interrupts back
    "gate_raises_later": """
        handler = handling(functools.partial(dict.__setitem__, SEEN), signal.SIGINT)

        @pytest.mark.interrupt_safe
        def test_it(handler):
            for _ in (1, 2):
                len("x")
            if SEEN:
                handler[signal.SIGINT](signal.SIGINT, None)
        """,
    "gate_sends_later": """
        import _thread

        class Gate(functools.partial):
            pass

        handler = handling(Gate(dict.__setitem__, SEEN), signal.SIGINT)

        @pytest.mark.interrupt_safe(allow=["handler:SIGINT"])
        def test_it(handler):
            for _ in (1, 2):
                len("x")
            if SEEN:
                signal.signal(signal.SIGINT, handler[signal.SIGINT])
                _thread.interrupt_main()
        """,
    "gate_loses_what_it_sends": """
        handler = handling(functools.partial(dict.__setitem__, SEEN), signal.SIGINT)

        @pytest.mark.interrupt_safe  # replaced@entry
        def test_it(handler):
            try:
                len("x")  # replaced@call
                if SEEN:
                    handler[signal.SIGINT](signal.SIGINT, None)
            except KeyboardInterrupt:
                raise ValueError
        """,
    "gate_drops": """
        handler = handling(functools.partial(dict.__setitem__, SEEN), signal.SIGINT)

        @pytest.mark.interrupt_safe
        def test_it(handler):
            for _ in (1, 2):
                len("x")
        """,
    # The kernel's mask
    "masked": """
        handler = handling(stop, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(handler):
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            LOCK.acquire()
            LOCK.release()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        """,
    # Other modes
    "by_line": """
        handler = handling(stop, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM", points="line")
        def test_it(handler):
            number = 1
            LOCK.acquire()
            LOCK.release()
        """,
    "by_force": """
        handler = handling(stop, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM", points="raise")
        def test_it(handler):
            number = 1
            LOCK.acquire()
            LOCK.release()
        """,
}

UNHANDLED = {
    "several": """
        handler = handling(stop, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals=["SIGINT", "SIGTERM"])
        def test_it(handler):
            len("x"), len("y")
        """,
    "default": """
        @pytest.mark.interrupt_safe(signals=["SIGTERM", "SIGTSTP", "SIGCHLD", "SIGRTMIN+3"])
        def test_it():
            for _ in (1, 2):
                len("x")
        """,
    "default_here": """
        @pytest.mark.interrupt_safe(signals=["SIGTERM", "SIGHUP"], isolation="none")
        def test_it():
            len("x")
        """,
    "default_sigint": """
        handler = handling(signal.SIG_DFL, signal.SIGINT)

        @pytest.mark.interrupt_safe(points="line")
        def test_it(handler):
            len("x")
        """,
    "ignored": """
        handler = handling(signal.SIG_IGN, signal.SIGTERM)

        @pytest.mark.interrupt_safe(signals="SIGTERM")
        def test_it(handler):
            len("x")
        """,
}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """The audits of all programs."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in (PROGRAMS | UNHANDLED).items()})


@pytest.mark.parametrize("name", [name for name in PROGRAMS if not name.startswith("by_")])
def test_every_point_meets_its_known_fate(audits, announced, found, name):
    """Exactly the points that the program's comments announce have a finding, and every point was audited."""
    audit = audits[name]
    assert not audit.refused
    assert found(audit) == announced(audit)
    assert audit.audited == len(audit.points) > 1
    assert not audit.not_audited


def test_ids_name_the_signal(audits):
    """Ids name every signal but SIGINT, and the points are grouped by signal."""
    names = ["SIGTERM", "SIGALRM", "SIGHUP", "SIGRTMAX", "SIGRTMIN+2", "SIGCHLD"]
    points = audits["leaks"].points
    assert [point.id.partition("#1")[2] for point in points if point.kind == "entry"] == [f"@{name}" for name in names]
    assert [point.signal for point in points if point.kind == "entry"] == names
    assert {point.id.partition("#1")[2] for point in audits["own_sigint"].points if point.hit == 1} == {""}


def test_each_point_is_audited_once_for_each_signal(audits):
    """Two signals at three places make six points, whose ids differ only in the signal."""
    audit = audits["several"]
    plain = [point.id for point in audit.points if point.signal == "SIGINT"]
    assert len(plain) == 3
    assert [point.id for point in audit.points] == [*plain, *(f"{name}@SIGTERM" for name in plain)]
    assert (audit.audited, audit.not_audited) == (6, {})


@pytest.mark.parametrize(("name", "lines"), [("by_line", [0, 1]), ("by_force", [2])])
def test_the_other_modes_send_the_signal_too(audits, name, lines):
    """With ``points=line`` the signal is handled after the next call; with ``points=raise`` it is handled before the line."""
    audit = audits[name]
    (defect,) = audit.defects
    first = min(point.line for point in audit.points)
    assert (defect.verdict, defect.kind) == ("leak", "lock")
    assert [point.line - first for point in defect.points] == lines
    assert not audit.not_audited


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        (
            "default",
            {
                "SIGTERM has its default action there, which ends the process": 5,
                "SIGRTMIN+3 has its default action there, which ends the process": 5,
                "SIGTSTP has its default action there, which stops the process": 5,
                "SIGCHLD has its default action there, which does nothing": 5,
            },
        ),
        (
            "default_here",
            {
                "SIGTERM has its default action there, which ends the process": 2,
                "SIGHUP has its default action there, which ends the process": 2,
            },
        ),
        ("default_sigint", {"SIGINT has its default action there, which ends the process": 1}),
        ("ignored", {"SIGTERM is ignored there (SIG_IGN)": 2}),
    ],
)
def test_a_signal_that_nobody_handles_is_not_sent(audits, name, reasons):
    """If a signal has no handler, every point is reported as not audited, with what the signal would have done."""
    audit = audits[name]
    assert audit.audited == 0
    assert audit.not_audited == reasons


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("swallowed", ("swallowed", "exception", "tolerant")),
        ("replaced", ("replaced", "exception", "ValueError")),
        ("finalizer", ("swallowed", "finalizer", "Closing.__del__")),
        ("gate_loses_what_it_sends", ("replaced", "exception", "ValueError")),
    ],
)
def test_a_defect_names_what_it_is_about(audits, name, about):
    """A defect names the function that swallowed the interrupt, the exception that replaced it, or the finalizer."""
    (defect,) = audits[name].defects
    assert (defect.verdict, defect.kind, defect.key) == about


def test_notes_name_the_handler(audits):
    """The note of every point names the handler that the interrupt went to."""
    assert {result.note for result in audits["noted"].results} == {"went to note"}
    notes = [result.note for result in audits["masked"].results]
    assert any(note.startswith("went to stop, held back by the signal mask, arrived at ") for note in notes)


def test_one_point_of_another_signal_is_audited_alone(audit):
    """The id of a point selects its signal, whatever the settings are."""
    source = PREAMBLE + LEAKS.format("")
    line = source.strip().splitlines().index("    LOCK.acquire()  # leak@call") + 1
    point = f"test_one_point_of_another_signal_is_audited_alone.py:{line}:call#1@SIGTERM"
    audited = audit(source, f"--maskcheck-point={point}")
    audited.result.assert_outcomes(failed=1)
    assert [result.point for result in audited.audit.results] == [point]
    assert audited.defect.verdict == "leak"
    audited.result.stdout.fnmatch_lines([f"  reproduce * --maskcheck-point '{point}' *"])
    assert [frame.line for frame in audited.defect.traceback] == [line]


def test_signals_from_the_command_line(audit):
    """The option can be repeated, once for each signal; a signal without any audited point is in the summary."""
    result = audit(
        """
        import pytest

        @pytest.mark.interrupt_safe
        def test_it():
            len("x")
        """,
        "--maskcheck-signals=SIGINT",
        "--maskcheck-signals=SIGUSR2",
    ).result
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "not audited: 2 points: SIGUSR2 has its default action there, which ends the process",
            "1 test audited at 2 points: 0 defects; * interrupted, 2 points undecided",
        ]
    )


class Finalized:
    """Garbage whose finalizer is running when SIGINT arrives."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        len("where Python would run the handler")


def test_ctrl_c_while_garbage_is_collected_is_not_lost(monkeypatch):
    """``collect_garbage`` delays Ctrl-C until all garbage is collected; otherwise it would be lost in a finalizer."""
    lost = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: lost.append(unraisable.exc_type))
    Finalized()
    gc.collect()
    assert lost == [KeyboardInterrupt]
    Finalized()
    with pytest.raises(KeyboardInterrupt):
        collect_garbage()
    assert lost == [KeyboardInterrupt]


TWO_SIGNALS = """
    import signal
    import pytest

    KEPT = []

    def late(signum, frame):
        raise TimeoutError

    @pytest.fixture(autouse=True)
    def handler():
        before = signal.signal(signal.SIGUSR1, late)
        yield
        signal.signal(signal.SIGUSR1, before)

    @pytest.mark.interrupt_safe(signals=["SIGINT", "SIGUSR1"], hits=1)
    def test_it():
        KEPT.append(1)
        assert len(KEPT) == 1
        KEPT.pop()
"""


@pytest.mark.oldest_and_newest
def test_a_note_names_the_points_that_have_it(audit):
    """A note lists its points if the defect has other points too; a note that all points have is shown without them."""
    audited = audit(TWO_SIGNALS)
    (line,) = [line for line in audited.result.outlines if line.startswith("  note ")]
    assert "went to late (" in line
    assert line.count("@SIGUSR1") == line.count("test_") >= 1
