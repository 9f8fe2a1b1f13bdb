"""Errors in the audit itself, as plain data: one line that says what and where, and the traceback for a bug report.

Whatever code under test does, an audit ends with a verdict or with one line. So an error of maskcheck's own is caught at the
narrowest place where the rest can go on (one point, one test, one report), is written down here, and fails the test:
what was not looked at must not pass.

A want of descriptors, memory, processes or room on a disk is no defect of anybody: the test then is not audited, and the
line says what is lacking.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass
from traceback import format_exception, walk_tb

from pytest_maskcheck import untrusted

_PACKAGE = __name__.partition(".")[0]
_WANTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN})


@dataclass(frozen=True, slots=True)
class Breakdown:
    """An error in the audit itself.

    Parameters:
        reason: why what it ended is not audited, on one line.
        traceback: for a bug report; ``""`` if there is nothing to report.
    """

    reason: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Breakdown:
        """Return what to say of an error. Never raises."""
        said = untrusted.last_line(error)
        if _is_want(error):
            return cls(f"the process has no room for an audit: {said}", "")
        return cls(f"maskcheck itself failed: {said}{_where(error)}; please report this", _traceback(error, said))


class AuditBrokeError(RuntimeError):
    """The audit itself raised, here or in another process.

    Attributes:
        breakdown: what it raised.
    """

    def __init__(self, breakdown: Breakdown) -> None:
        super().__init__(breakdown.traceback or breakdown.reason)
        self.breakdown = breakdown


def breakdown_of(error: BaseException) -> Breakdown:
    """Return what to say of an error, which may have been told by another process."""
    return error.breakdown if isinstance(error, AuditBrokeError) else Breakdown.of(error)


def _is_want(error: BaseException) -> bool:
    if issubclass(type(error), MemoryError):
        return True
    return issubclass(type(error), OSError) and getattr(error, "errno", None) in _WANTS


def _where(error: BaseException) -> str:
    """Return the innermost place in this package and, if that called something else, the innermost of all."""
    with suppress(Exception):
        frames = [(frame, line) for frame, line in walk_tb(error.__traceback__)]
        ours = [each for each in frames if str(each[0].f_globals.get("__name__")).startswith(_PACKAGE)]
        shown = dict.fromkeys((*ours[-1:], *frames[-1:]))
        places = (f"{frame.f_globals.get('__name__')}:{line} in {frame.f_code.co_name}" for frame, line in shown)
        return ", at " + ", through ".join(places)
    return ""


def _traceback(error: BaseException, said: str) -> str:
    with suppress(Exception):  # what it takes may be patched by the test
        return "".join(format_exception(error))
    return said
