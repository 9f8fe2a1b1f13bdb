"""Entries of the baseline are found again when modules, functions and tests have moved, although keys contain their names."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

FILE = "known.toml"
WITH = (f"--maskcheck-baseline={FILE}", "--maskcheck-all", "-q")
UPDATE = "--maskcheck-baseline-update"

LOCKS = """\
import threading

LOCK = threading.Lock()
"""

WORK = """\

def work():
    LOCK.acquire()
    LOCK.release()
"""

SWALLOWS = """\

def swallow():
    try:
        abs(1)
    except BaseException:
        pass
"""


def entries() -> list[dict[str, str]]:
    """Return the entries of the file, as data."""
    return tomllib.loads(Path(FILE).read_text(encoding="utf-8")).get("defect", [])


def write(**sources: str) -> None:
    """Write the modules of a package."""
    Path("pkg").mkdir(exist_ok=True)
    for name, source in sources.items():
        Path("pkg", f"{name}.py").write_text(source, encoding="utf-8")


@pytest.fixture
def audited(pytester, run):
    """Return a function that audits a test with this source, with the baseline."""
    write(__init__="")

    def audited(source: str, *args: str) -> pytest.RunResult:
        Path("test_it.py").write_text(source, encoding="utf-8")
        return run(*WITH, *args, fresh=True)

    return audited


def test_renamed_module(audited):
    """A module with a lock and its functions is renamed: what was known is known, and an update keeps its reason."""
    write(a=LOCKS + WORK + SWALLOWS)
    audited("from pkg import a\ndef test_it(): a.work()\ndef test_other(): a.swallow()", UPDATE)
    assert len(entries()) == 2
    with Path(FILE).open("a", encoding="utf-8") as file:
        file.write('reason = "soon"\n')
    Path("pkg/a.py").rename("pkg/c.py")
    moved = "from pkg import c\ndef test_it(): c.work()\ndef test_other(): c.swallow()"
    result = audited(moved)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["baseline: 2 known, 0 new, 0 gone, 0 not met (*)"])
    audited(moved, UPDATE)
    assert {(each["path"], each.get("reason")) for each in entries()} == {("pkg/c.py", None), ("pkg/c.py", "soon")}


def test_renamed_function(audited):
    """A function is renamed whose name is the key of what it swallows."""
    write(a=SWALLOWS)
    audited("from pkg import a\ndef test_it(): a.swallow()", UPDATE)
    write(a=SWALLOWS.replace("swallow", "drop"))
    result = audited("from pkg import a\ndef test_it(): a.drop()")
    result.stdout.fnmatch_lines(["baseline: 1 known, 0 new, 0 gone, 0 not met (*)"])


def test_moved_function(audited):
    """A function moves to another module, with or without the lock."""
    write(a=LOCKS + WORK)
    audited("from pkg import a\ndef test_it(): a.work()", UPDATE)
    write(a=LOCKS, b="from pkg.a import LOCK\n" + WORK)
    moved = "from pkg import b\ndef test_it(): b.work()"
    audited(moved).stdout.fnmatch_lines(["baseline: 1 known, 0 new, 0 gone, 0 not met (*)"])
    write(a="", b=LOCKS + WORK)
    audited(moved).stdout.fnmatch_lines(["baseline: 1 known, 0 new, 0 gone, 0 not met (*)"])


def test_renamed_module_of_the_lock(audited):
    """Only the module of the lock is renamed: the function is where it was, and the key has changed."""
    write(a=LOCKS, b="from pkg.a import LOCK\n" + WORK)
    source = "from pkg import b\ndef test_it(): b.work()"
    audited(source, UPDATE)
    Path("pkg/a.py").rename("pkg/c.py")
    write(b="from pkg.c import LOCK\n" + WORK)
    audited(source).stdout.fnmatch_lines(["baseline: 1 known, 0 new, 0 gone, 0 not met (*)"])


def test_another_lock(audited):
    """A lock of another module, lost on the same line, is another defect as long as the module of the known one is there."""
    write(a=LOCKS, c=LOCKS, b="from pkg.a import LOCK\n" + WORK)
    source = "from pkg import b\ndef test_it(): b.work()"
    audited(source, UPDATE)
    write(b="from pkg.c import LOCK\n" + WORK)
    audited(source).stdout.fnmatch_lines(["baseline: 0 known, 1 new, *"])


def test_two_modules(audited):
    """Two modules that are alike are renamed: none of their entries is taken for both."""
    write(a=LOCKS + WORK, b=LOCKS + WORK)
    audited("from pkg import a, b\ndef test_a(): a.work()\ndef test_b(): b.work()", UPDATE)
    Path("pkg/a.py").rename("pkg/c.py")
    Path("pkg/b.py").rename("pkg/d.py")
    result = audited("from pkg import c, d\ndef test_a(): c.work()\ndef test_b(): d.work()")
    result.stdout.fnmatch_lines(["baseline: 2 known, 0 new, 0 gone, 0 not met (*)"])


def test_where_it_hangs(audited):
    """The entry of a hang names the file and no line, so that it survives edits elsewhere."""
    hangs = """\
import time

def work():
    try:
        abs(1)
    except KeyboardInterrupt:
        time.sleep(60)
"""
    write(a=hangs)
    source = "from pkg import a\ndef test_it(): a.work()"
    audited(source, UPDATE, "--maskcheck-timeout=0.5")
    assert [(each["verdict"], each["key"]) for each in entries()] == [("hang", "pkg/a.py")]
    write(a="# A comment.\n" + hangs)
    result = audited(source, "--maskcheck-timeout=0.5")
    result.stdout.fnmatch_lines(["baseline: 1 known, 0 new, 0 gone, 0 not met (*)"])


def test_an_unrelated_function(audited):
    """A new function of another module that swallows in the same way is not taken for one that was removed."""
    write(a=SWALLOWS)
    audited("from pkg import a\ndef test_it(): a.swallow()", UPDATE)
    write(a="", b=SWALLOWS.replace("swallow", "drop"))
    result = audited("from pkg import b\ndef test_it(): b.drop()")
    result.stdout.fnmatch_lines(["baseline: 0 known, 1 new, 1 gone, 0 not met (*)*"])


def test_renamed_test(audited):
    """A test with a defect of its own is renamed, and its file, too: one after the other, with an update between."""
    source = LOCKS + "\ndef test_it():\n    LOCK.acquire()\n    LOCK.release()\n"
    audited(source, UPDATE)
    assert [each["key"] for each in entries()] == ["test_it.LOCK"]
    renamed = source.replace("def test_it", "def test_that")
    audited(renamed, UPDATE).stdout.fnmatch_lines(["baseline: 1 known, 0 new, 0 gone, 0 not met (*)"])
    Path("test_other.py").write_text(renamed, encoding="utf-8")
    audited("").stdout.fnmatch_lines(["baseline: 1 known, 0 new, 0 gone, 0 not met (*)"])
