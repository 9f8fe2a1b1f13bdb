"""The items of a session that are audited, each with its settings and scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck import settings
from pytest_maskcheck.points.reach import Reach
from pytest_maskcheck.points.scope_entries import UnknownScopeError
from pytest_maskcheck.resources import kind_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_maskcheck.session.extensions import Extensions
    from pytest_maskcheck.settings import Settings


class AuditedItems:
    """The items to audit.

    Parameters:
        config: pytest's configuration.
        common: settings of the command line and the configuration file.
        only: the id of the only point to audit, or ``""``.
        extensions: what other plugins add.
    """

    def __init__(self, config: pytest.Config, common: Mapping[str, Any], only: str, extensions: Extensions) -> None:
        self._config = config
        self._common = common
        self._only = only
        self._extensions = extensions
        self._settings: dict[str, Settings] = {}
        self._items: dict[str, pytest.Item] = {}
        # Tests with the same scope share one reading of coverage's configuration and of the installed packages.
        self._scopes: dict[tuple[tuple[str, ...], tuple[str, ...]], Reach] = {}

    def __contains__(self, item: pytest.Item) -> bool:
        return item.nodeid in self._settings

    def item(self, test: str) -> pytest.Item | None:
        """Return the item with this node id, if it is to be audited."""
        return self._items.get(test)

    def __len__(self) -> int:
        return len(self._settings)

    def check(self, items: Sequence[pytest.Item]) -> None:
        """Find the items to audit, and check their settings.

        Raises:
            pytest.UsageError: settings of one of them cannot be used.
        """
        for item in items:
            if self.wants(item):
                chosen = settings.for_item(item, self._common)
                try:
                    self.reach(chosen)
                    settings.switched(chosen.kinds, self.kinds())
                except UnknownScopeError as error:
                    message = f"{item.nodeid}: {error}"
                    raise pytest.UsageError(message) from None
                except pytest.UsageError as error:
                    message = f"{item.nodeid}: maskcheck {error}"
                    raise pytest.UsageError(message) from None
                self._settings[item.nodeid] = chosen
                self._items[item.nodeid] = item

    def settings(self, item: pytest.Item) -> Settings:
        """Return the settings of an item that is to be audited."""
        return self._settings[item.nodeid]

    def reach(self, chosen: Settings) -> Reach:
        """Return the scope for these settings.

        Raises:
            UnknownScopeError: the settings, or coverage's configuration, name something unknown.
        """
        scope = (chosen.include, chosen.exclude)
        if scope not in self._scopes:
            self._scopes[scope] = Reach(str(self._config.rootpath), *scope)
        return self._scopes[scope]

    def kinds(self) -> dict[str, bool]:
        """Return the names of all kinds, those of other plugins included, and whether each is looked for by default."""
        return kind_defaults() | {kind.name: kind.default for kind in self._extensions.kinds()}

    def wants(self, item: pytest.Item) -> bool:
        """Return whether an item would be audited."""
        marked = item.get_closest_marker(settings.MARKER) is not None
        return marked or bool(self._config.getoption("--maskcheck-all")) or bool(self._only)
