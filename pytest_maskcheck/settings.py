"""Options, ini keys and marker arguments, read into one frozen :class:`Settings`; unusable values become usage errors.

Each setting is one row of :data:`TABLE`, or of :data:`SESSION` if it is for the whole session; :mod:`pytest_maskcheck.plugin` declares
it to pytest, with its default. A marker argument overrides the command line, which overrides the ini file; settings with layers add up
instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pytest

from pytest_maskcheck.system import signals
from pytest_maskcheck.system.plain import brief, plain, quoted
from pytest_maskcheck.system.same_file import written_twice
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MARKER = "interrupt_safe"
"""The marker of tests to audit."""

PREFIX = "maskcheck_"
"""The prefix of all ini keys."""

_LIMIT = 2**63
"""Whole numbers must be smaller: they are added, used in slices and written into reports."""

_KIND = re.compile(r"[\w*?!\[\]-]+")
"""The kind in a glob on ``kind:key``; the text that pytest makes of a table does not match it."""

T = TypeVar("T")


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


def _repeats(value: object) -> int | str:
    return str(value) if value in ("auto", "all") else _count(value)


def _whole(value: object) -> int:
    number = int(str(value))
    if not -_LIMIT < number < _LIMIT:
        raise ValueError
    return number


def _count(value: object) -> int:
    number = _whole(value)
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


def _path(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return value


def _words(value: object) -> tuple[str, ...]:
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) and word for word in words):
        raise ValueError
    return tuple(words)


def _commit(value: object) -> str:
    # git would take a name with a dash in front for an option; no name has a zero byte.
    if not isinstance(value, str) or not value.strip() or value.startswith("-") or "\0" in value:
        raise ValueError
    os.fsencode(value)  # raises for what cannot be passed to a command
    return value


@dataclass(frozen=True, slots=True)
class Allow:
    """Leftovers that are accepted.

    Parameters:
        glob: matches ``kind:key``.
        reason: why they are accepted, as written where they were allowed, or ``""``.
        source: where they were allowed, such as ``the configuration file``.
    """

    glob: str
    reason: str = ""
    source: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the entry as reports show it."""
        return f"allow {self.glob}" + (f" ({self.reason})" if self.reason else "") + f", {self.source}"


_BECAUSE = " -- "


def _allow(value: object) -> tuple[Allow, ...]:
    if isinstance(value, dict):
        return tuple(_allowed(glob, reason) for glob, reason in value.items())
    return tuple(_allowed(*(part.strip() for part in word.partition(_BECAUSE)[::2])) for word in _words(value))


def _allowed(glob: object, reason: object) -> Allow:
    if not isinstance(glob, str) or not isinstance(reason, str) or not is_allowable(glob):
        raise ValueError
    return Allow(glob, reason)


def is_allowable(glob: str) -> bool:
    """Return whether a glob can match any ``kind:key``."""
    kind, colon, _ = glob.partition(":")
    return bool(colon and _KIND.fullmatch(kind))


