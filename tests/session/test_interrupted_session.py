"""The user's own Ctrl-C ends an auditing session at once, and nothing of the session outlives it.

``python tests/session/test_interrupted_session.py --moments 200`` runs the full experiment, with a plain pytest to compare with each way to
audit. It prints how long exits took, for signals to pytest's process alone and to its group, and what was left.
"""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest

pytestmark = [
    pytest.mark.oldest_and_newest,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc"),
]

WORK = """
    import os, threading, time
    import pytest

    open("started", "w").close()
    LOCK = threading.Lock()

    def work(number):
        for step in range(number):
            with LOCK:
                time.sleep(0.0005)
                abs(step)

    @pytest.fixture
    def folder(tmp_path_factory):  # not tmp_path: pytest's exit code is 1 when its setup is interrupted
        return tmp_path_factory.mktemp("folder")

    @pytest.mark.interrupt_safe
    @pytest.mark.parametrize("number", range(10, 16))
    def test_long(number, folder):
        with open(folder / "file", "w") as file:
            work(number)
            file.write(str(number))

    @pytest.mark.interrupt_safe
    def test_leaks():
        for _ in range(20):
            LOCK.acquire()
            LOCK.release()
"""

HANDLES = (
    WORK
    + """
    import signal

    @pytest.fixture(autouse=True)
    def handler():
        def leave(signum, frame):
            raise SystemExit(signum)

        before = signal.signal(signal.SIGTERM, leave)
        yield
        signal.signal(signal.SIGTERM, before)
"""
)

HANG = """
    import time
    import pytest

    open("started", "w").close()

    def stubborn():
        try:
            abs(-1)
        except KeyboardInterrupt:
            time.sleep(600)

    @pytest.mark.interrupt_safe
    def test_hangs():
        stubborn()
"""

ONE = """
    import threading, time
    import pytest

    open("started", "w").close()
    LOCK = threading.Lock()

    @pytest.mark.interrupt_safe
    def test_long():
        for step in range(200):
            with LOCK:
                abs(step)
        time.sleep(0.1)
"""

FORWARD = """
    import threading, time
    import pytest

    open("started", "w").close()
    LOCK = threading.Lock()

    @pytest.mark.interrupt_safe
    @pytest.mark.parametrize("number", range(6))
    def test_long(number):
        time.sleep(0.1)
        for step in range(100):
            with LOCK:
                abs(step)
"""

PLAIN = """
    import os, time
    import pytest

    open("started", "w").close()

    @pytest.fixture
    def folder(tmp_path_factory):
        return tmp_path_factory.mktemp("folder")

    @pytest.mark.parametrize("number", range(1000))
    def test_short(number, folder):
        with open(folder / "file", "w") as file:
            time.sleep(0.01)
            file.write(str(number))
"""

CONFTEST = """
    import gc, json, signal, sys, tempfile

    def state(imports=""):
        tools = [sys.monitoring.get_tool(tool) for tool in range(6)] if hasattr(sys, "monitoring") else []
        tools = [None if tool == imports else tool for tool in tools]
        return [
            str(signal.getsignal(signal.SIGINT)), str(signal.pthread_sigmask(signal.SIG_BLOCK, ())), str(sys.gettrace()),
            str(sys.unraisablehook), str(tools), str(tempfile.tempdir), gc.isenabled(),
            gc.get_freeze_count() > 1000,  # CPython 3.12 starts with a few hundred frozen objects, and thaws those as well
        ]

    def pytest_configure(config):
        config.state_before = state("maskcheck")  # which watches imports until tests are collected

    def pytest_unconfigure(config):
        if not hasattr(config, "workerinput"):
            with open("state.json", "w") as file:
                json.dump([config.state_before, state()], file)
"""

PYTEST = ("-m", "pytest", "-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider", "-p", "no:unraisableexception")


