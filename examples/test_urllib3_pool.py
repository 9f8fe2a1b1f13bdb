"""urllib3: an interrupt while a connection is returned occupies a place in the pool forever.

Expected: a connection (a kind of our own, see ``conftest.py``) is lost at the entry of ``_put_conn``: with ``block=True`` the next
request waits forever. An interrupt at the end of the same function makes it return the connection twice, and ``FullPoolError`` replaces
the interrupt; one in ``HTTPResponse`` as it ends is lost in a finalizer, which is listed. With only the test in scope nothing is lost.
"""

import subprocess
import sys

import pytest
import urllib3


@pytest.fixture(scope="session")
def port(tmp_path_factory):
    place = tmp_path_factory.mktemp("served")
    (place / "file").write_text("x")
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        yield int(server.stdout.readline().split("port ")[1].split()[0])
        server.terminate()


@pytest.fixture
def pool(port, watch):
    with urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1, block=True, retries=False) as pool:
        pool.request("GET", "/file")
        watch(pool, lambda pool: pool.pool.maxsize - pool.pool.qsize())
        yield pool


@pytest.mark.interrupt_safe(include=["urllib3"], hits=1)
def test_request(pool):
    assert pool.request("GET", "/file").data == b"x"


@pytest.mark.interrupt_safe
def test_request_alone(pool):
    assert pool.request("GET", "/file").data == b"x"
