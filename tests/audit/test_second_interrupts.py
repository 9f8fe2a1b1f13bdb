"""Audits with a second interrupt after the first.

A comment in a program announces what an interrupt on its line leads to (see the fixture ``announced``); of two interrupts, the
second. There must be no other findings. All programs are audited in one session.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.points.ids import ID
from pytest_maskcheck.results import Audit, Point, Verdict

PREAMBLE = """
import functools, os, pytest, signal, threading
from shop import closing
LOCK = threading.Lock()
SEEN = {}

class Stop(Exception):
    pass

@pytest.fixture
def handling():
    before = {}
    def handle(signum, function):
        before.setdefault(signum, signal.signal(signum, function))
    yield handle
    for signum, handler in before.items():
        signal.signal(signum, handler)
"""

SHOP = {
    "shop/__init__.py": "",
    "shop/closing.py": """
        def close(lock):
            len("x")
            lock.release()
        """,
}

RELEASE = """
@pytest.mark.interrupt_safe(interrupts=2{})
def test_it():
    LOCK.acquire()  # leak@call
    try:
        os.getpid()
    except BaseException:
        os.getppid()  # leak@call
        LOCK.release()
        raise
    LOCK.release()
"""

PROGRAMS = {
    # Cleaning up is interrupted
    "release_in_except": RELEASE.format(""),
    "release_in_except_here": RELEASE.format(", isolation='none'"),
    "release_in_finally_of_a_loop": """
        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it():
            with LOCK:
                os.environ["MASKCHECK_SEED"] = "1"
                try:
                    for _ in (1, 2):
                        len("x")
                except BaseException:
                    for _ in (1, 2):
                        pass  # altered@jump
                    del os.environ["MASKCHECK_SEED"]
                    raise
                del os.environ["MASKCHECK_SEED"]
        """,
    "with_lock": """
        @pytest.mark.interrupt_safe
        def test_it():
            try:
                with LOCK:
                    for _ in (1, 2):
                        len("x")
            except BaseException:
                len("y")
                with LOCK:
                    len("z")
                raise
        """,
    "masked_by_swapping": """
        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it():
            LOCK.acquire()  # leak@call
            try:
                len("x")
            except BaseException:
                before = signal.signal(signal.SIGINT, signal.SIG_IGN)
                len("y")
                LOCK.release()
                signal.signal(signal.SIGINT, before)
                raise
            LOCK.release()
        """,
    # The interrupt must come out
    "swallowed": """
        def tolerant():
            try:
                len("x")
            except KeyboardInterrupt:
                try:
                    len("y")  # swallowed@call
                except KeyboardInterrupt:
                    return
                raise

        @pytest.mark.interrupt_safe
        def test_it():
            tolerant()
        """,
    "swallowed_not": """
        def tolerant():
            try:
                len("x")
            finally:
                try:
                    len("y")  # swallowed@call
                except KeyboardInterrupt:
                    pass

        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it():
            tolerant()
        """,
    "replaced": """
        @pytest.mark.interrupt_safe
        def test_it():
            done = []
            try:
                len("x")
            except KeyboardInterrupt:
                try:
                    done.append(len("y"))  # replaced@call
                finally:
                    done[0]
                raise
        """,
    # Handlers are interrupted
    "handler": """
        def stop(signum, frame):
            if SEEN:
                raise Stop
            SEEN[signum] = True
            os.environ["MASKCHECK_SEED"] = "1"
            len("h")  # altered@call
            del os.environ["MASKCHECK_SEED"]
            raise Stop

        @pytest.mark.interrupt_safe(interrupts=2, signals="SIGTERM")
        def test_it(handling):
            SEEN.clear()
            handling(signal.SIGTERM, stop)
            for _ in (1, 2):
                len("x")
        """,
    "handler_that_returns": """
        def note(signum, frame):
            SEEN[signum] = SEEN.get(signum, 0) + 1

        @pytest.mark.interrupt_safe(interrupts=2, signals="SIGTERM")
        def test_it(handling):
            SEEN.clear()
            handling(signal.SIGTERM, note)
            LOCK.acquire()
            len("x")
            if SEEN.get(signal.SIGTERM, 0) < 2:
                LOCK.release()
        """,
    "gate": """
        @pytest.mark.interrupt_safe
        def test_it(handling):
            SEEN.clear()
            handling(signal.SIGINT, functools.partial(dict.__setitem__, SEEN))
            LOCK.acquire()
            for _ in (1, 2):
                len("x")
            LOCK.release()
            handling(signal.SIGINT, signal.default_int_handler)
            if SEEN.pop(signal.SIGINT, None):
                signal.default_int_handler(signal.SIGINT, None)
        """,
}

OTHERS = {
    "by_line": RELEASE.format(", points='line'"),
    "by_force": RELEASE.format(", points='raise'"),
    "elsewhere": """
        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it():
            LOCK.acquire()
            try:
                len("x")
            except BaseException:
                closing.close(LOCK)
                raise
            LOCK.release()
        """,
    "bounded": """
        @pytest.mark.interrupt_safe(interrupts=2, max_points=40, hits="all")
        def test_it():
            try:
                for _ in range(4):
                    len("x")
            finally:
                for _ in range(6):
                    len("y")
        """,
    "first_hits": """
        @pytest.mark.interrupt_safe(interrupts=2, hits=1)
        def test_it():
            try:
                len("x")
            except BaseException:
                for _ in range(4):
                    len("y")
                raise
        """,
    "default_after_the_first": """
        def note(signum, frame):
            signal.signal(signum, signal.SIG_DFL)

        @pytest.mark.interrupt_safe(interrupts=2, signals="SIGTERM")
        def test_it(handling):
            handling(signal.SIGTERM, note)
            len("x")
            len("y")
        """,
    "masked_by_the_kernel": """
        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it():
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            len("x")
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        """,
    "once": """
        RUNS = iter(range(1000))

        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it():
            try:
                len("x")
            except BaseException:
                if next(RUNS) == 0:
                    len("once")
                raise
        """,
}

OTHERS["bounded_otherwise"] = OTHERS["bounded"].replace("max_points=40,", "max_points=40, seed=1,")


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """The audits of all programs. Some get two interrupts from the marker, the others from the command line."""
    return audit_together(
        {name: PREAMBLE + dedent(source) for name, source in (PROGRAMS | OTHERS).items()},
        SHOP,
        "--maskcheck-interrupts=2",
    )


def text(point: Point) -> str:
    """Return the source line of a point."""
    return Path(point.file).read_text(encoding="utf-8").splitlines()[point.line - 1].partition("#")[0].strip()


def pairs(audit: Audit) -> list[tuple[str, str]]:
    """Return the source lines of all points with two interrupts."""
    return [(text(point.first), text(point)) for point in audit.points if point.first]


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in {"handler_that_returns", "gate"}])
def test_every_pair_meets_its_known_fate(audits, announced, found, name):
    """Exactly the points that the program's comments announce have a finding."""
    audit = audits[name]
    assert not audit.refused
    assert pairs(audit)
    assert found(audit) == announced(audit)


