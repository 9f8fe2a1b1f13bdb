"""Findings about an interrupt that did not come out, by who caught it: the test, the code under test, a finalizer, code in C."""

from __future__ import annotations

from dataclasses import replace

from pytest_maskcheck.results import Finding, Origin, Verdict
from pytest_maskcheck.runs.requests import Catcher, CaughtBy

EXCEPTION = "exception"
"""The kind of findings about what came out of a test."""

FINALIZER = "finalizer"
"""The kind of findings about what a finalizer lost."""


def swallowed(caught: Catcher | None, then: str = "") -> Finding:
    """Return the finding that an interrupt did not come out, with who caught it.

    Parameters:
        caught: who did, if that is known.
        then: what the test did afterwards.
    """
    if caught is None:
        detail = "the interrupt was raised but did not come out of the test"
        return Finding(Verdict.SWALLOWED, EXCEPTION, "", detail)
    frame = caught.frame
    if caught.by is CaughtBy.C:
        detail = f"code in C had called {frame.function}, and dropped the interrupt that came out of it"
        return Finding(Verdict.SWALLOWED, EXCEPTION, frame.function, detail + then)
    who = "the test itself caught the interrupt" if caught.by is CaughtBy.TEST else "the interrupt was caught"
    return Finding(
        Verdict.SWALLOWED,
        EXCEPTION,
        frame.function,
        f"{who}, at {frame.path}:{frame.line} in {frame.function}{then}",
        fails=caught.by is not CaughtBy.TEST,
        origin=Origin((), frame),
        package=caught.package,
    )


def lost(finalizers: tuple[str, ...], caught: Catcher | None, *, fails: bool) -> Finding | None:
    """Return the finding that a finalizer lost the interrupt, ``None`` if none did.

    Parameters:
        finalizers: those of which CPython told.
        caught: who caught it, if that is known.
        fails: the finding makes the test fail.
    """
    if finalizers:
        where = finalizers[0]
        detail = f"the interrupt arrived in {where}, a finalizer: CPython prints it and goes on"
    elif caught is not None and caught.by is CaughtBy.FINALIZER:
        where = caught.frame.function
        detail = f"the interrupt arrived in {where}, which a finalizer written in C calls: that drops it and goes on"
    else:
        return None
    return Finding(Verdict.SWALLOWED, FINALIZER, where, detail, fails)


def without_lone_finalizer(findings: tuple[Finding, ...], *, strict: bool) -> tuple[Finding, ...]:
    """Return confirmed findings; what a finalizer lost fails only with something that stays behind each time."""
    alone = (Verdict.SWALLOWED, FINALIZER)
    if strict or any(each.fails and (each.verdict, each.kind) != alone for each in findings):
        return findings
    return tuple(replace(each, fails=False) for each in findings)


def may_be_caught(finding: Finding) -> bool:
    """Tell whether who caught the interrupt has a say in a finding."""
    return finding.kind == EXCEPTION and finding.verdict in {Verdict.SWALLOWED, Verdict.REPLACED}
