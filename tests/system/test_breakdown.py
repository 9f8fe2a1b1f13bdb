"""Whatever a test or a plugin does, its audit ends with a verdict or a one-line reason, later tests run, and reports are written."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.results import Verdict
from pytest_maskcheck.results.encoding import legible
from pytest_maskcheck.system.breakdown import AuditBrokeError, Breakdown, breakdown_of
from pytest_maskcheck.system.unpatched import os
from pytest_maskcheck.system.untrusted import HinderedError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import AuditFolder, AuditSource, Run

LEAK = """
    import threading

    import pytest

    LOCK = threading.Lock()


    @pytest.mark.interrupt_safe
    def test_leak():
        LOCK.acquire()
        LOCK.release()


    @pytest.mark.interrupt_safe
    def test_clean():
        len("clean")
"""

BROKEN_KIND = """
    import textwrap

    from pytest_maskcheck.resources.kinds import locks

    SOURCE = '''
        def broken(self, before):
            {when}
                raise KeyError("seeded")
            return compare(self, before)
    '''
    locks.compare = locks.Locks.compare
    exec(compile(textwrap.dedent(SOURCE), locks.__file__, "exec"), vars(locks))
    locks.Locks.compare = locks.broken
"""
BROKEN_SNAPSHOT = """
    from pytest_maskcheck.resources.kinds import locks

    exec(compile("def broken(self): raise KeyError('seeded')", locks.__file__, "exec"), vars(locks))
    locks.Locks.snapshot = locks.broken
"""
AFTER_A_LEAK = "if any(held for held, _ in self._held() if held is __import__('sys').modules['test_it'].LOCK):"

HOOK = """
    import pytest


    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        if report.when == "call" and report.failed:
            print("ARGUMENTS", sorted(item.funcargs), item.funcargs["page"].shot())
        return report


    @pytest.fixture
    def page():
        class Page:
            is_open = True

            def shot(self):
                assert self.is_open
                return "picture"

        page = Page()
        yield page
        page.is_open = False
"""

WITH_PAGE = LEAK.replace("def test_leak():", "def test_leak(page):")

RAISING_HOOK = """
    import pytest


    def pytest_runtest_makereport(item, call):
        if call.excinfo is not None:
            raise LookupError("the hook's own")
"""

CUTS = """
    import os
    import pathlib
    import shutil
    import tempfile
    import threading

    import pytest

    LOCK = threading.Lock()


    @pytest.mark.interrupt_safe
    def test_generated():
        names = {}
        exec(compile("def double(x):\\n    return abs(x) * 2\\n", "generated.py", "exec"), names)
        assert names["double"](2) == 4


    @pytest.mark.interrupt_safe(kinds="-path")
    def test_removed():
        path = pathlib.Path(__file__).with_name("gone.py")
        path.write_text("def hook():\\n    return abs(-1)\\n")
        names = {}
        exec(compile(path.read_text(), str(path), "exec"), names)
        path.unlink()
        assert names["hook"]() == 1


    @pytest.mark.interrupt_safe(may_swallow=True)
    def test_name(tmp_path):
        name = tmp_path / os.fsdecode(b"caf\\xe9")
        name.write_text("x")
        name.unlink()


    @pytest.mark.interrupt_safe
    def test_error():
        class Failed(Exception):
            def __str__(self):
                return self.what

            @property
            def __class__(self):
                raise ZeroDivisionError

        try:
            sum([1])
        except KeyboardInterrupt as interrupt:
            raise Failed from interrupt


    @pytest.mark.interrupt_safe(kinds=["-path", "-cwd"])
    def test_directory():
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        shutil.rmtree(folder)
        with LOCK:
            pass


    @pytest.mark.interrupt_safe
    def test_after():
        with LOCK:
            pass
"""

LIMITS = """
    import resource
    import sys
    import threading

    import pytest

    LOCK = threading.Lock()
    SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)


    @pytest.mark.interrupt_safe
    def test_few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, HARD))
        LOCK.acquire()
        LOCK.release()
        resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD))


    @pytest.mark.interrupt_safe
    def test_no_stream():
        stream = sys.stdin
        del sys.stdin
        len("x")
        sys.stdin = stream


    @pytest.mark.interrupt_safe
    def test_none_left():
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, HARD))


    def test_more():
        resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD))


    @pytest.mark.interrupt_safe
    def test_leak():
        LOCK.acquire()
        LOCK.release()
"""

MANY = """
    import os

    import pytest


    @pytest.fixture(scope="session", autouse=True)
    def many():
        descriptors = [os.dup(0) for _ in range(1030)]
        yield
        for descriptor in descriptors:
            os.close(descriptor)
"""

PATCHED = """
    import json
    import os
    import signal
    import threading

    import pytest

    LOCK = threading.Lock()


    def broken(*_, **__):
        raise IndexError("patched")


    @pytest.mark.interrupt_safe
    def test_leaves_it_patched():
        os.getpid = os.getcwd = signal.pthread_sigmask = json.dumps = broken
        LOCK.acquire()
        LOCK.release()
