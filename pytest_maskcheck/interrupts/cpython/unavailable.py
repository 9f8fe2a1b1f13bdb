"""The error raised when the interpreter lacks something that an engine needs."""

from __future__ import annotations

from pytest_maskcheck.system.untrusted import HinderedError


class EngineUnavailableError(HinderedError):
    """Something that the engine needs is missing or taken; the message states what it is and what helps."""
