"""The audit uses its own functions, whatever tests do to those of the standard library."""

from __future__ import annotations

import fcntl
import gc
import importlib
import io
import os
import pathlib
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from textwrap import dedent
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import pytest_maskcheck
from pytest_maskcheck.results import Audit
from pytest_maskcheck.system import unpatched

if TYPE_CHECKING:
    from tests.conftest import AuditFolder

CONFTEST = """
    import sys
    import time

    import pytest


    def pytest_configure(config):
        import pytest_maskcheck.runs.isolation, pytest_maskcheck.runs.forward, pytest_maskcheck.runs.runner


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

FAKE_FILES = """
    import fcntl, io, os, pathlib, shutil, sys, tempfile
    from types import BuiltinFunctionType, FunctionType, SimpleNamespace

    import pytest

    MODULES = (fcntl, io, os, os.path, pathlib, shutil, tempfile)


    def missing(*_, **__):
        raise FileNotFoundError("it is not among the fake files")


    def is_function(value):
        return isinstance(value, (FunctionType, BuiltinFunctionType))


    @pytest.fixture
    def fake_files():
        '''Replace what deals with files as pyfakefs does: in modules (here: the plugin's), by the names that they have there.'''
        fakes = {id(value): missing for module in MODULES for value in vars(module).values() if is_function(value)}
        for module in MODULES:
            names = {name: missing if is_function(value) else value for name, value in vars(module).items()}
            fakes[id(module)] = SimpleNamespace(**names)
        replaced = [
            (module, name, value)
            for key, module in list(sys.modules.items())
            if key.startswith("pytest_maskcheck.") and key != "pytest_maskcheck.masking"
            for name, value in list(vars(module).items())
            if id(value) in fakes
        ]
        for module, name, value in replaced:
            setattr(module, name, fakes[id(value)])
        yield
        for module, name, value in replaced:
            setattr(module, name, value)
"""

AMONG_FAKE_FILES = """
    import threading

    import pytest

    LOCK = threading.Lock()
    pytestmark = pytest.mark.usefixtures("fake_files")


    @pytest.mark.interrupt_safe(kinds="-attribute")
    def test_defect_among_fake_files():
        LOCK.acquire()
        LOCK.release()


    @pytest.mark.interrupt_safe(kinds="-attribute")
    def test_clean_among_fake_files():
        with LOCK:
            pass
"""

REPLACED = (
    *(fcntl, gc, io, os, os.path, pathlib, select, shutil, signal),
    *(socket, subprocess, tempfile, threading, time),
)
"""Modules that libraries replace for tests, together with their functions wherever a module holds one by name."""

OWNERS = {module.__name__ for module in REPLACED} | {
    *("_io", "_signal", "_socket", "_thread", "genericpath", "pathlib._local", "pathlib._os", "posix"),
}
"""The modules that define the functions of those, since they import many from others."""

NOT_IMPORTED = {"__main__", "patches", *(() if hasattr(sys, "monitoring") else ("monitoring", "tools"))}
"""Modules and rooms of the package that belong to commands, or that this interpreter cannot import: no audit has them."""

BY_NAME = {
    ("interrupts.signals.handlers", "USUAL"): "a handler that others are compared with",
    ("masking", "..."): "works with what it finds, as code does that tests run",
    ("patches.command", "..."): "a command: no test runs in its process",
    ("patches.trial", "..."): "a command: no test runs in its process",
    ("resources.kinds.environ", "os"): "reads os.environ as it is",
    ("resources.kinds.interpreter_hooks", "threading"): "reads threading.excepthook as it is",
    ("resources.kinds.locks", "_LOCK"): "a type that objects are compared with",
    ("resources.kinds.locks", "_RLOCK"): "a type that objects are compared with",
}
"""Names in modules of the package that may be replaced, and why that is harmless."""


@pytest.fixture(scope="module")
def audits(audit_folder: AuditFolder) -> dict[str, Audit]:
    """Return the audits, by name, of tests with a frozen clock, with modules whose functions all raise, and with fake files."""
    folder = audit_folder({"conftest.py": CONFTEST, "test_frozen.py": FROZEN})
    broken = audit_folder({"test_broken.py": BROKEN})
    faked = audit_folder({"conftest.py": FAKE_FILES, "test_faked.py": AMONG_FAKE_FILES})
    return {audit.test.partition("::")[2]: audit for audit in (*folder.audits, *broken.audits, *faked.audits)}


def verdicts(audit: Audit) -> set[tuple[str, str]]:
    return {(str(defect.verdict), defect.kind) for defect in audit.defects}


def test_a_leak_is_found_while_the_clock_stands(audits: dict[str, Audit]) -> None:
    """While the clock is frozen, each point is audited, and only the leak is found."""
    audit = audits["test_leak"]
    assert (audit.refused, audit.not_audited, verdicts(audit)) == ("", {}, {("leak", "lock")})


def test_a_hang_is_found_while_the_clock_stands(audits: dict[str, Audit]) -> None:
    """While the clock is frozen, a run that hangs is ended in time by the audit's own clock."""
    audit = audits["test_hang"]
    assert (audit.refused, verdicts(audit)) == ("", {("hang", "process")})


def test_functions_that_raise_do_not_reach_the_audit(audits: dict[str, Audit]) -> None:
    """The verdicts are right although the interrupt leaves modules whose functions all raise."""
    audit = audits["test_it"]
    assert (audit.refused, verdicts(audit)) == ("", {("leak", "lock"), ("altered", "attribute")})
    assert all(not result.reason for result in audit.results)
    (lock,) = (defect for defect in audit.defects if defect.kind == "lock")
    assert [point.kind for point in lock.points] == ["call"]


