"""The points of one long test are divided among the workers of xdist, and reported as one test with one verdict."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_maskcheck.audit.sharing.board import CAN_SPREAD, DIED, Board, Done, Offer
from pytest_maskcheck.audit.sharing.helper import Helper
from pytest_maskcheck.audit.sharing.lead import Lead
from pytest_maskcheck.results import Audit, Point, PointResult, Verdict
from tests.conftest import read_audits, start_apart

pytest.importorskip("xdist")
pytestmark = [pytest.mark.newest, pytest.mark.skipif(not CAN_SPREAD, reason="needs fcntl")]

PRELUDE = """
    import glob, os, pytest, signal, threading, time

    LOCK = threading.Lock()
    OTHER = threading.Lock()
    WORKER = os.getpid()
    NAME = os.environ.get("PYTEST_XDIST_WORKER", "")

    def owns():
        # The first worker to come to the test audits it; the other one helps.
        try:
            with open("owner", "x") as file:
                file.write(f"{NAME} {WORKER}")
        except FileExistsError:
            pass
        return owner()[0] == NAME

    def owner():
        with open("owner") as file:
            return file.read().split()

    def audited():
        # Whether this is a run that is judged: in a process that the auditing process has forked.
        return os.getpid() != WORKER and os.getppid() != WORKER

    def careful(number):
        for step in range(number):
            with LOCK:
                abs(step)

    def lazy():
        time.sleep(0.02)
"""

BOARD = """
    @pytest.fixture
    def board(request):
        return getattr(request.config, "workerinput", {}).get("maskcheck_board", "")
"""

LONG = (
    PRELUDE
    + """
    @pytest.fixture(scope="session")
    def service():
        with open("log", "a") as file:
            file.write(f"up {NAME} {os.getpid()}\\n")
        yield
        with open("log", "a") as file:
            file.write(f"down {NAME} {os.getpid()}\\n")

    def tolerant():
        try:
            len("x")
        except BaseException:
            pass

    @pytest.mark.interrupt_safe(hits="all", allow={"lock:*OTHER": "of no account"})
    def test_long(service, tmp_path):
        lazy()
        careful(25)
        tolerant()
        before = os.umask(0o77)
        os.umask(before)
        OTHER.acquire()
        OTHER.release()
"""
)


@dataclass(frozen=True)
class Session:
    """A pytest session that audited: its exit code, what it printed and what it found."""

    code: int
    output: str
    audits: list[Audit]

    @property
    def audit(self) -> Audit:
        """The only audit."""
        (audit,) = self.audits
        return audit


@pytest.fixture
def place(tmp_path_factory):
    """A folder with a short name, as sockets need one, and a directory of its own for temporary files."""
    place = tmp_path_factory.mktemp("s")
    (place / "tmp").mkdir()
    (place / "pytest.ini").write_text("[pytest]\n")
    return place


@pytest.fixture
def session(place):
    """Return a function that runs pytest in the folder with the given number of workers."""

    def session(source: str, workers: int, *options: str, killed: int = 0) -> Session:
        (place / "test_it.py").write_text(dedent(source))
        audits = ("--maskcheck", "--maskcheck-report=json:report.json", "--maskcheck-strategy=rerun")
        options = ("-p", "xdist.plugin", *audits, f"-n{workers}", *options)
        process = start_apart(place, *options, TMPDIR=str(place / "tmp"))
        try:
            output, _ = process.communicate(timeout=120)
        finally:
            process.kill()
        left = [entry.name for entry in (place / "tmp").iterdir() if not entry.name.startswith("pytest-of-")]
        assert len(left) == killed, left  # a killed worker cannot remove its temporary directory
        return Session(process.returncode, output, read_audits(place / "report.json"))

    return session


def shares(audit: Audit) -> dict[str, int]:
    """Return how many points each worker audited; empty if the audit was not divided."""
    told = [note for note in audit.notes if note.startswith("divided over workers: ")]
    return {name: int(number) for name, number in re.findall(r"(\w+) audited (\d+) point", "".join(told))}


def alike(audit: Audit) -> Audit:
    """Return an audit without the parts that depend on who made it and how fast.

    These include the origins: a long run searches for them only now and then.
    """
    notes = tuple(note for note in audit.notes if not note.startswith("divided"))
    results = tuple(
        replace(result, findings=tuple(replace(finding, origin=None) for finding in result.findings))
        for result in audit.results
    )
    return replace(audit, seconds=0.0, exposures={}, duration=0.0, notes=notes, results=results)


def test_one_long_test_is_audited_by_all_workers(session):
    """Both workers audit points, and the result equals that of one process: one test, one verdict, all points and defects."""
    alone = session(LONG, 0).audit
    together = session(LONG, 2)
    assert shares(alone) == {}
    divided = shares(together.audit)
    assert divided.keys() == {"gw0", "gw1"}
    assert all(divided.values())
    assert sum(divided.values()) == len(alone.points)
    assert alike(together.audit) == alike(alone)
    assert {defect.verdict for defect in alone.failures} == {Verdict.ALTERED, Verdict.SWALLOWED}
    assert re.search(r"^=+ 1 failed in ", together.output, re.MULTILINE)


RANDOM = (
    PRELUDE
    + """
    import uuid

    @pytest.mark.interrupt_safe(hits="all")
    def test_long(tmp_path):
        (tmp_path / f"log-{uuid.uuid4().hex}").touch()
        lazy()
        careful(25)
        path = tmp_path / f"part-{uuid.uuid4().hex}"
        path.touch()
        for _ in range(3):
            len("x")
        path.unlink()
