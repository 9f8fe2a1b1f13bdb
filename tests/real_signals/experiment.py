"""Interrupt code by real signals at random times, and compare what leaked with what the audit found.

Run it: ``python tests/real_signals/experiment.py [SUBJECT …] [--tries 20000] [--seconds 30] [--source process]``

Each subject (``subjects/*.py``) has a ``body`` that may leave something behind, a function ``left`` that finds it independently of the
audit, and ``repair``; with ``FRESH``, each run of the body gets a directory of its own. The body runs repeatedly, each time under one
signal: a timer of the process (SIGALRM), or SIGINT from another process. The handler records where it runs and raises
``KeyboardInterrupt``; the driver catches it, as a program that goes on would, and checks what is left. The same body is audited by
``pytest --maskcheck``.

A *place* is the calling context, line by line within scope, and the kind of the checkpoint. At a place where a real signal leaked, the
audit must have a finding; at a place where it found nothing, no real signal may leak. Signals that land in code out of scope, called
from code in scope, are compared with the points of that call (``into``, ``back``), which stand for all of the called code that the code
in scope can meet. What is lost in the middle of such code is its own defect, and is counted separately (``within``).
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.positions import line_of

HERE = Path(__file__).parent
SUBJECTS = {path.stem: path for path in sorted((HERE / "subjects").glob("*.py"))}

TEST = """
import importlib.util, pytest

spec = importlib.util.spec_from_file_location({name!r}, {path!r})
subject = importlib.util.module_from_spec(spec)
spec.loader.exec_module(subject)

@pytest.mark.interrupt_safe(include=[{path!r}, *{include!r}])
def test_subject(tmp_path):
    subject.body(str(tmp_path))
"""

GRACE = 10.0
"""Seconds for which the last run of a process under signals may go on."""

END = "end"
"""The last line of a process under signals."""

Lines = tuple[tuple[str, int], ...]
"""Files and lines, outermost first, beginning with the body."""

Place = tuple[Lines, str]
"""A calling context and the kind of checkpoint."""


def load(path: Path) -> ModuleType:
    """Import a subject."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What the audit finds


@dataclass
class Verdicts:
    """What the audit found at each place."""

    leaks: dict[Place, str] = field(default_factory=dict)
    clean: set[Place] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def of(self, place: Place) -> str:
        """Return the verdict on a place in a word or two."""
        said = [self.leaks[place]] if place in self.leaks else []
        return "/".join([*said, *(["clean"] if place in self.clean else [])]) or "no point"


