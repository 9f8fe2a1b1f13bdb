"""Kinds of tests: each run finds everything as fresh as the first run does, and items that cannot run twice are reported.

The programs themselves assert that everything is fresh: a test that does not pass again is refused. Comments announce
the findings (see the fixture ``announced``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit

pytestmark = pytest.mark.newest

PREAMBLE = """
import asyncio, os, pytest, threading, unittest
LOCK = threading.Lock()
STARTED = []
ENDED = []

def counted(name):
    STARTED.append(name)
    yield name
    ENDED.append(name)

def unsafe():
    LOCK.acquire()  # leak@call
    LOCK.release()
"""

PROGRAMS = {
    "function": """
        @pytest.mark.interrupt_safe
        def test_it():
            unsafe()
        """,
    "method": """
        @pytest.mark.interrupt_safe
        class TestIt:
            runs = 0

            def setup_method(self):
                self.begun = True

            def test_it(self):
                assert self.begun
                self.runs += 1
                assert self.runs == 1
                unsafe()
        """,
    "parametrized": """
        @pytest.mark.interrupt_safe
        @pytest.mark.parametrize("value", [[]])
        def test_it(value):
            unsafe()
        """,
    "function_fixture": """
        fixture = pytest.fixture(counted)

        @pytest.fixture
        def given():
            yield from counted("given")

        @pytest.mark.interrupt_safe
        def test_it(given):
            assert len(STARTED) == len(ENDED) + 1
            unsafe()
        """,
    "autouse_fixture": """
        @pytest.fixture(autouse=True)
        def given():
            yield from counted("given")

        @pytest.mark.interrupt_safe
        def test_it():
            assert len(STARTED) == len(ENDED) + 1
            unsafe()
        """,
    **{
        f"{scope}_fixture": f"""
        @pytest.fixture(scope="{scope}")
        def given():
            yield from counted("given")

        @pytest.mark.interrupt_safe
        class TestIt:
            def test_it(self, given):
                assert (STARTED, ENDED) == (["given"], [])
                unsafe()
        """
        for scope in ("class", "module", "package", "session")
    },
    "builtin_fixtures": """
        @pytest.mark.interrupt_safe
        def test_it(tmp_path, monkeypatch, capsys, request):
            assert not list(tmp_path.iterdir())
            assert "MASKCHECK_KIND" not in os.environ
            (tmp_path / "file").touch()
            monkeypatch.setenv("MASKCHECK_KIND", "1")
            print("said")
            assert capsys.readouterr().out == "said\\n"
            request.addfinalizer(lambda: ENDED.append("final"))
            unsafe()
        """,
    "unittest": """
        @pytest.mark.interrupt_safe
        class TestIt(unittest.TestCase):
            def setUp(self):
                self.runs = 0
                self.addCleanup(ENDED.append, "cleaned")
                STARTED.append("set up")

            def tearDown(self):
                assert self.runs < 2

            def test_it(self):
                assert len(STARTED) == len(ENDED) + 1
                self.runs += 1
                self.assertEqual(self.runs, 1)
                unsafe()
        """,
    "unittest_tear_down": """
        @pytest.mark.interrupt_safe
        class TestIt(unittest.TestCase):
            def setUp(self):
                LOCK.acquire()

            def tearDown(self):
                LOCK.release()

            def test_it(self):
                self.assertTrue(LOCK.locked())
        """,
    "unittest_cleanup": """
        @pytest.mark.interrupt_safe
        class TestIt(unittest.TestCase):
            def test_it(self):
                self.addCleanup(LOCK.release)
                self.assertTrue(LOCK.acquire())
        """,
    "unittest_async": """
        @pytest.mark.interrupt_safe
        class TestIt(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self):
                self.event = asyncio.Event()

            async def test_it(self):
                assert not self.event.is_set()
                self.event.set()
                await asyncio.sleep(0)
        """,
}

ASYNCIO = {
    "pytest_asyncio": """
        @pytest.mark.interrupt_safe
        @pytest.mark.asyncio
        async def test_it():
            await asyncio.sleep(0)
            len("x")
        """,
}

ANYIO = {
    f"anyio_{backend}": f"""
        import anyio

        @pytest.fixture
        def anyio_backend():
            return "{backend}"

        @pytest.mark.interrupt_safe
        @pytest.mark.anyio
        async def test_it():
            await anyio.sleep(0)
            len("x")
        """
    for backend in ("asyncio", "trio")
    if find_spec(backend)
}

TRIO = {
    "trio_run": """
        import trio

        async def main():
            with trio.CancelScope():
                for number in range(2):
                    await trio.sleep(0)
                    f"{number}"
            unsafe()

        @pytest.mark.interrupt_safe
        def test_it(capfd):
            trio.run(main)
            assert capfd.readouterr() == ("", "")
        """,
}

if find_spec("pytest_asyncio"):
    PROGRAMS |= ASYNCIO
if find_spec("trio"):
    PROGRAMS |= TRIO
if find_spec("anyio"):
    PROGRAMS |= ANYIO

PLUGINS = [
    word for name in ("asyncio", "anyio") if find_spec(f"pytest_{name}") or find_spec(name) for word in ("-p", name)
]


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """The audits of all programs."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in PROGRAMS.items()}, {}, *PLUGINS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_run_has_what_the_first_has(audits, found, name):
    """Every repeated run of a test of any kind passes, so all points are audited and the one leak is found."""
    audit = audits[name]
    assert not audit.refused
    assert audit.audited == len(audit.points) > 0
    assert all(
        reason.startswith("further hit") for reason in audit.not_audited
    )  # these are hits in code out of scope, in event loops
    source = (PREAMBLE + dedent(PROGRAMS[name])).splitlines()
    assert {source[line - 1].strip() for line, _ in found(audit)} == (
        {"LOCK.acquire()  # leak@call"} if " unsafe()" in PROGRAMS[name] else set()
    )


