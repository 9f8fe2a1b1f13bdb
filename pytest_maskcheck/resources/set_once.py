"""Process state that a test changes only when it runs for the first time, such as a umask: later runs set what is set already.

The ordinary run comes before the audit, whose runs find that state as it was before them. So it is read around the body of the ordinary
run, too, and what differs is told as left behind. It is no finding: the uninterrupted test leaves it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from pytest_maskcheck.resources.audit_events import Use
from pytest_maskcheck.resources.process_state import ProcessState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from pytest_maskcheck.resources.kind import Kind
    from pytest_maskcheck.resources.surroundings import Surroundings


class SetOnce:
    """Reads process state around the body of a ``with`` statement.

    Parameters:
        kinds: of these, those of process state are asked.
        surroundings: names of directories.
        places: returns the directories when the body has ended.

    Attributes:
        left: ``kind:key`` of what the body changed, each time that it came to its end.
    """

    def __init__(
        self, kinds: Iterable[Kind], surroundings: Surroundings, places: Callable[[], dict[str, str]] = dict
    ) -> None:
        self._kinds = [kind for kind in kinds if isinstance(kind, ProcessState)]
        self._surroundings = surroundings
        self._places = places
        self._befores: list[tuple[ProcessState[Any], object]] = []
        self.left: frozenset[str] = frozenset()
        for kind in self._kinds:
            kind.prepare()
            if isinstance(use := getattr(kind, "use", None), Use):
                use.seen = True  # nobody has watched the test yet

    def __enter__(self) -> Self:
        for kind in self._kinds:
            with suppress(Exception):  # a kind that cannot read tells nothing; the audit will say so
                self._befores.append((kind, kind.snapshot()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            with suppress(Exception):
                self._surroundings.places = self._places()
            self.left |= frozenset(found for state, before in self._befores for found in _told(state, before))
        self._befores.clear()


def _told(kind: ProcessState[Any], before: object) -> list[str]:
    with suppress(Exception):
        return [f"{leftover.kind}:{leftover.key}" for leftover in kind.compare(before)]
    return []
