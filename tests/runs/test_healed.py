"""Each point is judged by itself: damage that a later run would undo is found by comparing modules and by a whole run that follows."""

from __future__ import annotations

import os
import pathlib
import tempfile
from contextlib import ExitStack
from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit
from pytest_maskcheck.runs.fixture_channels import FixtureChannels

PREAMBLE = """
    import itertools, mimetypes, os, pathlib, socket, sqlite3, subprocess, sys, threading
    import pytest

    class Door:
        open = False

    DOOR, STEP, ERRORS, CACHE, TURNS = Door(), "", 0, {}, itertools.cycle("ab")

    def flip(door):
        door.open = not door.open

    def toggle(door):
        flip(door)
        len("x")
        flip(door)
        assert not door.open

    def toggle_elsewhere():
        doors = mimetypes.types_map
        doors[".door"] = not doors.get(".door")
        len("x")
        doors[".door"] = not doors.get(".door")
        assert not doors[".door"]

    def patched():
        saved, os.getppid = os.getppid, lambda: 0
        assert os.getppid() == 0
        len("x")
        os.getppid = saved
        assert os.getppid() != 0

    def slam(database):
        database.execute("update doors set open = 1 - open")

    def ask(line, word):
        line[1](word)
        assert line[0]() == word.upper()

    def serve(read, write):
        while word := read():
            write(word.upper())

    @pytest.fixture(scope="module")
    def door():
        return Door()

    @pytest.fixture(scope="module")
    def pipes():
        to, back = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            os.close(to[1])
            os.close(back[0])
            serve(lambda: os.read(to[0], 1), lambda word: os.write(back[1], word))
            os._exit(0)
        os.close(to[0])
        os.close(back[1])
        try:
            yield lambda: os.read(back[0], 1), lambda word: os.write(to[1], word)
        finally:
            os.close(back[0])
            os.close(to[1])
            os.waitpid(child, 0)

    @pytest.fixture(scope="module")
    def line(pipes):
        return pipes

    @pytest.fixture(scope="module")
    def thread():
        ours, theirs = socket.socketpair()
        server = threading.Thread(target=serve, args=(lambda: theirs.recv(1), theirs.send))
        server.start()
        yield lambda: ours.recv(1), ours.send
        ours.close()
        server.join()
        theirs.close()

    @pytest.fixture(scope="module")
    def only_one():
        path = pathlib.Path(__file__ + ".lock")
        path.touch(exist_ok=False)
        ours, theirs = socket.socketpair()
        child = os.fork()
        if not child:
            ours.close()
            serve(lambda: theirs.recv(1), theirs.send)
            os._exit(0)
        theirs.close()
        yield lambda: ours.recv(1), ours.send
        ours.close()
        os.waitpid(child, 0)
        path.unlink()

    @pytest.fixture(scope="module")
    def database():
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute("create table doors (open)")
        connection.execute("insert into doors values (0)")
        yield connection
        connection.close()

    @pytest.fixture(scope="session")
    def sleeper():
        with subprocess.Popen(["sleep", "60"]) as child:
            yield child
            child.kill()

"""

BROKEN = {
    "module": ("", "toggle(DOOR)", {"strategy": "rerun"}),
    "module_by_snapshots": ("", "toggle(DOOR)", {"strategy": "snapshot"}),
    "patch": ("", "patched()", {"strategy": "rerun"}),
    "patch_by_snapshots": ("", "patched()", {"strategy": "snapshot"}),
    "elsewhere": ("", "toggle_elsewhere()", {"strategy": "rerun"}),
    "elsewhere_by_snapshots": ("", "toggle_elsewhere()", {"strategy": "snapshot"}),
    "module_here": ("", "toggle(DOOR)", {"isolation": "none"}),
    "fixture": ("door", "toggle(door)", {}),
    "unseen": ("", "next(TURNS); len('x'); assert next(TURNS) == 'b'", {}),
    "database": (
        "database",
        "slam(database); len('x'); slam(database); assert database.execute('select open from doors').fetchone() == (0,)",
        {},
    ),
    "pipes": ("line", "ask(line, b'a'); ask(line, b'b'); len('x')", {}),
    "thread": ("thread", "ask(thread, b'a'); ask(thread, b'b'); len('x')", {}),
    "only_one": ("only_one", "ask(only_one, b'a'); ask(only_one, b'b'); len('x')", {}),
}
"""Programs that an interrupt breaks: parameters and body of a test, and settings of its marker."""

