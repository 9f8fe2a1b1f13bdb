"""The session among others that keep results in one file: which session it continues, and whether it ran all its tests."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.session.earlier import Earlier, open_store
from pytest_maskcheck.system.unpatched import os, time

if TYPE_CHECKING:
    from pytest_maskcheck.session.audited_items import AuditedItems
    from pytest_maskcheck.settings import SessionSettings

_INPUT = "maskcheck_session"
"""Key of the session's name in the input of a worker of xdist."""


class Keeping:
    """Keeps the results of this session, and finds those of earlier ones.

    Parameters:
        config: pytest's configuration.
        items: the tests to audit.
        chosen: settings of the session.
        whole: all points of each test are to be audited; the results of a part are neither kept nor replaced by earlier ones.

    Attributes:
        earlier: the results of earlier sessions; ``None``: none are kept.
        all_run: all tests of the session were run.

    Raises:
        pytest.UsageError: the file of results cannot be used, or the settings contradict each other.
    """

    def __init__(self, config: pytest.Config, items: AuditedItems, chosen: SessionSettings, *, whole: bool) -> None:
        self._chosen = chosen
        self.all_run = False
        self.earlier: Earlier | None = None
        self._name = ""
        self._continues = False
        self._store = open_store(config, chosen) if whole else None
        _check(config, chosen)
        if self._store is None:
            return
        given: dict[str, str] = getattr(config, "workerinput", {})
        self._is_worker = bool(given)
        try:
            self._name = given.get(_INPUT) or self._begin()
        except sqlite3.Error:
            self._store = None
            return
        reads = chosen.changed or chosen.resume
        self.earlier = Earlier(config, items, self._store, chosen, self._name, reads=reads)

    def _begin(self) -> str:
        """Begin a session, or continue the last one; return its name."""
        assert self._store is not None
        last = self._store.interrupted() if self._chosen.resume else None
        self._continues = last is not None
        if last is not None:
            return last
        name = f"{time.time():.6f}-{os.getpid()}"
        self._store.begin(name)
        return name

    def configure(self, node: Any) -> None:
        """Pass the session's name to a worker of xdist."""
        if self._name:
            node.workerinput[_INPUT] = self._name

    def header(self) -> list[str]:
        """Return header lines on which results are used."""
        if self._store is None or not (self._chosen.changed or self._chosen.resume):
            return []
        lines = []
        if self._chosen.changed:
            lines.append(f"maskcheck: only what changed; results are kept in {self._store.path}")
        if self._chosen.resume:
            found = "goes on" if self._continues else "was not interrupted: there is nothing to resume"
            lines.append(f"maskcheck: the last session {found}")
        return lines

    def close(self) -> None:
        """Write what is known at the end of the session."""
        if self.earlier is not None and self._store is not None:
            self.earlier.close()
            if self.all_run and not self._is_worker:
                with suppress(sqlite3.Error):
                    self._store.end(self._name)

    def complaints(self) -> list[str]:
        """Return what the user should know about the file of results."""
        return [self.earlier.complaint] if self.earlier is not None and self.earlier.complaint else []


def _check(config: pytest.Config, chosen: SessionSettings) -> None:
    wanted = next((f"--maskcheck-{name}" for name in ("changed", "resume") if getattr(chosen, name)), "")
    if wanted and config.getoption("--maskcheck-shard"):
        message = (
            f"--maskcheck-shard divides the points of a test, and {wanted} needs whole audits: leave one of them out"
        )
        raise pytest.UsageError(message)
