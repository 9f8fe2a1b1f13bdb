"""Audits beside pytest-bdd: scenarios, outlines and backgrounds of a feature file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

FEATURE = """
    Feature: Shop

        Background:
            Given a shop

        Scenario: Defect
            When 3 are sold by leaky
            Then 3 are gone

        Scenario Outline: Clean
            When <sold> are sold by clean
            Then <sold> are gone

            Examples:
            | sold |
            | 1    |
            | 4    |
"""

STEPS = """
    import pytest
    import shop
    from pytest_bdd import given, parsers, scenarios, then, when

    pytestmark = pytest.mark.interrupt_safe
    scenarios("shop.feature")


    @given("a shop", target_fixture="sold")
    def sold():
        yield []


    @when(parsers.parse("{number:d} are sold by {name}"))
    def sell(sold, number, name):
        sold.append(getattr(shop, name)(number))


    @then(parsers.parse("{number:d} are gone"))
    def gone(sold, number):
        assert sold == [number]
"""


def test_bdd(beside: Beside) -> None:
    """Scenarios are audited, and their steps count as the test's own code, unlike pytest-bdd."""
    session = beside("pytest-bdd", STEPS, files={"shop.feature": FEATURE})
    session.is_right("test_defect", "test_clean[1]", "test_clean[4]")
    assert all("pytest_bdd" not in file for audit in session.audits.values() for file in audit.own), session.output
