"""``subprocess.run`` loses pipes at the end of the calls that make them, and the child at the end of ``fork_exec``."""

import os
import subprocess
import time

INCLUDE = ["subprocess"]


def body(place: str) -> None:
    """Run a program and take its output."""
    subprocess.run(["true"], check=True, capture_output=True)


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return [*(["child"] if _child() else []), *(["pipe"] if _pipes() > _PIPES else [])]


def _child() -> bool:
    for _ in range(10):
        subprocess._cleanup()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        time.sleep(0.01)
    return True


def _pipes() -> int:
    names = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.exists(entry.path)]
    return sum(name.startswith("pipe:") for name in names)


_PIPES = _pipes()
