"""Give the audit room to work in, whatever limits the test has set.

A test may lower the recursion limit or the limit of descriptors and not restore it. Within ``with room():`` both are at least what
they were when this module was imported, as far as the hard limit permits. The kinds read and report the limits as the test left
them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
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
_DESCRIPTORS = resource.RLIMIT_NOFILE if HAS_LIMITS else -1
_ENOUGH_DESCRIPTORS = resource.getrlimit(_DESCRIPTORS)[0] if HAS_LIMITS else 0

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


class _Room:
    """See :func:`room`. A class and no generator, as every run enters it several times."""

    __slots__ = ("_raised_calls", "_raised_descriptors")

    def __init__(self) -> None:
        self._raised_calls = self._raised_descriptors = False

    def __enter__(self) -> None:
        limit = sys_functions.getrecursionlimit()
        # A nested use must not record the raised limit as the test's.
        if limit < _ENOUGH_CALLS and not _calls_left:
            sys_functions.setrecursionlimit(_ENOUGH_CALLS)
            _calls_left.append(limit)
            self._raised_calls = True
        if HAS_LIMITS:
            self._raise_descriptors()

    def __exit__(self, *_: object) -> None:
        # If a kind has repaired a limit meanwhile, its record is empty, and the repaired value stays.
        if self._raised_descriptors and _DESCRIPTORS in _left:
            resource.setrlimit(_DESCRIPTORS, _left.pop(_DESCRIPTORS))
        if self._raised_calls and _calls_left:
            with suppress(RecursionError):  # the stack is deeper than the limit by now
                sys_functions.setrecursionlimit(_calls_left.pop())

    def _raise_descriptors(self) -> None:
        soft, hard = resource.getrlimit(_DESCRIPTORS)
        unlimited = resource.RLIM_INFINITY
        if soft == unlimited or (unlimited != _ENOUGH_DESCRIPTORS and soft >= _ENOUGH_DESCRIPTORS):
            return
        may_have_all = hard == unlimited or (unlimited != _ENOUGH_DESCRIPTORS and hard >= _ENOUGH_DESCRIPTORS)
        _left[_DESCRIPTORS] = soft, hard
        resource.setrlimit(_DESCRIPTORS, (_ENOUGH_DESCRIPTORS if may_have_all else hard, hard))
        self._raised_descriptors = True


def room() -> AbstractContextManager[None]:
    """Permit enough calls and descriptors in the body of the ``with`` statement."""
    return _Room()
