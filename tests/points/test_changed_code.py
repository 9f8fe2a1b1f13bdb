"""Which lines of a file a change touches: what a test must reach so that it is audited again."""

from __future__ import annotations

import difflib
from textwrap import dedent

import pytest

from pytest_maskcheck.points.changed_code import Changed, ChangedFile, Hunk, changed_file
from pytest_maskcheck.reasons import NotAudited, Reason

pytestmark = pytest.mark.newest

SOURCE = dedent("""\
    import os

    LIMIT = 3


    def first(x):
        if x:
            return len("a")
        lock.acquire()
        lock.release()


    # between
    @decorated
    def second(
        x,
    ):
        text = '''
        a

        b
        '''
        return text


    class Store:
        size = 1

        def third(self):
            return len("c")

        def fourth(self):
            return len("d")
    """)

ALL = {"first", "second", "third", "fourth"}

CASES = {
    "a statement": ({'return len("a")': 'return len("b")'}, {"first"}),
    "a statement moves into a branch": ({"    lock.release()": "    if x:\n        lock.release()"}, {"first"}),
    "the last statement of a function goes": ({"    lock.release()\n": ""}, {"first"}),
    "a statement after a branch goes": ({"    lock.acquire()\n": ""}, {"first"}),
    "the last statement of a method goes": ({'        return len("c")\n': "        pass\n"}, {"third"}),
    "a header": ({"def first(x)": "def first(x, y=1)"}, {"first"}),
    "a parameter on a line of its own": ({"    x,\n": "    x, y=1,\n"}, {"second"}),
    "a decorator": ({"@decorated": "@other"}, ALL),
    "a decorator goes": ({"@decorated\n": ""}, ALL),
    "an import": ({"import os": "import sys"}, ALL),
    "a constant goes": ({"LIMIT = 3\n": ""}, ALL),
    "an attribute of a class": ({"size = 1": "size = 2"}, ALL),
    "an attribute of a class goes": ({"    size = 1\n\n": ""}, ALL),
    "a method goes": ({'    def third(self):\n        return len("c")\n\n': ""}, ALL - {"third"}),
    "a function goes": ({SOURCE[SOURCE.index("def first"):SOURCE.index("# between")]: ""}, ALL - {"first"}),
    "a line within a text": ({"    a\n": "    aa\n"}, {"second"}),
    "a blank line within a text": ({"a\n\n": "a\n"}, {"second"}),
    "a comment": ({"# between": "# further"}, set()),
    "a comment goes": ({"# between\n": ""}, set()),
    "a blank line": ({"import os\n": "import os\n\n"}, set()),
    "a new function": ({"# between\n": "def new():\n    pass\n\n\n"}, set()),
    "a new method": ({"    def fourth": "    def new(self):\n        pass\n\n    def fourth"}, set()),
    "a new function takes the end of another": ({"    lock.acquire()": "    pass\n\ndef new():\n    lock.acquire()"}, {"first"}),
    "a new header takes the end of another": ({"    lock.release()": "\ndef new():\n    lock.release()"}, {"first"}),
    "a function moves": ({'        return len("d")\n': '        return len("d")\n\n    def third(self):\n        return len("c")\n',
                          '    def third(self):\n        return len("c")\n\n    def fourth': "    def fourth"}, {"fourth"}),
    "a text that cannot be parsed": ({"import os": "import ("}, ALL),
    "another end of lines": ({"import os": "import os # \r LIMIT = 4"}, ALL),
}  # fmt: skip
"""What is replaced, and the functions whose tests are touched."""


def hunks(old: str, new: str) -> list[Hunk]:
    """Return the differences of two texts as git would describe them."""
    before, after = old.split("\n"), new.split("\n")
    codes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [Hunk(j + 1, k - j, tuple(before[i:h])) for kind, i, h, j, k in codes if kind != "equal"]


def touched(new: str, changed: ChangedFile, *, own: bool = False) -> set[str]:
    """Return the functions of which all lines but the first of the body are reached, and that are touched."""
    found, name = {}, ""
    for number, line in enumerate(new.split("\n"), 1):
        if line.lstrip().startswith("def "):
            name = line.split("def ")[1].partition("(")[0]
        if line.startswith((" ", "\t")) and name:
            found.setdefault(name, set()).add(number)
    return {name for name, lines in found.items() if changed.is_reached_by(lines, own=own)} & ALL


@pytest.mark.parametrize("case", CASES)
def test_a_change_touches_the_functions_around_it(case):
    """A change touches the functions that contain it, or all of the file if it runs at import, or none if it is no code."""
    replaced, expected = CASES[case]
    new = SOURCE
    for old, text in replaced.items():
        assert old in new
        new = new.replace(old, text, 1)
    changed = changed_file(new.encode(), hunks(SOURCE, new))
    assert touched(new, changed) == expected


def test_an_added_statement_touches_who_reaches_the_function():
    """A function counts as a whole: an interrupted run may reach a statement that the uninterrupted one passes by."""
    new = SOURCE.replace("    if x:\n", "    if x:\n        lock.acquire()\n")
    changed = changed_file(new.encode(), hunks(SOURCE, new))
    assert changed.is_reached_by({6}, own=False)
    assert not changed.is_reached_by({1, 30}, own=False)
    assert not changed.headers


def test_an_added_else_touches_the_function():
    """What is no statement of its own, such as ``else``, counts for the whole function."""
    new = SOURCE.replace("    lock.acquire()\n", "    else:\n        pass\n    lock.acquire()\n")
    assert "else" in new
    assert changed_file(new.encode(), hunks(SOURCE, new)).is_reached_by({6}, own=False)


def test_a_decorator_in_the_file_of_the_test_concerns_its_function():
    """In the test's own file a decorator makes a fixture or parameters: other tests do not depend on it."""
    new = SOURCE.replace("@decorated", "@other")
    changed = changed_file(new.encode(), hunks(SOURCE, new))
    assert touched(new, changed, own=True) == {"second"}


def test_a_file_without_functions_is_bare():
    """No test can reach a line of a file of constants, so it is marked."""
    assert changed_file(b"A = 2\n", hunks("A = 1\n", "A = 2\n")) == ChangedFile(at_import=True, is_bare=True)
    assert not changed_file(SOURCE.encode(), []).is_bare


def test_a_test_is_touched_by_the_files_that_it_reaches(tmp_path):
    """A test is touched by a changed file, a folder that changed as a whole, and a copy; not by other files."""
    changed, other, copy = (str(tmp_path / name) for name in ("a.py", "b.py", "copy.py"))
    folder = str(tmp_path / "sub") + "/"
    reason = Reason(NotAudited.UNTOUCHED, commit="main")
    changes = Changed(reason, {changed: ChangedFile(functions=((3, 5),))}, (folder,), is_copy=lambda path: path == copy)
    assert changes.touches({changed: {4}, other: {4}})
    assert changes.touches({folder + "c.py": {1}})
    assert changes.touches({copy: {1}})
    assert not changes.touches({changed: {2, 6}, other: {4}, folder[:-1] + "way/c.py": {1}})
    assert not changes.is_nothing
    assert Changed(reason).is_nothing
