"""A pytest item as a callable with fresh fixtures.

Theory of operation. ``runtestprotocol(item, nextitem=item.parent)`` sets an item up, calls it and tears it down. Fixtures of function scope
are fresh; those of class, module, package and session scope stay, as the item's parent counts as the next thing to run. The audit happens
inside ``item.runtest``, which is replaced on the instance: within the wrappers of all other plugins, and around functions and asynchronous
tests alike. Where no other plugin takes part in each run (:mod:`.run_needs`), only fixtures are set up and torn down, by the same
``SetupState``, which is several times as fast. For an item without function-scoped fixtures, the body alone is run again.

``unittest`` runs ``setUp``, ``tearDown`` and clean-ups within the call. They count as fixtures: new for each run, and not interrupted. So
for such an item the audit happens around the test method alone. No interrupt leaves the audit: pytest's fixture machinery catches only
``Exception`` and would skip finalizers (pytest#15067), and ``unittest`` skips ``tearDown`` and clean-ups after a ``KeyboardInterrupt``.

Rules:

1. Everything that a run adds to the item is removed: report sections, user properties, the class instance; and so are the finalizers that
   it adds to fixtures that outlive it.
2. Nothing is logged, no subtest and no warning: a test has one outcome, however often it runs.
3. The directory that ``tmp_path`` made for a repeated run is removed, or emptied and used again (:mod:`.kept_directory`).
4. A run without the protocol provides what code under test can see of the protocol: warnings are recorded, the root logger has a handler
   that formats, the name of the test is in the environment.

What does not work: doctests (pytest clears their globals after the first run), and items that are neither functions nor methods: nothing is
known about them.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.runs.raised import drop
from pytest_maskcheck.session.capture import drop_output
from pytest_maskcheck.session.generated_examples import same_examples
from pytest_maskcheck.session.item_body import replaced_runtest
from pytest_maskcheck.session.item_fixtures import directories, same_finalizers, uses
from pytest_maskcheck.session.kept_directory import KeptDirectory
from pytest_maskcheck.session.ordinary import protocol
from pytest_maskcheck.session.private import (
    begin_request,
    end_request,
    finalizers,
    fixtures,
    forget_unittest_outcome,
    fresh_instance,
    is_unittest,
    next_temporary,
    renumber,
    report_sections,
    setup_state,
    thread_exceptions,
    tmppath_result_key,
    unraisable_exceptions,
)
from pytest_maskcheck.session.run_needs import has_fresh, has_only_directory, needs_protocol
from pytest_maskcheck.session.unlogged import unlogged
from pytest_maskcheck.system.unpatched import os, shutil
from pytest_maskcheck.system.untrusted import last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pytest_maskcheck.session.item_body import Body

_OUTPUT = 256
"""Captured output is discarded once in so many runs."""


class ItemTarget:
    """A test item that can be run again and again; see :class:`pytest_maskcheck.runs.runner.Target`.

    Parameters:
        item: the test.
        places: directories that are the same in all runs, by name.

    Attributes:
        whole: each run goes through the whole protocol.
        bare: nothing is set up for a run or torn down after it.
        still: nothing was set up for the run under way, nor torn down since the one before.
    """

    def __init__(self, item: pytest.Function, places: dict[str, str] | None = None) -> None:
        self._item = item
        self._places = places or {}
        self._warnings: list[warnings.WarningMessage] = []
        self._kept = ExitStack()
        self.whole = needs_protocol(item)
        self.bare = not self.whole and not has_fresh(item)
        self.still = self.bare
        self._handler = _Formatting()
        self._renewed: list[pytest.FixtureDef[Any]] = []
        self._inherited: list[object] = []
        self._is_set_up = False
        self._keeps = False
        self._reuses = False
        self._directory: KeptDirectory | None = None
        self._leaves_files_only = False
        self._runs = 0

    def __call__(self, around: Callable[[Body], None]) -> str:
        """Run once with fresh fixtures, calling ``around(body)`` in place of the body."""
        with same_examples(self._item):
            return self._with_protocol(around) if self.whole else self._with_fixtures(around)

    def set_up_alone(self) -> None:
        """Set the item up without a run; :meth:`close` tears it down. Its ``tmp_path`` is not removed."""
        fresh_instance(self._item)
        self._keeps = True
        self._set_up()

    def close(self) -> None:
        """Tear down what was kept for further runs."""
        if self._is_set_up:
            self._tear_down()

    def reuse_directory(self) -> None:
        """From now on, in this process, empty the directory of ``tmp_path`` after a run and use it again, where nothing can tell."""
        self._reuses = not self.whole and not self._is_set_up and has_only_directory(self._item)

    def note_left(self, kinds: Collection[str]) -> None:
        """Take the kinds of what the body of the run under way has left behind."""
        self._leaves_files_only = not kinds or set(kinds) == {"path"}

    def renew(self, names: Collection[str]) -> None:
        """Make a forked process set these longer-lived fixtures and those that use them up again: the present ones are its parent's."""
        if self._is_set_up:
            self._tear_down()
        lasting = [each for each in fixtures(self._item) if each.scope != "function" and each.cached_result is not None]
        self._renewed = [each for each in lasting if each.argname in names]
        while more := [each for each in lasting if each not in self._renewed and uses(each, self._renewed)]:
            self._renewed += more
        for definition in self._renewed:
            # Kept alive: a fixture's generator that is collected would run the rest of it, on what belongs to the parent.
            self._inherited.append((definition.cached_result, [*finalizers(definition)]))
            definition.cached_result = None
            finalizers(definition).clear()

    def end_renewed(self) -> None:
        """Tear down the fixtures that this process has set up again."""
        if self._is_set_up:
            self._tear_down()
        request: Any = SimpleNamespace(node=self._item)
        for definition in reversed(self._renewed):
            with suppress(Exception):  # the process ends, and its runs have been judged
                definition.finish(request)

    def _with_fixtures(self, around: Callable[[Body], None]) -> str:
        """Run once without pytest's protocol."""
        item = self._item
        trouble = ""
        self._runs += 1
        if self._runs % _OUTPUT == 0:  # without the protocol, captured output is never read, and it grows
            drop_output(item.config)
        self._warnings.clear()
        self.still = self.bare or self._is_set_up
        self._leaves_files_only = False  # until it is known
        try:
            fresh_instance(item)
            trouble = "" if self._is_set_up else self._set_up()
            if not trouble:
                around(item.runtest)
        finally:
            if trouble or not (self.bare or self._directory_is_new()):
                trouble = self._tear_down() or trouble
        return trouble

    def _directory_is_new(self) -> bool:
        """Make the directory of ``tmp_path`` like a new one for the next run; return whether that was possible."""
        if self._directory is None or not self._leaves_files_only:
            return False
        path = next_temporary(self._item, self._directory.path)
        if not (path and self._directory.empty(path)):
            return False
        if path != str(self._item.funcargs["tmp_path"]):
            renumber(self._item, path)
        return True

    def _set_up(self) -> str:
        """Set the item up; return what went wrong."""
        item = self._item
        self._is_set_up = True
        self._kept = ExitStack()
        self._kept.enter_context(same_finalizers(item))
        self._warnings = self._kept.enter_context(warnings.catch_warnings(record=True))
        os.environ["PYTEST_CURRENT_TEST"] = f"{item.nodeid} (call)"
        logging.root.addHandler(self._handler)
        begin_request(item)
        item.stash[tmppath_result_key] = {}
        trouble = _outcome("setup", lambda: setup_state(item).setup(item))
        if self._reuses and not trouble:
            with suppress(OSError):
                self._directory = KeptDirectory(self.places()["tmp_path"])
        return trouble

    def _tear_down(self) -> str:
        """Tear down what has function scope; return what went wrong."""
        item = self._item
        directory = self.places().get("tmp_path", "")
        state: Any = setup_state(item)
        try:
            return _outcome("teardown", lambda: state.teardown_exact(item.parent))
        finally:
            self._is_set_up = False
            self._directory = None
            self._kept.close()
            end_request(item)
            logging.root.removeHandler(self._handler)
            os.environ.pop("PYTEST_CURRENT_TEST", None)
            if directory and not self._keeps:
                shutil.rmtree(directory, ignore_errors=True)

    def _with_protocol(self, around: Callable[[Body], None]) -> str:
        """Run once through pytest's protocol."""
        item = self._item
        sections, properties = len(report_sections(item)), len(item.user_properties)
        directories: list[str] = []  # one for each time that the body ran: once

        def run(body: Body) -> None:
            directories.append(self.places().get("tmp_path", ""))
            around(body)

        fresh_instance(item)
        try:
            with unlogged(item.config) as self._warnings, same_finalizers(item), replaced_runtest(item, run):
                reports = protocol(item)
        finally:
            del report_sections(item)[sections:], item.user_properties[properties:]
            forget_unittest_outcome(item)
            for directory in filter(None, directories):
                shutil.rmtree(directory, ignore_errors=True)
        # ``around`` judges the outcome of the body; besides it, only ``setUp`` and ``tearDown`` can fail in a call.
        outside = [report for report in reports if report.when != "call" or is_unittest(item)]
        trouble = next((_trouble(report) for report in outside if not report.passed), "")
        return trouble or ("" if directories else "did not come to the body of the test")

    def places(self) -> dict[str, str]:
        """Return the directories that differ from run to run, by name."""
        return self._places | directories(self._item)

    def forget(self) -> None:
        """Turn log records and warnings that pytest keeps into texts: they keep alive exceptions with their frames, and sources.

        Exceptions in threads and finalizers are dropped: pytest has already made their texts.
        """
        stash: Any = self._item.config.stash
        for key in (thread_exceptions, unraisable_exceptions):
            for noted in stash.get(key, ()):
                if isinstance(error := getattr(noted, "exc_value", None), BaseException):
                    drop(error)
        for warning in self._warnings:
            warning.source = None
        plugin: Any = self._item.config.pluginmanager.get_plugin("logging-plugin")
        for handler in (plugin.caplog_handler, plugin.report_handler) if plugin is not None else ():
            for record in handler.records:
                with suppress(Exception):  # the arguments may not fit the message
                    handler.format(record)  # the text of the traceback stays
                    record.msg = record.getMessage()
                record.args = record.exc_info = None


class _Formatting(logging.Handler):
    """Formats records as the handlers of pytest do, and keeps nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Format the record, so that an error in formatting appears here, too."""
        self.format(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  (named by logging)
        """Let the exception out, as pytest does."""
        raise  # noqa: PLE0704  (called from an except block)


def _outcome(when: str, work: Callable[[], object]) -> str:
    """Return a description of what went wrong in a setup or teardown."""
    try:
        work()
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:  # noqa: BLE001  (whatever fixtures raise)
        outcome = "skipped" if isinstance(error, pytest.skip.Exception) else "failed"
        return f"{when} of the test {outcome}: {last_line(error)}"
    return ""


def _trouble(report: pytest.TestReport) -> str:
    """Return a description of what failed outside the body."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message.splitlines()[0] if crash is not None and crash.message else str(report.outcome)
    when = "setUp or tearDown" if report.when == "call" else report.when
    return f"{when} of the test {report.outcome}: {text}"
