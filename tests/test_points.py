"""From recorded hits to points."""

from __future__ import annotations

import os
from types import CodeType

import pytest

from pytest_maskcheck.interrupts import Hit, Recording, Trigger
from pytest_maskcheck.points import ID, Names, plan

SOURCE = """
def work(n):
    for i in range(n):
        f(g(i))
    return n


def f(x): return x
def g(x): return x
"""


def codes() -> dict[str, CodeType]:
    """Return the code objects of the sample by name."""
    module = compile(SOURCE, os.path.join(os.getcwd(), "pkg", "sample.py"), "exec")
    return {code.co_name: code for code in module.co_consts if isinstance(code, CodeType)}


def hits_on(line: int, *, number: int, places: int = 1, context: tuple[tuple[CodeType, int], ...] = ()) -> list[Hit]:
    """Return ``number`` hits of each of the first ``places`` instructions of a line of the sample."""
    code = codes()["work"]
    offsets = [start for start, _, at in code.co_lines() if at == line and start is not None]
    offsets = [offsets[0] + 2 * index for index in range(places)]
    return [
        Hit(code, offset, "call", count, context, Trigger("t", code, offset, count))
        for count in range(1, number + 1)
        for offset in offsets
    ]


def planned(recorded: list[Hit], **more: object) -> list[str]:
    """Return the ids of the points chosen."""
    keywords: dict[str, object] = {"hits": None, "max_points": 1000, **more}
    chosen = plan(Recording(recorded), Names(os.getcwd()), lambda *_, **__: "", **keywords)  # type: ignore[arg-type]
    assert set(chosen.aims) == {point.id for point in chosen.points}
    assert len(chosen.points) + sum(chosen.left_out.values()) == len(recorded)
    return [point.id for point in chosen.points]


def test_ids_name_file_line_kind_place_and_hit() -> None:
    """Several places of one line are told apart by number, hits by number."""
    names = planned(hits_on(4, number=2, places=2))
    base = os.path.join("pkg", "sample.py") + ":4:call"
    assert names == [f"{base}#1", f"{base}.2#1", f"{base}#2", f"{base}.2#2"]
    assert all(ID.fullmatch(name) for name in names)


@pytest.mark.parametrize(
    "text", ["", "a.py", "a.py:1", "a.py:1:call", "a.py:x:call#1", "a.py:1:step#1", "a.py:1:call#"]
)
def test_what_is_no_id_is_not_taken_for_one(text: str) -> None:
    """The form is checked as a whole."""
    assert not ID.fullmatch(text)


@pytest.mark.parametrize(("hits", "numbers"), [(1, [1]), (2, [1, 5]), (3, [1, 2, 5]), (None, [1, 2, 3, 4, 5])])
def test_hits_keeps_the_first_the_last_and_the_second(hits: int | None, numbers: list[int]) -> None:
    """Of the hits of a place in one calling context."""
    assert [int(name.partition("#")[2]) for name in planned(hits_on(4, number=5), hits=hits)] == numbers


def test_hits_counts_each_calling_context_by_itself() -> None:
    """A place that is reached by two ways is audited on both."""
    code = codes()["f"]
    first, second = hits_on(4, number=1), hits_on(4, number=2, context=((code, 0),))[1:]
    assert len(planned([*first, *second], hits=1)) == 2


def test_a_sample_keeps_every_line_before_second_hits() -> None:
    """With fewer points than hits, no line is lost as long as there is room for it."""
    hits = [*hits_on(3, number=20), *hits_on(4, number=1), *hits_on(5, number=1)]
    lines = {name.split(":")[1] for name in planned(hits, max_points=3)}
    assert lines == {"3", "4", "5"}
    assert len(planned(hits, max_points=10)) == 10
    assert len(planned(hits, max_points=2)) == 2


def test_only_one_point_is_wanted() -> None:
    """Other limits do not apply to it."""
    name = os.path.join("pkg", "sample.py") + ":4:call#4"
    chosen = plan(
        Recording(hits_on(4, number=5)), Names(os.getcwd()), lambda *_, **__: "", hits=1, max_points=1, only=name
    )
    assert [point.id for point in chosen.points] == [name]


def test_reasons_against_lines_are_counted() -> None:
    """What is not audited is in the plan, by reason; lines of other threads too."""
    recording = Recording(hits_on(4, number=3), {(codes()["work"].co_filename, 3)})
    chosen = plan(
        recording,
        Names(os.getcwd()),
        lambda _, line, **__: "because" if line == 4 else "",
        hits=None,
        max_points=9,
    )
    assert chosen.points == []
    assert chosen.left_out == {
        "because": 3,
        "line reached on another thread: only the main thread is interrupted": 1,
    }


def test_files_outside_the_root_are_named_by_where_they_are_imported_from() -> None:
    """``threading.py``, not the path of an installation; what is nowhere keeps its path."""
    names = Names(os.getcwd())
    assert names.short(os.__file__) == "os.py"
    assert names.short(pytest.__file__) == os.path.join("pytest", "__init__.py")
    assert names.short("/nowhere/x.py") == "/nowhere/x.py"


def test_what_runs_around_the_test_is_left_out() -> None:
    """Only hits from the first to the last one in the test's files, or called from them, count."""
    code = codes()["f"]
    outside = hits_on(3, number=2)
    inside = hits_on(4, number=2, context=((code.replace(co_filename="/t.py"), 0),))
    hits = [outside[0], inside[0], inside[1], outside[1]]
    lines = [name.split(":")[1] for name in planned(hits, body=frozenset({"/t.py"}))]
    assert lines == ["4", "4"]
    assert len(planned(hits, body=frozenset({"/elsewhere.py"}))) == 4
