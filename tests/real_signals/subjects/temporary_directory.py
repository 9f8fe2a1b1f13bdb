"""``TemporaryDirectory`` leaves the directory behind if the interrupt arrives between ``mkdir`` and the block."""

import os
import shutil
import tempfile

INCLUDE = ["tempfile", "shutil"]
FRESH = True


def body(place: str) -> None:
    """Make a directory, use it, remove it."""
    with tempfile.TemporaryDirectory(dir=place) as directory:
        os.mkdir(os.path.join(directory, "inner"))


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return ["directory"] if os.listdir(place) else []


def repair(place: str) -> None:
    """Take away what is left behind."""
    for name in os.listdir(place):
        shutil.rmtree(os.path.join(place, name), ignore_errors=True)
