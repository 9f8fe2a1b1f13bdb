"""A bounded fuzzer of all input from outside: options, configuration, marker arguments, hooks, the fixture's arguments, report files.

Any input is either used or refused in one sentence. It never raises anything else, and ``merge`` exits with 1 only if a report has
a defect. The same inputs are tried in every run; ``MASKCHECK_FUZZ=20000`` tries that many for each test.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_maskcheck import __main__ as command
from pytest_maskcheck import settings as of_audits
from pytest_maskcheck.points import ids
from pytest_maskcheck.points.reach import Reach
from pytest_maskcheck.points.scope_entries import UnknownScopeError
from pytest_maskcheck.reasons import NotAudited, Note, Reason, Strategy, joined
from pytest_maskcheck.reports import formats, jsonfile
from pytest_maskcheck.resources import kind_defaults
from pytest_maskcheck.results import SCHEMA, Audit, Category, Edit, Finding, Frame, Origin, Point, PointResult, Verdict
from pytest_maskcheck.results.encoding import described
from pytest_maskcheck.session import extensions
from pytest_maskcheck.session import fixture as guarantees
from pytest_maskcheck.system import signals
from pytest_maskcheck.system.plain import plain, quoted

pytestmark = pytest.mark.newest

bounded = settings(
    max_examples=int(os.environ.get("MASKCHECK_FUZZ", "120")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)

NAMES = [row.name for row in of_audits.TABLE]


def refused(call: Callable[[], object], *others: type[Exception]) -> bool:
    """Return whether ``call`` refuses its input; assert that it does so in one sentence that any terminal can show."""
    try:
        call()
    except (pytest.UsageError, *others) as error:
        message = str(error)
        assert message.strip()
        assert len(message.splitlines()) == 1
        assert len(message) < 3000
        message.encode()
        return True
    return False


# Values


def _raises(*_: object, **__: object) -> Any:
    raise RuntimeError("no\nmatter what\n\udc80")


def _exits(*_: object, **__: object) -> Any:
    raise SystemExit(1)


SPECIAL = (
    *("__str__", "__repr__", "__eq__", "__ne__", "__hash__", "__bool__", "__len__", "__iter__", "__int__", "__index__"),
    *("__float__", "__lt__", "__gt__", "__ge__", "__contains__", "__getitem__", "__fspath__", "__format__", "__call__"),
)


def hostile(base: type, exits: bool) -> type:
    """Return a subclass of ``base`` all of whose special methods, and ``__class__``, raise."""
    method = _exits if exits else _raises
    return type("Hostile\n" + base.__name__, (base,), {**dict.fromkeys(SPECIAL, method), "__class__": property(method)})


HOSTILE = {
    (base, exits): hostile(base, exits) for base in (object, str, int, float, list, dict) for exits in (False, True)
}
"""Made only once, because many caches keep classes alive."""

WORDS = st.sampled_from(
    [
        *(
            "",
            " ",
            "1",
            "0",
            "-1",
            "1/2",
            "1/0",
            "1.5",
            "inf",
            "nan",
            "1e999",
            "all",
            "auto",
            "fork",
            "none",
            "line",
            "true",
        ),
        *(
            "SIGINT",
            "SIGTERM",
            "SIGKILL",
            "SIGRTMIN+1",
            "SIGRTMIN+" + "9" * 30,
            "-path",
            "all",
            "--",
            "stdlib",
            "[",
            "]",
            "**",
        ),
        *(
            "*.py",
            "a**b",
            "**/**",
            "***",
            "?",
            "a/../b",
            "thread:*",
            "cleanup:*",
            "x:y -- why",
            "-- why",
            ":",
            "a.b.c",
            "os",
        ),
        *(
            "\0",
            "a\0b",
            "\ud800",
            "\n",
            "a\nb",
            "9" * 5000,
            "1/" + "9" * 5000,
            "a" * 5000,
            "a." * 2000,
            "json:",
            "json:/dev/full",
        ),
        *(
            "a.py:1:call#1",
            "a.py:1:call#1@SIGTERM",
            "a.py:1:call#1@SIGKILL",
            "a.py:" + "1" * 5000 + ":call#1",
            "a:1:line#1>b:1:line#1",
        ),
        *(
            "{'thread:*': 'x'}",
            "json:.",
            "json:out.json",
            "json:gone/x",
            "json:a\0b",
            "xml:x",
            ".",
            "..",
            "/",
            "/dev/null",
        ),
    ]
)
NUMBERS = st.one_of(st.integers(-3, 10), st.integers(), st.sampled_from([2**63, 2**63 - 1, -(2**63)]))
TEXTS = st.one_of(WORDS, st.text(max_size=20), st.text(st.sampled_from("[]*?!-/.:>@#~'\"\\ a1"), max_size=12))
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(), TEXTS, st.binary(max_size=3))


@dataclass(frozen=True)
class Recipe:
    """A placeholder for a value that cannot be shown, compared or hashed, as Hypothesis does all that with the values it draws."""

    name: str


def _itself_within() -> list[object]:
    loop: list[object] = []
    loop.append(loop)
    return loop


WORTH = {object: (), str: ("line",), int: (1,), float: (1.5,), list: (["a"],), dict: ({"fd:*": "why"},)}
"""Builtin class -> the arguments that its hostile subclasses are created with."""

RECIPES: dict[str, Callable[[], object]] = {
    "an object": object,
    "a class": lambda: Returned,
    "a module": lambda: signals,
    "a builtin": lambda: len,
    "a path": lambda: Path("a"),
    "a list in itself": _itself_within,
    "a huge number": lambda: 10**5000,
    "a huge negative number": lambda: -(10**5000),
    **{
        f"a hostile {base.__name__} that {'exits' if exits else 'raises'}": partial(kind, *WORTH[base])
        for (base, exits), kind in HOSTILE.items()
    },
}


def made(value: Any) -> Any:
    """Return a value with each recipe in it replaced by the object that it stands for."""
    if isinstance(value, Recipe):
        return RECIPES[value.name]()
    if isinstance(value, (list, tuple)):
        return type(value)(map(made, value))
    return {key: made(item) for key, item in value.items()} if isinstance(value, dict) else value


VALUES = st.recursive(
    st.one_of(PLAIN, PLAIN, st.builds(Recipe, st.sampled_from(sorted(RECIPES)))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(TEXTS, st.integers()), inner, max_size=3),
    ),
    max_leaves=6,
)


@bounded
@given(VALUES)
def test_any_value_is_quoted_on_one_short_line(value):
    """Any value can be quoted in a message, on one short line."""
    value = made(value)
    text = quoted(value)
    assert len(text.splitlines()) == 1
    assert len(text) < 1000
    text.encode()
    with suppress(ValueError):
        plain(value)


# Marker arguments


@dataclass
class Marked:
    """The part of an item that settings read."""

    kwargs: dict[str, Any]
    args: tuple[Any, ...] = ()
    nodeid = "test_it.py::test_it"

    def iter_markers(self, name: str) -> list[pytest.Mark]:
        return [getattr(pytest.mark, name).with_args(*self.args, **self.kwargs).mark]


COMMON = dict.fromkeys(NAMES, None) | {"allow": (), "kinds": ()}


@bounded
@given(st.dictionaries(st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), TEXTS), VALUES, max_size=3), st.data())
def test_any_marker_argument_is_used_or_refused(kwargs, data):
    """Any marker argument is used or refused, also names that do not exist and positional arguments."""
    kwargs = made(kwargs)
    args = made(data.draw(st.lists(VALUES, max_size=1))) if data.draw(st.integers(0, 9)) == 0 else ()
    item: Any = Marked(kwargs, tuple(args))

    def use() -> None:
        chosen = of_audits.for_item(item, COMMON)
        of_audits.switched(chosen.kinds, kind_defaults())

    refused(use)


# Options and configuration


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The configuration of an inner pytest, whose options and ini values each example replaces."""
    folder = tmp_path_factory.mktemp("config")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.setenv("PYTEST_ADDOPTS", "")
        from _pytest.config import get_config

        config = get_config(["-p", "pytest_maskcheck.plugin"])
        config.parse(["-p", "pytest_maskcheck.plugin", str(folder)])
        yield config
        config._ensure_unconfigure()


