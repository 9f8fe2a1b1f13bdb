"""Prove, on the machine at hand, that each kind detects a leftover that is made on purpose: its canary."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_maskcheck.resources.kind import Kind
from pytest_maskcheck.resources.user_kind import UserKind
from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.plain import described
from pytest_maskcheck.system.unpatched import replaced, unpatched

_NAMED = 3
"""A reason names at most so many things found instead of the canary, and at most so many replaced functions."""


def self_test(kinds: Iterable[Kind]) -> dict[str, str]:
    """Make the canary of each kind; return the name of each kind that did not detect it, with the reason.

    Only the user's Ctrl-C comes out of it.
    """
    others = _replaced(replaced())
    freezes = not FrozenHeap.is_frozen()
    if freezes:  # canaries are new objects: a frozen heap spares each kind a walk over the old ones
        FrozenHeap.freeze()
    try:
        with unpatched():  # a pool's threads sleep, and would sleep for ever if a test has frozen the clock
            return {kind.name: reason for kind in kinds if _has_canary(kind) and (reason := _blindness(kind, others))}
    finally:
        if freezes:
            FrozenHeap.thaw()


def _has_canary(kind: Kind) -> bool:
    return not isinstance(kind, UserKind) or kind.has_canary


def _blindness(kind: Kind, others: str) -> str:
    """Return why a kind does not detect its canary, or ``""`` if it does.

    ``others`` is a clause, added to the reason, that names replaced functions.
    """
    try:
        canary = kind.canary()
        before = kind.snapshot()
        try:
            with canary:
                found = kind.compare(before)
        finally:
            kind.finish(before)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (a kind that fails, or that skips the test, is as good as blind)
        return described(error)
    if any(leftover.kind == kind.name for leftover in found):
        return ""
    instead = ", ".join(sorted({f"{leftover.kind} {leftover.key}" for leftover in found})[:_NAMED])
    return f"it did not see its canary, but {instead or 'nothing at all'}{others}"


def _replaced(names: list[str]) -> str:
    """Return a clause that names the replaced functions of the standard library; a kind may depend on them."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"; replaced in this process: {', '.join(names[:_NAMED])}{more}"
