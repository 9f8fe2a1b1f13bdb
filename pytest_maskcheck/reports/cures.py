"""Cures: one sentence on what helps against a defect, by verdict and kind."""

from __future__ import annotations

import ast
import linecache
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_maskcheck.results import Category, Verdict

if TYPE_CHECKING:
    from pytest_maskcheck.results import Defect

_NOT_IN_GENERATOR = "not by a mask in your own `@contextmanager`, which ends too early: code of contextlib runs between its `yield` and the block"
_BRACKET = f"`with bracket(acquire, release, ...)` of pytest_maskcheck.masking where it is used, {_NOT_IN_GENERATOR}"
BY_KIND = {
    "lock": f"take the lock with `with lock:`; where functions take and release it, {_BRACKET}",
    **dict.fromkeys(
        ("semaphore", "process_lock", "process_semaphore"),
        f"take it with `with`; where functions take and release it, {_BRACKET}",
    ),
    "async_lock": "take it with `async with`, and let `asyncio.run()` run the loop: at the first Ctrl-C that cancels the task, and the lock is released",
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
        ),
        "enter it with `with shield(make, ...)` of pytest_maskcheck.masking: signals are masked until the block that closes it has begun; "
        "what a pool lends, `with bracket(get, put, ...)`",
    ),
    "fd": "open and close it by `with bracket(os.open, os.close, ...)` of pytest_maskcheck.masking: signals are masked until the block has begun",
    "thread": "start and end it by `with bracket(start, stop, ...)` of pytest_maskcheck.masking, where `stop` tells it to end and joins it",
    "child": "start it and wait for its end by `with bracket(start, end, ...)` of pytest_maskcheck.masking: signals are masked until the block has begun; "
    "if `start` forks, it returns in the parent alone, and the child ends in it by `os._exit`",
    "path": "create and remove it by `with bracket(create, remove, ...)` of pytest_maskcheck.masking; a `finally` that is entered before "
    "the file exists, under a name chosen beforehand, leaves only the instant in which the call that removes it begins",
    "double_close": "let the object alone close its descriptor: open it with `closefd=False`, or `detach()` it first, "
    "with signals masked by `with mask():` of pytest_maskcheck.masking until the descriptor is closed",
    "transaction": "run it in `with connection:`, which commits or rolls back",
    **dict.fromkeys(
        ("task", "coroutine", "timer", "loop", "asyncgen"),
        "let `asyncio.run()` or a `TaskGroup` own it: they cancel and close what is left",
    ),
}
_POPEN = (
    "enter it with `with shield(subprocess.Popen, ...)` of pytest_maskcheck.masking: signals are masked until the block that waits for its end "
    "has begun; around `subprocess.run` and what is like it, mask signals with `with mask():`"
)
_MASK_ALTERED = "change it with `with sigmask(...)` of pytest_maskcheck.masking, which restores it exactly; `pthread_sigmask` can raise with the mask changed"
_BY_VERDICT = {
    Verdict.LEAK: f"mask signals from before the acquisition until the code that releases it is certain to run: {_BRACKET}",
    Verdict.IMPLICIT: "another interpreter would keep it until its next garbage collection: enter it with `with shield(make, ...)` of "
    "pytest_maskcheck.masking; `with` alone leaves the instant before the block",
    Verdict.ALTERED: "restore the old state in a `finally` that is entered before the state is changed, with signals masked in between",
    Verdict.SWALLOWED: "let KeyboardInterrupt, or what your handler raises, pass: `except Exception` instead of a bare `except:` or `except BaseException`, "
    "and no `return` in `finally`",
    Verdict.REPLACED: "clean-up code must cope with what was only half done when the interrupt came, and an `except` that catches the interrupt "
    "must raise it again, so that it comes out",
    Verdict.UNUSABLE: "restore the invariants of the object in a `finally`, or mask signals while they do not hold",
    Verdict.INVARIANT: "undo what was half done in a `finally` or `except BaseException`, prepare the change aside and put it in place in one step, "
    "or mask signals while the guarantee does not hold",
    Verdict.HANG: "clean-up code waits for something that the interrupted code no longer gives: a lock that it still holds, "
    "a thread that was never told to stop",
    Verdict.CRASH: "code that runs while an interrupt passes ended the process",
    Verdict.INTERPRETER: "no Python code can avoid this on this interpreter; masking signals around the block can",
}
_FINALIZER = (
    "an interrupt that arrives in `__del__`, in a weakref or gc callback or in what a finalizer in C calls is lost: release with `with` or `close()` instead, "
    "or mask signals where the last reference goes"
)
_IN_C = (
    "no `except` caught it, but code in C that calls Python: mask signals around the call that leads there, with `with mask():` of "
    "pytest_maskcheck.masking, so that the interrupt comes after it"
)
_UNSEEN = (
    "no `except` caught it: a function in C that was called there met it, and raised an exception of its own in its place, as `int('x')` does on CPython 3.11; "
    "mask signals around that call, with `with mask():` of pytest_maskcheck.masking, so that the interrupt comes after it"
)
_HANDLER = (
    "the handler waits for something that the interrupted code has: a lock, a queue, a thread. A handler must not wait: let it raise, "
    "or set a flag that the code looks at"
)
_EXPECTED = (
    "none, if the test is meant to catch it; what the code under test does with an interrupt is seen up to there"
)
_CLEANUP = (
    "the interrupt came in the very call that releases it: only signals masked from before the clean-up begins to its end help, "
    "by `with mask():` around both halves, or `with bracket(...)`; "
    "those who can live with it allow the class as 'cleanup:*'"
)
_ENTERED = (
    "the `with` on line {line} closes it only once its block has begun, and another interpreter would keep it until its next garbage "
    "collection: `with shield(make, ...)` of pytest_maskcheck.masking in its place masks signals until then"
)
_BY_BOTH = {
    **{(Verdict.LEAK, kind): sentence for kind, sentence in BY_KIND.items()},
    (Verdict.ALTERED, "sigmask"): _MASK_ALTERED,
    (Verdict.HANG, "in_handler"): _HANDLER,
}
_MASKS = {"shield", "bracket"}


