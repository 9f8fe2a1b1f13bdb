"""The exception that a failing audit raises in place of the test."""


class InterruptUnsafe(AssertionError):  # noqa: N818  (what was found, as AssertionError is; pytest shows the name)
    """An interrupt at one or more points of a test left something behind or did not come out."""
