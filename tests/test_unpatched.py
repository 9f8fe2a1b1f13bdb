"""The audit goes on with its own functions, whatever tests do to the standard library's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import unpatched
from pytest_maskcheck.results import Audit

if TYPE_CHECKING:
    from tests.conftest import AuditFolder

CONFTEST = """
    import sys
    import time

    import pytest


    def pytest_configure(config):
        import pytest_maskcheck.isolation, pytest_maskcheck.snapshots, pytest_maskcheck.run


    @pytest.fixture(scope="session", autouse=True)
    def frozen():
        '''Freeze the clock, as freezegun does: in all modules that hold one of its functions.'''
        fakes = {id(vars(time)[name]): lambda: 0.0 for name in ("time", "monotonic", "perf_counter")}
        fakes[id(time.sleep)] = lambda seconds: None
        replaced = [
            (module, name, value)
            for key, module in list(sys.modules.items())
            if not key.startswith(("_pytest", "threading"))
            for name, value in list(getattr(module, "__dict__", {}).items())
            if id(value) in fakes
        ]
        for module, name, value in replaced:
            setattr(module, name, fakes[id(value)])
        yield
        for module, name, value in replaced:
            setattr(module, name, value)
"""

FROZEN = """
    import threading
    import time

    import pytest

    LOCK = threading.Lock()


    @pytest.mark.interrupt_safe(kinds="-attribute")
    def test_leak():
        LOCK.acquire()
        LOCK.release()


    @pytest.mark.interrupt_safe(timeout=1, kinds="-attribute")
    def test_hang():
        assert time.monotonic() == 0.0
        try:
            len("x")
        except KeyboardInterrupt:
            while True:
                pass
"""

BROKEN = """
    import builtins, gc, os, select, signal, threading, time
    from types import BuiltinFunctionType, FunctionType

    import pytest

    LOCK = threading.Lock()
    MODULES = (gc, os, os.path, select, signal, threading, time)


    def broken(*_, **__):
        raise IndexError("patched")


    def functions(module):
        return {
            name: value
            for name, value in vars(module).items()
            if isinstance(value, (FunctionType, BuiltinFunctionType)) and not name.startswith("_")
        }


    KEPT = [(vars(module), functions(module)) for module in MODULES]
    KEPT.append((vars(builtins), {"open": open, "input": input, "print": print}))


    @pytest.mark.interrupt_safe
    def test_it():
        for names, kept in KEPT:
            names.update(dict.fromkeys(kept, broken))
        LOCK.acquire()
        LOCK.release()
        for names, kept in KEPT:
            names.update(kept)
"""


@pytest.fixture(scope="module")
def audits(audit_folder: AuditFolder) -> dict[str, Audit]:
    """The audits by name: of two tests under a clock that is frozen for the session, and of one that breaks whole modules."""
    folder = audit_folder({"conftest.py": CONFTEST, "test_frozen.py": FROZEN})
    broken = audit_folder({"test_broken.py": BROKEN})
    return {audit.test.partition("::")[2]: audit for audit in (*folder.audits, *broken.audits)}


def verdicts(audit: Audit) -> set[tuple[str, str]]:
    return {(str(defect.verdict), defect.kind) for defect in audit.defects}


def test_a_leak_is_found_while_the_clock_stands(audits: dict[str, Audit]) -> None:
    """Each point is audited, and nothing but the leak is found."""
    audit = audits["test_leak"]
    assert (audit.refused, audit.not_audited, verdicts(audit)) == ("", {}, {("leak", "lock")})


def test_a_hang_is_found_while_the_clock_stands(audits: dict[str, Audit]) -> None:
    """A run that does not end is ended when its time is up, by a clock that runs."""
    audit = audits["test_hang"]
    assert (audit.refused, verdicts(audit)) == ("", {("hang", "process")})


def test_functions_that_raise_do_not_reach_the_audit(audits: dict[str, Audit]) -> None:
    """Where every function of the modules raises, also after the interrupt, the true verdicts come out: leak, and altered."""
    audit = audits["test_it"]
    assert (audit.refused, verdicts(audit)) == ("", {("leak", "lock"), ("altered", "attribute")})
    assert all(not result.reason for result in audit.results)
    (lock,) = (defect for defect in audit.defects if defect.kind == "lock")
    assert [point.kind for point in lock.points] == ["call"]


def test_what_was_replaced_is_put_back_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within ``unpatched()`` library code finds the real functions; afterwards the replaced ones are there again."""
    real = time.sleep

    def fake(_: float) -> None:
        pytest.fail("called")

    monkeypatch.setattr(time, "sleep", fake)
    monkeypatch.setattr(os.path, "exists", fake)
    with unpatched.unpatched():
        assert time.sleep is real
    assert time.sleep is fake
    assert unpatched.time.sleep is real
    assert unpatched.os.path.exists(__file__)


def test_what_gevent_replaced_before_is_seen_through() -> None:
    """``python -m gevent.monkey pytest`` patches first of all; gevent keeps what it replaced."""
    program = """
        import sys, time, types
        real, time.sleep = time.sleep, None
        sys.modules["gevent.monkey"] = types.SimpleNamespace(saved={"time": {"sleep": real}})
        from pytest_maskcheck import unpatched
        assert unpatched.time.sleep is real
        assert unpatched.time.perf_counter is time.perf_counter
    """
    subprocess.run([sys.executable, "-c", dedent(program)], check=True, env={**os.environ, "PYTHONPATH": os.getcwd()})


GREEN = """
    import threading
    import pytest

    LOCK = threading.Lock()

    @pytest.mark.interrupt_safe
    def test_green():
        LOCK.acquire()
        LOCK.release()
"""


def test_a_test_under_gevents_patches_is_audited(audit_folder: AuditFolder) -> None:
    """On the main thread, whatever number gevent gives that; kinds whose canaries meet its patches do not wait for ever."""
    pytest.importorskip("gevent")
    (audit,) = audit_folder(
        {"conftest.py": "import gevent.monkey\ngevent.monkey.patch_all()\n", "test_green.py": GREEN}
    ).audits
    assert (audit.refused, audit.audited, len(audit.points)) == ("", len(audit.points), audit.audited)
    assert audit.audited > 1


STOPPED = """
    import time
    import pytest
    from _pytest import timing

    @pytest.fixture(autouse=True, scope="session")
    def stopped():
        patch = pytest.MonkeyPatch()
        patch.setattr(timing, "perf_counter", lambda: 0.0)
        patch.setattr(timing, "time", lambda: 0.0)
        yield
        patch.undo()
"""


def test_a_stopped_clock_of_pytests_does_not_shorten_limits(audit_folder: AuditFolder) -> None:
    """The time that the ordinary run took is measured by the audit's own clock then."""
    (audit,) = audit_folder({"conftest.py": STOPPED, "test_it.py": GREEN}, "--maskcheck-timeout=1").audits
    assert (audit.refused, [defect.kind for defect in audit.failures]) == ("", ["lock"])
