"""``--maskcheck-changed``: whatever decides a result makes the test be audited again, and nothing else does."""

from __future__ import annotations

import sys

import pytest

from pytest_maskcheck.reports.reading import read
from tests.session.conftest import ALL, STORE, STORES, TESTS, TOOLS, VALUES

SEES = sys.version_info >= (3, 12)
"""Whether it is known which code runs enter; without that, what an interrupt may lead to counts, too."""


def test_nothing_changed(project):
    """Without a change no test is audited, one line says so, and the session is a success."""
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["unchanged: 9 tests audited in an earlier session at * points, not audited again"])
    assert not [line for line in result.outlines if line.startswith("AUDITED")]


LEANING = {"test_replaced"}
"""Leaves out points that test_total audits, so it is audited if that was not audited yet since a change."""

DECIDES = [
    ("reached function", STORE, "return number + 1", "return 1 + number", {"test_unrelated", *VALUES}),
    ("helper in another file", TOOLS, "return abs(number)", "return +abs(number)", {"test_total", "test_replaced"}),
    ("only an interrupt comes there", STORE, "return abs(-1)", "return abs(-7)", {"test_run"}),
    ("what that calls", STORE, "return abs(-1)", "return later()", {"test_run"}),
    ("a special method of a class in use", STORE, "self.close()", "self.close()  # again", set() if SEES else STORES),
    ("what special methods call", STORE, "return abs(-2)", "return abs(-3)", set() if SEES else STORES),
    ("a callback", STORE, "return abs(5)", "return abs(6)", set() if SEES else {"test_registered"}),
    ("method of a base class", TOOLS, 'len("ab")', 'len("abc")', {"test_run"}),
    (
        "decorated function",
        STORE,
        "def shown(number):\n    return number",
        "def shown(number):\n    return +number",
        {"test_shown"},
    ),
    ("class attribute", STORE, "factor = 2", "factor = 4", ALL),
    ("constant", STORE, "LIMIT = 3", "LIMIT = 4", ALL),
    ("decorator", TOOLS, "return wrapper", "return (wrapper)", ALL),
    (
        "new special method",
        STORE,
        "def close(self)",
        "def __getattr__(self, _): raise AttributeError\n\n    def close(self)",
        STORES,
    ),
    (
        "new special method of a base",
        TOOLS,
        "def step(self)",
        "def __len__(self):\n        return 1\n\n    def step(self)",
        STORES,
    ),
    (
        "new function of a name in use",
        STORE,
        "class Store",
        "def abs(x):\n    return x\n\n\nclass Store",
        {"test_total", "test_run", "test_registered", "test_hidden", "test_replaced"} if SEES else ALL,
    ),
    ("arguments of a function that is passed on", STORE, "def later()", "def later(*_)", {"test_registered"}),
    (
        "documentation of a function that is passed on",
        STORE,
        "return abs(5)",
        '"""It is late."""\n    return abs(5)',
        {"test_registered"},
    ),
    ("override", STORE, "def close(self)", "def step(self):\n        return 9\n\n    def close(self)", STORES),
    ("ignore comment", STORE, "return self.step()", "return self.step()  # maskcheck: ignore", {"test_run"}),
    ("ignored class", STORE, "class Store(Base):", "class Store(Base):  # maskcheck: ignore", ALL),
    ("body of the test", TESTS, "assert Store().run()", "assert Store().run() == 2", {"test_run"}),
    ("parameters", TESTS, "[1, 2]", "[2, 1]", VALUES),
    ("other parameters", TESTS, "[1, 2]", "[1, 3]", {"test_value[1]", "test_value[3]"}),
    ("parameters with an id", TESTS, "[1, 2]", "[pytest.param(7, id='1'), 2]", VALUES),
    ("mark", TESTS, "def test_run", "@pytest.mark.interrupt_safe(hits=2)\ndef test_run", {"test_run"}),
    ("mark without effect", TESTS, "def test_run", "@pytest.mark.anything\ndef test_run", {"test_run"}),
    ("fixture", "conftest.py", "return make_number()", "return make_number() + 1", {"test_total", *LEANING}),
    ("what a fixture calls", "support.py", "return 2", "return 3", {"test_total", *LEANING}),
    ("fixture in use everywhere", "conftest.py", "@pytest.fixture\n", "@pytest.fixture(autouse=True)\n", ALL),
    ("hook", "conftest.py", "import pytest\n", "import pytest\n\ndef pytest_runtest_setup(item): pass\n", ALL),
    ("new import", TESTS, "import pytest\n", "import pytest\nimport decimal\n", ALL),
    ("replacement", TESTS, "    return abs(number)", "    return +abs(number)", {"test_replaced"}),
    ("scope", "pytest.ini", "", "[pytest]\nmaskcheck_exclude = support.py\n", ALL),
    ("setting", "pytest.ini", "", "[pytest]\nmaskcheck_timeout = 4\n", ALL),
    ("setting of pytest", "pytest.ini", "", "[pytest]\nconsole_output_style = classic\n", ALL),
    ("coverage's configuration", ".coveragerc", "", "[run]\nomit = support.py\n", ALL),
    ("coverage's exclusions", ".coveragerc", "", "[report]\nexclude_also = abs\n", ALL),
    ("conftest.py in a subfolder", "tests/conftest.py", "", "import pytest\n", ALL),
    ("package", "tests/__init__.py", "", "X = 1\n", ALL),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "audited"), [row[1:] for row in DECIDES], ids=[row[0] for row in DECIDES]
)
def test_what_decides_is_noticed(project, file, old, new, audited):
    """A change of what decides a result makes the test be audited again, and no other test."""
    if old:
        project.edit(file, old, new)
    else:
        (project.path / file).write_text(new)
    assert project.audited("--collect-only") == audited


