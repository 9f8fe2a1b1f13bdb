"""The command that reproduces an audit: pytest, with the settings of this session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck import settings

if TYPE_CHECKING:
    import pytest


def command_line(config: pytest.Config) -> list[str]:
    """Return the words of a command that runs a test under the settings of this session."""
    words = ["pytest"]
    for row in settings.TABLE:
        value = config.getoption(row.option)
        if value is True:
            words.append(row.option)
        elif isinstance(value, list):
            words += [f"{row.option}={entry}" for entry in value]
        # The command audits a single point; without this option, that happens in the process of pytest, for a debugger.
        elif value is not None and row.name != "isolation":
            words.append(f"{row.option}={value}")
    return words
