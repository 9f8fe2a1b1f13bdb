"""pytest-maskcheck: what if Ctrl-C lands right here?"""

__all__ = ["InterruptUnsafe"]


class InterruptUnsafe(AssertionError):  # noqa: N818  (what was found, as AssertionError is; pytest shows the name)
    """What a failing audit raises in place of the test: an interrupt left something behind or did not come out."""
