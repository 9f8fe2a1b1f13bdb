"""Which code is this project's own. No other module decides that.

The masks (:mod:`pytest_maskcheck.masking`) ship with the project, yet they count as the user's: they run in code under test, and are
audited like it.
"""

from __future__ import annotations

from functools import cache

from pytest_maskcheck.system.unpatched import os

PACKAGE = __name__.partition(".")[0]

ROOT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
"""The directory of the package, with a separator at its end."""

_MASKING = "masking"


@cache
def is_ours(filename: str) -> bool:
    """Return whether a file is part of the audit itself."""
    return filename.startswith(ROOT) and filename != f"{ROOT}{_MASKING}.py"


def is_our_module(name: object) -> bool:
    """Return whether a module of this name is part of the audit itself."""
    return is_in_package(name) and name != f"{PACKAGE}.{_MASKING}"


def is_in_package(name: object) -> bool:
    """Return whether a module of this name belongs to the project, the masks included."""
    return isinstance(name, str) and name.partition(".")[0] == PACKAGE
