"""Modules of the standard library that are audited with the test: what they do inside loses nothing either."""

import calendar
import configparser
import contextlib
import copy
import csv
import difflib
import email.message
import fractions
import functools
import heapq
import html.parser
import io
import json
import pprint
import queue
import random
import statistics
import string
import textwrap
import types
import urllib.parse
import weakref

import pytest


def scope(*modules):
    """Audit these modules, too."""
    return pytest.mark.interrupt_safe(include=modules, max_points=40)


@scope("json", "json.encoder", "json.decoder")
def test_json():
    assert json.loads(json.dumps({"a": [1, 2.5, None, "x"]}, indent=1)) == {"a": [1, 2.5, None, "x"]}


@scope("configparser")
def test_configparser():
    parser = configparser.ConfigParser()
    parser.read_string("[a]\nkey = 1\n[b]\nother = %(x)s\nx = y\n")
    assert parser["b"]["other"] == "y"


@scope("textwrap", "string")
def test_texts():
    assert textwrap.dedent("  a\n  b") == "a\nb"
    assert string.Formatter().format("{0:>3}|{a}", 1, a=2) == "  1|2"


@scope("contextlib")
def test_exit_stack():
    done = []
    with contextlib.ExitStack() as stack:
        stack.callback(done.append, 1)
        stack.enter_context(contextlib.suppress(KeyError))
    assert done == [1]


@scope("copy", "weakref")
def test_copies():
    value = types.SimpleNamespace(a=[1, {2: 3}])
    assert copy.deepcopy(value).a == value.a
    assert len(weakref.WeakSet([test_texts])) == 1


@scope("functools")
def test_functools():
    @functools.singledispatch
    def sort(value):
        return "other"

    @sort.register
    def _(value: int):
        return "int"

    assert (sort(1), sort("")) == ("int", "other")
    assert functools.partial(max, 1)(2) == 2


@scope("heapq", "random", "statistics", "fractions")
def test_numbers():
    assert heapq.nsmallest(2, [3, 1, 2]) == [1, 2]
    assert statistics.mean([1, 2, 3]) == fractions.Fraction(2)
    assert random.Random(1).choice([1]) == 1


@scope("csv", "difflib", "pprint", "calendar")
def test_more_texts():
    assert list(csv.DictReader(io.StringIO("a,b\n1,2\n"))) == [{"a": "1", "b": "2"}]
    assert difflib.SequenceMatcher(None, "abc", "abd").ratio() > 0.5
    assert pprint.pformat({"b": 1, "a": 2}) == "{'a': 2, 'b': 1}"
    assert calendar.monthcalendar(2024, 2)[0][0] == 0


@scope("email.message", "html.parser", "urllib.parse")
def test_parsers():
    message = email.message.Message()
    message["To"] = "a@b"
    html.parser.HTMLParser().feed("<a b=c>x</a>")
    assert urllib.parse.parse_qs("a=1&a=2") == {"a": ["1", "2"]}
    assert "To: a@b" in message.as_string()


@scope("queue")
def test_queue():
    waiting = queue.Queue(2)
    waiting.put(1)
    assert waiting.get(timeout=1) == 1
    waiting.task_done()
    waiting.join()
