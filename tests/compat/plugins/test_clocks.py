"""Audits beside libraries that freeze or move clocks: freezegun, pytest-freezer, time-machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

FREEZEGUN = """
    import datetime

    import pytest
    from freezegun import freeze_time
    from shop import clean, leaky


    @pytest.fixture(scope="session", autouse=True)
    def frozen():
        with freeze_time("2012-01-14"):
            yield


    @pytest.mark.interrupt_safe
    def test_defect():
        assert leaky() == 1


    @pytest.mark.interrupt_safe
    def test_clean():
        assert datetime.date.today().year == 2012
        assert clean() == 1


    @pytest.mark.interrupt_safe
    @freeze_time("2013-01-14", auto_tick_seconds=15)
    def test_clean_with_a_clock_of_its_own():
        first = datetime.datetime.now()
        assert clean() == 1
        assert (datetime.datetime.now() - first).seconds == 15
"""

FREEZER = """
    import datetime

    import pytest
    from shop import clean, leaky


    @pytest.mark.interrupt_safe
    def test_defect(freezer):
        freezer.move_to("2017-05-20")
        assert leaky() == 1


    @pytest.mark.interrupt_safe
    @pytest.mark.freeze_time("2017-05-21")
    def test_clean(freezer):
        assert datetime.date.today().day == 21
        freezer.tick(86400)
        assert datetime.date.today().day == clean(22)
"""

TIME_MACHINE = """
    import datetime
    import time

    import pytest
    import time_machine
    from shop import clean, leaky


    @pytest.fixture(scope="session", autouse=True)
    def travelled():
        with time_machine.travel(0, tick=False):
            yield


    @pytest.mark.interrupt_safe
    def test_defect():
        assert leaky() == 1


    @pytest.mark.interrupt_safe
    @pytest.mark.time_machine("2017-05-21 12:00 +0000")
    def test_clean(time_machine):
        time_machine.shift(86400)
        assert datetime.datetime.now(datetime.timezone.utc).day == clean(22)


    @pytest.mark.interrupt_safe
    def test_clean_with_the_clock_of_the_session():
        assert time.time() == 0.0
        assert clean() == 1
"""


def test_freezegun(beside: Beside) -> None:
    """Tests are audited with clocks that freezegun freezes for the session and for one test."""
    beside("freezegun", FREEZEGUN).is_right("test_defect", "test_clean", "test_clean_with_a_clock_of_its_own")


def test_freezer(beside: Beside) -> None:
    """Tests with the fixture and with the mark of pytest-freezer are audited."""
    beside("pytest-freezer freezegun", FREEZER).is_right()


def test_time_machine(beside: Beside) -> None:
    """Tests are audited with clocks that time-machine moves in C, for the session, by fixture and by mark."""
    session = beside("time-machine", TIME_MACHINE)
    session.is_right("test_defect", "test_clean", "test_clean_with_the_clock_of_the_session")
