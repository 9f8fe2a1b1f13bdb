"""Shapes of code for which an edit is known, and the edits."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_maskcheck.patches.editing import Source, with_imports

EDITS = {
    "lock in try": (
        """
        def f(lock):
            # why
            lock.acquire()  # now
            try:
                work()
            finally:
                lock.release()
            return 1
        """,
        """
        def f(lock):
            # why
            with lock:  # now
                work()
            return 1
        """,
    ),
    "lock in try with except": (
        """
        def f(lock):
            lock.acquire()
            try:
                work()
            except OSError:
                pass
            finally:
                lock.release()
        """,
        """
        def f(lock):
            with lock:
                try:
                    work()
                except OSError:
                    pass
        """,
    ),
    "lock in a row": (
        """
        def f(self):
            self.lock.acquire()
            self.lock.release()
        """,
        """
        def f(self):
            with self.lock:
                pass
        """,
    ),
    "pair": (
        """
        def f(path):
            fd = os.open(path, os.O_RDONLY)
            try:
                os.read(fd, 1)
            finally:
                os.close(fd)
        """,
        """
        def f(path):
            with bracket(os.open, os.close, path, os.O_RDONLY) as fd:
                os.read(fd, 1)
        """,
    ),
    "pair of methods": (
        """
        def f(pool):
            one = pool.get(timeout=1)
            use(one)
            pool.put(one)
            more()
        """,
        """
        def f(pool):
            with bracket(pool.get, pool.put, timeout=1) as one:
                use(one)
            more()
        """,
    ),
    "manager": (
        """
        def f(path):
            file = open(path)
            file.read()
            file.close()
        """,
        """
        def f(path):
            with shield(open, path) as file:
                file.read()
        """,
    ),
    "entered": (
        """
        def f(path):
            with open(path) as file, LOCK:
                file.read()
        """,
        """
        def f(path):
            with shield(open, path) as file, LOCK:
                file.read()
        """,
    ),
    "awaited lock": (
        """
        async def f(lock):
            await lock.acquire()
            await work()
            lock.release()
        """,
        """
        async def f(lock):
            async with lock:
                await work()
        """,
    ),
    "more in finally": (
        """
        def f(lock):
            # why
            lock.acquire()
            count()
            try:
                work()
            except OSError:
                pass
            finally:
                lock.release()
                more()
        """,
        """
        def f(lock):
            # why
            with mask() as restore:
                lock.acquire()
                count()
                try:
                    with restore():
                        work()
                except OSError:
                    pass
                finally:
                    lock.release()
                    more()
        """,
    ),
    "entered as it is": (
        """
        def f():
            with POOL.open():
                work()
            # acquire
            with LOCK:  # now
                work()
        """,
        """
        def f():
            with POOL.open():
                work()
            # acquire
            with mask() as restore:
                with LOCK:  # now
                    with restore():
                        work()
        """,
    ),
    "a name that is taken": (
        """
        def f(lock):
            lock.acquire(1)
            try: restore()
            finally: lock.release()
        """,
        """
        def f(lock):
            with mask() as restore_:
                lock.acquire(1)
                try:
                    with restore_():
                        restore()
                finally: lock.release()
        """,
    ),
}

NO_EDITS = {
    "lock that is released earlier, too": "lock.acquire()\nif a:\n    lock.release()\n    b()\nlock.release()\n",
    "pair that is released earlier, too": "fd = acquire()\nif a:\n    release(fd)\n    b()\nrelease(fd)\n",
    "another lock": "lock.acquire()\nother.release()\n",
    "lock with a timeout": "lock.acquire(timeout=1)\nlock.release()\n",
    "no finally": "lock.acquire()\ntry:\n    work()\nexcept OSError:\n    lock.release()\n",
    "a try that is far away": "lock.acquire()\n" + "a = 1\n" * 3 + "try:\n    work()\nfinally:\n    lock.release()\n",
    "two targets": "a = b = open(path)\na.close()\n",
    "attribute": "self.file = open(path)\nself.file.close()\n",
    "released with more arguments": "fd = acquire()\nrelease(fd, 1)\n",
    "release of another": "fd = acquire()\nrelease(other)\n",
    "shielded": "with shield(open, path) as file:\n    pass\n",
    "asynchronous": "async def f():\n    async with make() as x:\n        pass\n",
}


@pytest.mark.parametrize("name", EDITS)
def test_edit(name):
    """What is acquired and released in one block gets a ``with`` statement; everything else stays as it is."""
    before, after = map(dedent, EDITS[name])
    line = next(
        number
        for number, text in enumerate(before.splitlines(), 1)
        if any(word in text for word in ("acquire(", "open(path", "get(", "LOCK:"))
    )
    (candidate, *_) = Source(before).candidates(line)
    assert candidate.text == after


@pytest.mark.parametrize("name", NO_EDITS)
def test_no_edit(name):
    """Code of another shape is left alone."""
    line = 2 if name == "asynchronous" else 1
    assert not [*Source(NO_EDITS[name]).candidates(line)]


def test_mask_over_lines():
    """A mask goes around the statements of the innermost block that has all of the lines."""
    source = "def f():\n    for x in y:\n        # why\n        a()\n        b(\n            c)\n        d()\n"
    candidate, earlier = Source(source).masked(5, 6)
    assert (
        "        # why\n        a()\n        with mask():\n            b(\n                c)\n        d()\n"
        in candidate.text
    )
    candidate = earlier  # begins at the statement before it
    assert candidate.text == (
        "def f():\n    for x in y:\n        # why\n        with mask():\n            a()\n            b(\n                c)\n        d()\n"
    )
    (candidate,) = Source(source).masked(2, None)
    assert "    with mask():\n        for x in y:\n" in candidate.text


@pytest.mark.parametrize(
    ("clause", "new"), [("except:", "except Exception:"), ("except BaseException as e:", "except Exception as e:")]
)
def test_clauses_that_catch_all(clause, new):
    """A clause that catches interrupts is narrowed; others are left alone."""
    source = "try:\n    a()\nexcept OSError:\n    b()\n{}  # why\n    c()\n"
    (candidate,) = Source(source.format(clause)).narrowed(5)
    assert candidate.text == source.format(new)
    assert not [*Source(source.format(clause)).narrowed(3)]
    assert not [*Source(source.format(clause)).narrowed(6)]


def test_generators():
    """No mask goes around a ``yield``: the code that runs meanwhile is another one's."""
    source = "def f():\n    with make():\n        yield 1\n    a()\n    def g(): yield\n"
    assert [each.title for each in Source(source).candidates(2)] == ["enter it with `shield`"]
    assert not [*Source(source).masked(2, 4)]
    assert len([*Source(source).masked(4, 5)]) == 1
    source = "def f():\n    a()\n    try:\n        yield 1\n    finally:\n        b()\n"
    assert not [*Source(source).candidates(2)]


