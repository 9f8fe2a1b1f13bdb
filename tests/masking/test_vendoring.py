"""``masking.py`` works on its own, copied into another project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest_maskcheck.masking

NAMES = ["bracket", "deliver_pending", "is_masked", "mask", "pending_signals", "shield", "sigmask"]

PROGRAM = """
    import sys
    sys.path.insert(0, sys.argv[1])
    from masking import *
    import masking
    from signal import SIGINT, raise_signal
    others = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"__main__", "masking"}
    assert not others, others
    assert "asyncio" not in sys.modules
    order = []
    try:
        with mask(SIGINT) as restore, shield(open, sys.executable, "rb") as file, sigmask(SIGINT):
            raise_signal(SIGINT)
            order.append(is_masked())
            assert pending_signals() == ()
    except KeyboardInterrupt:
        order.append(file.closed)
    assert order == [True, True], order
    with bracket(list, list.clear) as value:
        value.append(1)
    assert value == []
    deliver_pending()
    print(sorted(masking.__all__))
"""


def test_the_file_alone(tmp_path: Path):
    """Copied to an empty folder, the file works without site-packages, and imports only the standard library."""
    shutil.copy(pytest_maskcheck.masking.__file__, tmp_path)
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", dedent(PROGRAM), str(tmp_path)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr) == (f"{NAMES}\n", "")


def test_the_names():
    """``__all__`` has the names of the primitives, and all of them exist."""
    assert sorted(pytest_maskcheck.masking.__all__) == NAMES
    assert all(hasattr(pytest_maskcheck.masking, name) for name in NAMES)
