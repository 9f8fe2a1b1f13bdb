"""How many points are audited: deep call trees, samples, and the time budget."""

from __future__ import annotations

import pytest

from pytest_maskcheck.audit.budget import Budget

pytestmark = pytest.mark.newest

TREE = """
    import pytest

    def leaf():
        len("x")

    def go(path):
        if not path:
            leaf()
        elif path[0] == "a":
            go(path[1:])
        else:
            go(path[1:])

    @pytest.mark.interrupt_safe(hits=1)
    def test_it():
        for path in {paths}:
            go(path)
    """


@pytest.mark.parametrize(("paths", "contexts"), [(["aaaaaaab", "babababb", "bbbbbbbb"], 3), (["aaa", "bbb", "bab"], 3)])
def test_contexts_that_end_otherwise_are_audited(audit, paths, contexts):
    """Contexts whose innermost calls differ are audited separately."""
    assert on_leaf(audit(TREE.format(paths=paths)).audit) == contexts


def test_contexts_that_end_alike_are_not_repeated(audit):
    """Contexts that end with the same calls count as one, however they begin."""
    paths = [f"{number:05b}".translate(str.maketrans("01", "ab")) + "abab" for number in range(32)]
    audited = audit(TREE.format(paths=paths)).audit
    assert on_leaf(audited) == 1
    assert audited.not_audited["further hit of a place in one calling context (hits=1)"] > 31


def on_leaf(audit):
    """Return the number of points of the call in ``leaf``."""
    return sum(point.function == "leaf" and point.kind == "call" for point in audit.points)


def test_a_hit_in_a_mask_is_not_taken_for_one_outside(audit):
    """With ``hits=1``, a leak at an unmasked call is found even though a masked call comes first."""
    audited = audit(
        """
        import contextlib
        import threading
        import pytest
        from pytest_maskcheck.masking import mask

        LOCK = threading.Lock()

        def use(way):
            with way():
                LOCK.acquire()
                LOCK.release()

        @pytest.mark.interrupt_safe(hits=1)
        def test_it():
            for way in (mask, contextlib.nullcontext):
                use(way)
        """
    )
    assert [defect.kind for defect in audited.audit.failures] == ["lock"]
    calls = [point.hit for point in audited.audit.points if point.function == "use" and point.kind == "call"]
    assert {1, 2} <= set(calls)


SLOW = """
    import time
    import pytest

    def work():
        time.sleep(0.02)
        for _ in range(40):
            len("a"), len("b"), len("c")
        len("d")
        for _ in range(40):
            len("e")

    @pytest.mark.interrupt_safe(hits="all", strategy="rerun")
    def test_slow():
        work()
    """

QUICK = """

    @pytest.mark.interrupt_safe
    def test_quick():
        len("f")
        len("g")
    """


def test_a_budget_takes_lines_first_and_is_kept(audit):
    """If there is time for only some of 300 runs of 20 ms, these cover all lines and are spread over the whole test."""
    audited = audit(SLOW, "--maskcheck-budget=3").audit
    assert 2 < audited.seconds < 6
    assert 20 < audited.audited < len(audited.points)
    done = [point for point, result in zip(audited.points, audited.results, strict=True) if not result.reason]
    assert {point.line for point in done} == {point.line for point in audited.points}
    assert max(point.hit for point in done if point.kind == "jump") > 20
    reason = "beyond the time budget of 3 s"
    assert audited.not_audited == {reason: len(audited.points) - audited.audited}


def test_what_is_beyond_the_budget_is_in_the_summary(audit):
    """The summary counts the points beyond the budget, like all points that were not audited."""
    audited = audit(SLOW, "--maskcheck-budget=2.5")
    number = audited.audit.not_audited["beyond the time budget of 2.5 s"]
    audited.result.stdout.fnmatch_lines([f"not audited: {number} points: beyond the time budget of 2.5 s"])
    audited.result.assert_outcomes(passed=1)


def test_a_budget_that_suffices_leaves_nothing_out(audit):
    """All points are audited if the budget suffices, and if there is no budget."""
    assert audit(QUICK.replace("@", "import pytest\n    @", 1), "--maskcheck-budget=60").audit.not_audited == {}
    assert audit(QUICK.replace("@", "import pytest\n    @", 1)).audit.not_audited == {}


