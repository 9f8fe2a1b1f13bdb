"""Checks the data of a report before results are made of it.

Files get cut, edited and mixed up. What is wrong with one is found here, and reported with its place in the file, so that
other modules can rely on the data.

1. The types of fields are those of the dataclasses in ``results``. No field may be missing, and none may be added.
2. Each point has one result, in the same order, and there are no other results.
3. Lines and shards are well-formed, and numbers are small enough to be counted.
4. Codes are those of ``reasons.py``, each with the values of its sentence. Each text that gives a reason has a code.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pytest_maskcheck.reasons import CODES, SENTENCES
from pytest_maskcheck.results import SCHEMA, Audit, PointResult
from pytest_maskcheck.results.encoding import texts_in
from pytest_maskcheck.system.plain import quoted

Check = Callable[[Any, str], None]
"""Called with a value and its place, such as ``audits[0].points``; raises :class:`DamagedError` if the value is wrong."""

_DEEPEST = 100
"""Maximum levels of nesting: far more than a report has, and far fewer than the JSON parser accepts."""

_LARGEST = 10**7
"""The largest line number: ranges of lines are expanded, and a damaged one must not use up all memory."""

_MOST = 10**15
"""Numbers in a report must be smaller than this."""

_SPANS = re.compile(r"(?:[0-9]{1,8}(?:-[0-9]{1,8})?(?:,[0-9]{1,8}(?:-[0-9]{1,8})?)*)?")
_SHARD = re.compile(r"(?:([1-9][0-9]{0,8})/([1-9][0-9]{0,8}))?")
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


class DamagedError(ValueError):
    """The data is not a report of this version; the message states where and why."""


def parse(text: str) -> Any:
    """Parse JSON strictly: an object must not have a name twice, and NaN and Infinity are refused.

    Raises:
        DamagedError: the text is not such JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except RecursionError:
        raise DamagedError("it is nested too deeply") from None
    except DamagedError:
        raise
    except ValueError as error:
        raise DamagedError(f"it is no JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DamagedError(f"the name {quoted(twice)} is there twice in one object")
    return found


def _no_number(name: str) -> Any:
    raise DamagedError(f"{name} is no number of JSON")


def check_audit(data: Any, shard: str, place: str) -> None:
    """Check the data of one audit.

    Parameters:
        data: the data of the audit.
        shard: the shard of the report that the audit is in.
        place: the place of the audit in the report, for messages.

    Raises:
        DamagedError: something is wrong with it.
    """
    if not isinstance(data, dict):
        raise DamagedError(f"{place} is {quoted(data)}, and must be an object")
    # type() and not isinstance(), here and below: JSON's true is a bool, and every bool is an int.
    if type(data.get("schema")) is not int or data["schema"] != SCHEMA:
        raise DamagedError(f"{place}.schema is {quoted(data.get('schema'))}, and must be {SCHEMA}")
    _check_of(Audit)({name: value for name, value in data.items() if name != "schema"}, place)
    if data["shard"] != shard:
        raise DamagedError(f"{place}.shard is {quoted(data['shard'])}, and that of the report is {quoted(shard)}")
    points = [point["id"] for point in data["points"]]
    if len(set(points)) < len(points):
        raise DamagedError(f"{place}.points has a point twice")
    if [result["point"] for result in data["results"]] != points:
        raise DamagedError(f"{place}.results must have one entry for each of its points, in their order")
    if missing := [text for text in texts_in(data) if text not in data["codes"]]:
        raise DamagedError(f"{place}.codes has no entry for {quoted(missing[0])}")
    for name in ("reached", "reached_first", "cleanup_lines"):
        for file, lines in (data[name] or {}).items():
            _check_lines(lines, f"{place}.{name}[{quoted(file)}]")
    for reason, of_files in data["left_out_at"].items():
        if reason not in data["left_out"]:
            raise DamagedError(f"{place}.left_out_at[{quoted(reason)}] is none of the reasons of left_out")
        for file, lines in of_files.items():
            _check_lines(lines, f"{place}.left_out_at[{quoted(reason)}][{quoted(file)}]")


def check_shard(data: Any) -> str:
    """Return the shard of a report, such as ``1/3``, or ``""``.

    Raises:
        DamagedError: ``data`` is not a shard.
    """
    form = _SHARD.fullmatch(data) if isinstance(data, str) else None
    if form is None or (form[1] and int(form[1]) > int(form[2])):
        raise DamagedError(f"shard is {quoted(data)}, and must be K/N with K from 1 to N, or empty")
    return form[0]


def check_shortfall(data: Any) -> dict[str, Any] | None:
    """Return the data of the reason why a session came no further, ``None`` if there is none.

    Raises:
        DamagedError: ``data`` is not the object ``session`` of a report.
    """
    _check_names(data, ("tests", "audited", "shortfall"), "session")
    for name in ("tests", "audited"):
        _check_of(int)(data[name], f"session.{name}")
    if (reason := data["shortfall"]) is None:
        return None
    if not isinstance(reason, dict):
        raise DamagedError(f"session.shortfall is {quoted(reason)}, and must be an object or null")
    _check_value(reason, "session.shortfall")
    return reason


def _check_lines(text: str, place: str) -> None:
    if not _SPANS.fullmatch(text) or any(int(number) > _LARGEST for number in re.findall(r"[0-9]+", text)):
        raise DamagedError(f"{place} is {quoted(text)}, and must be numbers of lines such as 3-7,9")


def _check_code(value: Any, place: str) -> None:
    if not isinstance(value, str) or value not in CODES:
        raise DamagedError(f"{place} is {quoted(value)}, and must be a code of a reason, such as {next(iter(CODES))}")


def _check_code_or_none(value: Any, place: str) -> None:
    if value != "" or not isinstance(value, str):
        _check_code(value, place)


def _check_described(value: Any, place: str) -> None:
    """Check the code of a reason, and the values of its sentence."""
    _check_names(value, ("code", "values"), place)
    _check_code(value["code"], f"{place}.code")
    described = SENTENCES[CODES[value["code"]]]
    _check_names(value["values"], tuple(described), f"{place}.values")
    checks: dict[type, Check] = {str: _check_value, float: _check_setting, int: _check_of_plain(int)}
    for name, kind in described.items():
        checks[kind](value["values"][name], f"{place}.values.{name}")


def _check_value(value: Any, place: str) -> None:
    """Check a value that a sentence contains without a format: a text, a number, or another reason with its text."""
    if isinstance(value, dict):
        _check_of(str)(value.get("text"), f"{place}.text")
        _check_described({name: each for name, each in value.items() if name != "text"}, place)
    elif not isinstance(value, str):
        _check_setting(value, place)


def _check_setting(value: Any, place: str) -> None:
    """Check a number that a user chose, such as a seed: it may be negative, or larger than any count."""
    if type(value) not in {int, float} or not -sys.float_info.max <= value <= sys.float_info.max:
        raise DamagedError(f"{place} is {quoted(value)}, and must be a number")


@cache
def _check_of(kind: Any) -> Check:
    """Return the check for values of a type, as it is annotated in ``results``."""
    arguments = get_args(kind)
    if get_origin(kind) is tuple:
        return _check_of_list(_check_of(arguments[0]))
    if get_origin(kind) is dict:
        return _check_of_dict(_check_of(arguments[1]))
    if isinstance(kind, UnionType):
        (other,) = (each for each in arguments if each is not NoneType)
        return lambda value, place: None if value is None else _check_of(other)(value, place)
    if is_dataclass(kind):
        return _check_of_fields(kind)
    if issubclass(kind, StrEnum):
        return _check_of_words(tuple(kind))
    return _check_of_plain(kind)


def _check_of_plain(kind: type) -> Check:
    kinds = {int, float} if kind is float else {kind}

    def check(value: Any, place: str) -> None:
        is_number = kind in {int, float}
        if type(value) not in kinds or (is_number and not 0 <= value < _MOST):  # excludes NaN and Infinity, too
            raise DamagedError(f"{place} is {quoted(value)}, and must be {_WORDS[kind]}")

    return check


def _check_of_words(words: tuple[str, ...]) -> Check:
    def check(value: Any, place: str) -> None:
        if not isinstance(value, str) or value not in words:
            raise DamagedError(f"{place} is {quoted(value)}, and must be one of {', '.join(words)}")

    return check


def _check_of_list(check_item: Check) -> Check:
    def check(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise DamagedError(f"{place} is {quoted(value)}, and must be a list")
        for position, item in enumerate(value):
            check_item(item, f"{place}[{position}]")

    return check


def _check_of_dict(check_value: Check) -> Check:
    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise DamagedError(f"{place} is {quoted(value)}, and must be an object")
        for name, item in value.items():
            check_value(item, f"{place}[{quoted(name)}]")

    return check


def _check_of_fields(kind: Any) -> Check:
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind)]
    beside = _BESIDE.get(kind, {})

    def check(value: Any, place: str) -> None:
        _check_names(value, (*names, *beside), place)
        # Looked up here, not above: a point may contain a point, and the check for points is still being made.
        for name in names:
            _check_of(hints[name])(value[name], f"{place}.{name}")
        for name, check_more in beside.items():
            check_more(value[name], f"{place}.{name}")

    return check


def _check_names(value: Any, names: Collection[str], place: str) -> None:
    """Check that a value is an object that has these fields and no other."""
    if not isinstance(value, dict):
        raise DamagedError(f"{place} is {quoted(value)}, and must be an object")
    if missing := [name for name in names if name not in value]:
        raise DamagedError(f"{place} has no {missing[0]}")
    if more := [name for name in value if name not in names]:
        raise DamagedError(f"{place} has a field {quoted(more[0])}, which no report has")
    if place.count(".") > _DEEPEST:
        raise DamagedError(f"{place[:40]}... is nested too deeply")


_BESIDE: dict[type, dict[str, Check]] = {
    PointResult: {"code": _check_code_or_none, "codes": _check_of_list(_check_code)},
    Audit: {"codes": _check_of_dict(_check_described)},
}
"""Fields of the data that the dataclasses do not have: the codes beside the texts."""