"""
)


def test_owner_and_helper_give_one_name_to_what_differs_from_run_to_run(session):
    """Owner and helper find the same patterns independently, so there is one defect, and the same is left anyway."""
    audit = session(RANDOM, 2).audit
    assert len(shares(audit)) == 2
    assert [defect.key for defect in audit.failures] == ["<tmp_path>/part-*"]
    assert audit.left_anyway == ("path:<tmp_path>/log-*",)
    assert not audit.not_audited


def test_fixtures_of_a_helper_are_torn_down(session, place):
    """A session-scoped fixture is set up once more in the helping worker, and is torn down in the same process."""
    session(LONG, 2)
    log = (place / "log").read_text().splitlines()
    up = [line.split()[1:] for line in log if line.startswith("up")]
    down = [line.split()[1:] for line in log if line.startswith("down")]
    assert sorted(name for name, _ in up) == ["gw0", "gw1"]
    assert sorted(up) == sorted(down)


SEVERAL = (
    PRELUDE
    + """
    @pytest.mark.interrupt_safe(hits="all")
    def test_long():
        lazy()
        careful(60)

    @pytest.mark.interrupt_safe
    @pytest.mark.parametrize("number", range(2))
    def test_short(number):
        LOCK.acquire()
        LOCK.release()

    def test_unmarked():
        pass
"""
)


def test_a_worker_helps_when_it_has_run_out_of_tests(session):
    """The long test is divided, short ones are not, and each test has one outcome."""
    done = session(SEVERAL, 2)
    assert re.search(r"^=+ 2 failed, 2 passed in ", done.output, re.MULTILINE)
    assert len(done.audits) == 3
    for audit in done.audits:
        assert not audit.not_audited
        assert bool(shares(audit)) == ("test_long" in audit.test)


TWICE = (
    PRELUDE
    + """
    @pytest.mark.interrupt_safe(interrupts=2, hits=1)
    def test_twice():
        lazy()
        lazy()
        try:
            len("x"), len("y")
            careful(2)
        except BaseException:
            OTHER.acquire()
            len("z")
            OTHER.release()
            raise
        finally:
            len("x"), len("y")
"""
)


def test_points_with_two_interrupts_are_divided(session):
    """A helper finds the offered second interrupts by itself, and the result equals that of one process."""
    alone = session(TWICE, 0).audit
    together = session(TWICE, 2).audit
    divided = shares(together)
    assert len(divided) == 2
    assert sum(divided.values()) == sum(1 for point in alone.points if point.first)
    assert alike(together) == alike(alone)
    assert alone.failures


HELPER_DIES = (
    PRELUDE
    + """
    @pytest.mark.interrupt_safe(hits="all")
    def test_long():
        lazy()
        if audited() and not owns():
            try:
                os.mkdir("killed")
            except FileExistsError:
                pass
            else:
                os.kill(WORKER, signal.SIGKILL)
                time.sleep(60)
        careful(40)
"""
)


def test_a_helper_that_dies_loses_no_result(session, place):
    """If a helper dies, other workers audit what it had begun: no point is missing, and the test passes."""
    done = session(HELPER_DIES, 2, killed=1)
    assert (place / "killed").exists()
    assert "node down" in done.output
    assert done.code == 0, done.output
    assert done.audit.audited == len(done.audit.points) > 100


OWNER_DIES = (
    PRELUDE
    + BOARD
    + """
    @pytest.mark.interrupt_safe(hits="all", timeout=60)
    def test_long(board):
        lazy()
        if not owns() and audited():
            while not os.path.exists(glob.glob(f"{board}/offer-*")[0] + "/0.done"):
                time.sleep(0.01)
            os.kill(int(owner()[1]), signal.SIGKILL)
            time.sleep(60)
        LOCK.acquire()
        LOCK.release()
        careful(40)

    @pytest.mark.interrupt_safe
    def test_short():
        careful(2)
