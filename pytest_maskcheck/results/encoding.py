"""Encode results as plain data, which JSON can hold, and decode it again.

The data of a dataclass is an object with its fields. Each text that gives a reason is accompanied by its code: a result has ``code``
(of its reason) and ``codes`` (of its note, which may have several parts); an audit has ``codes``, an object of all its other
reasons and notes, each with its code and the values of its sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from pytest_maskcheck.reasons import CODES, Reason, codes_of, reason_of, restored_from
from pytest_maskcheck.system.unpatched import pickle

if TYPE_CHECKING:
    from pytest_maskcheck.results.audit import Audit
    from pytest_maskcheck.results.values import PointResult

Decoder = Callable[[Any], Any]
T = TypeVar("T")


# To plain data


def encoded(audit: Audit) -> dict[str, Any]:
    """Return an audit as plain data: dicts, lists, strings that can be encoded, numbers."""
    data: dict[str, Any] = _plain(audit)
    for result, row in zip(audit.results, data["results"], strict=True):
        row["code"] = reason_of(result.reason).code.value if result.reason else ""
        row["codes"] = [code.value for code in codes_of(result.note)]
    texts = texts_in({name: getattr(audit, name) for name in (*_TEXTS, "left_out", "notes", "unmeasured")})
    data["codes"] = {legible(text): _described(reason_of(text)) for text in texts}
    return data


_TEXTS = ("isolation", "strategy", "refused", "no_first_use", "breakdown")


def texts_in(data: Mapping[str, Any]) -> Iterator[str]:
    """Return the reasons and notes of an audit, from its fields or its data, except those of its results."""
    singles = (data[name] for name in _TEXTS)
    return filter(None, (*singles, *data["left_out"], *data["notes"], *data["unmeasured"].values()))


def described(text: str) -> dict[str, Any]:
    """Return a reason as plain data, with its text; :func:`restored` returns it."""
    return {"text": legible(text), **_described(reason_of(text))}


def _described(reason: Reason) -> dict[str, Any]:
    return {"code": reason.code.value, "values": {name: _value(value) for name, value in reason.values.items()}}


def _value(value: Any) -> Any:
    """Return a value of a sentence as plain data; a value that is itself a reason includes its text."""
    return described(value) if isinstance(value, Reason) else _plain(value)


def _plain(value: Any) -> Any:
    """Return ``value`` with tuples as lists and enum members as strings, as JSON would give it back."""
    if isinstance(value, str):
        return legible(str(value))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(item) for name, item in value.items()}
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value


def legible(text: str) -> str:
    """Return a text that can be encoded; what cannot, such as file names that are not UTF-8, is written with backslashes."""
    text = str(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _is_name(text) else "backslashreplace").decode(
            "utf-8", "backslashreplace"
        )
    return text


def is_legible(audit: Audit) -> bool:
    """Return whether all texts of an audit can be encoded. Looking at each of them would take longer than most of its runs."""
    return not _SURROGATE.search(pickle.dumps(audit))  # pickle writes surrogates as UTF-8 would, if it had any


_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")
"""May also be part of a number, in which case the audit is encoded for nothing."""


def _is_name(text: str) -> bool:
    """Return whether the text may be what ``os.fsdecode`` returned for some bytes."""
    return all(not 0xD800 <= ord(character) <= 0xDFFF or 0xDC80 <= ord(character) <= 0xDCFF for character in text)


# From plain data


def decoded(kind: type[Audit], data: dict[str, Any]) -> Audit:
    """Return the audit that :func:`encoded` made the data from; ``kind`` is its class, whose module imports this one."""
    made: Any = kind
    audit: Audit = _decoder(made)(data)
    rows = zip(audit.results, data["results"], strict=True)
    known = {text: _restored(text, row) for text, row in data["codes"].items()}

    def coded(text: str) -> str:
        return known.get(text, text)

    singles: dict[str, Any] = {name: coded(getattr(audit, name)) for name in _TEXTS}
    return replace(
        audit,
        **singles,
        left_out={coded(text): number for text, number in audit.left_out.items()},
        left_out_at={coded(text): lines for text, lines in audit.left_out_at.items()},
        notes=tuple(map(coded, audit.notes)),
        unmeasured={name: coded(text) for name, text in audit.unmeasured.items()},
        results=tuple(_with_codes(result, row) for result, row in rows),
    )


def _with_codes(result: PointResult, row: dict[str, Any]) -> PointResult:
    if not (row["code"] or row["codes"]):
        return result
    reason = restored_from(result.reason, [CODES[row["code"]]] if row["code"] else [])
    return replace(result, reason=reason, note=restored_from(result.note, map(CODES.__getitem__, row["codes"])))


def restored(data: dict[str, Any]) -> Reason:
    """Return the reason that :func:`described` made the data from."""
    return _restored(data["text"], data)


def _restored(text: str, data: dict[str, Any]) -> Reason:
    values = {
        name: _restored(value["text"], value) if isinstance(value, dict) else value
        for name, value in data["values"].items()
    }
    return Reason.restored(text, CODES[data["code"]], values)


@cache
def _decoder(kind: Any) -> Decoder:
    """Return a function that makes a value of an annotated type from plain data."""
    arguments = get_args(kind)
    if get_origin(kind) is tuple:
        decode = _decoder(arguments[0])
        return lambda data: tuple(map(decode, data))
    if get_origin(kind) is dict:
        value = _decoder(arguments[1])
        return dict if value is _same else lambda data: {name: value(each) for name, each in data.items()}
    if isinstance(kind, UnionType):
        (other,) = (each for each in arguments if each is not NoneType)
        return lambda data: None if data is None else _decoder(other)(data)  # looked up late: a point may have a point
    if is_dataclass(kind):
        return _decoder_of_fields(kind)
    return kind if issubclass(kind, StrEnum) else _same


def _decoder_of_fields(kind: Any) -> Decoder:
    hints = get_type_hints(kind)
    rows = tuple((each.name, _decoder(hints[each.name])) for each in fields(kind))
    return lambda data: kind(**{name: decode(data[name]) for name, decode in rows})


def _same(data: T) -> T:
    return data
