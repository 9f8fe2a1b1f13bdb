"""The fixture ``maskcheck``: what a test says must hold after an interrupt, and the check of it.

A test, or one of its fixtures, registers guarantees. The audit checks them when the interrupt has come out of the body, its
traceback and the test's frames are gone and garbage is collected, before the last reading of resources, and then lets go of all
that was registered: what a check keeps alive would look like a leak. Without ``--maskcheck`` nothing is checked, and wrong arguments are the same errors.
"""

from __future__ import annotations

import copy
import inspect
import reprlib
from collections import Counter, deque
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pytest_maskcheck.results import Finding, Verdict
from pytest_maskcheck.settings import Allow, is_allowable
from pytest_maskcheck.system.bytecode import returns_nothing
from pytest_maskcheck.system.plain import described, is_text, quoted, type_name
from pytest_maskcheck.system.unpatched import io, os, sys_functions, threading
from pytest_maskcheck.system.untrusted import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LINES = 30
"""Lines shown of one difference."""


@dataclass(slots=True, repr=False)
class _Guarantee:
    """One thing that must hold.

    Parameters:
        sort: ``invariant``, ``unchanged`` or ``atomic``.
        name: as in reports.
        read: returns the value; of an invariant, whether it holds.
        before: the value at registration.
        late: the interrupt of the run had been sent by then.
    """

    sort: str
    name: str
    read: Callable[[], object]
    before: object = None
    late: bool = False


class Maskcheck:
    """What the fixture ``maskcheck`` is.

    Attributes:
        allowed: what was given to :meth:`allow`.
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        """Take the ledger of the audit under way, if there is one."""
        self.allowed: list[Allow] = []
        self._ledger = ledger
        self.guarantees: list[_Guarantee] = []

    def invariant(self, check: Callable[[], object], message: str = "") -> None:
        """Call ``check()`` after every run that was interrupted: its result must not be falsy, and it must not raise.

        A function without a ``return`` speaks by ``assert`` alone.

        Parameters:
            check: takes no argument.
            message: names it in reports; else the name of ``check`` does.

        Raises:
            pytest.UsageError: ``check`` cannot be called, or must be awaited.
        """
        name = _text("invariant", "message", message)
        function: object = check
        if not callable(function):
            message = f"maskcheck.invariant() takes a function that tells whether it holds, not {quoted(check)}; pass lambda: ..."
            raise pytest.UsageError(message)
        _require_plain("invariant", check)
        self._add(_Guarantee("invariant", name or _name(check), check))

    def unchanged(self, value: object, name: str = "") -> None:
        """An interrupt that comes from here on leaves ``value`` as it is now.

        If the interrupt does not come out of the test, the value may also be as at the end of the uninterrupted one.

        Parameters:
            value: a path (a file's bytes; a directory's names and bytes), a function that returns the value, or any object
                that can be copied and compared.
            name: names it in reports.

        Raises:
            pytest.UsageError: the value can be neither copied nor compared, or cannot change.
        """
        self._watch("unchanged", value, name)

    def atomic(self, value: object, name: str = "") -> None:
        """An interrupt that comes from here on leaves ``value`` as it is now or as at the end of the uninterrupted test.

        A value that differs from one uninterrupted run to the next cannot be judged; the report says so.

        Parameters:
            value: as for :meth:`unchanged`.
            name: names it in reports.

        Raises:
            pytest.UsageError: the value can be neither copied nor compared, or cannot change.
        """
        self._watch("atomic", value, name)

    def paused(self) -> AbstractContextManager[None]:
        """Return a context manager within which no interrupt is delivered."""
        return _Paused(self._ledger)

    def allow(self, glob: str, reason: str = "") -> None:
        """Accept leftovers, besides those that the mark, the command line and the configuration file allow.

        It holds for the whole test, wherever the interrupt comes.

        Parameters:
            glob: matches ``kind:key``, such as ``thread:pool-*``.
            reason: why that is right.

        Raises:
            pytest.UsageError: ``glob`` is no such glob.
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
            read = partial(_contents, given)
            if self._ledger is not None:
                before = read()
        elif callable(value):
            _require_plain(sort, value)
            read = value
            before = _copied(sort, read(), f"what {given} returns")
        else:
            read = partial(_itself, value)
            before = _copied(sort, value, f"a {type_name(value)}")
            if before is value:
                message = (
                    f"maskcheck.{sort}() was given {_short(value)}, which cannot change: pass a function that reads the value, "
                    f"such as maskcheck.{sort}(lambda: ...), or a pathlib.Path for a file"
                )
                raise pytest.UsageError(message)
        self._add(_Guarantee(sort, name or given, read, before))

    def _add(self, guarantee: _Guarantee) -> None:
        if self._ledger is not None:
            guarantee.late = self._ledger.struck()
            self.guarantees.append(guarantee)


