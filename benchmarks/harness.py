"""The harness that a user would write to interrupt a test at each line: ``sys.settrace``, and a run of the function for each line.

Run ``python benchmarks/harness.py FILE FUNCTION [EVERY]``. It judges nothing, which is to its advantage in the comparison. It takes every
EVERYth line, and prints how many lines were reached, how many runs it made, and the processor seconds that these runs took.
"""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any


def run(function: Callable[[], object], file: str, at: Callable[[int], None]) -> None:
    """Call the function, and call ``at`` with the number of each line of the file as it begins."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != file:
            return None
        if event == "line":
            at(frame.f_lineno)
        return trace

    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)


def raise_at(line: int, reached: int) -> None:
    if reached == line:
        raise KeyboardInterrupt


def main() -> None:
    """Interrupt the function at every EVERYth line, and print the counts and the time."""
    file, name, every = sys.argv[1], sys.argv[2], int((*sys.argv, "1")[3])
    function = runpy.run_path(file)[name]
    lines: dict[int, None] = {}
    run(function, file, lines.setdefault)
    chosen = list(lines)[every // 2 :: every]
    begin = time.process_time()
    for line in chosen:
        run(function, file, lambda reached, line=line: raise_at(line, reached))
    print(len(lines), len(chosen), time.process_time() - begin)


if __name__ == "__main__":
    main()
