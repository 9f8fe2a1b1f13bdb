"""Open descriptors that lead to other processes and are not accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.runs import fork_sharing
from pytest_maskcheck.system.signals import collect_garbage

if TYPE_CHECKING:
    from pytest_maskcheck.reasons import Reason


def shared_descriptors(known: frozenset[int]) -> list[Reason]:
    """Return what each shared descriptor that is not known leads to; descriptors that only garbage keeps open are closed first."""
    found = _shared(known)
    if found:
        collect_garbage()
        found = _shared(known)
    return found


def _shared(known: frozenset[int]) -> list[Reason]:
    return [what for fd in sorted(fork_sharing.descriptors() - known) if (what := fork_sharing.shared(fd))]
