"""A flag stays set if the interrupt arrives in the code that does the work, which is out of scope."""

import statistics

INCLUDE: list[str] = []
BUSY = {"job": False}
SIZES = list(range(200))


def body(place: str) -> None:
    """Mark the job as being done while another module works."""
    assert not BUSY["job"]
    BUSY["job"] = True
    statistics.median(SIZES)
    BUSY["job"] = False


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return ["busy"] if BUSY["job"] else []


def repair(place: str) -> None:
    """Take away what is left behind."""
    BUSY["job"] = False
