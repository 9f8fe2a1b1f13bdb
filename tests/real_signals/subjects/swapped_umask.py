"""``os.umask`` returns the old mask only once, so an interrupt at the end of the call loses it."""

import os

INCLUDE: list[str] = []
OLD = os.umask(0o022)
os.umask(OLD)


def body(place: str) -> None:
    """Change the umask and put it back."""
    for number in range(30):
        before = os.umask(0o077)
        try:
            abs(number)
        finally:
            os.umask(before)


def left(place: str) -> list[str]:
    """Return what is left behind."""
    now = os.umask(OLD)
    os.umask(now)
    return ["umask"] if now != OLD else []


def repair(place: str) -> None:
    """Put the umask back."""
    os.umask(OLD)
