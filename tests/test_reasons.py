"""Reasons: codes for programs, sentences for people, and a row in the documentation for each."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from pathlib import Path

import pytest

import pytest_maskcheck
from pytest_maskcheck import reasons
from pytest_maskcheck.reasons import (
    CODES,
    SENTENCES,
    Isolation,
    NotAudited,
    Note,
    Reason,
    Strategy,
    as_second,
    codes_of,
    joined,
    reason_of,
    restored_from,
)

PACKAGE = Path(pytest_maskcheck.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "reports.md"
ROW = re.compile(r"^\| `([a-z-]+)` \| (.+) \|$", re.MULTILINE)


def test_no_two_reasons_have_one_code() -> None:
    """Codes are unique across all enums and are written in kebab-case."""
    members = [code for enum in (NotAudited, Isolation, Strategy, Note) for code in enum]
    assert len({code.value for code in members}) == len(members) == len(CODES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in CODES)


def test_every_code_has_a_row_in_the_documentation_and_no_other_has_one() -> None:
    """The page lists each code, and no other, with its sentence and the values in angle brackets."""
    rows = dict(ROW.findall(PAGE.read_text(encoding="utf-8").partition("\n## Codes\n")[2]))
    assert rows.keys() == CODES.keys()
    for name, code in CODES.items():
        assert rows[name] == re.sub(r"\{(\w+)[^}]*\}", r"<\1>", code.sentence), name


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_sentence_can_be_made(code: reasons.Code) -> None:
    """A sentence can be made for every code, with numbers for the values that its template formats as numbers."""
    values = {name: kind("2") for name, kind in SENTENCES[code].items()}
    assert Reason(code, **values)
    assert "{" not in Reason(code, **values)


def test_a_reason_is_a_text_with_a_code() -> None:
    """A reason equals its sentence, in which nouns agree with their numbers, and has a code and values."""
    reason = Reason(Note.ALLOWED, number=1, what="fd:x")
    assert reason == "allowed at 1 point: fd:x"
    assert {reason: 1}["allowed at 1 point: fd:x"] == 1
    assert (reason.code, dict(reason.values)) == ("allowed", {"number": 1, "what": "fd:x"})
    assert Reason(Note.ALLOWED, number=2, what="fd:x") == "allowed at 2 points: fd:x"


def test_a_reason_cannot_be_changed() -> None:
    """Neither the code nor the values of a reason can be changed."""
    reason = Reason(NotAudited.HITS, hits=3)
    with pytest.raises(AttributeError):
        reason.code = NotAudited.PAUSED
    with pytest.raises(TypeError):
        reason.values["hits"] = 4  # type: ignore[index]


@pytest.mark.parametrize("copied", [lambda reason: pickle.loads(pickle.dumps(reason)), copy.deepcopy])
def test_a_copied_reason_keeps_its_codes(copied) -> None:
    """A copied or pickled reason keeps its code and that of the reason within it, as reasons are passed between processes."""
    found = copied(as_second(Reason(NotAudited.BUDGET, seconds=1.5)))
    assert found == "second interrupt: beyond the time budget of 1.5 s"
    assert (found.code, found.values["why"].code) == (NotAudited.SECOND, NotAudited.BUDGET)


def test_several_reasons_in_one_text_keep_their_codes() -> None:
    """A text joined from several reasons, from one or from none keeps all their codes."""
    parts = [Reason(Note.HANDLER, handler="f"), Reason(Note.ARRIVED_LATE)]
    text = joined(parts)
    assert text == "went to f, arrived after the test"
    assert codes_of(text) == (Note.HANDLER, Note.ARRIVED_LATE)
    assert codes_of(joined(parts[:1])) == (Note.HANDLER,)
    assert (joined([]), codes_of("")) == ("", ())
    assert codes_of(restored_from(str(text), codes_of(text))) == codes_of(text)


def test_a_text_without_a_code_says_so() -> None:
    """A text without a code becomes a reason with the code ``other``."""
    assert reason_of("so").code is Note.OTHER
    assert reason_of("so") == "so"


# Every reason is created with a code

TAKES = {"PointResult": "reason", "Breakdown": "reason", "Refused": "", "leave_out": "", "FirstUseReached": "reason"}
"""Function or class -> the name of its parameter for a reason; ``""`` for the first argument."""


def written_out(node: ast.expr) -> bool:
    """Return whether an expression contains a written-out sentence: a literal of several words, or an f-string."""
    if isinstance(node, ast.BoolOp):
        return any(map(written_out, node.values))
    if isinstance(node, ast.IfExp):
        return written_out(node.body) or written_out(node.orelse)
    if isinstance(node, ast.BinOp):
        return written_out(node.left) or written_out(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and " " in str(node.value))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_reason_is_written_out_where_it_is_given(path: Path) -> None:
    """No argument for a reason or a note is a sentence written out in the code: each is made from a code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [each.value for each in node.keywords if each.arg in {"reason", "note", "why"} and name != "Reason"]
        given += node.args[:1] if TAKES.get(name) == "" else []
        given += node.args[:1] if name in {"tell", "Breakdown"} else []
        assert not any(map(written_out, given)), f"{path.name}:{node.lineno}"


def test_no_text_of_a_reason_is_read() -> None:
    """No code looks for a text in a variable that holds a reason, a note or a strategy, be it at its beginning or inside."""
    reading = re.compile(
        r"\b(?:reason|note|why|strategy|isolation|refused)\.(?:startswith|endswith|partition|rpartition|split|find|removeprefix)\("
        r"|\bin (?:reason|note|strategy|refused)\b(?![s.])"
    )
    for path in sorted(PACKAGE.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not reading.search(line), f"{path.name}:{number}: {line}"