SOUND = {
    "restored": ("", "try:\n    flip(DOOR)\n    len('x')\nfinally:\n    DOOR.open = False\nassert not DOOR.open", {}),
    "steps": ("", "global STEP\nfor STEP in 'abcdef':\n    len(STEP)\nSTEP = 'done'", {}),
    "errors": (
        "",
        "global ERRORS\ntry:\n    for each in 'abcdef':\n        len(each)\nexcept BaseException:\n    ERRORS += 1\n    raise",
        {},
    ),
    "cache": ("", "CACHE[len(CACHE)] = []\nlen('x')\nlen('y')", {}),
    "channel": ("line, sleeper", "line[1](b'')\nlen('x')\nlen('y')", {}),
}


def written(arguments, body, settings):
    """Return a test file with one marked test."""
    marks = ", ".join(f"{name}={value!r}" for name, value in ({"hits": "all", "timeout": 5} | settings).items())
    head = f"\n@pytest.mark.interrupt_safe({marks})\ndef test_it({arguments}):\n"
    return dedent(PREAMBLE) + head + "".join(f"    {line}\n" for line in body.splitlines())


FORKS = """
import os

def note():
    with open("forks", "a") as file:
        file.write("fork\\n")

os.register_at_fork(after_in_child=note)
"""


@pytest.fixture(scope="module")
def broken(audit_together) -> dict[str, Audit]:
    """Return the audits of the programs that an interrupt breaks."""
    return audit_together({name: written(*program) for name, program in BROKEN.items()})


@pytest.fixture(scope="module")
def sound(audit_folder):
    """Return the audits of the programs that no interrupt breaks, and how many processes were forked for them."""
    files = {f"test_{name}.py": written(*program) for name, program in SOUND.items()}
    folder = audit_folder({**files, "conftest.py": FORKS})
    audits = {audit.test.partition(".")[0].removeprefix("test_"): audit for audit in folder.audits}
    return audits, len((folder.path / "forks").read_text().splitlines())


ALL_SHARE = {"module_here", "thread", "only_one"}
"""Programs whose runs share what an interrupt breaks, so that later points cannot be audited."""


@pytest.mark.parametrize("name", BROKEN)
def test_each_point_that_breaks_something_is_found(broken, name):
    """Every point that breaks something is found, whatever the next interrupted run does, unless all runs share it."""
    audit = broken[name]
    assert not audit.refused
    assert {defect.verdict for defect in audit.failures} == {"unusable"}
    found = {point.id for defect in audit.failures for point in defect.points}
    reasons = {result.reason for result in audit.results if result.reason}
    if name in ALL_SHARE:
        assert len(found) == 1
        (reason,) = reasons
        (point,) = found
        assert f"since the interrupt at {point}; all runs share" in reason
    else:
        assert len(found) > 1
        assert not reasons
        assert audit.audited == len(audit.points)


@pytest.mark.parametrize("name", ["module", "patch", "elsewhere"])
def test_rerun_and_snapshots_agree(broken, results_of, name):
    """Rerun and snapshots give the same result at each point."""
    assert broken[f"{name}_by_snapshots"].strategy.startswith("snapshot")
    by_rerun, by_snapshots = (
        {point.partition(":")[2]: result for point, result in results_of(broken[each]).items()}
        for each in (name, f"{name}_by_snapshots")
    )
    assert by_rerun == by_snapshots


def test_what_all_runs_share_is_named(broken):
    """The reason names what all runs share, and why a process cannot have its own."""
    reasons = {name: {result.reason for result in broken[name].results if result.reason} for name in ALL_SHARE}
    assert all("all runs share this process" in reason for reason in reasons["module_here"])
    assert all("all runs share what fixture thread opened" in reason for reason in reasons["thread"])
    assert all("all runs share what fixture only_one opened" in reason for reason in reasons["only_one"])
    assert all("with another one beside it the test setup of the test failed" in each for each in reasons["only_one"])


@pytest.mark.parametrize("name", SOUND)
def test_what_the_next_run_does_not_mind_is_no_finding(sound, name):
    """State that differs but does not disturb the next run, and a channel that stays in step, are not reported."""
    audits, _ = sound
    assert not audits[name].failures
    assert audits[name].audited == len(audits[name].points)


def test_state_that_nobody_minds_costs_no_processes(sound):
    """Points that break nothing cost no process each: there are an auditor, a worker and a few more for each test."""
    audits, forks = sound
    assert sum(len(audit.points) for audit in audits.values()) > 30
    assert forks < 25 + 3 * len(audits)


