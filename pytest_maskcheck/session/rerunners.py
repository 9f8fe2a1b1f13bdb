"""Plugins that run a failed test again (pytest-rerunfailures, flaky): they do so as usual, and the attempt that passes is audited.

Such a plugin implements the whole protocol of an item, and calls pytest's ``runtestprotocol`` for each attempt. While it runs the item,
that name is bound to the session's function that runs a test once and audits it. The plugin must not take a failed audit for a failed
attempt, so it gets the reports of the ordinary run.

What does not work: other plugins that implement the whole protocol (pytest-forked) are not called for audited tests. An audit made in a
process of theirs would be lost.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pluggy import HookImpl

from pytest_maskcheck.session.private import replaced_hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Attempt = Callable[[bool, pytest.Item | None], list[pytest.TestReport]]

_RERUNNERS = {"pytest_rerunfailures", "flaky"}


def made_by_others(item: pytest.Item, nextitem: pytest.Item | None, attempt: Attempt) -> bool:
    """Let a plugin that runs failed tests again run an item; return whether one did.

    Parameters:
        item: the test.
        nextitem: the test that follows.
        attempt: runs the item once; called with whether to log, and with the item that follows this attempt.
    """
    for each in reversed(item.ihook.pytest_runtest_protocol.get_hookimpls()):
        owns = each.function.__module__.partition(".")[0] in _RERUNNERS and not (each.wrapper or each.hookwrapper)
        if owns:
            with _in_place_of_pytest(item.config, attempt):
                if each.function(item=item, nextitem=nextitem):
                    return True
    return False


@contextmanager
def _in_place_of_pytest(config: pytest.Config, attempt: Attempt) -> Iterator[None]:
    """Replace ``runtestprotocol`` in the modules where such plugins look it up."""

    def runtestprotocol(
        item: pytest.Item,  # noqa: ARG001  (called like the one of pytest)
        log: bool = True,
        nextitem: pytest.Item | None = None,
    ) -> list[pytest.TestReport]:
        return attempt(log, nextitem)

    with pytest.MonkeyPatch.context() as patch:
        for module in (config.pluginmanager.get_plugin("runner"), sys.modules.get("pytest_rerunfailures")):
            if module is not None:
                patch.setattr(module, "runtestprotocol", runtestprotocol)
        yield


@contextmanager
def held_back(config: pytest.Config) -> Iterator[list[pytest.TestReport]]:
    """Yield a list that collects the reports logged meanwhile; no plugin receives them."""
    held: list[pytest.TestReport] = []

    def keep(report: pytest.TestReport) -> None:
        held.append(report)

    options: Any = dict.fromkeys(("wrapper", "hookwrapper", "optionalhook", "tryfirst", "trylast"), False)
    options["specname"] = None
    keeping = HookImpl(None, "maskcheck", keep, options)
    with replaced_hooks(config, ["pytest_runtest_logreport"], keeping):
        yield held
