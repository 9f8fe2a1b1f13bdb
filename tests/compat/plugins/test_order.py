"""Audits beside plugins that choose where and in which order tests run: pytest-xdist, pytest-randomly, pytest-random-order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

TESTS = """
    import random

    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    @pytest.fixture(scope="module")
    def lasting():
        yield 3


    def test_defect(lasting):
        assert leaky(lasting) == lasting


    @pytest.mark.parametrize("number", [1, 2])
    def test_clean(number, tmp_path):
        for _ in range(random.randrange(2)):
            number += 1
        assert clean(number) == number
"""

NAMES = ("test_defect", "test_clean[1]", "test_clean[2]")


@pytest.mark.parametrize("mode", ["no", "each", "load", "loadscope", "loadfile", "loadgroup", "worksteal"])
def test_modes_of_xdist(beside: Beside, mode: str) -> None:
    """Tests are audited in each mode of distribution; ``each`` audits every test on every worker."""
    source = TESTS.replace("@pytest.mark.parametrize", '@pytest.mark.xdist_group("one")\n    @pytest.mark.parametrize')
    session = beside("pytest-xdist", source, f"--dist={mode}", *(["--tx=2*popen"] if mode == "each" else ["-n2"]))
    session.is_right(*NAMES)
    assert f"{2 if mode == 'each' else 1} failed, {4 if mode == 'each' else 2} passed" in session.output


def test_randomly(beside: Beside) -> None:
    """Tests in random order are audited at all points, since ``random`` is seeded anew for each run."""
    session = beside("pytest-randomly", TESTS)
    session.is_right(*NAMES)
    assert all(not audit.not_audited for audit in session.audits.values()), session.output


def test_randomly_on_workers(beside: Beside) -> None:
    """Tests that xdist's workers run in random order are audited."""
    beside("pytest-randomly pytest-xdist", TESTS, "-n2").is_right(*NAMES)


def test_random_order(beside: Beside) -> None:
    """Tests in pytest-random-order's order are audited."""
    beside("pytest-random-order", TESTS, "--random-order").is_right(*NAMES)
