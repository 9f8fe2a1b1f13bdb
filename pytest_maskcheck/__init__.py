"""pytest-maskcheck: what if Ctrl-C lands right here?"""

__all__ = ["InterruptUnsafe"]


class InterruptUnsafe(AssertionError):  # noqa: N818  (it names the finding, as AssertionError does; pytest shows the name)
    """Raised in place of the test when its audit fails: an interrupt left something behind or did not come out."""
