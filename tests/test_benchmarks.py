"""The benchmark command works; the speeds that it measures are not tested."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.newest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark command quickly, in this environment."""
    command = [sys.executable, BENCHMARKS / "run.py", "--here", "--quick", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)


def test_a_figure_is_a_row_with_its_baseline_and_goal():
    """A measure is taken for both sides of its comparison, and printed as a row with its goal, verdict and sizes."""
    result = run("--only=doubled")
    assert not result.returncode, result.stderr
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("| doubled")]
    assert re.search(
        r"\| audit of the points +\| [\d.]+ x +\| [\d.]+ to [\d.]+ +\| at most 2.1 x +\| (met|missed) +\|", row
    )
    assert re.search(r"\| \d+ points against \d+, ", row)


def test_what_cannot_be_measured_says_so():
    """A measure that needs an environment without the package is reported as not available if there is none."""
    result = run("--only=installed")
    assert not result.returncode, result.stderr
    assert re.search(r"\| not available +\| +\| there is no environment without the package", result.stdout)


def test_the_harness_raises_at_each_line(tmp_path):
    """The harness for comparison reaches each line of the file that the function runs, and makes one run for each."""
    program = tmp_path / "program.py"
    program.write_text("RAN = []\ndef f():\n    RAN.append(1)\n    if not RAN:\n        return\n    RAN.append(2)\n")
    command = [sys.executable, BENCHMARKS / "harness.py", program, "f"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    reached, runs, seconds = result.stdout.split()
    assert (reached, runs) == ("3", "3")
    assert float(seconds) > 0


@pytest.mark.parametrize("arguments", [("--only=speed",), ("--rounds=0",), ("--write",)])
def test_wrong_arguments_are_refused(arguments):
    """An unknown measure, zero rounds, and writing results that mean nothing are usage errors."""
    result = run(*arguments)
    assert result.returncode == 2
    assert "error: " in result.stderr
