"""The heap of this process, which the audit freezes: older objects are neither looked at nor collected again.

Whether it is frozen is remembered here, as :func:`gc.get_freeze_count` counts all frozen objects, one after the other: a
millisecond or more, several times a run. Code under test that freezes or thaws by itself is not noticed; then a collection of
garbage counts as the test's time, or as the audit's.
"""

from __future__ import annotations

from typing import ClassVar

from pytest_maskcheck.system.unpatched import gc


class FrozenHeap:
    """Freezes and thaws; forked processes inherit the state."""

    _frozen: ClassVar[bool] = False

    @classmethod
    def is_frozen(cls) -> bool:
        """Return whether the audit has frozen the heap."""
        return cls._frozen

    @classmethod
    def freeze(cls) -> None:
        """Freeze all objects that there are."""
        gc.freeze()
        cls._frozen = True

    @classmethod
    def thaw(cls) -> None:
        """Thaw all of them, as the garbage collector neither lists frozen objects nor returns them as referrers."""
        gc.unfreeze()
        cls._frozen = False
