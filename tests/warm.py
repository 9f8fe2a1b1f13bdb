"""A process that has imported what every audited session imports, and forks for each inner pytest.

This way an inner pytest starts in milliseconds, instead of taking half a second of processor time.

``conftest.py`` starts the process with a socket as its standard input. Each request is a JSON object (``directory``, ``environment``,
``arguments``) with three descriptors for input, output and errors; the answer is the exit code. The forked process becomes what
``python -m pytest ARGUMENTS`` would be in that directory. Two things are not imported on purpose: the plugin module itself, as pytest
rewrites its assertions on import, and whatever a plugin named by ``-p`` imports.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import socket
import sys

import coverage
import pytest
from _pytest.config import default_plugins

import pytest_maskcheck.session.hooks

_ = coverage, pytest, pytest_maskcheck.session.hooks  # imported for the forked processes, unused here
_MOST = 1 << 20  # bytes, at most, of a request


def serve(requests: socket.socket) -> None:
    """Fork for each request; return in the forked processes, and when there are no more requests."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, _MOST, 3)
        if not message:
            return
        pid = os.fork()
        if not pid:
            requests.close()
            become_pytest(descriptors, **json.loads(message))
            return
        for fd in descriptors:
            os.close(fd)
        _, status = os.waitpid(pid, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


def become_pytest(descriptors: list[int], *, directory: str, environment: dict[str, str], arguments: list[str]) -> None:
    """Give this process the streams, directory, environment and arguments of a newly started one."""
    for standard, fd in enumerate(descriptors):
        os.dup2(fd, standard)
        os.close(fd)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = directory  # as with ``python -m``
    sys.argv[1:] = arguments


if __name__ == "__main__":
    for name in default_plugins:
        __import__(f"_pytest.{name}")
    gc.collect()
    gc.freeze()  # pytest collects garbage ten times as it ends, which would go through all that was imported each time
    serve(socket.socket(fileno=os.dup(0)))  # a duplicate: forked processes replace their standard input
    if len(sys.argv) > 1:  # only in forked processes, where ``become_pytest`` sets the arguments
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
