"""What a runner runs, and what must hold after each run: protocols that the session implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pytest_maskcheck.results import Finding


class Target(Protocol):
    """A test that can be run again and again."""

    @property
    def still(self) -> bool:
        """Whether only the harness has run since the body of the run before; read during a run."""
        ...

    def __call__(self, around: Callable[[Callable[[], object]], None]) -> str:
        """Run once with everything fresh, calling ``around(body)`` in place of the body.

        Returns:
            What went wrong outside the body (a fixture that failed), or ``""``.
        """
        ...

    def places(self) -> dict[str, str]:
        """Return directories that differ from run to run, by name; called during a run."""
        ...

    def note_left(self, kinds: Collection[str]) -> None:
        """Take the kinds of what the body has left behind; called at the end of each body."""
        ...

    def forget(self) -> None:
        """Drop what the harness recorded of the run and what keeps frames alive, such as tracebacks in captured logs."""
        ...


class Guarantees(Protocol):
    """What must hold after a run; see :class:`pytest_maskcheck.session.ledger.Ledger`."""

    @property
    def asked(self) -> bool:
        """Whether the run that ended has anything to check."""
        ...

    def begin(self, struck: Callable[[], bool]) -> None:
        """Take a function that returns whether the interrupt of the run was sent."""
        ...

    def check(self, *, returned: bool) -> tuple[Finding, ...]:
        """Return what does not hold; ``returned`` means that nothing came out of the body."""
        ...

    def forget(self) -> None:
        """Drop what was registered for the run."""
        ...
