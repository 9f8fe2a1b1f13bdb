"""The fixture ``maskcheck``: a test uses it to declare what must hold after an interrupt.

A test, or one of its fixtures, registers guarantees; the audit checks them after each run (:mod:`.ledger`). Without
``--maskcheck`` nothing is checked, but wrong arguments raise the same errors.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.session.comparison import contents, copied, itself, short
from pytest_maskcheck.session.guarantee import GUARANTEES, Guarantee
from pytest_maskcheck.session.ledger import LEDGER
from pytest_maskcheck.settings import Allow, is_allowable
from pytest_maskcheck.system.plain import described, is_text, quoted, type_name
from pytest_maskcheck.system.unpatched import os, sys_functions, threading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_maskcheck.session.ledger import Ledger


class Maskcheck:
    """The fixture ``maskcheck`` of one run.

    Parameters:
        ledger: that of the audit under way; ``None``: the test is not audited.

    Attributes:
        allowed: what was passed to :meth:`allow`.
        guarantees: what must hold after this run.
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.allowed: list[Allow] = []
        self._ledger = ledger
        self.guarantees: list[Guarantee] = []

    def invariant(self, check: Callable[[], object], message: str = "") -> None:
        """Call ``check()`` after every run of the audit: its result must be truthy, and it must not raise.

        In a function without a ``return`` statement, only the ``assert`` statements count.

        Parameters:
            check: a function without parameters.
            message: the name of the invariant in reports; by default the name of ``check``.

        Raises:
            pytest.UsageError: ``check`` cannot be called, or must be awaited.
        """
        name = _text("invariant", "message", message)
        function: object = check
        if not callable(function):
            message = f"maskcheck.invariant() takes a function that tells whether it holds, not {quoted(check)}; pass lambda: ..."
            raise pytest.UsageError(message)
        _require_plain("invariant", check)
        self._add(Guarantee("invariant", name or _name(check), check))

    def unchanged(self, value: object, name: str = "") -> None:
        """Require that an interrupt from here on leaves ``value`` as it is now.

        If the interrupt does not come out of the test, the value may also be as at the end of the uninterrupted test.

        Parameters:
            value: a path (a file's bytes; a directory's names and bytes), a function that returns the value, or any object
                that can be copied and compared.
            name: the name of the value in reports.

        Raises:
            pytest.UsageError: the value cannot be copied, cannot be compared, or cannot change.
        """
        self._watch("unchanged", value, name)

    def atomic(self, value: object, name: str = "") -> None:
        """Require that an interrupt from here on leaves ``value`` as it is now, or as at the end of the uninterrupted test.

        A value that differs from one uninterrupted run to the next cannot be judged; the report has a note of it.

        Parameters:
            value: as for :meth:`unchanged`.
            name: the name of the value in reports.

        Raises:
            pytest.UsageError: the value cannot be copied, cannot be compared, or cannot change.
        """
        self._watch("atomic", value, name)

    def paused(self) -> AbstractContextManager[None]:
        """Return a context manager within which no interrupt is delivered."""
        return _Paused(self._ledger)

    def allow(self, glob: str, reason: str = "") -> None:
        """Accept leftovers, in addition to those that the mark, the command line and the configuration file allow.

        This applies to the whole test, wherever the interrupt arrives.

        Parameters:
            glob: matches ``kind:key``, such as ``thread:pool-*``.
            reason: why the leftovers are acceptable.

        Raises:
            pytest.UsageError: ``glob`` is not such a glob.
        """
        reason, glob = _text("allow", "reason", reason), _text("allow", "glob", glob)
        if not is_allowable(glob):
            message = f"maskcheck.allow() takes a glob on kind:key such as 'thread:pool-*', not {quoted(glob)}"
            raise pytest.UsageError(message)
        allow = Allow(glob, reason, "the fixture maskcheck")
        self.allowed.append(allow)
        if self._ledger is not None:
            self._ledger.allowed[allow] = None

    def _watch(self, sort: str, value: object, name: str) -> None:
        name = _text(sort, "name", name)
        given = _name(value) if callable(value) else f"{type_name(value)} ({_caller()})"
        before: object = None
        read: Callable[[], object]
        if _is_path(value):
            given = _path_of(sort, value)
            read = partial(contents, given)
            if self._ledger is not None:
                before = read()
        elif callable(value):
            _require_plain(sort, value)
            read = value
            before = copied(sort, read(), f"what {given} returns")
        else:
            read = partial(itself, value)
            before = copied(sort, value, f"a {type_name(value)}")
            if before is value:
                message = (
                    f"maskcheck.{sort}() was given {short(value)}, which cannot change: pass a function that reads the value, "
                    f"such as maskcheck.{sort}(lambda: ...), or a pathlib.Path for a file"
                )
                raise pytest.UsageError(message)
        self._add(Guarantee(sort, name or given, read, before))

    def _add(self, guarantee: Guarantee) -> None:
        if self._ledger is not None:
            guarantee.late = self._ledger.struck()
            self.guarantees.append(guarantee)