def test_single_points_come_first_and_pairs_name_both(audits):
    """Single points come first; a pair has the place of its second interrupt, and its id joins the ids of both with ``>``."""
    audit = audits["release_in_except"]
    assert [(point.first and text(point.first), text(point)) for point in audit.points] == [
        (None, "@pytest.mark.interrupt_safe(interrupts=2)"),
        (None, "LOCK.acquire()"),
        (None, "os.getpid()"),
        (None, "LOCK.release()"),
        ("os.getpid()", "os.getppid()"),
        ("os.getpid()", "LOCK.release()"),
    ]
    names = {point.id for point in audit.points}
    for point in audit.points:
        form = ID.fullmatch(point.id)
        assert form
        assert form["second"] == (point.id.partition(">")[2] or None)
        assert form["first"] in names
        assert point.first is None or form["first"] == point.first.id


def test_what_the_first_alone_does_is_not_tried_with_a_second(audits):
    """A point that already has a finding gets no second interrupt, and the reason is reported; a pair does not repeat that finding."""
    reason = "no second interrupt after it: the first one alone already has a finding"
    assert audits["release_in_except"].not_audited == {reason: 1}
    assert audits["swallowed_not"].not_audited == {reason: 1}
    (defect,) = audits["swallowed_not"].defects
    assert [point.first for point in defect.points] == [None]


