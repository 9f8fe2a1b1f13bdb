"""Errors in the audit itself, as plain data: what happened and where, on one line, and the traceback for a bug report.

Whatever code under test does, an audit ends with a verdict or with one line. So an error of maskcheck's own is caught at the
narrowest place where the rest can go on (one point, one test, one report), is recorded here, and fails the test: what was not
audited must not pass.

Two sorts of errors are nobody's defect. They leave the test not audited, and the line names what is missing:

- a lack of descriptors, memory, processes, disk space, or of ``/proc`` (``chroot``),
- code under test that takes away what the audit needs.

Code under test may also leave something in place that runs while the audit is at work, such as an audit hook, and that raises.
That fails the test, and is reported as an error of the test's code.
"""

from __future__ import annotations

import errno
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from traceback import format_exception, walk_tb

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system import untrusted
from pytest_maskcheck.system.own_code import ROOT, is_in_package
from pytest_maskcheck.system.unpatched import os

_LIBRARIES = (
    ROOT,
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)
_WANTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN})


@dataclass(frozen=True, slots=True)
class Breakdown:
    """An error in the audit itself.

    Parameters:
        reason: why whatever the error ended is not audited, on one line.
        traceback: for a bug report; ``""`` if there is nothing to report.
    """

    reason: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Breakdown:
        """Return what to report about an error. Never raises."""
        if untrusted.is_a(error, untrusted.HinderedError):
            return cls(Reason(NotAudited.HINDERED, what=str(error)), "")
        said = untrusted.last_line(error)
        if _is_want(error):
            return cls(Reason(NotAudited.NO_ROOM, error=said), "")
        if _is_blind(error):
            return cls(Reason(NotAudited.NO_PROC, error=said), "")
        if _is_theirs(error):
            return cls(Reason(NotAudited.TEST_RAISED, error=said, where=_where(error)), _traceback(error, said))
        return cls(Reason(NotAudited.BROKE, error=said, where=_where(error)), _traceback(error, said))


class AuditBrokeError(RuntimeError):
    """The audit itself raised, here or in another process.

    Attributes:
        breakdown: what it raised.
    """

    def __init__(self, breakdown: Breakdown) -> None:
        super().__init__(breakdown.traceback or breakdown.reason)
        self.breakdown = breakdown


def breakdown_of(error: BaseException) -> Breakdown:
    """Return what to report about an error, which may have been raised in another process."""
    return error.breakdown if isinstance(error, AuditBrokeError) else Breakdown.of(error)


def _is_want(error: BaseException) -> bool:
    if issubclass(type(error), MemoryError):
        return True
    return issubclass(type(error), OSError) and getattr(error, "errno", None) in _WANTS


def _is_theirs(error: BaseException) -> bool:
    """Return whether a function that code under test has installed raised the error, and not this package or a library."""
    with suppress(Exception):
        # The innermost frame shows whose function raised.
        *_, (innermost, _line) = walk_tb(untrusted.traceback_of(error))
        file = innermost.f_code.co_filename
        return os.path.isabs(file) and not file.startswith(_LIBRARIES)
    return False


def _is_blind(error: BaseException) -> bool:
    """Return whether a file in ``/proc`` is missing: code under test has changed the root directory, or ``/proc`` is not mounted."""
    if not issubclass(type(error), FileNotFoundError):
        return False
    with suppress(Exception):
        return str(getattr(error, "filename", "")).startswith("/proc/") and not os.path.isdir("/proc/self")
    return False


def _where(error: BaseException) -> str:
    """Return the innermost place in this package and, if that called something else, the innermost of all."""
    with suppress(Exception):
        frames = [(frame, line) for frame, line in walk_tb(error.__traceback__)]
        ours = [each for each in frames if is_in_package(each[0].f_globals.get("__name__"))]
        shown = dict.fromkeys((*ours[-1:], *frames[-1:]))
        places = (f"{frame.f_globals.get('__name__')}:{line} in {frame.f_code.co_name}" for frame, line in shown)
        return ", at " + ", through ".join(places)
    return ""


def _traceback(error: BaseException, said: str) -> str:
    with suppress(Exception):  # a test may have patched what this calls
        return "".join(format_exception(error))
    return said