def _text(sort: str, parameter: str, value: object) -> str:
    """Return a text as an instance of ``str`` itself: the methods of a subclass are the user's code.

    Raises:
        pytest.UsageError: the value is not a text.
    """
    if not is_text(value):
        message = f"maskcheck.{sort}() has the {parameter} {quoted(value)}; it must be a string"
        raise pytest.UsageError(message)
    return str.__str__(value)


def _is_path(value: object) -> bool:
    """Return whether a value is a path, by its type: ``isinstance`` reads ``__class__``, which may raise."""
    return issubclass(type(value), os.PathLike)


def _path_of(sort: str, value: Any) -> str:
    """Return the absolute path that a path-like object stands for.

    Raises:
        pytest.UsageError: its ``__fspath__`` fails.
    """
    try:
        return os.path.abspath(os.fsdecode(value))
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the user's own code)
        message = f"maskcheck.{sort}() was given a path that cannot be read ({described(error)}); pass a pathlib.Path"
        raise pytest.UsageError(message) from None


def _require_plain(sort: str, function: Callable[..., object]) -> None:
    suspended = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    is_suspended = False
    with suppress(Exception):  # a proxy of the user's that raises here: whatever its call returns is taken
        is_suspended = any(test(function) for test in suspended)
    if is_suspended:
        message = f"maskcheck.{sort}() cannot await or iterate over {_name(function)}: pass a plain function"
        raise pytest.UsageError(message)


def _name(function: Callable[..., object]) -> str:
    """Return the name of a function for reports, the same in every run."""
    while type(function) is partial:  # isinstance would read __class__, which may raise
        function = function.func
    try:
        name = str(getattr(function, "__qualname__", type(function).__qualname__)).rpartition("<locals>.")[2]
        code = getattr(function, "__code__", None)
    except Exception:  # noqa: BLE001  (a proxy of the user's)
        return type_name(function)
    if name == "<lambda>" and code is not None:
        return f"lambda ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"
    return name


def _caller() -> str:
    """Return file and line of the code that called the fixture."""
    frame = sys_functions._getframe(1)  # noqa: SLF001  (documented, CPython only, as this package is)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


class _Paused:
    """See :meth:`Maskcheck.paused`."""

    def __init__(self, ledger: Ledger | None) -> None:
        # Only the main thread is interrupted, so only its pauses count.
        self._ledger = ledger if threading.current_thread() is threading.main_thread() else None

    def __enter__(self) -> None:
        if self._ledger is not None:
            self._ledger.pause()

    def __exit__(self, *_: object) -> None:
        if self._ledger is not None:
            self._ledger.resume()


def provide(node: pytest.Item) -> Iterator[Maskcheck]:
    """Yield the fixture for one run of a test."""
    ledger = node.stash.get(LEDGER, None)
    if ledger is not None:
        ledger.start()
    fixture = Maskcheck(ledger)
    node.stash[GUARANTEES] = fixture.guarantees
    yield fixture
    fixture.guarantees.clear()
    del node.stash[GUARANTEES]
