"""Reporters that draw the terminal themselves: the plugin does not interfere with their output."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

TESTS = """
import time
import pytest

def test_first():
    pass

@pytest.mark.interrupt_safe(hits="all")
def test_it():
    time.sleep(0.02)
    for _ in range(20):
        len("a")
"""

REPORTERS = {
    "pytest_sugar": (["-p", "pytest_sugar"], r"2 passed"),
    "pytest_rich": (["-p", "pytest_rich.plugin", "--rich"], r"2\W+Passed|2 passed"),
}


@pytest.mark.parametrize("name", REPORTERS)
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "file"])
def test_other_reporters_have_the_terminal_to_themselves(tmp_path, monkeypatch, name, terminal):
    """The plugin writes no progress between the lines of another reporter, and the audit takes place."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    for variable in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    monkeypatch.setenv("TERM", "xterm")
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    args, passed = REPORTERS[name]
    plugins = ["-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider", *args]
    command = [sys.executable, "-m", "pytest", *plugins, "--maskcheck", "--maskcheck-report=json:report.json"]
    outer, inner = pty.openpty() if terminal else os.pipe()
    child = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=inner, stderr=inner)
    os.close(inner)
    text = b""
    try:
        while chunk := os.read(outer, 1 << 16):
            text += chunk
    except OSError:  # Linux raises EIO once the last process has closed its end of a terminal
        pass
    os.close(outer)
    assert child.wait(timeout=60) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode())
    assert re.search(passed, shown)
    assert "points/s" not in shown
    # ESC 7 saves the cursor, as the plugin's own progress line does.
    assert b"\x1b7" not in text
    assert '"points": [{' in (tmp_path / "report.json").read_text(encoding="utf-8").replace("\n", "").replace("  ", "")
