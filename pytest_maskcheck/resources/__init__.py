"""What a run can leave behind, one kind a file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from pytest_maskcheck.resources.async_locks import AsyncLocks
from pytest_maskcheck.resources.attributes import Attributes
from pytest_maskcheck.resources.base import Kind, Leftover, Surroundings
from pytest_maskcheck.resources.builtin_names import BuiltinNames
from pytest_maskcheck.resources.children import HAS_WAITID, Children
from pytest_maskcheck.resources.collector import GarbageCollector
from pytest_maskcheck.resources.contexts import ContextVariables, DecimalContext
from pytest_maskcheck.resources.cwd import WorkingDirectory
from pytest_maskcheck.resources.databases import HAS_SQLITE, Connections, Transactions
from pytest_maskcheck.resources.descriptors import HAS_LISTING, Descriptors
from pytest_maskcheck.resources.double_close import HAS_POLL, DoubleCloses
from pytest_maskcheck.resources.environ import Environ
from pytest_maskcheck.resources.executors import Executors, Managers, Pools
from pytest_maskcheck.resources.exit_functions import HAS_ATEXIT_COUNT, ExitFunctions, Finalizers
from pytest_maskcheck.resources.file_locks import HAS_FILE_LOCKS, FileLocks
from pytest_maskcheck.resources.handlers import Handlers
from pytest_maskcheck.resources.hooks import Hooks
from pytest_maskcheck.resources.implicit import ImplicitCloses
from pytest_maskcheck.resources.imports import ImportHooks, ModulePath, Modules
from pytest_maskcheck.resources.interpreter import InterpreterSettings
from pytest_maskcheck.resources.limits import HAS_LIMITS, HAS_SCHEDULING, ResourceLimits, Scheduled
from pytest_maskcheck.resources.locales import HAS_LOCALE, Locale
from pytest_maskcheck.resources.locks import Locks
from pytest_maskcheck.resources.loggers import Loggers
from pytest_maskcheck.resources.mappings import Mappings
from pytest_maskcheck.resources.paths import Paths
from pytest_maskcheck.resources.popen import Popens
from pytest_maskcheck.resources.process_locks import ProcessLocks, ProcessSemaphores
from pytest_maskcheck.resources.semaphores import Semaphores
from pytest_maskcheck.resources.shared_memory import HAS_SHARED_MEMORY, SharedMemories
from pytest_maskcheck.resources.sigmask import HAS_SIGMASK, SignalMask
from pytest_maskcheck.resources.sockets import Sockets
from pytest_maskcheck.resources.stdio import StandardStreams
from pytest_maskcheck.resources.suspended import AsyncGenerators, Coroutines, Generators
from pytest_maskcheck.resources.tasks import Loops, LoopTimers, Tasks
from pytest_maskcheck.resources.temporary import TemporaryDirectories, TemporaryFiles
from pytest_maskcheck.resources.terminal import HAS_BLOCKING, Terminal
from pytest_maskcheck.resources.threads import Threads
from pytest_maskcheck.resources.timers import HAS_TIMERS, IntervalTimers
from pytest_maskcheck.resources.tracing import Tracing
from pytest_maskcheck.resources.umask import Umask
from pytest_maskcheck.resources.user_kinds import RESERVED, Own
from pytest_maskcheck.resources.wakeup import WakeupDescriptor
from pytest_maskcheck.resources.warning_filters import WarningFilters
from pytest_maskcheck.system.plain import described
from pytest_maskcheck.system.unpatched import gc, replaced, unpatched

__all__ = [
    "RESERVED",
    "Kind",
    "Leftover",
    "Own",
    "Surroundings",
    "default_kinds",
    "kind_defaults",
    "kind_names",
    "self_test",
]


def default_kinds(surroundings: Surroundings) -> tuple[Kind, ...]:
    """Return the kinds that this platform offers.

    Those that own others come first, the broadest before the narrower: what they own goes with them. Of the rest, the
    first to be asked is the first that others could disturb.
    """
    return (
        Managers(),
        Pools(),
        Executors(),
        Loops(),
        Tasks(surroundings),
        Coroutines(surroundings),
        AsyncGenerators(surroundings),
        Generators(surroundings),
        Popens(surroundings),
        TemporaryDirectories(surroundings),
        TemporaryFiles(surroundings),
        *((SharedMemories(surroundings),) if HAS_SHARED_MEMORY else ()),
        *((Connections(surroundings), Transactions(surroundings)) if HAS_SQLITE else ()),
        Sockets(surroundings),
        Mappings(),
        LoopTimers(surroundings),
        *((Descriptors(surroundings),) if HAS_LISTING else ()),
        *((Children(surroundings),) if HAS_WAITID else ()),
        Threads(surroundings),
        Locks(),
        Semaphores(),
        ProcessLocks(),
        ProcessSemaphores(),
        AsyncLocks(),
        Paths(surroundings),
        Handlers(),
        *((SignalMask(),) if HAS_SIGMASK else ()),
        *((IntervalTimers(),) if HAS_TIMERS else ()),
        WakeupDescriptor(),
        WorkingDirectory(surroundings),
        Umask(),
        Environ(),
        StandardStreams(),
        InterpreterSettings(),
        Hooks(),
        Tracing(),
        GarbageCollector(),
        ModulePath(surroundings),
        ImportHooks(),
        Modules(),
        BuiltinNames(),
        Attributes(surroundings),
        WarningFilters(),
        Loggers(),
        *((Locale(),) if HAS_LOCALE else ()),
        DecimalContext(),
        ContextVariables(),
        *((Terminal(),) if HAS_BLOCKING else ()),
        *((FileLocks(surroundings),) if HAS_FILE_LOCKS else ()),
        *((ResourceLimits(),) if HAS_LIMITS else ()),
        *((Scheduled(),) if HAS_SCHEDULING else ()),
        *((ExitFunctions(),) if HAS_ATEXIT_COUNT else ()),
        Finalizers(),
        *((DoubleCloses(surroundings),) if HAS_POLL else ()),
        ImplicitCloses(surroundings),
    )


def kind_names() -> tuple[str, ...]:
    """Return the names of the kinds that this platform offers."""
    return tuple(kind_defaults())


@cache
def kind_defaults() -> dict[str, bool]:
    """Return the names of the kinds that this platform offers, and whether each is looked for by default."""
    return {kind.name: kind.default for kind in default_kinds(Surroundings())}


def self_test(kinds: Iterable[Kind]) -> dict[str, str]:
    """Show every kind its canary; return the names of those that did not see it, with the reason. Never raises."""
    others = _replaced(replaced())
    freezes = not gc.get_freeze_count()
    if freezes:  # canaries are new: nobody need look through the whole heap for them
        gc.freeze()
    try:
        with unpatched():  # a pool's threads sleep, and would wait for ever on a frozen clock
            return {kind.name: reason for kind in kinds if _has_canary(kind) and (reason := _blindness(kind, others))}
    finally:
        if freezes:
            gc.unfreeze()


def _has_canary(kind: Kind) -> bool:
    return not isinstance(kind, Own) or kind.has_canary


def _blindness(kind: Kind, others: str) -> str:
    """Return why a kind does not see its canary, or ``""``; ``others``: what else may be to blame."""
    try:
        canary = kind.canary()
        before = kind.snapshot()
        try:
            with canary:
                found = kind.compare(before)
        finally:
            kind.finish(before)
    except Exception as error:  # noqa: BLE001  (a kind that fails is as good as blind)
        return described(error)
    if any(leftover.kind == kind.name for leftover in found):
        return ""
    instead = ", ".join(sorted({f"{leftover.kind} {leftover.key}" for leftover in found})[:_NAMED])
    return f"it did not see its canary, but {instead or 'nothing at all'}{others}"


_NAMED = 3
"""What a kind saw in place of its canary, and functions that are replaced: so many are named."""


def _replaced(names: list[str]) -> str:
    """Return which functions of the standard library somebody has replaced, as a kind may depend on them."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"; replaced in this process: {', '.join(names[:_NAMED])}{more}"
