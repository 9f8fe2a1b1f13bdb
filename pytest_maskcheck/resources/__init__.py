"""What a run can leave behind: the kinds (``kinds/``), the parts they are built from, and the code that drives them."""

from __future__ import annotations

from pytest_maskcheck.resources.blindness import self_test
from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.registry import all_kinds, kind_defaults, kind_names
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.resources.user_kind import RESERVED, UserKind

__all__ = [
    "RESERVED",
    "Kind",
    "Leftover",
    "Surroundings",
    "UserKind",
    "all_kinds",
    "kind_defaults",
    "kind_names",
    "self_test",
]
