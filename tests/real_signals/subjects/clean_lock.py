"""Control: ``with`` is safe, but for CPython 3.14's own defect."""

import threading

INCLUDE: list[str] = []
LOCK = threading.Lock()


def body(place: str) -> None:
    """Take and give back a lock."""
    for number in range(30):
        with LOCK:
            abs(number)


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return ["LOCK"] if LOCK.locked() else []


def repair(place: str) -> None:
    """Take away what is left behind."""
    LOCK.release()
