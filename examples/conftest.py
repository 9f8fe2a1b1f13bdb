"""Resources of our own: connections that a pool has handed out. The fixture ``watch`` tells which pools to look at."""

import weakref

import pytest

POOLS = weakref.WeakKeyDictionary()
"""Pool -> how many connections it has handed out, by a function."""


class Connections:
    """Connections that are not back in their pool, by the pool's type and as often as they are out."""

    name = "connection"
    cost = 2.0

    def snapshot(self):
        return [type(pool).__name__ for pool, out in POOLS.items() for _ in range(out(pool))]

    def describe(self, thing):
        return f"of {thing}"

    def repair(self, thing):
        """Do nothing: no pool takes back what nobody has, and each run has a pool of its own."""


def pytest_maskcheck_resources():
    return [Connections()]


@pytest.fixture
def watch():
    """Look at a pool: ``watch(pool, out)``, where ``out(pool)`` is the number of connections that are not back."""
    yield POOLS.__setitem__
    POOLS.clear()
