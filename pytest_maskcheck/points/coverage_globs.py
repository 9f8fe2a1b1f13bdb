"""File patterns, written and matched as coverage.py does."""

from __future__ import annotations

import re
from functools import lru_cache

import coverage
from coverage.files import GlobMatcher, prep_patterns

from pytest_maskcheck.system.unpatched import os

PATTERN_ERRORS = (coverage.CoverageException, re.error, ValueError, OSError)
"""Exceptions that :func:`matcher` may raise."""


@lru_cache(maxsize=64)
def matcher(*patterns: str) -> GlobMatcher:
    """Return an object whose ``match`` returns whether a path matches any of the patterns."""
    return GlobMatcher(prep_patterns(patterns), "")


def escaped(path: str) -> str:
    """Return a pattern that matches ``path``; special characters become ``?``, because coverage's patterns have no escapes."""
    return re.sub(r"[*?\[\]]", "?", path)


def below(directory: str) -> str:
    """Return a pattern that matches everything below a directory."""
    return os.path.join(escaped(os.path.abspath(directory)), "**")
