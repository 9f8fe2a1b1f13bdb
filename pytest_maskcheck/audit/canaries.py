"""The self-test of the kinds, in processes of its own: a canary may meet functions that somebody has replaced, and wait for ever.

A kind whose canary hangs or ends its process is blind, with that as the reason; those after it are shown theirs in another process.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pytest_maskcheck.resources import self_test
from pytest_maskcheck.runs.child import CAN_FORK, OWN_GROUPS, in_child
from pytest_maskcheck.runs.watchdog import Death
from pytest_maskcheck.system.stopwatch import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_maskcheck.resources import Kind

_SECONDS = 10.0
"""That a canary may take; some start processes, none takes long."""


def blind(kinds: Sequence[Kind], name: Callable[[str], str] = str) -> dict[str, str]:
    """Show all kinds their canaries; return the names of those that do not see them, with the reason.

    Parameters:
        kinds: those to test.
        name: shortens names of files.
    """
    if not CAN_FORK:
        return self_test(kinds)
    found: dict[str, str] = {}
    left = list(kinds)
    while left:
        told, death = _shown(left, name)
        found |= told
        left = left[len(told) :]
        if left:
            found[left.pop(0).name] = _reason(death)
    return {kind: reason for kind, reason in found.items() if reason}


def _shown(kinds: Sequence[Kind], name: Callable[[str], str]) -> tuple[dict[str, str], Death | None]:
    """Test kinds in another process, one after the other; return what it told, and how it died, if it did."""
    page = Page()

    def show(say: Callable[[object], None]) -> None:
        for turn, kind in enumerate(kinds):
            page.begin(turn)
            say((kind.name, self_test([kind]).get(kind.name, "")))

    told: dict[str, str] = {}
    try:
        with closing(in_child(show, page, lambda: _SECONDS, leader=OWN_GROUPS, name=name)) as said:
            while True:
                kind, reason = next(said)
                told[kind] = reason
    except StopIteration as end:
        return told, end.value
    finally:
        page.close()


def _reason(death: Death | None) -> str:
    """Return in words why a kind did not live to see its canary."""
    if death is None:
        return "its canary ended the process"
    where = death.stack[-1] if death.stack else None
    return f"its canary did not live: {death.detail}" + (
        f", at {where.path}:{where.line} in {where.function}" if where else ""
    )