def test_each_test_has_its_part(audit):
    """A long test does not use up the shares of later tests; time that a short test does not need goes to the others."""
    slow, quick = audit(SLOW + QUICK, "--maskcheck-budget=4").audits
    assert slow.seconds < 4
    assert slow.not_audited
    assert quick.not_audited == {}
    quick, slow = audit(QUICK.replace("@", "import pytest\n    @", 1) + SLOW, "--maskcheck-budget=4").audits
    assert quick.not_audited == {}
    assert 2 < slow.seconds < 7


def test_a_test_for_which_there_is_no_time_is_not_audited(audit):
    """A test for which there is no time passes, with the reason reported; a session that audits nothing exits with "no tests"."""
    audited = audit(SLOW, "--maskcheck-budget=0.05")
    assert audited.audit.refused == "beyond the time budget of 0.05 s"
    audited.result.assert_outcomes(passed=1)
    assert audited.result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    audited.result.stdout.fnmatch_lines(["not audited: *::test_slow: beyond the time budget of 0.05 s"])


MANY = """
    import threading
    import pytest

    LOCK = threading.Lock()

    @pytest.mark.interrupt_safe
    @pytest.mark.parametrize("number", range(40))
    def test_lock(number):
        LOCK.acquire()
        str(number)
        LOCK.release()
    """


def test_a_test_that_is_audited_has_a_point(audit):
    """If shares are too small for an audit, some tests all over the session are audited, and one line reports the others."""
    audited = audit(MANY, "--maskcheck-budget=3")
    done = [not one.refused for one in audited.audits]
    assert all(one.audited for one in audited.audits if not one.refused)
    assert 0 < sum(done) < 40
    assert any("lock" in defect.kind for one in audited.audits for defect in one.failures)
    assert sum(one.seconds for one in audited.audits) < 9
    summary = [line for line in audited.result.outlines if line.startswith("not audited: ")]
    tests, *points = summary
    assert tests.startswith(f"not audited: {done.count(False)} tests (")
    assert tests.endswith(" more): beyond the time budget of 3 s")
    assert all("::" not in line for line in points)
    assert audited.result.ret == pytest.ExitCode.TESTS_FAILED


def test_the_deadline_holds_where_the_estimate_fails(audit):
    """The audit ends at its deadline even if interrupted runs take many times as long as uninterrupted ones."""
    audited = audit(
        """
        import time
        import pytest

        @pytest.mark.interrupt_safe(hits="all")
        def test_it():
            try:
                for _ in range(100):
                    len("x")
            except KeyboardInterrupt:
                time.sleep(0.3)
                raise
        """,
        "--maskcheck-budget=2",
    ).audit
    assert audited.seconds < 5
    assert audited.not_audited["beyond the time budget of 2 s"] > 150
    assert audited.audited > 1


def test_snapshots_keep_the_budget(audit):
    """Snapshots audit as many points as the budget allows, first only a few of them, and cover all lines before anything else."""
    source = SLOW.replace("sleep(0.02)", "sleep(0.3)").replace("range(40)", "range(150)").replace("rerun", "snapshot")
    audited = audit(source, "--maskcheck-budget=6").audit
    assert audited.strategy.startswith("snapshot")
    assert audited.seconds < 9
    assert 30 < audited.audited < len(audited.points)
    done = {point.line for point, result in zip(audited.points, audited.results, strict=True) if not result.reason}
    assert done == {point.line for point in audited.points}
    assert list(audited.not_audited) == ["beyond the time budget of 6 s"]


def test_pairs_have_what_single_points_leave(audit):
    """With two interrupts, single points are audited first, then as many pairs as there is time for."""
    audited = audit(SLOW.replace('hits="all"', "interrupts=2, hits=1"), "--maskcheck-budget=4").audit
    single = [result for point, result in zip(audited.points, audited.results, strict=True) if not point.first]
    assert not any(result.reason for result in single)
    assert audited.seconds < 7
    assert {reason for reason in audited.not_audited if "budget" in reason} <= {
        "beyond the time budget of 4 s",
        "no second interrupt after it: beyond the time budget of 4 s",
    }


def test_one_point_is_audited_whatever_the_budget(audit):
    """The budget does not apply to the reproduction of a single point."""
    audited = audit(
        SLOW, "--maskcheck-budget=0.05", "--maskcheck-point=test_one_point_is_audited_whatever_the_budget.py:9:call#1"
    )
    assert len(audited.audit.points) == 1
    assert not audited.audit.refused
    assert not any("budget" in reason for reason in audited.audit.not_audited)


