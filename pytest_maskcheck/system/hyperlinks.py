"""Hyperlinks of terminals (OSC 8): a text that opens a file.

There is no way to ask a terminal whether it has links. One that does not know the sequence should skip it, but some print it, and so would
a pager or the log of a CI service. So links are only for terminals that are known to have them, by what they leave in the environment.
``FORCE_HYPERLINK=1`` is for others, ``FORCE_HYPERLINK=0`` for those who want none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Mapping

_CI = ("CI", "BUILD_NUMBER")
"""Variables of CI services; those that pytest reads."""

_PROGRAMS = {"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio", "zed"}
"""Values of ``TERM_PROGRAM``."""

_TYPES = {"xterm-kitty", "alacritty", "foot", "foot-extra", "xterm-ghostty", "wezterm", "contour"}
"""Values of ``TERM``."""

_MARKS = ("WT_SESSION", "KONSOLE_VERSION", "DOMTERM")
"""Variables that only terminals with links set: those of Windows Terminal, Konsole and DomTerm."""

_VTE = 5000
"""The first version of VTE (GNOME Terminal, Tilix and others) that shows links: 0.50."""

_START, _END = "\x1b]8;;", "\x1b\\"


def has_hyperlinks(*, is_terminal: bool, environment: Mapping[str, str]) -> bool:
    """Return whether links may be written.

    Parameters:
        is_terminal: the output goes to a terminal.
        environment: that of the process.
    """
    type_ = environment.get("TERM", "dumb")
    if not is_terminal or type_ == "dumb" or any(environment.get(name) for name in _CI):
        return False
    if forced := environment.get("FORCE_HYPERLINK", ""):
        return forced != "0"
    if type_.partition("-")[0] in {
        "screen",
        "tmux",
    }:  # passes on the variables of the terminal, but not always its links
        return False
    vte = environment.get("VTE_VERSION", "")
    return (
        environment.get("TERM_PROGRAM", "") in _PROGRAMS
        or type_ in _TYPES
        or any(environment.get(name) for name in _MARKS)
        or (vte.isdecimal() and int(vte) >= _VTE)
    )


def hyperlink(text: str, file: str, line: int) -> str:
    """Return a text that leads to a line of a file.

    Parameters:
        text: what is shown.
        file: the absolute path.
        line: from 1. Terminals that open files in an editor, such as kitty, find it in the fragment; others ignore that.
    """
    host = quote(
        os.uname().nodename
    )  # so that a terminal does not take a file of another machine, over ssh, for one of its own
    return f"{_START}file://{host}{quote(os.fsencode(file))}#{line}{_END}{text}{_START}{_END}"