"""


def test_an_error_of_ours_is_one_line_with_its_place() -> None:
    """An error of the audit itself is one line that names the error and its place, with a traceback for the bug report."""
    with pytest.raises(ValueError, match="Expecting") as caught:
        legible(json.loads("no JSON"))
    caught.value.add_note("a note\nof two lines")
    breakdown = Breakdown.of(caught.value)
    assert breakdown.reason.startswith("maskcheck itself failed: JSONDecodeError: ")
    assert "json.decoder:" in breakdown.reason
    assert breakdown.reason.count("\n") == 0
    assert breakdown.traceback.startswith("Traceback")
    assert breakdown_of(AuditBrokeError(breakdown)) is breakdown


def test_a_want_is_no_defect() -> None:
    """A lack of descriptors, memory or disk space is not reported as a defect of the audit."""
    assert Breakdown.of(OSError(24, "Too many open files")).traceback == ""
    assert "Too many open files" in Breakdown.of(OSError(24, "Too many open files")).reason
    assert Breakdown.of(OSError(2, "No such file")).traceback


def raised_in(file: str) -> Exception:
    """Return an exception that was raised by code with this file name."""
    names: dict[str, Any] = {}
    exec(compile("def broken(): raise KeyError('left behind')", file, "exec"), names)
    with pytest.raises(KeyError) as caught:
        names["broken"]()
    return caught.value


def test_what_code_of_the_test_raises_is_not_ours(tmp_path: Path) -> None:
    """An error raised by the test's own code amid the audit is attributed to the test; one raised by a library is not."""
    theirs = Breakdown.of(raised_in(str(tmp_path / "test_it.py")))
    assert theirs.reason.startswith("code of the test raised in the midst of the audit: KeyError: 'left behind', at ")
    assert theirs.traceback
    for file in (pytest.__file__, json.__file__, "<generated>"):
        assert Breakdown.of(raised_in(file)).reason.startswith("maskcheck itself failed")