def test_released_in_the_try_too():
    """What the body of a ``try`` releases already is not released by a ``with`` statement once more."""
    source = "lock.acquire()\ntry:\n    lock.release()\nfinally:\n    lock.release()\n"
    assert [each.title for each in Source(source).candidates(1)] == ["mask signals but in the body of the `try`"]


def test_coroutines():
    """No mask goes around an ``await``: it would hold back the interrupts of other tasks, too."""
    source = "async def f():\n    a()\n    await b()\n    async with c: d()\n    async for e in f: g()\n    h()\n    async def i(): await j()\n"
    assert not [each for first in (3, 4, 5) for each in Source(source).masked(first, first)]
    assert len([*Source(source).masked(7, 7)]) == 2


def test_masks_within():
    """A mask around others takes their place; one whose function is used stays."""
    source = "a()\nif b:\n    # why\n    with mask():\n        # how\n        c()\n        d()\nwith mask() as restore:\n    e()\n"
    (candidate,) = Source(source).masked(1, 9)
    assert candidate.text == (
        "with mask():\n    a()\n    if b:\n        # why\n        # how\n        c()\n        d()\n    with mask() as restore:\n        e()\n"
    )


def test_line_endings_and_tabs():
    """Line endings and indentation are those of the file."""
    candidate, _ = Source("def f(lock):\r\n\tlock.acquire()\r\n\tlock.release()\r\n").candidates(2)
    assert candidate.text == "def f(lock):\r\n\twith lock:\r\n\t\tpass\r\n"


def test_imports():
    """What an edit uses is imported, below the docstring and beside what is imported already."""
    text = '"""Text."""\n\nfrom __future__ import annotations\n\nfrom pytest_maskcheck.masking import mask\n'
    assert with_imports(text, ["shield", "mask"]).endswith("\nfrom pytest_maskcheck.masking import shield, mask\n")
    assert with_imports(text, []) == text


def test_no_python():
    """What is no Python is told apart from all other errors."""
    with pytest.raises(ValueError, match="parser error"):
        Source("def f(:\n")
