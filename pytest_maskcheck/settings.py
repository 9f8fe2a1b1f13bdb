"""Options, ini keys and marker arguments, made one frozen :class:`Settings`; wrong values become usage errors.

Each setting is one row of :data:`TABLE`. A marker argument wins over the command line, which wins over the ini file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_maskcheck import signals

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKER = "interrupt_safe"
"""The marker of tests to audit."""

PREFIX = "maskcheck_"
"""What all ini keys begin with."""

Ini = Literal["string", "args", "bool", "int", "float"]


def _one_of(*words: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return parse


def _hits(value: object) -> int | None:
    if value == "all":
        return None
    number = _count(value)
    if number > 3:
        raise ValueError
    return number


def _count(value: object) -> int:
    number = int(str(value))
    if number < 1:
        raise ValueError
    return number


def _seconds(value: object) -> float:
    number = float(str(value))
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def _flag(value: object) -> bool:
    if value is not True and value is not False:
        raise ValueError
    return value


def _words(value: object) -> tuple[str, ...]:
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) and word for word in words):
        raise ValueError
    return tuple(words)


def _interrupts(value: object) -> int:
    number = _count(value)
    if number > 2:
        raise ValueError
    return number


def _signals(value: object) -> tuple[int, ...]:
    several = value if isinstance(value, (list, tuple)) else [value]
    if not several:
        raise ValueError
    return tuple(dict.fromkeys(signals.parse(one) for one in several))


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Parameters:
        name: its name in Python and in the marker; the option is ``--maskcheck-name``, the ini key ``maskcheck_name``.
        parse: turns a raw value into the setting, or raises :class:`ValueError`.
        must: what a value must be.
        default: the raw value where nobody says anything.
        ini: type of the ini key.
        help: for ``--help``.
        metavar: for ``--help``.
    """

    name: str
    parse: Callable[[object], Any]
    must: str
    default: Any
    ini: Ini
    help: str
    metavar: str | None = None

    @property
    def option(self) -> str:
        """The command line option."""
        return "--maskcheck-" + self.name.replace("_", "-")

    def read(self, source: str, value: object) -> Any:
        """Return the setting that ``value``, given at ``source``, stands for.

        Raises:
            pytest.UsageError: it stands for none.
        """
        try:
            return self.parse(value)
        except ValueError:
            message = f"{source} is {value!r}; it must be {self.must}"
            raise pytest.UsageError(message) from None


_TRUTH = "true or false"
_LIST = "a list of strings"

