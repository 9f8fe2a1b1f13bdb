"""Whether several outputs would be written to one file, of which only the last one would be left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterable


def written_twice(outputs: Iterable[tuple[str, str]]) -> str:
    """Return the names of the first two outputs with the same file, such as ``html:page and sarif:page``, or ``""``.

    Devices and pipes, such as ``/dev/stdout``, take one after the other.

    Parameters:
        outputs: the name of each for messages, and its path.
    """
    seen: dict[str, str] = {}
    for name, path in outputs:
        target = os.path.realpath(path)
        if os.path.exists(target) and not os.path.isfile(target):
            continue
        if target in seen:
            return f"{seen[target]} and {name}"
        seen[target] = name
    return ""
