"""Find process state, such as the umask, that only the first run of a test changes: later runs set what is already set.

The ordinary run comes before the audit, so the audit's runs find such state as the ordinary run left it. That is why process state
is also read before and after the body of the ordinary run. Differences are reported as left behind. They are no findings, as the
uninterrupted test leaves them.
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
    """Reads process state before and after the body of a ``with`` statement.

    Parameters:
        kinds: the kinds, of which those that read process state are used.
        surroundings: names of directories.
        places: returns the directories; called when the body has ended.

    Attributes:
        left: ``kind:key`` of what the body changed, added up over all times that it ended without an exception.
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
                use.seen = True  # no run was watched yet, so whatever the kind looks for may be there

    def __enter__(self) -> Self:
        for kind in self._kinds:
            with suppress(Exception):  # a kind that cannot read finds nothing here; the audit itself reports that
                self._befores.append((kind, kind.snapshot()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            with suppress(Exception):
                # Keys contain names of directories, and those of the test are not known earlier.
                self._surroundings.places = self._places()
            self.left |= frozenset(found for state, before in self._befores for found in _changes(state, before))
        self._befores.clear()


def _changes(kind: ProcessState[Any], before: object) -> list[str]:
    with suppress(Exception):
        return [f"{leftover.kind}:{leftover.key}" for leftover in kind.compare(before)]
    return []