def _text(sort: str, parameter: str, value: object) -> str:
    """Return a text that was given as one of class ``str``.

    Raises:
        pytest.UsageError: it is none.
    """
    if not is_text(value):
        message = f"maskcheck.{sort}() has the {parameter} {quoted(value)}; it must be a string"
        raise pytest.UsageError(message)
    return str.__str__(value)


def _is_path(value: object) -> bool:
    """Tell whether a value is a path; asked of its type, as ``isinstance`` reads ``__class__``, which may raise."""
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


def _asserts(check: Callable[..., object]) -> bool:
    """Tell whether a function returns nothing, so that it can speak by ``assert`` only."""
    code = getattr(getattr(check, "__func__", check), "__code__", None)
    return code is not None and returns_nothing(code)


def _require_plain(sort: str, function: Callable[..., object]) -> None:
    suspended = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    is_suspended = False
    with suppress(Exception):  # a proxy of the user's: what its call returns must do
        is_suspended = any(test(function) for test in suspended)
    if is_suspended:
        message = f"maskcheck.{sort}() cannot await or iterate over {_name(function)}: pass a plain function"
        raise pytest.UsageError(message)


def _copied(sort: str, value: object, what: str) -> Any:
    """Return a deep copy that is equal to ``value``.

    Raises:
        pytest.UsageError: there is none.
    """
    remedy = f"pass a function that returns what is to be compared, such as maskcheck.{sort}(lambda: list(store))"
    try:
        found = copy.deepcopy(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the user's own code)
        message = f"maskcheck.{sort}(): {what} cannot be copied ({described(error)}); {remedy}"
        raise pytest.UsageError(message) from None
    try:
        equal = bool(found == value)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the user's own code)
        message = f"maskcheck.{sort}(): {what} cannot be compared ({described(error)}); {remedy}"
        raise pytest.UsageError(message) from None
    if not equal:
        message = f"maskcheck.{sort}(): {what} does not equal its own copy, so that a change cannot be seen; {remedy}"
        raise pytest.UsageError(message)
    return found


def _itself(value: object) -> object:
    return value


class _Nothing:
    """Stands for a file that is not there."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Nothing)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<nothing>"


def _contents(path: str) -> object:
    """Return the bytes of a file, or the names in a directory with theirs."""
    if os.path.isdir(path) and not os.path.islink(path):
        return {name: _contents(os.path.join(path, name)) for name in sorted(os.listdir(path))}
    try:
        if os.path.islink(path) and not os.path.isfile(path):
            return f"<link to {os.path.basename(os.readlink(path))}>"
        if not os.path.isfile(path):
            return "<special file>" if os.path.lexists(path) else _Nothing()
        with io.open(path, "rb") as file:
            return file.read()
    except OSError as error:
        return f"<{error.strerror}>"


def _name(function: Callable[..., object]) -> str:
    """Return how a function is called in reports; alike in every run."""
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
    """Return file and line of who called the fixture."""
    frame = sys_functions._getframe(1)  # noqa: SLF001  (documented, CPython only, as this package is)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def _short(value: object) -> str:
    try:
        return reprlib.repr(value)
    except Exception as error:  # noqa: BLE001  (the user's __repr__)
        return f"<{type_name(value)} whose repr raised {type_name(error)}>"


def _equal(left: object, right: object) -> bool:
    return bool(left == right)


class _Paused:
    """See :meth:`Maskcheck.paused`."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger if threading.current_thread() is threading.main_thread() else None

    def __enter__(self) -> None:
        if self._ledger is not None:
            self._ledger.pause()

    def __exit__(self, *_: object) -> None:
        if self._ledger is not None:
            self._ledger.resume()


class Watched(Protocol):
    """The recording of a run; see :class:`pytest_maskcheck.interrupts.Recording`."""

    paused: bool


_Identity = tuple[str, str, int]


class Ledger:
    """What one audit knows of the guarantees of its test.

    Parameters:
        item: the test; its plugins explain differences.
        key: makes a name alike in every run.
        here: runs share the process with the session: the user's own Ctrl-C passes.
    """

    def __init__(self, item: pytest.Item, key: Callable[[str], str], *, here: bool = False) -> None:
        """Start without knowing anything."""
        self._item = item
        self._key = key
        self._here = here
        self._watched: Watched | None = None
        self._depth = 0
        self._ends: deque[dict[_Identity, object]] = deque(maxlen=2)
        self._completed: dict[_Identity, object] = {}
        self._settled = False
        self.allowed: dict[Allow, None] = {}
        self.struck: Callable[[], bool] = _never

    # Where interrupts go

    def watch(self, recording: Watched | None) -> None:
        """Note in this recording, from here on, which hits come while interrupts are paused."""
        self._watched = recording
        self._note()

    def pause(self) -> None:
        """Begin to pause."""
        self._depth += 1
        self._note()

    def resume(self) -> None:
        """Pause no longer."""
        self._depth -= 1
        self._note()

    def _note(self) -> None:
        if self._watched is not None:
            self._watched.paused = self._depth > 0

    def start(self) -> None:
        """Begin a run: nothing is paused and no interrupt sent yet."""
        self._depth = 0
        self._note()
        self.struck = _never

    # What has to hold

    def begin(self, struck: Callable[[], bool]) -> None:
        """Take what tells whether the (last) interrupt of the run was sent."""
        self.struck = struck

    @property
    def asked(self) -> bool:
        """Whether the run that ended has anything to check."""
        return bool(self._guarantees())

    def _guarantees(self) -> list[_Guarantee]:
        fixture = self._item.stash.get(_FIXTURE, None)
        return fixture.guarantees if fixture is not None else []

    def check(self, *, returned: bool) -> tuple[Finding, ...]:
        """Return what does not hold after a run; of an uninterrupted one, learn how its values end.

        Parameters:
            returned: nothing came out of the body.
        """
        struck = self.struck()
        ends: dict[_Identity, object] = {}
        found: list[Finding] = []
        numbers: Counter[tuple[str, str]] = Counter()
        for guarantee in self._guarantees():
            name = (guarantee.sort, self._key(guarantee.name) if os.path.isabs(guarantee.name) else guarantee.name)
            numbers[name] += 1
            identity = (*name, numbers[name])
            lines: list[str] = []
            if guarantee.sort == "invariant":
                lines = self._tried(partial(self._invariant, guarantee))
            elif struck and not guarantee.late:
                lines = self._tried(partial(self._kept, guarantee, identity, returned=returned))
            elif not struck and not self._settled:
                self._learn(guarantee, identity, ends)
            if lines:
                found.append(Finding(Verdict.INVARIANT, *name, "\n".join(lines)))
        if not struck and not self._settled:
            self._ends.append(ends)
        return tuple(found)

    def forget(self) -> None:
        """Let go of what was registered for the run."""
        self._guarantees().clear()

    def settle(self) -> Iterator[str]:
        """Take the values as the last two uninterrupted runs left them; yield which cannot be judged."""
        self._settled = True
        first, last = (self._ends[0], self._ends[-1]) if self._ends else ({}, {})
        for identity, value in {**first, **last}.items():
            if identity in first and identity in last and self._same(first[identity], value):
                self._completed[identity] = value
            elif identity[0] == "atomic":
                yield f"atomic {identity[1]} is not judged: at the end of the uninterrupted test it differs from run to run"
        self._ends.clear()

    @staticmethod
    def _same(left: object, right: object) -> bool:
        try:
            return type(left) is not _Unknown and _equal(left, right)
        except Exception:  # noqa: BLE001  (the user's __eq__)
            return False

    def _learn(self, guarantee: _Guarantee, identity: _Identity, ends: dict[_Identity, object]) -> None:
        try:
            ends[identity] = _copied(guarantee.sort, guarantee.read(), "it")
        except KeyboardInterrupt:
            raise
        except Exception:  # noqa: BLE001  (the user's own code; what cannot be read at the end cannot be judged)
            ends[identity] = _Unknown()

    def _tried(self, check: Callable[[], list[str]]) -> list[str]:
        """Return what ``check`` says; what it raises is said, too."""
        try:
            return check()
        except KeyboardInterrupt as error:
            if self._here:
                raise
            return [f"the check raised {type(error).__name__}"]
        except AssertionError as error:
            return _lines(text_of(error).splitlines() or ["the check raised AssertionError"])
        except BaseException as error:  # noqa: BLE001  (whatever the user's code raises is the result)
            return _lines([f"the check raised {described(error)}"])

    def _invariant(self, guarantee: _Guarantee) -> list[str]:
        value = guarantee.read()
        return [] if value or (value is None and _asserts(guarantee.read)) else [f"the check returned {_short(value)}"]

    def _kept(self, guarantee: _Guarantee, identity: _Identity, *, returned: bool) -> list[str]:
        now = guarantee.read()
        if _equal(guarantee.before, now):
            return []
        both = guarantee.sort == "atomic" or returned
        if both and (identity not in self._completed or _equal(self._completed[identity], now)):
            return []
        lines = ["it is not what it was: " + self._difference(guarantee.before, now)]
        if both:
            lines.append("and not what it is at the end: " + self._difference(self._completed[identity], now))
        return "\n".join(lines).splitlines()

    def _difference(self, left: object, right: object) -> str:
        """Return what pytest says of ``assert left == right``."""
        try:
            said = self._item.ihook.pytest_assertrepr_compare(config=self._item.config, op="==", left=left, right=right)
            lines = next(
                (found for one in said if one and (found := [text for line in one if (text := str(line))])), []
            )
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  (somebody else's plugin, and texts of the user's)
            lines = []
        return "\n".join(_lines(lines or [f"{_short(left)} == {_short(right)}"]))


class _Unknown:
    """Stands for a value that could not be read."""


def _never() -> bool:
    return False


def _lines(lines: list[str]) -> list[str]:
    more = len(lines) - _LINES
    return lines if more <= 0 else [*lines[:_LINES], f"... and {more} more lines"]


_FIXTURE = pytest.StashKey[Maskcheck]()

LEDGER = pytest.StashKey[Ledger]()
"""Where an item keeps the ledger while it is audited."""


def provide(node: pytest.Item) -> Iterator[Maskcheck]:
    """Yield what the fixture is for one run of a test."""
    ledger = node.stash.get(LEDGER, None)
    if ledger is not None:
        ledger.start()
    node.stash[_FIXTURE] = fixture = Maskcheck(ledger)
    yield fixture
    fixture.guarantees.clear()
    del node.stash[_FIXTURE]
