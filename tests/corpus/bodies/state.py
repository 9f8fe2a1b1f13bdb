"""Process state that is changed and put back."""

import contextlib
import cProfile
import functools
import gc
import importlib
import io
import locale
import logging
import os
import pstats
import signal
import sys
import tracemalloc
import unittest.mock
import warnings

import pytest

VALUE = 1


@contextlib.contextmanager
def changed(value):
    """Change a variable of the module for a while."""
    global VALUE
    before = VALUE
    try:
        VALUE = value
        yield
    finally:
        VALUE = before


def test_exit_stack(tmp_path):
    done = []
    with contextlib.ExitStack() as stack:  # (implicit@back) (implicit@into)
        stack.callback(done.append, "last")
        file = stack.enter_context(open(tmp_path / "a", "w", encoding="ascii"))  # (implicit@call)  (implicit@into)
        stack.push(lambda *_: done.append("first"))
    assert file.closed
    assert done == ["first", "last"]


def test_context_manager():
    with changed(2):  # (implicit@into)
        assert VALUE == 2
    assert VALUE == 1


def test_redirected():
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):  # (altered@back)? (altered@into) altered@back?
        print("a")
        print("b", file=sys.stderr)
    assert text.getvalue() == "a\nb\n"


def test_chdir(tmp_path):
    before = os.getcwd()
    with contextlib.chdir(tmp_path):  # (altered@back)? (altered@into)
        assert os.getcwd() == str(tmp_path)
    assert os.getcwd() == before


def test_catch_warnings():
    with warnings.catch_warnings(record=True) as seen:  # (altered@back) (altered@into) altered@into
        warnings.simplefilter("always")
        warnings.warn("message", UserWarning, stacklevel=1)
    assert len(seen) == 1


def test_patch():
    with unittest.mock.patch("os.getpid", return_value=7) as fake:  # unusable@into
        assert os.getpid() == 7
    fake.assert_called_once_with()
    assert os.getpid() != 7


@unittest.mock.patch.dict(os.environ, {"CORPUS": "a"})
@unittest.mock.patch.object(sys, "path", [])
def test_patched():
    assert os.environ["CORPUS"] == "a"
    assert sys.path == []


def test_environ():
    try:
        os.environ["CORPUS"] = "a"
        assert os.path.expandvars("$CORPUS") == "a"
    finally:
        os.environ.pop("CORPUS", None)  # altered@back altered@into


def test_handler():
    handler = signal.getsignal(signal.SIGUSR1)
    try:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, handler)  # altered@into


def test_signal_mask():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # altered@into


def test_umask(tmp_path):
    before = os.umask(0o077)  # altered@call: the old one is lost
    try:
        (tmp_path / "a").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o77 == 0


def test_locale():
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, "C")
        assert locale.localeconv()["decimal_point"] == "."
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


def test_logging(caplog):
    logger = logging.getLogger("corpus.state")
    with caplog.at_level(logging.INFO, logger.name):  # (altered@back)? (implicit@back)? (implicit@into)
        logger.info("message %d", 1)
    assert caplog.messages == ["message 1"]


def test_logging_handler():
    text, logger = io.StringIO(), logging.getLogger("corpus.handler")
    handler = logging.StreamHandler(text)
    try:
        logger.addHandler(handler)
        logger.error("message")
    finally:
        logger.removeHandler(handler)  # altered@into
        handler.close()
    assert text.getvalue() == "message\n"


def test_logging_to_a_file(tmp_path):
    logger = logging.getLogger("corpus.file")
    handler = logging.FileHandler(tmp_path / "log", delay=True)
    try:
        logger.addHandler(handler)
        logger.error("message")
    finally:
        logger.removeHandler(handler)  # (implicit@back) altered@into leak@into
        handler.close()  # (implicit@into)
    assert (tmp_path / "log").exists()


def test_profile():
    profile = cProfile.Profile()
    try:
        profile.enable()
        sorted(range(10))  # replaced@call on 3.11
    finally:
        profile.disable()  # swallowed@call on 3.11
    # The profiler itself loses signals that come in its own code.
    assert pstats.Stats(profile, stream=io.StringIO()).total_calls >= 0


def test_tracemalloc():
    try:
        tracemalloc.start()
        kept = [bytes(1000) for _ in range(10)]
        assert tracemalloc.get_traced_memory()[0] > sum(map(len, kept)) // 2
    finally:
        tracemalloc.stop()


def test_gc():
    enabled = gc.isenabled()
    try:
        gc.disable()
        loop = []
        loop.append(loop)
    finally:
        if enabled:
            gc.enable()
    assert gc.isenabled() == enabled


def test_recursion_limit():
    before = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(before + 10)
    finally:
        sys.setrecursionlimit(before)


def test_module_from_a_file(tmp_path, monkeypatch):
    (tmp_path / "corpus_module.py").write_text("VALUE = 3\n", encoding="ascii")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("corpus_module")  # (swallowed@back)
    try:
        assert module.VALUE == 3
    finally:
        del sys.modules["corpus_module"]


def test_tmp_paths(tmp_path, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "a").write_text("x", encoding="ascii")
    os.symlink(other / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text(encoding="ascii") == "x"


def test_capsys(capsys):
    print("a")
    assert capsys.readouterr().out == "a\n"
    with capsys.disabled():  # (altered@back)? (implicit@back)? (implicit@into) altered@back?
        pass


def test_capfd(capfd):
    os.write(1, b"a")
    assert capfd.readouterr().out == "a"


def test_monkeypatch(monkeypatch):
    monkeypatch.setenv("CORPUS", "a")
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with monkeypatch.context() as inner:  # (implicit@back)? (implicit@into)
        inner.setattr(os, "getpid", lambda: 8)
        assert os.getpid() == 8
    assert os.getpid() == 7


def test_recwarn(recwarn, request):
    warnings.warn("message", UserWarning, stacklevel=1)
    assert recwarn.pop(UserWarning).category is UserWarning
    request.addfinalizer(functools.partial(len, ""))
    with pytest.warns(UserWarning), pytest.raises(KeyError):  # (altered@back) (altered@into)
        warnings.warn("message", UserWarning, stacklevel=1)
        raise KeyError
