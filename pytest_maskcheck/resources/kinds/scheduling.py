"""How the system schedules the process: processors, priority, policy."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.system.unpatched import os

HAS_SCHEDULING = hasattr(os, "sched_setscheduler")

Scheduling = tuple[object, ...]


class Scheduled(ProcessState[Scheduling]):
    """The processors the process may run on, its priority and its scheduling policy."""

    name = "scheduling"
    available = HAS_SCHEDULING
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
