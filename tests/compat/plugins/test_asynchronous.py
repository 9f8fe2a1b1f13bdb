"""Audits beside plugins that run asynchronous tests: pytest-asyncio, anyio, pytest-trio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

ASYNCIO = """
    import asyncio

    import pytest
    import pytest_asyncio
    from shop import LOCK, clean, leaky

    pytestmark = [pytest.mark.interrupt_safe, MARK]


    @pytest_asyncio.fixture
    async def number():
        await asyncio.sleep(0)
        yield 3
        await asyncio.sleep(0)


    @pytest_asyncio.fixture(scope="SCOPE", loop_scope="SCOPE")
    async def lasting():
        yield 4


    async def test_defect(number, lasting):
        LOCK.acquire()
        await asyncio.sleep(0)
        LOCK.release()


    async def test_clean_where_nothing_waits(number):
        assert leaky(number) == number
        await asyncio.sleep(0)


    class TestIt:
        async def test_clean(self, number, lasting):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(asyncio.sleep(0, number))
            assert clean(await task) == number
"""

ANYIO = """
    import anyio
    import pytest
    from shop import clean, leaky

    pytestmark = [pytest.mark.interrupt_safe, pytest.mark.anyio]


    @pytest.fixture(scope="module")
    def anyio_backend():
        return "BACKEND"


    @pytest.fixture
    def number():
        return 3


    async def test_defect(number):
        WAIT
        assert leaky(number) == number


    async def test_clean(number):
        WAIT
        assert clean(number) == number
"""

TRIO = """
    import pytest
    import trio
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    @pytest.fixture
    async def number():
        await trio.sleep(0)
        return 3


    @pytest.mark.trio
    async def test_defect(number):
        await trio.sleep(0)
        assert leaky(number) == number


    @pytest.mark.trio
    async def test_clean(number, autojump_clock):
        await trio.sleep(5)
        assert clean(number) == number
"""

GENERATED = """
    import asyncio

    import pytest
    from hypothesis import given, settings, strategies
    from shop import LOCK, clean, leaky


    @pytest.mark.interrupt_safe
    @pytest.mark.asyncio
    @settings(max_examples=2)
    @given(strategies.integers(0, 9))
    async def test_defect(number):
        LOCK.acquire()
        await asyncio.sleep(0)
        LOCK.release()


    @pytest.mark.interrupt_safe
    @pytest.mark.asyncio
    @settings(max_examples=2)
    @given(strategies.integers(0, 9))
    async def test_clean(number):
        await asyncio.sleep(0)
        assert clean(number) == number
"""


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_asyncio(beside: Beside, scope: str) -> None:
    """Marked tests and their fixtures are audited on a loop of the function, the module or the session."""
    source = ASYNCIO.replace("SCOPE", scope).replace("MARK", f"pytest.mark.asyncio(loop_scope={scope!r})")
    beside("pytest-asyncio", source, ini="asyncio_default_fixture_loop_scope = function").is_right()


def test_asyncio_in_its_automatic_mode(beside: Beside) -> None:
    """Tests without a mark of pytest-asyncio are audited in its automatic mode."""
    settings = (
        "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = session\nasyncio_default_test_loop_scope = session\n"
    )
    source = ASYNCIO.replace("SCOPE", "session").replace(", MARK", "")
    beside("pytest-asyncio", source, ini=settings).is_right()


def test_asyncio_with_examples(beside: Beside) -> None:
    """Asynchronous tests with examples of hypothesis are audited."""
    beside("pytest-asyncio hypothesis", GENERATED, ini="asyncio_default_fixture_loop_scope = function").is_right()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(beside: Beside, backend: str) -> None:
    """Tests are audited with both backends of anyio.

    On asyncio they contain no ``await``: anyio leaves SIGINT to asyncio's default, and an interrupted loop may wait forever.
    """
    wait = "await anyio.sleep(0)" if backend == "trio" else "pass"
    beside("anyio trio", ANYIO.replace("BACKEND", backend).replace("WAIT", wait)).is_right()


def test_trio(beside: Beside) -> None:
    """Tests with asynchronous fixtures and with trio's ``autojump_clock`` are audited."""
    beside("pytest-trio trio", TRIO).is_right()