@dataclass(frozen=True)
class Scenario:
    """A session to interrupt.

    Parameters:
        source: the test file.
        options: options of pytest.
        window: seconds after the collection within which the interrupt is sent.
        limit: seconds within which pytest has to end; without audits, xdist alone needs 0.8 to 1.4.
        moments: how many moments the suite tries.
        audits: whether the session audits, or is a plain pytest to compare with.
    """

    source: str
    options: tuple[str, ...]
    window: float
    limit: float = 1.0
    moments: int = 3
    audits: bool = True


SCENARIOS = {
    "plain": Scenario(PLAIN, (), 2.5, moments=1, audits=False),
    "fork": Scenario(WORK, ("--maskcheck-isolation=fork",), 2.5),
    "none": Scenario(WORK, ("--maskcheck-isolation=none",), 2.0),
    "twice": Scenario(
        HANDLES,
        (
            *("--maskcheck-isolation=none", "--maskcheck-interrupts=2"),
            *("--maskcheck-signals=SIGINT", "--maskcheck-signals=SIGTERM"),
        ),
        2.0,
        moments=2,
    ),
    "hang": Scenario(HANG, ("--maskcheck-isolation=fork", "--maskcheck-timeout=300"), 1.0, moments=2),
    "snapshot": Scenario(FORWARD, ("--maskcheck-strategy=snapshot",), 2.0, moments=2),
    # a worker that has to end still runs the tests handed to it: by default an eighth of them all, hence --maxschedchunk
    "plain-xdist": Scenario(
        PLAIN, ("-p", "xdist.plugin", "-n2", "--maxschedchunk=2"), 2.0, limit=2.5, moments=1, audits=False
    ),
    "xdist": Scenario(WORK, ("-p", "xdist.plugin", "-n2"), 2.0, limit=2.5, moments=3),
    "spread": Scenario(ONE, ("--maskcheck-strategy=rerun", "-p", "xdist.plugin", "-n2"), 3.0, limit=2.5, moments=3),
}

AUDITS = ("--maskcheck", "--maskcheck-hits=all")

MARKER = "MASKCHECK_EXPERIMENT"


@dataclass
class Session:
    """One pytest that audits, in a session and a temporary directory of its own."""

    place: Path
    process: subprocess.Popen[str]
    name: str = field(default_factory=str)
    output: str = ""

    def wait_for_start(self) -> None:
        """Wait until the tests are collected."""
        until = time.monotonic() + 30
        while not (self.place / "started").exists():
            assert time.monotonic() < until, "did not start"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.002)

    def send(self, signum: int, *, group: bool) -> float:
        """Send a signal, to the whole process group as a terminal does or to pytest alone; return the seconds until the end."""
        sent = time.monotonic()
        (os.killpg if group else os.kill)(self.process.pid, signum)
        try:
            self.output, _ = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.output, _ = self.process.communicate()
        return time.monotonic() - sent

    def others(self) -> list[str]:
        """Return the other processes of this session that still exist."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.process.pid:
                try:
                    environ = (entry / "environ").read_bytes()
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if f"{MARKER}={self.name}\0".encode() in environ + b"\0":
                    found.append(f"{entry.name} {command!r}")
        return found

    def others_after(self, seconds: float) -> list[str]:
        """Return the other processes that still exist after ``seconds``, which they have to end."""
        until = time.monotonic() + seconds
        while (found := self.others()) and time.monotonic() < until:
            time.sleep(0.01)
        return found

    def leftovers(self) -> list[str]:
        """Return what is left in the temporary directory, except for pytest's own directories."""
        return [entry.name for entry in (self.place / "tmp").iterdir() if not entry.name.startswith("pytest-of-")]


@contextmanager
def auditing(place: Path, scenario: str) -> Iterator[Session]:
    """Start pytest on a scenario; at the end, kill it and everything that it started."""
    (place / "tmp").mkdir(parents=True)
    (place / "pytest.ini").write_text("[pytest]\n")
    (place / "conftest.py").write_text(dedent(CONFTEST))
    (place / "test_work.py").write_text(dedent(SCENARIOS[scenario].source))
    name = f"{os.getpid()}-{random.getrandbits(64)}"
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # so in the background of a script, and children inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    own = {MARKER: name, "TMPDIR": str(place / "tmp"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    process = subprocess.Popen(
        [sys.executable, *PYTEST, *(AUDITS if SCENARIOS[scenario].audits else ()), *SCENARIOS[scenario].options],
        cwd=place,
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    session = Session(place, process, name)
    try:
        yield session
    finally:
        for line in session.others():
            os.kill(int(line.split()[0]), signal.SIGKILL)
        if process.poll() is None:
            process.kill()
            process.communicate()


