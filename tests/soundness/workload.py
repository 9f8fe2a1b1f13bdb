"""Ordinary code of many shapes for signals to land in. A round takes a few milliseconds and leaves nothing behind.

``DETERMINISTIC`` functions do the same thing each time and touch nothing outside themselves; the functions of
``BROAD`` use threads, files and event loops; those of ``SLOW`` are too slow for every round.
"""

# ruff: noqa: B015, B018, B905, C408, C416, PIE804, PLR0124, PLW0120, PLW2901, PYI024, SIM905, UP031, UP032
# (each a shape of code that real programs have)

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import io
import itertools
import json
import logging
import os
import pathlib
import queue
import random
import shutil
import sqlite3
import string
import subprocess
import sys
import tempfile
import textwrap
import threading
import types
import weakref


def plain(a, b=2, *rest, key=None, **more):
    return a


def one_line(x): return x  # fmt: skip


def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def marked(name):
    def decorate(function):
        function.mark = name
        return function

    return decorate


@traced
@marked("decorated")
def decorated(a, b=1):
    return a + b


class Empty:
    pass


class Base:
    kind = "base"

    def __init__(self, value, *, scale=1):
        self.value = value
        self.scale = scale

    def method(self, *args, **kwargs):
        return self.value

    def failing(self, *args):
        raise KeyError(args)

    @property
    def doubled(self):
        return self.value * 2

    @doubled.setter
    def doubled(self, value):
        self.value = value // 2

    @classmethod
    def make(cls, *args):
        return cls(len(args))

    @staticmethod
    def static(*args):
        return args

    def items(self, *args):
        yield self.value
        yield from args

    async def later(self, *args):
        return self.value

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index > 2:
            raise IndexError(index)
        return index

    def __add__(self, other):
        return self.value + other

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return hash(self.kind)

    def __call__(self, *args, **kwargs):
        return args

    def __repr__(self):
        return "Base()"

    def __getattr__(self, name):
        if name.startswith("dynamic"):
            return name
        raise AttributeError(name)


class Derived(Base):
    def __init__(self, value, **more):
        super().__init__(value, **more)
        self.extra = value

    def method(self, *args, **kwargs):
        return super().method(*args, **kwargs)


class Guard:
    def __init__(self, *, swallow=False):
        self.swallow = swallow

    def __enter__(self):
        return self

    def __exit__(self, kind, error, tb):
        return self.swallow and kind is not None and issubclass(kind, Exception)


@contextlib.contextmanager
def managed(value):
    box = [value]
    try:
        yield box
    finally:
        box.clear()


def numbers(limit):
    for number in range(limit):
        received = yield number
        if received is not None:
            yield received


def delegating(limit):
    total = yield from numbers(limit)
    return total


def calls():
    base, derived = Base(1), Derived(2, scale=3)
    plain(1)
    plain(1, 2, 3, key=4, other=5)
    plain(a=1)
    one_line(1)
    decorated(1, b=2)
    base.method(1)
    base.method(key=2)
    derived.method(1, key=2)
    Base.make(1, 2)
    Base.static(1)
    Empty()
    dict(a=1)
    sorted([3, 1, 2], key=lambda item: -item)
    max([1, 2], key=abs)
    int("12", base=8)
    functools.partial(plain, 1)(2, key=3)
    base(1)
    len("abc")
    len(base)
    isinstance(base, Base)
    str(12)
    type(base)
    "a,b".split(",")
    list(map(one_line, (1, 2)))
    list(map(abs, (1, -2)))


def star_calls():
    base, args, kwargs = Base(1), (1, 2), {"key": 1}
    plain(*args)
    plain(*args, **kwargs)
    plain(**{"a": 1})
    one_line(*[1])
    base.method(*args)
    base.method(**kwargs)
    Base.method(base, *args)
    Base.make(*args)
    Base.static(*args)
    Base(*[1], **{"scale": 2})
    Empty(*())
    base(*args)
    base.items(*args)
    list(base.items(*args))
    numbers(*[1])
    base.later(*args).close()
    dict(**kwargs)
    max(*args)
    print(*[], sep="", end="", file=io.StringIO())
    functools.partial(plain, 1)(*args)
    types.MethodType(len, "abc")(*())
    with contextlib.suppress(KeyError):
        base.failing(*args)
    for function in (base.method, plain, len, base.items):
        with contextlib.suppress(TypeError):
            function(*args)


