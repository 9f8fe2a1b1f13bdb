"""Every sentence that names a cure is tried: a seeded defect of its kind is found, and what the sentence says makes it pass."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.interrupts import facts
from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.results import Audit, Verdict

if TYPE_CHECKING:
    from tests.conftest import AuditTogether

PREAMBLE = """
    import os, sqlite3, threading
    import pytest
    from pytest_maskcheck.masking import bracket, mask, shield

    LOCK = threading.Lock()
    GATE = threading.Semaphore(2)
    FREE = [object()]
    STATE = {"depth": 0}

    def lend():
        GATE.acquire()
        return FREE

    def give_back(_):
        GATE.release()

    @pytest.mark.interrupt_safe(hits=1)
    def test_it(tmp_path, maskcheck):
"""

TRIED = {
    "lock": (
        "`with bracket(acquire, release, ...)`",
        """
        LOCK.acquire()
        try:
            len("x")
        finally:
            LOCK.release()
        """,
        """
        with bracket(LOCK.acquire, lambda _: LOCK.release()):
            len("x")
        """,
    ),
    "semaphore": (
        "`with bracket(acquire, release, ...)`",
        """
        lend()
        give_back(None)
        """,
        """
        with bracket(lend, give_back):
            len("x")
        """,
    ),
    "sqlite": (
        "`with shield(make, ...)`",
        """
        connection = sqlite3.connect(":memory:")
        LEFT.append(connection)
        connection.close()
        LEFT.clear()
        """,
        """
        class Connection:
            def __enter__(self):
                self.made = sqlite3.connect(":memory:")
                return self.made
            def __exit__(self, *details):
                self.made.close()
        with shield(Connection):
            len("x")
        """,
    ),
    "fd": (
        "`with bracket(os.open, os.close, ...)`",
        """
        fd = os.open(os.devnull, os.O_RDONLY)
        os.close(fd)
        """,
        """
        with bracket(os.open, os.close, os.devnull, os.O_RDONLY):
            len("x")
        """,
    ),
    "invariant": (
        "mask signals while the guarantee does not hold",
        """
        maskcheck.unchanged(lambda: STATE["depth"], "depth")
        STATE["depth"] = 1
        len("x")
        STATE["depth"] = 0
        """,
        """
        maskcheck.unchanged(lambda: STATE["depth"], "depth")
        with mask():
            STATE["depth"] = 1
            len("x")
            STATE["depth"] = 0
        """,
    ),
    "swallowed": (
        "`except Exception` instead of a bare `except:`",
        """
        try:
            len("x")
        except BaseException:
            pass
        """,
        """
        try:
            len("x")
        except Exception:
            pass
        """,
    ),
}


def program(body: str) -> str:
    return dedent(PREAMBLE).replace("STATE =", "LEFT = []\nSTATE =") + indent(dedent(body), "    ")


@pytest.fixture(scope="module")
def audits(audit_together: AuditTogether) -> dict[str, Audit]:
    """The audits of all bodies: with the defect, and cured."""
    sources = {f"bad_{name}": program(bad) for name, (_, bad, _) in TRIED.items()}
    sources |= {f"cured_{name}": program(cured) for name, (_, _, cured) in TRIED.items()}
    return audit_together(sources)


@pytest.mark.parametrize("name", TRIED)
def test_what_the_sentence_says_cures(audits: dict[str, Audit], name: str) -> None:
    """The defect is found and its cure named; with the cure every point passes."""
    sentence, *_ = TRIED[name]
    bad, cured = audits[f"bad_{name}"], audits[f"cured_{name}"]
    defect = next(each for each in bad.failures if name in {each.kind, each.verdict})
    assert sentence in cure(defect)
    assert not cured.refused
    assert cured.audited == len(cured.points) > 0
    assert not cured.failures
    allowed = {Verdict.INTERPRETER} if facts.with_checks_on_entering() else set()
    assert {each.verdict for each in cured.defects} <= allowed


def test_sentences_warn_of_masks_that_end_too_early(audits: dict[str, Audit]) -> None:
    """Where a pair acquires and releases, the sentence says that a mask in one's own ``@contextmanager`` does not hold."""
    (defect,) = audits["bad_lock"].failures
    assert "`@contextmanager`" in cure(defect)
