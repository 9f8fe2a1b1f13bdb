"""Which code all runs of an audit entered, whatever process they were made in, noted at little more than no cost.

``sys.monitoring`` reports each code object once in a process, as it is entered for the first time. The callback is made of C functions
alone: one in Python would be a checkpoint, where an interrupt that is pending might land. It only fills a list; when a run is over,
that goes into memory which all processes of an audit share.

Rules:

1. The session begins a record before it forks any process for the test, and reads it when the audit is over. Only the processes of
   the audit watch.
2. A process is *open* while it makes a run, and also if it is a child that the code under test has forked: what such a process enters
   is lost if it dies. So a record with an open process is incomplete, and proves nothing.
3. The record has room for bits, not for names: two bits are chosen by the name and the first line of a code object, and the name of its
   file without folders, which may be reached in several ways. So code can seem to have been entered that was not, which costs a new
   audit, but never the other way round.
4. Programs that the code under test starts are not seen, so a record with one is incomplete, too.

What does not work: before CPython 3.12 there is no ``sys.monitoring``; where another tool has the number, nothing can be seen.
"""

from __future__ import annotations

import mmap
import sys
from functools import cached_property, partial
from types import CodeType
from typing import Any

from pytest_maskcheck.system.unpatched import os
from pytest_maskcheck.system.untrusted import read

_MONITORING: Any = getattr(sys, "monitoring", None)

_TOOL = 5
"""PEP 669 reserves it for optimizers, and there are none. The engine uses other ones, and has to find them free."""

_NAME = "maskcheck"
"""The kind that looks after tools leaves those of this name alone."""

_BITS = 1 << 18
_PROCESSES = 1 << 12
_LOST = _BITS + _PROCESSES
_SIZE = _LOST + 1

_STARTERS = frozenset({"_execute_child", "spawnv_passfds"})
"""Functions of ``subprocess`` and ``multiprocessing`` that start a program."""


def noting(seen: list[object]) -> Any:
    """Return a callback for events that can be switched off: it appends the code object to a list, and runs no Python code."""

    class Noted:
        """Appends what it is called with, and is not greater than anything."""

        __slots__ = ()
        __init__ = seen.append
        __gt__ = ().__contains__

    # The key is called with each argument; the greatest of equals is the first one. All else that is noted is no code.
    return partial(max, getattr(_MONITORING, "DISABLE", None), key=Noted)


Key = tuple[str, str, int]
"""What identifies code: the name of its file without folders, which may be reached in several ways, its name, and its first line."""


def key_of(path: str, name: str, line: int) -> Key:
    """Return the key of code in a file."""
    return os.path.basename(path), name, line


def _take(seen: list[object]) -> bool:
    """Take the tool and begin to watch; return whether that is possible.

    Parameters:
        seen: gets the code that is entered.
    """
    if _MONITORING is None or _MONITORING.get_tool(_TOOL) is not None:
        return False
    note = noting(seen)
    events = _MONITORING.events
    _MONITORING.use_tool_id(_TOOL, _NAME)
    for event in (events.PY_START, events.PY_RESUME):
        _MONITORING.register_callback(_TOOL, event, note)
    # What was switched off while this tool was taken before stays so, although it was given back.
    _MONITORING.restart_events()
    _MONITORING.set_events(_TOOL, events.PY_START | events.PY_RESUME)
    return True


