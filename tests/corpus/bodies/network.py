"""Sockets, servers and clients on this machine."""

import contextlib
import http.client
import http.server
import io
import selectors
import socket
import socketserver
import ssl
import threading
import urllib.parse
import urllib.request

import pytest


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())


@pytest.fixture
def port():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_socketpair():
    left, right = socket.socketpair()  # (implicit@back)
    with left, right:  # (implicit@into)
        left.sendall(b"a")
        assert right.recv(1) == b"a"


def test_tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:  # (implicit@back) (implicit@into)
        with socket.create_connection(server.getsockname()) as client:  # (implicit@call)?  (implicit@back) (implicit@into)
            connection, _ = server.accept()  # (implicit@back)
            with connection:  # (implicit@into)
                client.sendall(b"a")
                assert connection.recv(1) == b"a"


def test_udp():
    with socket.socket(type=socket.SOCK_DGRAM) as one:  # (implicit@call)  (implicit@back) (implicit@into)
        one.bind(("127.0.0.1", 0))
        one.sendto(b"a", one.getsockname())
        assert one.recv(10) == b"a"


def test_unix_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:  # (implicit@call)  (implicit@back) (implicit@into)
        server.bind("a.sock")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:  # (implicit@call)  (implicit@back) (implicit@into)
            client.connect("a.sock")


def test_selectors():
    left, right = socket.socketpair()  # (implicit@back)
    with left, right, selectors.DefaultSelector() as selector:  # (implicit@call)  (implicit@into)
        selector.register(right, selectors.EVENT_READ)
        left.send(b"a")
        assert [key.fileobj for key, _ in selector.select(10)] == [right]


def test_socketserver():
    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:  # (implicit@call)?  (implicit@into)
        with socket.create_connection(server.server_address) as client:  # (implicit@call)?  (implicit@back) (implicit@into)
            client.sendall(b"a\n")
            server.handle_request()  # (implicit@back) (implicit@into)
            assert client.recv(2) == b"a\n"


def test_server_in_a_thread():
    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:  # (implicit@call)?  (implicit@into)
        thread = threading.Thread(target=server.handle_request)
        thread.start()  # (leak@back)?
        with socket.create_connection(server.server_address) as client:  # (implicit@call)?  (implicit@back) (implicit@into) leak@into?
            client.sendall(b"a\n")
            assert client.recv(2) == b"a\n"
        thread.join()


def test_http_client(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"  # (implicit@back) (implicit@into) (swallowed@back)? (swallowed@into)? swallowed@back? swallowed@into?


def test_urllib(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/a?b=c", timeout=10) as answer:  # (implicit@back)
        assert answer.read() == b"hello"
    assert urllib.parse.urlsplit("http://host:1/a?b=c").query == "b=c"


def test_ssl():
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="host")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    assert outgoing.read()


def test_getaddrinfo():
    assert socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert io.BytesIO(socket.inet_aton("127.0.0.1")).read() == b"\x7f\x00\x00\x01"
