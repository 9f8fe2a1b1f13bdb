"""The error for what an engine needs of the interpreter and cannot have."""

from __future__ import annotations

from pytest_maskcheck.system.untrusted import HinderedError


class EngineUnavailableError(HinderedError):
    """Something the engine needs is taken; the message says what it is and what helps."""
