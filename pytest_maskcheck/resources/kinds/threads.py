"""Threads that are still running."""

from __future__ import annotations

import _thread
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.system.other_threads import other_frames
from pytest_maskcheck.system.unpatched import threading
from pytest_maskcheck.system.untrusted import read, text_of

if TYPE_CHECKING:
    from types import FrameType

# Threads that were started and do not run yet. ``_count`` counts a thread only once it runs, which may be after the thread that
# started it was interrupted.
_limbo: dict[Any, Any] = getattr(threading, "_limbo", {})


@dataclass(frozen=True, slots=True)
class _Running:
    """How many threads run, the marks of those that ``threading`` lists, the identifiers of the others."""

    count: int = 0
    known: frozenset[int] = frozenset()
    unknown: frozenset[int] = frozenset()


_ALONE = _Running()


def _pulse() -> tuple[int, int]:
    return _thread._count(), len(_limbo)  # noqa: SLF001


class Threads(Kind):
    """Python threads other than the main one, whoever started them. The token is the object's id, or contains the identifier."""

    name = "thread"
    repeatable = True
    settles = True
    ends = True
    pulse = staticmethod(_pulse)

    def snapshot(self) -> object:
        count = _thread._count()  # noqa: SLF001
        if not count and not _limbo:  # the usual case, without listing anything
            return _ALONE
        threads, unknown = _running()
        return _Running(count, frozenset(map(_mark, threads)), unknown)

    def compare(self, before: object) -> list[Leftover]:
        count = _thread._count()  # noqa: SLF001
        if not count and not _limbo:
            return []
        earlier = cast("_Running", before)
        threads, unknown = _running()
        found = [self._known(thread) for thread in threads if _mark(thread) not in earlier.known]
        # An identifier may have been reused since, so only the number of unknown threads shows that there is a new one.
        more = len(unknown) - len(earlier.unknown)
        if more > 0:
            found += [self._unknown(ident) for ident in sorted(unknown - earlier.unknown)[:more]]
        if not found and count > earlier.count:  # it runs no Python code
            found.append(self._unknown(0))
        return found

    def _known(self, thread: threading.Thread) -> Leftover:
        sort = "daemon thread" if read(thread, "_daemonic") else "thread"
        state = "is still running" if _ident(thread) is not None else "has not begun to run"
        name = text_of(read(thread, "_name"))
        return Leftover(self.name, self.surroundings.text(name), f"{sort} {name!r} {state}", id(thread))

    def _unknown(self, ident: int) -> Leftover:
        frame = other_frames().get(ident)
        while frame is not None and frame.f_back is not None:
            frame = frame.f_back
        target = frame.f_code.co_qualname if frame is not None else "?"
        detail = f"a thread without a name, started in {target}, is still running"
        return Leftover(self.name, f"start_new_thread({target})", detail, ("ident", ident))

    def repair(self, leftover: Leftover) -> bool:
        """Return whether the thread has ended by now. It cannot be ended from outside."""
        threads, unknown = _running()
        return leftover.token not in {*map(id, threads), *(("ident", ident) for ident in unknown)}

    @contextmanager
    def canary(self) -> Iterator[None]:
        end = threading.Event()
        thread = threading.Thread(target=end.wait, name="maskcheck canary", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


def _mark(thread: threading.Thread) -> int:
    """Return a number that, unlike an identifier, is not soon reused for another thread."""
    native: int | None = read(thread, "_native_id")
    return native or -id(thread)


def _ident(thread: threading.Thread) -> int | None:
    return cast("int | None", read(thread, "_ident"))


def _running() -> tuple[list[threading.Thread], frozenset[int]]:
    """Return the running threads that ``threading`` lists and the identifiers of the others, without the main thread."""
    frames = other_frames()
    idents: set[int | None] = {*frames, threading.get_ident()}  # ``enumerate`` lists some that have ended, too
    main = threading.main_thread()
    idents.discard(_ident(main))
    threads = [thread for thread in threading.enumerate() if thread is not main]
    beginning = sum(_ident(thread) is None for thread in threads)
    unknown = idents.difference(map(_ident, threads))
    # A thread that has not recorded its identifier yet is among both; it counts once, as a known one.
    unknown.difference_update(
        [ident for ident in sorted(unknown, key=str) if _begins(frames.get(cast("int", ident)))][:beginning]
    )
    alive = [thread for thread in threads if _ident(thread) is None or _ident(thread) in idents]
    return alive, cast("frozenset[int]", frozenset(unknown))


def _begins(frame: FrameType | None) -> bool:
    """Return whether ``threading`` started a thread, which may not have recorded its identifier yet."""
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame is not None and frame.f_code is threading.Thread._bootstrap.__code__  # type: ignore[attr-defined]  # noqa: SLF001