def test_a_mask_by_swapping_handlers_keeps_the_second_interrupt_out(audits):
    """Points where the signal is ignored count as not audited, and the reason is reported."""
    assert audits["masked_by_swapping"].not_audited["SIGINT is ignored there (SIG_IGN)"] >= 2


@pytest.mark.parametrize(("name", "handled"), [("handler_that_returns", "note"), ("gate", "partial")])
def test_a_handler_that_returns_is_called_twice(audits, name, handled):
    """After a handler that returns, second interrupts are delivered as the test goes on; a defect that takes both of them is found."""
    audit = audits[name]
    assert audit.audited > 12
    defects = [defect for defect in audit.defects if defect.verdict is not Verdict.INTERPRETER]
    assert [defect.kind for defect in defects] == (["lock"] if name == "handler_that_returns" else [])
    assert all(point.first for defect in defects for point in defect.points)
    notes = [result.note for point, result in zip(audit.points, audit.results, strict=True) if point.first]
    assert len([note for note in notes if f"went to {handled}" in note]) > 5


def test_a_second_interrupt_lands_in_the_handler_of_the_first(audits):
    """A second interrupt can land in the first one's handler, where there are no single points."""
    points = [point for point in audits["handler"].points if point.function == "stop"]
    assert {point.first.kind for point in points if point.kind == "call"} >= {"call", "jump"}
    assert {point.kind for point in points if point.first.kind == "jump"} >= {"entry", "call"}
    assert all(point.id.count("@SIGTERM") == 1 for point in points)


def test_pairs_by_line(audits):
    """With ``points=line``, the first signal is pending as a line begins, and the second as a later line begins."""
    audit = audits["by_line"]
    assert ("os.getpid()", "os.getppid()") in pairs(audit)
    assert {text(point) for defect in audit.defects for point in defect.points if point.first} == {
        "except BaseException:",  # there is no checkpoint between here and the next call
        "os.getppid()",
    }


def test_pairs_by_force(audits):
    """With ``points=raise``, second interrupts reach every line of the clean-up code; CPython 3.11 has none, and the report says why."""
    audit = audits["by_force"]
    lost = {text(point) for defect in audit.defects for point in defect.points if point.first}
    if facts.HAS_MONITORING:
        assert lost == {"except BaseException:", "os.getppid()", "LOCK.release()"}
    else:
        assert not pairs(audit)
        told = "no second interrupt after it: an interrupt raised by force ends sys.settrace, with which this CPython is watched"
        assert audit.not_audited[told] > 0


def test_files_that_only_an_interrupted_run_reaches_are_in_scope(audits):
    """The clean-up code of another module is interrupted, although the uninterrupted test does not run it."""
    audit = audits["elsewhere"]
    assert {(point.path, point.kind) for point in audit.points if point.path.startswith("shop")} == {
        ("shop/closing.py", "entry"),
        ("shop/closing.py", "call"),
    }
    assert ("shop/closing.py", "entry") in {(p.path, p.kind) for defect in audit.defects for p in defect.points}


def test_max_points_bounds_both_sorts_together(audits):
    """``max_points`` covers single points first, then an even sample of pairs; the pairs left out are counted."""
    audit = audits["bounded"]
    assert len(audit.points) == 40
    single = [point.first is None for point in audit.points]
    assert single == sorted(single, reverse=True)
    number = audit.not_audited["second interrupt: beyond max_points=40: an even sample was taken (seed=0)"]
    assert number > 60
    firsts = {point.first.id for point in audit.points if point.first}
    assert len(firsts) > 3
    assert len({point.line for point in audit.points if point.first}) > 1


