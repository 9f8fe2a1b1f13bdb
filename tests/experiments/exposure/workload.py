"""Code like that of a library under test: files, locks, a database, texts, loops, waiting. Each task does the same thing each time."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import threading
import time

PATH = os.path.join(tempfile.gettempdir(), f"maskcheck-exposure-{os.getpid()}")
LOCK = threading.Lock()
COUNTS: dict[str, int] = {}


class Reader:
    """Owns a file."""

    def __init__(self, path: str) -> None:
        self.file = open(path, encoding="utf-8")

    def read(self) -> str:
        return self.file.read()

    def close(self) -> None:
        self.file.close()


def files() -> int:
    with open(PATH, "w", encoding="utf-8") as file:
        file.write("some words of a file " * 20)
    reader = Reader(PATH)
    try:
        words = reader.read().split()
    finally:
        reader.close()
    os.unlink(PATH)
    return len(words)


def descriptors() -> int:
    read, write = os.pipe()
    try:
        os.write(write, b"x" * 100)
        return len(os.read(read, 100))
    finally:
        os.close(read)
        os.close(write)


def count(word: str) -> int:
    LOCK.acquire()
    try:
        COUNTS[word] = COUNTS.get(word, 0) + 1
        return COUNTS[word]
    finally:
        LOCK.release()


def locks() -> int:
    for word in ("one", "two", "three", "two"):
        count(word)
    with LOCK:
        numbers = sorted(range(500), key=lambda each: -each)
    COUNTS.clear()
    return sum(numbers[:10])


def texts() -> str:
    rows = [{"name": f"row {number}", "value": number * 1.5} for number in range(8)]
    text = json.dumps(rows)
    return "".join(row["name"] for row in json.loads(text))


def steps(limit: int):
    number = 0
    while number < limit:
        yield number
        number += 1


def loops() -> int:
    total = 0
    for number in steps(20):
        total += number
        if number % 3:
            total -= len(str(number))
    return total


def database() -> int:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("create table words (word text)")
        connection.executemany("insert into words values (?)", [("a",), ("b",)])
        return len(connection.execute("select * from words").fetchall())
    finally:
        connection.close()


def waiting() -> None:
    time.sleep(0.0003)
    LOCK.acquire()
    time.sleep(0.0002)
    LOCK.release()


TASKS = (files, descriptors, locks, texts, loops, database, waiting)


def work() -> None:
    """Do everything once."""
    for task in TASKS:
        task()
