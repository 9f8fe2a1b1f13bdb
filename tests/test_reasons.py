"""Reasons: codes for programs, sentences for people, and a row of the documentation for each."""

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
    """Codes are unique over all enums, and in kebab-case."""
    members = [code for enum in (NotAudited, Isolation, Strategy, Note) for code in enum]
    assert len({code.value for code in members}) == len(members) == len(CODES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in CODES)


def test_every_code_has_a_row_in_the_documentation_and_no_other_has_one() -> None:
    """The page lists each code with its sentence, in which values stand in angle brackets."""
    rows = dict(ROW.findall(PAGE.read_text(encoding="utf-8").partition("\n## Codes\n")[2]))
    assert rows.keys() == CODES.keys()
    for name, code in CODES.items():
        assert rows[name] == re.sub(r"\{(\w+)[^}]*\}", r"<\1>", code.sentence), name


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_sentence_can_be_made(code: reasons.Code) -> None:
    """All values of a template can be filled in, numbers where it has a format for numbers."""
    values = {name: kind("2") for name, kind in SENTENCES[code].items()}
    assert Reason(code, **values)
    assert "{" not in Reason(code, **values)


def test_a_reason_is_a_text_with_a_code() -> None:
    """It equals its sentence, and numbers have their noun."""
    reason = Reason(Note.ALLOWED, number=1, what="fd:x")
    assert reason == "allowed at 1 point: fd:x"
    assert {reason: 1}["allowed at 1 point: fd:x"] == 1
    assert (reason.code, dict(reason.values)) == ("allowed", {"number": 1, "what": "fd:x"})
    assert Reason(Note.ALLOWED, number=2, what="fd:x") == "allowed at 2 points: fd:x"


def test_a_reason_cannot_be_changed() -> None:
    """Neither its code nor its values."""
    reason = Reason(NotAudited.HITS, hits=3)
    with pytest.raises(AttributeError):
        reason.code = NotAudited.PAUSED
    with pytest.raises(TypeError):
        reason.values["hits"] = 4  # type: ignore[index]


@pytest.mark.parametrize("copied", [lambda reason: pickle.loads(pickle.dumps(reason)), copy.deepcopy])
def test_a_copied_reason_keeps_its_codes(copied) -> None:
    """Also that of the reason within it, as reasons go from process to process."""
    found = copied(as_second(Reason(NotAudited.BUDGET, seconds=1.5)))
    assert found == "second interrupt: beyond the time budget of 1.5 s"
    assert (found.code, found.values["why"].code) == (NotAudited.SECOND, NotAudited.BUDGET)


def test_several_reasons_in_one_text_keep_their_codes() -> None:
    """A note may have several parts, or none."""
    parts = [Reason(Note.HANDLER, handler="f"), Reason(Note.ARRIVED_LATE)]
    text = joined(parts)
    assert text == "went to f, arrived after the test"
    assert codes_of(text) == (Note.HANDLER, Note.ARRIVED_LATE)
    assert codes_of(joined(parts[:1])) == (Note.HANDLER,)
    assert (joined([]), codes_of("")) == ("", ())
    assert codes_of(restored_from(str(text), codes_of(text))) == codes_of(text)


def test_a_text_without_a_code_says_so() -> None:
    """Its code is ``other``."""
    assert reason_of("so").code is Note.OTHER
    assert reason_of("so") == "so"


# Whoever creates a reason creates one with a code

TAKES = {"PointResult": "reason", "Breakdown": "reason", "Refused": "", "leave_out": "", "FirstUseReached": "reason"}
"""What takes a reason, and under which name; ``""``: as the first argument."""


def written_out(node: ast.expr) -> bool:
    """Tell whether an expression writes a sentence out: a literal of several words, an f-string, or one of both."""
    if isinstance(node, ast.BoolOp):
        return any(map(written_out, node.values))
    if isinstance(node, ast.IfExp):
        return written_out(node.body) or written_out(node.orelse)
    if isinstance(node, ast.BinOp):
        return written_out(node.left) or written_out(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and " " in str(node.value))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_reason_is_written_out_where_it_is_given(path: Path) -> None:
    """What is given as a reason or a note, or is yielded by a function of reasons, is made of a code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [each.value for each in node.keywords if each.arg in {"reason", "note", "why"} and name != "Reason"]
        given += node.args[:1] if TAKES.get(name) == "" else []
        given += node.args[:1] if name in {"tell", "Breakdown"} else []
        assert not any(map(written_out, given)), f"{path.name}:{node.lineno}"


def test_no_text_of_a_reason_is_read() -> None:
    """Neither its beginning nor its parts: nothing looks into a variable that holds a reason, a note or a strategy."""
    reading = re.compile(
        r"\b(?:reason|note|why|strategy|isolation|refused)\.(?:startswith|endswith|partition|rpartition|split|find|removeprefix)\("
        r"|\bin (?:reason|note|strategy|refused)\b(?![s.])"
    )
    for path in sorted(PACKAGE.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not reading.search(line), f"{path.name}:{number}: {line}"
