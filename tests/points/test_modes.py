"""Tests of the points that are audited: modes, hits, samples, scope, exclusions, masks; and of auditing one point again."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit, Verdict

PREAMBLE = """
import itertools, os, pytest, signal, threading
from shop import store
LOCK = threading.Lock()
"""

MODE = """
@pytest.mark.interrupt_safe(points="{}")
def test_it():
    LOCK.acquire()
    try:
        len("x")
    finally:
        LOCK.release()
    with LOCK:
        done = True
"""

SCOPE = """
@pytest.mark.interrupt_safe({})
def test_it():
    with store.opened():
        pass
"""

LOOP = """
@pytest.mark.interrupt_safe(hits={})
def test_it():
    for _ in range(5):
        len("x")
"""

SHOP = {
    "shop/__init__.py": "",
    "shop/store.py": """
        from contextlib import contextmanager
        from shop import till

        @contextmanager
        def opened():
            yield till.take()
        """,
    "shop/till.py": """
        def take():
            return len("x")

        def uncovered():
            if len("x") > 1:  # pragma: no cover
                len("xx")
            len("y")  # pragma: not here
            return len("z")
        """,
    ".coveragerc": "[report]\nexclude_also = pragma: not here\n",
}

PROGRAMS = {
    **{f"mode_{mode}": MODE.format(mode) for mode in ("checkpoint", "line", "raise")},
    **{f"hits_{hits}": LOOP.format(hits) for hits in (1, 2, 3)},
    "hits_all": LOOP.format("'all'"),
    "scope_default": SCOPE.format(""),
    "scope_folder": SCOPE.format("include=['shop']"),
    "scope_file": SCOPE.format("include=['shop/store.py']"),
    "scope_glob": SCOPE.format("include=['shop/t*']"),
    "scope_module": SCOPE.format("include=['shop.store']"),
    "scope_standard_module": SCOPE.format("include=['contextlib']"),
    "scope_standard_library": SCOPE.format("include=['stdlib']"),
    "scope_exclude_glob": SCOPE.format("exclude=['shop/t*']"),
    "scope_exclude_module": SCOPE.format("exclude=['shop.store']"),
    "scope_exclude_test": SCOPE.format("exclude=['test_*.py']"),
    "sample": """
        @pytest.mark.interrupt_safe(max_points=4)
        def test_it():
            len("a")
            len("b"), len("c"), len("d")
            len("e"), len("f")
        """,
    "ignored_line": """
        @pytest.mark.interrupt_safe
        def test_it():
            LOCK.acquire()  # maskcheck: ignore
            LOCK.release()
        """,
    "ignored_block": """
        @pytest.mark.interrupt_safe
        def test_it():
            for _ in range(1):  # maskcheck: ignore
                LOCK.acquire()
                LOCK.release()
        """,
    "excluded": """
        from shop import till

        @pytest.mark.interrupt_safe(include=["shop"])
        def test_it():
            till.uncovered()
        """,
    "masked": """
        @pytest.mark.interrupt_safe
        def test_it():
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            LOCK.acquire()
            LOCK.release()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        """,
    "masked_to_the_end": """
        @pytest.fixture
        def masked():
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            yield
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

        @pytest.mark.interrupt_safe
        def test_it(masked):
            len("x")
        """,
    "other_thread": """
        def work():
            len("x")
            len("y")

        @pytest.mark.interrupt_safe
        def test_it():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        """,
    "another_way_each_time": """
        RUNS = itertools.count()

        @pytest.mark.interrupt_safe
        def test_it():
            if next(RUNS) % 2:
                len("odd")
            else:
                len("even")
        """,
    "fewer_hits_each_time": """
        HITS = iter([3, 3, 3, 3])

        @pytest.mark.interrupt_safe
        def test_it():
            for _ in range(next(HITS, 1)):
                len("x")
        """,
}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """Return the audits of all programs."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in PROGRAMS.items()}, SHOP)


MARK = "@pytest.mark.interrupt_safe"
"""The first line of a test, which is also the line of its entry."""


def leaks(audit: Audit) -> list[str]:
    """Return the source lines where the lock leaks, without defects of the interpreter."""
    return [
        source(point.file, point.line)
        for defect in audit.defects
        if defect.verdict is not Verdict.INTERPRETER
        for point in defect.points
    ]


def source(file: str, line: int) -> str:
    return Path(file).read_text(encoding="utf-8").splitlines()[line - 1].strip()


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        ("checkpoint", ["LOCK.acquire()"]),
        ("line", ["LOCK.acquire()"]),
        ("raise", ["try:", "LOCK.release()", "with LOCK:"]),
    ],
)
def test_a_mode_finds_what_its_kind_of_interrupt_loses(audits, mode, lines):
    """Only ``raise`` finds leaks where CPython cannot raise: at ``try:``, before a release, and when a ``with`` block closes."""
    audit = audits[f"mode_{mode}"]
    assert leaks(audit) == lines
    assert audit.mode == mode
    assert not audit.not_audited


