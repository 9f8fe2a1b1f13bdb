"""How the summary looks on a terminal, in a pipe, and where colour is not wanted."""

from __future__ import annotations

import io
import re

import pytest

from pytest_maskcheck.reports.appearance import PLAIN, Tone
from pytest_maskcheck.session.terminal_appearance import TerminalAppearance

TESTS = """
    import threading
    import pytest

    FIRST, SECOND = threading.Lock(), threading.Lock()

    @pytest.mark.interrupt_safe
    def test_it():
        FIRST.acquire()
        FIRST.release()
        SECOND.acquire()
        SECOND.release()
    """


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """An environment of a terminal that has neither links nor variables that force or forbid something."""
    for name in ("CI", "BUILD_NUMBER", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "FORCE_HYPERLINK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("VTE_VERSION", "TERM_PROGRAM", "WT_SESSION", "KONSOLE_VERSION", "DOMTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def look(pytester):
    """Return a function that returns the appearance of a terminal, or of a pipe, with some arguments for pytest."""
    configs = []

    def look(*args, terminal=True):
        config = pytester.parseconfigure(*args)
        configs.append(config)
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        reporter._tw._file = io.StringIO()
        reporter.isatty = terminal
        return TerminalAppearance(reporter)

    yield look
    for config in configs:
        config._ensure_unconfigure()


def test_colour_where_pytest_has_it(look):
    """``--color`` decides; each tone that is shown is closed again."""
    for tone in Tone:
        assert re.fullmatch(r"(\x1b\[\d+m)+text\x1b\[0m", look("--color=yes").toned("text", tone))
        assert look("--color=no").toned("text", tone) == PLAIN.toned("text", tone) == "text"


def test_links_where_the_terminal_has_them(look, monkeypatch):
    """A known terminal gets links; a pipe does not, even if it is started from such a terminal."""
    assert look().linked("a.py:3", "/a.py", 3) == "a.py:3"
    monkeypatch.setenv("TERM_PROGRAM", "WezTerm")
    assert look().linked("a.py:3", "/a.py", 3).startswith("\x1b]8;;file://")
    assert look(terminal=False).linked("a.py:3", "/a.py", 3) == "a.py:3"


@pytest.mark.parametrize("colour", ["yes", "no"])
def test_the_texts_are_the_same(pytester, run, colour, monkeypatch):
    """In a pipe there are no links, and colours only if they are asked for; the text is the same with and without them."""
    pytester.makepyfile(test_it=TESTS)
    monkeypatch.setenv("FORCE_HYPERLINK", "1")
    result = run("--maskcheck", f"--color={colour}")
    text = "\n".join(result.outlines)
    assert "\x1b]8" not in text
    assert ("\x1b[31m\x1b[1mleak\x1b[0m" in text) == (colour == "yes")
    assert " 1. leak: lock test_it.FIRST; cure: " in re.sub(r"\x1b\[\d+m", "", text)
