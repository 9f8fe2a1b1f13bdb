"""pytest-maskcheck: what if Ctrl-C lands right here?"""

from pytest_maskcheck.errors import InterruptUnsafe

__all__ = ["InterruptUnsafe"]
