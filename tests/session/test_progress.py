"""The progress line of an audit: on a real terminal, in a log, and where there must be none."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import pytest

from pytest_maskcheck.audit.stage import Stage
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.results import Finding, Point, PointResult, Verdict
from pytest_maskcheck.session import progress
from pytest_maskcheck.session.progress import Progress

pytestmark = pytest.mark.newest

TESTS = """
    import time
    import pytest

    def test_first():
        print("begun", end="")

    @pytest.mark.interrupt_safe(hits="all")
    def test_it():
        time.sleep(0.02)
        for _ in range(20):
            len("a")

    def test_last():
        print("done")
    """


class Screen:
    """A minimal terminal: lines that scroll up, a cursor, and the control sequences that pytest and this plugin send."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.columns, self.rows = columns, rows
        self.gone: list[str] = []
        self.lines = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.kept = (0, 0)

    def feed(self, text: str) -> None:
        """Process the output of a program."""
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b.|.", text, re.DOTALL):
            self._take(part)

    def _take(self, part: str) -> None:
        match part:
            case "\r":
                self.column = 0
            case "\n" | "\x1bD":
                self._down()
            case "\x1b7":
                self.kept = (self.row, self.column)
            case "\x1b8":
                self.row, self.column = self.kept
            case "\x1b[A":
                self.row = max(self.row - 1, 0)
            case "\x1b[B":
                self.row = min(self.row + 1, self.rows - 1)
            case "\x1b[K":
                self.lines[self.row][self.column :] = [" "] * (self.columns - self.column)
            case _ if part.startswith("\x1b["):
                assert part.endswith("m"), f"unknown: {part!r}"
            case _:
                assert part.isprintable(), f"unknown: {part!r}"
                if self.column == self.columns:
                    self.column = 0
                    self._down()
                self.lines[self.row][self.column] = part
                self.column += 1

    def _down(self) -> None:
        if self.row == self.rows - 1:
            self.gone.append("".join(self.lines.pop(0)))
            self.lines.append([" "] * self.columns)
        else:
            self.row += 1

    def text(self) -> str:
        """Return the screen's text, including lines scrolled away, but without the parts that differ from run to run."""
        shown = "\n".join(line.rstrip() for line in (*self.gone, *map("".join, self.lines))).rstrip()
        return re.sub(r"in \d+\.\d+s|=+", "", shown.replace("collecting ... ", ""))


@pytest.fixture
def command(pytester, monkeypatch):
    """The command line of an inner pytest in a folder with the tests; the environment is not that of a CI service."""
    pytester.makepyfile(test_sample=TESTS)
    for name in ("CI", "BUILD_NUMBER", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    monkeypatch.setenv("TERM", "xterm")
    options = ["-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider", "--maskcheck", "--maskcheck-strategy=rerun"]
    return [sys.executable, "-m", "pytest", *options]


@pytest.fixture
def on_terminal(command):
    """Return a function that runs the command on a terminal and returns what was sent to the terminal."""

    def run(*args, columns=80, rows=24, until="", **environ):
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        child = subprocess.Popen(
            [*command, *args],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, **environ},
            start_new_session=True,
        )
        os.close(inner)
        text = ""
        with open(outer, encoding="utf-8", newline="") as sent:
            while chunk := _read(sent):
                text += chunk
                if until and until in text:
                    child.send_signal(signal.SIGINT)
                    until = ""
        child.wait(timeout=60)
        return text

    return run


def _read(sent):
    try:
        return os.read(sent.fileno(), 1 << 16).decode()
    except OSError:  # EIO on Linux, once the last process has closed its end
        return ""


