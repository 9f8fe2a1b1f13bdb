"""wurlitzer: standard output is redirected at the level of descriptors, in several steps.

Expected: pipes and copies of descriptors lost, descriptors 1 and 2 still redirected, threads still running.
"""

import os

import pytest
import wurlitzer


@pytest.mark.interrupt_safe(include=["wurlitzer"])
def test_pipes():
    with wurlitzer.pipes() as (out, _):
        os.write(1, b"hello\n")
    assert out.read() == "hello\n"