def test_each_worker_keeps_the_budget(audit):
    """Each xdist worker has the whole budget for its own tests."""
    pytest.importorskip("xdist")
    audits = audit(
        SLOW + SLOW.partition("@")[1] + SLOW.partition("@")[2].replace("test_slow", "test_other"),
        "--maskcheck-budget=3",
        *("-p", "xdist", "-n2"),
    ).audits
    assert len(audits) == 2
    assert all(2 < audited.seconds < 6 for audited in audits)
    assert all(list(audited.not_audited) == ["beyond the time budget of 3 s"] for audited in audits)


@pytest.mark.parametrize("value", ["0", "-3", "inf", "nan", "soon", ""])
def test_a_budget_that_cannot_be_used_is_an_error(pytester, run, value):
    """An invalid budget, on the command line or in the configuration file, is a usage error that states what is valid."""
    pytester.makepyfile("def test_it(): pass")
    result = run("--maskcheck", f"--maskcheck-budget={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = f"ERROR: --maskcheck-budget is '{value}'; it must be a number of seconds above 0"
    result.stderr.fnmatch_lines([message])
    if value:
        pytester.makeini(f"[pytest]\nmaskcheck_budget = {value}\n")
        result = run("--maskcheck")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: maskcheck_budget *must be a number of seconds above 0"])


def test_the_budget_is_of_the_session(pytester, run):
    """The budget can be set in the configuration file, but not by a marker."""
    pytester.makepyfile("import pytest\n@pytest.mark.interrupt_safe(budget=3)\ndef test_it(): pass")
    result = run("--maskcheck")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *has no argument 'budget'*"])
    pytester.makepyfile("import pytest\n@pytest.mark.interrupt_safe\ndef test_it(): pass")
    pytester.makeini("[pytest]\nmaskcheck_budget = 0.00001\n")
    run("--maskcheck").stdout.fnmatch_lines(["not audited: *::test_it: beyond the time budget of 1e-05 s"])


def test_shares_are_fair():
    """A share is the time left divided by the number of tests left; processes share the tests, but each has the whole time."""
    budget = Budget(60)
    budget.expect(6, processes=2)
    for seconds in (20, 30, 30):  # the third time, all expected tests have begun, but one more follows
        budget.begins()
        share = budget.share(more=True)
        assert share.left() == pytest.approx(seconds, abs=1)
        assert share.reason == "beyond the time budget of 60 s"
        assert not share.over()
    budget.spend(59)
    assert budget.share(more=False).left() == pytest.approx(1, abs=0.5)
    budget.spend(59)
    share = budget.share(more=False)
    assert share.over()
    assert share.room(0.1) == 0
    assert not share.has_room(0.0)


def test_shares_that_are_too_small_go_to_some_tests():
    """No share is smaller than the cheapest audit so far; if time is too short for all tests, the audited ones are spread evenly."""
    budget = Budget(10)
    budget.expect(40)
    had = []
    for _ in range(40):
        budget.begins()
        share = budget.share(more=True)
        had.append(share.has_room(0.0))
        if had[-1]:
            assert share.left() == pytest.approx(0.5 if had.count(True) > 1 else 0.25, abs=0.1)
            budget.spend(0.5, audited=True)
        else:
            budget.spend(0.0)
    assert sum(had) in {19, 20, 21}
    assert all(any(had[start : start + 4]) for start in range(0, 40, 4))
    assert [budget.share(more=True).turn] == [39]


def test_long_tests_are_audited_if_the_session_has_the_time():
    """A test may exceed its fair share if the session has the time, but is not begun if it needs more than all the time left.

    A fair share may be less than the runs around the points take.
    """
    budget = Budget(60)
    budget.expect(1000)
    room = []
    for _ in range(1000):
        budget.begins()
        room.append(budget.share(more=True, seconds=0.5).has_room(0.5))
        budget.spend(3.2 if room[-1] else 0.0, audited=room[-1])
    assert sum(room) in {18, 19, 20}
    assert any(room[:100])
    assert any(room[800:])
    assert not Budget(2).share(more=False, seconds=0.5).has_room(0.5)


def test_the_last_test_has_what_is_left():
    """The last test gets all the time left, even if the cheapest audit so far took a little more, as the first of a session does."""
    budget = Budget(4)
    budget.expect(2)
    budget.begins()
    budget.spend(2.1, audited=True)
    budget.begins()
    assert budget.share(more=False).left() == pytest.approx(2.1, abs=0.1)


def test_a_share_lasts_as_long_as_its_points_need():
    """``at_least`` extends a share, counting from now, and never shortens it."""
    share = Budget(10).share(more=False)
    assert share.at_least(1) == share
    assert share.at_least(20).left() == pytest.approx(20, abs=0.5)
    assert share.at_least(20).reason == share.reason