def interrupt(place: Path, scenario: str, moment: float, *, group: bool) -> tuple[float, list[str]]:
    """Send SIGINT ``moment`` seconds after the collection; return the seconds until the end, and everything that was wrong."""
    with auditing(place, scenario) as session:
        session.wait_for_start()
        time.sleep(moment)
        if session.process.poll() is not None:
            return 0.0, ["it ended before the interrupt came"]
        seconds = session.send(signal.SIGINT, group=group)
        wrong = []
        if seconds > SCENARIOS[scenario].limit * slowness():
            wrong.append(f"took {seconds:.2f} s")
        if session.process.returncode != pytest.ExitCode.INTERRUPTED:
            wrong.append(f"exit code {session.process.returncode}")
        if "KeyboardInterrupt" not in session.output:
            wrong.append("no summary of pytest's")
        if "INTERNALERROR" in session.output:
            wrong.append("INTERNALERROR")
        if others := session.others_after(0.5):
            wrong.append(f"processes are left: {others}")
        if leftovers := session.leftovers():
            wrong.append(f"files are left: {leftovers}")
        if not (place / "state.json").exists():
            wrong.append("pytest did not come to its end")
        elif len({*map(json.dumps, json.loads((place / "state.json").read_text()))}) > 1:
            wrong.append(f"process state: {(place / 'state.json').read_text()}")
        if wrong:
            wrong.append(session.output[-3000:])
    return seconds, wrong


def slowness() -> float:
    """Return by what factor this machine, now, takes longer than 0.3 s for a pytest that does nothing; at least 1."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "pytest", "--version"], capture_output=True, check=True, timeout=60)
    return max(1.0, (time.monotonic() - started) / 0.3)


def moments(scenario: str, number: int, seed: int) -> list[tuple[float, bool]]:
    """Return ``number`` random moments to interrupt at, each with whether the whole process group gets the signal."""
    generator = random.Random(seed)
    return [(generator.random() * SCENARIOS[scenario].window, generator.random() < 0.5) for _ in range(number)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_ctrl_c_at_any_moment(tmp_path: Path, scenario: str) -> None:
    """Ctrl-C ends an auditing session within the limit, about as fast as a plain one, and leaves no process, file or altered state."""
    if "-n2" in SCENARIOS[scenario].options:
        pytest.importorskip("xdist")
    seed = random.randrange(1 << 32)
    number = int(os.environ.get("MASKCHECK_MOMENTS", SCENARIOS[scenario].moments))
    for turn, (moment, group) in enumerate(moments(scenario, number, seed)):
        _, wrong = interrupt(tmp_path / str(turn), scenario, moment, group=group)
        assert not wrong, f"seed {seed}, {moment:.3f} s after the start:\n" + "\n".join(wrong)


def test_what_is_shown_of_an_interrupted_audit_is_short() -> None:
    """Objects in the frames of an audit have a short repr, because at Ctrl-C pytest calls it for all arguments of all frames."""
    package = import_module("pytest_maskcheck")
    for found in pkgutil.walk_packages(package.__path__, "pytest_maskcheck."):
        if hasattr(sys, "monitoring") or {"monitoring", "tools"}.isdisjoint(found.name.split(".")):
            import_module(found.name)
    holders = {
        f"{module.__name__}.{name}"
        for module in list(sys.modules.values())
        for name, value in vars(module).items()
        if module.__name__.startswith("pytest_maskcheck.")
        and is_dataclass(value)
        and isinstance(value, type)
        and value.__module__ == module.__name__
        and not value.__dataclass_params__.frozen
        and value.__repr__ is not object.__repr__
    }
    assert holders == {"pytest_maskcheck.runs.requests.RunResult"}  # it holds the result of one run only


@pytest.mark.parametrize("scenario", ["fork", "hang"])
def test_auditing_processes_die_with_pytest(tmp_path: Path, scenario: str) -> None:
    """If SIGTERM or SIGKILL ends pytest, the kernel ends its auditing processes."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with auditing(tmp_path / signum.name, scenario) as session:
            session.wait_for_start()
            until = time.monotonic() + 10
            while len(session.others()) < 2:
                assert time.monotonic() < until, "no auditing processes"
                time.sleep(0.01)
            session.send(signum, group=False)
            assert session.process.returncode == -signum
            assert not session.others_after(1.0)


