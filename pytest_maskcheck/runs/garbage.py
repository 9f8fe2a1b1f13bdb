"""Garbage of earlier runs, and of what sets a test up: it is gone before the body begins.

A cycle of references that a run drops is collected at some time later. If it has a file, a later run would see descriptors close in
its midst, at another place each time. So garbage is collected as the last thing before the snapshot with which a run is compared.

What finalizers say then is for nobody: warnings about files that were not closed would reach what the test has set up to
record warnings (``recwarn``), and an exception would be told of a test that is not to blame.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_maskcheck.system.signals import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWS = "_showwarnmsg"  # what CPython calls with each warning that no filter drops; there is no public word for it


def collect_unheard() -> bool:
    """Collect garbage while nobody hears of it; tell whether there was any."""
    with _unheard():
        return collect_garbage() > 0


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep warnings and exceptions of finalizers from everybody. Filters stay as they are: to change them makes each warning new again."""
    names = vars(warnings)
    shows, hook = names.get(_SHOWS), sys.unraisablehook
    if shows is not None:
        names[_SHOWS] = _nothing
    sys.unraisablehook = _nothing
    try:
        yield
    finally:
        if sys.unraisablehook is _nothing:
            sys.unraisablehook = hook
        if shows is not None and names.get(_SHOWS) is _nothing:
            names[_SHOWS] = shows


def _nothing(_: object) -> None:
    """Do nothing."""
