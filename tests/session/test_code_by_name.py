"""``--maskcheck-changed`` where nothing could watch which code runs entered: what an interrupt may lead to is found by its name."""

from __future__ import annotations

import pytest

from tests.session.conftest import ALL, STORE, STORES

HIDDEN = [
    ("branch on one line", "pkg/hidden.py", "in_branch", {"test_hidden"}),
    ("while on one line", "pkg/hidden.py", "in_while", {"test_hidden"}),
    ("for on one line", "pkg/hidden.py", "in_for", {"test_hidden"}),
    ("with on one line", "pkg/hidden.py", "in_with", {"test_hidden"}),
    ("try on one line", "pkg/hidden.py", "in_try", {"test_hidden"}),
    ("except on one line", "pkg/hidden.py", "in_except", {"test_hidden"}),
    ("message of an assert", "pkg/hidden.py", "in_assert", {"test_hidden"}),
    ("chained comparison", "pkg/hidden.py", "in_comparison", {"test_hidden"}),
    ("default value", "pkg/hidden.py", "by_default", {"test_hidden"}),
    ("default value of a keyword", "pkg/hidden.py", "by_keyword", {"test_hidden"}),
    ("list", "pkg/hidden.py", "in_list", {"test_hidden"}),
    ("dictionary", "pkg/hidden.py", "in_table", {"test_hidden"}),
    ("item assigned", "pkg/hidden.py", "as_item", {"test_hidden"}),
    ("variable", "pkg/hidden.py", "as_name", {"test_hidden"}),
    ("class attribute with a function", "pkg/hidden.py", "as_attribute", {"test_hidden"}),
    ("other name of a list", "pkg/hidden.py", "in_same", {"test_hidden"}),
    ("special method assigned", "pkg/hidden.py", "as_exit", {"test_hidden"}),
    ("decorator that stores", "pkg/hidden.py", "stored", ALL),
    ("method as decorator that stores", "pkg/hidden.py", "put", ALL),
    ("added to a list elsewhere", "pkg/hidden.py", "put_elsewhere", {"test_hidden"}),
    ("appended at import", "pkg/hidden.py", "appended", ALL),
    ("alias", "pkg/hidden_parts.py", "by_alias", {"test_hidden"}),
    ("alias of a module", "pkg/hidden_parts.py", "by_module", {"test_hidden"}),
    ("list in another file", "pkg/hidden_parts.py", "in_remote", {"test_hidden"}),
    ("nothing", "pkg/hidden.py", "of_nobody", set()),
]
"""What only an interrupt comes to, and no handler mentions by its own name; the last row is mentioned nowhere."""


@pytest.mark.parametrize(("file", "name", "audited"), [row[1:] for row in HIDDEN], ids=[row[0] for row in HIDDEN])
def test_hidden_clean_up_is_noticed(unseen_project, file, name, audited):
    """A change of a clean-up function makes the test be audited again that may come to it, by whatever name it is called."""
    unseen_project.edit(file, f"return abs(0)  # {name}\n", f"return abs(1)  # {name}\n")
    assert unseen_project.audited("--collect-only") == audited


UNMENTIONED = [
    ("a special method of a class in use", STORE, "self.close()", "self.close()  # again", STORES),
    ("what special methods call", STORE, "return abs(-2)", "return abs(-3)", STORES),
    ("a callback", STORE, "return abs(5)", "return abs(6)", {"test_registered"}),
    ("only an interrupt comes there", STORE, "return abs(-1)", "return abs(-7)", {"test_run"}),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "audited"), [row[1:] for row in UNMENTIONED], ids=[row[0] for row in UNMENTIONED]
)
def test_what_may_be_called_is_noticed(unseen_project, file, old, new, audited):
    """Special methods of classes in use, and functions that are passed on, count although nothing calls them by name."""
    unseen_project.edit(file, old, new)
    assert unseen_project.audited("--collect-only") == audited
