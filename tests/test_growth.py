"""What an audit itself uses does not grow with the number of points; seen from outside, in ``/proc``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from textwrap import dedent

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")

BODY = """
    import os, threading
    import pytest

    LOCK = threading.Lock()
    PROGRESS = os.open("progress", os.O_RDWR | os.O_CREAT)
    RUNS = [0]

    def work(number):
        for step in range(number):
            with LOCK:
                abs(step)

    @pytest.mark.interrupt_safe(hits="all", max_points=5000)
    def test_many(tmp_path):
        RUNS[0] += 1
        os.pwrite(PROGRESS, b"%8d" % RUNS[0], 0)
        with open(tmp_path / "file", "w") as file:
            file.write("x")
            work(345)
"""

LEAKY = """
    import os, threading
    import pytest

    LOCK = threading.Lock()
    PROGRESS = os.open("progress", os.O_RDWR | os.O_CREAT)

    @pytest.mark.interrupt_safe(hits="all", max_points=5000)
    def test_many(tmp_path):
        for step in range(6):
            os.mkdir(tmp_path / str(step))
            pair = os.pipe()
            LOCK.acquire()
            LOCK.release()
            os.close(pair[0])
            os.close(pair[1])
"""

MEMORY = 3000
"""Kilobytes by which memory may grow over 900 points; their results are about 1,000."""

PYTEST = ("-m", "pytest", "-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Sample:
    """What one process used at one moment."""

    run: int
    descriptors: int
    threads: int
    kilobytes: int


def sample(pid: int, run: int) -> Sample | None:
    """Look at a process; ``None`` if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in status.splitlines())
    if "VmRSS" not in values:
        return None
    return Sample(run, descriptors, int(values["Threads"]), int(values["VmRSS"].split()[0]))


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@dataclass(frozen=True)
class Growth:
    """The samples of the session, the auditing process and the workers, and what is left."""

    samples: dict[str, list[Sample]]
    points: int
    output: str
    leftovers: list[str]


def grow(place: Path, source: str, isolation: str) -> Growth:
    """Audit a test and watch its processes."""
    (place / "tmp").mkdir()
    (place / "pytest.ini").write_text("[pytest]\n")
    (place / "test_many.py").write_text(dedent(source))
    output = os.open(place / "output", os.O_WRONLY | os.O_CREAT)
    process = subprocess.Popen(
        [
            sys.executable,
            *PYTEST,
            "--maskcheck",
            f"--maskcheck-isolation={isolation}",
            "--maskcheck-report=json:r.json",
        ],
        cwd=place,
        env={**os.environ, "TMPDIR": str(place / "tmp"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    os.close(output)
    samples: dict[str, list[Sample]] = {"session": [], "auditor": [], "worker": []}
    while process.poll() is None:
        try:
            run = int((place / "progress").read_text() or 0)
        except OSError:
            run = 0
        auditors = children(process.pid)
        workers = [child for auditor in auditors for child in children(auditor)]
        for name, pids in (("session", [process.pid]), ("auditor", auditors), ("worker", workers)):
            samples[name] += [seen for pid in pids if (seen := sample(pid, run)) is not None]
        time.sleep(0.005)
    (audit,) = json.loads((place / "r.json").read_text())["audits"]
    left = [str(path.relative_to(place / "tmp")) for path in (place / "tmp").rglob("*") if path.is_dir()]
    return Growth(samples, len(audit["points"]), (place / "output").read_text(), left)


def check(samples: list[Sample], name: str, early: range, late: int) -> None:
    """Assert that a process uses no more late in the audit than early."""
    before = [seen for seen in samples if seen.run in early]
    after = [seen for seen in samples if seen.run >= late]
    assert len(before) >= 3, name
    assert len(after) >= 3, name
    assert max(seen.descriptors for seen in after) <= max(seen.descriptors for seen in before), name
    assert max(seen.threads for seen in after) <= max(seen.threads for seen in before), name
    growth = median(seen.kilobytes for seen in after) - median(seen.kilobytes for seen in before)
    assert growth < MEMORY, f"{name} grew by {growth} kB"


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_a_thousand_points(tmp_path: Path, isolation: str) -> None:
    """From point 100 to point 1,000, neither descriptors nor threads nor memory grow; results are all that is added."""
    seen = grow(tmp_path, BODY, isolation)
    assert "1 passed" in seen.output
    assert seen.points >= 1000
    for name, samples in seen.samples.items():
        if samples:
            check(samples, name, range(90, 250), 950)
    assert set(seen.samples) == {"session", "auditor", "worker"}
    assert bool(seen.samples["worker"]) == (isolation == "fork")
    assert not [path for path in seen.leftovers if not path.startswith("pytest-of-")]
    runs = [path for path in seen.leftovers if path.count(os.sep) > 1]
    assert len(runs) <= 2, runs  # the ordinary run's, and a link to it


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_points_that_leak(tmp_path: Path, isolation: str) -> None:
    """What the points of an audit leak does not add up in the session, and is gone at the end."""
    seen = grow(tmp_path, LEAKY, isolation)
    assert "1 failed" in seen.output
    assert seen.points >= 40
    session = seen.samples["session"][len(seen.samples["session"]) // 5 :]
    half = len(session) // 2
    in_use = 2  # the pipe of a run
    assert max(one.descriptors for one in session[half:]) <= max(one.descriptors for one in session[:half]) + in_use
    assert max(one.threads for one in session) == 1
    assert not [path for path in seen.leftovers if not path.startswith("pytest-of-")]
