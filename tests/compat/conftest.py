"""Fixtures shared by the tests beside other plugins: they run pytest in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RunModule = Callable[..., subprocess.CompletedProcess[str]]
"""``run_module(place, "pytest", "-q", COVERAGE_CORE="ctrace")``: ``python -m pytest -q`` there, with that variable."""

_ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}


@pytest.fixture(scope="session")
def run_module() -> RunModule:
    """Return a function that runs a module in a directory, without environment variables of an outer coverage measurement."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}

    def run(place: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=place,
            env={**inherited, **_ALONE, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run