def methods():
    base = Base(2)
    base.doubled = base.doubled + 2
    base + 1
    base == base
    hash(base)
    base.dynamic_name
    base[0]
    list(base)
    getattr(base, "missing", None)
    {base: 1}[base]
    2 in base


def generators():
    list(numbers(3))
    for number in delegating(2):
        one_line(number)
    generator = numbers(3)
    next(generator)
    generator.send(5)
    generator.close()
    thrown = numbers(2)
    next(thrown)
    with contextlib.suppress(ValueError):
        thrown.throw(ValueError())
    sum(number for number in range(4) if number % 2)
    [*numbers(2), *itertools.chain(numbers(1), numbers(1))]


def comprehensions():
    squares = [number * number for number in range(5)]
    {number: str(number) for number in squares}
    {number % 3 for number in squares if number}
    [[column for column in range(2)] for _ in range(2)]
    any(number > 3 for number in squares)
    [one_line(number) for number in squares]


def loops():
    total = 0
    for number in range(10):
        if number % 2:
            continue
        total += number
        if number > 6:
            break
    while total > 0:
        total -= 7
        for _ in (1, 2):
            pass
    else:
        total = 1
    while True:
        total += 1
        if total > 5:
            break
    for left, right in zip("abc", range(3)):
        left, right = right, left


def long_loop():
    pairs = collections.deque([(1, 2), (3, 4), (5, 6)])
    while pairs:
        left, right = pairs.popleft()
        if left > right:
            continue
        with contextlib.suppress(ValueError):
            plain(left, right, 1, 2, 3, key=left, other=right)
            decorated(left, right)
            sorted((left, right), key=abs)
        with contextlib.suppress(KeyError):
            plain(left, right, 1, 2, 3, key=left, other=right)
            decorated(left, right)
            sorted((left, right), key=abs)
        try:
            plain(left, right, 1, 2, 3, key=left, other=right)
            plain(left, right, 1, 2, 3, key=left, other=right)
            plain(left, right, 1, 2, 3, key=left, other=right)
            plain(left, right, 1, 2, 3, key=left, other=right)
        finally:
            one_line(left)


def handlers():
    for value in ("1", "x"):
        try:
            float(value)
        except ValueError:
            continue
        except (TypeError, KeyError) as error:
            str(error)
        else:
            one_line(value)
        finally:
            len(value)
    try:
        try:
            raise KeyError("a")
        finally:
            one_line(1)
    except KeyError as error:
        error.add_note("note")
        repr(error)
    try:
        raise ExceptionGroup("group", [ValueError(), KeyError()])
    except* ValueError:
        pass
    except* KeyError:
        one_line(2)


def withs():
    lock, reentrant = threading.Lock(), threading.RLock()
    with lock:
        len("abc")
    with reentrant, reentrant:
        pass
    with Guard() as guard, managed(1) as box:
        box.append(guard)
    with Guard(swallow=True):
        raise ValueError
    with managed(2), contextlib.suppress(ValueError):
        float("x")
    for _ in range(3):
        with lock:
            one_line(1)
    with io.StringIO() as stream:
        stream.write("text")
    with contextlib.ExitStack() as stack:
        stack.enter_context(managed(3))
        stack.enter_context(lock)
        stack.callback(one_line, 1)
        stack.push(Guard().__exit__)
    lock.acquire(blocking=True)
    try:
        one_line(2)
    finally:
        lock.release()


def texts():
    base, number = Base(1), 12
    f"{number}"
    f"{base}"
    f"{base!r}"
    f"{number:>4}"
    f"{number!s:>4}"
    f"{'text'}"
    "%s and %r" % ("text", base)
    "%d" % number
    "{} {name!r}".format(number, name=base)
    number % 5
    string.Template("$a").substitute(a=number)
    textwrap.dedent("  a\n  b")
    json.loads(json.dumps({"a": [1, 2, {"b": None}]}))


