"""Send real signals from another process, every 20 to 400 µs, to code that masks should protect, and to code without protection.

Run it alone: ``python tests/masking/bombardment.py --seconds 60``. It prints a line for each subject. The exit status is 1 if a
shielded subject leaked or was torn, or if no unprotected one was.

Each turn of a subject is interrupted at random. Its books record whether what it acquired was released, and whether a critical
section ran from beginning to end. The handlers raise only during a turn, so that the book-keeping between turns is not interrupted:
the first statement after a turn is a plain assignment, and CPython does not check for signals before it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import IO

from pytest_maskcheck import masking
from pytest_maskcheck.masking import bracket, is_masked, mask, shield

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

# It spins, since ``time.sleep`` is too coarse for microseconds, and ends when its parent does.
SENDER = """
import os, random, sys, time
target, end, signals = int(sys.argv[1]), time.monotonic() + float(sys.argv[2]), list(map(int, sys.argv[3:]))
parent = os.getppid()
while time.monotonic() < end and os.getppid() == parent:
    until = time.perf_counter() + random.uniform(20e-6, 400e-6)
    while time.perf_counter() < until:
        pass
    os.kill(target, random.choice(signals))
"""


class Interrupted(BaseException):
    """The exception that the handlers raise."""


@dataclass
class Books:
    """What one subject did.

    Attributes:
        acquired, released: how often, in this turn.
        begun, done: critical sections begun and completed in this turn.
        wrong: descriptions of anything else that went wrong.
    """

    acquired: int = 0
    released: int = 0
    begun: int = 0
    done: int = 0
    turns: int = 0
    interrupts: int = 0
    lost: int = 0
    torn: int = 0
    files: list[IO[str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def close_turn(self) -> None:
        """Compare the counts of this turn, and reset them."""
        self.turns += 1
        self.lost += self.acquired != self.released or not all(file.closed for file in self.files)
        self.files.clear()
        self.torn += self.begun != self.done
        self.acquired = self.released = self.begun = self.done = 0


LOCK = threading.Lock()
PATH = os.devnull


class File:
    """A context manager in Python around a descriptor, which records acquisition and release."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def __enter__(self) -> int:
        self.fd = os.open(PATH, os.O_RDONLY)
        self.books.acquired += 1
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
        self.books.released += 1


def section(books: Books) -> None:
    """Run a critical section that contains checkpoints."""
    books.begun += 1
    for _ in range(3):
        len(str(abs(-1)))
    books.done += 1


def idle() -> None:
    """Run some interruptible code."""
    for number in range(5):
        str(number)


def shield_open(books: Books) -> None:
    def acquire() -> IO[str]:
        file = open(PATH, encoding="utf-8")
        books.files.append(file)
        return file

    with shield(acquire) as file:
        file.read(1)


def shield_python(books: Books) -> None:
    with shield(File, books):
        idle()


def bracket_lock(books: Books) -> None:
    def acquire() -> None:
        LOCK.acquire()
        books.acquired += 1

    def release(_: None) -> None:
        LOCK.release()
        books.released += 1

    with bracket(acquire, release):
        idle()


def bracket_open(books: Books) -> None:
    def acquire() -> int:
        fd = os.open(PATH, os.O_RDONLY)
        books.acquired += 1
        return fd

    def release(fd: int) -> None:
        os.close(fd)
        books.released += 1

    with bracket(acquire, release):
        idle()


def mask_three(books: Books) -> None:
    with mask(*SIGNALS):
        section(books)


def masks_of_one(books: Books) -> None:
    """Each mask is entered and left the short way, while handlers of the others' signals may raise."""
    with mask(signal.SIGINT), mask(signal.SIGTERM), mask(signal.SIGUSR1):
        section(books)


def nested(books: Books) -> None:
    with mask(signal.SIGTERM, signal.SIGUSR1), mask(*SIGNALS), mask(*SIGNALS):
        section(books)
    with shield(File, books), mask(*SIGNALS):
        section(books)


def restore(books: Books) -> None:
    with mask(*SIGNALS) as unmasked:
        section(books)
        try:
            with unmasked():
                idle()
        finally:
            if not all(map(is_masked, SIGNALS)):
                books.wrong.append("not masked after restore()")
            section(books)


def bare_python(books: Books) -> None:
    with File(books):
        idle()