@pytest.fixture
def to_file(command):
    """Return a function that runs the command with a pipe for its output, and returns the output."""

    def run(*args, columns=80):
        environ = {**os.environ, "COLUMNS": str(columns)}
        done = subprocess.run(
            [*command, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environ, check=False
        )
        return done.stdout.decode()

    return run


def screen(text, **size):
    """Return what a screen shows after some output."""
    shown = Screen(**size)
    shown.feed(text)
    return shown.text()


@pytest.mark.parametrize(
    ("args", "size"),
    [
        ([], {}),
        (["-v"], {}),
        (["-q"], {}),
        (["-s"], {}),
        (["-v", "--no-header", "--maskcheck-isolation=none"], {}),
        (["-v"], {"columns": 44, "rows": 5}),
    ],
    ids=" ".join,
)
def test_a_line_appears_and_vanishes(on_terminal, to_file, args, size):
    """The line appears, and in the end the screen shows the same as a file with the output."""
    sent = on_terminal(*args, **size)
    drawn = re.findall(r"\x1b\[Kmaskcheck: (.*?)\x1b8", sent)
    pattern = r"\[ *\d+%\] \S*test_it: auditing, \d+/\d+ points, 0 defects(, \d+ s left)?"
    wide = size.get("columns", 80) > 80 - 1
    assert any(re.fullmatch(pattern, line) for line in drawn) == wide
    assert all(len(line) < size.get("columns", 80) - len("maskcheck: ") for line in drawn)
    assert 2 < len(drawn) < 60
    shown = screen(sent, **size)
    lines = (
        0 if "-q" in args else 1 if "--no-header" in args else 3
    )  # two in the header, and the number of tests to audit
    assert shown.count("maskcheck: ") == lines
    assert shown == screen(to_file(*args, columns=size.get("columns", 80)).replace("\n", "\r\n"), **size)


def test_the_line_grows_with_snapshots(pytester, on_terminal):
    """With snapshots, whose results come all at once, the line counts delivered interrupts."""
    pytester.makepyfile(test_sample=TESTS.replace("range(20)", "range(150)"))
    sent = on_terminal("--maskcheck-strategy=snapshot")
    shown = [int(number) for number in re.findall(r"\x1b\[Kmaskcheck: .*?auditing, (\d+)/", sent)]
    assert len(set(shown)) > 3
    assert shown == sorted(shown)


def test_the_line_counts_defects(pytester, on_terminal):
    """The line counts a defect as soon as it is found."""
    pytester.makepyfile(
        test_sample="""
        import threading
        import time
        import pytest

        LOCK = threading.Lock()

        @pytest.mark.interrupt_safe(hits=2)
        def test_it():
            time.sleep(0.02)
            LOCK.acquire()
            len("a"), len("b"), len("c"), len("d")
            LOCK.release()
            for _ in range(5):
                len("e"), len("f"), len("g"), len("h")
        """
    )
    assert ", 1 defect" in on_terminal()


@pytest.mark.parametrize(
    ("args", "environ"),
    [
        ([], {"TERM": "dumb"}),
        ([], {"CI": "1"}),
        (["-p", "no:terminal"], {}),
        (["--pdb"], {}),
        (["--capture=tee-sys"], {}),
    ],
    ids=str,
)
def test_no_line_where_it_could_do_harm(on_terminal, args, environ):
    """There is neither a line nor a log of a short audit if the plugin does not have the terminal to itself."""
    sent = on_terminal(*args, **environ)
    assert "\x1b7" not in sent
    assert "auditing" not in sent


def test_no_line_where_there_is_no_room(on_terminal):
    """There is no line on a terminal with very few columns or a single row."""
    assert "\x1b7" not in on_terminal(columns=19)
    assert "\x1b7" not in on_terminal(rows=1)


def test_no_color_is_heard(on_terminal):
    """With ``NO_COLOR`` the line is shown without colour."""
    sent = on_terminal(NO_COLOR="1")
    assert "auditing" in sent
    assert not re.search(r"\x1b\[[0-9;]*m", sent)


def test_beside_xdist_nothing_is_shown(on_terminal):
    """With xdist no line is shown: workers have no terminal, and the controller audits nothing."""
    pytest.importorskip("xdist")
    sent = on_terminal("-p", "xdist", "-n2")
    assert "\x1b7" not in sent
    assert "auditing" not in sent
    assert "3 passed" in sent


def test_ctrl_c_leaves_no_line(on_terminal):
    """Ctrl-C during an audit removes the line, and the session ends as usual."""
    sent = on_terminal(until="auditing")
    assert "KeyboardInterrupt" in sent
    assert "auditing" in sent
    shown = screen(sent)
    assert "auditing" not in shown
    assert re.search(r"^test_sample.py \.$", shown, re.MULTILINE)


def test_a_short_audit_shows_nothing(pytester, on_terminal):
    """A short audit shows no line, as it would only flicker."""
    pytester.makepyfile(test_sample="def test_it(): pass")
    assert "\x1b7" not in on_terminal()


# In a log, with a fake clock


class Clock:
    """A clock that tests advance by tenths of a second."""

    def __init__(self) -> None:
        self.tenths = 10000

    def __call__(self) -> float:
        return self.tenths / 10


@pytest.fixture
def followed(pytester, monkeypatch):
    """Return a function that shows the progress of two audits with ten points a second, and returns what was written."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(progress, "_size", lambda: (80, 24))

    def followed(*args, terminal=False, seconds=15, deadline=float("inf"), wanted=2):
        config = pytester.parseconfigure(*args)
        out = io.StringIO()
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        reporter._tw._file = out
        reporter.isatty = terminal
        clock = Clock()
        following = Progress(config, clock)
        following.wanted = wanted
        for test in ("test_a.py::test_one", "test_a.py::test_two"):
            points = [Point(f"a.py:1:call#{n}", "a.py", "/a.py", 1, "call", n, "f") for n in range(10 * seconds)]
            following.begin(test, here=False, deadline=deadline)
            following.take(Plan(points))
            for point in points:
                clock.tenths += 1
                finding = Finding(Verdict.LEAK, "fd", "/dev/null", "open") if point.hit == 50 else None
                following.take(PointResult(point.id, (finding,) if finding else ()))
            following.end()
            following.ended += 1
        config._ensure_unconfigure()
        return out.getvalue()

    return followed


def test_a_log_has_a_line_every_ten_seconds(followed):
    """A log has at most one line every ten seconds, over all tests, and none in the first ten seconds of a test."""
    assert followed().splitlines() == [
        "maskcheck: [ 33%] test_a.py::test_one: auditing, 100/150 points, 1 defect, 5 s left",
        "maskcheck: [ 83%] test_a.py::test_two: auditing, 100/150 points, 1 defect, 5 s left",
    ]
    lines = followed(seconds=35).splitlines()
    assert [re.findall(r"(\w+): auditing, (\d+)/", line)[0] for line in lines] == [
        *[("test_one", "100"), ("test_one", "200"), ("test_one", "300")],
        *[("test_two", "100"), ("test_two", "200"), ("test_two", "300")],
    ]


def test_without_a_number_of_tests_there_is_no_share(followed):
    """If it is not known how many tests are to be audited, the share is left out."""
    assert followed(wanted=0).startswith("maskcheck: test_a.py::test_one: auditing, 100/150 points")


def test_what_is_being_done(pytester, monkeypatch):
    """Before there are points they are being found; then stages are named as they are announced, up to the next result."""
    monkeypatch.setattr(progress, "_way", lambda *_, **__: "line")
    drawn = []
    config = pytester.parseconfigure()
    clock = Clock()
    following = Progress(config, clock)
    monkeypatch.setattr(following, "_draw", lambda text: drawn.append(text[1].split(", ")[0]))
    following.begin("test", here=False)
    point = Point("a.py:1:call#1", "a.py", "/a.py", 1, "call", 1, "f")
    for message in (
        None,
        Plan([point]),
        Stage.CONFIRMING,
        PointResult(point.id),
        Stage.TRACING,
    ):
        clock.tenths += 2
        following.take(message)
    assert drawn == [": finding points", ": auditing", ": confirming", ": auditing", ": finding origins"]
    config._ensure_unconfigure()


def test_a_long_name_is_shortened(followed, monkeypatch):
    """Where the name of a test does not fit, its end is shown; where nothing of it does, none."""
    for columns, name in ((100, "test_a.py::test_one"), (78, r"\.\.\.\w*::test_one"), (66, "")):
        monkeypatch.setattr(progress, "_size", lambda columns=columns: (columns, 24))
        line = re.findall(r"\x1b\[Kmaskcheck: (.*?)\x1b8", followed(terminal=True))[100]
        assert len(line) < columns - len("maskcheck: ")
        assert re.match(rf"\[ 4\d%\] {name}: auditing, ", line)


def test_the_interval_is_what_it_is(followed, monkeypatch):
    """The number of lines in a log depends on the interval alone, not on the number of points."""
    monkeypatch.setattr(progress, "LOGGED", 4.0)
    assert len(followed().splitlines()) == 6


def test_short_audits_write_nothing_into_a_log(followed):
    """Short audits write nothing to a log, however many there are."""
    assert followed(seconds=5) == ""


def test_quiet_logs_have_none(followed):
    """With ``-q`` nothing is written to a log, but a terminal still has its line."""
    assert followed("-q") == ""
    assert followed("-q", terminal=True).count("\x1b7") > 100


@pytest.mark.parametrize("name", ["CI", "BUILD_NUMBER"])
def test_ci_has_lines_of_a_log_whatever_its_terminal(followed, monkeypatch, name):
    """On what pytest regards as CI there is a log, even on a terminal; an empty variable does not count."""
    monkeypatch.setenv(name, "1")
    assert len(followed(terminal=True).splitlines()) == 2
    assert followed("-q", terminal=True) == ""
    monkeypatch.setenv(name, "")
    assert "\x1b7" in followed(terminal=True)


def test_the_line_is_drawn_ten_times_a_second_at_most(followed, monkeypatch):
    """The line is drawn at most ten times a second, and less often if the interval is longer."""
    assert 100 < followed(terminal=True).count("\x1b7") <= 302
    monkeypatch.setattr(progress, "REDRAWN", 0.5)
    assert 50 < followed(terminal=True).count("\x1b7") <= 62


def test_the_deadline_bounds_the_time_left(followed):
    """With a time budget, the time left is never longer than what the budget leaves."""
    assert ", 2 s left" in followed(deadline=1012.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1.0, "0 s"), (0.2, "1 s"), (59.0, "59 s"), (61.0, "1 min 1 s"), (3600.0, "1 h 0 min"), (7300.0, "2 h 1 min")],
)
def test_durations_are_told_in_words(seconds, words):
    """A duration is shown in words, rounded up."""
    assert progress._duration(seconds) == words
