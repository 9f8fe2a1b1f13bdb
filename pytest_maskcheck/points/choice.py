"""Choose the points of a test from the hits that an uninterrupted run recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts import mechanism_of
from pytest_maskcheck.points.hit_filters import few, number_in, reasonable, unpaused, within
from pytest_maskcheck.points.ids import ordinals_of, point_of
from pytest_maskcheck.points.plan import Aim, Plan
from pytest_maskcheck.points.sampling import beyond_sample, layered
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system.unpatched import signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from pytest_maskcheck.interrupts import Hit, Recording
    from pytest_maskcheck.points.hit_filters import ReasonAgainst
    from pytest_maskcheck.points.ids import Names
    from pytest_maskcheck.points.repeats import Repeats
    from pytest_maskcheck.results import Point


def choose_points(
    recording: Recording,
    names: Names,
    reason_against: ReasonAgainst,
    *,
    hits: int | None,
    max_points: int,
    seed: int = 0,
    body: frozenset[str] = frozenset(),
    signums: tuple[int, ...] = (int(signal.SIGINT),),
    only: str = "",
    wanted: Callable[[Hit], bool] = lambda _: True,
    repeats: Repeats | None = None,
) -> Plan:
    """Choose the points of a run.

    Parameters:
        recording: the hits of an uninterrupted run.
        names: the short names of files.
        reason_against: returns why a line is not audited.
        hits: how many hits of a place in one context are audited: 1 the first, 2 first and last, 3 first,
            second and last; ``None`` for all.
        max_points: upper bound; if there are more, the sample of :func:`layered` is taken.
        seed: seed of that sample.
        body: files of the test's own code. Hits before the first one, or after the last one, that is in these files or was called
            from them belong to pytest and plugins.
        signums: the signals; each hit is a point for each of them.
        only: the id of the only point to choose; the other limits do not apply to it.
        wanted: returns whether a hit is considered; hits that are not considered are not counted as left out.
        repeats: what other tests have audited, if points are left out for that, or are to be recognised in other tests.
    """
    chosen = Plan()
    of_test = within(recording.hits, body)
    chosen.leave_out(Reason(NotAudited.HARNESS), number_in(recording.hits) - number_in(of_test))
    kept = reasonable(unpaused([hit for hit in of_test if wanted(hit)], chosen), reason_against, chosen)
    elsewhere = [place for place in recording.other_threads if not reason_against(*place)]
    chosen.leave_out(mechanism_of(signums[0]).victim.elsewhere, len(elsewhere), elsewhere)
    if not only:
        kept = few(kept, hits, chosen)
    # Ordinals are computed over all hits, not only those kept: the id of a point must not depend on what was left out.
    ordinals = ordinals_of(recording.hits)
    aims = [(point_of(hit, signum, names, ordinals), Aim(hit, signum)) for signum in signums for hit in kept]
    if repeats:
        aims = repeats.sort_out(aims, chosen)
    if only:
        aims = [(point, aim) for point, aim in aims if point.id == only]
    elif len(aims) > max_points:
        last = known_among(aims, chosen, repeats)
        sample = layered(aims, max_points, seed, last=last)
        rest = {*range(len(aims))}.difference(sample)
        places = ((aims[at][0].file, aims[at][0].line) for at in rest)
        chosen.leave_out(beyond_sample(max_points, seed), len(rest), places)
        aims = [aims[position] for position in sample]
    for point, aim in aims:
        chosen.add(point, aim)
    return chosen


def known_among(aims: list[tuple[Point, Aim]], plan: Plan, repeats: Repeats | None) -> frozenset[int]:
    """Return the positions of the points that other tests have audited: where there is no room for all, these go last."""
    if repeats is None:
        return frozenset()
    return frozenset(at for at, (point, _) in enumerate(aims) if repeats.is_known(plan.keys.get(point.id, "")))


def ran_elsewhere(code: CodeType, recording: Recording) -> bool:
    """Return whether ``code`` ran on other threads, and never on the main one."""
    if any(hit.code is code for hit in recording.hits):
        return False
    lines = {line for _, _, line in code.co_lines() if line is not None}
    return any((code.co_filename, line) in recording.other_threads for line in lines)