def read_all(config: pytest.Config) -> None:
    """Read all settings, as a session does."""
    found = of_audits.from_config(config)
    of_audits.switched(found["kinds"], kind_defaults())
    of_audits.reports(config, formats.parse)
    of_audits.of_session(config)
    of_audits.point(config, ids.is_id)
    of_audits.shard(config)


OPTIONS = [f"--maskcheck-{name.replace('_', '-')}" for name in NAMES if name not in {"strict", "may_swallow"}]
OPTIONS += ["--maskcheck-point", "--maskcheck-shard", "--maskcheck-report"]
OPTIONS += [f"--maskcheck-{name}" for name in ("budget", "cache", "depth", "since")]


@bounded
@given(st.lists(st.tuples(st.sampled_from(OPTIONS), TEXTS), max_size=3))
def test_any_option_is_used_or_refused(config, options):
    """Any option is used or refused, also if it is given several times."""
    words = [f"{name}={value}" for name, value in options]
    before = copy.copy(config.option)
    try:
        config.option = config._parser.parse(words)
        refused(lambda: read_all(config))
    finally:
        config.option = before


INI = [*NAMES, *(row.name for row in of_audits.SESSION)]
TOML = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-(10**20), 10**20), st.floats(), TEXTS.filter(lambda text: text.isprintable())
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "fd:*"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def as_toml(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {as_toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


TABLES = ["[tool.pytest.ini_options]", *(["[tool.pytest]"] if pytest.version_tuple >= (9,) else [])]


@bounded
@given(st.sampled_from(TABLES), st.dictionaries(st.sampled_from(INI), TOML, min_size=1, max_size=2))
def test_any_value_in_toml_is_used_or_refused(config, table, values):
    """Any TOML value is used or refused, whatever type the setting expects, in both kinds of table."""
    from _pytest.config.findpaths import load_config_dict_from_file

    path = Path(config.rootpath, "pyproject.toml")
    path.write_text("\n".join([table, *(f"maskcheck_{name} = {as_toml(value)}" for name, value in values.items())]))
    name = "_inicfg" if hasattr(config, "_inicfg") else "inicfg"
    before = getattr(config, name)
    try:
        setattr(config, name, load_config_dict_from_file(path) or {})
        config._inicache.clear()
        refused(lambda: read_all(config))
    finally:
        setattr(config, name, before)
        config._inicache.clear()


@bounded
@given(st.lists(TEXTS.filter(bool), max_size=2), st.lists(TEXTS.filter(bool), max_size=2))
def test_any_scope_is_used_or_refused(config, include, exclude):
    """Any scope is used or refused, also globs that coverage.py cannot use and names that cannot be imported."""
    refused(lambda: Reach(str(config.rootpath), include, exclude), UnknownScopeError)


# Hooks and the fixture


@dataclass
class Returned:
    """An object that a hook returned, with attributes of any type."""

    name: object
    cost: object
    snapshot: object = len
    describe: object = len
    repair: object = len


@bounded
@given(st.one_of(VALUES, st.builds(Returned, VALUES, VALUES, VALUES)))
def test_any_resource_is_taken_or_complained_of(resource):
    """Any object that a hook returns is used as a resource, or complained of in one line with a remedy."""
    resource = (
        Returned(*made([resource.name, resource.cost, resource.snapshot]))
        if isinstance(resource, Returned)
        else made(resource)
    )
    what, remedy = extensions._checked(resource, {"fd"})
    assert bool(what) == bool(remedy)
    assert len(what.splitlines()) < 2


@bounded
@given(st.sampled_from(["invariant", "unchanged", "atomic", "allow"]), VALUES, st.one_of(st.just(""), VALUES))
def test_any_argument_of_the_fixture_is_used_or_refused(method, value, name):
    """Any argument of the fixture's methods is used or refused, here without ``--maskcheck``."""
    value, name = made(value), made(name)
    fixture = guarantees.Maskcheck()
    with suppress(
        RuntimeError, SystemExit, TypeError
    ):  # the fixture calls the functions that it is given, and these may raise
        refused(lambda: getattr(fixture, method)(value, name))
        return
    assert callable(value) is True, "only what a test's own function raises may come out"


# Report files


def report(*, fails: bool) -> dict[str, Any]:
    """Return the data of a report with at least one value of every sort."""
    frame = Frame("a.py", 3, "f", "/a.py")
    one = Point("a.py:3:call#1", "a.py", "/a.py", 3, "call", 1, "f", (frame,))
    two = replace(one, id="a.py:3:call#1>a.py:4:call#1", line=4, first=one)
    origin = Origin((frame,), frame, "a.X", (frame,))
    finding = Finding(Verdict.LEAK, "lock", "L", "still locked", fails, origin, Category.INSIDE, "pkg")
    notes = (Reason(Note.HANDLER, handler="f"), Reason(Note.ARRIVED_LATE))
    results = (
        PointResult(one.id, (finding,), "", joined(notes), "KeyboardInterrupt", (frame,)),
        PointResult(two.id, (), Reason(NotAudited.NOT_REACHED)),
    )
    short = Reason(Strategy.RERUN, why=Reason(Strategy.FORK_COSTS, milliseconds=1.5))
    audit = Audit(
        "a.py::test",
        *("engine", "fork: why", short, "checkpoint"),
        (one, two),
        results,
        left_out={Reason(NotAudited.HITS, hits=3): 3},
        notes=(Reason(Note.ALLOWED, number=1, what="fd:* (why)"),),
        ignores={"a.py:9": True},
        allows={"allow fd:*": False},
        left_anyway=("fd:x",),
        reached={"a.py": "3-7,9"},
        reached_first={"a.py": "8"},
        own=("a.py",),
        unaudited=("pkg",),
        cleanup_lines={"a.py": "10-11"},
        edits={"00ff": Edit("with", "--- a/a.py\n+++ b/a.py\n", ("a.py::test",))},
    )
    session = {"tests": 1, "audited": 1, "shortfall": described(Reason(NotAudited.NONE_MARKED))}
    return {"schema": SCHEMA, "tool": jsonfile.TOOL, "shard": "", "session": session, "audits": [audit.to_json()]}


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 10),
        st.integers(),
        st.floats(),
        TEXTS,
        st.just(5.0),
        st.just(10**4000),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each container in the data with each of its keys or positions, recursively."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    own = [(value, key) for key in keys]
    return [*own, *(place for _, key in own for place in places(value[key]))]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A report in which values were replaced, removed, added or duplicated, or in which bytes were replaced."""
    data = report(fails=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        container, key = draw(st.sampled_from(places(data)) if places(data) else st.nothing())
        how = draw(st.sampled_from(["other", "other", "gone", "more", "twice", "deep"]))
        if how == "gone":
            del container[key]
        elif how == "more" and isinstance(container, dict):
            container[draw(TEXTS)] = draw(JSON)
        elif how == "twice" and isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        elif how == "deep":
            container[key] = draw(st.sampled_from(["DEEP", "FIRSTS", "TWICE"]))
        else:
            container[key] = draw(JSON)
    text = json.dumps(data)
    text = text.replace('"DEEP"', "[" * 50_000 + "]" * 50_000).replace('"TWICE"', '{"a": 1, "a": 2}')
    text = text.replace('"FIRSTS"', '{"first": ' * 5_000 + "null" + "}" * 5_000)
    found = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"])))
    if draw(st.integers(0, 4)) == 0:
        at, length = draw(st.integers(0, len(found))), draw(st.integers(0, 40))
        found = found[:at] + draw(st.binary(max_size=6)) + found[at + length :]
    return found


@dataclass
class Done:
    """The exit status of ``merge`` and its output."""

    status: int
    said: str


def merge(*words: str) -> Done:
    """Run ``merge`` in this process."""
    out, errors = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            status = command.main(["merge", *words])
        except SystemExit as end:
            return Done(int(str(end.code)), errors.getvalue())
    assert errors.getvalue() == ""
    return Done(status, out.getvalue())


@bounded
@given(st.lists(damaged(), min_size=1, max_size=2))
def test_any_report_is_merged_or_refused(tmp_path, reports):
    """Any report is merged, with status 1 only if a defect makes a test fail, or is refused in one sentence."""
    paths = [tmp_path / f"{number}.json" for number, _ in enumerate(reports)]
    for path, data in zip(paths, reports, strict=True):
        path.write_bytes(data)
    out = tmp_path / "out.json"
    out.unlink(missing_ok=True)
    others = (f"--report={name}:{tmp_path / name}" for name in ("badge", "coverage"))
    done = merge(*map(str, paths), "-o", str(out), *others)
    if done.status == 2:
        assert not out.exists()
        message = done.said[done.said.index("error: ") :]
        assert len(message.splitlines()) == 1
        assert len(message) < 3000
        return
    audits = [Audit.from_json(audit) for audit in json.loads(out.read_bytes())["audits"]]
    failures = any(audit.failures for audit in audits)
    assert done.status == (1 if failures else 0 if any(audit.audited for audit in audits) else 5)


def test_the_report_that_is_damaged_is_one(tmp_path):
    """The report that the fuzzer damages is merged when undamaged, with status 1 if its finding fails, else with 0."""
    for fails in (False, True):
        (tmp_path / "a.json").write_text(json.dumps(report(fails=fails)))
        assert merge(str(tmp_path / "a.json"), "-o", str(tmp_path / "out.json")).status == fails
