"""What one audit works with; the session assembles it, and it does not depend on pytest."""

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
        """Fix the values that uninterrupted runs end with; yield a note for each value that cannot be judged."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Instruments:
    """What one audit works with.

    Parameters:
        runner: runs the test once.
        maker: makes runs, interrupted or not.
        preparation: makes the runs before the first interrupt.
        mechanism: how interrupts are delivered.
        scope: the code and the lines that are audited.
        names: short names of files.
        kinds: the kinds of leftovers that are looked for.
        user_kinds: the kinds that other plugins define.
        ledger: the guarantees of the test.
        selection: chooses the points.
        usual: the state of modules after a whole run.
        fingerprints: describes the state of modules, for the report.
        conditions: prepares each process for runs, and checks it between them.
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
