"""Open descriptors that lead to other processes, and that nobody accounts for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.runs import fork_sharing
from pytest_maskcheck.system.signals import collect_garbage

if TYPE_CHECKING:
    from pytest_maskcheck.reasons import Reason


def shared_descriptors(known: frozenset[int]) -> list[Reason]:
    """Return what is shared by way of each shared descriptor that is not known; those that only garbage has open are closed first."""
    found = _shared(known)
    if found:
        collect_garbage()
        found = _shared(known)
    return found


def _shared(known: frozenset[int]) -> list[Reason]:
    return [what for fd in sorted(fork_sharing.descriptors() - known) if (what := fork_sharing.shared(fd))]
