"""What exists without ``--maskcheck``: options, marker, fixture and hook specifications. The rest is registered on demand.

Every pytest run imports this module where the package is installed, and each further module would cost that run half a millisecond.
So this module imports none, and declares options and hooks itself. :mod:`pytest_maskcheck.settings` interprets them.
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

    If a hook raises, or returns something unusable, the report names its plugin, and the audit goes on without it.
    """

    @pytest.hookspec
    def pytest_maskcheck_resources(self, config: pytest.Config) -> list[Resource]:  # type: ignore[empty-body]
        """Return kinds of leftovers of your own. Called once per session, before the first audit.

        Parameters:
            config: pytest's configuration.

        Returns:
            Objects that follow the protocol :class:`pytest_maskcheck.resource.Resource`.
        """

    @pytest.hookspec
    def pytest_maskcheck_points(self, item: pytest.Item, points: list[Point]) -> None:
        """Remove points that should not be audited from the list, in place. Called in the auditing process.

        The hook is called once for the points with one interrupt and, with ``interrupts=2``, once more for those with two. The report
        counts the points that each plugin removed. Points cannot be added.

        Parameters:
            item: the test.
            points: the points to audit, in the order the test reaches them.
        """

    @pytest.hookspec
    def pytest_maskcheck_audited(self, item: pytest.Item, audit: Audit) -> None:
        """Receive the result of an audit. Called after each audit, in the session's process or the xdist worker's.

        Parameters:
            item: the test.
            audit: the result, which is frozen.
        """


_SETTINGS: tuple[tuple[str, Any, Ini, str | None, str], ...] = (
    (
        "points",
        "checkpoint",
        "string",
        "{checkpoint,line,raise}",
        (
            "where to interrupt: checkpoint (default): at every checkpoint of every line reached; line: once per line, with the "
            "signal pending as the line begins; raise: raise KeyboardInterrupt at the start of every line, even where CPython could not"
        ),
    ),
    (
        "interrupts",
        1,
        "int",
        "{1,2}",
        "interrupts in one run: 1 (default), or 2 to send a second one at every point reached after the first",
    ),
    (
        "signals",
        ("SIGINT",),
        "args",
        "SIGNAL",
        "signal to interrupt with, by name or number (default SIGINT); may be given several times: each point is audited with each signal",
    ),
    ("hits", "3", "string", "N", "how many hits of a place in one calling context to audit: 1, 2, 3 (default) or all"),
    (
        "max_points",
        2000,
        "int",
        "N",
        "audit at most N points of a test: every line first, the rest evenly spread (default 2000)",
    ),
    (
        "seed",
        0,
        "int",
        "N",
        "seed of the sample taken when max_points or the time budget leaves points out (default 0)",
    ),
    (
        "timeout",
        5.0,
        "float",
        "SECONDS",
        "seconds that an interrupted run may take longer than the uninterrupted one before it counts as hung (default 5)",
    ),
    (
        "strict",
        False,
        "bool",
        None,
        "also fail if something is released only by reference counting, or lost in code out of scope",
    ),
    ("may_swallow", False, "bool", None, "do not fail if the interrupt does not come out of the test"),
    (
        "allow",
        (),
        "linelist",
        "GLOB",
        "accept leftovers that match a glob on kind:key, with a reason if you like, such as 'thread:pool-* -- ends with the process'; adds up",
    ),
    (
        "kinds",
        (),
        "args",
        "NAME",
        "look for a kind of leftovers besides the default ones (NAME), or do not look for it (-NAME); adds up",
    ),
    ("include", (), "args", "WHAT", "interrupt in this code: files (globs), modules, packages or stdlib"),
    ("exclude", (), "args", "WHAT", "do not interrupt in this code: files (globs), modules, packages or stdlib"),
    (
        "isolation",
        "auto",
        "string",
        "{auto,fork,none}",
        "where to make audited runs: in forked processes (fork), in this process (none), or in forked ones unless something speaks against it (auto, default)",
    ),
    (
        "strategy",
        "auto",
        "string",
        "{auto,rerun,snapshot}",
        (
            "how to reach the points of a test: run it again for each (rerun), fork at each point of one run "
            "(snapshot; only up to its first effect outside the process), or whichever is faster (auto, default)"
        ),
    ),
    (
        "repeats",
        "auto",
        "string",
        "N",
        (
            "leave out a point that was audited without a finding in N other tests of the session, or where another test has a "
            "defect; all: leave none out; auto (default): all for marked tests, 1 for the others"
        ),
    ),
)
"""Name in Python and in the marker, raw default value, type of the ini key, placeholder and text for ``--help``."""