ENTERED = {
    *("in_branch", "in_while", "by_default", "by_keyword", "in_list", "as_item", "as_name", "as_attribute", "in_same"),
    *("as_exit", "stored", "put_elsewhere", "appended", "by_alias", "by_module", "in_remote"),
}
OTHERS = {"in_for", "in_with", "in_try", "in_except", "in_assert", "in_comparison", "in_table", "put", "of_nobody"}


@pytest.mark.skipif(not SEES, reason="nothing can watch which code is entered")
@pytest.mark.parametrize("name", sorted(ENTERED | OTHERS))
def test_clean_up_counts_if_an_interrupt_led_there(project, name):
    """A change of a clean-up function makes those tests be audited again that entered it when interrupted, and no others."""
    file = "pkg/hidden_parts.py" if name in {"by_alias", "by_module", "in_remote"} else "pkg/hidden.py"
    project.edit(file, f"return abs(0)  # {name}\n", f"return abs(1)  # {name}\n")
    assert project.audited("--collect-only") == ({"test_hidden"} if name in ENTERED else set())


ELSEWHERE = [
    ("comment between functions", STORE, "LIMIT = 3", "# three\n\nLIMIT = 3"),
    ("documentation", STORE, "from pkg.tools", '"""A store."""\nfrom pkg.tools'),
    ("new function", STORE, "class Store", "def added():\n    return 1\n\n\nclass Store"),
    ("new test", TESTS, "def test_run", "def helper_of_nobody():\n    pass\n\n\ndef test_run"),
    ("reordered", STORE, "factor = 2\n", "\n\n\n    factor = 2\n"),
    ("unused file", "pkg/unused.py", "", "X = 1\n"),
    ("data", "data.txt", "", "data"),
]


@pytest.mark.parametrize(("file", "old", "new"), [row[1:] for row in ELSEWHERE], ids=[row[0] for row in ELSEWHERE])
def test_what_does_not_decide_is_no_matter(project, file, old, new):
    """A change of something else makes no test be audited again."""
    if old:
        project.edit(file, old, new)
    else:
        (project.path / file).write_text(new)
    assert project.audited("--collect-only") == set()


@pytest.mark.parametrize(
    "option",
    [
        "--maskcheck-interrupts=2",
        "--maskcheck-signals=SIGTERM",
        "--maskcheck-isolation=none",
        "--import-mode=importlib",
        "--assert=plain",
    ],
)
def test_options_decide(project, option):
    """A result counts only under the settings that it was found with."""
    assert project.audited("--collect-only", option) == ALL


@pytest.mark.parametrize(
    "option", ["-v", "-x", "--tb=short", "--durations=3", "--maskcheck-budget=100", "--maskcheck-allow-none"]
)
def test_options_that_do_not_decide(project, option):
    """A result counts whatever is shown of it, and however long a session may take."""
    assert project.audited("--collect-only", option) == set()


def test_selection_does_not_decide(project):
    """A result counts if its test is selected alone."""
    assert project.audited("tests/test_store.py::test_run") == set()


def test_distribution_decides(project, monkeypatch, tmp_path):
    """A result counts only with the distributions that it was found with, and with their content."""
    folder = tmp_path / "dependency-1.0.dist-info"
    folder.mkdir()
    (folder / "RECORD").write_text("dependency.py,sha256=abc,12\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert project.audited() == ALL
    assert project.audited("--collect-only") == set()
    (folder / "RECORD").write_text("dependency.py,sha256=def,12\n")
    assert project.audited("--collect-only") == ALL
    folder.rename(tmp_path / "dependency-1.1.dist-info")
    assert project.audited("--collect-only") == ALL


def test_interpreter_decides(project, monkeypatch):
    """A result counts only with the same flags of the interpreter."""
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    assert project.audited("--collect-only") == ALL


def test_renamed_and_deleted(project):
    """A renamed test has no result; a deleted one is in the way of nothing."""
    project.edit(TESTS, "def test_run", "def test_goes")
    project.edit(TESTS, "def test_shown():\n    assert shown(1)\n", "")
    assert project.audited() == {"test_goes"}


def test_two_sessions_with_xdist(project):
    """Workers of xdist share the file: they find what is there, and keep what they find."""
    pytest.importorskip("xdist")
    assert "unchanged: 9 tests" in project.run("-p", "xdist", "-n2").stdout.str()
    project.edit(STORE, "return number + 1", "return 1 + number")
    assert "unchanged: 6 tests" in project.run("-p", "xdist", "-n2").stdout.str()
    assert project.audited() == set()


def test_edited_while_audited(project):
    """A result is not kept if the code was edited while the session ran: it was found with the old code."""
    project.edit(
        "noting.py",
        'print("\\nAUDITED", item.name)',
        "import pathlib\n    path = pathlib.Path('pkg/tools.py')\n    path.write_text(path.read_text() + '\\n')\n"
        '    print("\\nAUDITED", item.name)',
    )
    assert project.audited() == ALL
    assert project.audited() == ALL


def test_reports(project, tmp_path):
    """A report has the audits of earlier sessions, too, marked; a test whose lines have moved is audited again for it."""
    report = tmp_path / "report.json"
    assert project.audited(f"--maskcheck-report=json:{report}") == set()
    audits = read(str(report)).audits
    assert len(audits) == 9
    assert all(audit.earlier and audit.points for audit in audits)
    project.edit(STORE, "def unrelated", "\n\ndef unrelated")
    assert project.audited(f"--maskcheck-report=json:{report}") == {"test_unrelated", *VALUES}


def test_results_without_reading(project):
    """Without --maskcheck-changed every test is audited, and the results are kept."""
    result = project.run("--maskcheck-changed")
    assert result.ret == 0
