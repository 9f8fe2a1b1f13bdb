"""What the verdicts of a session are not about, however many there are: the code that tests import, and files as they are now."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.source_content import digests_of, is_other
from pytest_maskcheck.reports.ways import sentence
from pytest_maskcheck.results.figures import is_support

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.results import Audit

_NAMED = 3
"""Number of packages and of files that are named; files are counted, too."""


class Proviso(NamedTuple):
    """One restriction of what a session has shown.

    Attributes:
        code: which one: ``only-tests`` or ``changed``.
        text: that as a sentence without its capital and its stop.
        advice: what to do, in the same way.
        is_gap: code that was to be audited lacks an audit. Otherwise there may be no such code.
    """

    code: str
    text: str
    advice: str
    is_gap: bool

    @property
    def sentence(self) -> str:
        """Both as one sentence."""
        return sentence(f"{self.text}: {self.advice}")


def provisos(audits: Sequence[Audit]) -> list[Proviso]:
    """Return all restrictions of what some audits have shown."""
    return [*_only_tests([audit for audit in audits if audit.is_untouched or not audit.refused]), *_changed(audits)]


def _only_tests(audits: Sequence[Audit]) -> Iterator[Proviso]:
    """Yield that only the tests' own code was audited, not the code that they test."""
    own = {path for audit in audits for path in audit.own}
    reached = {path for audit in audits for path in audit.reached}
    if any(audit.is_untouched for audit in audits):  # what such a test reaches is not known
        return
    if not reached or any(path not in own and not is_support(path) for path in reached):
        return
    packages = Counter(name for audit in audits for name in audit.unaudited)
    names = [name for name, _ in packages.most_common(_NAMED)]
    imports = f", and none of what they import ({', '.join(names)})" if names else ""
    advice = (
        f"name the package that they test with --maskcheck-include={names[0] if names else 'PACKAGE'}, or with "
        "maskcheck_include in the configuration file"
    )
    yield Proviso("only-tests", f"only the tests' own code was audited{imports}", advice, bool(names))


def _changed(audits: Sequence[Audit]) -> Iterator[Proviso]:
    paths = changed(audits)
    if paths:
        more = len(paths) - _NAMED
        names = f"{', '.join(paths[:_NAMED])}{f' and {more} more' if more > 0 else ''}"
        have = "has" if len(paths) == 1 else "have"
        text = f"{count(paths, 'file')} {have} changed since the audit ({names}), and nothing is known of what is there now"
        yield Proviso("changed", text, "audit again", is_gap=True)


def changed(audits: Sequence[Audit]) -> list[str]:
    """Return the files that can be read and are not those that were audited, or that shards saw with different contents."""
    files = {point.path: point.file for audit in audits for point in audit.points}
    # An earlier result holds as long as nothing that decides it has changed; a comment does not.
    digests = digests_of(audit for audit in audits if not audit.earlier)
    return [path for path, known in digests.items() if any(is_other(files.get(path) or path, each) for each in known)]
