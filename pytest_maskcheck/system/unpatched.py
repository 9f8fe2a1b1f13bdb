"""Modules of the standard library as they were before any test ran, for the audit's own use.

``from pytest_maskcheck.system.unpatched import os, time`` imports a copy of each module's namespace. A test that replaces
``time.monotonic`` or ``os.kill`` changes the module, and the audit still calls the function that it replaced.

Why not ``from time import monotonic`` or ``import io``? freezegun and pyfakefs go through all modules and replace such names, those
of modules as well as those of functions. They do not look into an object that a module holds. ``tests/system/test_unpatched.py``
fails where a module of ours holds such a name.

Rules:

1. What a run calls, or what inspects a run, comes from here. State that a test may change and that is to be *read*
   (``sys.excepthook``, ``os.environ``, ``signal.set_wakeup_fd``'s descriptor) comes from the real module or is shared with it.
   A test may also remove the working directory: ``os.path.abspath`` and ``realpath`` do not raise then.
2. The clock of the audit is ``time.perf_counter``. time-machine does not replace functions but changes, in C, what
   ``time.time``, ``time.monotonic`` and ``time.clock_gettime`` do, wherever they are kept. On Linux ``perf_counter`` and
   ``monotonic`` are the same clock, for all processes.
3. ``os.path``, ``shutil`` and ``tempfile`` call ``os`` and each other at every turn: they are executed once more, with these
   copies. Where temporary files are made (``tempfile.tempdir``) is shared with the real module.

What does not work: functions of the other modules that are written in Python look up others in the real module (``os.makedirs``
calls ``mkdir``, ``threading.enumerate`` takes ``_active_limbo_lock``). So do methods of ``pathlib.Path``, the rest of the standard
library, and pytest. Where the audit calls such code between runs, it puts the original functions back for that long
(:func:`unpatched`); the code of the test finds its own as it left them. No process is forked meanwhile, as it would keep the originals.

Builtins are not bound (``io.open`` is ``open``): pytest itself does not survive a replaced ``len``. What was replaced before this
module is imported stays replaced. Pytest loads plugins before ``conftest.py``, and this module with them if ``--maskcheck`` is
given.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from operator import is_, itemgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any


def _kept_by_gevent() -> dict[str, dict[str, object]]:
    """Return what gevent has replaced, by module and name."""
    return getattr(sys.modules.get("gevent.monkey"), "saved", {})


_BEFORE = sorted(
    (
        f"{name}.{key}"
        for name, kept in _kept_by_gevent().items()
        for key in kept
        if name in sys.modules and not key.startswith("__")
    ),
    key=lambda each: not each.startswith(("_thread.", "threading.")),
)
"""What gevent replaced before this module was imported; the modules that others build upon come first."""

if TYPE_CHECKING:
    import fcntl as fcntl  # noqa: PLC0414  (offered to others)
    import gc as gc  # noqa: PLC0414
    import io as io  # noqa: PLC0414
    import os as os  # noqa: PLC0414
    import pathlib as pathlib  # noqa: PLC0414
    import pickle as pickle  # noqa: PLC0414
    import select as select  # noqa: PLC0414
    import shutil as shutil  # noqa: PLC0414
    import signal as signal  # noqa: PLC0414
    import tempfile as tempfile  # noqa: PLC0414
    import threading as threading  # noqa: PLC0414
    import time as time  # noqa: PLC0414
    from collections.abc import Callable, Iterator

    sys_functions = sys
else:
    from importlib import import_module
    from importlib.util import find_spec, module_from_spec
    from types import SimpleNamespace

    def _as_it_is(name: str) -> SimpleNamespace:
        # ``python -m gevent.monkey pytest`` patches before anybody else runs, and keeps what it replaced.
        return SimpleNamespace(**{**vars(import_module(name)), **_kept_by_gevent().get(name, {})})

    gc, io, os, pathlib, pickle = map(_as_it_is, ("gc", "io", "os", "pathlib", "pickle"))
    select, signal, threading, time = map(_as_it_is, ("select", "signal", "threading", "time"))
    fcntl = _as_it_is("fcntl") if find_spec("fcntl") else SimpleNamespace()  # Windows has none
    # Only functions: what else ``sys`` has is state.
    sys_functions = SimpleNamespace(**{name: each for name, each in vars(sys).items() if callable(each)})

    def _anew(name: str) -> ModuleType:
        module = module_from_spec(find_spec(name))
        module.__spec__.loader.exec_module(module)
        module.os = os
        return module

    # Paths are needed everywhere, and functions of ``os.path`` call each other and ``os``: it is executed once more.
    os.path = _anew(os.path.__name__)
    vars(os.path).update(
        {name: getattr(_anew("genericpath"), name) for name in ("exists", "isdir", "isfile", "getsize")}
    )

    shutil = SimpleNamespace(**vars(_anew("shutil")))
    _tempfile = _anew("tempfile")
    vars(_tempfile).update(_io=io, _os=os, _shutil=shutil)

    def _where(usual: Callable[[], str] = _tempfile.gettempdir) -> str:
        return getattr(sys.modules.get("tempfile"), "tempdir", None) or usual()

    _tempfile.gettempdir = _where
    tempfile = SimpleNamespace(**vars(_tempfile))
    del _tempfile

    def _wherever(find: Callable[..., str]) -> Callable[..., str]:
        """Make a function return a relative path unchanged where the working directory was removed."""

        def found(path: str, **details: Any) -> str:
            try:
                return find(path, **details)
            except FileNotFoundError:
                return os.path.normpath(path)

        return found

    os.path.abspath, os.path.realpath = map(_wherever, (os.path.abspath, os.path.realpath))

HAS_FCNTL = hasattr(fcntl, "lockf")
"""Whether this system locks files as POSIX defines it."""


def state_of(name: str) -> dict[str, Any]:
    """Return the namespace of a real module, for what is to be read or set there, such as ``tempfile.tempdir``."""
    return vars(sys.modules.get(name) or _modules[name])


_modules: dict[str, ModuleType] = {}
"""The original modules, by name: pyfakefs puts others into ``sys.modules``."""

_kept: dict[str, dict[str, object]] = {}
"""Module -> its functions and classes, and the modules that it refers to, by name."""


def keep(*names: str) -> None:
    """Record the functions, classes and modules in further modules, for :func:`unpatched`."""
    for name in names:
        if name not in _kept:
            _modules[name] = sys.modules[name]
            found = vars(_modules[name]).items()
            _kept[name] = {key: value for key, value in found if callable(value) or type(value) is type(sys)}


keep(
    "builtins",
    "_io",
    "gc",
    "genericpath",
    "io",
    "os",
    os.path.__name__,
    "pathlib",
    "select",
    "signal",
    "threading",
    "time",
)


FOR_FILES = "tempfile", "os", os.path.__name__, "genericpath", "io", "_io", "builtins"
"""The modules that :mod:`tempfile` uses, where files are made."""

_PACKAGE = __name__.partition(".")[0]
"""As in ``own_code``, which imports this module."""


def keep_there(*names: str) -> None:
    """Record only the modules themselves, for :func:`unpatched`: a test may remove them from ``sys.modules``."""
    _modules.update({name: sys.modules[name] for name in names})


def put_own_back() -> None:
    """Put modules of this package back where a test has removed them: imported anew, their classes would be others."""
    if len(_modules) != _own.of:
        _own.of = len(_modules)
        _own.modules = {name: module for name, module in _modules.items() if name.partition(".")[0] == _PACKAGE}
        _own.pick = (
            itemgetter(*_own.modules) if len(_own.modules) > 1 else lambda names: (*map(names.get, _own.modules),)
        )
        _own.held = tuple(_own.modules.values())
    # None was removed, nearly always. This is asked before each run, so it is decided without a loop in Python.
    try:
        held = all(map(is_, _own.pick(sys.modules), _own.held))
    except KeyError:
        held = False
    if not held:
        sys.modules.update(_own.modules)


class _Own:
    """The modules of this package that are recorded; ``of`` is the number of all modules that are."""

    def __init__(self) -> None:
        self.of = 0
        self.modules: dict[str, ModuleType] = {}
        self.pick: Callable[[dict[str, ModuleType]], tuple[ModuleType | None, ...]]
        self.held: tuple[ModuleType, ...] = ()


_own = _Own()

_modules["sys"] = sys
_kept["sys"] = {"_getframe": sys._getframe, "_current_frames": sys._current_frames}  # noqa: SLF001  (the rest is state)


def _changed(*names: str) -> Iterator[tuple[str, dict[str, object], dict[str, object]]]:
    """Yield, for each of these modules with replaced functions or classes, its name, its present namespace, and the recorded originals."""
    for name in names or _kept:
        kept = _kept[name]
        now = vars(_modules[name])
        # Nothing was replaced, nearly always. This is asked for a dozen times an audit, so it is decided without a loop in Python.
        if not all(map(is_, map(now.get, kept), kept.values())):
            yield name, now, {key: value for key, value in kept.items() if now.get(key) is not value}


def replaced() -> list[str]:
    """Return what was replaced in these modules, such as ``threading.Lock``, without hooks that exist to be replaced.

    Of what was replaced before this module was imported, only gevent's replacements are known; these may be in any module.
    """
    return [f"{name}.{key}" for name, _, former in _changed() for key in former if key != "excepthook"] + _BEFORE


@contextmanager
def unpatched(*names: str) -> Iterator[None]:
    """Put back into the modules themselves what was replaced there, for library code that the audit runs outside of tests.

    Parameters:
        names: the modules that matter; none: all that were recorded. A process that was just forked copies the memory of each function
            that is looked at, so that all of them together cost milliseconds.
    """
    restore: list[tuple[dict[str, object], dict[str, object], list[str]]] = []
    for _, now, former in _changed(*names):
        # Names that the test has deleted are deleted again afterwards.
        missing = [key for key in former if key not in now]
        restore.append((now, {key: now[key] for key in former if key in now}, missing))
        now.update(former)
    others = {name: sys.modules.get(name) for name in names or _modules if sys.modules.get(name) is not _modules[name]}
    sys.modules.update({name: _modules[name] for name in others})
    try:
        yield
    finally:
        for name, other in others.items():
            if other is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = other
        for now, values, missing in restore:
            now.update(values)
            for key in missing:
                now.pop(key, None)
