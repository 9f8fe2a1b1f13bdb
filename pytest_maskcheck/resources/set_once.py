"""Process state that a test changes only when it runs for the first time, such as the umask: later runs set what is set already.

The ordinary run comes before the audit, whose runs find that state as the ordinary run left it. So it is read around the body of
the ordinary run, too, and differences are reported as left behind. They are no findings: the uninterrupted test leaves them.
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
        kinds: those of them that read process state are used.
        surroundings: names of directories.
        places: returns the directories; called when the body has ended.

    Attributes:
        left: ``kind:key`` of what the body changed, whenever it came to its end.
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
                use.seen = True  # nobody has watched the test yet, so anything may be used

    def __enter__(self) -> Self:
        for kind in self._kinds:
            with suppress(Exception):  # a kind that cannot read finds nothing here; the audit itself reports that
                self._befores.append((kind, kind.snapshot()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            with suppress(Exception):
                # Keys name directories, and those of the body exist only now.
                self._surroundings.places = self._places()
            self.left |= frozenset(found for state, before in self._befores for found in _changes(state, before))
        self._befores.clear()


def _changes(kind: ProcessState[Any], before: object) -> list[str]:
    with suppress(Exception):
        return [f"{leftover.kind}:{leftover.key}" for leftover in kind.compare(before)]
    return []
