"""Hostile objects, files and functions that code under test leaves: the audit runs none of their code, and none ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.results import Verdict

if TYPE_CHECKING:
    from pytest_maskcheck.results import Audit
    from tests.conftest import AuditFolder, Run

OBJECTS = """
    import sys
    import threading

    import pytest

    LOCK = threading.Lock()


    class Hiding:
        @property
        def __dict__(self):
            raise LookupError("asked for its attributes")

        @property
        def __class__(self):
            raise LookupError("asked for its class")


    class Asked(type):
        def __eq__(cls, other):
            raise LookupError("asked whether it is equal")

        def __hash__(cls):
            raise LookupError("asked for a hash")


    class Worker(threading.Thread, metaclass=Asked):
        pass


    class Closed(type):
        def __getattribute__(cls, name):
            raise LookupError("asked for an attribute")


    class Thing(metaclass=Closed):
        pass


    class Endless(Exception):
        def __str__(self):
            while True:
                pass


    HIDDEN = {"it": Hiding()}


    def leak():
        LOCK.acquire()
        LOCK.release()


    @pytest.mark.interrupt_safe
    def test_namespace():
        leak()


    @pytest.mark.interrupt_safe
    def test_metaclass():
        worker = Worker(target=len, args=("x",))
        worker.start()
        worker.join()
        leak()


    @pytest.mark.interrupt_safe
    def test_called():
        thing = Thing()
        leak()


    @pytest.mark.interrupt_safe(timeout=1)
    def test_text():
        try:
            len("x")
        except KeyboardInterrupt:
            raise Endless


    @pytest.mark.interrupt_safe
    def test_module():
        sys.modules["no_module"] = HIDDEN["it"]
        leak()
"""

FUNCTIONS = """
    import pickle
    import sys
    import threading
    import warnings

    import pytest

    LOCK = threading.Lock()
    FORMER = sys.getrecursionlimit, warnings._filters_mutated, pickle.dumps


    def broken(*_, **__):
        raise IndexError("replaced")


    @pytest.mark.interrupt_safe
    def test_functions():
        sys.getrecursionlimit = warnings._filters_mutated = pickle.dumps = broken
        LOCK.acquire()
        LOCK.release()
        sys.getrecursionlimit, warnings._filters_mutated, pickle.dumps = FORMER


    def deep(number):
        return number and deep(number - 1)


    @pytest.mark.interrupt_safe
    def test_recursion_limit():
        before = sys.getrecursionlimit()
        frame, depth = sys._getframe(), 0
        while frame is not None:
            frame, depth = frame.f_back, depth + 1
        sys.setrecursionlimit(depth + (12 if sys.version_info >= (3, 12) else 80))  # the tracer of 3.11 needs some
        LOCK.acquire()
        LOCK.release()
        sys.setrecursionlimit(before)
        deep(100)
"""

FILES = """
    import pathlib

    import pytest

    FOLDER = pathlib.Path(__file__).parent
    CODE = "def hook(text):\\n    return len(text)\\n"


    @pytest.mark.interrupt_safe(kinds="-path")
    @pytest.mark.parametrize(
        "content",
        [
            b"x = '\\xe9'\\n",
            CODE.encode("utf-16"),
            b"# coding: no-such-encoding\\n",
            b"# coding: rot13\\n",
            b"\\0" * 9,
            b"(" * 500,
        ],
        ids=["latin", "utf16", "unknown", "rot13", "null", "deep"],
    )
    def test_source(content):
        path = FOLDER / "generated.py"
        path.write_bytes(content)
        names = {}
        exec(compile(CODE, str(path), "exec"), names)
        assert names["hook"]("x") == 1
"""

IMPORTS = """
    import builtins
    import decimal
    import sys
    import threading

    import pytest

    LOCK = threading.Lock()
    MODULES = dict(sys.modules)
    KEPT = {"builtins", "sys", "__main__", __name__}
    IMPORT = builtins.__import__


    def refusing(*_, **__):
        raise ImportError("nothing is imported")


    @pytest.mark.interrupt_safe
    def test_refused():
        builtins.__import__ = refusing
        LOCK.acquire()
        LOCK.release()
        builtins.__import__ = IMPORT


    @pytest.mark.interrupt_safe(max_points=12)
    def test_removed():
        decimal.getcontext()
        for name in [name for name in sys.modules if name not in KEPT]:
            del sys.modules[name]
        LOCK.acquire()
        LOCK.release()
        sys.modules.update(MODULES)


    @pytest.mark.interrupt_safe
    def test_after():
        LOCK.acquire()
        LOCK.release()