def test_a_reproduction_line_reproduces(broken, audit_folder):
    """The reproduction line of an unusable point finds it again: a point that is run alone is followed by the same check."""
    point = broken["pipes"].failures[0].points[0].id
    (alone,) = audit_folder({"test_pipes.py": written(*BROKEN["pipes"])}, f"--maskcheck-point={point}").audits
    assert [each.id for each in alone.points] == [point]
    assert {defect.verdict for defect in alone.failures} == {"unusable"}


ASKED = """
    import os
    from pytest_maskcheck.runs.module_state import ModuleState

    answers = os.open("answers", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    holds = ModuleState.holds

    def noted(self):
        answer = holds(self)
        os.write(answers, b"yes " if answer else b"no ")
        return answer

    ModuleState.holds = noted
"""

HALF_DONE = """
    import pytest

    def work():
        work.half_done = {unusual}
        for number in range(10):
            str(number)
        work.half_done = False

    @pytest.mark.interrupt_safe(strategy="{strategy}", hits="all")
    def test_it():
        work()
"""


@pytest.mark.parametrize("strategy", ["rerun", "snapshot"])
@pytest.mark.parametrize("unusual", [False, True])
def test_a_run_is_followed_where_something_is_unusual_only(audit, pytester, unusual, strategy):
    """A whole run follows a change that the test made, but not one that the audit's own imports made."""
    pytester.makeconftest(dedent(ASKED))
    audited = audit(HALF_DONE.format(unusual=unusual, strategy=strategy)).audit
    assert audited.strategy.startswith(strategy)
    answers = (pytester.path / "answers").read_text().split()
    assert len(answers) > len(audited.points) > 20
    assert (answers.count("no") > 10) == unusual
    assert unusual or answers.count("no") < 2


OWN_PLACE = """
    import pathlib
    import pytest

    def written(place):
        place.unlink(missing_ok=True)
        with place.open("w") as file:
            yield file
        place.unlink()

    @pytest.fixture(scope="session")
    def fixed():
        yield from written(pathlib.Path("fixed.txt"))

    @pytest.fixture(scope="session")
    def elsewhere(tmp_path_factory):
        yield from written(tmp_path_factory.mktemp("elsewhere") / "elsewhere.txt")

    @pytest.mark.interrupt_safe
    @pytest.mark.parametrize("name", ["fixed", "elsewhere"])
    def test_it(name, request, FIXTURES):
        file = request.getfixturevalue(name)
        assert file.write("text") == 4
        file.flush()

    def test_afterwards(fixed, elsewhere):
        assert pathlib.Path(fixed.name).exists()
        assert pathlib.Path(elsewhere.name).exists()
"""


def test_a_file_at_a_fixed_place_is_not_made_a_second_time(audit_folder):
    """A worker does not set up a fixture with a file at a fixed path again, since that would replace the session's file."""
    folder = audit_folder({"test_it.py": OWN_PLACE.replace("FIXTURES", "fixed, elsewhere")})
    assert "3 passed" in folder.output, folder.output
    assert all(audit.audited for audit in folder.audits)


class Places:
    """Paths where a fixture may open a file, below a directory of this test."""

    def __init__(self, path):
        self.path = path
        self.there = pathlib.Path(tempfile.mkdtemp(dir=path))
        self.numbered = path / "numbered"
        self.numbered.mkdir()

    def random_file(self):
        fd, name = tempfile.mkstemp(dir=self.path)
        os.close(fd)
        return pathlib.Path(name)

    def random_directory(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.path)) / "file"

    def numbered_directory(self):
        (self.numbered / "some0").mkdir()
        return self.numbered / "some0" / "file"

    def named_alike(self):
        return self.path / "tmpfixed_name"

    def within_a_directory_of_another_fixture(self):
        return self.there / "file"

    def within_a_directory_made_here(self):
        (self.path / "data").mkdir()
        return self.path / "data" / "file"

    def within_what_pytest_numbers(self):
        return self.numbered / "file"

    def within_a_directory_of_a_fixture_within(self):
        with FixtureChannels().watching():
            return pathlib.Path(tempfile.mkdtemp(dir=self.path)) / "file"


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", [name for name in vars(Places) if not name.startswith("_")])
def test_only_places_with_names_made_up_by_the_fixture_are_its_own(tmp_path, name, fixed):
    """A file counts as the fixture's own only if the fixture made up its name, so that a second set-up makes another file."""
    places = Places(tmp_path)
    opened = FixtureChannels(lambda: str(places.numbered))
    with opened.watching(), ExitStack() as stack:
        ours = name in {"random_file", "random_directory", "numbered_directory"}
        if fixed:
            stack.enter_context((tmp_path / "another").open("w"))
        stack.enter_context(getattr(places, name)().open("w"))
        assert opened.is_fixed() == (fixed or not ours)
