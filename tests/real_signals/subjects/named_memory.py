"""``SharedMemory(create=True)``: an interrupt at the end of the call loses the name, and the segment stays."""

import contextlib
import os
from multiprocessing import shared_memory

INCLUDE: list[str] = []
PREFIX = "psm_"
BEFORE = {name for name in os.listdir("/dev/shm") if name.startswith(PREFIX)}


def body(place: str) -> None:
    """Make a segment and remove it."""
    memory = shared_memory.SharedMemory(create=True, size=10)
    try:
        len(memory.name)
    finally:
        memory.close()
        memory.unlink()


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return [name for name in os.listdir("/dev/shm") if name.startswith(PREFIX) and name not in BEFORE]


def repair(place: str) -> None:
    """Remove the segments."""
    for name in left(place):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/dev/shm/{name}")
