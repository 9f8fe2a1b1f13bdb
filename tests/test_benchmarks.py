"""The benchmark command works; the speeds that it measures are not tested."""

from __future__ import annotations

import argparse
import importlib
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
        r"\| audit of the points +\| [\d.]+ x +\| [\d.]+ to [\d.]+ +\| at most 2.1 x +\| (met|missed) +\| .* \(processor\) \|",
        row,
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


@pytest.fixture
def module(monkeypatch):
    """Return a function that imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("machine", "place", "suites", "tree"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


@pytest.mark.parametrize(
    ("load", "arguments", "named"),
    [(0.9, [], ""), (1.1, [], "--loaded"), (1.1, ["--loaded"], ""), (0.9, ["--write", "--rounds=4"], "--rounds=5")],
)
def test_a_loaded_machine_and_few_rounds_are_refused(module, capsys, load, arguments, named):
    """A load above a half for each core is refused without ``--loaded``, and so are results of few rounds; the load is returned."""
    machine = module("machine")
    machine.load, machine.cores = lambda: load, lambda: 2
    parser = argparse.ArgumentParser()
    machine.add_options(parser, rounds=5)
    given = parser.parse_args(arguments)
    if not named:
        assert machine.check(parser, given) == load
        return
    with pytest.raises(SystemExit):
        machine.check(parser, given)
    assert named in capsys.readouterr().err


def measured(program: str, *, before: str = "", **limits: float) -> str:
    """Return the processor seconds of a program, its exit status and whether it ended, as ``tree.py`` measures it in a process that runs ``before`` first."""
    script = (
        f"{before}import os, sys; from pathlib import Path; from tree import run\n"
        f"ran = run([sys.executable, '-c', {program!r}], Path('.'), dict(os.environ), **{limits!r})\n"
        f"print(ran.processor, ran.status, ran.in_time, ran.output)"
    )
    return subprocess.run(
        [sys.executable, "-c", script], cwd=BENCHMARKS, env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout


BUSY = "import os, time\nwhile time.process_time() < 0.3: pass\n"


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux")
def test_the_time_of_orphans_counts():
    """The processor time of a process counts even if its parent did not wait for it."""
    orphan = f"import os\nif os.fork():\n    os._exit(3)\n{BUSY}"
    processor, status, *_ = measured(orphan).split()
    assert (float(processor) >= 0.3, status) == (True, "3")


def test_what_takes_too_long_is_interrupted():
    """A command that reaches its limit is interrupted as by Ctrl-C, and killed if it does not end then."""
    waiting = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    assert measured(waiting, limit=0.5).split()[1:] == ["0", "False", "interrupted"]
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # as in the background of a shell
    assert measured(waiting, before=ignoring, limit=0.5).split()[1:] == ["0", "False", "interrupted"]
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)\n"
    assert measured(deaf, limit=0.5, grace=0.1).split()[1:] == ["-9", "False"]


def test_an_edit_adds_a_statement_to_a_function(module, tmp_path):
    """The edit of a suite adds a statement to the function that it names, and a function that has changed is an error."""
    suites = module("suites")
    text = "def other():\n    return 1\n\ndef it(\n    x):\n    if x:\n        return 1\n"
    (tmp_path / "code.py").write_text(text)
    suites.Edit("code.py", "it", "return 1").make(tmp_path)
    assert (tmp_path / "code.py").read_text() == text.replace("        return 1", "        pass\n        return 1")
    with pytest.raises(ValueError, match="has no 'return 2' in it"):
        suites.Edit("code.py", "it", "return 2").make(tmp_path)


def test_a_phase_says_how_far_it_came(module):
    """The table has a row for each phase: times, ratios, what was audited, and what an option that is missing leaves out."""
    suites = module("suites")
    suite = suites.SUITES[0]
    plain = suites.Measured(suites.Ran(0, "", 2.0, 1.0), 7, -1, 0, 0)
    whole = suites.Measured(suites.Ran(2, "", 10.0, 8.0, in_time=False), 7, 3, 40, 0)
    lines = suites.rows(suite, [{"plain": plain, "whole": whole}], suites.PHASES[:4])
    assert [line[1:7] for line in lines] == [
        ("plain", "1 s", "1", "2 s", "1", "7 tests run"),
        ("lines", "", "", "", "", ""),
        ("whole", "over 8 s", "over 8", "over 10 s", "over 5", "not ended after 10 s: 3 of 7 tests at 40 points"),
        ("again", "", "", "", "", ""),
    ]
    assert [line[7] for line in lines if line[7].startswith("there")] == [
        f"there is no --maskcheck-{name}" for name in ("depth", "changed")
    ]
