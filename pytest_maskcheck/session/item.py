"""A pytest item as a callable with fresh fixtures. The only module that imports ``_pytest``.

Theory of operation. ``runtestprotocol(item, nextitem=item.parent)`` sets an item up, calls it and tears it down, with fresh
function-scoped fixtures; those of class, module, package and session scope stay, as the item's parent is named
as the next thing to run. The audit happens inside ``item.runtest``, replaced on the instance: within the wrappers of
all other plugins, and around functions and asynchronous tests alike. Most of the cost of that is pytest's: reports, captured
output, log records, hooks. So where no other plugin has to do with each run (:func:`_needs_protocol`), only fixtures are set up and
torn down, by the same ``SetupState``; and of an item that has no function-scoped ones, the body alone is run again. ``unittest`` runs ``setUp``, ``tearDown`` and clean-ups
within the call; there the audit happens around the test method alone, as these are fixtures: new for each run, and not
interrupted. An interrupt never leaves it: pytest's fixture machinery catches only ``Exception`` and would skip finalizers
(pytest#15067), and ``unittest`` skips ``tearDown`` and clean-ups after a ``KeyboardInterrupt``.

Rules:

1. What a run adds to the item is taken off again: report sections, user properties, the class instance; and what it adds
   to the finalizers of fixtures that outlive it.
2. Nothing is logged, no subtest and no warning: a test has one outcome, however often it runs.
3. The directory that ``tmp_path`` made for a repeated run is removed.

4. A run without the protocol finds what code under test can see of it: warnings recorded, a handler on the root logger that
   formats, the name of the test in the environment.

What does not work: doctests (pytest clears their globals after the first run), and items that are neither functions
nor methods, of which nothing is known. Private names used: ``runtestprotocol`` and ``SetupState.teardown_exact``, until pytest offers repeated
runs (pytest#14779), ``SetupState.setup`` and ``_initrequest``, the stash keys of ``tmp_path`` and of exceptions in threads and finalizers, the classes that draw a traceback, the implementations of a hook, the count of failed subtests, where ``tee-sys`` passes output on to, and
``_callTestMethod`` of ``unittest``. ``tests/session/test_item.py`` breaks when one of them changes.
"""

from __future__ import annotations

import inspect
import linecache
import logging
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprEntry, ReprFileLocation, ReprTraceback
from _pytest.python import get_direct_param_fixture_func
from _pytest.runner import runtestprotocol
from _pytest.threadexception import thread_exceptions
from _pytest.tmpdir import tmppath_result_key
from _pytest.unraisableexception import unraisable_exceptions

from pytest_maskcheck.runs.raised import drop
from pytest_maskcheck.session.generated_examples import same_examples
from pytest_maskcheck.system.unpatched import io, os, pathlib, shutil, unpatched
from pytest_maskcheck.system.untrusted import last_line

try:
    from _pytest.subtests import failed_subtests_key
except ImportError:  # pytest before 9
    _FAILED_SUBTESTS: Any = None
else:
    _FAILED_SUBTESTS = failed_subtests_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pytest_maskcheck.results import Frame

Body = Callable[[], object]

_BEFORE = 10
"""At most so many lines of source are shown up to an interrupted line, from the start of its function."""

_HEADING = re.compile(r"\s*(async\s+)?def\s|\s*class\s")


def refusal(item: pytest.Item) -> str:
    """Return why an item cannot be run again, or ``""``."""
    if isinstance(item, pytest.DoctestItem):
        return "doctests cannot be run twice"
    if not isinstance(item, pytest.Function):
        return f"items of type {type(item).__qualname__} are not Python functions"
    if not _is_replaceable(item):
        return f"runtest of {type(item).__qualname__} is a property, so that nothing can be called around it"
    return ""


def _is_replaceable(item: pytest.Function) -> bool:
    """Tell whether an attribute of the item can stand in for its ``runtest``."""
    return not hasattr(inspect.getattr_static(type(item), "runtest", None), "__set__")


