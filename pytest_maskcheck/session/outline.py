"""The part of an audit that follows from its order before anything is run: test, scope, engine and isolation."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.points.ids import Names
from pytest_maskcheck.reasons import Reason
from pytest_maskcheck.results import Audit
from pytest_maskcheck.session import command_line
from pytest_maskcheck.session.item_code import imported, own_files

if TYPE_CHECKING:
    from pytest_maskcheck.session.order import Order

_INTERPRETER = f"{platform.python_implementation()} {platform.python_version()}"


def outline(order: Order, **rest: Any) -> Audit:
    """Return an audit with the fields that follow from the order alone, and with those in ``rest``."""
    names = Names(str(order.item.config.rootpath))
    own = own_files(order.item) if isinstance(order.item, pytest.Function) else frozenset[str]()
    used = imported(order.item) if isinstance(order.item, pytest.Function) else {}
    return Audit(
        own=tuple(sorted(map(names.short, own))),
        unaudited=tuple(
            name
            for name, files in used.items()
            if not own.issuperset(files) and not any(map(order.reach.covers, files))
        ),
        test=order.item.nodeid,
        engine=order.mechanism.engine.name,
        isolation=Reason(order.isolation, why=order.why),
        mode=order.settings.points,
        interpreter=_INTERPRETER,
        options=command_line.options(order.item.config),
        unmeasured={**order.reach.scope.unmeasured},
        shard=order.session_shard,
        **rest,
    )
