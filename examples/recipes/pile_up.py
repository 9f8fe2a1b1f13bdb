"""Recipe: catch ``KeyboardInterrupt`` at the top level and go on.

Run it: ``python examples/recipes/pile_up.py [INTERRUPTS]``. It opens and closes a file until it has been interrupted 10,000 times by real
signals at random instants, first bare and then with ``bracket``, and prints how many descriptors are left.

Expected: none with ``bracket``. Bare, one for each interrupt that arrived during ``os.open`` or before the ``try`` after it: several
thousand in all, by the share of time that the program spends there. That is more than the usual limit of 1024 descriptors, so the soft
limit is raised first as far as possible; if descriptors would run out nevertheless, the lost ones are counted and closed.

The signal is SIGALRM, from a timer, with the handler of SIGINT, which raises ``KeyboardInterrupt``. The timer is set anew for each
turn of the program, so that no signal arrives while the program itself handles the one before.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable

from pytest_maskcheck.masking import bracket

INTERRUPTS = 10_000
MARGIN = 100
LATEST = 200e-6
"""Seconds after which the interrupt arrives at the latest: some twenty turns of the loop."""


def bare() -> None:
    """Read a byte the usual way."""
    while True:
        fd = os.open(__file__, os.O_RDONLY)
        try:
            os.read(fd, 1)
        finally:
            os.close(fd)


def bracketed() -> None:
    """Read a byte with acquisition and release masked."""
    while True:
        with bracket(os.open, os.close, __file__, os.O_RDONLY) as fd:
            os.read(fd, 1)


def descriptors() -> set[int]:
    """Return the open descriptors."""
    found = set()
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            os.fstat(fd)
        except OSError:  # the descriptor of listdir itself
            continue
        found.add(fd)
    return found


def lost(work: Callable[[], None], interrupts: int) -> int:
    """Interrupt ``work`` this many times, go on each time, and return how many descriptors were lost."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = descriptors()
    count = caught = 0
    while caught < interrupts:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, LATEST))
            work()
        except KeyboardInterrupt:
            caught += 1
        if caught % MARGIN == 0 or caught == interrupts:
            left = descriptors() - before
            if caught == interrupts or len(left) + len(before) + 2 * MARGIN > soft:
                count += len(left)
                for fd in left:
                    os.close(fd)
    return count


def main(interrupts: int = INTERRUPTS) -> None:
    """Print how many descriptors each way of working loses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = interrupts + 2 * MARGIN
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted if hard < 0 else min(wanted, hard)), hard))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for work in (bare, bracketed):
        begin = time.perf_counter()
        count = lost(work, interrupts)
        seconds = time.perf_counter() - begin
        print(f"{work.__name__}: {count} descriptors left by {interrupts} interrupts, in {seconds:.1f} s")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
