"""Levels, handlers and switches of logging."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.loggers import Loggers

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Yield a logger with a handler, and remove it at the end."""
    logger = logging.getLogger("test_loggers.parent.one")
    logger.addHandler(logging.NullHandler())
    yield logger
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("test_loggers")]:
        del logging.root.manager.loggerDict[name]


def test_levels_and_handlers_are_altered_state(watch: Watch, logger: logging.Logger) -> None:
    """Changed levels and handlers are reported under the logger's name; repair restores them."""
    kind = Loggers()
    compare = watch(kind)
    logger.setLevel(logging.ERROR)
    logger.disabled = True
    logger.handlers = [logging.StreamHandler()]
    found = compare()
    assert [(leftover.key, leftover.detail) for leftover in found] == [
        ("test_loggers.parent.one level", "logger test_loggers.parent.one: level is 40 (before: 0)"),
        ("test_loggers.parent.one disabled", "logger test_loggers.parent.one: disabled is True (before: False)"),
        (
            "test_loggers.parent.one handlers",
            "logger test_loggers.parent.one: handlers changed: logging.StreamHandler was added, logging.NullHandler is gone",
        ),
    ]
    assert compare() == found
    assert [kind.repair(leftover) for leftover in found] == [True] * 3
    assert compare() == []


def test_the_root_and_the_module_count_too(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers of the root logger, ``logging.disable`` and the switches of the module are compared too."""
    kind = Loggers()
    compare = watch(kind)
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    logging.disable(logging.WARNING)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    found = compare()
    assert [leftover.key for leftover in found] == ["logging.raiseExceptions", "logging.disable", "root handlers"]
    assert [kind.repair(leftover) for leftover in found] == [True] * 3
    assert compare() == []
    assert handler not in logging.root.handlers


@pytest.mark.parametrize("name", ["test_loggers.new", "test_loggers.parent"])
def test_a_new_logger_counts_if_it_has_handlers(watch: Watch, logger: logging.Logger, name: str) -> None:
    """A new logger is reported if it has handlers, including one that was only a placeholder for a child before."""
    kind = Loggers()
    compare = watch(kind)
    new = logging.getLogger(name)
    new.setLevel(logging.DEBUG)
    assert compare() == []
    new.addHandler(logging.NullHandler())
    (leftover,) = compare()
    assert leftover.key == f"{name} handlers"
    assert kind.repair(leftover) is True
    assert compare() == []


def test_logging_and_handlers_taken_away_again_are_no_difference(watch: Watch, logger: logging.Logger) -> None:
    """Logging a message is not reported, nor are handlers that were removed again and caches of loggers."""
    compare = watch(Loggers())
    handler = logging.NullHandler()
    logger.addHandler(handler)
    logger.warning("some text")
    logger.removeHandler(handler)
    assert compare() == []
