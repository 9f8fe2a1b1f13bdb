"""What one audit works with; assembled by the session, and independent of pytest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_maskcheck.audit.channels import OwnChannels
    from pytest_maskcheck.audit.preparation import Preparation
    from pytest_maskcheck.audit.run_maker import RunMaker
    from pytest_maskcheck.audit.selection import Selection
    from pytest_maskcheck.interrupts import Mechanism
    from pytest_maskcheck.points.ids import Names
    from pytest_maskcheck.points.reach import Reach
    from pytest_maskcheck.resources import Kind, UserKind
    from pytest_maskcheck.runs.fingerprint import Fingerprints
    from pytest_maskcheck.runs.module_state import ModuleState
    from pytest_maskcheck.runs.runner import Runner
    from pytest_maskcheck.settings import Allow


class GuaranteeLedger(Protocol):
    """The guarantees of a test, over all of its runs."""

    @property
    def allowed(self) -> Mapping[Allow, None]:
        """Leftovers that the test accepts."""
        ...

    def settle(self) -> Iterator[str]:
        """Fix the values that uninterrupted runs end with; yield a note for each that cannot be judged."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Instruments:
    """What one audit works with.

    Parameters:
        runner: runs the test once.
        maker: makes runs, interrupted or not.
        preparation: makes the runs before the first interrupt.
        mechanism: how interrupts come.
        scope: the code and the lines that are audited.
        names: short names of files.
        kinds: what leftovers are looked for.
        user_kinds: those of them that other plugins define.
        ledger: the guarantees of the test.
        selection: chooses the points.
        usual: what modules keep after a whole run.
        fingerprints: what modules keep, for the report.
        conditions: what is done in each process between runs.
    """

    runner: Runner
    maker: RunMaker
    preparation: Preparation
    mechanism: Mechanism[Any]
    scope: Reach
    names: Names
    kinds: tuple[Kind, ...]
    user_kinds: tuple[UserKind, ...]
    ledger: GuaranteeLedger
    selection: Selection
    usual: ModuleState
    fingerprints: Fingerprints
    conditions: OwnChannels
