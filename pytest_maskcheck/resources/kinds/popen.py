"""Processes started with ``subprocess`` that were not waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.system.unpatched import os
from pytest_maskcheck.system.untrusted import read

_SECONDS = 0.5  # seconds that a killed process gets to end


class Popens(OpenObjects):
    """``Popen`` objects without a return code whose process nobody else has waited for."""

    name = "popen"
    owns = True
    warns = "is still running"
    outlives = True
    family = Family("subprocess:Popen")

    def is_open(self, thing: Any) -> bool:
        pid = read(thing, "pid")
        if read(thing, "returncode", 0) is not None or not pid:
            return False
        with suppress(AttributeError, OSError):  # platforms without ``waitid``
            try:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return False
        return True

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        given = read(thing, "args", "?")
        arguments = [given] if isinstance(given, str | bytes | os.PathLike) else list(given)
        words = [os.fsdecode(word) for word in arguments if isinstance(word, str | bytes | os.PathLike)] or ["?"]
        program = os.path.basename(words[0].split()[0] if words[0].split() else "?")
        detail = f"process {read(thing, 'pid')} ({' '.join(words)}) was not waited for"
        return self.surroundings.text(program), detail

    def descriptors(self, thing: Any) -> Iterable[Any]:
        pipes = [read(thing, name) for name in ("stdin", "stdout", "stderr")]
        return [pipe for pipe in pipes if pipe is not None and not pipe.closed]

    def close(self, thing: Any) -> None:
        thing.kill()
        with suppress(Exception):
            thing.wait(_SECONDS)
        for pipe in thing.stdin, thing.stdout, thing.stderr:
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import subprocess

        null = subprocess.DEVNULL
        # ``cat`` reads to the end of its input, so it ends when this process does, however that ends.
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=null, stderr=null) as process:
            try:
                yield
            finally:
                process.kill()
