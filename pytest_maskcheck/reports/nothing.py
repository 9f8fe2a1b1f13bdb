"""The message of a session where nothing was audited."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_maskcheck.reasons import count


@dataclass(frozen=True, slots=True)
class Nothing:
    """A session where nothing was audited.

    Parameters:
        wanted: number of tests that were to be audited.
        begun: how many of them passed; the audits of these contain the reason.
        marked: only tests with the marker were to be audited.
        meant: this is allowed: the session ends with exit status 0.
        one: only a single point was to be audited.
    """

    wanted: int
    begun: int
    marked: bool
    meant: bool
    one: bool = False


def nothing(session: Nothing) -> str:
    """Return why nothing was audited, and what to do."""
    if session.begun:
        why = f"no point of {count(session.begun, 'test')}, for the reasons above"
    elif session.wanted:
        why = f"none of {count(session.wanted, 'test')} passed by itself, and only what passes can be audited"
    elif session.marked:
        why = "no test that was selected is marked: add @pytest.mark.interrupt_safe, or audit every test with --maskcheck-all"
    else:
        why = "no test was selected"
    if session.one:
        return f"the point was not audited: {why} (exit status 5)"
    remedy = "" if session.meant else " (exit status 5; --maskcheck-allow-none if that is meant)"
    return f"nothing was audited: {why}{remedy}"
