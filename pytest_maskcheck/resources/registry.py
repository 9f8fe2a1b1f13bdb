"""The table of all kinds, in the order they are snapshotted, compared and repaired.

The class of a kind contains its name, whether it is on by default and whether it is available. This table adds only the order:

1. Kinds whose leftovers own those of other kinds come first, the broadest before the narrower: repairing an owner removes what it
   owns.
2. Among the rest, a kind comes before those whose comparison could disturb it.
"""

from __future__ import annotations

from functools import cache

from pytest_maskcheck.resources.kind import Kind
from pytest_maskcheck.resources.kinds.async_locks import AsyncLocks
from pytest_maskcheck.resources.kinds.asyncio_loops import Loops, LoopTimers, Tasks
from pytest_maskcheck.resources.kinds.attributes import Attributes
from pytest_maskcheck.resources.kinds.builtin_names import BuiltinNames
from pytest_maskcheck.resources.kinds.children import Children
from pytest_maskcheck.resources.kinds.collector import GarbageCollector
from pytest_maskcheck.resources.kinds.context_variables import ContextVariables
from pytest_maskcheck.resources.kinds.databases import Connections, Transactions
from pytest_maskcheck.resources.kinds.decimal_context import DecimalContext
from pytest_maskcheck.resources.kinds.descriptors import Descriptors
from pytest_maskcheck.resources.kinds.double_close import DoubleCloses
from pytest_maskcheck.resources.kinds.environ import Environ
from pytest_maskcheck.resources.kinds.executors import Executors, Managers, Pools
from pytest_maskcheck.resources.kinds.exit_functions import ExitFunctions, Finalizers
from pytest_maskcheck.resources.kinds.file_locks import FileLocks
from pytest_maskcheck.resources.kinds.implicit_closes import ImplicitCloses
from pytest_maskcheck.resources.kinds.imports import ImportHooks, ModulePath, Modules
from pytest_maskcheck.resources.kinds.interpreter_hooks import Hooks
from pytest_maskcheck.resources.kinds.interpreter_settings import InterpreterSettings
from pytest_maskcheck.resources.kinds.interval_timers import IntervalTimers
from pytest_maskcheck.resources.kinds.locks import Locks
from pytest_maskcheck.resources.kinds.loggers import Loggers
from pytest_maskcheck.resources.kinds.memory_maps import Mappings
from pytest_maskcheck.resources.kinds.paths import Paths
from pytest_maskcheck.resources.kinds.popen import Popens
from pytest_maskcheck.resources.kinds.process_locale import Locale
from pytest_maskcheck.resources.kinds.process_locks import ProcessLocks, ProcessSemaphores
from pytest_maskcheck.resources.kinds.resource_limits import ResourceLimits
from pytest_maskcheck.resources.kinds.scheduling import Scheduled
from pytest_maskcheck.resources.kinds.semaphores import Semaphores
from pytest_maskcheck.resources.kinds.shared_memory import SharedMemories
from pytest_maskcheck.resources.kinds.signal_handlers import Handlers
from pytest_maskcheck.resources.kinds.signal_mask import SignalMask
from pytest_maskcheck.resources.kinds.sockets import Sockets
from pytest_maskcheck.resources.kinds.standard_streams import StandardStreams
from pytest_maskcheck.resources.kinds.suspended import AsyncGenerators, Coroutines, Generators
from pytest_maskcheck.resources.kinds.temporary import TemporaryDirectories, TemporaryFiles
from pytest_maskcheck.resources.kinds.terminal import Terminal
from pytest_maskcheck.resources.kinds.threads import Threads
from pytest_maskcheck.resources.kinds.tracing import Tracing
from pytest_maskcheck.resources.kinds.umask import Umask
from pytest_maskcheck.resources.kinds.wakeup_fd import WakeupDescriptor
from pytest_maskcheck.resources.kinds.warning_filters import WarningFilters
from pytest_maskcheck.resources.kinds.working_directory import WorkingDirectory
from pytest_maskcheck.resources.surroundings import Surroundings

KINDS: tuple[type[Kind], ...] = (
    # Owners, the broadest first.
    Managers,
    Pools,
    Executors,
    Loops,
    Tasks,
    Coroutines,
    AsyncGenerators,
    Generators,
    Popens,
    TemporaryDirectories,
    TemporaryFiles,
    SharedMemories,
    Connections,
    Transactions,
    Sockets,
    Mappings,
    LoopTimers,
    # Other resources.
    Descriptors,
    Children,
    Threads,
    Locks,
    Semaphores,
    ProcessLocks,
    ProcessSemaphores,
    AsyncLocks,
    Paths,
    # State of the process.
    Handlers,
    SignalMask,
    IntervalTimers,
    WakeupDescriptor,
    WorkingDirectory,
    Umask,
    Environ,
    StandardStreams,
    InterpreterSettings,
    Hooks,
    Tracing,
    GarbageCollector,
    ModulePath,
    ImportHooks,
    Modules,
    BuiltinNames,
    Attributes,
    WarningFilters,
    Loggers,
    Locale,
    DecimalContext,
    ContextVariables,
    Terminal,
    FileLocks,
    ResourceLimits,
    Scheduled,
    ExitFunctions,
    Finalizers,
    DoubleCloses,
    # Last: it records warnings from its snapshot on, and must not record those that the snapshots of other kinds cause.
    ImplicitCloses,
)
"""Add new kinds here."""


def all_kinds(surroundings: Surroundings) -> tuple[Kind, ...]:
    """Return the kinds that this platform offers, including those that are off by default."""
    return tuple(kind(surroundings) for kind in KINDS if kind.available)


def kind_names() -> tuple[str, ...]:
    """Return the names of the kinds that this platform offers."""
    return tuple(kind_defaults())


@cache
def kind_defaults() -> dict[str, bool]:
    """Return the names of the kinds that this platform offers, and whether each is looked for by default."""
    return {kind.name: kind.default for kind in KINDS if kind.available}
