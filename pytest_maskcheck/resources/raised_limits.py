"""Give the audit room to work in, whatever limits the test has set.

A test may lower the recursion limit or the limit of descriptors and not restore it. Within ``with room():`` both are at least what
they were when this module was imported, as far as the hard limit permits. The kinds read and report the limits as the test left
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from pytest_maskcheck.system.unpatched import sys_functions

try:
    import resource as _module
except ImportError:  # Windows
    _module = None  # type: ignore[assignment]

HAS_LIMITS = _module is not None
resource: Any = SimpleNamespace(**vars(_module)) if HAS_LIMITS else None
"""A copy of the module's namespace, as a test may replace its functions."""

_ENOUGH_CALLS = sys_functions.getrecursionlimit()
_ENOUGH_DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if HAS_LIMITS else 0

_calls_left: list[int] = []
"""The recursion limit as the test left it, while ``room`` has another one in force; else empty."""

_left: dict[int, tuple[int, int]] = {}
"""Resource limits as the test left them, while ``room`` has others in force."""


def recursion_limit() -> int:
    """Return the recursion limit as the test left it."""
    return _calls_left[0] if _calls_left else sys_functions.getrecursionlimit()


def set_recursion_limit(value: int) -> None:
    """Set the recursion limit to a value that the end of ``room`` keeps."""
    _calls_left.clear()
    sys_functions.setrecursionlimit(value)


def resource_limit(number: int) -> tuple[int, int]:
    """Return a resource limit as the test left it."""
    return _left.get(number) or resource.getrlimit(number)


def set_resource_limit(number: int, value: Any) -> None:
    """Set a resource limit to a value that the end of ``room`` keeps."""
    _left.pop(number, None)
    resource.setrlimit(number, value)


@contextmanager
def room() -> Iterator[None]:
    """Permit enough calls and descriptors in the body of the ``with`` statement."""
    with _calls(), _descriptors():
        yield


@contextmanager
def _calls() -> Iterator[None]:
    limit = sys_functions.getrecursionlimit()
    # A nested use must not record the raised limit as the test's.
    if limit >= _ENOUGH_CALLS or _calls_left:
        yield
        return
    sys_functions.setrecursionlimit(_ENOUGH_CALLS)
    _calls_left.append(limit)
    try:
        yield
    finally:
        if _calls_left:
            with suppress(RecursionError):  # the stack is deeper than the limit by now
                sys_functions.setrecursionlimit(_calls_left.pop())


@contextmanager
def _descriptors() -> Iterator[None]:
    if not HAS_LIMITS:
        yield
        return
    number, unlimited = resource.RLIMIT_NOFILE, resource.RLIM_INFINITY
    soft, hard = resource.getrlimit(number)
    if soft == unlimited or (unlimited != _ENOUGH_DESCRIPTORS and soft >= _ENOUGH_DESCRIPTORS):
        yield
        return
    may_have_all = hard == unlimited or (unlimited != _ENOUGH_DESCRIPTORS and hard >= _ENOUGH_DESCRIPTORS)
    enough = _ENOUGH_DESCRIPTORS if may_have_all else hard
    _left[number] = soft, hard
    resource.setrlimit(number, (enough, hard))
    try:
        yield
    finally:
        # If a kind has repaired the limit meanwhile, the record is empty and the repaired value stays.
        if number in _left:
            resource.setrlimit(number, _left.pop(number))
