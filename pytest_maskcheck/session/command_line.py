"""The options of the command that reproduces an audit: the settings of this session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck import settings

if TYPE_CHECKING:
    import pytest


def options(config: pytest.Config) -> tuple[str, ...]:
    """Return the options of the command line that a test is run with again under the settings of this session."""
    words: list[str] = []
    for row in settings.TABLE:
        value = config.getoption(row.option)
        if value is True:
            words.append(row.option)
        elif isinstance(value, list):
            words += [f"{row.option}={entry}" for entry in value]
        # The command audits a single point; without this option, that happens in the process of pytest, for a debugger.
        elif value is not None and row.name != "isolation":
            words.append(f"{row.option}={value}")
    return tuple(words)
