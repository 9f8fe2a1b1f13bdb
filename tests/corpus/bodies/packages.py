"""Published packages, as they are meant to be used."""

import threading
import typing

import pytest


def test_attrs():
    import attrs

    @attrs.frozen
    class Point:
        x: int
        y: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))

    assert attrs.asdict(attrs.evolve(Point(1), y=2)) == {"x": 1, "y": 2}


def test_sortedcontainers():
    from sortedcontainers import SortedDict, SortedList

    assert list(SortedList([3, 1, 2]).irange(2)) == [2, 3]
    assert SortedDict(b=1, a=2).peekitem(0) == ("a", 2)


def test_idna_and_packaging():
    import idna
    from packaging.requirements import Requirement  # (swallowed@back) (swallowed@into)?
    from packaging.version import Version  # (swallowed@back) (swallowed@into)

    assert idna.encode("ドメイン.テスト") == b"xn--eckwd4c7c.xn--zckzah"
    assert Version("1.10") in Requirement("a>=1.9").specifier


def test_pluggy():
    import pluggy

    specification, implementation = pluggy.HookspecMarker("corpus"), pluggy.HookimplMarker("corpus")

    class Specification:
        @specification
        def answer(self, number):
            """Return an answer."""

    class Plugin:
        @implementation
        def answer(self, number):
            return number + 1

    manager = pluggy.PluginManager("corpus")
    manager.add_hookspecs(Specification)
    manager.register(Plugin())
    assert manager.hook.answer(number=1) == [2]


def test_pygments():
    from pygments import highlight
    from pygments.formatters import NullFormatter
    from pygments.lexers import PythonLexer

    assert highlight("a = 1\n", PythonLexer(), NullFormatter()) == "a = 1\n"


def test_coverage(tmp_path):
    coverage = pytest.importorskip("coverage")
    data = coverage.CoverageData(basename=str(tmp_path / "data"))
    try:
        data.add_lines({"a.py": [1, 2]})
        assert sorted(data.lines("a.py")) == [1, 2]
    finally:
        data.close(force=True)


def test_filelock(tmp_path):
    filelock = pytest.importorskip("filelock")
    lock = filelock.FileLock(tmp_path / "a.lock")
    with lock:  # (implicit@back) (implicit@into)
        assert lock.is_locked
    assert not lock.is_locked


def test_portalocker(tmp_path):
    portalocker = pytest.importorskip("portalocker")
    with portalocker.Lock(tmp_path / "a", "w", timeout=1) as file:  # (implicit@back) (implicit@into) (swallowed@back) (swallowed@into)
        file.write("a")
    assert (tmp_path / "a").read_text() == "a"


def test_tqdm():
    tqdm = pytest.importorskip("tqdm")
    assert sum(tqdm.tqdm(range(5), disable=True)) == 10  # (swallowed@back) (swallowed@into)


def test_readerwriterlock():
    rwlock = pytest.importorskip("readerwriterlock.rwlock")
    lock = rwlock.RWLockFair()
    with lock.gen_rlock():  # (leak@back) (leak@into)
        assert threading.active_count() >= 1
    with lock.gen_wlock():  # (leak@back) (leak@into) leak@back?
        pass


def test_typing_extensions():
    typing_extensions = pytest.importorskip("typing_extensions")

    class Movie(typing_extensions.TypedDict):
        name: typing_extensions.Required[str]

    assert Movie(name="a") == {"name": "a"}
    assert typing.get_type_hints(Movie)
