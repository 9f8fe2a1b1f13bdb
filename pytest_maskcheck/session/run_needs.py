"""How much of pytest a repeated run of an item needs: its whole protocol, its fixtures, or neither.

Most of the cost of the protocol is pytest's own: reports, captured output, log records, hooks. So the protocol is used only where another
plugin takes part in each run, or a fixture that works between the protocol's hooks does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_maskcheck.session.generated_examples import is_generated
from pytest_maskcheck.session.private import (
    arguments,
    fixtures,
    get_direct_param_fixture_func,
    is_unittest,
    tmp_path_fixture,
)

if TYPE_CHECKING:
    import pytest

_RUN_HOOKS = ("pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown")

INDIFFERENT = ("_pytest", "pytest_timeout")
"""Packages whose hooks a run can do without: :mod:`.target` makes up for those of pytest, and the audit has its own time limits."""

_HYPOTHESIS = "_hypothesis_pytestplugin"
"""The package of hypothesis' plugin."""

_NEED_PROTOCOL = {"caplog", "subtests"}
"""Fixtures that work only between the hooks of pytest itself."""


def needs_protocol(item: pytest.Function) -> bool:
    """Return whether each run of an item needs pytest's whole protocol."""
    if is_unittest(item) or not _NEED_PROTOCOL.isdisjoint(item.fixturenames):
        return True
    implementations = [each for name in _RUN_HOOKS for each in getattr(item.ihook, name).get_hookimpls()]
    if any(_takes_part(each.function.__module__.partition(".")[0], item) for each in implementations):
        return True
    plugin: Any = item.config.pluginmanager.get_plugin("logging-plugin")
    return plugin is not None and (plugin.log_level is not None or plugin.log_cli_level is not None)


def _takes_part(package: str, item: pytest.Function) -> bool:
    """Return whether the hooks of a package do something in each run of an item."""
    if package == _HYPOTHESIS:  # for other tests, it sets what it has already set in the ordinary run
        return is_generated(item)
    return package not in INDIFFERENT


def has_fresh(item: pytest.Function) -> bool:
    """Return whether an item has fixtures that are set up for each run, or may request some while it runs."""
    return "request" in item.fixturenames or any(
        definition.scope == "function" and definition.func is not get_direct_param_fixture_func
        for definition in fixtures(item)
    )


def has_only_directory(item: pytest.Function) -> bool:
    """Return whether pytest's own ``tmp_path`` is the only fixture that is set up for each run of an item."""
    fresh = [
        definition
        for definition in fixtures(item)
        if definition.scope == "function" and definition.func is not get_direct_param_fixture_func
    ]
    # ``item.fixturenames`` has ``request`` as well: ``tmp_path`` itself requests it.
    return "request" not in arguments(item) and [each.func for each in fresh] == [tmp_path_fixture]
