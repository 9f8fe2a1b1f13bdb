"""The report names what an uninterrupted test leaves behind, even if only its first run makes a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.results import Audit

if TYPE_CHECKING:
    from tests.conftest import AuditSource, AuditTogether

SETS = {
    "umask": ("os.umask(0o077)", "umask:0o077"),
    "handler": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "handler:SIGTERM"),
    "same_handler": ("signal.signal(signal.SIGTERM, handle)", "handler:SIGTERM"),
    "mask": ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])", "sigmask:SIGUSR1"),
    "timer": ("signal.setitimer(signal.ITIMER_PROF, 9000)", "itimer:ITIMER_PROF"),
    "directory": ("os.chdir('/')", "cwd:/"),
    "variable": ("os.environ['MODE'] = 'test'", "environ:MODE"),
    "limit": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (500, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
        "rlimit:RLIMIT_NOFILE",
    ),
    "locale": ("locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')", "locale:"),
    "filter": ("warnings.simplefilter('ignore', ImportWarning)", "warnings:"),
    "hook": ("sys.excepthook = print", "excepthook:sys.excepthook"),
    "recursion": ("sys.setrecursionlimit(1234)", "interpreter:recursion limit"),
    "collector": ("gc.set_threshold(777)", "gc:"),
    "path": ("sys.path[0:0] = ['/nowhere'] if '/nowhere' not in sys.path else []", "sys_path:/nowhere"),
    "logger": ("logging.getLogger('one').setLevel(30)", "logging:one level"),
    "patch": ("subprocess.run = print", "attribute:subprocess.run"),
    "decimal": ("decimal.getcontext().prec = 7", "decimal:"),
    "context": ("VARIABLE.set(1)", "contextvar:"),
    "stream": ("sys.stdin = STREAM", "stdio:"),
    "name": ("builtins._shared = 1", "builtins:_shared"),
    "descriptor": ("KEPT.append(os.open(os.devnull, os.O_RDONLY))", "fd:/dev/null"),
}

SOURCE = """
import builtins, contextvars, decimal, gc, io, locale, logging, os, resource, signal, subprocess, sys, warnings
import pytest

KEPT, STREAM, VARIABLE = [], io.StringIO(), contextvars.ContextVar("variable")
LOGGER = logging.getLogger("one")

def handle(signum, frame):
    pass

@pytest.mark.interrupt_safe(kinds=["builtins"])
def test_it(tmp_path):
    {body}
    len("x")
"""

RESTORES = """
import os
import pytest

@pytest.mark.interrupt_safe
def test_it(monkeypatch, tmp_path):
    before = os.umask(0o077)
    try:
        monkeypatch.chdir(tmp_path)
        monkeypatch.undo()
        len("x")
    finally:
        os.umask(before)
"""


@pytest.fixture(scope="module")
def audits(audit_together: AuditTogether) -> dict[str, Audit]:
    """Return the audits of all sources, by name."""
    sources = {name: SOURCE.format(body=body) for name, (body, _) in SETS.items()}
    return audit_together({"aaa_restores": RESTORES, **sources})


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize("name", SETS)
def test_what_the_uninterrupted_test_leaves_is_told(audits: dict[str, Audit], name: str) -> None:
    """A leftover of the uninterrupted test is named and is not a finding, although later runs only set the same value again."""
    audit = audits[name]
    _, wanted = SETS[name]
    assert [key for key in audit.left_anyway if key == wanted or (wanted.endswith(":") and key.startswith(wanted))]
    assert len(audit.left_anyway) == 1
    assert not [defect for defect in audit.defects if defect.fails]


def test_what_is_restored_is_not_told(audits: dict[str, Audit]) -> None:
    """Nothing is reported as left behind if the test restores everything."""
    assert audits["aaa_restores"].left_anyway == ()


def test_the_summary_names_it(audit: AuditSource) -> None:
    """The summary has one line for each leftover, also without isolation, and none for a test that fails."""
    result = audit(
        """
        import os, pytest

        @pytest.mark.interrupt_safe(isolation="none")
        def test_umask():
            os.umask(0o077)
            len("x")

        @pytest.mark.interrupt_safe
        def test_failing():
            os.environ["MODE"] = "test"
            assert not len("x")
        """
    ).result
    result.stdout.fnmatch_lines(["left behind by 1 test uninterrupted, and so no finding: umask:0o077"])
    result.stdout.no_fnmatch_line("*MODE*no finding*")
    result.stdout.no_fnmatch_line("*no finding: environ*")