@pytest.mark.parametrize("mode", ["line", "raise"])
def test_modes_by_line_have_one_point_for_each_visit_of_a_line(audits, mode):
    """In the modes ``line`` and ``raise``, each line of the body is a point, and the second visit of a ``with`` line is another."""
    lines = [source(point.file, point.line) for point in audits[f"mode_{mode}"].points]
    assert lines == [
        "LOCK.acquire()",
        "try:",
        'len("x")',
        "LOCK.release()",
        "with LOCK:",
        "done = True",
        "with LOCK:",
    ]


@pytest.mark.parametrize(("hits", "audited"), [("1", [1]), ("2", [1, 5]), ("3", [1, 2, 5]), ("all", [1, 2, 3, 4, 5])])
def test_hits_choose_first_second_and_last(audits, hits, audited):
    """Of five hits of a call and of a jump, those that ``hits`` selects are points, and the others are counted as left out."""
    audit = audits[f"hits_{hits}"]
    visits = [(point.kind, point.hit) for point in audit.points if source(point.file, point.line) == 'len("x")']
    assert [hit for kind, hit in visits if kind == "call"] == audited
    assert [hit for kind, hit in visits if kind == "jump"] == audited
    reason = f"further hit of a place in one calling context (hits={hits})"
    left = 2 * (5 - len(audited))
    assert audit.not_audited == ({reason: left} if left else {})


def test_a_sample_covers_every_line_and_is_reported(audits):
    """If there are more points than ``max_points``, the sample keeps one on each line, and the rest are counted."""
    audit = audits["sample"]
    assert [(point.line - audit.points[0].line, point.kind) for point in audit.points] == [
        (0, "entry"),
        (2, "call"),
        (3, "call"),
        (4, "call"),
    ]
    assert audit.not_audited == {"beyond max_points=4: an even sample was taken (seed=0)": 3}


@pytest.mark.parametrize(
    ("scope", "files"),
    [
        ("default", {"test", "store", "till"}),
        ("folder", {"test", "store", "till"}),
        ("file", {"test", "store"}),
        ("glob", {"test", "till"}),
        ("module", {"test", "store"}),
        ("standard_module", {"test", "contextlib"}),
        ("exclude_glob", {"test", "store"}),
        ("exclude_module", {"test", "till"}),
        ("exclude_test", {"store", "till"}),
    ],
)
def test_scope_is_what_include_and_exclude_say(audits, scope, files):
    """``include`` and ``exclude`` accept globs, files, folders, modules and packages; the test itself is in scope unless excluded."""
    found = {Path(point.path).stem.partition("_")[0] for point in audits[f"scope_{scope}"].points}
    assert found == files


def test_scope_can_be_the_standard_library(audits):
    """``include=['stdlib']`` puts all standard library code that the test reaches in scope, and no installed package."""
    paths = {point.path for point in audits["scope_standard_library"].points}
    assert {"contextlib.py", "test_scope_standard_library.py"} <= paths
    assert not any("site-packages" in path or "shop" in path for path in paths)


def test_an_ignored_line_is_no_point(audits):
    """A line with ``# maskcheck: ignore`` has no finding, and its point is counted as ignored."""
    audit = audits["ignored_line"]
    assert not audit.defects
    assert audit.not_audited == {"# maskcheck: ignore": 1}
    assert [source(point.file, point.line) for point in audit.points] == [MARK, "LOCK.release()"]


def test_an_ignored_block_has_no_points(audits):
    """``# maskcheck: ignore`` on the line that heads a block excludes the whole block."""
    audit = audits["ignored_block"]
    assert not audit.defects
    assert [source(point.file, point.line) for point in audit.points] == [MARK]


def test_lines_that_coverage_excludes_are_no_points(audits):
    """Lines excluded by coverage's own pragma, or by the user's coverage configuration, have no points."""
    audit = audits["excluded"]
    assert audit.not_audited == {"excluded by coverage's configuration": 2}
    lines = [source(point.file, point.line) for point in audit.points if point.path == "shop/till.py"]
    assert lines == ["def uncovered():", 'return len("z")']


def test_a_masked_interrupt_arrives_where_the_mask_ends(audits):
    """An interrupt between ``SIG_BLOCK`` and ``SIG_SETMASK`` gives no finding, and a note names the line where it arrived."""
    audit = audits["masked"]
    assert not audit.defects
    notes = {
        source(point.file, point.line): result.note for point, result in zip(audit.points, audit.results, strict=True)
    }
    for line in ("LOCK.acquire()", "LOCK.release()"):
        assert re.fullmatch(r"held back by the signal mask, arrived at .*signal\.py:\d+", notes[line])


