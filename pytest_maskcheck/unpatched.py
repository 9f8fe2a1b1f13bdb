"""Modules of the standard library as they were before any test ran, for the audit's own use.

``from pytest_maskcheck.unpatched import os, time`` gives a copy of each module's namespace. A test that replaces
``time.monotonic`` or ``os.kill`` changes the module, and the audit goes on with the function that it replaced.

Why not ``from time import monotonic``? freezegun looks through all modules and replaces such names, too. It does not look
into an object that a module holds.

Rules:

1. What a run calls, or what looks at a run, comes from here. State that a test may change and that is to be *read*
   (``sys.excepthook``, ``os.environ``, ``signal.set_wakeup_fd``'s descriptor) comes from the real module or is shared with it.
2. The clock of the audit is ``time.perf_counter``. time-machine does not replace functions but changes, in C, what
   ``time.time``, ``time.monotonic`` and ``time.clock_gettime`` do, wherever they are kept. On Linux both clocks are the same one,
   for all processes.

What does not work: functions of these modules that are written in Python look up others in the real module
(``os.makedirs`` calls ``mkdir``, ``threading.enumerate`` takes ``_active_limbo_lock``), and so does the rest of the standard library,
and pytest, which cannot tear down a test that left ``os.getcwd`` replaced by something that raises.
Builtins other than ``open`` are not bound: pytest itself does not survive a replaced ``len``. What was replaced before
this module is imported (pytest loads plugins before ``conftest.py``, and this module with them if ``--maskcheck`` is
given) is seen as replaced.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gc as gc  # noqa: PLC0414  (offered to others)
    import os as os  # noqa: PLC0414
    import select as select  # noqa: PLC0414
    import signal as signal  # noqa: PLC0414
    import threading as threading  # noqa: PLC0414
    import time as time  # noqa: PLC0414
    from collections.abc import Iterator

    builtin_open = open
else:
    from importlib import import_module
    from importlib.util import find_spec, module_from_spec
    from io import open as builtin_open  # noqa: F401
    from types import ModuleType, SimpleNamespace

    def _as_it_is(name: str) -> SimpleNamespace:
        # ``python -m gevent.monkey pytest`` patches before anybody else is there, and keeps what it replaced.
        kept = getattr(sys.modules.get("gevent.monkey"), "saved", {})
        return SimpleNamespace(**{**vars(import_module(name)), **kept.get(name, {})})

    gc, os, select, signal, threading, time = map(_as_it_is, ("gc", "os", "select", "signal", "threading", "time"))

    def _anew(name: str) -> ModuleType:
        module = module_from_spec(find_spec(name))
        module.__spec__.loader.exec_module(module)
        module.os = os
        return module

    # Names of files are needed everywhere, and functions of ``os.path`` call each other and ``os``: it is executed once more.
    os.path = _anew(os.path.__name__)
    vars(os.path).update(
        {name: getattr(_anew("genericpath"), name) for name in ("exists", "isdir", "isfile", "getsize")}
    )


@contextmanager
def unpatched() -> Iterator[None]:
    """Put back into the modules themselves what was replaced there, for library code that the audit runs outside of tests."""
    replaced: list[tuple[dict[str, object], dict[str, object]]] = []
    for name, kept in (
        ("gc", gc),
        ("os", os),
        ("select", select),
        ("signal", signal),
        ("threading", threading),
        ("time", time),
    ):
        now = vars(sys.modules[name])
        former = {key: value for key, value in vars(kept).items() if callable(value) and now.get(key) is not value}
        replaced.append((now, {key: now[key] for key in former if key in now}))
        now.update(former)
    try:
        yield
    finally:
        for now, values in replaced:
            now.update(values)
