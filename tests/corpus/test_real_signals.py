"""What bodies of the corpus are announced to lose, they lose with real signals that come at random.

More are shown in ``tests/real_signals``; those with trio and a profiler were only seen by hand.
"""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

DRIVER = """
import os, random, signal, subprocess, sys, time

def body():
{body}

# A signal between ``Popen.poll`` taking its lock and its ``try`` lets ``wait`` wait for ever: another signal ends that.
HANGS = 5

def lost():
    "Return whether a child was left behind, and end it."
    try:
        if (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)) is not None:
            return True
    except ChildProcessError:
        return False
    with open(f"/proc/self/task/{{os.getpid()}}/children") as file:
        pids = list(map(int, file.read().split()))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return bool(pids)

signal.signal(signal.SIGALRM, signal.default_int_handler)
begun = time.perf_counter()
body()
seconds = time.perf_counter() - begun
interrupted = found = 0
while not found and time.perf_counter() < begun + 60:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, seconds), HANGS)
        body()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        interrupted += 1
        found += lost()
print(f"lost {{found}} of {{interrupted}}")
"""

BODIES = {
    "popen": """
        process = None
        try:
            process = subprocess.Popen(["sleep", "60"])
            assert process.poll() is None
        finally:
            if process is not None:
                process.kill()
                process.wait()
        """,
    "fork": """
        pid = os.fork()
        if pid == 0:
            signal.pause()
        try:
            os.getpid()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        """,
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children are listed in /proc")
@pytest.mark.parametrize("name", BODIES)
def test_a_child_is_lost(name):
    """Within a minute, a signal comes after the child was made and before anybody knows of it."""
    body = "\n".join("    " + line for line in dedent(BODIES[name]).strip().splitlines())
    code = DRIVER.format(body=body)
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=90)
    assert result.stdout.startswith("lost 1 of "), result
