"""Values, texts and the language itself: nothing to release."""

import argparse
import base64
import bisect
import calendar
import collections
import copy
import dataclasses
import datetime
import decimal
import difflib
import email.message
import email.parser
import enum
import fractions
import functools
import hashlib
import heapq
import hmac
import html
import html.parser
import importlib
import inspect
import itertools
import math
import operator
import pprint
import random
import re
import secrets
import statistics
import string
import struct
import textwrap
import traceback
import types
import typing
import uuid
import weakref
import xml.etree.ElementTree as ET
import zlib
import zoneinfo


def test_containers():
    counts = collections.Counter("mississippi")
    chain = collections.ChainMap({"a": 1}, {"b": 2})
    heap = [3, 1, 2]
    heapq.heapify(heap)
    assert (counts.most_common(1), chain["b"], heapq.heappop(heap)) == ([("i", 4)], 2, 1)
    assert bisect.bisect([1, 2, 3], 2) == 2


def test_itertools():
    pairs = list(itertools.pairwise(range(5)))
    groups = {key: len(list(group)) for key, group in itertools.groupby("aabbb")}
    assert (len(pairs), groups) == (4, {"a": 2, "b": 3})
    assert functools.reduce(operator.mul, itertools.islice(itertools.count(1), 4)) == 24


def test_generators():
    def numbers():
        try:
            for number in range(4):
                yield number
        finally:
            seen.append("end")

    seen = []
    assert sum(numbers()) == 6
    some = numbers()
    assert next(some) == 0  # (implicit@call)
    some.close()
    assert seen == ["end", "end"]


def test_caches():
    @functools.lru_cache(maxsize=4)
    def fibonacci(number):
        return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

    class Lazy:  # replaced@into?
        @functools.cached_property
        def value(self):
            return fibonacci(10)

    assert Lazy().value == 55
    assert fibonacci.cache_info().hits > 0


def test_classes():
    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: int = 0

    class Colour(enum.Enum):
        RED = enum.auto()
        BLUE = enum.auto()

    class Pair(typing.NamedTuple):
        left: int
        right: int

    assert dataclasses.replace(Point(1), y=2) > Point(1, 1)
    assert [colour.name for colour in Colour] == ["RED", "BLUE"]
    assert Pair(1, 2)._asdict() == {"left": 1, "right": 2}
    assert typing.get_type_hints(Point) == {"x": int, "y": int}


def test_copies():
    value = {"a": [1, {2}], "b": types.SimpleNamespace(c=3)}
    value["self"] = value
    other = copy.deepcopy(value)
    assert other["self"] is other
    assert copy.copy(value)["a"] is value["a"]


def test_weak_references():
    class Thing:
        pass

    ended = []
    thing = Thing()
    weakref.finalize(thing, ended.append, 1)
    known = weakref.WeakValueDictionary(thing=thing)
    del thing  # (swallowed@back) (swallowed@into)
    assert ended == [1]
    assert not known


def test_numbers():
    third = fractions.Fraction(1, 3)
    assert third + fractions.Fraction("2/3") == 1
    assert statistics.stdev([1, 2, 3, 4]) > statistics.median([1, 1])
    assert math.isclose(math.fsum([0.1] * 10), 1)


def test_decimal():
    with decimal.localcontext(decimal.Context(prec=5)):
        assert str(decimal.Decimal(1) / 3) == "0.33333"
    assert decimal.getcontext().prec != 5


def test_dates():
    new_year = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert (new_year + datetime.timedelta(days=59)).strftime("%d %m") == "29 02"
    assert calendar.monthrange(2024, 2)[1] == 29
    assert datetime.date.fromisoformat("2024-02-29").isoweekday() == 4


def test_time_zones():
    zone = zoneinfo.ZoneInfo.no_cache("UTC")
    assert datetime.datetime(2024, 7, 1, tzinfo=zone).utcoffset() == datetime.timedelta(0)
    assert zoneinfo.ZoneInfo("UTC") is zoneinfo.ZoneInfo("UTC")


def test_random():
    source = random.Random(1)
    assert sorted(source.sample(range(100), 5))[0] >= 0
    random.shuffle([1, 2, 3])
    assert random.random() < 1
    assert secrets.token_bytes(4) != secrets.token_bytes(8)


def test_hashes():
    digest = hashlib.sha256(b"abc").hexdigest()
    assert hmac.compare_digest(hmac.new(b"k", b"abc", "sha256").hexdigest(), hmac.digest(b"k", b"abc", "sha256").hex())
    assert len(digest) == len(hashlib.blake2s().hexdigest())
    assert uuid.uuid5(uuid.NAMESPACE_DNS, "a").version == 5
    assert uuid.uuid4() != uuid.uuid4()


def test_bytes():
    packed = struct.pack("<HI", 1, 2)
    assert struct.unpack("<HI", packed) == (1, 2)
    assert zlib.decompress(zlib.compress(packed)) == packed
    assert base64.b64decode(base64.b64encode(packed)) == packed


def test_regular_expressions():
    words = re.compile(r"(?P<word>\w+)")
    assert [match["word"] for match in words.finditer("one two")] == ["one", "two"]
    assert re.sub(r"\d", lambda match: str(int(match[0]) + 1), "1a2") == "2a3"
    assert re.fullmatch("(a|b)*", "abab")


def test_texts():
    assert textwrap.fill("one two three", 8).count("\n") == 1
    assert string.Template("$a").substitute(a=1) == "1"
    assert html.unescape(html.escape("<a>")) == "<a>"
    assert difflib.get_close_matches("appel", ["apple", "pear"]) == ["apple"]
    assert len(pprint.pformat({"a": list(range(50))})) > 100


def test_email():
    message = email.message.EmailMessage()
    message["Subject"] = "hällo"
    message.set_content("text")
    message.add_attachment(b"data", maintype="application", subtype="octet-stream")
    parsed = email.parser.BytesParser().parsebytes(bytes(message))
    assert parsed.is_multipart()


def test_xml_and_html():
    root = ET.fromstring("<a><b c='d'/></a>")
    assert [element.get("c") for element in root.iter("b")] == ["d"]
    tags = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)

    Parser().feed("<p><em>x</em></p>")
    assert tags == ["p", "em"]


def test_arguments():
    parser = argparse.ArgumentParser(prog="corpus")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("add").add_argument("--number", type=int, default=1)
    assert parser.parse_args(["add", "--number", "3"]).number == 3


def test_imports():
    import colorsys
    import wave  # (swallowed@back) (swallowed@into)?

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    assert importlib.import_module("wave") is wave
    assert importlib.util.find_spec("no_such_module") is None


def test_inspection():
    signature = inspect.signature(test_inspection)
    assert not signature.parameters
    assert inspect.getsource(test_imports).startswith("def test_imports")
    try:
        raise ValueError("message")
    except ValueError as error:
        assert traceback.format_exception_only(error) == ["ValueError: message\n"]
    assert inspect.stack(0)
