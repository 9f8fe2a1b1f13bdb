"""Garbage of earlier runs and of fixtures is not finalized amid a run; what the run itself does is still found."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.runs.garbage import collect_unheard

if TYPE_CHECKING:
    from tests.conftest import AuditTogether

CYCLE = """
import pytest


class Store:
    def __init__(self, path):
        self.itself = self
        self.path = path
        self.files = []

    def open(self):
        self.files.append(open(self.path, "a"))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "kept")


@pytest.mark.interrupt_safe{mark}
def test_store(store{more}):
    store.open()
    [[] for _ in range(3000)]
    store.open(){then}
"""
SETTING_UP = """
import os

import pytest


class Half:
    def __init__(self):
        self.itself = self
        self.file = open(os.devnull)


@pytest.fixture
def dropped():
    [Half() for _ in range(3)]


@pytest.mark.interrupt_safe
def test_work(dropped):
    [[] for _ in range(3000)]
    len("x")
"""
CLOSING = """
import os

import pytest


@pytest.fixture
def file():
    file = open(os.devnull)
    yield file
    try:
        file.close()
    except OSError:
        pass


@pytest.mark.interrupt_safe
def test_work(file):
    [[] for _ in range(3000)]
    try:
        len("x")
    except KeyboardInterrupt:
        os.close(file.fileno())
        raise
"""


def test_files_that_garbage_has_do_not_close_in_a_later_run(audit_together: AuditTogether) -> None:
    """Files in garbage of earlier runs are not closed amid a later one, with any isolation: every point has a result, and nothing fails."""
    audits = audit_together(
        {
            "forked": CYCLE.format(mark="", more="", then=""),
            "here": CYCLE.format(mark="(isolation='none')", more="", then=""),
            "rerun": CYCLE.format(mark="(strategy='rerun')", more="", then=""),
            "set_up": SETTING_UP,
            "recording": CYCLE.format(mark="", more=", recwarn", then="\n    assert not recwarn.list"),
        }
    )
    for name, audit in audits.items():
        assert not [result.point for result in audit.results if result.reason], name
        assert not [defect for defect in audit.defects if defect.fails], name
        assert not [key for key in audit.left_anyway if "/" in key.replace("<tmp_path>/", "")], name


def test_a_file_that_the_run_closes_is_found(audit_together: AuditTogether) -> None:
    """A descriptor of a fixture that the interrupted test closes is altered state."""
    audit = audit_together({"closing": CLOSING})["closing"]
    assert ("altered", "fd") in {(defect.verdict, defect.kind) for defect in audit.defects}


def test_garbage_is_collected_unheard(recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings and exceptions of finalizers are silenced during the audit's collection, and only then."""
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    warnings.simplefilter("always")

    class Loud:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            warnings.warn("loud", stacklevel=1)
            raise RuntimeError

    Loud()
    assert collect_unheard()
    assert not all(collect_unheard() for _ in range(5)), "threads of workers may leave some now and then"
    assert (recwarn.list, unraisable) == ([], [])
    loud = Loud()
    del loud.itself, loud
    assert [str(each.message) for each in recwarn.list] == ["loud"]
    assert len(unraisable) == 1
