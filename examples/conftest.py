"""A kind of our own: connections that a pool has handed out. The fixture ``watch`` registers the pools to compare."""

import weakref

import pytest

POOLS = weakref.WeakKeyDictionary()
"""Pool -> a function that returns how many connections it has handed out."""


class Connections:
    """Connections that are not back in their pool: the name of the pool's type, once for each connection."""

    name = "connection"
    cost = 2.0

    def snapshot(self):
        return [type(pool).__name__ for pool, out in POOLS.items() for _ in range(out(pool))]

    def describe(self, thing):
        return f"of {thing}"

    def repair(self, thing):
        """Do nothing: a pool cannot take back a lost connection, and each run has a pool of its own."""


def pytest_maskcheck_resources():
    return [Connections()]


@pytest.fixture
def watch():
    """Register a pool: ``watch(pool, out)``, where ``out(pool)`` returns the number of connections that are not back."""
    yield POOLS.__setitem__
    POOLS.clear()
