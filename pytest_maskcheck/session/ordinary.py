"""The ordinary run of an item, the one that pytest reports, and the teardown of what it leaves set up."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.session.item_body import is_replaceable, replaced_runtest
from pytest_maskcheck.session.private import end_request, finalizers, fixtures, runtestprotocol, setup_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pytest_maskcheck.session.item_body import Body


def protocol(item: pytest.Item, *, log: bool = False) -> list[pytest.TestReport]:
    """Run the item with its parent as the next item, so that only fixtures of function scope are torn down."""
    return runtestprotocol(item, log=log, nextitem=item.parent)  # type: ignore[arg-type]  # any node will do


def let_go(item: pytest.Item) -> None:
    """In the middle of an item's setup, undo what pytest has set up so far, so that the item can be run from the start."""
    setup_state(item).teardown_exact(item.parent)  # type: ignore[arg-type]  # any node will do
    for definition in fixtures(item):
        if definition.scope == "function":  # one of them was about to be set up
            definition.cached_result = None
            finalizers(definition).clear()
    vars(item).pop("runtest", None)
    end_request(item)


def ordinary_run(
    item: pytest.Item,
    begins: Callable[[], object] = lambda: None,
    watching: AbstractContextManager[object] = nullcontext(),  # noqa: B008  (it has no state)
    *,
    log: bool = False,
) -> tuple[list[pytest.TestReport], bool]:
    """Run the item as usual, by default without logging.

    Parameters:
        item: the test.
        begins: called before its body, and after its fixtures are set up.
        watching: entered around its body.
        log: log its reports.

    Returns:
        Its reports, and whether its body ran to its end; if no body was seen, whether its call passed.
    """
    begun = completed = False

    def around(body: Body) -> None:
        nonlocal begun, completed
        begun = True
        with watching:
            body()
        completed = True

    seen = isinstance(item, pytest.Function) and is_replaceable(item)
    with replaced_runtest(item, around, begins) if seen else nullcontext():  # type: ignore[arg-type]  # a function
        reports = protocol(item, log=log)
    passed = any(report.when == "call" and report.passed for report in reports)
    return reports, completed if begun else passed


def stop_timer(item: pytest.Item) -> None:
    """Stop the timer that pytest-timeout armed for the ordinary run: the audit watches each of its runs itself."""
    cancel = getattr(item.ihook, "pytest_timeout_cancel_timer", None)
    if cancel is not None:
        cancel(item=item)


def leave(item: pytest.Item, nextitem: pytest.Item | None, reports: list[pytest.TestReport]) -> None:
    """Tear down what the next item does not need; an error becomes the teardown report."""
    call = pytest.CallInfo.from_call(
        lambda: setup_state(item).teardown_exact(nextitem),
        "teardown",
        reraise=(KeyboardInterrupt, pytest.exit.Exception),
    )
    if call.excinfo is not None and reports[-1].passed:
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
        report.sections += reports[-1].sections
        reports[-1] = report
