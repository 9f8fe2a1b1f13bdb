"""The private names of pytest, pluggy and unittest that ``private.py`` uses are still there, and no other module uses any."""

from __future__ import annotations

import ast
import importlib
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _pytest.capture
import _pytest.fixtures
import _pytest.runner
import _pytest.tmpdir
import pluggy
import pytest

import pytest_maskcheck

PACKAGE = Path(pytest_maskcheck.__file__).parent
PRIVATE = PACKAGE / "session" / "private.py"

SINCE = {"failed_subtests_key": (9, 0)}
"""Names that older versions of pytest lack -> the version that introduced them; nothing needs them before."""

IMPORTED = {
    ("_pytest._code.code", "ExceptionChainRepr"): "draw the traceback of an interrupted run",
    ("_pytest._code.code", "ReprEntry"): "draw one frame of it",
    ("_pytest._code.code", "ReprFileLocation"): "name the place of a frame",
    ("_pytest._code.code", "ReprTraceback"): "draw several frames",
    ("_pytest.junitxml", "LogXML"): "add properties of a session",
    ("_pytest.junitxml", "xml_key"): "find the JUnit XML of a session",
    ("_pytest.python", "get_direct_param_fixture_func"): "tell parameters from fixtures that each run sets up",
    ("_pytest.runner", "SetupState"): "set up and tear down fixtures without the protocol",
    ("_pytest.runner", "runtestprotocol"): "run an item with all hooks",
    ("_pytest.subtests", "failed_subtests_key"): "leave subtests of repeated runs uncounted",
    ("_pytest.threadexception", "thread_exceptions"): "drop frames that exceptions in threads keep alive",
    ("_pytest.tmpdir", "tmp_path"): "recognize the fixture whose directory can be used again",
    ("_pytest.tmpdir", "tmppath_result_key"): "set up tmp_path without the protocol",
    ("_pytest.unraisableexception", "unraisable_exceptions"): "drop frames that exceptions in finalizers keep alive",
}

ATTRIBUTES = {
    "_basetemp": (_pytest.tmpdir.TempPathFactory, "give each forked process temporary directories of its own"),
    "_callTestMethod": (unittest.TestCase, "interrupt the test method, and neither setUp nor tearDown"),
    "_finalizers": (_pytest.fixtures.FixtureDef, "drop what each run adds to fixtures that outlive it"),
    "_global_capturing": (_pytest.capture.CaptureManager, "find the streams of --capture=tee-sys"),
    "_hookimpls": (pluggy.HookCaller, "silence the hooks of other plugins"),
    "_initrequest": (pytest.Function, "give an item a new fixture request"),
    "_obj": (pytest.Function, "give a test method a new instance"),
    "_other": (_pytest.capture.TeeCaptureIO, "keep --capture=tee-sys from passing output on"),
    "_report_sections": (pytest.Item, "remove what each run adds to the reports of an item"),
    "_request": (pytest.Function, "drop the fixture request of an item"),
    "_setupstate": (pytest.Session, "set up and tear down fixtures without the protocol"),
}
"""Attribute -> (the class that has it, what it is needed for)."""

OPTIONAL = {"_instance"}
"""Attributes that may be missing: only some versions of pytest cache the instance of a test method."""

BY_NAME = {
    "_tmp_path_factory": "config",
    "_excinfo": "item",
    "_fixtureinfo": "item",
    "_get_wrapped_function": "tmp_path",
    "_next_number": "config._tmp_path_factory",
}
"""Attributes that are read with ``getattr`` or from ``vars`` -> the object that has them."""


def version() -> tuple[int, ...]:
    """Return the first two numbers of pytest's version."""
    return tuple(map(int, pytest.__version__.split(".")[:2]))


def source_of(owner: type) -> str:
    """Return the source of the module that defines a class."""
    return Path(str(importlib.import_module(owner.__module__).__file__)).read_text(encoding="utf-8")


@pytest.mark.parametrize(("module", "name"), IMPORTED)
def test_an_imported_name_is_there(module: str, name: str) -> None:
    """Each name that ``private.py`` imports still exists in pytest."""
    if version() < SINCE.get(name, (0, 0)):
        pytest.skip("this version of pytest does not have it, and does not need it")
    try:
        found = hasattr(importlib.import_module(module), name)
    except ImportError:
        found = False
    need = IMPORTED[module, name]
    assert found, f"pytest {pytest.__version__} has no {module}.{name}; find another way to {need} in {PRIVATE}"


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_private_attribute_is_there(name: str) -> None:
    """The class that has each private attribute still defines or sets it."""
    owner, need = ATTRIBUTES[name]
    # Not hasattr: many of them are set on instances only.
    assert name in source_of(owner), (
        f"{owner.__module__}.{owner.__qualname__} has no {name} any more; find another way to {need} in {PRIVATE}"
    )


def test_items_have_what_is_read_by_name(request: pytest.FixtureRequest) -> None:
    """A running item has the attributes that are read with a default, as their absence would go unnoticed."""
    missing = "is gone: find another way in"
    assert hasattr(request.config, "_tmp_path_factory"), f"config._tmp_path_factory {missing} {PRIVATE}"
    assert hasattr(request.node, "_fixtureinfo"), f"item._fixtureinfo {missing} {PRIVATE}"
    fixture = importlib.import_module("_pytest.tmpdir").tmp_path
    assert hasattr(fixture, "_get_wrapped_function"), f"tmp_path._get_wrapped_function {missing} {PRIVATE}"
    counts = hasattr(_pytest.tmpdir.TempPathFactory, "_make_counted_dir")
    assert counts == hasattr(request.config._tmp_path_factory, "_next_number"), f"_next_number {missing} {PRIVATE}"
    function: Any = importlib.import_module("_pytest.unittest").TestCaseFunction
    assert hasattr(function, "_excinfo"), f"TestCaseFunction._excinfo {missing} {PRIVATE}"


def test_the_setup_state_has_its_methods() -> None:
    """``SetupState`` still has the two methods that set up and tear down fixtures."""
    for name in ("setup", "teardown_exact"):
        assert callable(getattr(_pytest.runner.SetupState, name, None)), f"SetupState.{name} is gone; see {PRIVATE}"


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import of a private module of pytest."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "_pytest":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "_pytest")


def test_all_private_names_are_checked() -> None:
    """The tables above name everything private that ``private.py`` uses."""
    assert {*imports(PRIVATE)} == {*IMPORTED}
    tree = ast.parse(PRIVATE.read_text(encoding="utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = {name for name in attributes if name.startswith("_") and not name.startswith("__")}
    assert used == {*ATTRIBUTES} | OPTIONAL
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert {text for text in texts if text.isidentifier() and text.startswith("_") and text != "_"} == {
        *BY_NAME,
        "_basetemp",
        "_other",
    }


def test_no_other_module_imports_private_modules() -> None:
    """Only ``private.py`` imports from ``_pytest``."""
    assert [path for path in PACKAGE.rglob("*.py") if [*imports(path)]] == [PRIVATE]
