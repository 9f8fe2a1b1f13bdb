"""Without ``--maskcheck`` the plugin costs nothing and changes nothing."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from importlib.metadata import entry_points

import pytest

TEST = """
import pytest

RUNS = []

@pytest.mark.interrupt_safe(hits=1)
def test_it():
    RUNS.append(1)
    assert len(RUNS) == 1
"""

LOOK = """
import sys

def pytest_sessionfinish(session):
    plugins = session.config.pluginmanager
    names = {name for name in sys.modules if name.partition(".")[0] in {"coverage", "pytest_maskcheck"}}
    print("imported:", *sorted(names), "end")
    print("registered:", plugins.has_plugin("maskcheck-session"))
    callers = plugins.get_hookcallers(plugins.get_plugin("pytest_maskcheck.plugin"))
    print("called by:", *sorted(caller.name for caller in callers), "end")
"""

ALWAYS = "pytest_maskcheck pytest_maskcheck.plugin"
"""The only modules of the package that may be imported if nothing is audited; each further module costs half a millisecond."""

ON_DEMAND = (
    "pytest_maskcheck pytest_maskcheck.plugin pytest_maskcheck.reasons "
    "pytest_maskcheck.results pytest_maskcheck.results.audit pytest_maskcheck.results.defects pytest_maskcheck.results.encoding "
    "pytest_maskcheck.results.lines pytest_maskcheck.results.over_tests pytest_maskcheck.results.values pytest_maskcheck.session pytest_maskcheck.session.comparison "
    "pytest_maskcheck.session.fixture pytest_maskcheck.session.guarantee pytest_maskcheck.session.ledger pytest_maskcheck.settings "
    "pytest_maskcheck.system pytest_maskcheck.system.bytecode pytest_maskcheck.system.plain "
    "pytest_maskcheck.system.same_file pytest_maskcheck.system.signals pytest_maskcheck.system.unpatched "
    "pytest_maskcheck.system.untrusted"
)
"""The only modules of the package that may be imported if a test uses the fixture and nothing is audited."""


@pytest.fixture
def run(run):
    """The fixture ``run`` with new interpreters, as forked ones have modules imported already."""
    return partial(run, fresh=True)


def test_off_imports_and_registers_nothing(pytester, run):
    """Without ``--maskcheck`` only the plugin module is imported, coverage is not, and no session plugin is registered."""
    pytester.makepyfile(TEST)
    pytester.makeconftest(LOOK)
    result = run("-s", "--strict-markers", "--strict-config")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*imported: {ALWAYS} end", "registered: False"])
    result.stdout.no_fnmatch_line("*maskcheck:*")


def test_off_is_called_at_the_start_only(pytester, run):
    """The plugin implements no hook that is called for a test, a file or a report."""
    pytester.makepyfile(TEST)
    pytester.makeconftest(LOOK)
    run("-s").stdout.fnmatch_lines(
        ["called by: pytest_addhooks pytest_addoption pytest_configure pytest_load_initial_conftests end"]
    )


def test_the_fixture_imports_no_engine(pytester, run):
    """If a test uses the fixture without ``--maskcheck``, only the modules that the fixture needs are imported, and no engine."""
    pytester.makepyfile("def test_it(maskcheck): maskcheck.unchanged([])")
    pytester.makeconftest(LOOK)
    result = run("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*imported: {ON_DEMAND} end", "registered: False"])


def test_the_plugin_brings_in_no_other_module():
    """Once pytest is imported, the plugin imports no other module, not even of the standard library."""
    look = "import sys, pytest; before = {*sys.modules}; import pytest_maskcheck.plugin; print(*sorted({*sys.modules} - before))"
    result = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert result.stdout == f"{ALWAYS}\n"


@pytest.mark.parametrize("option", ["--maskcheck-all", "--maskcheck-point=test_x.py:1:call#1"])
def test_on_imports_and_registers_the_session(pytester, run, option):
    """With any option that audits, coverage and the session are imported, so the tests above are able to fail."""
    pytester.makepyfile("")
    pytester.makeconftest(LOOK)
    run("-s", option).stdout.fnmatch_lines(
        ["*imported: coverage *pytest_maskcheck.session.hooks *", "registered: True"]
    )


def test_the_marker_is_described(run):
    """``pytest --markers`` names the marker with its arguments."""
    run("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.interrupt_safe(points, interrupts, signals, hits, max_points, *): with --maskcheck, *"]
    )


def test_ini_keys_are_known(pytester, run):
    """``--strict-config`` accepts the ini keys of the plugin and no others."""
    pytester.makepyfile(TEST)
    pytester.makeini("[pytest]\nmaskcheck_hits = 2\nmaskcheck_strict = true\n")
    run("--strict-config").assert_outcomes(passed=1)
    pytester.makeini("[pytest]\nmaskcheck_hit = 2\n")
    assert run("--strict-config").ret == pytest.ExitCode.USAGE_ERROR


def test_unmarked_tests_are_not_audited(audit):
    """With ``--maskcheck`` only marked tests run more than once."""
    audited = audit("""
        RUNS = []

        def test_it():
            RUNS.append(1)
            assert len(RUNS) == 1
        """)
    audited.result.assert_outcomes(passed=1)
    assert not audited.audits


def test_the_package_itself_imports_the_standard_library_only():
    """``import pytest_maskcheck`` imports neither pytest nor coverage."""
    look = "import sys, pytest_maskcheck; print({'pytest', '_pytest', 'coverage', 'pluggy'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_the_plugin_is_found_by_its_entry_point():
    """An installed copy has the entry point by which pytest finds the plugin."""
    found = entry_points(group="pytest11", name="maskcheck")
    if not found:
        pytest.skip("runs from the source tree, not installed")
    assert {entry.value for entry in found} == {"pytest_maskcheck.plugin"}


def test_a_report_without_an_audit_is_refused(run, pytester):
    """``--maskcheck-report`` without an audit is a usage error, as the report would be empty."""
    pytester.makepyfile("def test_it(): pass")
    result = run("--maskcheck-report=json:report.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --maskcheck-report reports an audit: add --maskcheck"])