def bare_lock(books: Books) -> None:
    LOCK.acquire()
    try:
        books.acquired += 1
        idle()
    finally:
        LOCK.release()
        books.released += 1


def bare_section(books: Books) -> None:
    section(books)


SHIELDED: dict[str, Callable[[Books], None]] = {
    "shield(open)": shield_open,
    "shield(class)": shield_python,
    "bracket(lock.acquire, release)": bracket_lock,
    "bracket(os.open, os.close)": bracket_open,
    "mask(SIGINT, SIGTERM, SIGUSR1)": mask_three,
    "masks of one signal": masks_of_one,
    "nested": nested,
    "restore()": restore,
}
CONTROLS: dict[str, Callable[[Books], None]] = {
    "bare class": bare_python,
    "bare lock": bare_lock,
    "bare section": bare_section,
}


def open_descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}


def close_leftovers(known: set[int]) -> int:
    """Close all descriptors but ``known``, so that a control does not run out of them; return how many were closed."""
    left = 0
    for descriptor in open_descriptors() - known:
        with suppress(OSError):  # the descriptor of the listing itself
            os.close(descriptor)
            left += 1
    return left


def bombard(subject: Callable[[Books], None], seconds: float, threads: int = 0) -> Books:
    """Run ``subject`` repeatedly while signals arrive.

    Parameters:
        subject: runs one turn.
        seconds: how long to run.
        threads: the number of idle threads beside it.
    """
    books = Books()
    armed = [False]
    unraisable: list[sys.UnraisableHookArgs] = []

    def handler(signum: int, frame: object) -> None:
        if armed[0]:
            raise Interrupted(signum)

    end = threading.Event()
    idlers = [threading.Thread(target=end.wait) for _ in range(threads)]
    handlers = {signum: signal.signal(signum, handler) for signum in SIGNALS}
    kernel = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with ExitStack() as cleanup:
        for signum, before in handlers.items():
            cleanup.callback(signal.signal, signum, before)
        cleanup.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
        sys.unraisablehook = unraisable.append  # in C: a hook in Python would be interrupted, too
        for thread in idlers:
            thread.start()
            cleanup.callback(thread.join)
        cleanup.callback(end.set)
        command = [sys.executable, "-c", SENDER, str(os.getpid()), str(seconds + 60), *map(str, map(int, SIGNALS))]
        sender = subprocess.Popen(command)
        cleanup.callback(sender.wait)
        cleanup.callback(sender.kill)
        descriptors = open_descriptors()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                try:
                    armed[0] = True
                    subject(books)
                finally:
                    armed[0] = False
            except Interrupted:
                books.interrupts += 1
            books.close_turn()
            books.wrong += [repr(lost.exc_value) for lost in unraisable if lost.exc_type is not Interrupted]
            unraisable.clear()  # interrupts that land in finalizers are expected
            if LOCK.locked():
                LOCK.release()
        books.lost += close_leftovers(descriptors)
        if any(signal.getsignal(signum) is not handler for signum in SIGNALS):
            books.wrong.append("a handler was left behind")
        if signal.pthread_sigmask(signal.SIG_BLOCK, ()) != kernel:
            books.wrong.append("the signal mask was changed")
        if masking._stack or masking._nested or masking.pending_signals():
            books.wrong.append("a mask, a counter or a signal was left behind")
    return books


def main() -> int:
    """Bombard all subjects and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=60, help="for all subjects together, for each number of threads"
    )
    seconds = parser.parse_args().seconds
    bad = good = 0
    subjects = {**SHIELDED, **CONTROLS}
    print(f"CPython {sys.version.split()[0]}")
    for threads in (0, 2):
        total = 0
        for name, subject in subjects.items():
            books = bombard(subject, seconds / len(subjects), threads)
            spoiled = books.lost + books.torn + len(books.wrong)
            total += books.interrupts
            if name in SHIELDED:
                bad += spoiled > 0
            else:
                good += spoiled > 0
            print(
                f"{threads} threads  {name:32} {books.turns:8} turns {books.interrupts:7} interrupts"
                f" {books.lost:6} lost {books.torn:6} torn  {'; '.join(sorted(set(books.wrong)))}",
                flush=True,
            )
        print(f"{threads} threads  {total} interrupts")
    return bad > 0 or good == 0


if __name__ == "__main__":
    random.seed()
    sys.exit(main())
