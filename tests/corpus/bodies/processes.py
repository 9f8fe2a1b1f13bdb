"""Programs, and processes of Python."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent import futures
from multiprocessing import shared_memory

import pytest

few = pytest.mark.interrupt_safe(max_points=8)
SPAWN = multiprocessing.get_context("spawn")
FORK = multiprocessing.get_context("fork")


def test_subprocess_run():
    done = subprocess.run(["echo", "a"], check=True, capture_output=True, text=True)  # (swallowed@back) (swallowed@into)
    assert done.stdout == "a\n"


def test_check_output_with_input():
    assert subprocess.check_output(["cat"], input=b"a") == b"a"  # (swallowed@back)


def test_popen():
    pipe = subprocess.PIPE
    # A dropped Popen is kept by subprocess, with the pipe from which the program waits to read.
    with subprocess.Popen(["cat"], stdin=pipe, stdout=pipe) as process:  # leak@call? (implicit@call)?  (implicit@back) (implicit@into) (leak@into)?
        assert process.communicate(b"a", timeout=10) == (b"a", None)


def test_popen_killed():
    process = None
    try:
        process = subprocess.Popen(["sleep", "60"])  # leak@call? (implicit@call)?: it runs on  (implicit@back) (leak@back)
        assert process.poll() is None
    finally:
        if process is not None:
            process.kill()  # (implicit@back) (implicit@into) leak@into
            process.wait()  # (implicit@into) (swallowed@back)?


def test_system():
    assert os.system("true") == 0
    with os.popen("echo a") as pipe:  # (implicit@back) (implicit@into)
        assert pipe.read() == "a\n"


@few
def test_run_python():
    subprocess.run([sys.executable, "-S", "-E", "-c", "pass"], check=True)  # (swallowed@back) (swallowed@into)


def test_fork_and_wait():
    pid = None
    try:
        pid = os.fork()  # leak@call: the number of the child is lost  (leak@into) (swallowed@back) (swallowed@into) swallowed@back swallowed@into unusable@into?
        if pid == 0:
            os._exit(3)
    finally:
        if pid:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


@few
def test_process_by_fork():
    process = FORK.Process(target=abs, args=[-1])
    process.start()
    process.join()  # (implicit@back) leak@into
    assert process.exitcode == 0  # (implicit@into)


@few
def test_process_by_spawn():
    process = SPAWN.Process(target=abs, args=[-1])
    process.start()
    process.join()  # (implicit@back) leak@into
    assert process.exitcode == 0  # (implicit@into)


@few
def test_pool_by_fork():
    with FORK.Pool(2) as pool:  # (implicit@call)?: its pipes are never closed  (implicit@back) (implicit@into) (leak@back)?
        assert pool.map(abs, [-1, -2]) == [1, 2]  # (implicit@back)? (implicit@into)


@few
def test_pool_by_spawn():
    with SPAWN.Pool(1) as pool:  # (implicit@call)?: its pipes are never closed  (implicit@back) (implicit@into) (leak@back)?
        assert pool.apply(abs, [-1]) == 1  # (implicit@back)? (implicit@into)


@few
def test_process_pool():
    with futures.ProcessPoolExecutor(1, mp_context=FORK) as pool:  # (implicit@back) (implicit@into)? (swallowed@back)?
        assert pool.submit(abs, -1).result() == 1


def test_queue_between_processes():
    waiting = FORK.SimpleQueue()  # (implicit@back)?
    try:
        process = FORK.Process(target=waiting.put, args=[1])
        process.start()  # (leak@back)
        assert waiting.get() == 1  # leak@back leak@into
        process.join()  # (implicit@back) leak@into
    finally:
        waiting.close()  # (implicit@back) (implicit@into)


@few
def test_queue_with_a_feeder():
    waiting = FORK.Queue()  # (implicit@back)?
    try:
        waiting.put(1)  # (implicit@into)
        assert waiting.get() == 1
    finally:
        waiting.close()  # (implicit@into) leak@into
        waiting.join_thread()


def test_pipe_between_processes():
    receiver, sender = FORK.Pipe(duplex=False)  # (implicit@back) (leak@back)?
    with receiver, sender:  # (implicit@into)
        sender.send([1, 2])
        assert receiver.recv() == [1, 2]


def test_lock_of_processes():
    lock, value = FORK.Lock(), FORK.Value("i", 0)
    with lock:  # (implicit@back) (implicit@into)
        with value.get_lock():  # (implicit@back) (implicit@into)
            value.value += 1
    assert value.value == 1


def test_shared_memory():
    memory = shared_memory.SharedMemory(create=True, size=10)  # leak@call? (implicit@call)?: its name is lost  (implicit@back) (leak@back)
    try:
        memory.buf[:3] = b"abc"
        copy = bytes(memory.buf[:3])
    finally:
        memory.close()  # (implicit@back) (implicit@into) leak@back (leak@back)? leak@into
        memory.unlink()  # leak@into
    assert copy == b"abc"


def test_ctypes():
    buffer = ctypes.create_string_buffer(b"abc")
    assert (ctypes.CDLL(None).strlen(buffer), ctypes.sizeof(buffer)) == (3, 4)


def test_interval_timer():
    fired = []
    handler = signal.getsignal(signal.SIGALRM)
    try:
        signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            while not fired:
                signal.sigtimedwait([], 0.002)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, handler)  # altered@into
    assert fired
