"""The plainest defect: an interrupt between ``acquire()`` and ``try``."""

import threading

INCLUDE: list[str] = []
LOCK = threading.Lock()


def body(place: str) -> None:
    """Take and give back a lock."""
    for number in range(30):
        LOCK.acquire()
        try:
            abs(number)
        finally:
            LOCK.release()


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return ["LOCK"] if LOCK.locked() else []


def repair(place: str) -> None:
    """Take away what is left behind."""
    LOCK.release()
