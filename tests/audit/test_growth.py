"""The resources of an audit do not grow with the number of points; the audited test measures the audit's own processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from textwrap import dedent

import pytest

pytestmark = [
    pytest.mark.newest,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc"),
]

SAMPLING = """
    import json, os

    ROLES = ["session", "auditor", "worker"]
    SESSION = os.getpid()
    COUNT = os.open("count", os.O_RDWR | os.O_CREAT)

    def status(pid):
        with open(f"/proc/{pid}/status") as lines:
            return dict(line.split(":", 1) for line in lines)

    def sample(every):
        run = int(os.pread(COUNT, 8, 0) or 0) + 1
        os.pwrite(COUNT, b"%8d" % run, 0)
        if run % every:
            return
        pids = [os.getpid()]
        while pids[-1] != SESSION:
            pids.append(int(status(pids[-1])["PPid"]))
        with open("samples", "a") as file:
            for role, pid in zip(ROLES, reversed(pids)):
                now = status(pid)
                numbers = len(os.listdir(f"/proc/{pid}/fd")), int(now["Threads"]), int(now["VmRSS"].split()[0])
                print(json.dumps([role, run, *numbers]), file=file)
"""

BODY = """
    import threading
    import pytest, sampling

    LOCK = threading.Lock()

    def work(number):
        for step in range(number):
            with LOCK:
                abs(step)

    @pytest.mark.interrupt_safe(hits="all", max_points=5000, exclude=["sampling.py"])
    def test_many(tmp_path):
        sampling.sample(10)
        with open(tmp_path / "file", "w") as file:
            file.write("x")
            work(345)
"""

LEAKY = """
    import os, threading
    import pytest, sampling

    LOCK = threading.Lock()

    @pytest.mark.interrupt_safe(hits="all", max_points=5000, exclude=["sampling.py"])
    def test_many(tmp_path):
        sampling.sample(1)
        for step in range(6):
            os.mkdir(tmp_path / str(step))
            pair = os.pipe()
            LOCK.acquire()
            LOCK.release()
            os.close(pair[0])
            os.close(pair[1])
"""

MEMORY = 3000
"""Kilobytes by which memory may grow over 900 points; the results of these take about 1,000."""

PYTEST = ("-m", "pytest", "-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Sample:
    """The resources that one process used in one run of the test."""

    role: str
    run: int
    descriptors: int
    threads: int
    kilobytes: int


@dataclass(frozen=True)
class Growth:
    """The samples of the session, the auditing process and the workers, and the leftovers."""

    samples: list[Sample]
    points: int
    output: str
    leftovers: list[str]

    def of(self, role: str) -> list[Sample]:
        """Return the samples of the processes in one role."""
        return [sample for sample in self.samples if sample.role == role]

    @property
    def roles(self) -> set[str]:
        """The roles of all processes."""
        return {sample.role for sample in self.samples}


def grow(place: Path, source: str, isolation: str) -> Growth:
    """Audit a test that measures the processes of its audit."""
    (place / "tmp").mkdir()
    (place / "pytest.ini").write_text("[pytest]\n")
    (place / "sampling.py").write_text(dedent(SAMPLING))
    (place / "test_many.py").write_text(dedent(source))
    options = ("--maskcheck", f"--maskcheck-isolation={isolation}", "--maskcheck-report=json:r.json")
    process = subprocess.run(
        [sys.executable, *PYTEST, *options],
        cwd=place,
        env={**os.environ, "TMPDIR": str(place / "tmp"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (audit,) = json.loads((place / "r.json").read_text())["audits"]
    left = [str(path.relative_to(place / "tmp")) for path in (place / "tmp").rglob("*") if path.is_dir()]
    samples = [Sample(*json.loads(line)) for line in (place / "samples").read_text().splitlines()]
    return Growth(samples, len(audit["points"]), process.stdout, left)


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_a_thousand_points(tmp_path: Path, isolation: str) -> None:
    """From point 100 to point 1,000, neither descriptors nor threads nor memory grow, except by the results."""
    seen = grow(tmp_path, BODY, isolation)
    assert "1 passed" in seen.output
    assert seen.points >= 1000
    assert seen.roles == ({"session", "auditor", "worker"} if isolation == "fork" else {"session"})
    for role in seen.roles:
        early = [sample for sample in seen.of(role) if 90 <= sample.run < 250]
        late = [sample for sample in seen.of(role) if sample.run >= 950]
        assert {sample.descriptors for sample in late} == {sample.descriptors for sample in early}, role
        assert {sample.threads for sample in [*early, *late]} == {1}, role
        growth = median(sample.kilobytes for sample in late) - median(sample.kilobytes for sample in early)
        assert growth < MEMORY, f"{role} grew by {growth} kB"
    assert not [path for path in seen.leftovers if not path.startswith("pytest-of-")]
    runs = [path for path in seen.leftovers if path.count(os.sep) > 1]
    assert len(runs) <= 2, runs  # that of the ordinary run, and a symbolic link to it


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_points_that_leak(tmp_path: Path, isolation: str) -> None:
    """Leaks at points do not accumulate in the session or the auditing process, and are gone at the end."""
    seen = grow(tmp_path, LEAKY, isolation)
    assert "1 failed" in seen.output
    assert seen.points >= 40
    for role in seen.roles - {"worker"}:  # a worker ends with the first point that leaks
        samples = seen.of(role)
        half = len(samples) // 2
        assert max(sample.descriptors for sample in samples[half:]) <= max(
            sample.descriptors for sample in samples[:half]
        )
        assert {sample.threads for sample in samples} == {1}, role
    assert not [path for path in seen.leftovers if not path.startswith("pytest-of-")]
