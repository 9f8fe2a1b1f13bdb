"""After the fixtures of a run are torn down: find which leftovers are parts of others and which were leaked, and undo what is left.

One resource can appear under several kinds: an executor and its threads, a socket and its descriptor. After the last
reading, leftovers that own others are undone first, and what vanishes with an owner is reported as a part of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_maskcheck.resources.raised_limits import room
from pytest_maskcheck.resources.stopped_timers import standing
from pytest_maskcheck.runs.finalizers import finalizers_time
from pytest_maskcheck.runs.undoing import comes_first, undo
from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.other_threads import has_other_threads
from pytest_maskcheck.system.signals import collect_garbage
from pytest_maskcheck.system.stopwatch import own_time, their_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pytest_maskcheck.resources import Kind, Leftover
    from pytest_maskcheck.resources.kind import Identity
    from pytest_maskcheck.runs.readings import BodyEnd
    from pytest_maskcheck.runs.requests import RunResult


def finish(ran: RunResult, ends: list[BodyEnd], *, here: bool) -> Iterator[Exception]:
    """Fill in ``leaked`` and ``dropped``, and undo what is left; yield errors of ours.

    Parameters:
        ran: the result of the run.
        ends: one for each time the body ran.
        here: the process goes on after the run.
    """
    for end in ends:
        if not (end.described or end.last):  # as after most runs
            try:
                end.readings.finish(listening=False)
            except Exception as error:  # noqa: BLE001  (as below)
                yield error
            continue
        with own_time, standing, room():
            try:
                if end.described:
                    _sort(ran, end)
                later = [each for each in end.last if not comes_first(each, end.readings.kind_set.kinds)]
                undo(later, end.readings, ran.strike, here=here, after_fixtures=True)
                if end.described and not here:
                    ran.passable = len(ends) == 1 and _is_passable(end)
            except Exception as error:  # noqa: BLE001  (pytest would report it as the test's failure)
                yield error
            finally:
                end.readings.finish(listening=False)
                # A timer that the run left is recorded by now, and must not go off during the next run.
                standing.disarm(end.timers)


def _is_passable(end: BodyEnd) -> bool:
    kinds = end.readings.kinds()
    # Another thread might do something about it meanwhile. A heap that was thawed to name something makes the next run slower than
    # another process is.
    if has_other_threads() or not FrozenHeap.is_frozen():
        return False
    return all(kinds[each.kind].passable and not each.altered for each in end.last)


def release(end: BodyEnd) -> bool:
    """Release what a further run in this process would wait for; return whether nothing of it is left."""
    kinds = end.readings.kinds()
    blocking = [each for each in end.last if kinds[each.kind].blocks]
    with own_time, standing, room():
        for leftover in blocking:
            kinds[leftover.kind].repair(leftover)
        return not end.readings.lasting(blocking)


def _sort(ran: RunResult, end: BodyEnd) -> None:
    """Sort leftovers into ``leaked`` and ``dropped``, each resource once."""
    described, kept, kinds = end.described, end.kept, end.readings.kind_set.kinds
    parts = _fold(ran, end) if ran.strike.in_turn()[0].fired else {}
    for owner, some in parts.items():
        described[owner] = _with(described[owner], [described[part] for part in described if part in some])
        kept -= some
    # What may go with the frames, such as a lock, harmed nobody. It does not count as released by reference counting.
    gone = {kind.name for kind in kinds if kind.dies_with_frames}
    dropped = [
        leftover for identity, leftover in described.items() if identity not in kept and leftover.kind not in gone
    ]
    dropped = [leftover for leftover in dropped if not any(leftover.identity in some for some in parts.values())]
    implied = _implied(dropped, described.values(), kinds)
    ran.leaked = tuple(leftover for identity, leftover in described.items() if identity in kept - implied)
    ran.dropped = tuple(leftover for leftover in dropped if leftover.identity not in implied)


def _implied(dropped: list[Leftover], others: Iterable[Leftover], kinds: Iterable[Kind]) -> set[Identity]:
    """Return the leftovers that only repeat dropped ones: their descriptors, and the warnings about them."""
    warns = {kind.name: kind.warns for kind in kinds if kind.warns}
    texts = [warns[leftover.kind] for leftover in dropped if leftover.kind in warns]
    descriptors = {descriptor for leftover in dropped for descriptor in leftover.descriptors}
    return {
        other.identity
        for other in others
        if (other.kind == "fd" and isinstance(other.token, tuple) and other.token[0] in descriptors)
        or (other.kind == "implicit" and any(text in str(other.token) for text in texts))
    }


def _fold(ran: RunResult, end: BodyEnd) -> dict[Identity, set[Identity]]:
    """Undo leftovers that may own others, one after the other; return what vanished with each.

    If a fixture ended the owner, what vanished may have belonged to something else, so only known parts count.
    """
    owners = {kind.name: kind for kind in end.readings.kind_set.kinds if kind.owns}
    if len(end.last) < 2 or not any(leftover.kind in owners for leftover in end.last):
        return {}
    parts: dict[Identity, set[Identity]] = {}
    remaining = end.readings.lasting(end.last)
    for leftover in end.last:
        if leftover.kind in owners and leftover.identity not in remaining:  # a fixture ended it
            if some := _known_parts(end.described[leftover.identity], end, owners[leftover.kind].files):
                parts[leftover.identity] = some
        elif leftover.kind in owners and len(remaining) > 1:
            with their_time:
                owners[leftover.kind].repair(leftover)
            with finalizers_time():
                collect_garbage()  # a reference cycle may keep parts alive
            vanished = remaining - _still(end, remaining)
            remaining -= vanished
            parts[leftover.identity] = vanished - {leftover.identity}
            ran.folded = True
    return parts


def _still(end: BodyEnd, remaining: Collection[Identity]) -> set[Identity]:
    """Return which of these leftovers are still there."""
    return end.readings.remaining([leftover for leftover in end.last if leftover.identity in remaining])


def _known_parts(owner: Leftover, end: BodyEnd, files: tuple[str, ...]) -> set[Identity]:
    """Return the descriptors of ``owner``: those that it lists, and those of its file or of a file beside that.

    Parameters:
        owner: a leftover, whose key may be the name of a file.
        end: the end of the body.
        files: suffixes to that name; ``""`` stands for the file itself.
    """
    names = {owner.key + ending for ending in files}
    return {
        leftover.identity
        for leftover in end.last
        if leftover.kind == "fd"
        and isinstance(leftover.token, tuple)
        and (leftover.token[0] in owner.descriptors or end.described[leftover.identity].key in names)
    }


def _with(owner: Leftover, parts: list[Leftover]) -> Leftover:
    """Return a leftover whose detail lists its parts, equal ones as one with their number."""
    counts = Counter(f"{part.kind} {part.key}" for part in parts)
    listed = ", ".join(name + (f" ({number} times)" if number > 1 else "") for name, number in counts.items())
    return replace(owner, detail=f"{owner.detail}; with it {listed}") if listed else owner
