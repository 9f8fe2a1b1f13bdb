"""The exposure of a defect, in words: how long a run is open to it, and how likely a Ctrl-C is to meet it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_maskcheck.results import Audit, Defect, Exposure

_UNITS = ((1e6, "s"), (1e3, "ms"), (1.0, "\N{MICRO SIGN}s"))
"""Units of time, in microseconds."""

_NEARLY_ALL = 1.5
"""One in so many, or in fewer, is called nearly every one."""

_WIDE = 10
"""An interval whose ends differ by more than this factor has no middle worth stating."""


def exposure(audit: Audit, defect: Defect) -> str:
    """Return how long a run is open to a defect, such as ``3-5 \u00b5s of a run of 18 ms; about one Ctrl-C in 4,500``.

    ``""`` if that was not measured.
    """
    exposed = defect.exposure
    if exposed is None:
        return ""
    waiting = f" ({readable(exposed.waiting)} of it waiting)" if exposed.waiting else ""
    return f"{interval(exposed)}{waiting} of a run of {readable(audit.duration * 1e6)}: {odds(audit, defect)}"


def brief(audit: Audit, defect: Defect) -> str:
    """Return the same in fewer words, such as ``3-5 \u00b5s, about one Ctrl-C in 4,500``."""
    exposed = defect.exposure
    return f"{interval(exposed)}, {odds(audit, defect)}" if exposed is not None else ""


def odds(audit: Audit, defect: Defect) -> str:
    """Return how many Ctrl-Cs during the test meet a defect, such as ``about one Ctrl-C in 4,500``; ``""`` if that was not measured.

    Where little is known, it is how many they are at most.
    """
    exposed = defect.exposure
    if exposed is None:
        return ""
    is_wide = exposed.greatest > _WIDE * exposed.least
    number = audit.duration * 1e6 / max(exposed.greatest if is_wide else exposed.total, 0.001)
    if number < _NEARLY_ALL:
        return "perhaps every Ctrl-C" if is_wide else "nearly every Ctrl-C"
    return f"{'at most' if is_wide else 'about'} one Ctrl-C in {_rounded(number):,}"


def why_none(defect: Defect) -> str:
    """Return why the exposure of a defect is never measured; ``""`` if it is, or could have been."""
    if what := why_none_briefly(defect):
        return (
            f"{what} {'meets' if _is_of_first_run(defect) else 'meet'} it, so for how long it is open is not measured"
        )
    return ""


def why_none_briefly(defect: Defect) -> str:
    """Return what alone meets a defect whose exposure is never measured for that, such as ``only the first run of a process``."""
    if defect.exposure is not None:
        return ""
    if _is_of_first_run(defect):
        return "only the first run of a process"
    return "only two interrupts in one run" if all(point.first is not None for point in defect.points) else ""


def _is_of_first_run(defect: Defect) -> bool:
    return all(point.first_use for point in defect.points)


def interval(exposed: Exposure) -> str:
    """Return an exposure as the interval that is known, such as ``3-5 \u00b5s``: its middle may be far from the truth."""
    low, _, unit = readable(exposed.least).partition(" ")
    high, _, other = readable(exposed.greatest).partition(" ")
    if (low, unit) == (high, other):
        return f"{high} {other}"
    return f"{low}-{high} {unit}" if unit == other else f"{low} {unit} to {high} {other}"


def readable(microseconds: float) -> str:
    """Return a time with two digits and its unit, such as ``4.5 \u00b5s``."""
    size, unit = next((each for each in _UNITS if microseconds >= each[0]), _UNITS[-1])
    number = microseconds / size
    return f"{number:.2g} {unit}" if number < 10 else f"{number:.0f} {unit}"


def _rounded(number: float) -> int:
    """Return a number with its first two digits."""
    return round(float(f"{number:.2g}"))
