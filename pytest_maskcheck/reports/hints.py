"""What helps against a defect, in a few words for the list of the summary; :mod:`.cures` has the sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.results import Category, Verdict

if TYPE_CHECKING:
    from pytest_maskcheck.results import Defect

LONGEST = 54
"""Number of characters that a hint has at most, so that a defect fits on three lines."""

_LOCK = "`with lock:` or `with bracket(...)`"
_MADE = "`with shield(make, ...)`"

_BY_KIND = {
    **dict.fromkeys(("lock", "semaphore", "process_lock", "process_semaphore", "async_lock"), _LOCK),
    "fd": "`with bracket(os.open, os.close, ...)`",
    "thread": "`with bracket(start, stop)`",
    "child": "`with bracket(...)` or `with shield(Popen, ...)`",
    "path": "`with bracket(create, remove)`",
    "transaction": "`with connection:`",
    **dict.fromkeys(("task", "coroutine", "timer", "loop"), "`asyncio.run()` or a `TaskGroup`"),
    **dict.fromkeys(
        (
            "socket",
            "sqlite",
            "executor",
            "pool",
            "manager",
            "popen",
            "tempdir",
            "tempfile",
            "mmap",
            "generator",
            "asyncgen",
        ),
        _MADE,
    ),
}
"""Kind of a leftover -> what helps, where that is more than a mask."""

_BY_VERDICT = {
    Verdict.LEAK: "mask signals until its release is certain",
    Verdict.IMPLICIT: _MADE,
    Verdict.ALTERED: "restore it in a `finally`, masked up to there",
    Verdict.SWALLOWED: "let the interrupt pass: `except Exception`",
    Verdict.REPLACED: "clean up what is only half done, too",
    Verdict.UNUSABLE: "restore the invariants in a `finally`",
    Verdict.INVARIANT: "undo in a `finally`, or change in one step",
    Verdict.HANG: "do not wait for what was interrupted",
    Verdict.CRASH: "see what ends the process",
    Verdict.INTERPRETER: "mask signals around the block",
}


def hint(defect: Defect) -> str:
    """Return what helps against a defect."""
    if defect.category is Category.CLEANUP:
        return "`with mask():` or `with bracket(...)` around it"
    if defect.category is Category.INSIDE:
        return "mask signals around the call"
    if defect.kind == "finalizer":
        return "release by `with` or `close()`, not in a finalizer"
    if defect.verdict is Verdict.SWALLOWED and defect.key and defect.origin is None:
        return "mask signals around the call"
    if defect.verdict is Verdict.LEAK:
        return _BY_KIND.get(defect.kind, _BY_VERDICT[defect.verdict])
    return _BY_VERDICT[defect.verdict]
