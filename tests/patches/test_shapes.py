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
}

NO_EDITS = {
    "another lock": "lock.acquire()\nother.release()\n",
    "lock with a timeout": "lock.acquire(timeout=1)\nlock.release()\n",
    "more in finally": "lock.acquire()\ntry:\n    work()\nfinally:\n    lock.release()\n    more()\n",
    "two targets": "a = b = open(path)\na.close()\n",
    "attribute": "self.file = open(path)\nself.file.close()\n",
    "released with more arguments": "fd = acquire()\nrelease(fd, 1)\n",
    "release of another": "fd = acquire()\nrelease(other)\n",
    "shielded": "with shield(open, path) as file:\n    pass\n",
    "no call": "with LOCK:\n    pass\n",
    "asynchronous": "async def f():\n    async with make() as x:\n        pass\n",
}


@pytest.mark.parametrize("name", EDITS)
def test_edit(name):
    """What is acquired and released in one block gets a ``with`` statement; everything else stays as it is."""
    before, after = map(dedent, EDITS[name])
    line = next(
        number
        for number, text in enumerate(before.splitlines(), 1)
        if any(word in text for word in ("acquire", "open", "get("))
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
    (candidate,) = Source(source).masked(4, 6)
    assert candidate.text == (
        "def f():\n    for x in y:\n        # why\n        with mask():\n            a()\n            b(\n                c)\n        d()\n"
    )
    (candidate,) = Source(source).masked(2, 7)
    assert "    with mask():\n        for x in y:\n" in candidate.text


def test_line_endings_and_tabs():
    """Line endings and indentation are those of the file."""
    (candidate,) = Source("def f(lock):\r\n\tlock.acquire()\r\n\tlock.release()\r\n").candidates(2)
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
