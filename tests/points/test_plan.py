"""Tests of how points are chosen from recorded hits."""

from __future__ import annotations

import os
from itertools import pairwise
from types import CodeType

import pytest

from pytest_maskcheck.interrupts import Hit, Recording, Trigger
from pytest_maskcheck.interrupts.places import INNERMOST
from pytest_maskcheck.points.choice import choose_points
from pytest_maskcheck.points.ids import ID, Names
from pytest_maskcheck.points.sampling import GrowingSample
from pytest_maskcheck.reasons import NotAudited, reason_of

SOURCE = """
def work(n):
    for i in range(n):
        f(g(i))
    return n


def f(x): return x
def g(x): return x
"""


def codes() -> dict[str, CodeType]:
    """Return the code objects of the sample, by name."""
    module = compile(SOURCE, os.path.join(os.getcwd(), "pkg", "sample.py"), "exec")
    return {code.co_name: code for code in module.co_consts if isinstance(code, CodeType)}


def hits_on(
    line: int,
    *,
    number: int,
    places: int = 1,
    context: tuple[tuple[CodeType, int], ...] = (),
    state: tuple[object, ...] = (),
) -> list[Hit]:
    """Return ``number`` hits of each of the first ``places`` instructions of a line of the sample."""
    code = codes()["work"]
    offsets = [start for start, _, at in code.co_lines() if at == line and start is not None]
    offsets = [offsets[0] + 2 * index for index in range(places)]
    return [
        Hit(code, offset, "call", count, context, Trigger("t", code, offset, count), state)
        for count in range(1, number + 1)
        for offset in offsets
    ]


def planned(recorded: list[Hit], **more: object) -> list[str]:
    """Return the ids of the chosen points."""
    keywords: dict[str, object] = {"hits": None, "max_points": 1000, **more}
    chosen = choose_points(Recording(recorded), Names(os.getcwd()), lambda *_, **__: "", **keywords)  # type: ignore[arg-type]
    assert set(chosen.aims) == {point.id for point in chosen.points}
    assert len(chosen.points) + sum(chosen.left_out.values()) == len(recorded)
    return [point.id for point in chosen.points]


def test_ids_name_file_line_kind_place_and_hit() -> None:
    """An id contains file, line and kind; places on one line are distinguished by number, and so are their hits."""
    names = planned(hits_on(4, number=2, places=2))
    base = os.path.join("pkg", "sample.py") + ":4:call"
    assert names == [f"{base}#1", f"{base}.2#1", f"{base}#2", f"{base}.2#2"]
    assert all(ID.fullmatch(name) for name in names)


@pytest.mark.parametrize(
    "text", ["", "a.py", "a.py:1", "a.py:1:call", "a.py:x:call#1", "a.py:1:step#1", "a.py:1:call#"]
)
def test_what_is_no_id_is_not_taken_for_one(text: str) -> None:
    """A text that does not have the complete form of a point id does not match ``ID``."""
    assert not ID.fullmatch(text)


@pytest.mark.parametrize(("hits", "numbers"), [(1, [1]), (2, [1, 5]), (3, [1, 2, 5]), (None, [1, 2, 3, 4, 5])])
def test_hits_keeps_the_first_the_last_and_the_second(hits: int | None, numbers: list[int]) -> None:
    """``hits`` selects the first, last and second hits of a place in one calling context."""
    assert [int(name.partition("#")[2]) for name in planned(hits_on(4, number=5), hits=hits)] == numbers


def test_hits_counts_each_calling_context_by_itself() -> None:
    """With ``hits=1``, a place that is reached in two calling contexts has a point in each of them."""
    code = codes()["f"]
    first, second = hits_on(4, number=1), hits_on(4, number=2, context=((code, 0),))[1:]
    assert len(planned([*first, *second], hits=1)) == 2


def in_contexts(*contexts: tuple[tuple[CodeType, int], ...]) -> list[Hit]:
    """Return one hit of a place in each of several calling contexts."""
    return [hits_on(4, number=number, context=context)[-1] for number, context in enumerate(contexts, 1)]


