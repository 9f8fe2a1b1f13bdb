"""A cure never recommends what the code already does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import AuditSource

PROGRAM = """
import os, pytest

def shield(make, *args):
    return make(*args)

@pytest.mark.interrupt_safe(strict=True)
def test_it():
    {body}
"""

ENTERED = "the `with` on line 8 closes it only once its block has begun"
BARE = "enter it with `with shield(make, ...)`"


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ("with open(os.devnull) as file: file.read()", ENTERED),
        ("with (open(os.devnull)) as file: file.read()", ENTERED),
        ("file = open(os.devnull); file.close()", BARE),
        ("with shield(open, os.devnull) as file: file.read()", BARE),
    ],
    ids=["with", "parentheses", "bare", "shield"],
)
def test_nobody_is_told_to_write_the_with_that_is_there(audit: AuditSource, body: str, advice: str) -> None:
    """If a ``with`` statement already enters the thing, the cure states what that statement lacks and does not recommend it."""
    audited = audit(PROGRAM.format(body=body))
    assert {defect.verdict for defect in audited.audit.defects} >= {"implicit"}
    cures = [line for line in audited.result.outlines if line.startswith("  cure")]
    assert any(advice in line for line in cures)
    assert not any(line != advice and other in line for line in cures for other in {ENTERED, BARE} - {advice})
