"""Audits beside hypothesis: functions, methods and stateful tests, with the same examples in each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

FUNCTIONS = """
    import pytest
    from hypothesis import HealthCheck, example, given, note, settings, strategies
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe
    few = settings(max_examples=3)


    @few
    @given(strategies.integers(0, 9))
    def test_defect(number):
        assert leaky(number) == number


    @few
    @given(strategies.integers(0, 9))
    @example(3)
    @pytest.mark.parametrize("more", [0, 1])
    def test_clean(more, number):
        note(f"{number}")
        assert clean(number + more) == number + more


    @settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(strategies.data())
    def test_clean_with_fixture(tmp_path, data):
        number = data.draw(strategies.integers(0, 9))
        (tmp_path / "file").write_text("text")
        assert clean(number) == number
"""

METHODS = """
    import pytest
    import unittest
    from hypothesis import given, settings, strategies
    from shop import clean, leaky


    @pytest.mark.interrupt_safe
    class TestMethods:
        def setup_method(self):
            self.calls = 0

        @settings(max_examples=3)
        @given(strategies.integers(0, 9))
        def test_defect(self, number):
            assert leaky(number) == number

        @settings(max_examples=3)
        @given(strategies.integers(0, 9))
        def test_clean(self, number):
            self.calls += 1
            assert clean(number) == number


    @pytest.mark.interrupt_safe
    class TestCase(unittest.TestCase):
        @settings(max_examples=3)
        @given(strategies.integers(0, 9))
        def test_defect(self, number):
            self.assertEqual(leaky(number), number)

        @settings(max_examples=3)
        @given(strategies.integers(0, 9))
        def test_clean(self, number):
            with self.subTest(number):
                self.assertEqual(clean(number), number)
"""

STATEFUL = """
    import pytest
    from hypothesis import settings, strategies
    from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
    from shop import clean, leaky

    few = settings(max_examples=3, stateful_step_count=3)


    class Clean(RuleBasedStateMachine):
        numbers = Bundle("numbers")

        @initialize()
        def begin(self):
            self.total = 0

        @rule(target=numbers, number=strategies.integers(0, 9))
        def add(self, number):
            self.total += clean(number)
            return number

        @precondition(lambda self: self.total > 0)
        @rule(number=numbers)
        def take(self, number):
            self.total -= min(number, self.total)

        @invariant()
        def is_positive(self):
            assert getattr(self, "total", 0) >= 0


    class Defect(Clean):
        @rule()
        def lose(self):
            leaky()


    class TestClean(Clean.TestCase):
        pass


    TestClean.settings = few
    TestClean = pytest.mark.interrupt_safe(TestClean)
    TestDefect = pytest.mark.interrupt_safe(Defect.TestCase)
    TestDefect.settings = few
"""


def test_functions(beside: Beside) -> None:
    """Test functions with parameters, explicit examples and fixtures are audited."""
    session = beside("hypothesis", FUNCTIONS)
    session.is_right("test_defect", "test_clean[0]", "test_clean[1]", "test_clean_with_fixture")


def test_methods(beside: Beside) -> None:
    """Test methods of plain classes and of ``unittest.TestCase`` are audited."""
    session = beside("hypothesis", METHODS)
    session.is_right()
    assert len(session.audits) == 4


def test_state_machines(beside: Beside) -> None:
    """State machines are audited, and a defect in code that a rule calls is found."""
    session = beside("hypothesis", STATEFUL)
    assert len(session.audits) == 2
    session.has_defect("TestDefect::runTest")
    session.has_none("TestClean::runTest")
