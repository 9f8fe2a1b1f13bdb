"""Messages between processes: held back for a moment, never lost, never reordered."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.runs import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[Callable[[], list[Any]], int]]:
    """Return a function that returns the messages that have arrived, and the descriptor to send to."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    inbox = wire.Inbox()

    def arrived() -> list[Any]:
        with suppress(BlockingIOError):
            inbox.add(os.read(reader, 1 << 16))
        return list(inbox.messages())

    yield arrived, writer
    os.close(reader)
    os.close(writer)


def test_a_message_arrives_at_once(pipe: tuple[Callable[[], list[Any]], int]) -> None:
    """Outside of ``holding``, each message is written as it is sent."""
    arrived, writer = pipe
    wire.send(writer, "first")
    assert arrived() == ["first"]
    wire.send(writer, "second")
    assert arrived() == ["second"]


def test_messages_are_held_back_and_stay_in_order(pipe: tuple[Callable[[], list[Any]], int]) -> None:
    """Messages sent within ``holding`` arrive when it ends, in order; the end of an inner one releases them, too."""
    arrived, writer = pipe
    with wire.holding:
        wire.send(writer, 1)
        wire.send(writer, [2])
        assert arrived() == []
        with wire.holding:
            wire.send(writer, 3)
        assert arrived() == [1, [2], 3]
        wire.send(writer, 4)
    wire.send(writer, 5)
    assert arrived() == [4, 5]


def test_an_exception_releases_what_was_held_back(pipe: tuple[Callable[[], list[Any]], int]) -> None:
    """Messages sent before an exception, such as the user's Ctrl-C, arrive."""
    arrived, writer = pipe
    with suppress(KeyboardInterrupt), wire.holding:
        wire.send(writer, "known")
        raise KeyboardInterrupt
    assert arrived() == ["known"]


def test_a_forked_process_neither_holds_back_nor_repeats(pipe: tuple[Callable[[], list[Any]], int]) -> None:
    """After ``forget``, messages are written at once, also when a ``with`` statement of the parent ends; the parent's are dropped."""
    arrived, writer = pipe
    with wire.holding:
        wire.send(writer, "of the parent")
        wire.holding.forget()
        wire.send(writer, "of the child")
        assert arrived() == ["of the child"]
    wire.send(writer, "later")
    assert arrived() == ["later"]
