"""Why a hit, a line, a second interrupt or a module is not audited: the sentences that reports show.

Each reason is a member of an enum whose value is its sentence. The program compares members and never reads their text.
"""

from __future__ import annotations

from enum import StrEnum


class NotAudited(StrEnum):
    """Why hits of reached places are left out."""

    OUT_OF_SCOPE = "not in scope"
    UNREACHED = "coverage did not see the line in its own run: the test takes another way each time"
    EXCLUDED = "excluded by coverage's configuration"
    IGNORED = "# maskcheck: ignore"
    NO_SOURCE = "its source cannot be read: the code was generated, or its file is gone or no Python"
    PAUSED = "within maskcheck.paused()"
    OUTSIDE_TEST = "outside the test: pytest or a plugin was running"


class NoSecond(StrEnum):
    """Why no second interrupt follows a first one."""

    NOT_AUDITED = "the first one was not audited"
    HAS_FINDING = "the first one alone already has a finding"


class Unmeasurable(StrEnum):
    """Why no line of a module that ``include`` names can be audited."""

    FROZEN = "CPython keeps it frozen and its lines without a file; `python -X frozen_modules=off -m pytest` audits it"
    NOT_PYTHON = "it is not written in Python"
    NO_FILE = "its source is no file"


def beyond_sample(max_points: int, seed: int) -> str:
    """Return the reason for the points that a sample leaves out."""
    return f"beyond max_points={max_points}: an even sample was taken (seed={seed})"


def further_hit(number: int) -> str:
    """Return the reason for the hits of a place beyond the first few."""
    return f"further hit of a place in one calling context (hits={number})"