"""
)


def test_what_was_found_before_the_owner_died_is_reported(session):
    """If the owner dies, the report has the results of all chunks done by then, and counts the other points as not audited."""
    done = session(OWNER_DIES, 2, killed=1)
    assert done.code == 1
    assert re.search(r"^worker 'gw\d' crashed while running 'test_it\.py::test_long'", done.output, re.MULTILINE)
    audits = {audit.test.partition("::")[2]: audit for audit in done.audits}
    assert audits["test_short"].audited == len(audits["test_short"].points)
    audit = audits["test_long"]
    assert audit.audited > 20
    assert audit.not_audited == {DIED: len(audit.points) - audit.audited}
    assert [defect.verdict for defect in audit.failures] == [Verdict.LEAK]
    assert "leak: lock test_it.LOCK" in done.output


AUDIT_DIES = (
    PRELUDE
    + BOARD
    + """
    @pytest.mark.interrupt_safe(hits="all", timeout=60)
    def test_long(board):
        lazy()
        if owns() and audited():
            while not glob.glob(f"{board}/offer-*/*.done"):
                time.sleep(0.01)
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        careful(40)
"""
)


def test_what_others_found_survives_the_auditing_process(session):
    """If the auditing process ends before it reports a helper's results, the report still has them, and the worker goes on."""
    done = session(AUDIT_DIES, 2)
    assert done.code == 0, done.output
    audit = done.audit
    assert audit.audited > 8
    (reason,) = audit.not_audited
    assert reason == "the auditing process ended: killed by SIGKILL"


OTHER_WAY = (
    PRELUDE
    + """
    @pytest.mark.interrupt_safe(hits="all")
    def test_long():
        lazy()
        careful(40) if owns() else careful(2)
"""
)


def test_a_helper_that_finds_other_points_does_not_help(session):
    """A helper that finds other points gives back what it claimed, and the owner audits all of it."""
    done = session(OTHER_WAY, 2)
    assert done.code == 0
    assert shares(done.audit) == {}
    assert not done.audit.not_audited


LEAKS = (
    PRELUDE
    + """
    @pytest.mark.interrupt_safe(hits="all")
    def test_long():
        os.environ["MASKCHECK_TEST"] = "1"
        for number in range(40):
            abs(number)
        del os.environ["MASKCHECK_TEST"]
"""
)


def test_a_test_whose_findings_take_long_is_divided(session):
    """A run of this test takes less than a millisecond, and each of its many findings a process of its own: others help with the rest."""
    done = session(LEAKS, 2)
    assert len(shares(done.audit)) == 2
    assert done.audit.audited == len(done.audit.points) > 80
    assert [(defect.verdict, defect.kind) for defect in done.audit.failures] == [(Verdict.ALTERED, "environ")]
    names = [[(defect.key, defect.points) for defect in each.audit.defects] for each in (done, session(LEAKS, 0))]
    assert names[0] == names[1]


@pytest.mark.parametrize("option", ["--maskcheck-isolation=none", "--maskcheck-point=test_it.py:22:entry#1", "-n1"])
def test_nothing_is_offered_where_nobody_could_help(session, option):
    """An audit is not divided if it runs in the worker's process, has a single point, or belongs to the only worker."""
    source = SEVERAL.replace('hits="all"', "hits=1")
    done = session(source, 2, option)
    assert done.audits
    assert not any(shares(audit) for audit in done.audits)


# The board alone


def points(number: int) -> tuple[Point, ...]:
    """Return ``number`` points."""
    return tuple(Point(f"a.py:{line}:call#1", "a.py", "/a.py", line, "call", 1, "f") for line in range(1, number + 1))


def done(chosen) -> Done:
    """Return the outcome of the chosen points."""
    return Done("", tuple(PointResult(point.id) for point in chosen))


def offers(board: Board) -> list[str]:
    """Return the names of the offers on a board."""
    return [name for name in os.listdir(board.path) if name.startswith("offer-")]


@pytest.fixture
def board(tmp_path):
    """The board of the worker ``gw0``, one of two."""
    board = Board(str(tmp_path), "gw0", 2)
    board.attendance.attend()
    yield board
    board.attendance.leave()


@pytest.mark.parametrize(("seconds", "offered"), [(0.001, 0), (0.1, 1)])
def test_only_long_audits_are_offered(board, seconds, offered):
    """Twenty points of a millisecond are not offered; twenty of a tenth of a second are."""
    seen = []

    def do(chosen):
        seen.append(len(offers(board)))
        return done(chosen)

    lead = Lead(board)
    lead.work(Audit("t", points=points(20)), seconds, do=do, take=pytest.fail, wait=pytest.fail)
    assert set(seen) == {offered}
    assert lead.note() == ""
    lead.close()
    assert offers(board) == []


