"""What the system grants the process: resource limits, processors, priority."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any, cast

from pytest_maskcheck.resources.audit_events import Use
from pytest_maskcheck.resources.base import Leftover
from pytest_maskcheck.resources.interpreter import depth
from pytest_maskcheck.resources.state import State
from pytest_maskcheck.system.unpatched import os

try:
    import resource as _resource_module
except ImportError:
    _resource_module = None  # type: ignore[assignment]

HAS_LIMITS = _resource_module is not None
HAS_SCHEDULING = hasattr(os, "sched_setscheduler")
_resource: Any = SimpleNamespace(**vars(_resource_module)) if HAS_LIMITS else None  # a test may replace its functions
_LIMITS = {
    name: getattr(_resource, name)
    for name in sorted(dir(_resource))
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"  # another name of RLIMIT_NOFILE
}
_HARMLESS = ("RLIMIT_CORE", "RLIMIT_NOFILE")
"""Limits that the canary may change; their soft one can be lowered and raised again by anyone."""

Limits = tuple[tuple[int, int], ...]

_LEFT: dict[int, tuple[int, int]] = {}
"""Limits as the test left them, while others are in force."""

_SOFT = _resource.getrlimit(_resource.RLIMIT_NOFILE)[0] if HAS_LIMITS else 0


@contextmanager
def room() -> Iterator[None]:
    """Have descriptors and calls to look around with, whatever limits the test has set; the kinds read those nevertheless."""
    with depth(), _descriptors():
        yield


@contextmanager
def _descriptors() -> Iterator[None]:
    if not HAS_LIMITS:
        yield
        return
    number, unlimited = _resource.RLIMIT_NOFILE, _resource.RLIM_INFINITY
    soft, hard = _resource.getrlimit(number)
    if soft == unlimited or (unlimited != _SOFT and soft >= _SOFT):
        yield
        return
    enough = _SOFT if hard == unlimited or (unlimited != _SOFT and hard >= _SOFT) else hard
    _LEFT[number] = soft, hard
    _resource.setrlimit(number, (enough, hard))
    try:
        yield
    finally:
        if number in _LEFT:
            _resource.setrlimit(number, _LEFT.pop(number))


class ResourceLimits(State[Limits]):
    """The limits of ``resource.setrlimit``, looked at if the uninterrupted test sets one."""

    name = "rlimit"

    def __init__(self) -> None:
        self.use = Use("resource.setrlimit", "resource.prlimit")

    def learning(self) -> AbstractContextManager[None]:
        return self.use.learning()

    def read(self) -> Limits:
        if not self.use.seen:
            return ()
        return tuple(_LEFT.get(number) or _resource.getrlimit(number) for number in _LIMITS.values())

    def differences(self, before: Limits, now: Limits) -> Iterator[Leftover]:
        for name, old, new in zip(_LIMITS, before, now, strict=False):
            if old != new:
                yield self.altered(name, f"{name} is {_told(new)} (before: {_told(old)})", name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        _LEFT.pop(_LIMITS[cast("str", of)], None)
        _resource.setrlimit(_LIMITS[cast("str", of)], value)

    def canary(self) -> AbstractContextManager[None]:
        """As in the base class. From this call on limits are looked at."""
        return self.use.assumed(self._canary())

    @contextmanager
    def _canary(self) -> Iterator[None]:
        limits = {name: limit for name in _HARMLESS if any(limit := _resource.getrlimit(_LIMITS[name]))}
        name, (soft, hard) = next(iter(limits.items()))
        try:
            _resource.setrlimit(_LIMITS[name], (soft - 1 if soft > 0 else hard if soft == 0 else 1 << 40, hard))
            yield
        finally:
            _resource.setrlimit(_LIMITS[name], (soft, hard))


def _told(limits: tuple[int, int]) -> str:
    return " and ".join("unlimited" if limit == _resource.RLIM_INFINITY else str(limit) for limit in limits)


Scheduling = tuple[object, ...]


class Scheduled(State[Scheduling]):
    """The processors the process may run on, its priority and its scheduling policy."""

    name = "scheduling"
    default = False

    def read(self) -> Scheduling:
        return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), os.sched_getscheduler(0)

    def differences(self, before: Scheduling, now: Scheduling) -> Iterator[Leftover]:
        for name, old, new in zip(("priority", "affinity", "policy"), before, now, strict=True):
            if old != new:
                yield self.altered(name, f"{name} is {new} (before: {old})", name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        former: Any = value
        if of == "priority":
            os.setpriority(os.PRIO_PROCESS, 0, former)
        elif of == "affinity":
            os.sched_setaffinity(0, former)
        else:
            os.sched_setscheduler(0, former, os.sched_getparam(0))

    @contextmanager
    def canary(self) -> Iterator[None]:
        old, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_BATCH if old == os.SCHED_OTHER else os.SCHED_OTHER, os.sched_param(0))
        try:
            yield
        finally:
            os.sched_setscheduler(0, old, parameter)
