"""Threads, queues and pools of threads."""

import contextlib
import contextvars
import logging.handlers
import queue
import threading
import time
from concurrent import futures

POOL = futures.ThreadPoolExecutor(2)
"""A pool that outlives the runs; its threads are there before the first."""


def _square(number):
    return number * number


def test_thread():
    done = []
    thread = threading.Thread(target=done.append, args=[1])
    thread.start()
    thread.join()
    assert done == [1]


def test_event():
    event = threading.Event()
    thread = threading.Thread(target=event.wait, args=[10])
    try:
        thread.start()
    finally:
        event.set()  # leak@into
    thread.join()


def test_timer():
    fired = threading.Event()
    timer = threading.Timer(0.001, fired.set)
    timer.start()
    try:
        assert fired.wait(10)
    finally:
        timer.cancel()
        timer.join()


def test_condition():
    condition, ready = threading.Condition(), []

    def produce():
        with condition:
            ready.append(1)
            condition.notify_all()

    thread = threading.Thread(target=produce, daemon=True)
    with condition:  # (leak@back)? leak@back? leak@into
        thread.start()
        assert condition.wait_for(lambda: ready, 10)
    thread.join()


def test_barrier():
    barrier = threading.Barrier(2, timeout=10)
    thread = threading.Thread(target=barrier.wait, daemon=True)
    try:
        thread.start()
        barrier.wait()
    except BaseException:
        barrier.abort()
        raise
    finally:
        barrier.reset()


def test_locks():
    plain, reentrant, count = threading.Lock(), threading.RLock(), threading.BoundedSemaphore(2)
    with plain, reentrant, reentrant, count:  # (leak@back) (leak@into)
        assert plain.locked()
    assert not plain.locked()


def test_local():
    local = threading.local()
    local.value = 1
    seen = []
    thread = threading.Thread(target=lambda: seen.append(hasattr(local, "value")))
    thread.start()
    thread.join()
    assert seen == [False]


def test_queue():
    waiting = queue.Queue()

    def work():
        while waiting.get() is not None:
            waiting.task_done()
        waiting.task_done()

    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        for number in range(5):
            waiting.put(number)
    finally:
        waiting.put(None)  # leak@into
    thread.join()
    waiting.join()


def test_queues_without_threads():
    first, last, simple = queue.PriorityQueue(), queue.LifoQueue(), queue.SimpleQueue()
    for number in (2, 1, 3):
        first.put(number)
        last.put(number)
        simple.put(number)
    assert (first.get(), last.get(), simple.get()) == (1, 3, 2)
    with contextlib.suppress(queue.Empty):
        while True:
            first.get_nowait()


def test_thread_pool():
    with futures.ThreadPoolExecutor(2) as pool:  # (implicit@into)
        assert list(pool.map(_square, range(5))) == [0, 1, 4, 9, 16]


def test_thread_pool_as_completed():
    with futures.ThreadPoolExecutor(2) as pool:  # (implicit@into)
        waiting = [pool.submit(_square, number) for number in range(4)]
        done = []
        for future in futures.as_completed(waiting):  # (implicit@jump)? (implicit@call)?: a suspended generator
            done.append(future.result())
    assert sorted(done) == [0, 1, 4, 9]


def test_warm_thread_pool():
    assert POOL.submit(_square, 3).result() == 9
    assert list(POOL.map(_square, [1, 2])) == [1, 4]


def test_queue_listener():
    records, handler = queue.SimpleQueue(), logging.handlers.MemoryHandler(100)
    logger = logging.getLogger("corpus.listener")
    sender = logging.handlers.QueueHandler(records)
    listener = logging.handlers.QueueListener(records, handler)
    logger.addHandler(sender)  # (altered@back)
    try:
        listener.start()  # replaced@into?
        logger.warning("message")
    finally:
        logger.removeHandler(sender)  # altered@into leak@back leak@into
        listener.stop()  # (swallowed@back) leak@into
        handler.close()


def test_context_of_a_thread():
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=[variable.set, 1])
    thread.start()
    thread.join()
    assert (variable.get(), context[variable]) == (0, 1)


def test_short_waits():
    lock = threading.Lock()
    with lock:
        assert not lock.acquire(timeout=0.001)
    time.sleep(0.001)
