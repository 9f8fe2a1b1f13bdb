"""What an audit itself uses does not grow with the number of points; seen from outside, in ``/proc``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
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
            work(520)
"""

LEAKY = """
    import os, threading
    import pytest

    LOCK = threading.Lock()
    PROGRESS = os.open("progress", os.O_RDWR | os.O_CREAT)

    @pytest.mark.interrupt_safe(hits="all", max_points=5000)
    def test_many(tmp_path):
        for step in range(40):
            os.mkdir(tmp_path / str(step))
            pair = os.pipe()
            LOCK.acquire()
            LOCK.release()
            os.close(pair[0])
            os.close(pair[1])
"""

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
        stdout=(place / "output").open("w"),
        stderr=subprocess.STDOUT,
    )
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
    output = (place / "output").read_text()
    (audit,) = json.loads((place / "r.json").read_text())["audits"]
    left = [str(path.relative_to(place / "tmp")) for path in (place / "tmp").rglob("*") if path.is_dir()]
    return Growth(samples, len(audit["points"]), output, left)