def test_hits_looks_at_the_innermost_callers_only() -> None:
    """Calling contexts with the same innermost callers count as one, however many paths through a deep tree of calls there are."""
    code = codes()["f"]
    inner = tuple((code, line) for line in range(INNERMOST))
    alike = in_contexts(*((*inner, (code, 100 + path)) for path in range(9)))
    assert len(planned(alike, hits=2)) == 2
    different = in_contexts(*((*inner[:-1], (code, 100 + path)) for path in range(9)))
    assert len(planned(different, hits=2)) == 9


def test_hits_tells_handlers_and_masks_apart() -> None:
    """Hits of a place under different handlers or masks are counted separately for ``hits``."""
    usual, other = hits_on(4, number=6), hits_on(4, number=6, state=((2, "deferred"),))
    mixed = [*usual[:2], *other[2:4], *usual[4:]]
    assert [int(name.partition("#")[2]) for name in planned(mixed, hits=1)] == [1, 3]
    assert [int(name.partition("#")[2]) for name in planned(usual, hits=1)] == [1]


def test_a_sample_takes_lines_then_places_then_contexts_then_further_hits() -> None:
    """A sample fills each layer before the next one: lines, places, contexts, further hits."""
    code = codes()["f"]
    hits = [
        *hits_on(4, number=10, places=2),
        *(hits_on(4, number=number, context=((code, number),))[-1] for number in (11, 12, 13)),
        *hits_on(3, number=4),
    ]

    def counted(max_points: int) -> tuple[int, int, int]:
        names = planned(hits, max_points=max_points)
        places = {name.partition("#")[0] for name in names}
        contexts = {int(name.partition("#")[2]) for name in names if ":4:call#" in name and name[-2:] > "10"}
        return len({name.split(":")[1] for name in names}), len(places), len(contexts & {11, 12, 13})

    assert counted(1) == (1, 1, 0)
    assert counted(2) == (2, 2, 0)
    assert counted(3) == (2, 3, 0)
    assert counted(4) == (2, 3, 1)
    assert counted(6) == (2, 3, 3)
    assert len(planned(hits, max_points=7)) == 7


def test_the_layer_that_does_not_fit_is_spread_evenly() -> None:
    """If ten of a hundred further hits fit into a sample, they are spread evenly over the hundred."""
    numbers = [int(name.partition("#")[2]) for name in planned(hits_on(4, number=101), max_points=11)]
    assert numbers[0] == 1
    assert {later - earlier for earlier, later in pairwise(numbers[1:])} == {10}


def test_each_line_comes_before_the_second_signal() -> None:
    """With two signals, a sample covers every line with one signal before it takes a line with the second."""
    hits = [*hits_on(3, number=2), *hits_on(4, number=2), *hits_on(5, number=2)]
    chosen = choose_points(
        Recording(hits), Names(os.getcwd()), lambda *_, **__: "", hits=None, max_points=4, signums=(2, 15)
    )
    assert {point.line for point in chosen.points} == {3, 4, 5}
    assert {point.signal for point in chosen.points} == {"SIGINT", "SIGTERM"}


def test_a_seed_takes_the_same_sample_and_another_one_another() -> None:
    """Equal seeds give equal samples; consecutive seeds give different ones that together take all points, and each covers all lines."""
    hits = [*hits_on(3, number=30), *hits_on(4, number=30)]
    samples = [planned(hits, max_points=12, seed=seed) for seed in (0, 1, 2, 3, 4, 5, 6, -1, 10**9)]
    assert samples == [planned(hits, max_points=12, seed=seed) for seed in (0, 1, 2, 3, 4, 5, 6, -1, 10**9)]
    assert all(len(set(sample)) == 12 for sample in samples)
    assert all({name.split(":")[1] for name in sample} == {"3", "4"} for sample in samples)
    assert samples[0] != samples[1] != samples[2]
    assert len(set().union(*samples)) == 60


def test_the_reason_tells_size_and_seed() -> None:
    """The reason for points left out of a sample states size and seed, so that the same sample can be taken again."""
    chosen = choose_points(
        Recording(hits_on(4, number=9)), Names(os.getcwd()), lambda *_, **__: "", hits=None, max_points=4, seed=3
    )
    assert chosen.left_out == {"beyond max_points=4: an even sample was taken (seed=3)": 5}


