"""How an interrupt is delivered: mechanisms (:mod:`.mechanism`), each with an engine that finds places and strikes at them."""

from __future__ import annotations

from pytest_maskcheck.interrupts.cpython.unavailable import EngineUnavailableError
from pytest_maskcheck.interrupts.engine import Engine, nothing
from pytest_maskcheck.interrupts.known_defects import known_defect, past
from pytest_maskcheck.interrupts.mechanism import Mechanism
from pytest_maskcheck.interrupts.places import Hit, InScope, Mode, PlaceKind, Trigger
from pytest_maskcheck.interrupts.recording import Recording
from pytest_maskcheck.interrupts.registry import choose, mechanism_of, parse
from pytest_maskcheck.interrupts.strike import Strike

__all__ = [
    "Engine",
    "EngineUnavailableError",
    "Hit",
    "InScope",
    "Mechanism",
    "Mode",
    "PlaceKind",
    "Recording",
    "Strike",
    "Trigger",
    "choose",
    "known_defect",
    "mechanism_of",
    "nothing",
    "parse",
    "past",
]
