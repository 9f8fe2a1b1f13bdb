"""Measure what masks cost, as ratios within one run.

Run ``python benchmarks/masks.py``. Each function is timed in turns with the others, and its best time counts. The baselines:

- *swap*: the usual handler-swap recipe in its shortest form: a context manager that calls ``signal.signal`` twice;
- *two calls*: the two calls alone, without a context manager;
- *kernel*: two ``signal.pthread_sigmask`` calls in a context manager;
- *bare*: ``with open(os.devnull)``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from pytest_maskcheck.masking import bracket, mask, shield

ROUNDS = 25
TURNS = 2000


class Swap:
    """Defers SIGINT with a handler that queues."""

    __slots__ = ("before", "queue")

    def __enter__(self) -> None:
        self.queue: list[object] = []
        self.before = signal.signal(signal.SIGINT, self.defer)

    def defer(self, signum: int, frame: object) -> None:
        """Queue the signal."""
        self.queue.append((signum, frame))

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.before)


class Kernel:
    """Blocks SIGINT."""

    __slots__ = ("before",)

    def __enter__(self) -> None:
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)


def defer(signum: int, frame: object) -> None:
    pass


def two_calls() -> None:
    for _ in range(TURNS):
        before = signal.signal(signal.SIGINT, defer)
        signal.signal(signal.SIGINT, before)


def swap() -> None:
    for _ in range(TURNS):
        with Swap():
            pass


def kernel() -> None:
    for _ in range(TURNS):
        with Kernel():
            pass


def outermost() -> None:
    for _ in range(TURNS):
        with mask(signal.SIGINT):
            pass


def nested() -> None:
    with mask(signal.SIGINT):
        for _ in range(TURNS):
            with mask(signal.SIGINT):
                pass


def three() -> None:
    for _ in range(TURNS):
        with mask(signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            pass


def bare() -> None:
    for _ in range(TURNS):
        with open(os.devnull, encoding="utf-8"):
            pass


def shielded() -> None:
    for _ in range(TURNS):
        with shield(open, os.devnull, encoding="utf-8"):
            pass


def descriptor() -> None:
    for _ in range(TURNS):
        fd = os.open(os.devnull, os.O_RDONLY)
        try:
            pass
        finally:
            os.close(fd)


def bracketed() -> None:
    for _ in range(TURNS):
        with bracket(os.open, os.close, os.devnull, os.O_RDONLY):
            pass


WAYS: tuple[Callable[[], None], ...] = (
    *(two_calls, swap, kernel, outermost, nested, three),
    *(bare, shielded, descriptor, bracketed),
)
RATIOS = (
    ("mask(SIGINT), outermost", outermost, swap, "swap"),
    ("mask(SIGINT), outermost", outermost, two_calls, "two calls"),
    ("mask(SIGINT), outermost", outermost, kernel, "kernel"),
    ("mask(SIGINT), nested", nested, swap, "swap"),
    ("mask of three signals", three, swap, "swap"),
    ("shield(open)", shielded, bare, "bare"),
    ("bracket(os.open, os.close)", bracketed, descriptor, "try/finally"),
)


def main() -> None:
    """Measure, and print times and ratios."""
    best = dict.fromkeys(WAYS, float("inf"))
    for _ in range(ROUNDS):
        for way in WAYS:
            begin = time.perf_counter()
            way()
            best[way] = min(best[way], time.perf_counter() - begin)
    print(f"CPython {sys.version.split()[0]}, microseconds: ", end="")
    print(", ".join(f"{way.__name__} {seconds / TURNS * 1e6:.2f}" for way, seconds in best.items()))
    for name, way, baseline, title in RATIOS:
        print(f"{name:28} {best[way] / best[baseline]:5.2f} x {title}")


if __name__ == "__main__":
    main()
