"""Reports with audits: plain data where other plugins or processes read them."""

from __future__ import annotations

import json

CONFTEST = """
import json

def pytest_runtest_logreport(report):
    if report.when == "call":
        CONFIG.append(report)

CONFIG = []

def pytest_terminal_summary(terminalreporter, config):
    for report in CONFIG:
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        text = json.dumps(data)
        again = config.hook.pytest_report_from_serializable(config=config, data=json.loads(text))
        terminalreporter.write_line("points: %d" % len(again.maskcheck["results"]))
"""

TEST = """
import pytest

@pytest.mark.interrupt_safe
def test_it():
    len("")
    len("")
"""


def test_a_report_can_be_written_as_json(pytester, run) -> None:
    """A plugin that writes reports gets the audit as plain data."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TEST)
    run("--maskcheck", "--maskcheck-report=json:report.json").stdout.fnmatch_lines(["points: 3"])
    (audit,) = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))["audits"]
    assert len(audit["results"]) == 3
