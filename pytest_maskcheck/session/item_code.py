"""The code that belongs to a test: its function, without decorators and the wrappers of plugins, and the files it is written in."""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.session.private import fixtures
from pytest_maskcheck.system.own_code import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


_XUNIT = (
    *("setup_module", "teardown_module", "setup_function", "teardown_function", "setup_class", "teardown_class"),
    *("setup_method", "teardown_method", "setUpModule", "tearDownModule", "setUpClass", "tearDownClass"),
    *("setUp", "tearDown", "asyncSetUp", "asyncTearDown"),
)
"""Functions of modules and classes that pytest or ``unittest`` calls around a test."""


def own_code(item: pytest.Function) -> Iterator[CodeType]:
    """Yield the code objects of the test itself: that of its function, without decorators, and those nested in it."""
    code = body_code(item)
    return _with_nested(code) if code is not None else iter(())


def supporting_code(item: pytest.Function) -> dict[str, set[int]]:
    """Return the lines, by file, of what pytest calls for a test: its function, its fixtures, and set-up and tear-down functions."""
    functions: list[Any] = [_written(item), *(definition.func for definition in fixtures(item))]
    functions += [getattr(place, name, None) for place in (item.module, item.cls) for name in _XUNIT]
    lines: dict[str, set[int]] = {}
    for function in functions:
        code = getattr(_below_decorators(function), "__code__", None)
        for each in _with_nested(code) if isinstance(code, CodeType) else ():
            lines.setdefault(each.co_filename, set()).update(line for *_, line in each.co_lines() if line)
    for base in inspect.getmro(item.cls) if item.cls else ():  # what a class body assigns, methods may use
        module = sys.modules.get(base.__module__)
        if isinstance(file := getattr(module, "__file__", None), str):
            lines.setdefault(file, {0})
    return lines


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object, and those nested in it."""
    queue = [code]
    while queue:
        yield (code := queue.pop())
        queue += [each for each in code.co_consts if isinstance(each, CodeType)]


def body_code(item: pytest.Function) -> CodeType | None:
    """Return the code of the test function as it was written, below its decorators; ``None`` if it has none."""
    code = getattr(_written(item), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _written(item: pytest.Function) -> Any:
    """Return the function below its decorators; if hypothesis generates examples, the function that it calls with them."""
    function: Any = item.function
    return inspect.unwrap(getattr(getattr(function, "hypothesis", None), "inner_test", function))


def _below_decorators(function: Any) -> Any:
    """Return the function below its decorators, or the object itself if they form a circle."""
    try:
        return inspect.unwrap(function)
    except ValueError:
        return function


_HARNESS = {"pytest", "_pytest", "pluggy", PACKAGE, "hypothesis"}
"""Packages of the test harness."""


def own_files(item: pytest.Function) -> frozenset[str]:
    """Return the files of the test's own code: where it was collected, and where its function was written.

    The file of a function that a plugin made (a scenario of pytest-bdd, a state machine of hypothesis) is not the test's own.
    """
    code = body_code(item)
    if code is None or _package(_written(item)) in _HARNESS | _plugins(item.config):
        return frozenset({str(item.path)})
    return frozenset({str(item.path), code.co_filename})


def _package(thing: object) -> str:
    """Return the top-level package that a function, class or instance comes from, or ``""``."""
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return name.partition(".")[0] if isinstance(name, str) else ""


def plugin_modules(config: pytest.Config) -> frozenset[str]:
    """Return the names of the modules that are installed plugins of pytest."""
    plugins = (plugin for plugin, _ in config.pluginmanager.list_plugin_distinfo())
    return frozenset(plugin.__name__ for plugin in plugins if isinstance(plugin, ModuleType))


def _plugins(config: pytest.Config) -> set[str]:
    """Return the packages that the installed plugins of pytest come from."""
    return {_package(plugin) for plugin, _ in config.pluginmanager.list_plugin_distinfo()}


def imported(item: pytest.Function) -> dict[str, list[str]]:
    """Return the packages that the item's module imports from, most used first, with the files it uses of each.

    Those of the standard library and of the test harness are left out.
    """
    packages: dict[str, list[str]] = {}
    for value in [*getattr(item.module, "__dict__", {}).values()]:
        name = _module_of(value)
        module = sys.modules.get(name) if isinstance(name, str) else None
        file = module.__dict__.get("__file__") if isinstance(module, ModuleType) else None
        package = str(name).partition(".")[0]
        if isinstance(file, str) and package not in sys.stdlib_module_names and package not in _HARNESS:
            packages.setdefault(package, []).append(file)
    return dict(sorted(packages.items(), key=lambda entry: len(entry[1]), reverse=True))


def _module_of(value: object) -> object:
    """Return the name of the module that defines an object, without running its code: it may be a proxy."""
    if issubclass(type(value), ModuleType):
        return object.__getattribute__(value, "__dict__").get("__name__")
    if type(value) is FunctionType:
        return value.__module__
    kind = value if issubclass(type(value), type) else type(value)
    return type.__getattribute__(kind, "__dict__").get("__module__")