def test_what_is_missing_of_the_kernels_is_no_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file of /proc is no defect of the audit if there is no /proc at all; any other missing file is."""
    missing = FileNotFoundError(2, "No such file or directory", "/proc/self/fd")
    assert Breakdown.of(missing).traceback
    monkeypatch.setattr(os, "path", SimpleNamespace(isdir=lambda _: False, isabs=os.path.isabs))
    assert Breakdown.of(missing).reason.startswith("the process cannot look at itself, as there is no /proc: ")
    assert not Breakdown.of(missing).traceback
    assert Breakdown.of(FileNotFoundError(2, "No such file", str(tmp_path))).traceback


def test_what_hinders_the_audit_is_a_reason() -> None:
    """The message of a ``HinderedError`` becomes the reason, without a traceback."""
    assert Breakdown.of(HinderedError("a tool is gone")) == Breakdown("a tool is gone", "")


def test_an_audit_that_fails_itself_fails_its_test_and_no_other(run: Run, pytester: pytest.Pytester) -> None:
    """If a kind raises in every run, each test fails with one line and no internal error, and the report is written."""
    pytester.makepyfile(test_it=LEAK)
    pytester.makeconftest(BROKEN_SNAPSHOT)
    result = run("--maskcheck", "--maskcheck-report=json:report.json")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*maskcheck itself failed: KeyError: 'seeded', at pytest_maskcheck.resources.kinds.locks:*in broken; please report this"
        ]
    )
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    audits = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))["audits"]
    assert [bool(audit["breakdown"]) for audit in audits] == [True, True]
    assert all("Traceback" in audit["error"] for audit in audits)


def test_an_error_at_one_point_costs_that_point(audit: AuditSource, pytester: pytest.Pytester) -> None:
    """After an error at one point, the other points are audited; the test fails, since one point was not audited."""
    pytester.makeconftest(BROKEN_KIND.format(when=AFTER_A_LEAK))
    (pytester.path / "test_it.py").write_text("\n".join(line[4:] for line in LEAK.splitlines()), encoding="utf-8")
    audited = audit("", "test_it.py")
    audited.result.assert_outcomes(failed=1, passed=1)
    leaking, clean = audited.audits
    assert [result.error != "" for result in leaking.results].count(True) == 1
    assert leaking.audited == len(leaking.points) - 1
    assert leaking.broken.startswith("maskcheck itself failed: KeyError")
    assert not clean.broken


@pytest.mark.oldest_and_newest
def test_an_error_of_ours_in_a_worker_of_xdist_fails_the_session(run: Run, pytester: pytest.Pytester) -> None:
    """An error of the audit itself in a worker of xdist fails the test and the session."""
    pytester.makepyfile(test_it=LEAK)
    pytester.makeconftest(BROKEN_SNAPSHOT)
    result = run("--maskcheck", "-p", "xdist", "-n2")
    result.assert_outcomes(failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n1")])
def test_hooks_find_the_item_as_in_its_call(run: Run, pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """A hook that takes a screenshot when a test fails finds the item's fixtures still set up."""
    pytester.makepyfile(WITH_PAGE)
    pytester.makeconftest(HOOK)
    result = run("--maskcheck", "-s", *options)
    result.assert_outcomes(failed=1, passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*leak: lock*"])
    if not options:
        result.stdout.fnmatch_lines(["*ARGUMENTS*page*picture*"])


@pytest.mark.oldest_and_newest
def test_a_hook_that_raises_does_not_end_the_session(run: Run, pytester: pytest.Pytester) -> None:
    """A leak is reported although another plugin's hook raises, and so is the exception of the hook."""
    pytester.makepyfile(LEAK)
    pytester.makeconftest(RAISING_HOOK)
    result = run("--maskcheck")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*leak: lock*", "*another plugin raised LookupError: the hook's own*"])


def test_what_code_files_and_objects_do_ends_no_audit(audit_folder: AuditFolder) -> None:
    """Tests with generated code, file names that are not UTF-8, broken exceptions or a removed working directory are audited."""
    folder = audit_folder({"test_cuts.py": CUTS})
    audits = {audit.test.partition("::")[2]: audit for audit in folder.audits}
    assert len(audits) == 6
    assert all(not audit.broken and audit.audited for audit in audits.values()), folder.output
    for name in ("test_generated", "test_removed"):
        assert any(reason.startswith("its source cannot be read") for reason in audits[name].not_audited)
    (left,) = audits["test_name"].failures
    assert (left.verdict, left.key) == (Verdict.LEAK, r"<tmp_path>/caf\xe9")
    assert {defect.verdict for defect in audits["test_error"].failures} == {Verdict.REPLACED}
    assert audits["test_directory"].failures == ()
    assert audits["test_after"].failures == ()


def test_limits_and_streams_of_the_test_are_read_as_it_left_them(audit_folder: AuditFolder) -> None:
    """An audit works although the test lowers the descriptor limit or deletes a stream, and reports what the interrupt left."""
    folder = audit_folder({"test_limits.py": LIMITS})
    audits = {audit.test.partition("::")[2]: audit for audit in folder.audits}
    assert all(not audit.broken for audit in audits.values()), folder.output
    kinds = {name: {defect.kind for defect in audit.failures} for name, audit in audits.items()}
    assert kinds["test_few_descriptors"] == {"rlimit", "lock"}
    assert kinds["test_no_stream"] == {"stdio"}
    assert kinds["test_leak"] == {"lock"}
    assert audits["test_none_left"].refused.startswith("the process has no room for an audit")


@pytest.mark.oldest_and_newest
def test_more_descriptors_than_select_takes(audit_folder: AuditFolder) -> None:
    """A leak is found with more than 1,024 descriptors open, the limit of ``select``."""
    folder = audit_folder({"conftest.py": MANY, "test_it.py": LEAK})
    assert [audit.broken for audit in folder.audits] == ["", ""]
    assert [len(audit.failures) for audit in folder.audits] == [1, 0]


@pytest.mark.oldest_and_newest
def test_functions_that_stay_replaced_are_not_ours(audit_folder: AuditFolder) -> None:
    """A test that leaves functions of the standard library replaced by raising ones is audited, and so is the next one."""
    folder = audit_folder({"test_it.py": PATCHED, "test_later.py": LEAK})
    assert [audit.broken for audit in folder.audits] == ["", "", ""], folder.output
    assert [{defect.kind for defect in audit.failures} >= {"lock"} for audit in folder.audits] == [True, True, False]


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize("plugin", ["capture", "tmpdir", "setuponly", "logging"])
def test_without_a_plugin_of_pytest(run: Run, pytester: pytest.Pytester, plugin: str) -> None:
    """The audit works without the plugins of pytest that can be switched off."""
    pytester.makepyfile(LEAK)
    result = run("--maskcheck", "-p", f"no:{plugin}")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*leak: lock*"])


@pytest.mark.oldest_and_newest
def test_a_report_for_which_there_is_no_room(run: Run, pytester: pytest.Pytester) -> None:
    """If the disk is full, the session reports that the report cannot be written, and exits with a usage error."""
    pytester.makepyfile(LEAK)
    result = run("--maskcheck", "--maskcheck-report=json:/dev/full")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*the report cannot be written*No space left*"])


@pytest.mark.parametrize(
    ("text", "told"),
    [("plain", "plain"), ("é", "é"), ("caf\udce9", r"caf\xe9"), ("\ud800", r"\ud800")],
)
def test_texts_that_cannot_be_encoded(text: str, told: str) -> None:
    """Text that cannot be encoded, such as undecodable bytes of a file name, is written with backslash escapes."""
    assert legible(text) == told