def cure(defect: Defect) -> str:
    """Return the cure for a defect."""
    if defect.category is Category.CLEANUP:
        return _CLEANUP
    if defect.verdict is Verdict.SWALLOWED:
        return _of_swallowed(defect)
    if defect.category is Category.INSIDE:
        return (
            f"a defect of {defect.package}, audited with include={defect.package}; here, mask signals around the call"
        )
    if defect.verdict is Verdict.IMPLICIT and (line := _entered(defect)):
        return _ENTERED.format(line=line)
    by_kind = general_cure(defect.verdict, defect.kind)
    return _POPEN if by_kind is BY_KIND["child"] and _is_popen(defect) else by_kind


def general_cure(verdict: Verdict, kind: str) -> str:
    """Return the cure for defects of a verdict and a kind, whatever else may be known about one of them."""
    return _BY_BOTH.get((verdict, kind), _BY_VERDICT[verdict])


def _of_swallowed(defect: Defect) -> str:
    if defect.category is Category.INSIDE:
        package = defect.package
        return f"none, if {package} is meant to catch it, as what runs commands is; else it is audited with include={package}"
    if defect.kind == "finalizer":
        return _FINALIZER
    if defect.origin is None:
        return _IN_C if defect.key else _UNSEEN
    return _BY_VERDICT[defect.verdict] if defect.fails or defect.known else _EXPECTED


def _is_popen(defect: Defect) -> bool:
    """Return whether :mod:`subprocess` started a child."""
    stack = (*defect.origin.stack, defect.origin.place) if defect.origin is not None else defect.traceback
    return any(frame.package == "subprocess" for frame in stack)


def _entered(defect: Defect) -> int:
    """Return the line of the user's ``with`` statement that enters what is lost, without a mask; 0 if there is none.

    For a leftover without an origin, this is the interrupted line, if the leftover is lost on no other line.
    """
    made = defect.origin.place if defect.origin is not None else defect.points[0]
    elsewhere = defect.origin is None and any(point.line != made.line for point in defect.points)
    return 0 if elsewhere or made.line not in _headers(made.file) else made.line


@lru_cache(maxsize=64)
def _headers(filename: str) -> frozenset[int]:
    """Return the lines of a file with calls whose result a ``with`` statement enters, other than masks."""
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError):  # not Python, or generated
        return frozenset()
    items = (item for node in ast.walk(tree) if isinstance(node, ast.With | ast.AsyncWith) for item in node.items)
    made = (item.context_expr for item in items)
    return frozenset(
        line
        for each in made
        if isinstance(each, ast.Call) and _called(each) not in _MASKS
        for line in range(each.lineno, (each.end_lineno or each.lineno) + 1)
    )


def _called(call: ast.Call) -> str:
    """Return the name of the called function, without the object that it is an attribute of."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
