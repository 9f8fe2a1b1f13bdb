"""Points that other tests of the session have audited are left out; defects are found in one test and recognised in others."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from pytest_maskcheck.audit.audited_points import AuditedPoints
from pytest_maskcheck.reasons import NotAudited, Note, Reason, reason_of
from pytest_maskcheck.results import Audit, Category, Finding, Point, PointResult, Verdict

pytestmark = pytest.mark.newest

SHOP = """
    import threading

    LOCK = threading.Lock()
    SEEN = {}

    def safe(text):
        return len(text)

    def through(text):
        return safe(text)

    def unsafe():
        LOCK.acquire()
        LOCK.release()

    def remembers(text):
        SEEN[text] = None
        len(text)
        len(text)
        del SEEN[text]
"""


def by_name(audits: list[Audit]) -> dict[str, Audit]:
    """Return the audits by the names of their tests."""
    return {audit.test.partition("::")[2]: audit for audit in audits}


def places(audit: Audit, path: str = "shop.py") -> set[str]:
    """Return the ids of the points in a file that were audited."""
    return {point.id for point in audit.points if point.path == path}


def codes(audit: Audit) -> dict[object, int]:
    """Return how many points were left out, by code of the reason."""
    numbers: dict[object, int] = {}
    for reason, number in audit.left_out.items():
        numbers[reason_of(reason).code] = numbers.get(reason_of(reason).code, 0) + number
    return numbers


@pytest.fixture
def audited(pytester, audit):
    """Return a function that audits tests of the module ``shop`` with ``--maskcheck-all``; they run in alphabetical order."""

    def audited(source, *options):
        pytester.makepyfile(shop=dedent(SHOP))
        return audit("import pytest, signal, shop\n" + dedent(source), "--maskcheck-all", *options)

    return audited


SAME = """
    def test_a(): shop.safe("x")

    def test_b(): shop.safe("y")
"""


def test_repeats_are_left_out(audited):
    """A point that another test has audited clean is left out; the report says where it was audited, and its line counts."""
    found = audited(SAME)
    one, other = by_name(found.audits).values()
    assert places(one)
    assert not places(other)
    assert {*other.repeated} == places(one)
    assert {*other.repeated.values()} == {one.test}
    assert codes(other)[NotAudited.REPEATED] == len(other.repeated)
    assert not one.repeated
    assert other.audited  # the test's own code
    found.result.stdout.fnmatch_lines(
        [
            f"not audited: {len(other.repeated)} points: audited without a finding in 1 other test",
            "2 tests audited at * points: 0 defects; 1 of 1 reached line of shop interrupted, 0 points undecided",
        ]
    )


@pytest.mark.parametrize(
    ("mark", "option"),
    [("", "--maskcheck-repeats=all"), ("@pytest.mark.interrupt_safe", "--maskcheck-repeats=auto")],
    ids=["all", "marked"],
)
def test_all_points_of_a_test_are_audited(audited, mark, option):
    """With ``repeats=all``, and by default if it is marked, a test is audited at all of its own points."""
    source = f"{mark}\ndef test_a(): shop.safe('x')\n{mark}\ndef test_b(): shop.safe('y')\n"
    one, other = audited(source, option).audits
    assert places(one) == places(other)
    assert not other.repeated


def test_marked_tests_count_for_others(audited):
    """What a marked test has audited is left out of a test that is not marked."""
    one, other = audited(
        "@pytest.mark.interrupt_safe\ndef test_a(): shop.safe('x')\ndef test_b(): shop.safe('y')\n"
    ).audits
    assert {*other.repeated} == places(one)


def test_as_many_tests_as_wanted_audit_a_point(audited):
    """With ``repeats=2`` two tests audit a point, and the third leaves it out."""
    source = SAME + "\n    def test_c(): shop.safe('z')\n"
    first, second, third = audited(source, "--maskcheck-repeats=2").audits
    assert places(first) == places(second) == {*third.repeated}
    assert not second.repeated


DISTINGUISHED = {
    "handler": """
        def handler(*_):
            raise OSError

        def test_b():
            before = signal.signal(signal.SIGINT, handler)
            try:
                shop.safe("x")
            finally:
                signal.signal(signal.SIGINT, before)
    """,
    "mask": """
        def test_b():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                shop.safe("x")
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    """,
    "caller": """
        def test_b(): shop.through("x")
    """,
    "code": """
        def test_b(monkeypatch):
            code = compile("def safe(text):\\n return len(text) + 1\\n", shop.__file__, "exec").co_consts[0]
            monkeypatch.setattr(shop.safe, "__code__", code.replace(co_firstlineno=shop.safe.__code__.co_firstlineno))
            shop.safe("x")
    """,
    "settings": """
        @pytest.mark.interrupt_safe(repeats=1, timeout=6)
        def test_b(): shop.safe("x")
    """,
    "guarantee": """
        def test_b(maskcheck): shop.safe("x")
    """,
}
"""What distinguishes a point -> a test that reaches it; ``test_a`` reaches it as usual."""


@pytest.mark.parametrize("case", DISTINGUISHED)
def test_what_is_distinguished_is_audited(audited, case):
    """A point under another handler, mask, caller or settings, in changed code, or of a test with guarantees, is no repeat."""
    one, other = audited("def test_a(): shop.safe('x')\n" + dedent(DISTINGUISHED[case])).audits
    lines = {point.line for point in one.points if point.path == "shop.py"}
    assert lines
    assert lines <= {point.line for point in other.points if point.path == "shop.py"}
    assert not other.repeated


@pytest.mark.parametrize("option", ["--maskcheck-interrupts=2", "--maskcheck-shard=1/1"])
def test_audits_that_must_not_depend_on_others_leave_nothing_out(audited, option):
    """With second interrupts, and in a shard, the points do not depend on other tests of the session."""
    one, other = audited(SAME, option).audits
    assert places(one) == places(other)
    assert not other.repeated


DEFECT = """
    def test_a(): shop.unsafe()

    def test_b(): shop.unsafe()
