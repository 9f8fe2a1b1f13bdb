"""The table of kinds is complete."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from pytest_maskcheck.resources import Kind, kinds
from pytest_maskcheck.resources.registry import KINDS


def test_every_kind_is_in_the_table_once() -> None:
    """Every concrete kind that a module of ``kinds`` defines has exactly one row; a kind without a row is never used."""
    written = {
        kind
        for info in pkgutil.iter_modules(kinds.__path__, f"{kinds.__name__}.")
        for kind in vars(importlib.import_module(info.name)).values()
        if inspect.isclass(kind)
        and issubclass(kind, Kind)
        and not inspect.isabstract(kind)
        and kind.__module__ == info.name
    }
    assert set(KINDS) == written
    assert len(KINDS) == len(written)
