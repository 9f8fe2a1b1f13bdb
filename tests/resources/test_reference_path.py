"""The path of references to an object is written as an expression in Python."""

from __future__ import annotations

import threading
import types
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from enum import Enum
from functools import partial

import pytest

from pytest_maskcheck.resources.reference_path import held_by

pytestmark = pytest.mark.oldest_and_newest


class Holder:
    """Keeps a lock as an attribute."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def method(self) -> None:
        pass


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()


@dataclass(slots=True)
class Data:
    lock: object


class OwnList(list):
    """A list with attributes."""


class OwnDict(dict):
    """A dict with attributes."""


class OwnTuple(tuple):
    """A tuple with attributes."""


Pair = namedtuple("Pair", "first second")  # noqa: PYI024  (the function is what is tested)


class Colour(Enum):
    RED = 1


def closing_over(value: object) -> types.FunctionType:
    def inner() -> object:
        return value

    return inner


def with_attribute(thing: object) -> object:
    thing.lock = threading.Lock()  # type: ignore[attr-defined]
    return thing


WAYS = {
    "an attribute": (Holder, ".lock"),
    "a slot": (Slotted, ".lock"),
    "a field": (lambda: Data(threading.Lock()), ".lock"),
    "in a list": (lambda: [None, Holder()], "[1].lock"),
    "in a deque": (lambda: deque([Holder()]), "[0].lock"),
    "in a tuple": (lambda: (None, [Holder()]), "[1][0].lock"),
    "in a named tuple": (lambda: Pair(1, Holder()), ".second.lock"),
    "in a namespace": (lambda: types.SimpleNamespace(part=Holder()), ".part.lock"),
    "in a list of one's own": (lambda: OwnList([Holder()]), "[0].lock"),
    "beside a list": (lambda: with_attribute(OwnList()), ".lock"),
    "beside a dict": (lambda: with_attribute(OwnDict()), ".lock"),
    "beside a tuple": (lambda: with_attribute(OwnTuple()), ".lock"),
    "in a dict": (lambda: {"a b": {"k": Holder()}}, "['a b']['k'].lock"),
    "in an ordered dict": (lambda: OrderedDict(k=Holder()), "['k'].lock"),
    "under a number": (lambda: {1.5: Holder()}, "[1.5].lock"),
    "under None": (lambda: {None: Holder()}, "[None].lock"),
    "under a tuple": (lambda: {("a", 1): Holder()}, "[('a', 1)].lock"),
    "under a member of an enum": (lambda: {Colour.RED: Holder()}, "[Colour.RED].lock"),
    "under a class": (lambda: {Holder: Holder()}, "[Holder].lock"),
    "under an object": (lambda: {object(): Holder()}, "[...].lock"),
    "in a set": (lambda: {Holder()}, "[...].lock"),
    "in a proxy": (lambda: types.MappingProxyType({"k": Holder()}), "['k'].lock"),
    "an argument of an exception": (lambda: ValueError(Holder()), ".args[0].lock"),
    "beside an exception": (lambda: with_attribute(ValueError()), ".lock"),
    "an argument of a partial": (lambda: partial(print, Holder()), ".args[0].lock"),
    "of a bound method": (lambda: Holder().method, ".__self__.lock"),
    "in a closure": (lambda: closing_over(Holder()), ".<closure>.value.lock"),
    "a default": (lambda: types.FunctionType(plain.__code__, {}, None, (Holder(),)), ".<defaults>.other.lock"),
}


def plain(one: object, other: object = None) -> None:
    pass


def lock_in(thing: object, depth: int = 8) -> object:
    """Return the lock that an object holds, directly or through other objects."""
    import gc

    level = [thing]
    for _ in range(depth):
        for each in level:
            if type(each) is type(threading.Lock()):
                return each
        level = [part for part in gc.get_referents(*level) if not isinstance(part, (type, types.ModuleType))]
    raise AssertionError


@pytest.mark.parametrize("way", WAYS)
def test_a_path_is_what_a_reader_would_write(module_of, way):
    """A path leaves out attribute dictionaries, tuples of functions and cells, and shows keys as source code."""
    make, path = WAYS[way]
    module = module_of("")
    module.ROOT = make()
    assert held_by(lock_in(module.ROOT)) == f"kept.ROOT{path}"


def test_a_thread_is_named_where_its_identifier_is_a_key(module_of):
    """A key that is a thread's identifier is shown as the thread's name without its numbers, which vary; other numbers are shown."""
    module = module_of("")
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="worker-17")
    thread.start()
    try:
        module.ROOT = {thread.ident: Holder()}
        assert held_by(lock_in(module.ROOT)) == "kept.ROOT[ident of thread worker-#].lock"
        module.ROOT = {thread.ident + 1: Holder()}
        assert held_by(lock_in(module.ROOT)) == f"kept.ROOT[{thread.ident + 1}].lock"
    finally:
        end.set()
        thread.join()


def test_an_object_that_is_kept_by_its_own_id_is_told_so(module_of):
    """A key that is the object's own id is shown as ``its id``, since the number differs in every session."""
    holder = Holder()
    module = module_of("")
    module.ROOT = {id(holder): holder}
    del holder
    assert held_by(lock_in(module.ROOT)) == "kept.ROOT[its id].lock"


VALUE = """
import threading
import pytest

class Connection:
    def __init__(self):
        self.lock = threading.Lock()

@pytest.fixture(scope="module")
def connection():
    return Connection()

@pytest.mark.interrupt_safe
def test_it(connection):
    lock = connection.lock
    lock.acquire()
    lock.release()
"""


def test_what_a_fixture_returns_has_its_name(audit):
    """The value of a fixture is named after the fixture, not after the tuple where pytest keeps it."""
    assert audit(VALUE).audit.failures[0].origin.held_by == "fixture connection.lock"
