"""``--maskcheck-changed`` and points that a test leaves out because another one audits them: both results hold, or neither does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

CODE = """
    import os


    def shared(number):
        return abs(number) + abs(number + 1)


    def first(number):
        try:
            return one(number)
        except BaseException:
            clean_up()
            raise


    def clean_up():
        return abs(1)


    def second(number):
        return one(number)


    # Points have the same key in both tests if their four innermost callers are the same.
    def one(number):
        return two(number)


    def two(number):
        return three(number)


    def three(number):
        return four(number)


    def four(number):
        return shared(number)
    """

TESTS = """
    from code_of_both import first, second


    def test_first():
        assert first(1)


    def test_second():
        assert second(1)
    """

NOTING = """
    def pytest_maskcheck_audited(item, audit):
        print("\\nAUDITED", item.name)
    """


@pytest.fixture
def audited(pytester, run):
    """Return a function that edits the code, audits what changed, and returns the names of the tests that were audited."""
    pytester.makepyfile(code_of_both=CODE, test_it=TESTS, noting=NOTING)

    def audited(old: str = "", new: str = "", *args: str) -> list[str]:
        path = Path("code_of_both.py")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        options = ("-q", "-s", "-p", "noting", "--maskcheck-all", "--maskcheck-cache=results", "--maskcheck-changed")
        result = run(*options, *args, fresh=True)
        assert result.ret in {0, 1}
        return [line.split()[1] for line in result.outlines if line.startswith("AUDITED")]

    assert audited() == ["test_first", "test_second"]
    assert audited() == []
    return audited


def test_the_other_test_is_audited_as_before(audited):
    """If the other test still audits the points without a finding after an edit, the result holds, wherever its lines are now."""
    assert audited("return abs(1)", "return abs(2)") == ["test_first"]
    assert audited("import os\n", "import os\n\n\n") == []
    assert audited() == []


def test_the_other_test_goes_elsewhere(audited):
    """If the other test no longer reaches the points, they are audited here."""
    assert audited("return one(number)\n    except", "return abs(number)\n    except") == ["test_first", "test_second"]
    assert audited() == []


def test_the_other_test_finds_something(audited):
    """If the other test finds something there, the points are audited here."""
    assert audited("return abs(1)", "os.environ['LEFT'] = '1'") == ["test_first", "test_second"]


def test_the_other_test_is_not_selected(audited):
    """A result holds without the other test in the session, if it is known what that one entered, and nothing of it was edited."""
    sees = sys.version_info >= (3, 12)  # else the test is audited alone, and leans on no other one from then on
    assert audited("", "", "test_it.py::test_second") == ([] if sees else ["test_second"])
    assert audited("return abs(1)", "return abs(2)", "test_it.py::test_second") == (["test_second"] if sees else [])