def matching():
    for subject in (1, "x", [1, 2], {"a": 1}, Base(1)):
        match subject:
            case int():
                one_line(1)
            case [first, *_]:
                one_line(first)
            case {"a": value}:
                one_line(value)
            case Base(value=value):
                one_line(value)
            case _:
                pass


def collected():
    counter = collections.Counter("abracadabra")
    counter.most_common(2)
    point = collections.namedtuple("Point", "x y")(1, 2)
    point._replace(x=3)
    table = collections.defaultdict(list)
    table["a"].append(1)
    collections.OrderedDict(a=1).move_to_end("a")
    random.Random(1).shuffle([1, 2, 3])

    @functools.lru_cache
    def cached(value):
        return value

    cached(1)
    cached(1)
    referent = Base(1)
    watched = weakref.WeakSet([referent])
    weakref.finalize(referent, one_line, 1)
    len(watched)


def threads():
    done = threading.Event()
    thread = threading.Thread(target=done.set)
    thread.start()
    done.wait(1)
    thread.join()
    condition = threading.Condition()
    with condition:
        condition.wait(0.0001)
    semaphore = threading.BoundedSemaphore(2)
    with semaphore:
        pass
    local = threading.local()
    local.value = 1


def queues():
    jobs = queue.Queue(maxsize=4)
    for number in range(3):
        jobs.put(number)
    while not jobs.empty():
        jobs.get()
        jobs.task_done()
    jobs.join()
    with contextlib.suppress(queue.Empty):
        jobs.get(timeout=0.0001)
    ordered = queue.PriorityQueue()
    ordered.put((2, "b"))
    ordered.put((1, "a"))
    ordered.get_nowait()


def worker_queue():
    jobs, results = queue.Queue(), queue.Queue()

    def work():
        while (job := jobs.get()) is not None:
            results.put(job * 2)

    thread = threading.Thread(target=work)
    thread.start()
    for number in range(3):
        jobs.put(number)
        results.get()
    jobs.put(None)
    thread.join()


def files():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.txt"
        path.write_text("one\ntwo\n", encoding="utf-8")
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                line.strip()
        shutil.copy(path, path.with_suffix(".bak"))
        shutil.copytree(folder, os.path.join(folder, "tree"))
        os.listdir(folder)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"text")
        file.flush()
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(b"text")
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.read(descriptor, 1)
    os.close(descriptor)


def databases():
    connection = sqlite3.connect(":memory:")
    connection.create_function("twice", 1, lambda value: value * 2)
    with connection:
        connection.execute("create table t (a, b)")
        connection.executemany("insert into t values (?, ?)", [(number, str(number)) for number in range(3)])
    for _ in connection.execute("select twice(a) from t"):
        pass
    connection.close()


class AsyncGuard:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *details):
        return False


async def ticks(limit):
    for number in range(limit):
        await asyncio.sleep(0)
        yield number


async def echo(value):
    await asyncio.sleep(0)
    return value


async def conversation():
    async with AsyncGuard(), asyncio.Lock():
        pass
    async for tick in ticks(3):
        await echo(tick)
    [tick async for tick in ticks(2)]
    await asyncio.gather(echo(1), echo(2))
    task = asyncio.create_task(echo(3))
    await asyncio.wait_for(task, 1)
    base = Base(1)
    await base.later(*[1])
    jobs = asyncio.Queue()
    await jobs.put(1)
    await jobs.get()


def loop_of_events():
    asyncio.run(conversation())


def logs():
    logger = logging.Logger("workload")
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    logger.warning("%s is %d", "text", 1)


def children():
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True, stdin=subprocess.DEVNULL)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.communicate(b"text")


DETERMINISTIC = (
    *(calls, star_calls, methods, generators, comprehensions, loops, long_loop),
    *(handlers, withs, texts, matching, collected),
)
BROAD = (threads, queues, worker_queue, files, databases, loop_of_events, logs)
SLOW = (children,)
