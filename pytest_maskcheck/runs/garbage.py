"""Garbage of earlier runs, and of fixtures: it is collected before the body begins.

A reference cycle that a run drops is collected some time later. If it holds a file, the descriptor would be closed amid a later run,
at another place each time. So garbage is collected as the last step before the snapshot with which a run is compared.

Warnings and exceptions of finalizers are suppressed meanwhile. A warning about a file that was not closed would end up in whatever
the test has set up to record warnings (``recwarn``), and an exception would be reported for a test that is not to blame.
"""

from __future__ import annotations

import sys
import warnings

from pytest_maskcheck.system.signals import collect_garbage

_SHOWS = "_showwarnmsg"  # CPython calls it with each warning that no filter drops; it has no public name


def collect_unheard() -> bool:
    """Collect garbage with warnings and exceptions of finalizers suppressed; return whether there was any."""
    with _Unheard():
        return collect_garbage() > 0


class _Unheard:
    """Suppresses warnings and exceptions of finalizers. Filters stay as they are: a change would make Python show warnings again."""

    __slots__ = ("_hook", "_shows")

    def __enter__(self) -> None:
        names = vars(warnings)
        self._shows, self._hook = names.get(_SHOWS), sys.unraisablehook
        if self._shows is not None:
            names[_SHOWS] = _nothing
        sys.unraisablehook = _nothing

    def __exit__(self, *_: object) -> None:
        names = vars(warnings)
        if sys.unraisablehook is _nothing:
            sys.unraisablehook = self._hook
        if self._shows is not None and names.get(_SHOWS) is _nothing:
            names[_SHOWS] = self._shows


def _nothing(_: object) -> None:
    """Do nothing."""
