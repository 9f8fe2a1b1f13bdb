"""Pause the user's coverage measurement during audited runs.

Coverage keeps its collectors on a process-wide stack, and ours would run beside the user's. Nor may the lines that audited runs reach
count in the user's numbers.

What does not work: a measurement that starts in another thread meanwhile is not noticed.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import coverage

from pytest_maskcheck.points.coverage_config import option, running
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

_SWITCHES = ("start", "stop", "save", "switch_context")
"""Methods of a measurement that plugins call between test phases; they do nothing while it is paused."""

_ENVIRON = ("COVERAGE_PROCESS_", "COV_CORE_")
"""Prefixes of the environment variables that make a child process measure itself and save its data."""


def measures_forks() -> bool:
    """Return whether coverage's ``patch`` makes each forked process measure itself and save its data."""
    measurement = running()
    try:
        patches = option(measurement, "run:patch") if measurement is not None else []
    except coverage.CoverageException:  # coverage before 7.10
        return False
    return not {"fork", "_exit"}.isdisjoint(patches)


@contextmanager
def paused(*known: coverage.Coverage) -> Iterator[None]:
    """Pause the user's own measurements in this process and in the processes that it starts.

    Parameters:
        known: measurements that may no longer be running, because coverage's ``patch = fork`` replaced them by others
            in this process.
    """
    stopped: list[tuple[coverage.Coverage, list[Any]]] = []
    while (outer := running()) is not None:  # "coverage run -m pytest --cov" runs two
        stopped.append((outer, _tracers(outer)))
        outer.stop()
    idle = {id(measurement): measurement for measurement in (*(outer for outer, _ in stopped), *known)}.values()
    for measurement in idle:
        vars(measurement).update(dict.fromkeys(_SWITCHES, _nothing))  # attributes of the instance hide the methods
    environ = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith(_ENVIRON)}
    try:
        yield
    finally:
        os.environ.update(environ)
        for measurement in idle:
            for name in _SWITCHES:
                del vars(measurement)[name]
        for outer, tracers in reversed(stopped):
            with _unpatched(outer):
                outer.start()
            _hand_over(tracers, _tracers(outer))


def _nothing(*_: object, **__: object) -> None:
    """Replace a switch of a measurement that is paused."""


def _tracers(measurement: coverage.Coverage) -> list[Any]:
    """Return the tracers that measure at present; uses private names, see ``tests/compat/test_coverage.py``."""
    return list(getattr(getattr(measurement, "_collector", None), "tracers", ()))


def _hand_over(before: list[Any], after: list[Any]) -> None:
    """Make new tracers also measure the code objects that the old ones saw begin.

    A tracer of the ``sysmon`` core arms a code object when it begins. A generator, such as a fixture, that is suspended
    during the pause does not begin again.
    """
    for old, new in zip(before, after, strict=False):
        for code in getattr(old, "code_objects", ()):
            info = old.code_infos[id(code)]
            if info.tracing:
                new.sysmon_py_start(code, 0)
            if info.tracing and code.co_flags & _SUSPENDABLE:
                new.code_infos[id(code)].last_line = getattr(info, "last_line", None)


@contextmanager
def _unpatched(measurement: coverage.Coverage) -> Iterator[None]:
    """Keep a measurement that is restarted from patching ``os._exit`` and the like a second time."""
    try:
        patches = measurement.get_option("run:patch")
    except coverage.CoverageException:  # coverage before 7.10
        yield
        return
    measurement.set_option("run:patch", [])
    try:
        yield
    finally:
        measurement.set_option("run:patch", patches)
