"""Self-test of the kinds, in child processes: a canary may call functions that somebody has replaced, and wait for ever.

If a canary hangs or ends its process, its kind counts as blind for that reason. The kinds after it are tested in another process.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pytest_maskcheck.resources import self_test
from pytest_maskcheck.runs.child import CAN_FORK, OWN_GROUPS, in_child
from pytest_maskcheck.runs.watchdog import Death
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.stopwatch import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_maskcheck.resources import Kind

_SECONDS = 10.0
"""Seconds that a canary may take; some start processes, none takes long."""


def blind(kinds: Sequence[Kind], name: Callable[[str], str] = str) -> dict[str, str]:
    """Show each kind its canary; return the kinds that do not see theirs: name -> reason.

    Parameters:
        kinds: the kinds to test.
        name: shortens file names.
    """
    if not CAN_FORK:
        return self_test(kinds)
    found: dict[str, str] = {}
    left = list(kinds)
    while left:
        shown, death = _show(left, name)
        found |= shown
        left = left[len(shown) :]
        if left:
            # The first kind without an answer is the one whose canary hung or ended the process.
            found[left.pop(0).name] = _reason(death)
    return {kind: reason for kind, reason in found.items() if reason}


def _show(kinds: Sequence[Kind], name: Callable[[str], str]) -> tuple[dict[str, str], Death | None]:
    """Test kinds one after another in a child process; return name -> reason as far as it got, and how the child died, if it did."""
    page = Page()

    def work(say: Callable[[object], None]) -> None:
        ENTERED.leave()  # canaries start processes, and no run of the test is made here
        for turn, kind in enumerate(kinds):
            page.begin(turn)
            say((kind.name, self_test([kind]).get(kind.name, "")))

    shown: dict[str, str] = {}
    try:
        with closing(in_child(work, page, lambda: _SECONDS, leader=OWN_GROUPS, name=name)) as messages:
            while True:
                kind, reason = next(messages)
                shown[kind] = reason
    except StopIteration as end:
        return shown, end.value
    finally:
        page.close()


def _reason(death: Death | None) -> str:
    """Return why a kind is blind if its canary did not return, in words."""
    if death is None:
        return "its canary ended the process"
    where = death.stack[-1] if death.stack else None
    return f"its canary did not live: {death.detail}" + (
        f", at {where.path}:{where.line} in {where.function}" if where else ""
    )