"""


def test_a_defect_is_found_once(audited):
    """A point where another test has a defect is left out, does not fail the test, and is counted; the session fails."""
    found = audited(DEFECT)
    one, other = found.audits
    assert [defect.verdict for defect in one.failures] == [Verdict.LEAK]
    assert {*other.found} == {point.id for point in one.failures[0].points if point.path == "shop.py"}
    assert {*other.found.values()} == {one.test}
    assert codes(other)[NotAudited.FOUND] == len(other.found)
    assert not other.failures
    found.result.assert_outcomes(failed=1, passed=1)
    assert found.result.ret == pytest.ExitCode.TESTS_FAILED
    number = len(other.found)
    found.result.stdout.fnmatch_lines(
        [
            f"reached again: 1 other test would meet what fails {one.test}, at {number} point*: {other.test}",
            "2 tests audited at * points: 1 defect; *",
        ]
    )


def test_defects_with_all_points_are_the_same(audited):
    """Leaving repeats out loses no defect: kind, verdict and origin are those of a session that leaves nothing out."""

    def defects(audits):
        return {(each.kind, each.verdict, each.origin.place.line) for audit in audits for each in audit.failures}

    few, every = audited(DEFECT), audited(DEFECT, "--maskcheck-repeats=all")
    assert defects(few.audits) == defects(every.audits)
    every.result.assert_outcomes(failed=2)
    every.result.stdout.fnmatch_lines(["2 tests audited at * points: 1 defect; *"])  # one defect, met by both


def test_a_defect_that_is_expected_to_fail_is_found_again(audited):
    """If the test with the defect is not reported as failed, the next test that meets the defect fails by itself."""
    found = audited("@pytest.mark.xfail\n" + dedent(DEFECT))
    assert found.audits[-1].failures
    assert not found.audits[-1].found
    found.result.assert_outcomes(xfailed=1, failed=1)


def test_what_changes_modules_is_audited_again(audited):
    """A point whose interrupt leaves modules changed is no repeat: what is harmless to one test may harm another."""
    one, other = audited(
        """
        def test_a(): shop.remembers("x")

        def test_b():
            assert "x" not in shop.SEEN
            shop.remembers("x")
        """
    ).audits
    assert not one.failures
    assert [defect.verdict for defect in other.failures] == [Verdict.UNUSABLE]


def test_nothing_new_is_no_refusal(audited):
    """A test of which nothing is left to audit passes, counts as neither audited nor refused, and is mentioned on one line."""
    found = audited(SAME, "--maskcheck-exclude=test_*.py", "--maskcheck-fail-undecided")
    one, other = found.audits
    assert one.points
    assert not other.points
    assert not other.refused
    assert found.result.ret == pytest.ExitCode.OK
    lines = ["nothing new in 1 test: each of their points was audited in another test", "1 test audited at *"]
    found.result.stdout.fnmatch_lines(lines)
    found.result.stdout.no_fnmatch_line("not audited: test_*")


def test_keys_that_cannot_be_made_leave_nothing_out(pytester, audited):
    """An error while keys are made costs no point: everything is audited."""
    pytester.makeconftest(
        """
        from pytest_maskcheck.points import repeats

        def fail(*_):
            raise ValueError

        repeats.digest_of = fail
        """
    )
    one, other = audited(SAME).audits
    assert places(one) == places(other)
    assert not other.repeated


def test_workers_share_what_they_audited(pytester, audited):
    """Under xdist a worker leaves out what another worker has audited."""
    pytest.importorskip("xdist")
    source = """
        import os, time

        def wait_for(name):
            for _ in range(500):
                if os.path.exists(name):
                    return
                time.sleep(0.02)

        @pytest.fixture(scope="module")
        def later(request):
            wait_for("done")
            yield

        def test_a(): shop.safe("x")

        def test_b(later): shop.safe("y")
    """
    pytester.makeconftest(
        """
        def pytest_maskcheck_audited(item, audit):
            if item.name == "test_a":
                import threading
                threading.Timer(0.5, lambda: open("done", "w").close()).start()
        """
    )
    found = audited(source, "-p", "xdist", "-n2", "--dist=load")
    audits = by_name(found.audits)
    assert {*audits["test_b"].repeated.values()} == {audits["test_a"].test}
    assert {*audits["test_b"].repeated} == places(audits["test_a"])


# The memory


def result(point: str, *findings: Finding, **changes: object) -> PointResult:
    """Return the result of a point."""
    return PointResult(point, findings, **changes)


def an_audit(name: str, *results: PointResult, **changes: object) -> Audit:
    """Return an audit with these results."""
    points = tuple(Point(each.point, "a.py", "/a.py", 1, "call", 1, "f") for each in results)
    return Audit(name, points=points, results=results, **changes)


LEAK = Finding(Verdict.LEAK, "lock", "L", "")
LISTED = Finding(Verdict.IMPLICIT, "fd", "f", "", fails=False)
INSIDE = Finding(Verdict.LEAK, "lock", "L", "", fails=False, category=Category.INSIDE, package="queue")

FAILED = Reason(Note.RESOURCE_FAILED, resource="pool", plugin="p", method="read", error="OSError")

RESULTS = {
    "nothing": (result("p"), True),
    "lost out of scope": (result("p", INSIDE), True),
    "in a callee": (result("p", note=Reason(Note.ARRIVED, place="x")), True),
    "not reached": (result("p", reason=Reason(NotAudited.NOT_REACHED)), False),
    "listed": (result("p", LISTED), False),
    "a defect": (result("p", LEAK), False),
    "held back": (result("p", note=Reason(Note.HELD, by="mask", where="x")), False),
    "differs": (result("p", varies=True), False),
}


@pytest.mark.parametrize("case", RESULTS)
def test_which_results_count_as_clean(case):
    """A result counts as clean only if the place alone decided it, and nothing was found that the test may be the reason for."""
    one, is_clean = RESULTS[case]
    memory = AuditedPoints()
    memory.add(an_audit("a", one), {"p": "key"}, (), failed=False)
    assert bool(memory.repeats("b", 1, "").clean("key")) == is_clean
    assert not memory.repeats("a", 1, "").clean("key")  # it is no other test
    assert not memory.repeats("b", 1, "").failing("key")


@pytest.mark.parametrize(
    ("changes", "unsettled"),
    [({"left_anyway": ("lock:L",)}, ()), ({"breakdown": "x"}, ()), ({"notes": (FAILED,)}, ()), ({}, ("p",))],
    ids=["leaves something behind", "broke", "a kind failed", "changed modules"],
)
def test_what_does_not_count_as_clean(changes, unsettled):
    """Nothing counts from a test that leaves something behind uninterrupted, or whose audit or kinds broke, nor a point that changed modules."""
    memory = AuditedPoints()
    memory.add(an_audit("a", result("p"), **changes), {"p": "key"}, unsettled, failed=False)
    assert not memory.repeats("b", 1, "").clean("key")


def test_one_bad_hit_spoils_a_key():
    """A key that several hits of one test share counts as clean only if all of them are."""
    memory = AuditedPoints()
    memory.add(an_audit("a", result("p"), result("q", LISTED)), {"p": "key", "q": "key"}, (), failed=False)
    assert not memory.repeats("b", 1, "").clean("key")


@pytest.mark.parametrize("failed", [True, False])
def test_a_defect_counts_if_its_test_fails(failed):
    """A key with a defect counts as failing only if its test is reported as failed."""
    memory = AuditedPoints()
    memory.add(an_audit("a", result("p", LEAK)), {"p": "key"}, (), failed=failed)
    assert bool(memory.repeats("b", 1, "").failing("key")) == failed


def test_lines_of_other_workers_are_read_once_and_whole(tmp_path):
    """A worker reads what others append, ignores a line that was cut off, and waits for the rest of one that is being written."""
    path = tmp_path / "audited"
    mine, other = AuditedPoints(lambda: str(path)), AuditedPoints(lambda: str(path))
    assert not mine.repeats("b", 1, "").clean("k1")  # there is no file yet
    other.add(an_audit("a", result("p")), {"p": "k1"}, (), failed=False)
    with path.open("a") as file:
        file.write('\n["cut", ["k0"')
    other.add(an_audit("c", result("p")), {"p": "k2"}, (), failed=False)
    with path.open("a") as file:
        file.write('\n["d", ["k3"], ')
    assert mine.repeats("b", 1, "").clean("k1") == ("a",)
    assert mine.repeats("b", 1, "").clean("k2") == ("c",)
    assert not mine.repeats("b", 1, "").clean("k0")
    assert not mine.repeats("b", 1, "").clean("k3")
    with path.open("a") as file:
        file.write("[]]\n")
    assert mine.repeats("b", 1, "").clean("k3") == ("d",)
    assert json.loads(path.read_text().splitlines()[1]) == ["a", ["k1"], []]


def test_a_board_that_is_gone_hinders_nothing(tmp_path):
    """Without the file, each worker has what it audited itself."""
    memory = AuditedPoints(lambda: str(tmp_path / "gone" / "audited"))
    memory.add(an_audit("a", result("p")), {"p": "key"}, (), failed=False)
    assert memory.repeats("b", 1, "").clean("key") == ("a",)
