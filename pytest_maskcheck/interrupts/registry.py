"""The registry of mechanisms."""

from __future__ import annotations

from typing import Any

from pytest_maskcheck.interrupts.mechanism import Mechanism
from pytest_maskcheck.interrupts.signals.mechanism import SignalMechanism

# Update this when you add one.
_MECHANISMS: tuple[type[Mechanism[Any]], ...] = (SignalMechanism,)


def mechanism_of(number: int) -> type[Mechanism[Any]]:
    """Return the mechanism that the interrupt with this number belongs to."""
    return next(mechanism for mechanism in _MECHANISMS if mechanism.has(number))


def parse(text: str) -> int:
    """Return the number of the interrupt with this name, as spelled in point ids; ``""`` is the default interrupt.

    Raises:
        ValueError: no mechanism has an interrupt with this name.
    """
    for mechanism in _MECHANISMS:
        try:
            return mechanism.parse(text)
        except ValueError:
            continue
    raise ValueError


def choose(name: str = SignalMechanism.name) -> tuple[Mechanism[Any], str]:
    """Return a mechanism by name, with the engine for this interpreter, and why that engine was chosen.

    Raises:
        EngineUnavailableError: this interpreter has no engine for it.
    """
    return next(mechanism for mechanism in _MECHANISMS if mechanism.name == name).choose()
