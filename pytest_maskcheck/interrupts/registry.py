"""The mechanisms that there are."""

from __future__ import annotations

from typing import Any

from pytest_maskcheck.interrupts.mechanism import Mechanism
from pytest_maskcheck.interrupts.signals.mechanism import SignalMechanism

# Update this when you add one.
_MECHANISMS: tuple[type[Mechanism[Any]], ...] = (SignalMechanism,)


def mechanism_of(number: int) -> type[Mechanism[Any]]:
    """Return the mechanism whose interrupt has this number."""
    return next(mechanism for mechanism in _MECHANISMS if mechanism.has(number))


def parse(text: str) -> int:
    """Return the number of the interrupt with this name, as it stands in ids of points; ids without one name the default.

    Raises:
        ValueError: no mechanism has one.
    """
    for mechanism in _MECHANISMS:
        try:
            return mechanism.parse(text)
        except ValueError:
            continue
    raise ValueError


def choose(name: str = SignalMechanism.name) -> tuple[Mechanism[Any], str]:
    """Return a mechanism by name, with the engine for this interpreter, and why it is that engine.

    Raises:
        EngineUnavailableError: there is no engine for it here.
    """
    return next(mechanism for mechanism in _MECHANISMS if mechanism.name == name).choose()
