"""pytest's hooks that are there without ``--maskcheck``: options, marker, fixture and hooks. The rest is registered on demand.

Every pytest run pays for this module where the package is installed, half a millisecond for each module that it would import.
Hence it imports none, and declares options and hooks itself. What options mean is in :mod:`pytest_maskcheck.settings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from pytest_maskcheck.resource import Resource
    from pytest_maskcheck.results import Audit, Point
    from pytest_maskcheck.session.fixture import Maskcheck

    Ini = Literal["string", "args", "linelist", "bool", "int", "float"]

__all__ = ["maskcheck", "pytest_addhooks", "pytest_addoption", "pytest_configure"]


class HookSpecifications:
    """Hooks that plugins and ``conftest.py`` files may implement.

    A hook that raises, or returns what it must not, is named in the report, and the audit goes on without it.
    """

    @pytest.hookspec
    def pytest_maskcheck_resources(self, config: pytest.Config) -> list[Resource]:  # type: ignore[empty-body]
        """Return resources of your own; asked once in a session, before the first audit.

        Parameters:
            config: pytest's configuration.
        """

    @pytest.hookspec
    def pytest_maskcheck_points(self, item: pytest.Item, points: list[Point]) -> None:
        """Remove points that are not to be audited, in place; called in the auditing process.

        It is called once for the points with one interrupt and, with ``interrupts=2``, once for those with two. What is removed is counted
        in the report, with the name of the plugin. Nothing can be added.

        Parameters:
            item: the test.
            points: where it will be interrupted, in the order in which it comes by.
        """

    @pytest.hookspec
    def pytest_maskcheck_audited(self, item: pytest.Item, audit: Audit) -> None:
        """Learn what an audit found; called after each audit, in the process of the session (with xdist: of the worker).

        Parameters:
            item: the test.
            audit: the results; they cannot be changed.
        """


_SETTINGS: tuple[tuple[str, Any, Ini, str | None, str], ...] = (
    (
        "points",
        "checkpoint",
        "string",
        "{checkpoint,line,raise}",
        (
            "where to interrupt: every checkpoint of every line reached (default); once per line, the signal pending as "
            "the line begins; or KeyboardInterrupt raised at the start of every line, even where CPython could not"
        ),
    ),
    (
        "interrupts",
        1,
        "int",
        "{1,2}",
        "interrupts in one run: 1 (default), or 2: a second one at every point that is reached after the first",
    ),
    (
        "signals",
        ("SIGINT",),
        "args",
        "SIGNAL",
        "signals to interrupt with, by name or number (default SIGINT); each point is audited once for each of them",
    ),
    ("hits", "3", "string", "N", "hits of a place in one calling context to audit: 1, 2, 3 (default) or all"),
    (
        "max_points",
        2000,
        "int",
        "N",
        "audit at most this many points of a test, every line first, the rest evenly spread (default 2000)",
    ),
    (
        "seed",
        0,
        "int",
        "N",
        "another one takes another sample where max_points or the time budget leave points out (default 0)",
    ),
    ("timeout", 5.0, "float", "SECONDS", "seconds by which a run may outlast the uninterrupted one (default 5)"),
    ("strict", False, "bool", None, "resources released only by reference counting fail too"),
    ("may_swallow", False, "bool", None, "the interrupt need not come out of the test"),
    (
        "allow",
        (),
        "linelist",
        "GLOB",
        "leftovers that are accepted: globs on kind:key, such as 'thread:pool-* -- ends with the process'; adds up",
    ),
    (
        "kinds",
        (),
        "args",
        "NAME",
        "kinds of leftovers to look for besides the default ones (NAME), or not to look for (-NAME); adds up",
    ),
    ("include", (), "args", "WHAT", "files (globs), modules, packages or stdlib to interrupt in"),
    ("exclude", (), "args", "WHAT", "files (globs), modules, packages or stdlib not to interrupt in"),
    (
        "isolation",
        "auto",
        "string",
        "{auto,fork,none}",
        "where audited runs happen: in forked processes, in this one (none), or as fits (auto, default)",
    ),
    (
        "strategy",
        "auto",
        "string",
        "{auto,rerun,snapshot}",
        (
            "how a test comes to its points: by running it again for each (rerun), by forking at each point of one run that "
            "goes forward (snapshot; only up to the first effect outside the process), or by what is faster (auto, default)"
        ),
    ),
)
"""Name in Python and in the marker, raw value where nobody says anything, type of the ini key, placeholder and text for ``--help``."""

_SESSION: tuple[tuple[str, Any, Ini, str | None, str], ...] = (
    (
        "budget",
        None,
        "float",
        "SECONDS",
        "seconds that all audits of the session may take together; each test gets its part, every line first (default: no limit)",
    ),
    (
        "allow_none",
        False,
        "bool",
        None,
        "a session in which nothing was audited may end with exit status 0, instead of 5",
    ),
)
"""The settings that are the session's, and not to be set for one test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register options and ini keys."""
    group = parser.getgroup("maskcheck", "interrupt-safety auditing")

    def add(name: str, text: str, **keywords: Any) -> None:
        # Where dest is not given, pytest compares it with those of all options.
        option = f"--{name}".replace("_", "-")
        group.addoption(option, dest=name, help=text, **keywords)

    add("maskcheck", "audit the tests marked interrupt_safe", action="store_true")
    add("maskcheck_all", "audit every test", action="store_true")
    add(
        "maskcheck_point",
        "audit just this point, in this process (works with --pdb); ID as printed in reports",
        action="append",
        default=[],
        metavar="ID",
    )
    add(
        "maskcheck_report",
        "write the results to a file; FORMAT is json; may be given several times",
        action="append",
        default=[],
        metavar="FORMAT:PATH",
    )
    add(
        "maskcheck_shard",
        "audit only the K-th of N parts of the points of each test; `python -m pytest_maskcheck merge` makes one report of "
        "the JSON reports of all parts",
        action="append",
        default=[],
        metavar="K/N",
    )
    for name, default, ini, metavar, text in (*_SETTINGS, *_SESSION):
        key = f"maskcheck_{name}"
        if ini == "bool":
            add(key, text, action="store_true", default=None)
        else:
            add(key, text, action="append" if ini in {"args", "linelist"} else "store", metavar=metavar)
        parser.addini(key, text, type=ini, default=default)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let other plugins implement our hooks."""
    pluginmanager.add_hookspecs(HookSpecifications)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Keep the functions of the standard library that a ``conftest.py`` may replace."""
    given = early_config.known_args_namespace
    if given.maskcheck or given.maskcheck_all or given.maskcheck_point:
        import pytest_maskcheck.system.unpatched  # noqa: F401


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the auditing session if it is asked for."""
    config.addinivalue_line(
        "markers",
        "interrupt_safe(points, interrupts, signals, hits, max_points, seed, timeout, strict, may_swallow, allow, kinds, include, exclude, isolation, strategy): "
        "with --maskcheck, run the test again with an interrupt at every place it reached and fail if anything is left behind",
    )
    given = config.option
    if given.maskcheck or given.maskcheck_all or given.maskcheck_point:
        from pytest_maskcheck.session.hooks import AuditingSession

        config.pluginmanager.register(AuditingSession(config), "maskcheck-session")
    elif given.maskcheck_report:
        message = "--maskcheck-report reports an audit: add --maskcheck"
        raise pytest.UsageError(message)
    elif given.maskcheck_shard:
        message = "--maskcheck-shard divides an audit: add --maskcheck"
        raise pytest.UsageError(message)


@pytest.fixture
def maskcheck(request: pytest.FixtureRequest) -> Iterator[Maskcheck]:
    """What must hold after an interrupt: ``invariant``, ``unchanged``, ``atomic``; and ``paused``, ``allow``."""
    from pytest_maskcheck.session.fixture import provide

    yield from provide(request.node)
