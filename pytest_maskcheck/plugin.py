"""pytest's hooks that are there without ``--maskcheck``: options, marker, fixture and hooks. The rest is registered on demand."""

from __future__ import annotations

import pytest

from pytest_maskcheck import hooks, settings
from pytest_maskcheck.guarantees import maskcheck

__all__ = ["maskcheck", "pytest_addhooks", "pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register options and ini keys."""
    settings.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let other plugins implement our hooks."""
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the auditing session if it is asked for."""
    config.addinivalue_line(
        "markers",
        f"{settings.MARKER}(points, interrupts, signals, hits, max_points, timeout, strict, may_swallow, allow, kinds, include, exclude, isolation, strategy): "
        "with --maskcheck, run the test again with an interrupt at every place it reached and fail if anything is left behind",
    )
    if settings.reports(config) and not settings.wanted(config):
        message = "--maskcheck-report reports an audit: add --maskcheck"
        raise pytest.UsageError(message)
    if settings.wanted(config):
        from pytest_maskcheck.session import AuditingSession

        config.pluginmanager.register(AuditingSession(config), "maskcheck-session")
