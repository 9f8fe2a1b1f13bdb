"""The stages of an audit, for those who watch it."""

from __future__ import annotations

from enum import Enum


class Stage(Enum):
    """Message: what the audit does from here on, up to its next result; no text, as texts are notes."""

    CONFIRMING = "confirming"
    """A point is interrupted again, to see whether it fails again."""

    TRACING = "finding origins"
    """Watched runs show where leftovers came from."""