TABLE = (
    Row(
        "points",
        _one_of("checkpoint", "line", "raise"),
        "one of checkpoint, line, raise",
        "checkpoint",
        "string",
        "where to interrupt: every checkpoint of every line reached (default); once per line, the signal pending as the "
        "line begins; or KeyboardInterrupt raised at the start of every line, even where CPython could not",
        "{checkpoint,line,raise}",
    ),
    Row(
        "interrupts",
        _interrupts,
        "1 or 2",
        1,
        "int",
        "interrupts in one run: 1 (default), or 2: a second one at every point that is reached after the first",
        "{1,2}",
    ),
    Row(
        "signals",
        _signals,
        "a signal that can be handled, by name such as SIGTERM or by number, or a list of such signals; SIGKILL and SIGSTOP "
        "cannot be caught, and SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT stand for faults of the process itself",
        ("SIGINT",),
        "args",
        "signals to interrupt with, by name or number (default SIGINT); each point is audited once for each of them",
        "SIGNAL",
    ),
    Row(
        "hits",
        _hits,
        "1, 2, 3 or all",
        "3",
        "string",
        "hits of a place in one calling context to audit: 1, 2, 3 (default) or all",
        "N",
    ),
    Row(
        "max_points",
        _count,
        "a whole number, 1 or more",
        2000,
        "int",
        "audit at most this many points of a test, evenly spread (default 2000)",
        "N",
    ),
    Row(
        "timeout",
        _seconds,
        "a number of seconds above 0",
        5.0,
        "float",
        "seconds by which a run may outlast the uninterrupted one (default 5)",
        "SECONDS",
    ),
    Row("strict", _flag, _TRUTH, False, "bool", "resources released only by reference counting fail too"),
    Row("may_swallow", _flag, _TRUTH, False, "bool", "the interrupt need not come out of the test"),
    Row("allow", _words, _LIST, (), "args", "globs on kind:key of leftovers that are accepted", "GLOB"),
    Row("include", _words, _LIST, (), "args", "files (globs), modules, packages or stdlib to interrupt in", "WHAT"),
    Row("exclude", _words, _LIST, (), "args", "files (globs), modules, packages or stdlib not to interrupt in", "WHAT"),
    Row(
        "isolation",
        _one_of("auto", "fork", "none"),
        "one of auto, fork, none",
        "auto",
        "string",
        "where audited runs happen: in forked processes, in this one (none), or as fits (auto, default)",
        "{auto,fork,none}",
    ),
)
_ROWS = {row.name: row for row in TABLE}


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the audit of one test; see :data:`TABLE`."""

    points: Literal["checkpoint", "line", "raise"]
    interrupts: int
    signals: tuple[int, ...]
    hits: int | None
    max_points: int
    timeout: float
    strict: bool
    may_swallow: bool
    allow: tuple[str, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    isolation: Literal["auto", "fork", "none"]


def add_options(parser: pytest.Parser) -> None:
    """Register options and ini keys."""
    group = parser.getgroup("maskcheck", "interrupt-safety auditing")
    group.addoption("--maskcheck", action="store_true", help=f"audit the tests marked {MARKER}")
    group.addoption("--maskcheck-all", action="store_true", help="audit every test")
    group.addoption(
        "--maskcheck-point",
        metavar="ID",
        help="audit just this point, in this process (works with --pdb); ID as printed in reports",
    )
    group.addoption(
        "--maskcheck-report",
        metavar="FORMAT:PATH",
        action="append",
        default=[],
        help="write the results to a file; FORMAT is json; may be given several times",
    )
    for row in TABLE:
        keywords: dict[str, Any] = {"help": row.help, "default": None}
        if row.ini == "bool":
            keywords["action"] = "store_true"
        else:
            keywords["metavar"] = row.metavar
            keywords["action"] = "append" if row.ini == "args" else "store"
        group.addoption(row.option, **keywords)
        parser.addini(PREFIX + row.name, row.help, type=row.ini, default=row.default)


def from_config(config: pytest.Config) -> dict[str, Any]:
    """Return the settings of the command line and the ini file by name.

    Raises:
        pytest.UsageError: a value cannot be used.
    """
    return {row.name: _from_config(config, row) for row in TABLE}


def _from_config(config: pytest.Config, row: Row) -> Any:
    raw = config.getoption(row.option)
    if raw is not None:
        return row.read(row.option, raw)
    key = PREFIX + row.name
    try:
        raw = config.getini(key)
    except (ValueError, TypeError, pytest.UsageError) as error:  # the last since pytest 9.2
        message = f"{key} cannot be read from the configuration file ({error}); it must be {row.must}"
        raise pytest.UsageError(message) from None
    return row.read(key, raw)


def for_item(item: pytest.Item, common: Mapping[str, Any]) -> Settings:
    """Return the settings of one test: those of its marks over the common ones.

    Raises:
        pytest.UsageError: a mark has an unknown argument or a value that cannot be used.
    """
    values = dict(common)
    for mark in reversed(list(item.iter_markers(MARKER))):  # the closest mark last
        if mark.args:
            message = f"{item.nodeid}: @pytest.mark.{MARKER} takes keyword arguments only, not {mark.args[0]!r}"
            raise pytest.UsageError(message)
        for name, raw in mark.kwargs.items():
            if name not in _ROWS:
                message = f"{item.nodeid}: @pytest.mark.{MARKER} has no argument {name!r}; it takes {', '.join(sorted(_ROWS))}"
                raise pytest.UsageError(message)
            values[name] = _ROWS[name].read(f"{item.nodeid}: argument {name} of @pytest.mark.{MARKER}", raw)
    return Settings(**values)


def reports(config: pytest.Config) -> list[tuple[str, str]]:
    """Return (format, path) of the reports asked for.

    Raises:
        pytest.UsageError: a report has a format that does not exist, or no path that can be written.
    """
    asked = []
    for text in config.getoption("--maskcheck-report"):
        form, colon, path = text.partition(":")
        if form != "json" or not colon or not path:
            message = (
                f"--maskcheck-report is {text!r}; it must be FORMAT:PATH with FORMAT json, such as json:maskcheck.json"
            )
            raise pytest.UsageError(message)
        folder = os.path.dirname(os.path.abspath(path))
        if os.path.isdir(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            message = (
                f"--maskcheck-report is {text!r}; it must name a file in a folder that exists and can be written to"
            )
            raise pytest.UsageError(message)
        asked.append((form, path))
    return asked


def wanted(config: pytest.Config) -> bool:
    """Tell whether anything is to be audited."""
    return bool(
        config.getoption("--maskcheck") or config.getoption("--maskcheck-all") or config.getoption("--maskcheck-point")
    )
