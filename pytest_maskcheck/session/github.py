"""What a session writes for GitHub Actions, in the process that reports: workers of xdist have no summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.reports import github
from pytest_maskcheck.system.breakdown import breakdown_of
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Audit


@dataclass(slots=True, repr=False)
class GitHub:
    """The annotations and the job summary of a session.

    Attributes:
        path: the file of the job summary, or ``""``.
        commands: the annotations, once all audits are there.
    """

    path: str
    commands: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, wanted: str, *, only: str) -> GitHub | None:
        """Return what is to be written, as the environment is before any test has run; ``None``: nothing.

        Parameters:
            wanted: the setting: ``auto``, ``on`` or ``off``.
            only: the id of the only point to audit, or ``""``: to reproduce a defect, which has its annotation.
        """
        is_on = wanted == "on" or (wanted == "auto" and not only and github.is_there(os.environ))
        return cls(os.environ.get("GITHUB_STEP_SUMMARY", "")) if is_on else None

    def finish(self, audits: Sequence[Audit], shard: str, shortfall: str) -> list[str]:
        """Make the annotations, and write the job summary; return what went wrong. The session does not fail because of it."""
        try:
            self.commands = [*github.commands(audits, shortfall)]
            if self.path:
                github.append_summary(self.path, audits, shard, shortfall)
        except OSError as error:
            return [f"the job summary cannot be written: {error}; see GITHUB_STEP_SUMMARY, or --maskcheck-github=off"]
        except Exception as error:  # noqa: BLE001  (an error of maskcheck: the session ends in order)
            return [f"the job summary cannot be written: {breakdown_of(error).reason}"]
        return []
