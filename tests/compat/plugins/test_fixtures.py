"""Audits beside plugins for fixtures, limits and subtests: pytest-mock, -socket, -timeout, -benchmark, -memray, -subtests, -run-parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.results import Verdict

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

MOCK = """
    import os

    import pytest
    import shop

    pytestmark = pytest.mark.interrupt_safe


    @pytest.fixture(scope="module", autouse=True)
    def lasting(module_mocker):
        module_mocker.patch("os.getlogin", return_value="nobody")


    def test_defect(mocker):
        spy = mocker.spy(shop, "leaky")
        assert shop.leaky(3) == 3
        spy.assert_called_once_with(3)


    def test_clean(mocker):
        mocker.patch.object(shop, "leaky", side_effect=[4])
        mocker.patch.dict(os.environ, {"PLACE": "here"})
        stub = mocker.stub(name="stub")
        stub(shop.leaky(3))
        stub.assert_called_once_with(4)
        assert os.getlogin() == "nobody"
        assert shop.clean(3) == 3
"""

SOCKET = """
    import socket

    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    def test_defect(socket_disabled):
        assert leaky() == 1


    def test_clean():
        with pytest.raises(RuntimeError):
            socket.socket()
        assert clean() == 1


    @pytest.mark.allow_hosts(["127.0.0.1"])
    def test_clean_with_a_host(socket_enabled):
        with socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()):
                assert clean() == 1
"""

TIMEOUT = """
    import time

    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    @pytest.mark.timeout(1)
    def test_defect():
        time.sleep(0.3)
        assert leaky() == 1


    def test_clean():
        time.sleep(0.3)
        assert clean(9) == 9
"""

BENCHMARK = """
    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe(max_points=20)


    def test_defect(benchmark):
        assert benchmark(leaky, 3) == 3


    def test_clean(benchmark):
        assert benchmark.pedantic(clean, args=(3,), rounds=2, iterations=3) == 3
"""

MEMRAY = """
    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    @pytest.mark.limit_memory("24 MB")
    def test_defect():
        assert leaky() == 1


    @pytest.mark.limit_memory("24 MB")
    def test_clean():
        assert clean() == 1
"""

SUBTESTS = """
    import unittest

    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    def test_defect(subtests):
        for number in range(2):
            with subtests.test("part", number=number):
                assert leaky(number) == number


    def test_clean(subtests):
        for number in range(2):
            with subtests.test("part", number=number):
                assert clean(number) == number


    class TestCase(unittest.TestCase):
        def test_clean_case(self):
            for number in range(2):
                with self.subTest(number=number):
                    self.assertEqual(clean(number), number)
"""

PARALLEL = """
    import pytest
    from shop import clean


    @pytest.mark.interrupt_safe
    @pytest.mark.parallel_threads(2)
    def test_in_threads():
        assert clean() == 1


    @pytest.mark.interrupt_safe
    @pytest.mark.thread_unsafe
    def test_clean():
        assert clean() == 1
"""


def test_mock(beside: Beside) -> None:
    """Tests with spies, patches and stubs, of the test and of its module, are audited."""
    beside("pytest-mock", MOCK).is_right()


def test_socket(beside: Beside) -> None:
    """Tests are audited with sockets disabled for all tests and enabled for one."""
    beside("pytest-socket", SOCKET, "--disable-socket").is_right("test_defect", "test_clean", "test_clean_with_a_host")


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_timeout(beside: Beside, method: str) -> None:
    """pytest-timeout's limit does not cut off an audit that takes longer than it."""
    session = beside("pytest-timeout", TIMEOUT, f"--timeout-method={method}", ini="timeout = 1")
    session.is_right()
    assert sum(audit.seconds for audit in session.audits.values()) > 1


def test_benchmark(beside: Beside) -> None:
    """Tests with a benchmark are audited, and the benchmark of the ordinary run is reported."""
    session = beside("pytest-benchmark", BENCHMARK, "--benchmark-min-rounds=2", "--benchmark-max-time=0.01")
    session.is_right()
    assert "2 tests" in session.output


def test_benchmark_switched_off(beside: Beside) -> None:
    """Tests with a benchmark are audited with ``--benchmark-disable``, which calls each function once."""
    beside("pytest-benchmark", BENCHMARK, "--benchmark-disable").is_right()


def test_memray(beside: Beside) -> None:
    """Tests with a limit of pytest-memray, which tracks allocations of the ordinary run, are audited."""
    beside("pytest-memray", MEMRAY, "--memray").is_right()


def test_subtests(beside: Beside) -> None:
    """Subtests of pytest 9 and of unittest are audited; those of pytest-subtests swallow interrupts, and that is reported."""
    session = beside("pytest-subtests", SUBTESTS)
    if pytest.version_tuple >= (9,):
        session.is_right("test_defect", "test_clean", "test_clean_case")
    else:
        defects = {(defect.verdict, defect.kind) for defect in session.audits["test_defect"].defects}
        assert (Verdict.LEAK, "lock") in defects, session.output
        assert Verdict.SWALLOWED in {defect.verdict for defect in session.audits["test_clean"].defects}, session.output
        session.has_none("TestCase::test_clean_case")


def test_run_parallel(beside: Beside) -> None:
    """A test that runs on other threads is reported as not audited; one that runs on the main thread is audited."""
    session = beside("pytest-run-parallel", PARALLEL, "--parallel-threads=2", "-k", "threads")
    assert session.status == pytest.ExitCode.NO_TESTS_COLLECTED, session.output
    assert "not audited" in session.output
    session = beside("pytest-run-parallel", PARALLEL, "-k", "clean")
    session.is_right("test_clean")