def own_code(item: pytest.Function) -> Iterator[CodeType]:
    """Yield the code of the test itself: of its function, without decorators, and of what is written within it."""
    code = body_code(item)
    queue = [code] if code is not None else []
    while queue:
        yield (code := queue.pop())
        queue += [each for each in code.co_consts if isinstance(each, CodeType)]


def body_code(item: pytest.Function) -> CodeType | None:
    """Return the code of the test function as it was written, below its decorators; ``None`` if it has none."""
    code = getattr(_written(item), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _written(item: pytest.Function) -> Any:
    """Return what is below the decorators of a test function; where hypothesis makes examples, what it calls with them."""
    function: Any = item.function
    return inspect.unwrap(getattr(getattr(function, "hypothesis", None), "inner_test", function))


_HARNESS = {"pytest", "_pytest", "pluggy", "pytest_maskcheck", "hypothesis"}
"""Packages that test modules import to be tests."""


def own_files(item: pytest.Function) -> frozenset[str]:
    """Return the files of the test's own code: where it was collected, and where its function was written.

    A function that a plugin made (a scenario of pytest-bdd, a state machine of hypothesis) calls the test's own code.
    """
    code = body_code(item)
    if code is None or _package(_written(item)) in _HARNESS | _plugins(item.config):
        return frozenset({str(item.path)})
    return frozenset({str(item.path), code.co_filename})


def _package(thing: object) -> str:
    """Return the top-level package that a function, class or instance comes from, or ``""``."""
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return name.partition(".")[0] if isinstance(name, str) else ""


def _plugins(config: pytest.Config) -> set[str]:
    """Return the packages that the installed plugins of pytest come from."""
    return {_package(plugin) for plugin, _ in config.pluginmanager.list_plugin_distinfo()}


def imported(item: pytest.Function) -> dict[str, list[str]]:
    """Return the packages that the item's module imports from, most used first, and the files that it uses of each.

    Those of the standard library and of the test harness are left out.
    """
    packages: dict[str, list[str]] = {}
    for value in [*getattr(item.module, "__dict__", {}).values()]:
        name = _module_of(value)
        module = sys.modules.get(name) if isinstance(name, str) else None
        file = module.__dict__.get("__file__") if isinstance(module, ModuleType) else None
        package = str(name).partition(".")[0]
        if isinstance(file, str) and package not in sys.stdlib_module_names and package not in _HARNESS:
            packages.setdefault(package, []).append(file)
    return dict(sorted(packages.items(), key=lambda entry: len(entry[1]), reverse=True))


def _module_of(value: object) -> object:
    """Return the name of the module that an object comes from, without running code of its own: it may be a proxy."""
    if issubclass(type(value), ModuleType):
        return object.__getattribute__(value, "__dict__").get("__name__")
    if type(value) is FunctionType:
        return value.__module__
    kind = value if issubclass(type(value), type) else type(value)
    return type.__getattribute__(kind, "__dict__").get("__module__")


_RUN_HOOKS = ("pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown")

_INDIFFERENT = ("_pytest", "pytest_timeout")
"""Packages whose part in each run is made up for, or not wanted: the audit watches the time itself."""

_NEED_PROTOCOL = {"caplog", "subtests"}
"""Fixtures that work only between the hooks of pytest itself."""

_OUTPUT = 256
"""Runs after which captured output is thrown away."""


def _needs_protocol(item: pytest.Function) -> bool:
    """Tell whether pytest's whole protocol is needed for each run of an item: somebody else takes part in it."""
    if _is_unittest(item) or not _NEED_PROTOCOL.isdisjoint(item.fixturenames):
        return True
    implementations = [each for name in _RUN_HOOKS for each in getattr(item.ihook, name).get_hookimpls()]
    if any(each.function.__module__.partition(".")[0] not in _INDIFFERENT for each in implementations):
        return True
    plugin: Any = item.config.pluginmanager.get_plugin("logging-plugin")
    return plugin is not None and (plugin.log_level is not None or plugin.log_cli_level is not None)


def _has_fresh(item: pytest.Function) -> bool:
    """Tell whether an item has, or may ask for, fixtures that are made anew for each run."""
    return "request" in item.fixturenames or any(
        definition.scope == "function" and definition.func is not get_direct_param_fixture_func
        for definition in fixtures(item)
    )


class ItemTarget:
    """A test item that can be run again and again; see :class:`pytest_maskcheck.runs.target.Target`."""

    def __init__(self, item: pytest.Function, places: dict[str, str] | None = None) -> None:
        """Take the item, and directories that are the same in all runs."""
        self._item = item
        self._places = places or {}
        self._warnings: list[warnings.WarningMessage] = []
        self._kept = ExitStack()
        self.whole = _needs_protocol(item)
        self.bare = not self.whole and not _has_fresh(item)
        """Nothing is set up for a run or torn down after it."""
        self._handler = _Formatting()
        self._renewed: list[pytest.FixtureDef[Any]] = []
        self._inherited: list[object] = []
        self._is_set_up = False
        self._keeps = False
        self._runs = 0

    def __call__(self, around: Callable[[Body], None]) -> str:
        """Run once with fresh fixtures, calling ``around(body)`` in place of the body."""
        with same_examples(self._item):
            return self._with_protocol(around) if self.whole else self._with_fixtures(around)

    def set_up_alone(self) -> None:
        """Set the item up without a run; :meth:`close` tears it down. What is in its ``tmp_path`` stays."""
        _fresh_instance(self._item)
        self._keeps = True
        self._set_up()

    def close(self) -> None:
        """Tear down what was kept for further runs."""
        if self._is_set_up:
            self._tear_down()

    def renew(self, names: Collection[str]) -> None:
        """Let this process, a forked one, set up longer-lived fixtures again, and those that use them: what there is belongs to its parent."""
        if self._is_set_up:
            self._tear_down()
        lasting = [each for each in fixtures(self._item) if each.scope != "function" and each.cached_result is not None]
        self._renewed = [each for each in lasting if each.argname in names]
        while more := [each for each in lasting if each not in self._renewed and _uses(each, self._renewed)]:
            self._renewed += more
        for definition in self._renewed:
            # Kept, as a generator that is let go of would run the rest of its fixture.
            self._inherited.append((definition.cached_result, [*definition._finalizers]))  # noqa: SLF001
            definition.cached_result = None
            definition._finalizers.clear()  # noqa: SLF001

    def end_renewed(self) -> None:
        """Tear down the fixtures that this process has set up again."""
        if self._is_set_up:
            self._tear_down()
        request: Any = SimpleNamespace(node=self._item)
        for definition in reversed(self._renewed):
            with suppress(Exception):
                definition.finish(request)

    def _with_fixtures(self, around: Callable[[Body], None]) -> str:
        """Run once without pytest's protocol."""
        item = self._item
        trouble = ""
        self._runs += 1
        if self._runs % _OUTPUT == 0:
            _forget_output(item.config)
        self._warnings.clear()
        try:
            _fresh_instance(item)
            trouble = "" if self._is_set_up else self._set_up()
            if not trouble:
                around(item.runtest)
        finally:
            if not self.bare or trouble:
                trouble = self._tear_down() or trouble
        return trouble

    def _set_up(self) -> str:
        """Set the item up; return what went wrong."""
        item = self._item
        self._is_set_up = True
        self._kept = ExitStack()
        self._kept.enter_context(_same_finalizers(item))
        self._warnings = self._kept.enter_context(warnings.catch_warnings(record=True))
        os.environ["PYTEST_CURRENT_TEST"] = f"{item.nodeid} (call)"
        logging.root.addHandler(self._handler)
        item._initrequest()  # noqa: SLF001
        item.stash[tmppath_result_key] = {}
        return _outcome("setup", lambda: item.session._setupstate.setup(item))  # noqa: SLF001

    def _tear_down(self) -> str:
        """Tear down what is of function scope; return what went wrong."""
        item = self._item
        directory = self.places().get("tmp_path", "")
        state: Any = item.session._setupstate  # noqa: SLF001
        try:
            return _outcome("teardown", lambda: state.teardown_exact(item.parent))
        finally:
            self._is_set_up = False
            self._kept.close()
            item._request = False  # type: ignore[assignment]  # noqa: SLF001
            item.funcargs = None  # type: ignore[assignment]
            logging.root.removeHandler(self._handler)
            os.environ.pop("PYTEST_CURRENT_TEST", None)
            if directory and not self._keeps:
                shutil.rmtree(directory, ignore_errors=True)

    def _with_protocol(self, around: Callable[[Body], None]) -> str:
        """Run once by pytest's protocol."""
        item = self._item
        sections, properties = len(item._report_sections), len(item.user_properties)  # noqa: SLF001
        directories: list[str] = []  # one for each time that the body ran: once

        def run(body: Body) -> None:
            directories.append(self.places().get("tmp_path", ""))
            around(body)

        _fresh_instance(item)
        try:
            with _unlogged(item.config) as self._warnings, _same_finalizers(item), replaced_runtest(item, run):
                reports = _protocol(item)
        finally:
            del item._report_sections[sections:], item.user_properties[properties:]  # noqa: SLF001
            vars(item).pop("_excinfo", None)
            for directory in filter(None, directories):
                shutil.rmtree(directory, ignore_errors=True)
        # The body's outcome is for ``around``; what else may fail in a call are ``setUp`` and ``tearDown``.
        outside = [report for report in reports if report.when != "call" or _is_unittest(item)]
        trouble = next((_trouble(report) for report in outside if not report.passed), "")
        return trouble or ("" if directories else "did not come to the body of the test")

    def places(self) -> dict[str, str]:
        """Return the directories that differ from run to run, by name."""
        return self._places | directories(self._item)

    def forget(self) -> None:
        """Turn the log records and warnings that are kept into texts: exceptions and sources would be kept alive with them.

        Of exceptions in threads and finalizers, which pytest keeps to warn of them, texts are there already.
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
                with suppress(Exception):  # arguments that do not fit their message
                    handler.format(record)  # the text of the traceback stays
                    record.msg = record.getMessage()
                record.args = record.exc_info = None


def directories(item: pytest.Item) -> dict[str, str]:
    """Return the directories that a test has been given, by name."""
    arguments = getattr(item, "funcargs", None) or {}
    given = [str(arguments[name]) for name in ("tmp_path", "tmpdir") if name in arguments]
    return {"tmp_path": given[-1]} if given else {}


class _Formatting(logging.Handler):
    """Formats records as the handlers of pytest do, and keeps nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Format."""
        self.format(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  (named by logging)
        """Let the exception out, as pytest does."""
        raise  # noqa: PLE0704  (called from an except block)


def _outcome(when: str, work: Callable[[], object]) -> str:
    """Return in words what went wrong in a setup or teardown."""
    try:
        work()
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:  # noqa: BLE001  (whatever fixtures raise)
        outcome = "skipped" if isinstance(error, pytest.skip.Exception) else "failed"
        return f"{when} of the test {outcome}: {last_line(error)}"
    return ""


def _forget_output(config: pytest.Config) -> None:
    if capture := _capture(config):
        capture.read_global_capture()


def _capture(config: pytest.Config) -> Any:
    """Return what captures the output of this process; ``None`` if nothing does (``-s``, ``-p no:capture``)."""
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    return capture if capture is not None and capture.is_globally_capturing() else None


@contextmanager
def _same_finalizers(item: pytest.Function) -> Iterator[None]:
    """Take off what each run registers with fixtures that outlive it: the ends of fixtures that have ended."""
    definitions = [one for several in item._fixtureinfo.name2fixturedefs.values() for one in several]  # noqa: SLF001
    lasting = [definition._finalizers for definition in definitions if definition.scope != "function"]  # noqa: SLF001
    counts = [len(finalizers) for finalizers in lasting]
    try:
        yield
    finally:
        for finalizers, count in zip(lasting, counts, strict=True):
            finalizers[count:] = [finalizer for finalizer in finalizers[count:] if not _ends_function_scoped(finalizer)]


def _ends_function_scoped(finalizer: Callable[[], object]) -> bool:
    """Tell whether a finalizer is ``FixtureDef.finish`` of a function-scoped fixture."""
    method = finalizer.func if isinstance(finalizer, partial) else None
    return method is not None and getattr(getattr(method, "__self__", None), "scope", "") == "function"


def _trouble(report: pytest.TestReport) -> str:
    """Return in words what failed outside the body."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message.splitlines()[0] if crash is not None and crash.message else str(report.outcome)
    when = "setUp or tearDown" if report.when == "call" else report.when
    return f"{when} of the test {report.outcome}: {text}"


def _fresh_instance(item: pytest.Function) -> None:
    """Give a test method a new ``self``; ``unittest`` items do so themselves."""
    if item.cls is not None and not _is_unittest(item):
        item._obj = None  # noqa: SLF001  (the bound method is made anew)
        with suppress(AttributeError):
            del item._instance  # noqa: SLF001


def _is_unittest(item: pytest.Function) -> bool:
    return hasattr(item, "_excinfo") or type(item).__name__ == "TestCaseFunction"


_LOGGED = ("pytest_runtest_logreport", "pytest_warning_recorded", "pytest_exception_interact")
"""Hooks that bring something to the user."""


@contextmanager
def _unlogged(config: pytest.Config) -> Iterator[list[warnings.WarningMessage]]:
    """Keep reports of subtests, and warnings, from the terminal, from xdist and from all other plugins.

    Yields:
        The warnings, as they come.
    """
    callers: list[Any] = [getattr(config.hook, name) for name in _LOGGED]
    implementations = [caller._hookimpls for caller in callers]  # noqa: SLF001
    failed: dict[str, int] = {} if _FAILED_SUBTESTS is None else config.stash.get(_FAILED_SUBTESTS, {})
    counts = dict(failed)
    for caller in callers:
        caller._hookimpls = []  # noqa: SLF001
    try:
        with warnings.catch_warnings(record=True) as kept_back:
            yield kept_back
    finally:
        for caller, kept in zip(callers, implementations, strict=True):
            caller._hookimpls = kept  # noqa: SLF001
        failed.clear()
        failed.update(counts)


@contextmanager
def replaced_runtest(
    item: pytest.Function, around: Callable[[Body], None], begins: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Call ``around(body)`` where pytest, or ``unittest`` between ``setUp`` and ``tearDown``, would call the body.

    ``begins`` is called before, also before ``setUp``.
    """
    original = item.runtest

    def runtest_of_unittest() -> None:
        case: Any = item.instance
        method = case._callTestMethod  # noqa: SLF001
        case._callTestMethod = lambda function: around(lambda: method(function))  # noqa: SLF001
        try:
            original()
        finally:
            del case._callTestMethod  # noqa: SLF001

    def runtest() -> None:
        begins()
        if _is_unittest(item):
            runtest_of_unittest()
        else:
            around(original)

    item.runtest = runtest  # type: ignore[method-assign]
    try:
        yield
    finally:
        del item.runtest


def _protocol(item: pytest.Item, *, log: bool = False) -> list[pytest.TestReport]:
    """Run the item with its parent as the next thing to run, so that only what is of function scope is torn down."""
    return runtestprotocol(item, log=log, nextitem=item.parent)  # type: ignore[arg-type]  # any node will do


@contextmanager
def in_call_phase(item: pytest.Item, hook: str) -> Iterator[None]:
    """Set an item up again, fixtures and all, for other plugins that implement a hook which is given the item.

    They find it as they do while its call is reported: with arguments, open pages, running drivers.
    """
    hooks = getattr(item.ihook, hook).get_hookimpls()
    others = any(
        each.function.__module__.partition(".")[0] not in {*_INDIFFERENT, "pytest_maskcheck"} for each in hooks
    )
    if not (others and isinstance(item, pytest.Function)):
        yield
        return
    target = ItemTarget(item)
    with muted(item.config):
        target.set_up_alone()
    try:
        yield
    finally:
        with muted(item.config):
            target.close()


def report_of(item: pytest.Item, call: pytest.CallInfo[None]) -> tuple[pytest.TestReport, str]:
    """Have the report of a call made; return it, and what a hook of another plugin raised instead, if one did, on one line."""
    try:
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
        return report, ""
    except (Exception, pytest.skip.Exception, pytest.fail.Exception, SystemExit) as error:  # noqa: BLE001  (the session goes on)
        keywords: Any = dict.fromkeys(item.keywords, 1)  # plain: an item may draw its failures itself, and raise, too
        plain = pytest.TestReport(item.nodeid, item.location, keywords, "failed", None, "call", duration=call.duration)
        return plain, last_line(error)


def let_go(item: pytest.Item) -> None:
    """Let go of what pytest has begun to set up for an item, so that it can be run from the start, in the midst of a set-up."""
    item.session._setupstate.teardown_exact(item.parent)  # type: ignore[arg-type]  # noqa: SLF001
    for definition in fixtures(item):
        if definition.scope == "function":  # it was about to be set up
            definition.cached_result = None
            definition._finalizers.clear()  # noqa: SLF001
    vars(item).pop("runtest", None)
    function: Any = item
    function._request = False  # noqa: SLF001
    function.funcargs = None


def ordinary_run(
    item: pytest.Item,
    begins: Callable[[], object] = lambda: None,
    watching: AbstractContextManager[object] = nullcontext(),  # noqa: B008  (it has no state)
    *,
    log: bool = False,
) -> tuple[list[pytest.TestReport], bool]:
    """Run the item as usual, by default without logging; ``begins`` is called before it, its fixtures are set up by then.

    ``watching`` is entered around its body.

    Returns:
        Its reports, and whether its body ran to its end; where no body was seen, whether its call passed.
    """
    begun = completed = False

    def around(body: Body) -> None:
        nonlocal begun, completed
        begun = True
        with watching:
            body()
        completed = True

    seen = isinstance(item, pytest.Function) and _is_replaceable(item)
    with replaced_runtest(item, around, begins) if seen else nullcontext():  # type: ignore[arg-type]  # a function
        reports = _protocol(item, log=log)
    passed = any(report.when == "call" and report.passed for report in reports)
    return reports, completed if begun else passed


@contextmanager
def unlogged(item: pytest.Item) -> Iterator[None]:
    """Let nobody hear of what the item does in the body of the ``with`` statement."""
    with _unlogged(item.config):
        yield


def stop_timer(item: pytest.Item) -> None:
    """Stop the timer that pytest-timeout armed for the ordinary run: the audit watches each of its runs itself."""
    cancel = getattr(item.ihook, "pytest_timeout_cancel_timer", None)
    if cancel is not None:
        cancel(item=item)


def leave(item: pytest.Item, nextitem: pytest.Item | None, reports: list[pytest.TestReport]) -> None:
    """Tear down what the next item does not need; an error becomes the teardown report."""
    call = pytest.CallInfo.from_call(
        lambda: item.session._setupstate.teardown_exact(nextitem),  # noqa: SLF001
        "teardown",
        reraise=(KeyboardInterrupt, pytest.exit.Exception),
    )
    if call.excinfo is not None and reports[-1].passed:
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
        report.sections += reports[-1].sections
        reports[-1] = report


def fixtures(item: pytest.Item) -> list[pytest.FixtureDef[Any]]:
    """Return the definitions of the fixtures that an item uses."""
    info = getattr(item, "_fixtureinfo", None)
    return [definition for several in info.name2fixturedefs.values() for definition in several] if info else []


def _uses(definition: pytest.FixtureDef[Any], others: Sequence[pytest.FixtureDef[Any]]) -> bool:
    return not {each.argname for each in others}.isdisjoint(definition.argnames)


def kept_values(item: pytest.Function) -> list[tuple[str, object]]:
    """Return what outlives a run of an item, by name: values of its longer-lived fixtures and its parameters."""
    kept = [
        (f"fixture {definition.argname}", definition.cached_result[0])
        for definition in fixtures(item)
        if definition.scope != "function" and definition.cached_result is not None
    ]
    spec = getattr(item, "callspec", None)
    return [*kept, *((f"parameter {name}", value) for name, value in spec.params.items())] if spec else kept


def own_directory(config: pytest.Config, directory: str) -> None:
    """Make a forked process create its ``tmp_path`` directories below ``directory``."""
    factory: Any = getattr(config, "_tmp_path_factory", None)  # none with -p no:tmpdir
    if factory is not None:
        factory._basetemp = pathlib.Path(directory)  # noqa: SLF001


def numbered_places(config: pytest.Config) -> str:
    """Return the directory in which ``tmp_path_factory`` numbers those that it makes; ``""`` if there is none yet."""
    factory: Any = getattr(config, "_tmp_path_factory", None)
    return str(getattr(factory, "_basetemp", None) or "")


def own_output(config: pytest.Config) -> None:
    """Give a forked process its own capture, so that its output does not mix with that of its parent."""
    if capture := _capture(config):
        capture.read_global_capture()
        capture.stop_global_capturing()
        capture.start_global_capturing()
    if (
        config.getoption("capture", "no") != "fd"
    ):  # what is written past sys.stdout, or passed on to it, would be seen once a run
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.close(null)


@contextmanager
def muted(config: pytest.Config) -> Iterator[None]:
    """Capture what runs in this process print, and throw it away."""
    capture = _capture(config)
    if not capture:
        yield
        return
    with unpatched():
        capture.resume_global_capture()
    try:
        with _unseen(capture):
            yield
    finally:
        with unpatched():
            capture.suspend_global_capture()
            capture.read_global_capture()


class _Nowhere(io.TextIOBase):
    """Takes text and keeps none of it."""

    def write(self, text: str) -> int:
        """Return the length, as streams do."""
        return len(text)


@contextmanager
def _unseen(capture: Any) -> Iterator[None]:
    """Keep what ``--capture=tee-sys`` captures from being passed on to the terminal, too."""
    streams = capture._global_capturing  # noqa: SLF001
    files = [getattr(each, "tmpfile", None) for each in (streams.out, streams.err)]
    tees: list[Any] = [file for file in files if hasattr(file, "_other")]
    others = [tee._other for tee in tees]  # noqa: SLF001
    for tee in tees:
        tee._other = _Nowhere()  # noqa: SLF001
    try:
        yield
    finally:
        for tee, other in zip(tees, others, strict=True):
            tee._other = other  # noqa: SLF001


def drawn(frames: Sequence[Frame], message: str, hint: str = "") -> Any:
    """Return a traceback as pytest would draw it, from plain frames.

    Parameters:
        frames: outermost first.
        message: what went wrong; its first line goes to the short summary.
        hint: a line below the message.
    """
    told = ["E   " + line for line in [*message.splitlines(), *hint.splitlines()]]
    entries = []
    for position, frame in enumerate(frames):
        source = linecache.getlines(frame.file)[max(0, frame.line - _BEFORE) : frame.line]
        start = next((at for at in reversed(range(len(source))) if _HEADING.match(source[at])), 0)
        lines = ["    " + line.rstrip() for line in source[start:]]
        if lines:
            lines[-1] = ">" + lines[-1][1:]
        last = position == len(frames) - 1
        if last:
            lines += told
        place = ReprFileLocation(frame.path, frame.line, message.splitlines()[0] if last else "")
        entries.append(ReprEntry(lines, None, None, place, "long"))
    if not entries:
        entries.append(ReprEntry(told, None, None, None, "short"))
    crash = ReprFileLocation(frames[-1].path, frames[-1].line, message) if frames else ReprFileLocation("", 0, message)
    return ExceptionChainRepr([(ReprTraceback(entries, None, "long"), crash, None)])