FOREGROUND = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, sys.argv[1:])
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_ctrl_c_typed_at_a_terminal(tmp_path: Path) -> None:
    """Ctrl-C typed at a terminal whose foreground job is pytest ends pytest, and the terminal's settings are unchanged."""
    import termios

    (tmp_path / "tmp").mkdir()
    (tmp_path / "test_work.py").write_text(dedent(WORK))
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        [sys.executable, "-c", FOREGROUND, sys.executable, *PYTEST, "--maskcheck", "--maskcheck-hits=all", "-s"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    try:
        Session(tmp_path, process).wait_for_start()
        time.sleep(random.random() * 2)
        os.write(master, b"\x03")
        os.set_blocking(master, False)
        until, output = time.monotonic() + 10, b""
        while process.poll() is None and time.monotonic() < until:
            try:
                output += os.read(master, 1 << 16)
            except BlockingIOError:
                time.sleep(0.005)
        assert process.returncode == pytest.ExitCode.INTERRUPTED, output[-2000:]
        assert termios.tcgetattr(slave) == before
        assert not [name for name in os.listdir(tmp_path / "tmp") if name.startswith("mc-")]
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


WITHOUT_LINE = """
    import pytest

    def interrupted():
        raise KeyboardInterrupt

    interrupted.__code__ = interrupted.__code__.replace(co_linetable=b"")

    @pytest.fixture(scope="module")
    def nothing():
        yield
        interrupted()

    def test_it(nothing):
        pass
"""


def test_ctrl_c_at_an_instruction_without_a_line(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    """Ctrl-C may arrive at an instruction that belongs to no line of the source: pytest still ends in order, and shows the rest."""
    pytester.makepyfile(dedent(WITHOUT_LINE))
    result = run("--maskcheck-all")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])
    assert "TypeError" not in result.stdout.str() + result.stderr.str()


def main() -> None:
    """Run the experiment and print the distribution of exit times."""
    parser = argparse.ArgumentParser(description="Interrupt auditing sessions at random moments.")
    parser.add_argument("--moments", type=int, default=50, help="of each scenario")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    arguments = parser.parse_args()
    print(f"CPython {sys.version.split()[0]}, seed {arguments.seed}; seconds from the signal to the exit")
    for scenario in arguments.scenario or SCENARIOS:
        times: dict[bool, list[float]] = {True: [], False: []}
        failures = 0
        for moment, group in moments(scenario, arguments.moments, arguments.seed):
            with tempfile.TemporaryDirectory() as directory:
                seconds, wrong = interrupt(Path(directory, "x"), scenario, moment, group=group)
            times[group].append(seconds)
            if wrong:
                failures += 1
                print(f"  {scenario} {moment:.3f} s group={group}: " + "\n    ".join(wrong))
        print(
            f"{scenario:12} {failures} of {arguments.moments} left something, took too long or ended otherwise",
            flush=True,
        )
        for group, taken in times.items():
            if taken:
                taken.sort()
                middle, high = taken[len(taken) // 2], taken[len(taken) * 9 // 10]
                print(
                    f"    to {'the group' if group else 'pytest alone':12} {len(taken):4} moments: "
                    f"median {middle:.2f}, 90 % {high:.2f}, max {taken[-1]:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
