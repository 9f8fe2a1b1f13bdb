"""Fixtures shared by the tests beside plugins: a session loads the plugins that a test names, and no others.

``.ci/compat`` runs these tests, with the versions of plugins that ``pyproject.toml`` names and ``docs/compatibility.md`` lists.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.results import Audit, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compat.conftest import RunModule

Beside = Callable[..., "Session"]
"""``beside("pytest-mock pytest-cov", SOURCE, "--cov", files={"conftest.py": text})``: audit a source beside these plugins."""

IS_STRICT = pytest.version_tuple >= (9,)
"""Whether pytest has ``strict = true`` (since 9); every session beside a plugin sets it then."""

_BUILT_IN = {"pytest-subtests"} if IS_STRICT else set()
_SHOP = '''
    """What the tests of all plugins test."""

    import threading

    LOCK = threading.Lock()


    def leaky(number=1):
        """Return the number; an interrupt after ``acquire`` leaves the lock held."""
        LOCK.acquire()
        try:
            return number
        finally:
            LOCK.release()


    def clean(number=1):
        """Return the number, and hold nothing meanwhile."""
        total = 0
        for _ in range(number):
            total += len("a")
        return total
'''


@dataclass(frozen=True)
class Session:
    """A pytest session that audited beside other plugins.

    The name of a test determines what is expected: one that contains ``defect`` loses a lock, one that contains ``clean`` passes.
    """

    place: Path
    output: str
    status: int
    audits: Mapping[str, Audit]

    def is_right(self, *expected: str) -> None:
        """Assert that the expected audits were made, and that each found what the name of its test announces.

        Parameters:
            expected: ends of the tests' ids; ``test_defect`` and ``test_clean`` if none is given.
        """
        for name in expected or ("test_defect", "test_clean"):
            assert any(f"::{audit}".endswith(f"::{name}") for audit in self.audits), (name, self.output)
        for name, audit in self.audits.items():
            assert "defect" in name or "clean" in name
            assert audit.audited, (name, audit.refused, self.output)
            (self.has_defect if "defect" in name else self.has_none)(name)
        assert self.status == any("defect" in name for name in self.audits), self.output

    def has_defect(self, name: str) -> None:
        """Assert that the audit found the lock of ``leaky``, and nothing else that fails."""
        failing = {(defect.verdict, defect.kind) for defect in self.audits[name].defects if defect.fails}
        assert failing == {(Verdict.LEAK, "lock")}, self.output

    def has_none(self, name: str) -> None:
        """Assert that the audit found nothing that fails."""
        assert not self.audits[name].failures, self.output


@pytest.fixture
def beside(tmp_path: Path, run_module: RunModule) -> Beside:
    """Return a function that audits the tests of a source beside plugins, which are named as on PyPI."""
    if "MASKCHECK_COMPAT" not in os.environ:
        pytest.skip(".ci/compat runs this, with the plugins that pyproject.toml names")

    def beside(plugins: str, source: str, *args: str, ini: str = "", files: Mapping[str, str] | None = None) -> Session:
        loaded = [option for name in plugins.split() for option in _options(name)]
        strict = "strict = true\n" if IS_STRICT else ""
        written = {"pytest.ini": f"[pytest]\n{strict}{dedent(ini)}", "shop.py": _SHOP, "test_it.py": source}
        for name, text in {**written, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(dedent(text), encoding="utf-8")
        report = tmp_path / "report.json"
        command = ("pytest", "-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider", *loaded)
        result = run_module(tmp_path, *command, "--maskcheck", "--maskcheck-report=json:report.json", *args)
        output = result.stdout + result.stderr
        assert "maskcheck itself failed" not in output, output
        assert "INTERNALERROR" not in output, output
        assert report.exists(), output
        found = map(Audit.from_json, json.loads(report.read_text(encoding="utf-8"))["audits"])
        # xdist appends the group of a test to its id.
        audits = {audit.test.partition("::")[2].partition("@")[0]: audit for audit in found}
        return Session(tmp_path, output, result.returncode, audits)

    return beside


def _options(name: str) -> list[str]:
    """Return the options that load a plugin."""
    if name in _BUILT_IN:
        return []
    found = metadata.distribution(name).entry_points.select(group="pytest11")
    points = sorted(point.name for point in found)
    return [option for point in points for option in ("-p", point)]
