"""Discard the captured output of audited runs, and keep it apart from that of the session."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.session.private import without_tee
from pytest_maskcheck.system.unpatched import io, os, unpatched

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def drop_output(config: pytest.Config) -> None:
    """Discard what has been captured in this process."""
    if capture := _capture(config):
        capture.read_global_capture()


def _capture(config: pytest.Config) -> Any:
    """Return pytest's capture manager; ``None`` if nothing is captured (``-s``, ``-p no:capture``)."""
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    return capture if capture is not None and capture.is_globally_capturing() else None


def own_output(config: pytest.Config) -> None:
    """Give a forked process its own capture, so that its output does not mix with that of its parent."""
    if capture := _capture(config):
        capture.read_global_capture()
        capture.stop_global_capturing()
        capture.start_global_capturing()
    # Unless descriptors are captured, output that bypasses the capture, or that tee-sys passes on, would appear once per run.
    if config.getoption("capture", "no") != "fd":
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.close(null)


@contextmanager
def muted(config: pytest.Config) -> Iterator[None]:
    """Discard what runs in this process print."""
    capture = _capture(config)
    if not capture:
        yield
        return
    with unpatched():
        capture.resume_global_capture()
    try:
        with without_tee(capture, _Nowhere()):
            yield
    finally:
        with unpatched():
            capture.suspend_global_capture()
            capture.read_global_capture()


class _Nowhere(io.TextIOBase):
    """A stream that drops what is written."""

    def write(self, text: str) -> int:
        """Return the length, as streams do."""
        return len(text)
