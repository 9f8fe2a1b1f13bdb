"""A directory that is made under one name and then renamed keeps the first name if the interrupt arrives in between."""

import os

INCLUDE: list[str] = []
FRESH = True


def body(place: str) -> None:
    """Make a directory, rename it, remove it."""
    first, second = os.path.join(place, "a"), os.path.join(place, "b")
    for _ in range(20):
        os.mkdir(first)
        os.rename(first, second)
        os.rmdir(second)


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return os.listdir(place)
