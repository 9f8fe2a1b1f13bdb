"""Hyperlinks of terminals: where there are some, and where there must be none."""

from __future__ import annotations

import os
import re

import pytest

from pytest_maskcheck.system.hyperlinks import has_hyperlinks, hyperlink


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "xterm-kitty"},
        {"TERM": "foot"},
        {"TERM": "xterm-256color", "VTE_VERSION": "7600"},
        {"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"},
        {"TERM": "xterm-256color", "WT_SESSION": "5c2a"},
        {"TERM": "xterm", "FORCE_HYPERLINK": "1"},
        {"TERM": "tmux-256color", "FORCE_HYPERLINK": "1"},
    ],
    ids=str,
)
def test_terminals_with_links(environment):
    """A terminal that is known to have links gets them, or any if they are forced; the same environment in a pipe gets none."""
    assert has_hyperlinks(is_terminal=True, environment=environment)
    assert not has_hyperlinks(is_terminal=False, environment=environment)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TERM": "xterm-256color"},
        {"TERM": "dumb", "FORCE_HYPERLINK": "1"},
        {"TERM": "xterm-kitty", "CI": "true"},
        {"TERM": "xterm-kitty", "CI": "true", "FORCE_HYPERLINK": "1"},
        {"TERM": "xterm-kitty", "FORCE_HYPERLINK": "0"},
        {"TERM": "xterm", "VTE_VERSION": "4200"},
        {"TERM": "xterm", "VTE_VERSION": "new"},
        {"TERM": "tmux-256color", "VTE_VERSION": "7600"},
    ],
    ids=str,
)
def test_terminals_without_links(environment):
    """Unknown and dumb terminals, the logs of CI services, and terminals within tmux get no links."""
    assert not has_hyperlinks(is_terminal=True, environment=environment)


def test_what_a_link_leads_to():
    """A link names the host, so that it is not followed on another machine, and the line; its text is what was given."""
    match = re.fullmatch(
        r"\x1b]8;;file://([^/]+)(/\S+)\x1b\\(.*?)\x1b]8;;\x1b\\", hyperlink("a.py:3", "/päth/a b.py", 3)
    )
    assert match
    assert match.groups() == (os.uname().nodename, "/p%C3%A4th/a%20b.py#3", "a.py:3")
