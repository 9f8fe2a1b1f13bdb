"""How much of pytest's protocol each repeated run of an item goes through."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from pytest_maskcheck.session.target import ItemTarget

BARE, FIXTURES, WHOLE = "bare", "fixtures", "whole"

ITEMS = {
    "function": (BARE, "def test_it(): pass"),
    "parametrized": (BARE, "@pytest.mark.parametrize('x', [1])\ndef test_it(x): pass"),
    "method": (BARE, "class TestIt:\n    def test_it(self): pass"),
    "fixture_of_session": (BARE, "@pytest.fixture(scope='session')\ndef one(): pass\n\ndef test_it(one): pass"),
    "fixture": (FIXTURES, "@pytest.fixture\ndef one(): pass\n\ndef test_it(one): pass"),
    "autouse": (FIXTURES, "@pytest.fixture(autouse=True)\ndef one(): pass\n\ndef test_it(): pass"),
    "setup_function": (FIXTURES, "def setup_function(): pass\n\ndef test_it(): pass"),
    "tmp_path": (FIXTURES, "def test_it(tmp_path): pass"),
    "request": (FIXTURES, "def test_it(request): pass"),
    "caplog": (WHOLE, "def test_it(caplog): pass"),
    "unittest": (WHOLE, "class TestIt(unittest.TestCase):\n    def test_it(self): pass"),
}


def way(target: ItemTarget) -> str:
    """Return how an item is run again: one of the constants above."""
    assert not (target.whole and target.bare)
    return WHOLE if target.whole else BARE if target.bare else FIXTURES


@pytest.mark.parametrize("name", ITEMS)
def test_no_more_than_needed(item_of, name: str) -> None:
    """A repeated run is the body alone, the body with fresh fixtures, or the whole protocol, whichever is the least that the item needs."""
    expected, source = ITEMS[name]
    assert way(ItemTarget(item_of(source))) == expected


def test_a_plugin_that_takes_part_gets_the_whole_protocol(pytester, item_of) -> None:
    """A plugin makes the whole protocol necessary only if it implements a hook that is called in each run."""
    pytester.makeconftest("def pytest_collection_modifyitems(): pass")
    assert way(ItemTarget(item_of("def test_it(): pass"))) == BARE
    pytester.makeconftest("def pytest_runtest_setup(): pass")
    assert way(ItemTarget(item_of("def test_it(): pass"))) == WHOLE


@pytest.mark.parametrize(
    ("decorator", "expected"), [("", BARE), ("@given(strategies.none())", WHOLE)], ids=["plain", "generated"]
)
def test_hypothesis_takes_part_only_in_tests_with_generated_examples(item_of, decorator: str, expected: str) -> None:
    """The plugin of hypothesis makes the whole protocol necessary for tests whose examples it generates, and for no others."""
    pytest.importorskip("hypothesis")
    source = f"from hypothesis import given, strategies\n\n{decorator}\ndef test_it({'x' if decorator else ''}): pass"
    assert way(ItemTarget(item_of(source, "-p", "_hypothesis_pytestplugin"))) == expected


def test_records_that_are_wanted_need_the_whole_protocol(item_of) -> None:
    """A log level option makes the whole protocol necessary, as pytest's own hooks set the level."""
    assert way(ItemTarget(item_of("def test_it(): pass", "--log-level=INFO"))) == WHOLE


@pytest.mark.parametrize("name", ["function", "fixture", "tmp_path", "caplog"])
def test_it_runs_again_and_leaves_nothing_on_the_item(item_of, name: str) -> None:
    """An item runs three times, with a fresh ``tmp_path`` each time, and item and loggers are unchanged afterwards."""
    item = item_of(ITEMS[name][1])
    handlers = list(logging.root.handlers)
    target = ItemTarget(item)
    ran: list[object] = []

    def around(body: Callable[[], object]) -> None:
        body()
        ran.append(item.funcargs.get(name))

    assert [target(around) for _ in range(3)] == ["", "", ""]
    target.close()
    assert len(ran) == 3
    assert name != "tmp_path" or len(set(ran)) == 3
    assert logging.root.handlers == handlers
    assert not item._report_sections
    assert "runtest" not in vars(item)
    item.session._setupstate.teardown_exact(None)
