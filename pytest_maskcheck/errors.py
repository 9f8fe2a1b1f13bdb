"""The exception that a failing audit raises in place of the test."""


class InterruptUnsafe(AssertionError):
    """An interrupt at one or more points of a test left something behind or did not come out."""