def _kinds(value: object) -> tuple[str, ...]:
    words = _words(value)
    if not all(word.removeprefix("-").isidentifier() for word in words):
        raise ValueError
    return words


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
        must: what a value must be, for messages.
        layers: whether the values of configuration file, command line and marks add up, in this order.
    """

    name: str
    parse: Callable[[object], Any]
    must: str
    layers: bool = False

    @property
    def option(self) -> str:
        """The command line option."""
        return "--maskcheck-" + self.name.replace("_", "-")

    def read(self, source: str, value: object) -> Any:
        """Return the setting for ``value``, which was given at ``source``.

        Raises:
            pytest.UsageError: the value cannot be used.
        """
        try:
            return self.parse(plain(value))
        except ValueError:
            message = f"{source} is {quoted(value)}; it must be {self.must}"
            raise pytest.UsageError(message) from None


_TRUTH = "true or false"
_LIST = "a list of strings"

TABLE = (
    Row("points", _one_of("checkpoint", "line", "raise"), "one of checkpoint, line, raise"),
    Row("interrupts", _interrupts, "1 or 2"),
    Row(
        "signals",
        _signals,
        "a signal that can be handled, by name such as SIGTERM or by number, or a list of such signals; SIGKILL and SIGSTOP "
        "cannot be caught, and SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT stand for faults of the process itself",
    ),
    Row("hits", _hits, "1, 2, 3 or all"),
    Row("max_points", _count, "a whole number, 1 or more, below 2**63"),
    Row("seed", _whole, "a whole number between -2**63 and 2**63"),
    Row("timeout", _seconds, "a number of seconds above 0"),
    Row("strict", _flag, _TRUTH),
    Row("may_swallow", _flag, _TRUTH),
    Row(
        "allow",
        _allow,
        "a list of globs on kind:key such as 'thread:pool-*', each alone or as 'GLOB -- REASON'; only the marker takes a table: "
        "a dict of glob and reason",
        layers=True,
    ),
    Row(
        "kinds",
        _kinds,
        "a list of names of kinds, each alone to switch it on or with - in front to switch it off; all stands for all of them",
        layers=True,
    ),
    Row("include", _words, _LIST),
    Row("exclude", _words, _LIST),
    Row("isolation", _one_of("auto", "fork", "none"), "one of auto, fork, none"),
    Row("strategy", _one_of("auto", "rerun", "snapshot"), "one of auto, rerun, snapshot"),
    Row("repeats", _repeats, "a whole number, 1 or more, or one of auto, all"),
)
SESSION = (
    Row("budget", lambda value: None if value is None else _seconds(value), "a number of seconds above 0"),
    Row("allow_none", _flag, _TRUTH),
    Row("fail_undecided", _flag, _TRUTH),
    Row("changed", _flag, _TRUTH),
    Row("resume", _flag, _TRUTH),
    Row("since", lambda value: None if value is None else _commit(value), "a commit, branch or tag of git"),
    Row("cleanup", _flag, _TRUTH),
    Row("depth", _one_of("lines", "places", "all"), "one of lines, places, all"),
    Row("github", _one_of("auto", "on", "off"), "one of auto, on, off"),
    Row("cache", lambda value: None if value is None else _path(value), "the path of a file"),
    Row("baseline", lambda value: None if value is None else _path(value), "the path of a file"),
)
"""The settings of the whole session, which a marker cannot set."""

_ROWS = {row.name: row for row in TABLE}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings for the audit of one test; see :data:`TABLE`."""

    points: Literal["checkpoint", "line", "raise"]
    interrupts: int
    signals: tuple[int, ...]
    hits: int | None
    max_points: int
    seed: int
    timeout: float
    strict: bool
    may_swallow: bool
    allow: tuple[Allow, ...]
    kinds: tuple[str, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    isolation: Literal["auto", "fork", "none"]
    strategy: Literal["auto", "rerun", "snapshot"]
    repeats: int | Literal["auto", "all"]

    @property
    def judged_by(self) -> tuple[object, ...]:
        """The settings that decide what counts as a finding at a point, and which callers are in scope."""
        checks = (self.points, self.timeout, self.strict, self.may_swallow, self.allow, self.kinds)
        return (*checks, self.include, self.exclude)

    def other_tests(self, *, marked: bool) -> int | None:
        """Return in how many other tests a point has to be audited before this test leaves it out; ``None``: it leaves none out.

        Parameters:
            marked: the test has the marker, so that somebody asked for its audit in particular.
        """
        if self.repeats == "auto":
            return None if marked else 1
        return None if self.repeats == "all" else self.repeats


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings of a whole session; see :data:`SESSION`. Paths are absolute."""

    budget: float | None
    allow_none: bool
    fail_undecided: bool
    changed: bool
    resume: bool
    since: str | None
    cleanup: bool
    depth: str
    github: str
    cache: str | None
    baseline: str | None


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of each audit.

    Parameters:
        number: which shard this is, counted from 1.
        of: how many shards there are.
    """

    number: int
    of: int

    def __str__(self) -> str:
        """Return the shard as the option is written: ``K/N``."""
        return f"{self.number}/{self.of}"

    def deal(self, items: Sequence[T]) -> list[T]:
        """Return the items of this shard if all items are dealt out to the shards in turn."""
        return list(items[self.number - 1 :: self.of])


def switched(kinds: tuple[str, ...], default: Mapping[str, bool]) -> frozenset[str]:
    """Return the names of the kinds to look for.

    Parameters:
        kinds: the setting.
        default: the name of every kind, and whether it is looked for by default.

    Raises:
        pytest.UsageError: there is no kind of that name.
    """
    chosen = {name for name, on in default.items() if on}
    for word in kinds:
        name = word.removeprefix("-")
        if name != "all" and name not in default:
            message = f"kinds is {quoted(word)}, but there is no such kind of leftovers here; there are {', '.join(sorted(default))}"
            raise pytest.UsageError(message)
        meant = set(default) if name == "all" else {name}
        chosen = chosen - meant if word != name else chosen | meant
    return frozenset(chosen)


def from_config(config: pytest.Config) -> dict[str, Any]:
    """Return the settings of the command line and the ini file by name.

    Raises:
        pytest.UsageError: a value cannot be used.
    """
    return {row.name: _from_config(config, row) for row in TABLE}


def of_session(config: pytest.Config) -> SessionSettings:
    """Return the settings of the whole session.

    Raises:
        pytest.UsageError: a value cannot be used.
    """
    chosen = SessionSettings(**{row.name: _from_config(config, row) for row in SESSION})
    cache, baseline = (_absolute(config, name, getattr(chosen, name)) for name in ("cache", "baseline"))
    return replace(chosen, cache=cache, baseline=baseline)


def _absolute(config: pytest.Config, name: str, path: str | None) -> str | None:
    """Return a path as pytest reads it: relative to the working directory on the command line, to the root directory in a file."""
    if path is None:
        return None
    given = config.getoption(f"--maskcheck-{name}") is not None
    return os.path.abspath(os.path.join(os.curdir if given else str(config.rootpath), path))


def _from_config(config: pytest.Config, row: Row) -> Any:
    raw = config.getoption(row.option)
    if not row.layers:
        return _from_file(config, row) if raw is None else row.read(row.option, raw)
    given = () if raw is None else row.read(row.option, raw)
    return (*_from(_from_file(config, row), "the configuration file"), *_from(given, "the command line"))


def _from_file(config: pytest.Config, row: Row) -> Any:
    key = PREFIX + row.name
    try:
        raw = config.getini(key)
    except (ValueError, TypeError, pytest.UsageError, Warning) as error:  # UsageError: pytest 9.2; Warning: -W error
        message = f"{key} cannot be read from the configuration file ({brief(str(error))}); it must be {row.must}"
        raise pytest.UsageError(message) from None
    return row.read(key, raw)


def _from(layer: tuple[Any, ...], source: str) -> tuple[Any, ...]:
    """Return the values of one layer; each :class:`Allow` among them records the layer as its source."""
    return tuple(replace(each, source=source) if isinstance(each, Allow) else each for each in layer)


def for_item(item: pytest.Item, common: Mapping[str, Any]) -> Settings:
    """Return the settings of one test: the common ones, overridden by its marks.

    Raises:
        pytest.UsageError: a mark has an unknown argument or a value that cannot be used.
    """
    values = dict(common)
    for mark in reversed(list(item.iter_markers(MARKER))):  # the closest mark last
        if mark.args:
            message = f"{item.nodeid}: @pytest.mark.{MARKER} takes keyword arguments only, not {quoted(mark.args[0])}"
            raise pytest.UsageError(message)
        for key, raw in mark.kwargs.items():
            name = str.__str__(key)  # a keyword's name may be an instance of a subclass, with methods of the user's
            if name not in _ROWS:
                message = f"{item.nodeid}: @pytest.mark.{MARKER} has no argument {quoted(name)}; it takes {', '.join(sorted(_ROWS))}"
                raise pytest.UsageError(message)
            row = _ROWS[name]
            value = row.read(f"{item.nodeid}: argument {name} of @pytest.mark.{MARKER}", raw)
            values[name] = (*values[name], *_from(value, f"the mark of {item.nodeid}")) if row.layers else value
    return Settings(**values)


def reports(config: pytest.Config, parse: Callable[[str], tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the format and the path of each report that the command line names.

    Parameters:
        config: pytest's configuration.
        parse: returns the format and the path of ``FORMAT:PATH``, or raises :class:`ValueError` with what the value must be.

    Raises:
        pytest.UsageError: there is no such format, the path cannot be written, or something else is written there.
    """
    chosen: list[tuple[str, str]] = []
    for text in config.getoption("--maskcheck-report"):
        try:
            form, path = parse(text)
        except ValueError as error:
            message = f"--maskcheck-report is {quoted(text)}; {error}"
            raise pytest.UsageError(message) from None
        if not can_be_written(path):
            message = f"--maskcheck-report is {quoted(text)}; it must name a file in a folder that exists and can be written to"
            raise pytest.UsageError(message)
        chosen.append((form, path))
    outputs = [(f"--maskcheck-report={form}:{path}", path) for form, path in chosen]
    for name, path in {
        "--junitxml": config.getoption("xmlpath", None),
        "--maskcheck-baseline": of_session(config).baseline,
        "--maskcheck-cache": of_session(config).cache,
    }.items():
        if path and chosen:
            outputs.append((f"{name}={path}", path))
    if both := written_twice(outputs):
        message = f"{both} name the same file: give each a file of its own"
        raise pytest.UsageError(message)
    return chosen


def can_be_written(path: str) -> bool:
    """Return whether a file can be written, or made in a folder that exists."""
    try:
        if os.path.exists(path):
            return not os.path.isdir(path) and os.access(path, os.W_OK)
        folder = os.path.dirname(os.path.abspath(path))
        return os.path.isdir(folder) and os.access(folder, os.W_OK)
    except ValueError:  # a character that no path can contain
        return False


_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


def parse_shard(text: str) -> Shard:
    """Return the shard for ``K/N``.

    Raises:
        ValueError: there is no such shard.
    """
    form = _SHARD.fullmatch(text)
    if form is None or not 1 <= int(form[1]) <= int(form[2]):
        raise ValueError(text)
    return Shard(int(form[1]), int(form[2]))


def shard(config: pytest.Config) -> Shard | None:
    """Return the shard of each audit to make; ``None``: the whole audit.

    Raises:
        pytest.UsageError: there is no such shard, several are given, or a single point is given, too.
    """
    text = _single(config, "--maskcheck-shard", "audit the parts one by one, and merge their reports")
    if text is None:
        return None
    try:
        part = parse_shard(text)
    except ValueError:
        message = f"--maskcheck-shard is {quoted(text)}; it must be K/N with K from 1 to N, such as 1/3 for the first of three parts"
        raise pytest.UsageError(message) from None
    if config.getoption("--maskcheck-point"):
        message = (
            "--maskcheck-shard divides the points of a test, and --maskcheck-point asks for one: leave one of them out"
        )
        raise pytest.UsageError(message)
    return part


def point(config: pytest.Config, is_id: Callable[[str], bool]) -> str:
    """Return the id of the only point to audit; ``""``: all points.

    Raises:
        pytest.UsageError: the value is not an id, or several ids are given.
    """
    text = _single(config, "--maskcheck-point", "audit one point at a time")
    if text is not None and not is_id(text):
        message = f"--maskcheck-point is {quoted(text)}; copy an id such as src/store.py:12:call#1 from a report"
        raise pytest.UsageError(message)
    return text or ""


def _single(config: pytest.Config, option: str, remedy: str) -> str | None:
    """Return the value of an option; it may be repeated, but only with the same value."""
    given: list[str] = list(dict.fromkeys(config.getoption(option)))
    if len(given) > 1:
        message = f"{option} is given as {quoted(given[0])} and as {quoted(given[1])}: {remedy}"
        raise pytest.UsageError(message)
    return given[0] if given else None