_SESSION: tuple[tuple[str, Any, Ini, str | None, str], ...] = (
    (
        "budget",
        None,
        "float",
        "SECONDS",
        "seconds that all audits of the session may take together; each test gets its share, and audits every line first (default: no limit)",
    ),
    (
        "allow_none",
        False,
        "bool",
        None,
        "end a session in which nothing was audited with exit status 0 instead of 5",
    ),
    (
        "fail_undecided",
        False,
        "bool",
        None,
        "end the session with exit status 1 if a point has no verdict, or a test that passed was not audited",
    ),
    (
        "changed",
        False,
        "bool",
        None,
        "audit only tests that have no result from an earlier session, or whose code has changed since; report the others as found then",
    ),
    (
        "resume",
        False,
        "bool",
        None,
        "continue a session that was interrupted: audit only what it did not finish",
    ),
    (
        "cache",
        None,
        "string",
        "PATH",
        "file to keep results in for later sessions (default: a file in pytest's cache directory)",
    ),
    (
        "baseline",
        None,
        "string",
        "PATH",
        "file with the defects that are known and accepted; only others make a test fail",
    ),
    (
        "since",
        None,
        "string",
        "COMMIT",
        "audit only tests that reach what changed in the working tree since this commit of git, or may when interrupted",
    ),
    (
        "cleanup",
        False,
        "bool",
        None,
        "also record which lines of clean-up code run only because of an interrupt; implied by --maskcheck-report=coverage:PATH",
    ),
    (
        "depth",
        "all",
        "string",
        "{lines,places,all}",
        (
            "how finely to audit the code under test: every line once in the session (lines), every place once (places), "
            "or every point of every test (all, default)"
        ),
    ),
    (
        "github",
        "auto",
        "string",
        "{auto,on,off}",
        "annotate the lines to cure and write a job summary, as GitHub Actions reads them: in its steps (auto, default), always (on), or never (off)",
    ),
)
"""The settings of the whole session, which a marker cannot set."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register options and ini keys."""
    group = parser.getgroup("maskcheck", "interrupt-safety auditing")

    def add(name: str, text: str, **keywords: Any) -> None:
        # Without dest, pytest derives one and compares it with those of all options: time that every run would pay.
        option = f"--{name}".replace("_", "-")
        group.addoption(option, dest=name, help=text, **keywords)

    add("maskcheck", "audit the tests marked interrupt_safe", action="store_true")
    add("maskcheck_all", "audit every test", action="store_true")
    add(
        "maskcheck_point",
        "audit only the point with this id, as printed in reports, in this process, and tell line by line what happens from there on; works with --pdb",
        action="append",
        default=[],
        metavar="ID",
    )
    add(
        "maskcheck_report",
        "write the results to PATH in FORMAT, such as json:maskcheck.json; may be given several times",
        action="append",
        default=[],
        metavar="FORMAT:PATH",
    )
    add(
        "maskcheck_shard",
        "audit only the K-th of N parts of the points of each test; `python -m pytest_maskcheck merge` merges the JSON "
        "reports of all parts",
        action="append",
        default=[],
        metavar="K/N",
    )
    add(
        "maskcheck_baseline_update",
        "accept the defects that are found: write them to the file that --maskcheck-baseline names, and leave out those that are gone",
        action="store_true",
    )
    for name, default, ini, metavar, text in (*_SETTINGS, *_SESSION):
        key = f"maskcheck_{name}"
        if ini == "bool":
            add(key, text, action="store_true", default=None)
        else:
            add(key, text, action="append" if ini in {"args", "linelist"} else "store", metavar=metavar)
        parser.addini(key, text, type=ini, default=default)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that other plugins may implement."""
    pluginmanager.add_hookspecs(HookSpecifications)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Record functions of the standard library before a ``conftest.py`` can replace them, and what code imports enter."""
    given = early_config.known_args_namespace
    if given.maskcheck or given.maskcheck_all or given.maskcheck_point:
        from pytest_maskcheck.system.entered import AT_IMPORT

        AT_IMPORT.start()
        early_config.add_cleanup(AT_IMPORT.stop)  # if there is no collection


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and, if something is to be audited, the auditing session."""
    config.addinivalue_line(
        "markers",
        f"interrupt_safe({', '.join(row[0] for row in _SETTINGS)}): "
        "with --maskcheck, run the test again with an interrupt at every place it reached, and fail if anything is left behind",
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
    """Declare what must hold after an interrupt (``invariant``, ``unchanged``, ``atomic``), where none may be delivered (``paused``), and what to accept (``allow``)."""
    from pytest_maskcheck.session.fixture import provide

    yield from provide(request.node)
