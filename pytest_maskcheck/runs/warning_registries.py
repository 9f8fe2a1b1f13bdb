"""What the warnings module keeps in other modules: which warnings were shown, so that most are shown once per place.

It is a cache of Python's, and no state of the module that it lies in. A run that warns elsewhere than usual (at another line, or after
the filters were changed) leaves it changed, and broke nothing. So it is put back, as if the run had been made in another process; what
is compared is the rest. The filters themselves are watched by a kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME = "__warningregistry__"


class WarningRegistries:
    """The registries of some modules, and their content."""

    def __init__(self) -> None:
        self._known: list[tuple[dict[str, Any], object, dict[object, object]]] = []

    def take(self, namespaces: Iterable[Mapping[str, object]]) -> None:
        """Record the registries in the namespaces of these modules."""
        self._known = []
        for names in namespaces:
            if type(names) is dict:
                registry = names.get(_NAME)
                self._known.append((names, registry, dict(registry) if type(registry) is dict else {}))

    def put_back(self) -> bool:
        """Restore what was recorded; return whether anything was different."""
        changed = False
        for names, registry, content in self._known:
            now = names.get(_NAME)
            if now is registry and (type(now) is not dict or now == content):
                continue
            changed = True
            if registry is None:
                names.pop(_NAME, None)
            else:
                names[_NAME] = registry
            if type(registry) is dict:
                registry.clear()
                registry.update(content)
        return changed