def test_an_interrupt_that_never_arrives_proves_nothing(audits):
    """If a fixture masks the whole test, the points count as not audited, because the interrupt never arrives."""
    audit = audits["masked_to_the_end"]
    assert audit.audited == 0
    assert audit.not_audited == {"held back by the signal mask to the end of the run": 2}


def test_lines_of_other_threads_are_counted(audits):
    """Lines that only another thread reached are counted as not audited, with the reason."""
    reason = "line reached on another thread: only the main thread is interrupted"
    assert audits["other_thread"].not_audited[reason] >= 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("another_way_each_time", "coverage did not see the line in its own run: the test takes another way each time"),
        ("fewer_hits_each_time", "not reached again"),
    ],
)
def test_a_point_that_is_not_reached_again_is_not_audited(audits, name, reason):
    """A point that is not reached again, because the test runs differently each time, is reported as not audited, with the reason."""
    assert audits[name].not_audited[reason] >= 1


UNSAFE = """
import pytest, threading
LOCK = threading.Lock()

@pytest.mark.interrupt_safe
def test_it():
    LOCK.acquire()
    LOCK.release()
"""


def test_ids_are_the_same_in_the_next_session(audit):
    """Two sessions give the same point ids in the same order."""
    first, second = audit(UNSAFE).audit, audit(UNSAFE).audit
    assert [point.id for point in first.points] == [point.id for point in second.points]
    assert first.points[1].id == "test_ids_are_the_same_in_the_next_session.py:6:call#1"


def test_an_ignore_that_ignores_nothing_is_reported(audit):
    """The summary names the file and line of a ``# maskcheck: ignore`` that ignored no point."""
    result = audit("""
        import pytest

        @pytest.mark.interrupt_safe
        def test_it():
            done = True  # maskcheck: ignore
            len("x")  # maskcheck: ignore
        """).result
    (line,) = (line for line in result.outlines if line.startswith("unused"))
    assert line.startswith("unused: test_an_ignore_that_ignores_nothing_is_reported.py:5: ")


def test_one_point_is_audited_alone(audit):
    """``--maskcheck-point`` audits that point and no other, in this process, with the same result."""
    point = "test_one_point_is_audited_alone.py:6:call#1"
    audited = audit(UNSAFE, f"--maskcheck-point={point}")
    audited.result.assert_outcomes(failed=1)
    assert [result.point for result in audited.audit.results] == [point]
    assert audited.audit.isolation.startswith("none: one point")
    assert audited.defect.verdict is Verdict.LEAK


def test_one_point_that_is_clean_passes(audit):
    """A point that loses nothing passes, although another point of the test fails."""
    audited = audit(UNSAFE, "--maskcheck-point=test_one_point_that_is_clean_passes.py:4:entry#1")
    audited.result.assert_outcomes(passed=1)
    assert audited.audit.audited == 1


def test_a_debugger_stops_at_the_interrupted_line(pytester, run):
    """``--pdb`` with one point opens in the interrupted frame, with its variables, after leaked state has been repaired."""
    pytester.makepyfile(UNSAFE)
    point = "test_a_debugger_stops_at_the_interrupted_line.py:6:call#1"
    result = run("--pdb", f"--maskcheck-point={point}", stdin=b"p LOCK.locked(), sorted(locals())\nq\n")
    result.stdout.fnmatch_lines(["-> LOCK.acquire()", "(Pdb) (False, [[]])"])


def test_a_stale_id_is_told_in_one_sentence(audit):
    """A point id that no test reaches ends the session with exit code 4 and a one-sentence message."""
    result = audit(UNSAFE, "--maskcheck-point=src/gone.py:6:call#1").result
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["ERROR: no test that ran comes to the point src/gone.py:6:call#1;*"])
    result.stdout.fnmatch_lines(["not audited: *: it does not come to the point src/gone.py:6:call#1"])
    result.stdout.no_fnmatch_line("*it reached no point in scope*")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_jump_for_which_the_compiler_noted_no_line_can_be_run_again(audit):
    """A jump without a line (before 3.13) has the line of its loop in ids and tracebacks, and can be audited again by its id."""
    source = """
        import pytest, threading
        LOCK = threading.Lock()

        def take(numbers):
            for number in numbers:
                try:
                    if number: LOCK.acquire()
                    else: pass
                except ValueError as error:
                    pass

        @pytest.mark.interrupt_safe
        def test_it():
            take([1])
            LOCK.release()
        """
    (jump,) = (point.id for point in audit(source).audit.points if point.kind == "jump")
    audited = audit(source, f"--maskcheck-point={jump}")
    frame = audited.defect.traceback[-1]
    assert (frame.function, frame.line) == ("take", 7 if sys.version_info >= (3, 13) else 5)
    audited.result.assert_outcomes(failed=1)