"""

TABLES = """
    import sys
    import threading

    import pytest

    LOCK = threading.Lock()


    def leak():
        LOCK.acquire()
        LOCK.release()


    # 3.11 reads on behind an empty table, which gives random lines; there, each byte says "no location" of up to eight units.
    UNITS = len(leak.__code__.co_code) // 2
    NO_LOCATION = b"\\xff" * (UNITS // 8) + bytes([0xF7 + UNITS % 8] * bool(UNITS % 8))
    TABLE = b"" if sys.version_info >= (3, 12) else NO_LOCATION
    leak.__code__ = leak.__code__.replace(co_linetable=TABLE)


    @pytest.mark.interrupt_safe
    def test_without_lines():
        leak()
"""

ITEMS = """
    import pytest


    class Own(pytest.Function):
        @property
        def runtest(self):
            return super().runtest


    class Silent(pytest.Function):
        def repr_failure(self, excinfo, style=None):
            raise LookupError("no failure is drawn")


    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(collector, name, obj):
        kinds = {"test_leak": Silent, "test_clean": Own}
        return [kinds[name].from_parent(collector, name=name)] if name in kinds else None
"""

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
        with LOCK:
            pass
"""

HOOK = """
    import pytest


    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        if report.failed:
            {instead}
        return report
"""

TOOLS = """
    import sys
    import threading

    import pytest

    LOCK = threading.Lock()


    @pytest.mark.interrupt_safe
    def test_frees_its_tools():
        for tool in 3, 4:
            if sys.monitoring.get_tool(tool) is not None:
                sys.monitoring.set_events(tool, 0)
                sys.monitoring.free_tool_id(tool)
        with LOCK:
            pass


    @pytest.mark.interrupt_safe
    def test_after():
        LOCK.acquire()
        LOCK.release()
"""


def audits_of(folder_of: AuditFolder, source: str) -> dict[str, Audit]:
    """Audit the tests of a source, and assert that no audit itself failed."""
    folder = folder_of({"test_it.py": source})
    for audit in folder.audits:
        assert not audit.broken, folder.output
    return {audit.test.partition("::")[2]: audit for audit in folder.audits}


def verdicts(audit: Audit) -> set[tuple[Verdict, str]]:
    """Return the verdict and the kind of each failure."""
    return {(defect.verdict, defect.kind) for defect in audit.failures}


def test_objects_are_not_asked(audit_folder: AuditFolder) -> None:
    """A leak is found beside objects whose methods all raise; an exception whose ``__str__`` never returns is a hang."""
    found = audits_of(audit_folder, OBJECTS)
    for name in ("namespace", "metaclass", "called", "module"):
        audit = found[f"test_{name}"]
        assert (Verdict.LEAK, "lock") in verdicts(audit), name
        assert not any("raised" in reason for reason in audit.not_audited), name
    assert {verdict for verdict, _ in verdicts(found["test_text"])} == {Verdict.HANG}


def test_functions_and_limits_that_stay_are_the_tests(audit_folder: AuditFolder) -> None:
    """A leak is found although the interrupt leaves functions replaced or the recursion limit low, and the limit is reported."""
    found = audits_of(audit_folder, FUNCTIONS)
    assert (Verdict.LEAK, "lock") in verdicts(found["test_functions"])
    limited = verdicts(found["test_recursion_limit"])
    assert {(Verdict.LEAK, "lock"), (Verdict.ALTERED, "interpreter")} <= limited


@pytest.mark.oldest_and_newest
def test_files_that_are_no_python_are_out_of_scope(audit_folder: AuditFolder) -> None:
    """A test is audited although the source of some code cannot be read; points in that code are not, with the reason."""
    found = audits_of(audit_folder, FILES)
    assert len(found) == 6
    for audit in found.values():
        assert audit.audited
        assert not audit.failures
        assert any(reason.startswith("its source cannot be read") for reason in audit.not_audited), audit.not_audited


@pytest.mark.skipif(not facts.HAS_MONITORING, reason="there are no tools before CPython 3.12")
@pytest.mark.oldest_and_newest
def test_a_tool_that_is_freed_ends_the_audit_of_that_test(audit_folder: AuditFolder) -> None:
    """If a test frees the audit's tool of ``sys.monitoring``, its audit is refused with that reason, and the next test is audited."""
    found = audits_of(audit_folder, TOOLS)
    assert "of sys.monitoring, by which it is watched" in found["test_frees_its_tools"].refused
    assert (Verdict.LEAK, "lock") in verdicts(found["test_after"])


def test_modules_that_are_gone_are_not_missed(audit_folder: AuditFolder) -> None:
    """A test that makes imports fail, or removes all modules, is audited, and so is the next one."""
    found = audits_of(audit_folder, IMPORTS)
    assert [(Verdict.LEAK, "lock") in verdicts(audit) for audit in found.values()] == [True, True, True]


@pytest.mark.oldest_and_newest
def test_code_without_lines_is_audited(audit_folder: AuditFolder) -> None:
    """Code without line numbers is audited."""
    (audit,) = audits_of(audit_folder, TABLES).values()
    assert audit.audited


@pytest.mark.oldest_and_newest
def test_items_of_other_plugins_are_audited_or_refused(run: Run, pytester: pytest.Pytester) -> None:
    """A failing item whose ``repr_failure`` raises is reported; one whose ``runtest`` is a property is not audited, with the reason."""
    pytester.makepyfile(LEAK)
    pytester.makeconftest(ITEMS)
    result = run("--maskcheck")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*leak: lock*", "*raised LookupError: no failure is drawn*"])
    result.stdout.fnmatch_lines(["*runtest of Own is a property*"])


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize(
    ("instead", "told"), [("pytest.skip('not now')", "Skipped: not now"), ("raise SystemExit(3)", "SystemExit: 3")]
)
def test_a_hook_that_leaves_does_not_end_the_session(
    run: Run, pytester: pytest.Pytester, instead: str, told: str
) -> None:
    """A leak is reported together with the exception of another plugin's hook, and the next test is audited."""
    pytester.makepyfile(LEAK)
    pytester.makeconftest(HOOK.format(instead=instead))
    result = run("--maskcheck")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*leak: lock*", f"*another plugin raised {told}*", "*2 tests audited*"])
