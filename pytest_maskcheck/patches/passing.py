"""A plugin for pytest that writes which tests pass, without auditing any.

It is loaded with ``-p`` in the copy of a project, where edits must not break a test. Output and exit status of pytest do not tell which tests
passed, and node ids do not survive in JUnit's XML.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

VARIABLE = "MASKCHECK_PASSING"
"""The environment variable with the path of the file to write."""


class _Outcomes:
    """Collects the outcomes of a session.

    Parameters:
        path: the file to write at its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed: set[str] = set()
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of a phase of a test."""
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.passed and report.when == "call":
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the ids of the tests that passed in all phases."""
        self._path.write_text(json.dumps(sorted(self._passed - self._failed)), encoding="utf-8")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch audits off, which ``addopts`` of the project may ask for, and begin to record."""
    for name in ("maskcheck", "maskcheck_all", "maskcheck_baseline_update"):
        setattr(config.option, name, False)
    for name in ("maskcheck_point", "maskcheck_report", "maskcheck_shard"):
        setattr(config.option, name, [])
    path = os.environ.get(VARIABLE)
    if path and not hasattr(config, "workerinput"):  # the controller of xdist has the reports of its workers
        config.pluginmanager.register(_Outcomes(Path(path)))