def audit(path: Path) -> Verdicts:
    """Audit a subject in a pytest session of its own."""
    with tempfile.TemporaryDirectory() as directory:
        test = TEST.format(name=path.stem, path=str(path), include=load(path).INCLUDE)
        Path(directory, "test_subject.py").write_text(test)
        Path(directory, "pytest.ini").write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest", "-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider"]
        result = subprocess.run(
            [*command, "--maskcheck", "--maskcheck-report=json:report.json"],
            cwd=directory,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        report = Path(directory, "report.json")
        assert report.exists(), result.stdout + result.stderr
        (data,) = json.loads(report.read_text())["audits"]
    assert not data["refused"], data["refused"]
    verdicts = Verdicts()
    results = {result["point"]: result for result in data["results"]}
    for point in data["points"]:
        stack = [*reversed(point["context"]), point]
        verdicts.files |= {frame["file"] for frame in stack}
        lines = [(frame["file"], frame["line"]) for frame in stack]
        start = next((at for at, frame in enumerate(stack) if frame["file"] == str(path)), None)
        if start is None:
            continue  # in the test, not in the body
        kind = "beyond" if point["kind"] in {"into", "back"} else point["kind"]
        place = (tuple(lines[start:]), kind)
        found = [finding for finding in results[point["id"]]["findings"] if is_leak(finding)]
        if found:
            verdicts.leaks[place] = found[0]["verdict"]
        elif not results[point["id"]]["reason"]:
            verdicts.clean.add(place)
    return verdicts


def is_leak(finding: dict[str, str]) -> bool:
    """Return whether a finding means that something stays behind; what reference counting released does not."""
    return finding["verdict"] in {"leak", "altered", "hang", "interpreter", "unusable"}


# What real signals do


@dataclass
class Seen:
    """Where one signal landed: all frames from the innermost to the body's."""

    stack: list[tuple[str, int, str, int]] = field(default_factory=list)  # file, line, function, instruction
    kind: str = ""

    def place(self, files: set[str], unseen: Container[str]) -> Place | None:
        """Return the place, or ``None`` for a function in ``unseen``; code out of scope has the place of its caller."""
        if self.stack[0][2] in unseen:
            return None
        frames = [frame for frame in reversed(self.stack) if frame[0] in files]
        sites = [
            frame for frame, last in zip(frames, [None, *frames], strict=False) if frame != last
        ]  # repeated frames are folded, as in points
        return tuple((file, line) for file, line, _, _ in sites), self.kind if self.stack[0][0] in files else "beyond"


def kind_of(frame: FrameType) -> str:
    """Return the kind of the checkpoint that a frame has reached."""
    code, offset = frame.f_code, facts.landing(frame.f_code, frame.f_lasti)
    if facts.is_backward_jump(code, offset):
        return "jump"
    if facts.checks_on_resume(code, offset):
        return "entry" if facts.is_entry(code, offset) else "resume"
    return "call"


class Driver:
    """Runs the body under signals, and records where they land and what they leave."""

    def __init__(self, path: Path, source: str) -> None:
        self.subject = load(path)
        self.signum = signal.SIGALRM if source == "timer" else signal.SIGINT
        self.seen: Seen | None = None
        self.arrived = False
        self.fresh = getattr(self.subject, "FRESH", False)
        self.body = self.subject.body.__code__
        signal.signal(self.signum, self.handle)
        sys.unraisablehook = lambda _: None  # interrupts that land in finalizers are expected
        self.killer = Killer() if source == "process" else None

    def handle(self, _: int, frame: FrameType | None) -> None:
        """Record where the signal landed; raise if that is in the body."""
        self.arrived = True
        seen = Seen()
        while frame is not None:
            code = frame.f_code
            seen.stack.append((code.co_filename, line_of(code, frame.f_lasti), code.co_qualname, frame.f_lasti))
            seen.kind = seen.kind or kind_of(frame)
            if frame.f_code is self.body:
                self.seen = seen
                raise KeyboardInterrupt
            frame = frame.f_back

    def arm(self, delay: float) -> None:
        """Arrange for a signal to be sent after ``delay`` seconds."""
        if self.killer is None:
            signal.setitimer(signal.ITIMER_REAL, delay)
        else:
            self.killer.after(delay)

    def attempt(self, delay: float, place: str) -> tuple[Seen | None, list[str]]:
        """Run the body until the signal arrives; return where it landed, and what is left."""
        self.seen, self.arrived = None, False
        inside = place
        self.arm(max(delay, 1e-6))
        try:
            while not self.arrived:
                if self.fresh:
                    inside = tempfile.mkdtemp(dir=place)
                self.subject.body(inside)
        except BaseException as error:
            _drop(error)
        if self.killer is not None:
            self.killer.wait()
        gc.collect()
        return self.seen, self.subject.left(inside)

    def duration(self) -> float:
        """Return about how many seconds the body takes."""
        times = []
        for _ in range(20):
            with tempfile.TemporaryDirectory() as place:
                started = time.perf_counter()
                self.subject.body(place)
                times.append(time.perf_counter() - started)
        return sorted(times)[10]


def _drop(error: BaseException) -> None:
    queue: list[BaseException | None] = [error]
    while queue:
        if (item := queue.pop()) is not None:
            queue += [item.__cause__, item.__context__]
            item.__traceback__ = item.__cause__ = item.__context__ = None


# It spins, since ``time.sleep`` is too coarse for microseconds.
KILLER = """
import os, signal, sys, time
pid, signum = os.getppid(), int(sys.argv[1])
for line in sys.stdin:
    until = time.perf_counter() + float(line)
    while time.perf_counter() < until:
        pass
    os.kill(pid, signum)
    print(flush=True)
"""


class Killer:
    """Another process that sends SIGINT."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", KILLER, str(int(signal.SIGINT))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )

    def after(self, delay: float) -> None:
        """Send the signal after ``delay`` seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{delay}\n".encode())

    def wait(self) -> None:
        """Wait until the signal was sent."""
        assert self._process.stdout is not None
        self._process.stdout.readline()


def batch(path: Path, source: str, tries: int, until: float, tell: Callable[[object], None]) -> None:
    """Try in this process until something is left that cannot be repaired, and that ends with the process."""
    driver = Driver(path, source)
    window = max(driver.duration() * 1.3, 2e-4)
    gc.collect()
    gc.freeze()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        for _ in range(tries):
            seen, left = driver.attempt(random.random() * window, place)
            tell((seen.stack, seen.kind, left) if seen else None)
            if left and hasattr(driver.subject, "repair"):
                driver.subject.repair(place)
                left = driver.subject.left(place)
            for name in os.listdir(place):
                shutil.rmtree(os.path.join(place, name), ignore_errors=True)
            if left or time.monotonic() > until:
                break


def in_children(path: Path, source: str, tries: int, seconds: float) -> Iterator[tuple[Seen, list[str]]]:
    """Try in forked processes, a new one after each leak; yield where signals landed and what was left.

    Raises:
        RuntimeError: a process hung or failed; what it was doing is on standard error.
    """
    until = time.monotonic() + seconds
    directory = tempfile.mkdtemp(prefix="real-")
    while tries > 0 and time.monotonic() < until:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setpgid(0, 0)
                os.close(reader)
                tempfile.tempdir = directory
                faulthandler.dump_traceback_later(until - time.monotonic() + GRACE, exit=True, file=sys.__stderr__)
                with os.fdopen(writer, "w") as out:
                    batch(path, source, tries, until, lambda found: print(json.dumps(found), file=out))
                    print(END, file=out)
            except BaseException as error:
                print(f"{path.stem}: {type(error).__name__}: {error}", file=sys.stderr)
            finally:
                os.kill(0, signal.SIGKILL)  # its whole process group, with whatever the body left running
        os.close(writer)
        line = ""
        try:
            with os.fdopen(reader) as lines:
                for line in lines:
                    if line.strip() == END:
                        break
                    tries -= 1
                    if (found := json.loads(line)) is not None:
                        stack, kind, left = found
                        yield Seen([tuple(frame) for frame in stack], kind), left
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if line.strip() != END:
            raise RuntimeError(f"{path.stem}: a process under signals hung or failed")
    shutil.rmtree(directory)


# Both


@dataclass
class Comparison:
    """The results of the audit and of real signals for one subject."""

    verdicts: Verdicts
    hits: Counter[Place] = field(default_factory=Counter)
    leaks: Counter[Place] = field(default_factory=Counter)
    outside: int = 0
    leaks_outside: int = 0

    @property
    def missed(self) -> list[Place]:
        """Places where a real signal leaked and the audit has no finding."""
        return [place for place in self.leaks if place not in self.verdicts.leaks and place[1] != "beyond"]

    @property
    def within(self) -> int:
        """The number of signals that leaked amid calls out of scope whose own points, at both ends, lose nothing."""
        return sum(
            count for place, count in self.leaks.items() if place[1] == "beyond" and place not in self.verdicts.leaks
        )

    def table(self) -> Iterator[str]:
        """Yield the lines of a table: real hits, real leaks, verdict, place."""
        yield f"{'real hits':>9} {'leaks':>6}  {'audit':<12} place"
        for place in sorted({*self.hits, *self.verdicts.leaks}, key=lambda place: (-self.leaks[place], str(place))):
            (lines, kind) = place
            way = " > ".join(f"{Path(file).name}:{line}" for file, line in lines)
            mark = " <-- MISSED" if place in self.missed else ""
            yield f"{self.hits[place]:>9} {self.leaks[place]:>6}  {self.verdicts.of(place):<12} {way} ({kind}){mark}"

    def summary(self) -> str:
        """Return the result in one line."""
        found = sum(1 for place in self.verdicts.leaks if self.leaks[place])
        hit = sum(1 for place in self.verdicts.leaks if self.hits[place])
        return (
            f"{sum(self.hits.values())} signals landed at {len(self.hits)} places, {sum(self.leaks.values())} leaked at "
            f"{len(self.leaks)}; of the audit's {len(self.verdicts.leaks)} leaky places {hit} were hit and {found} leaked; "
            f"missed by the audit: {len(self.missed)}; lost within code out of scope {self.within}; "
            f"not looked at {self.outside}, of which leaked {self.leaks_outside}"
        )


def compare(name: str, *, source: str = "timer", tries: int = 20000, seconds: float = 30.0) -> Comparison:
    """Audit a subject, interrupt it by real signals, and return both results."""
    path = SUBJECTS[name]
    unseen = getattr(load(path), "UNSEEN", ())
    comparison = Comparison(audit(path))
    for seen, left in in_children(path, source, tries, seconds):
        place = seen.place(comparison.verdicts.files, unseen)
        if place is None:
            comparison.outside += 1
            comparison.leaks_outside += bool(left)
            continue
        comparison.hits[place] += 1
        comparison.leaks[place] += bool(left)
    comparison.leaks = +comparison.leaks
    return comparison


def main() -> int:
    """Compare the subjects, print the results, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("subjects", nargs="*", choices=[[], *SUBJECTS], help="all, unless named")
    parser.add_argument("--tries", type=int, default=20000, help="signals for each subject")
    parser.add_argument("--seconds", type=float, default=30.0, help="at most so long for each subject")
    parser.add_argument("--source", choices=["timer", "process"], default="timer")
    parser.add_argument("--quiet", action="store_true", help="no tables")
    arguments = parser.parse_args()
    missed = 0
    print(f"CPython {sys.version.split()[0]}, signals from a {arguments.source}")
    for name in arguments.subjects or SUBJECTS:
        found = compare(name, source=arguments.source, tries=arguments.tries, seconds=arguments.seconds)
        missed += len(found.missed)
        print(f"\n{name}: {found.summary()}", flush=True)
        if not arguments.quiet:
            print(*found.table(), sep="\n", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
