"""Properties in JUnit XML: what an audit came to, within the schema of each family."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

TEST = """
    import threading
    import pytest

    LOCK = threading.Lock()

    @pytest.mark.interrupt_safe
    def test_defect(record_property):
        record_property("own", 1)
        LOCK.acquire()
        LOCK.release()

    @pytest.mark.interrupt_safe
    def test_clean():
        len("a")

    def test_other():
        pass
"""

ALLOWED = {"skipped", "errors", "failure", "system-out", "system-err"}
"""What Jenkins' schema allows in a test case, of what pytest writes."""


@pytest.fixture
def junit(pytester, run):
    """Return a function that audits with JUnit XML, and returns the properties of the session and those of each test, and all elements in tests."""
    pytester.makepyfile(test_it=TEST)

    def junit(family, *args):
        run("--maskcheck", "--junitxml=out.xml", "-o", f"junit_family={family}", *args)
        (suite,) = ET.parse("out.xml").getroot()
        session = [(each.get("name"), each.get("value")) for each in suite.findall("properties/property")]
        tests = {
            case.get("name"): [(each.get("name"), each.get("value")) for each in case.iter("property")]
            for case in suite.iter("testcase")
        }
        return session, tests, {each.tag for case in suite.iter("testcase") for each in case}

    return junit


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n1"]])
@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_properties(junit, family, workers):
    """The session has totals and defects in both families; a test has its own only where the schema allows properties."""
    session, tests, _ = junit(family, *workers)
    assert [name for name, _ in session] == [
        *("maskcheck_tests", "maskcheck_points", "maskcheck_undecided"),
        *("maskcheck_defects", "maskcheck_known", "maskcheck_defect"),
    ]
    assert session[0][1] == "2"
    assert session[-1][1].startswith("test_it.py:9: leak: lock test_it.LOCK (")
    assert tests["test_other"] == []
    if family == "xunit1":
        assert tests["test_defect"][0] == ("own", "1")
        names = ["maskcheck_points", "maskcheck_undecided", "maskcheck_defects"]
        assert [name for name, _ in tests["test_defect"][1:]] == [*names, "maskcheck_defect"]
        assert [name for name, _ in tests["test_clean"]] == names
        assert tests["test_clean"][2] == ("maskcheck_defects", "0")
    else:
        assert tests["test_clean"] == []
        assert tests["test_defect"] == [("own", "1")]  # the user's own decision


def test_no_element_beyond_the_schema(junit, pytester):
    """In the family ``xunit2``, a test case has only what Jenkins' schema allows."""
    pytester.makepyfile(test_it=TEST.replace('record_property("own", 1)', "pass"))
    _, _, elements = junit("xunit2")
    assert elements <= ALLOWED


def test_a_test_that_was_not_audited(junit, pytester):
    """The reason is a property of the test and of the session."""
    source = "import pytest\n\nruns = []\n\n@pytest.mark.interrupt_safe\ndef test_it():\n    runs.append(1)\n    assert len(runs) == 1\n"
    pytester.makepyfile(test_it=source)
    session, tests, _ = junit("xunit1", "--maskcheck-isolation=none")
    ((name, reason),) = tests["test_it"]
    assert name == "maskcheck_not_audited"
    assert session[-1] == ("maskcheck_not_audited", f"1 test: {reason}")
