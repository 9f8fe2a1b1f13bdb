"""The locale."""

from __future__ import annotations

import locale
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.process_locale import HAS_LOCALE, Locale

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.skipif(not HAS_LOCALE, reason="no locales")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    old = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C")
    yield
    locale.setlocale(locale.LC_ALL, old)


def test_another_locale_is_altered_state(watch: Watch) -> None:
    """A changed locale is reported under its category; repair restores the former one."""
    kind = Locale()
    try:
        locale.setlocale(locale.LC_TIME, "C.UTF-8")
    except locale.Error:
        pytest.skip("no such locale")
    locale.setlocale(locale.LC_TIME, "C")
    compare = watch(kind)
    locale.setlocale(locale.LC_TIME, "C.UTF-8")
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("LC_TIME", "the locale's LC_TIME is C.UTF-8 (before: C)")
    assert compare() == [leftover]
    assert locale.setlocale(locale.LC_TIME) == "C.UTF-8"
    assert kind.repair(leftover) is True
    assert compare() == []


def test_a_locale_put_back_is_no_difference(watch: Watch) -> None:
    """A locale restored before the end of the run is not reported."""
    compare = watch(Locale())
    locale.setlocale(locale.LC_ALL, "")
    locale.setlocale(locale.LC_ALL, "C")
    assert compare() == []