@pytest.mark.skipif("pytest_asyncio" not in PROGRAMS, reason="needs pytest-asyncio")
@pytest.mark.parametrize("name", ["pytest_asyncio", "unittest_async"])
def test_the_handler_of_asyncio_gets_the_interrupt(audits, name):
    """Under ``asyncio.Runner`` the interrupt goes to the runner's handler, which cancels the task, as in a program."""
    assert any("went to " in result.note for result in audits[name].results)


def test_nothing_is_left_in_temporary_directories(pytester, monkeypatch, audit):
    """After the session, only the ``tmp_path`` of the ordinary run is left."""
    temporary = pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    audit(PREAMBLE + dedent(PROGRAMS["builtin_fixtures"]), "--basetemp=base").result.assert_outcomes(failed=1)
    directories = [path for path in (pytester.path / "base").iterdir() if not path.is_symlink()]
    assert [path.name for path in directories] == ["test_it0"]
    assert [path.name for path in directories[0].iterdir()] == ["file"]
    assert not list(temporary.iterdir())


def test_longer_lived_fixtures_are_torn_down_once_in_the_end(audit):
    """Fixtures of class and module scope are set up and torn down once in the session's process, around all audits."""
    source = (
        PREAMBLE
        + """
LOG = []

@pytest.fixture(scope="module")
def module():
    LOG.append("module starts")
    yield
    LOG.append("module ends")
    print(*LOG, sep=", ")

@pytest.fixture(scope="class")
def of_class(module):
    LOG.append("class starts")
    yield
    LOG.append("class ends")

@pytest.mark.interrupt_safe
class TestIt:
    def test_it(self, of_class):
        len("x")

    def test_again(self, of_class):
        len("x")
"""
    )
    result = audit(source, "-s").result
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*module starts, class starts, class ends, module ends"])


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_command_to_reproduce_works_in_a_shell(pytester, audit):
    """Ids with spaces, quotes, brackets and dollar signs are quoted, so that the shown command reproduces the defect."""
    source = (
        PREAMBLE
        + """
@pytest.mark.interrupt_safe
@pytest.mark.parametrize("value", ["it's [1]", 'a "b" $HOME; c'])
def test_it(value):
    unsafe()
"""
    )
    result = audit(source).result
    result.assert_outcomes(failed=2)
    commands = [line.split(None, 1)[1] for line in result.outlines if line.startswith("  reproduce ")]
    assert len(commands) == 2
    for command in commands:
        again = subprocess.run(
            f"{command} -p no:cacheprovider",
            shell=True,
            cwd=pytester.path,
            env={
                **os.environ,
                "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"],
                "PYTEST_PLUGINS": "pytest_maskcheck.plugin",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert "1 test audited at 1 point: 1 defect" in again.stdout


def test_what_cannot_run_twice_is_told(pytester, audit):
    """Doctests and items of other collectors keep their outcome, and the summary gives the reason why they were not audited."""
    pytester.makeconftest("""
        import pytest

        class Custom(pytest.Item):
            def runtest(self):
                pass

        class File(pytest.File):
            def collect(self):
                yield Custom.from_parent(self, name="custom")

        def pytest_collect_file(file_path, parent):
            return File.from_parent(parent, path=file_path) if file_path.suffix == ".custom" else None
        """)
    (pytester.path / "it.custom").touch()
    source = '''
        def double(number):
            """
            >>> double(2)
            4
            """
            return 2 * number
        '''
    audited = audit(source, "--maskcheck-all", "--doctest-modules")
    audited.result.assert_outcomes(passed=2)
    assert {audit.refused for audit in audited.audits} == {
        "doctests cannot be run twice",
        "items of type Custom are not Python functions",
    }
    audited.result.stdout.fnmatch_lines_random(
        [
            "not audited: *.double: doctests cannot be run twice",
            "not audited: it.custom::custom: items of type Custom are not Python functions",
        ]
    )