def test_another_seed_takes_other_pairs(audits):
    """Another seed selects other pairs, but the same number of them."""
    samples = [[point for point in audits[name].points if point.first] for name in ("bounded", "bounded_otherwise")]
    ids, others = ({point.id.replace("bounded_otherwise", "bounded") for point in sample} for sample in samples)
    assert len(ids) == len(others)
    assert ids != others


def test_hits_hold_for_the_tail(audits):
    """``hits`` also applies to the hits after the first interrupt, which are numbered from there on."""
    audit = audits["first_hits"]
    second = [(point.kind, point.hit) for point in audit.points if point.first and text(point) == 'len("y")']
    assert second[0] == ("call", 1)
    assert {hit for _, hit in second} == {1}
    assert audit.not_audited["second interrupt: further hit of a place in one calling context (hits=1)"] >= 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("default_after_the_first", "SIGTERM has its default action there, which ends the process"),
        (
            "masked_by_the_kernel",
            "no second interrupt after it: when the first one lands cannot be seen (signal mask, or signal.set_wakeup_fd in use)",
        ),
        ("once", "not reached again after the first interrupt"),
    ],
)
def test_what_is_not_audited_is_told(audits, name, reason):
    """The audit reports why a second interrupt was not tried or did not arrive."""
    assert audits[name].not_audited.get(reason, 0) >= 1


UNSAFE = """
import pytest, threading
LOCK = threading.Lock()

@pytest.mark.interrupt_safe
def test_it():
    taken = LOCK.acquire()
    try:
        len("x")
    except BaseException:
        len("y")
        LOCK.release()
        raise
    LOCK.release()
"""


def test_one_pair_is_audited_alone(audit):
    """The id of a pair reproduces it in the session's process, whatever the settings are; the report shows both places."""
    name = "test_one_pair_is_audited_alone.py"
    audited = audit(UNSAFE, f"--maskcheck-point={name}:8:call#1>{name}:10:call#1")
    audited.result.assert_outcomes(failed=1)
    assert [result.point for result in audited.audit.results] == [f"{name}:8:call#1>{name}:10:call#1"]
    assert audited.audit.isolation.startswith("none: one point")
    assert audited.defect.verdict is Verdict.LEAK
    audited.result.stdout.fnmatch_lines(
        [
            '>           len("y")',
            f"E   leak: lock *LOCK [[]1 point, {name}:8 → {name}:10]",
            '  >    8 |         len("x")',
            f"  then {name}, in test_it",
            '  >   10 |         len("y")',
            f"  interrupted {name}:8:call#1 → {name}:10:call#1",
            f"  reproduce   pytest --maskcheck-point '{name}:8:call#1>{name}:10:call#1' *",
        ]
    )


def test_a_debugger_stops_at_the_second_interrupt(pytester, run):
    """With a single pair, ``--pdb`` opens the debugger in the frame of the second interrupt."""
    pytester.makepyfile(UNSAFE)
    name = "test_a_debugger_stops_at_the_second_interrupt.py"
    result = run(
        "--pdb", f"--maskcheck-point={name}:8:call#1>{name}:10:call#1", stdin=b"p LOCK.locked(), sorted(locals())\nq\n"
    )
    result.stdout.fnmatch_lines(['-> len("y")', "(Pdb) (False, [[]'taken'])"])


def test_a_pair_that_is_not_reached_is_told_in_one_sentence(audit):
    """If no run reaches the second place of a pair, the session ends with exit code 4 and one sentence."""
    name = "test_a_pair_that_is_not_reached_is_told_in_one_sentence.py"
    result = audit(UNSAFE, f"--maskcheck-point={name}:8:call#1>{name}:13:call#1").result
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines([f"ERROR: no test that ran comes to the point {name}:8:call#1>{name}:13:call#1;*"])
