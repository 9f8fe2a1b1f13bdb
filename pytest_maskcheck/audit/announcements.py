"""Messages about an audit as a whole: what the test reached, which kinds are blind, what was ignored and allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.audit.canaries import blind
from pytest_maskcheck.audit.first_use import keys_of
from pytest_maskcheck.audit.messages import AllowsUsed, CanaryResults, IgnoresUsed, LinesReached, WarmKeys
from pytest_maskcheck.reasons import Note, Reason
from pytest_maskcheck.results.lines import spans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.audit.instruments import Instruments
    from pytest_maskcheck.audit.judge import Judge


def send_reached(instruments: Instruments, send: Send) -> dict[str, str]:
    """Send the places and lines that later runs in a process reach; return the lines, by file."""
    send(WarmKeys(keys_of(instruments.selection.recording)))
    lines = instruments.scope.statements().items()
    reached = {instruments.names.short(path): spans(numbers) for path, numbers in lines}
    send(LinesReached(reached))
    return reached


def send_ignores(instruments: Instruments, send: Send) -> dict[str, bool]:
    """Send the places of ignore comments and return them: ``path:line`` -> whether the comment left out a point."""
    places = instruments.scope.ignores().items()
    ignores = {f"{instruments.names.short(path)}:{line}": used for (path, line), used in places}
    send(IgnoresUsed(ignores))
    return ignores


def send_blind_kinds(instruments: Instruments, seeing: Mapping[str, str], send: Send) -> None:
    """Send which kinds do not see leftovers here.

    Parameters:
        instruments: what the audit works with.
        seeing: results of the kinds already tried in this session; each kind is tried once.
        send: receives messages.
    """
    known = dict(seeing)
    untested = [kind for kind in instruments.kinds if kind.name not in known]
    if untested:
        reasons = blind(untested, instruments.names.short)
        known |= {kind.name: reasons.get(kind.name, "") for kind in untested}
        send(CanaryResults(known))
    for kind in instruments.kinds:
        if known[kind.name]:
            send(Reason(Note.BLIND, kind=kind.name, why=known[kind.name]))


def send_allowed(judge: Judge, send: Send) -> None:
    """Send the findings that were allowed, and whether each entry of the allow-list was used."""
    rules = judge.rules
    used = dict.fromkeys(map(str, rules.allow), False)
    for (kind, key), places in sorted(judge.allowances.merged().items()):
        allowing = list(map(str, rules.allowing(kind, key)))
        used |= dict.fromkeys(allowing, True)
        send(Reason(Note.ALLOWED, number=len(places), what=f"{kind}:{key} ({'; '.join(allowing)})"))
    for kind, key in judge.left_anyway.numbers:
        used |= {str(allow): True for allow in rules.allowing(kind, key)}
    send(AllowsUsed(used))
