"""``subprocess`` keeps a dropped ``Popen`` together with the pipe that its program reads from, so the program never ends."""

import contextlib
import os
import subprocess
import time

INCLUDE = ["subprocess"]


def body(place: str) -> None:
    """Run a program that reads its input."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        process.communicate(b"")


def left(place: str) -> list[str]:
    """Return what is left behind."""
    for _ in range(20):
        subprocess._cleanup()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return []
        time.sleep(0.01)
    return ["child"]


def repair(place: str) -> None:
    """End what was dropped."""
    for process in subprocess._active or []:
        process.kill()
        with contextlib.suppress(ChildProcessError):
            process.wait()
