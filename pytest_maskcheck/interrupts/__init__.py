"""How an interrupt is delivered: one protocol (``base``), two engines, and the reasons to choose one."""

from __future__ import annotations

import sys

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.known import known_defect, past
from pytest_maskcheck.interrupts.signals.base import (
    Engine,
    EngineUnavailableError,
    Hit,
    InScope,
    Mode,
    Recording,
    Strike,
    Trigger,
)

__all__ = [
    "Engine",
    "EngineUnavailableError",
    "Hit",
    "InScope",
    "Mode",
    "Recording",
    "Strike",
    "Trigger",
    "choose",
    "known_defect",
    "past",
]


def choose() -> tuple[Engine, str]:
    """Return the engine for this interpreter, and why it is this one.

    Raises:
        EngineUnavailableError: the interpreter is not CPython, whose checkpoints are the only ones known.
    """
    if sys.implementation.name != "cpython":
        message = f"maskcheck knows where CPython handles signals, not where {sys.implementation.name} does"
        raise EngineUnavailableError(message)
    if facts.HAS_MONITORING:
        from pytest_maskcheck.interrupts.signals.monitoring import MonitoringEngine

        return MonitoringEngine(), "sys.monitoring: code out of scope runs at full speed"
    from pytest_maskcheck.interrupts.signals.tracing import TracingEngine

    return TracingEngine(), "sys.settrace: this CPython has no sys.monitoring"
