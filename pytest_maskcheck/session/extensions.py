"""Call maskcheck's hooks in other plugins one by one, so that a plugin that fails is named and the results of the others count."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.reasons import NotAudited, Note, Reason
from pytest_maskcheck.resources import RESERVED, UserKind, kind_names
from pytest_maskcheck.system.plain import described, is_text, plain, quoted, type_name
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pluggy

    from pytest_maskcheck.resource import Resource
    from pytest_maskcheck.results import Audit, Point

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_METHODS = ("snapshot", "describe", "repair")

RESOURCES = "pytest_maskcheck_resources"
POINTS = "pytest_maskcheck_points"
AUDITED = "pytest_maskcheck_audited"


class Extensions:
    """What other plugins add to the audits of a session.

    Parameters:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._resources: list[tuple[Resource, str]] | None = None
        self._complaints: list[Reason] = []

    def kinds(self) -> tuple[UserKind, ...]:
        """Return a new kind for each resource of other plugins, the cheap ones first."""
        if self._resources is None:
            self._resources = sorted(self._collected(), key=lambda pair: pair[0].cost)
        return tuple(UserKind(resource, plugin) for resource, plugin in self._resources)

    def complaints(self) -> tuple[str, ...]:
        """Return what is wrong with the resources of other plugins, one sentence each."""
        self.kinds()
        return tuple(self._complaints)

    def _collected(self) -> Iterator[tuple[Resource, str]]:
        taken = {*kind_names(), *RESERVED}
        for plugin, caller in self._callers(RESOURCES, self._config.hook):
            answer, failure = _called(caller, config=self._config)
            if failure:
                self._complain(plugin, failure, "repair it")
                continue
            if answer is not None and not issubclass(type(answer), (list, tuple)):
                self._complain(plugin, f"returned {_kind_of(answer)}", "return a list of resources")
                continue
            for resource in _items(answer):
                what, remedy = _checked(resource, taken)
                if what:
                    self._complain(plugin, f"returned {what}", remedy)
                else:
                    taken.add(resource.name)
                    yield resource, plugin

    def _complain(self, plugin: str, what: str, remedy: str) -> None:
        self._complaints.append(_failed(plugin, RESOURCES, what, remedy))

    def remove(self, item: pytest.Item, points: list[Point]) -> tuple[list[Point], dict[Reason, int], list[Reason]]:
        """Return the points that no plugin removes, the number of removed points for each reason, and what went wrong."""
        removed: dict[Reason, int] = {}
        complaints: list[Reason] = []
        for plugin, caller in self._callers(POINTS, item.ihook):
            offered = list(points)
            answer, failure = _called(caller, item=item, points=offered)
            if failure:
                complaints.append(_failed(plugin, POINTS, failure, "repair it"))
                continue
            if answer is not None:
                what = f"returned {_kind_of(answer)}"
                complaints.append(_failed(plugin, POINTS, what, "remove points from the list in place"))
            kept = {id(point) for point in offered}
            added = kept - {id(point) for point in points}
            if added or len(offered) > len(kept):
                complaints.append(_failed(plugin, POINTS, "added to the list", "points can only be removed"))
            if count := sum(id(point) not in kept for point in points):
                removed[Reason(NotAudited.REMOVED, plugin=plugin)] = count
            points = [point for point in points if id(point) in kept]
        return points, removed, complaints

    def tell(self, item: pytest.Item, audit: Audit) -> tuple[str, ...]:
        """Pass an audit to the plugins that implement the hook; return what went wrong."""
        complaints = []
        for plugin, caller in self._callers(AUDITED, item.ihook):
            _, failure = _called(caller, item=item, audit=audit)
            if failure:
                complaints.append(_failed(plugin, AUDITED, failure, "repair it"))
        return tuple(complaints)

    def _callers(self, name: str, hooks: Any) -> Iterator[tuple[str, pluggy.HookCaller]]:
        """Yield each plugin that implements a hook, in pytest's calling order, with a caller of that plugin alone."""
        manager = self._config.pluginmanager
        everyone = [one.plugin for one in getattr(self._config.hook, name).get_hookimpls()]
        for implementation in reversed(getattr(hooks, name).get_hookimpls()):
            if not (implementation.wrapper or implementation.hookwrapper):
                others = [plugin for plugin in everyone if plugin is not implementation.plugin]
                yield self._name(implementation.plugin), manager.subset_hook_caller(name, others)

    def _name(self, plugin: object) -> str:
        name = self._config.pluginmanager.get_name(plugin) or ""
        if not name or name.isdigit():
            return type(plugin).__qualname__
        root = str(self._config.rootpath)
        return os.path.relpath(name, root) if name.startswith(root + os.sep) else name


def _called(caller: pluggy.HookCaller, **arguments: object) -> tuple[Any, str]:
    """Return the result of the only implementation (``None`` if it has none), and how it failed, or ``""``."""
    try:
        answers = caller(**arguments)
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:  # noqa: BLE001  (somebody else's code, which may exit or skip, too)
        return None, f"raised {described(error)}"
    return (answers[0] if answers else None), ""


def _items(answer: Any) -> list[Any]:
    """Return the items of a list or tuple, without calling methods of a subclass."""
    if answer is None:
        return []
    return list(list.__iter__(answer) if issubclass(type(answer), list) else tuple.__iter__(answer))


def _checked(resource: Any, taken: set[str]) -> tuple[str, str]:
    """Return what is wrong with a resource, and what to do about it; both are ``""`` if it can be used."""
    try:
        return _wrong(resource, taken)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (its name, cost or a method may be a property that raises)
        return f"{_kind_of(resource)} that raised {described(error)}", "repair it"


def _wrong(resource: Any, taken: set[str]) -> tuple[str, str]:
    what = _kind_of(resource)
    name, cost = getattr(resource, "name", None), getattr(resource, "cost", None)
    if issubclass(type(resource), type):
        return f"the class {resource.__qualname__}", "return an object of it"
    if not is_text(name) or not _NAME.fullmatch(name):
        return f"{what} with the name {quoted(name)}", "give it a name of letters, digits, _ and -"
    if name in taken:
        return f"a resource named {name}, a name that is taken", "give it another name"
    if not _is_cost(cost):
        return f"the resource {name} with the cost {quoted(cost)}", "give it the microseconds that one snapshot takes"
    if missing := [method for method in _METHODS if not callable(getattr(resource, method, None))]:
        return f"the resource {name} without {missing[0]}()", "see pytest_maskcheck.resource.Resource"
    return "", ""


def _is_cost(value: object) -> bool:
    try:
        number = plain(value)
    except ValueError:
        return False
    return isinstance(number, (int, float)) and not isinstance(number, bool) and number >= 0


def _kind_of(thing: object) -> str:
    return f"an object of type {type_name(thing)}"


def _failed(plugin: str, hook: str, what: str, remedy: str) -> Reason:
    return Reason(Note.HOOK_FAILED, hook=hook, plugin=plugin, what=what, remedy=remedy)
