"""Audits beside plugins that rerun tests: only the attempt that passed is audited, and a defect causes no further attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reasons import NotAudited, reason_of

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

UNSTEADY = """
    import pytest
    from shop import clean, leaky

    ATTEMPTS = []
    FIXTURES = []


    @pytest.fixture(scope="class")
    def lasting():
        FIXTURES.append("set up")
        yield
        FIXTURES.append("torn down")


    @pytest.fixture
    def fresh(tmp_path):
        yield tmp_path


    @pytest.mark.interrupt_safe
    class TestIt:
        @pytest.mark.flaky(TIMES)
        def test_defect(self, lasting, fresh):
            ATTEMPTS.append("defect")
            assert len(ATTEMPTS) >= 2
            assert leaky() == 1

        @pytest.mark.flaky(TIMES)
        def test_clean(self, lasting, fresh):
            ATTEMPTS.append("clean")
            assert len(ATTEMPTS) >= 5
            assert clean() == 1

        def test_clean_as_it_is(self, fresh):
            assert clean() == 1


    class TestAfterwards:
        def test_it(self):
            assert ATTEMPTS == ["defect", "defect", "clean", "clean", "clean"]
            assert FIXTURES == ["set up", "torn down"]
"""

NEVER = """
    import pytest

    ATTEMPTS = []


    @pytest.mark.interrupt_safe
    @pytest.mark.flaky(TIMES)
    def test_it():
        ATTEMPTS.append("it")
        assert len(ATTEMPTS) > 5


    def test_afterwards():
        assert len(ATTEMPTS) == 3
"""

TWICE = """
    import pytest
    from shop import leaky

    ATTEMPTS = []


    @pytest.mark.interrupt_safe
    @pytest.mark.flaky(max_runs=3, min_passes=2)
    def test_defect():
        ATTEMPTS.append("it")
        assert leaky() == 1


    def test_afterwards():
        assert len(ATTEMPTS) == 2
"""

REPEATED = """
    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    @pytest.mark.repeat(2)
    def test_defect():
        assert leaky() == 1


    def test_clean(tmp_path):
        assert clean() == 1
"""

TIMES = {"pytest-rerunfailures": "reruns=2", "flaky": "max_runs=3"}


@pytest.mark.parametrize("plugin", TIMES)
def test_attempts(beside: Beside, plugin: str) -> None:
    """A test is attempted as often as without an audit; then it is audited once."""
    names = ("TestIt::test_defect", "TestIt::test_clean", "TestIt::test_clean_as_it_is")
    session = beside(plugin, UNSTEADY.replace("TIMES", TIMES[plugin]))
    session.is_right(*names)
    assert len(session.audits) == 3
    assert "1 failed, 3 passed" in session.output
    assert ("3 rerun" in session.output) == (plugin == "pytest-rerunfailures")


@pytest.mark.parametrize("plugin", TIMES)
def test_a_test_that_never_passes(beside: Beside, plugin: str) -> None:
    """A test that passes in no attempt is not audited, and fails as it does without auditing."""
    session = beside(plugin, NEVER.replace("TIMES", TIMES[plugin]), "--maskcheck-allow-none")
    assert [reason_of(audit.refused).code for audit in session.audits.values()] == [NotAudited.FAILED]
    assert "1 failed, 1 passed" in session.output


def test_attempts_of_all_tests(beside: Beside) -> None:
    """Tests rerun by ``--reruns``, without a mark and on a worker of xdist, are audited."""
    source = UNSTEADY.replace("@pytest.mark.flaky(TIMES)", "")
    session = beside("pytest-rerunfailures pytest-xdist", source, "--reruns=2", "-n1")
    session.is_right("TestIt::test_defect", "TestIt::test_clean")
    assert "1 failed, 3 passed" in session.output
    assert "3 rerun" in session.output


def test_more_than_one_pass(beside: Beside) -> None:
    """If two attempts have to pass, the last one is audited."""
    session = beside("flaky", TWICE)
    session.is_right("test_defect")
    assert "1 failed, 1 passed" in session.output


def test_repeated_tests(beside: Beside) -> None:
    """Each of the tests that pytest-repeat makes from one is audited."""
    session = beside("pytest-repeat", REPEATED, "--count=2")
    session.is_right("test_defect[1-2]", "test_defect[2-2]", "test_clean[1-2]", "test_clean[2-2]")