class EnteredAtImport:
    """The code that the import of modules and the collection of tests enter, in the process of the session.

    Attributes:
        files: the modules that were imported meanwhile; of others it is not known what their import entered.
    """

    def __init__(self) -> None:
        self.files: frozenset[str] = frozenset()
        self._codes: list[CodeType] = []
        self._seen: list[object] = []
        self._before: frozenset[str] | None = None

    @cached_property
    def keys(self) -> frozenset[Key]:
        """That code; call this when watching has ended."""
        return frozenset(key_of(code.co_filename, code.co_name, code.co_firstlineno) for code in self._codes)

    def start(self) -> None:
        """Begin to watch, before tests are imported."""
        if self._before is None and _take(self._seen):
            self._before = _module_files()

    def stop(self) -> None:
        """End watching; further calls do nothing."""
        if self._before is None:
            return
        if _MONITORING.get_tool(_TOOL) is _NAME:  # else somebody has freed it, and more may have been entered
            _MONITORING.set_events(_TOOL, 0)
            _MONITORING.free_tool_id(_TOOL)
            self._codes = [code for code in self._seen if isinstance(code, CodeType)]
            self.files = _module_files() - self._before
        self._seen.clear()
        self._before = None


def _module_files() -> frozenset[str]:
    files = (read(module, "__file__") for module in [*sys.modules.values()])
    return frozenset(os.path.abspath(file) for file in files if isinstance(file, str))


class EnteredCode:
    """A record of the code that was entered.

    Attributes:
        wanted: a record has begun, so processes of an audit are to watch.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._memory: mmap.mmap | None = None
        self._seen: list[object] = []
        self._watches = False
        self._own = _BITS  # where this process shows that it is open

    # In the session

    def begin(self) -> None:
        """Begin a new record; call this before any process of an audit is forked."""
        if self._memory is None:
            self._memory = mmap.mmap(-1, _SIZE)
        self._memory[:] = bytes(_SIZE)
        self.wanted = True

    def end(self) -> bool:
        """End the record; return whether it is complete."""
        was_wanted, self.wanted = self.wanted, False
        memory = self._memory
        return was_wanted and memory is not None and bool(memory[_LOST] == _SEEN) and not any(memory[_BITS:_LOST])

    def has(self, key: Key) -> bool:
        """Return whether code with this key was entered."""
        assert self._memory is not None
        return all(self._memory[bit] for bit in _bits(key))

    # In the processes of an audit

    def watch(self) -> None:
        """Begin to watch, in the first process of an audit; those that it forks go on."""
        if not self.wanted or self._memory is None:
            return
        if not _take(self._seen):
            self._memory[_LOST] = _UNSEEN
            return
        if self._memory[_LOST] != _UNSEEN:
            self._memory[_LOST] = _SEEN
        self._watches = True
        self.forked()
        self.close()

    def leave(self) -> None:
        """Take no more part, in a child that has nothing to do with the test."""
        self.close()
        self._watches = False

    def forked(self) -> None:
        """In a child: it is open, as it may have been forked by the code under test."""
        if self._watches:
            self._own = _BITS + os.getpid() % _PROCESSES
            self.open()

    def open(self) -> None:
        """Note that a run begins."""
        if self._watches and self._memory is not None:
            self._memory[self._own] = 1

    def close(self) -> None:
        """Write down what was entered, and that no run is under way."""
        if not self._watches or self._memory is None:
            return
        if self._seen:
            self._write(self._memory)
        self._memory[self._own] = 0

    def _write(self, memory: mmap.mmap) -> None:
        new = self._seen[:]
        del self._seen[: len(new)]  # another thread may append meanwhile
        for code in new:
            if isinstance(code, CodeType):  # not so the other arguments of the callback
                for bit in _bits(key_of(code.co_filename, code.co_name, code.co_firstlineno)):
                    memory[bit] = 1
                if code.co_name in _STARTERS:
                    memory[_LOST] = _UNSEEN
        if _MONITORING.get_tool(_TOOL) is not _NAME:  # the code under test has freed it
            memory[_LOST] = _UNSEEN


_SEEN, _UNSEEN = 1, 2
"""Whether all that was entered was seen, once a process watches."""


def _bits(key: Key) -> tuple[int, int]:
    found = hash(key)  # that of a text is the same in processes that were forked from one another
    return found % _BITS, (found >> 32) % _BITS


ENTERED = EnteredCode()
"""The record of the audit under way."""

AT_IMPORT = EnteredAtImport()
"""What the session has entered before its first test."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ENTERED.forked)