@pytest.mark.parametrize("seed", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("number", [3, 10, 11, 50, 1000])
def test_a_sample_on_the_way_is_even(number: int, seed: int) -> None:
    """A ``GrowingSample`` has the right size, keeps the order, repeats no item, and is spread over all items."""
    sample: GrowingSample[int] = GrowingSample(10, seed)
    for item in range(number):
        sample.add(item)
    kept = sample.items()
    assert kept == sorted(set(kept))
    assert len(kept) == min(number, 10)
    if number > 50:
        assert max(later - earlier for earlier, later in pairwise(kept)) <= 2 * number / 10


def test_samples_on_the_way_differ_by_seed() -> None:
    """A ``GrowingSample`` is the same for equal seeds, and differs between seeds."""

    def sampled(seed: int) -> list[int]:
        sample: GrowingSample[int] = GrowingSample(10, seed)
        for item in range(100):
            sample.add(item)
        return sample.items()

    assert sampled(5) == sampled(5)
    assert len({tuple(sampled(seed)) for seed in range(4)}) == 4


def test_a_sample_keeps_every_line_before_second_hits() -> None:
    """A sample smaller than the number of hits still has a point on every line, if it has room for that many."""
    hits = [*hits_on(3, number=20), *hits_on(4, number=1), *hits_on(5, number=1)]
    lines = {name.split(":")[1] for name in planned(hits, max_points=3)}
    assert lines == {"3", "4", "5"}
    assert len(planned(hits, max_points=10)) == 10
    assert len(planned(hits, max_points=2)) == 2


def test_only_one_point_is_wanted() -> None:
    """With ``only``, the plan contains that point alone, even if ``hits`` would leave it out."""
    name = os.path.join("pkg", "sample.py") + ":4:call#4"
    chosen = choose_points(
        Recording(hits_on(4, number=5)), Names(os.getcwd()), lambda *_, **__: "", hits=1, max_points=1, only=name
    )
    assert [point.id for point in chosen.points] == [name]


def test_reasons_against_lines_are_counted() -> None:
    """The plan counts hits that are not audited, by reason, and also the lines that other threads reached."""
    recording = Recording(hits_on(4, number=3), {(codes()["work"].co_filename, 3)})
    chosen = choose_points(
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
    by_line = {reason: {line for _, line in places} for reason, places in chosen.places_by(str).items()}
    assert by_line == dict(zip(chosen.left_out, ({4}, {3}), strict=True))


def test_lines_of_samples_and_further_hits_are_known() -> None:
    """The plan has the lines of points beyond a sample, and of hits that others stand for; not those of lines that have all of theirs."""
    hits = [*hits_on(3, number=5), *hits_on(4, number=1), *hits_on(5, number=1)]
    chosen = choose_points(Recording(hits), Names(os.getcwd()), lambda *_, **__: "", hits=2, max_points=3)
    lines = {reason_of(reason).code: {line for _, line in at} for reason, at in chosen.places_by(str).items()}
    assert lines == {NotAudited.HITS: {3}, NotAudited.MAX_POINTS: {3}}
    assert not choose_points(
        Recording(hits), Names(os.getcwd()), lambda *_, **__: "", hits=None, max_points=9
    ).left_out_at


def test_files_outside_the_root_are_named_by_where_they_are_imported_from() -> None:
    """Files outside the root are named relative to their ``sys.path`` entry, such as ``os.py``; others keep their full path."""
    names = Names(os.getcwd())
    assert names.short(os.__file__) == "os.py"
    assert names.short(pytest.__file__) == os.path.join("pytest", "__init__.py")
    assert names.short("/nowhere/x.py") == "/nowhere/x.py"


def test_what_runs_around_the_test_is_left_out() -> None:
    """Hits before the first one, or after the last one, that is in the test's files or was called from them are left out."""
    code = codes()["f"]
    outside = hits_on(3, number=2)
    inside = hits_on(4, number=2, context=((code.replace(co_filename="/t.py"), 0),))
    hits = [outside[0], inside[0], inside[1], outside[1]]
    lines = [name.split(":")[1] for name in planned(hits, body=frozenset({"/t.py"}))]
    assert lines == ["4", "4"]
    assert len(planned(hits, body=frozenset({"/elsewhere.py"}))) == 4
