"""Read and set the wakeup descriptor (``signal.set_wakeup_fd``) without a trace.

CPython offers no way to read it but to remove it for an instant. Putting it back is not that simple:

- A closed descriptor is rejected. CPython itself kept it, so a placeholder takes its number for an instant.
- A blocking descriptor is rejected, too. It is made non-blocking for an instant.
- Whether its owner enabled the warning on a full buffer cannot be read. It is put back with the warning off: a lost warning changes
  nothing for the code under test, while an extra one is text on stderr that may fail its test. trio switches it off.

What does not work: a closed descriptor whose number is out of reach by now (``RLIMIT_NOFILE`` was lowered) stays lost.
Only the main thread may do any of this.
"""

from __future__ import annotations

from contextlib import suppress

from pytest_maskcheck.system.unpatched import HAS_FCNTL, fcntl, os, signal

NONE = -1
"""Stands for no descriptor."""


def wakeup_descriptor() -> int:
    """Return the descriptor to which C code writes arriving signals; :data:`NONE` for none, and in other threads than the main one."""
    try:
        descriptor = signal.set_wakeup_fd(NONE)
    except ValueError:  # not in the main thread
        return NONE
    if descriptor != NONE:
        put_back(descriptor)
    return descriptor


def put_back(descriptor: int) -> bool:
    """Set the wakeup descriptor, whatever has become of it; return whether that was possible."""
    try:
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    except OSError:
        return _closed(descriptor)
    except ValueError:
        return _blocking(descriptor)
    return True


def _blocking(descriptor: int) -> bool:
    with suppress(OSError, ValueError):
        os.set_blocking(descriptor, False)
        try:
            signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        finally:
            os.set_blocking(descriptor, True)
        return True
    return False


def _closed(descriptor: int) -> bool:
    if not HAS_FCNTL:
        return False
    with suppress(OSError, ValueError):
        taken = [*os.pipe()]  # unlike ``open``, it raises no audit event that a hook of the test's could hear
        try:
            os.set_blocking(taken[0], False)  # all that are duplicated from it share this setting
            if taken[1] == descriptor:
                os.set_blocking(descriptor, False)
            elif taken[0] != descriptor:
                # Unlike ``dup2``, it never takes a number in use.
                taken.append(fcntl.fcntl(taken[0], fcntl.F_DUPFD, descriptor))
            if descriptor in taken:
                signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
                return True
        finally:
            for each in taken:
                os.close(each)
    return False
