"""Without ``--maskcheck`` the plugin costs nothing and changes nothing."""

from __future__ import annotations

import subprocess
import sys
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
    engine = {"session", "auditing", "extensions", "fingerprint", "rerun", "isolation", "audit", "run", "reach", "points", "interrupts", "resources"}
    names = {"coverage", *(f"pytest_maskcheck.{name}" for name in engine)}
    print("imported:", sorted(names & sys.modules.keys()))
    print("registered:", session.config.pluginmanager.has_plugin("maskcheck-session"))
"""


def test_off_imports_and_registers_nothing(pytester, run):
    """Neither coverage nor any part of the engine is imported, and no session plugin is registered."""
    pytester.makepyfile(TEST)
    pytester.makeconftest(LOOK)
    result = run("-s", "--strict-markers", "--strict-config")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*imported: []", "registered: False"])
    result.stdout.no_fnmatch_line("*maskcheck:*")


@pytest.mark.parametrize("option", ["--maskcheck-all", "--maskcheck-point=test_x.py:1:call#1"])
def test_on_imports_and_registers_the_session(pytester, run, option):
    """The look at ``sys.modules`` is no dummy: with any option that audits, all of it is there."""
    pytester.makepyfile("")
    pytester.makeconftest(LOOK)
    run("-s", option).stdout.fnmatch_lines(["*imported: *'coverage'*'pytest_maskcheck.session'*", "registered: True"])


def test_the_marker_is_described(run):
    """``pytest --markers`` names the marker with its arguments."""
    run("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.interrupt_safe(points, interrupts, signals, hits, max_points, *): with --maskcheck, *"]
    )


def test_ini_keys_are_known(pytester, run):
    """With ``--strict-config`` the keys of the plugin are accepted, and no other."""
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
    """``import pytest_maskcheck`` brings in neither pytest nor coverage."""
    look = "import sys, pytest_maskcheck; print({'pytest', '_pytest', 'coverage', 'pluggy'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_the_plugin_is_found_by_its_entry_point():
    """An installed copy announces itself to pytest."""
    found = entry_points(group="pytest11", name="maskcheck")
    if not found:
        pytest.skip("runs from the source tree, not installed")
    assert {entry.value for entry in found} == {"pytest_maskcheck.plugin"}


def test_a_report_without_an_audit_is_refused(run, pytester):
    """It would be empty."""
    pytester.makepyfile("def test_it(): pass")
    result = run("--maskcheck-report=json:report.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --maskcheck-report reports an audit: add --maskcheck"])