def test_what_was_replaced_is_put_back_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within ``unpatched()`` library code finds the real functions; afterwards the replacements are back."""
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


def test_only_the_modules_that_matter_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With names, ``unpatched`` looks at these modules alone."""
    real = os.getcwd

    def fake() -> None:
        pytest.fail("called")

    monkeypatch.setattr(time, "sleep", fake)
    monkeypatch.setattr(os, "getcwd", fake)
    with unpatched.unpatched("os"):
        assert os.getcwd is real
        assert time.sleep is fake
    assert os.getcwd is fake


def test_modules_of_the_audit_that_a_test_removed_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of every room return to ``sys.modules`` as the same objects, and nothing else does."""
    names = [name for name in sys.modules if name.partition(".")[0] == "pytest_maskcheck"]
    assert {"pytest_maskcheck", "pytest_maskcheck.results", "pytest_maskcheck.system.unpatched"} <= {*names}
    modules = {name: sys.modules[name] for name in names}
    unpatched.keep_there(*names)
    for name in (*names, "colorsys"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    unpatched.put_own_back()
    assert {name: sys.modules.get(name) for name in names} == modules
    assert "colorsys" not in sys.modules


def test_what_gevent_replaced_before_is_seen_through() -> None:
    """The originals that gevent saved are used if it patched before the plugin was imported (``python -m gevent.monkey pytest``)."""
    program = """
        import sys, time, types
        real, time.sleep = time.sleep, None
        sys.modules["gevent.monkey"] = types.SimpleNamespace(saved={"time": {"sleep": real}})
        from pytest_maskcheck.system import unpatched
        assert unpatched.time.sleep is real
        assert unpatched.time.perf_counter is time.perf_counter
        assert unpatched.replaced() == ["time.sleep"]  # so that a kind which is blind has a reason to give
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
    """A test under gevent's patches is audited, and canaries do not wait forever in patched functions."""
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
    """If pytest's clock is frozen, the time of the ordinary run is measured by the audit's own clock."""
    (audit,) = audit_folder({"conftest.py": STOPPED, "test_it.py": GREEN}, "--maskcheck-timeout=1").audits
    assert (audit.refused, [defect.kind for defect in audit.failures]) == ("", ["lock"])


def test_files_that_are_faked_do_not_reach_the_audit(audits: dict[str, Audit]) -> None:
    """While file functions are faked, the audit finds a leak, and nothing in a clean test."""
    defect, clean = audits["test_defect_among_fake_files"], audits["test_clean_among_fake_files"]
    assert (defect.refused, defect.not_audited, verdicts(defect)) == ("", {}, {("leak", "lock")})
    assert (clean.refused, clean.not_audited, clean.failures) == ("", {}, ())
    assert clean.audited


def held_by_name() -> set[tuple[str, str]]:
    """Return the names in the package's modules that a library may replace when it goes through all modules."""
    owned = {id(module) for module in REPLACED}
    owned |= {id(value) for module in REPLACED for value in vars(module).values() if is_theirs(value)}
    found = set()
    for info in pkgutil.walk_packages(pytest_maskcheck.__path__, f"{pytest_maskcheck.__name__}."):
        if NOT_IMPORTED.isdisjoint(info.name.split(".")):
            names = [name for name, value in vars(importlib.import_module(info.name)).items() if id(value) in owned]
            found |= {(info.name.partition(".")[2], name) for name in names}
    return found


def is_theirs(value: object) -> bool:
    """Return whether a value is a function or a class of one of the replaced modules."""
    return callable(value) and getattr(value, "__module__", None) in OWNERS


def test_no_module_holds_what_libraries_replace_by_name() -> None:
    """No module of the package holds a name that pyfakefs or freezegun would replace; such names come from ``unpatched``."""
    assert {each for each in held_by_name() if each not in BY_NAME and (each[0], "...") not in BY_NAME} == set()


def test_names_that_may_be_replaced_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """``held_by_name`` finds a function of a module, the module itself and a class of it."""
    for name, value in {"listdir": os.listdir, "files": shutil, "Path": pathlib.Path, "opened": open}.items():
        monkeypatch.setattr(unpatched, name, value, raising=False)
    seen = {name for module, name in held_by_name() if module == "system.unpatched"}
    assert seen == {"listdir", "files", "Path", "opened"}


def test_temporary_files_are_made_where_the_real_module_makes_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Temporary files are made and removed in the real module's directory, even while the real modules cannot do so."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "_os", None)
        patch.setattr(shutil, "os", None)
        made = unpatched.tempfile.mkdtemp()
        assert os.path.dirname(made) == str(tmp_path)
        unpatched.shutil.rmtree(made)
    assert not os.path.exists(made)


def test_a_module_that_was_exchanged_is_there_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within ``unpatched()``, imports find the real module; afterwards the replacement, or its absence, is back."""
    other = ModuleType("os")
    monkeypatch.setitem(sys.modules, "os", other)
    monkeypatch.delitem(sys.modules, "pathlib")
    with unpatched.unpatched():
        assert (sys.modules["os"], sys.modules["pathlib"]) == (os, pathlib)
    assert sys.modules["os"] is other
    assert "pathlib" not in sys.modules