@pytest.mark.parametrize(("seconds", "offered"), [(0.001, False), (0.1, True)])
def test_points_that_turn_out_to_take_long_are_offered(board, seconds, offered):
    """Runs of a millisecond promise a short audit; if the first points take a hundred times as long, the rest is offered."""
    lead = Lead(board)
    seen = []

    def do(chosen):
        seen.extend((point, bool(offers(board))) for point in chosen)
        if offers(board):
            return done(chosen)
        for number in range(1, len(chosen) + 1):
            time.sleep(seconds)
            if lead.goes_on_with_others(number, len(chosen) - number):
                del seen[number:]
                return done(chosen[:number])
        return done(chosen)

    lead.work(Audit("t", points=points(34)), 0.001, do=do, take=pytest.fail, wait=pytest.fail)
    assert [point for point, _ in seen] == list(points(34))
    assert any(was_offered for _, was_offered in seen) == offered
    assert not lead.goes_on_with_others(1, 1000)  # only what is audited alone ends early


def test_chunks_grow_smaller_towards_the_end(board):
    """Every point is offered once, in order; the first chunks are limited by time, the last ones are small."""
    offer = Offer("gw0", Audit("t", points=points(1000)), Lead(board)._cuts(1000, 0.1), 0.1)
    sizes = [len(chunk) for chunk in offer.chunks]
    assert [point for chunk in offer.chunks for point in chunk] == list(offer.audit.points)
    assert sizes == sorted(sizes[:-1], reverse=True) + sizes[-1:]
    assert (sizes[0], sizes[-2]) == (100, 8)


def test_a_session_that_has_ended_is_no_longer_open():
    """When the process that made the board ends, its lock is released, which closes the board."""
    source = "import sys; from pytest_maskcheck.audit.sharing.board import Board; print(Board.make().path, flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    board = Board(process.stdout.readline().strip(), "gw0", 2)
    try:
        assert board.attendance.is_open()
        process.kill()
        process.communicate()
        assert not board.attendance.is_open()
    finally:
        process.kill()
        process.communicate()
        board.remove()
    assert not Path(board.path).exists()


def test_an_audit_goes_on_when_the_board_is_gone(board, tmp_path):
    """If the board is removed, the owner audits all points itself."""
    audited = []

    def do(chosen):
        Board(str(tmp_path), "other", 2).remove()
        audited.extend(chosen)
        return done(chosen)

    Lead(board).work(Audit("t", points=points(50)), 0.1, do=do, take=pytest.fail, wait=pytest.fail)
    assert audited == list(points(50))


ELSEWHERE = """
import sys
from pytest_maskcheck.results import PointResult
from pytest_maskcheck.audit.sharing.board import Board, Done
from pytest_maskcheck.audit.sharing.helper import Helper

def do(chosen):
    return Done("", tuple(PointResult(point.id, note="helped") for point in chosen), (f"{len(chosen)} points",))

board = Board(sys.argv[1], "gw1", 2)
board.attendance.attend()
helper = Helper.find(board, ())
helper.work((), lambda chosen: {point.id: point for point in chosen}, do)
"""


def test_what_was_done_survives_who_did_it(tmp_path):
    """If the owner ends, the board still has a helper's results and notes, and counts the points of the owner's chunk as missing."""
    board = Board.make()
    audit = Audit("t", points=points(50), left_anyway=("fd:x",))
    source = """
        import subprocess, sys
        from pytest_maskcheck.audit.messages import LeftBehind
        from pytest_maskcheck.points.plan import Plan
        from pytest_maskcheck.results import Audit, Point
        from pytest_maskcheck.audit.sharing.board import Board
        from pytest_maskcheck.audit.sharing.lead import Lead
        from tests.audit.test_sharing import ELSEWHERE, points

        def do(chosen):
            subprocess.run([sys.executable, "-c", ELSEWHERE, sys.argv[1]], check=True)
            raise SystemExit

        board = Board(sys.argv[1], "gw0", 2)
        board.attendance.attend()
        journal = board.journal()
        journal.begin(Audit("t", left_anyway=("fd:x",)))
        journal.add(Plan([*points(50)]))
        journal.add(LeftBehind(("fd:x",)))
        Lead(board).work(Audit("t", points=points(50), left_anyway=("fd:x",)), 0.1, do=do, take=print, wait=print)
    """
    try:
        root = Path(__file__).parents[2]
        subprocess.run([sys.executable, "-c", dedent(source), board.path], cwd=root, timeout=60)
        assert board.left_behind("t", "gw1") is None
        assert board.left_behind("other", "gw0") is None
        left = board.left_behind("t", "gw0")
        (first, *_) = Lead(board)._cuts(50, 0.101)
        assert left.not_audited == {DIED: first}
        assert {result.note for result in left.results if not result.reason} == {"helped"}
        assert (left.points, left.left_anyway) == (audit.points, audit.left_anyway)
        assert left.notes
        assert Helper.find(board, ()) is None  # the offer of a dead owner is not found
    finally:
        board.remove()
