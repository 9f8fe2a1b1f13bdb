"""Reads JSON reports. A report that cannot be used is refused with one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_maskcheck.reports import checked, files
from pytest_maskcheck.reports.jsonfile import TOOL
from pytest_maskcheck.results import SCHEMA, Audit
from pytest_maskcheck.results.encoding import restored
from pytest_maskcheck.system.plain import brief, quoted


class ReportError(ValueError):
    """A report cannot be used, or reports do not fit together; the message states why, and what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """One JSON report.

    Parameters:
        path: where it is.
        shard: which part of a session it is, such as ``1/3``; ``""``: all of it.
        audits: its audits.
        shortfall: why the session came no further as a whole, or ``""``.
    """

    path: str
    shard: str
    audits: tuple[Audit, ...]
    shortfall: str = ""


def read(path: str) -> Report:
    """Return the report in a file.

    Raises:
        ReportError: this version cannot read it.
    """
    try:
        text = files.read(path).decode("utf-8-sig")  # an editor may have added a byte order mark
        data = checked.parse(text)
    except OSError as error:
        message = f"the report cannot be read: {error}; name a file that --maskcheck-report=json:PATH wrote"
        raise ReportError(message) from None
    except (checked.DamagedError, UnicodeDecodeError) as error:
        why = error if isinstance(error, checked.DamagedError) else "it is no text in UTF-8"
        message = (
            f"{path} is no report of {TOOL} ({brief(str(why))}); name a file that --maskcheck-report=json:PATH wrote"
        )
        raise ReportError(message) from None
    if not isinstance(data, dict) or data.get("tool") != TOOL:
        message = f"{path} is no report of {TOOL}; name a file that --maskcheck-report=json:PATH wrote"
        raise ReportError(message)
    schema = data.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        message = (
            f"{path} has the result schema {quoted(schema)}, and this version reads schema {SCHEMA}; "
            f"make and merge all reports with one version of {TOOL}"
        )
        raise ReportError(message)
    try:
        return _report(path, data)
    except checked.DamagedError as error:
        message = f"{path} is a damaged report: {brief(str(error))}; write it anew with --maskcheck-report=json:PATH"
        raise ReportError(message) from None


def _report(path: str, data: dict[str, Any]) -> Report:
    if missing := [name for name in ("shard", "session", "audits") if name not in data]:
        raise checked.DamagedError(f"it has no {missing[0]}")
    shard = checked.check_shard(data["shard"])
    shortfall = checked.check_shortfall(data["session"])
    if not isinstance(data["audits"], list):
        raise checked.DamagedError(f"audits is {quoted(data['audits'])}, and must be a list")
    for position, audit in enumerate(data["audits"]):
        checked.check_audit(audit, shard, f"audits[{position}]")
    return Report(path, shard, tuple(map(Audit.from_json, data["audits"])), restored(shortfall) if shortfall else "")
