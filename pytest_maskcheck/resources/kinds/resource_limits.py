"""The resource limits of the process."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from pytest_maskcheck.resources.audit_events import Use
from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.raised_limits import HAS_LIMITS, resource, resource_limit, set_resource_limit
from pytest_maskcheck.resources.surroundings import Surroundings

_LIMITS = {
    name: getattr(resource, name)
    for name in sorted(dir(resource))
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"  # another name of RLIMIT_NOFILE
}
_HARMLESS = ("RLIMIT_CORE", "RLIMIT_NOFILE")
"""Limits that the canary may change: any process may lower the soft one and raise it again."""

Limits = tuple[tuple[int, int], ...]


class ResourceLimits(ProcessState[Limits]):
    """The limits of ``resource.setrlimit``, compared only if the uninterrupted test sets one."""

    name = "rlimit"
    available = HAS_LIMITS

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self.use = Use("resource.setrlimit", "resource.prlimit")

    def learning(self) -> AbstractContextManager[None]:
        return self.use.learning()

    def read(self) -> Limits:
        if not self.use.seen:
            return ()
        return tuple(resource_limit(number) for number in _LIMITS.values())

    def differences(self, before: Limits, now: Limits) -> Iterator[Leftover]:
        for name, old, new in zip(_LIMITS, before, now, strict=False):
            if old != new:
                yield self.altered(name, f"{name} is {_text(new)} (before: {_text(old)})", name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        set_resource_limit(_LIMITS[cast("str", of)], value)

    def canary(self) -> AbstractContextManager[None]:
        """See the base class. Limits are compared from this call on."""
        return self.use.assumed(self._canary())

    @contextmanager
    def _canary(self) -> Iterator[None]:
        limits = {name: limit for name in _HARMLESS if any(limit := resource.getrlimit(_LIMITS[name]))}
        name, (soft, hard) = next(iter(limits.items()))
        try:
            # The soft limit only has to change; a negative one stands for no limit.
            resource.setrlimit(_LIMITS[name], (soft - 1 if soft > 0 else hard if soft == 0 else 1 << 40, hard))
            yield
        finally:
            resource.setrlimit(_LIMITS[name], (soft, hard))


def _text(limits: tuple[int, int]) -> str:
    return " and ".join("unlimited" if limit == resource.RLIM_INFINITY else str(limit) for limit in limits)
