"""One sentence on what helps, by verdict and kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.results import Category, Verdict

if TYPE_CHECKING:
    from pytest_maskcheck.results import Defect

_NOT_IN_GENERATOR = "not by a mask in your own `@contextmanager`, which ends too early: code of contextlib runs between its `yield` and the block"
_BRACKET = f"`with bracket(acquire, release, ...)` of pytest_maskcheck.masking where it is used, {_NOT_IN_GENERATOR}"
_BY_KIND = {
    "lock": f"take the lock with `with lock:`; where functions take and release it, {_BRACKET}",
    **dict.fromkeys(
        ("semaphore", "process_lock", "process_semaphore", "async_lock"),
        f"take it with `with`; where functions take and release it, {_BRACKET}",
    ),
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
        "enter it with `with shield(make, ...)` of pytest_maskcheck.masking: signals are masked until the block that closes it has begun; "
        "what a pool lends, `with bracket(get, put, ...)`",
    ),
    "fd": "open and close it by `with bracket(os.open, os.close, ...)` of pytest_maskcheck.masking: signals are masked until the block has begun",
    "thread": "start the thread inside the `try` whose `finally` stops and joins it, with signals masked until the `try` is entered",
    "child": "use `with subprocess.Popen(...)`, with signals masked from the call to the inside of the block",
    "path": "remove it in a `finally` that is entered before the file exists, under a name chosen beforehand",
    "transaction": "run it in `with connection:`, which commits or rolls back",
    **dict.fromkeys(
        ("task", "coroutine", "timer", "loop"),
        "let `asyncio.run()` or a `TaskGroup` own it: they cancel and close what is left",
    ),
}
_BY_VERDICT = {
    Verdict.LEAK: f"mask signals from before the acquisition until the code that releases it is certain to run: {_BRACKET}",
    Verdict.IMPLICIT: "another interpreter would keep it until its next garbage collection: release it with `with` or `finally`",
    Verdict.ALTERED: "restore the old state in a `finally` that is entered before the state is changed, with signals masked in between",
    Verdict.SWALLOWED: "let KeyboardInterrupt, or what your handler raises, pass: `except Exception` instead of a bare `except:` or `except BaseException`, "
    "and no `return` in `finally`",
    Verdict.REPLACED: "clean-up code must cope with what was only half done when the interrupt came, so that the interrupt comes out",
    Verdict.UNUSABLE: "restore the invariants of the object in a `finally`, or mask signals while they do not hold",
    Verdict.INVARIANT: "undo what was half done in a `finally` or `except BaseException`, prepare the change aside and put it in place in one step, "
    "or mask signals while the guarantee does not hold",
    Verdict.HANG: "clean-up code waits for something that the interrupted code no longer gives: a lock that it still holds, "
    "a thread that was never told to stop",
    Verdict.CRASH: "code that runs while an interrupt passes ended the process",
    Verdict.INTERPRETER: "no Python code can avoid this on this interpreter; masking signals around the block can",
}
_FINALIZER = (
    "do not rely on `__del__`, weakref or gc callbacks to pass interrupts on: keep them short and free of calls"
)
_CLEANUP = (
    "the interrupt came in the very call that releases it: only signals masked from before that call to its end help; "
    "those who can live with it allow the class as 'cleanup:*'"
)


def cure(defect: Defect) -> str:
    """Return the sentence for a defect."""
    if defect.category is Category.CLEANUP:
        return _CLEANUP
    if defect.category is Category.INSIDE:
        return (
            f"a defect of {defect.package}, audited with include={defect.package}; here, mask signals around the call"
        )
    if defect.verdict is Verdict.LEAK and defect.kind in _BY_KIND:
        return _BY_KIND[defect.kind]
    if defect.verdict is Verdict.SWALLOWED and defect.kind == "finalizer":
        return _FINALIZER
    return _BY_VERDICT[defect.verdict]
