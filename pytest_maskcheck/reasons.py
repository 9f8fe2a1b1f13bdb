"""Reasons and notes: each has a code that programs read and a sentence that people read.

1. A new reason is one member of an enum below and one row in docs/reports.md; a test compares the two.
2. Code that gives a reason creates ``Reason(code, **values)``. Programs read its code and its values, never its text.
3. Every room may create reasons, so this module imports nothing of the package.

A :class:`Reason` is a string, so it can be the key of a count, become part of a longer sentence, and be compared with another
one: equal sentences are equal reasons. Its code is lost when a new string is made of it (``str()``, an f-string, ``+``). So a
reason that contains another one takes that as a value and has a code of its own: ``second-interrupt`` has the value ``why``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from enum import StrEnum
from string import Formatter
from types import MappingProxyType
from typing import Any, Never, Self


class Code(StrEnum):
    """The name of a reason in JSON; each member of the enums below also has the template of its sentence."""

    sentence: str
    """The template; ``{number:point}`` becomes the number with its noun in the right form, such as ``2 points``."""

    def __new__(cls, code: str, sentence: str) -> Self:
        """Create a member from its code and its sentence."""
        self = str.__new__(cls, code)
        self._value_ = code
        self.sentence = sentence
        return self


class NotAudited(Code):
    """Why a point, a hit, a line, a module or a whole test was not audited."""

    # Which points are chosen
    BUDGET = "time-budget", "beyond the time budget of {seconds:g} s"
    DEPTH = "beyond-depth", "audited in another test, or finer than --maskcheck-depth={depth}"
    ELSEWHERE = "other-shard", "in another shard (--maskcheck-shard {shard})"
    WHOLE_ELSEWHERE = "whole-in-other-shard", "the whole test is in shard {shard} (dealing {dealing})"
    EXCLUDED = "excluded", "excluded by coverage's configuration"
    FOUND = "found-in-another-test", "another test has a defect there"
    HARNESS = "outside-test", "outside the test: pytest or a plugin was running"
    HITS = "further-hit", "further hit of a place in one calling context (hits={hits})"
    IGNORED = "ignored", "# maskcheck: ignore"
    MAX_POINTS = "max-points", "beyond max_points={max_points}: an even sample was taken (seed={seed})"
    NO_SOURCE = "no-source", "its source cannot be read: the code was generated, or its file is gone or no Python"
    OTHER_THREAD = "other-thread", "line reached on another thread: only the main thread is interrupted"
    OUT_OF_SCOPE = "out-of-scope", "not in scope"
    PAUSED = "paused", "within maskcheck.paused()"
    REMOVED = "removed-by-plugin", "removed by the plugin {plugin}"
    REPEATED = "repeated", "audited without a finding in {repeats:other test}"
    UNTOUCHED = "untouched", "it reaches no line changed since {commit}"
    UNMEASURED = (
        "not-measured",
        "coverage did not see the line in its own run: the test takes another way each time",
    )

    # Second interrupts
    FIRST_HAS_FINDING = "first-has-finding", "the first one alone already has a finding"
    FIRST_NOT_AUDITED = "first-not-audited", "the first one was not audited"
    FIRST_UNSEEN = (
        "first-unseen",
        "when the first one lands cannot be seen (signal mask, or signal.set_wakeup_fd in use)",
    )
    NO_SECOND = "no-second-interrupt", "no second interrupt after it: {why}"
    SECOND = "second-interrupt", "second interrupt: {why}"
    TRACING_ENDS = (
        "tracing-ends",
        "an interrupt raised by force ends sys.settrace, with which this CPython is watched",
    )

    # What a run showed
    DIFFERENT = "different-each-time", "different each time: {findings}"
    FAILED_BEFORE = "failed-before-point", "the run {trouble} before it came to the point"
    HELD_BACK = "held-back", "held back by the {by} to the end of the run"
    HELD_BACK_PAST_TEST = (
        "held-back-past-test",
        "held back to the end of the test: the interrupt came out of a fixture",
    )
    NOT_REACHED = "not-reached-again", "not reached again"
    NOT_REACHED_AFTER_FIRST = "not-reached-after-first", "not reached again after the first interrupt"
    OTHER_CONTEXT = "other-context", "reached in another calling context than in the recorded run"
    SIGNAL_DEFAULT = "signal-default", "{signal} has its default action there, which {action}"
    SIGNAL_IGNORED = "signal-ignored", "{signal} is ignored there (SIG_IGN)"
    SPOILED = "later-runs-fail", "without an interrupt the test {trouble}{since}{common}"
    TERMINAL = "uses-terminal", "{detail}"
    LOOK = "look-took-too-long", "{detail}"

    # How the audit of a test ended
    AUDITOR_ENDED = "auditing-process-ended", "the auditing process ended: {detail}{where}"
    ENDED_EARLY = "ended-early", "the audit ended early"
    SHARD_MISSING = "shard-not-audited", "shard {shard} was not audited: {why}"
    SHARD_WITHOUT_TEST = "not-run-in-shard", "the test did not run there, or did not pass"
    UNWANTED = "not-wanted", "nobody waits for it any more"
    WORKER_DIED = "worker-died", "the worker died"

    # How the session ended, for tests that were to be audited and were not begun, or not reported
    CTRL_C = "session-interrupted", "the session was ended by Ctrl-C"
    STOPPED = "session-stopped", "pytest ended the session: {why}"
    SESSION_BROKE = "session-broke", "an error of pytest or of a plugin ended the session"
    NOT_COLLECTED = "not-collected", "a module could not be collected, so its tests are not known"
    NOT_RUN = "not-run", "it was not run"
    ONLY_COLLECTED = "only-collected", "tests were collected, and not run"
    NONE_MARKED = "none-marked", "no test that was selected is marked"
    NONE_SELECTED = "none-selected", "no test was selected"

    # How the uninterrupted test ended
    FAILED = "test-failed", "it does not pass, and only what passes can be audited"
    SKIPPED = "test-skipped", "it was skipped"
    XFAILED = "expected-to-fail", "it fails as expected (xfail)"

    # Why a test cannot be audited
    DOCTEST = "doctest", "doctests cannot be run twice"
    FAILS_AGAIN = "fails-when-run-again", "run again, the test {trouble}"
    GUARANTEE = "guarantee-fails", "{kind} {key} does not hold after the uninterrupted test: {detail}"
    IN_A_THREAD = (
        "body-in-thread",
        (
            "its body does not run in the main thread, the only one in which Python handles signals: "
            "run it there, without the plugin or decorator that starts a thread for it"
        ),
    )
    NOT_A_FUNCTION = "not-a-function", "items of type {type} are not Python functions"
    RUNTEST_IS_PROPERTY = (
        "runtest-is-property",
        "runtest of {type} is a property, so that nothing can be called around it",
    )
    SIGINT_IGNORED = (
        "sigint-ignored",
        "SIGINT is ignored in this process, as under nohup; start pytest so that Ctrl-C works",
    )
    SIGNALS_BLOCKED = "signals-blocked", "pytest was started with {signals} blocked; start it so that signals arrive"
    SUBTESTS_FAILED = "subtests-failed", "{number:subtest} of it failed: only what passes can be audited"

    # Why a module that ``include`` names is not audited
    FROZEN = (
        "frozen",
        "CPython keeps it frozen and its lines without a file; `python -X frozen_modules=off -m pytest` audits it",
    )
    NOT_PYTHON = "not-python", "it is not written in Python"
    NO_FILE = "no-file", "its source is no file"

    # First use
    COLD_PROCESS_ENDED = "first-use-process-ended", "the process for it ended: {detail}"
    FIRST_RUN_FAILS = "first-run-fails", "run for the first time, the test {trouble}"
    LATE_FIXTURE = "late-fixture", "fixture {fixture} is asked for while others of the test are set up"
    NO_COLD_PROCESS = "no-first-use-process", "no process was kept for it"
    PATCHED_FORK = "patched-fork", "coverage's patch measures each process that is forked"
    RECORDING_ENDED = "recording-ended", "its process ended"
    SESSIONS_PROCESS = "in-process", "runs share the process of the session: {why}"

    # Errors in the audit itself
    BROKE = "maskcheck-failed", "maskcheck itself failed: {error}{where}; please report this"
    HINDERED = "hindered", "{what}"
    NO_PROC = "no-proc", "the process cannot look at itself, as there is no /proc: {error}"
    NO_ROOM = "no-room", "the process has no room for an audit: {error}"
    TEST_RAISED = "test-code-raised", "code of the test raised in the midst of the audit: {error}{where}"


class Isolation(Code):
    """The process that audited runs are made in, and why."""

    FORK = "fork", "fork: {why}"
    NONE = "none", "none: {why}"

    AS_ASKED = "as-asked", "as asked"
    CANNOT_FORK = "cannot-fork", "this platform cannot fork; hangs and crashes are not caught"
    CLEAN = "clean-processes", "clean processes, so that hangs and crashes are caught"
    DEBUGGER = "debugger", "--pdb needs live frames"
    LOSES_THREADS = (
        "fork-loses-threads",
        "a fork would lose running threads: {threads}; hangs and crashes are not caught",
    )
    NEEDS_THREADS = (
        "test-needs-threads",
        "a fork loses running threads, and the test does not end without them: {threads}; hangs and crashes are not caught",
    )
    ONE_POINT = "one-point", "one point, so that a debugger can look at it"


class Strategy(Code):
    """How points were reached, and why."""

    RERUN = "rerun", "rerun: {why}"
    SNAPSHOT = "snapshot", "snapshot for {points:point}"
    SNAPSHOT_AND_RERUN = "snapshot-and-rerun", "snapshot for {points:point}, rerun for {rest:point}: {why}"
    SNAPSHOT_ENDED = "snapshot-ended", "{chosen}; rerun for {left} of them: {why}"

    AFTER_EFFECT = "after-effect", "after an effect outside the process: {effect}"
    CHILD = "child-running", "child {pid} is running"
    DESCRIPTOR = "descriptor-open", "descriptor {descriptor} is open: {target}"
    EFFECT_FIRST = "effect-before-points", "an effect outside the process comes before the first point: {effect}"
    FIXTURE_EFFECT = "effect-in-fixture", "a fixture has an effect outside the process: {effect}"
    FORK_COSTS = "fork-costs-more", "the way to a point is shorter than a fork, {milliseconds:.0f} ms"
    FORWARD_ENDED = "forward-run-ended", "the run that went forward ended: {detail}"
    FORWARD_FAILED = "forward-run-failed", "the run that went forward failed: {error}"
    IN_SESSION = "session-process", "runs share the process of the session"
    INTERRUPTED_EFFECT = "effect-after-interrupt", "an interrupted run has an effect outside the process: {effect}"
    MEMORY = "memory-shared", "memory is shared: {name}"
    NOTHING_AGAIN = "no-point-again", "no point is reached again"
    NOT_ALL_AGAIN = "not-all-reached-again", "not all of them were reached again"
    READS_OUTPUT = "reads-output", "{fixture} would read what other processes write"
    SHORT = "short-test", "the test is short"
    SIGNAL = "signal-pending", "a signal is pending"
    STREAM = "stream-mode", "the mode of a standard stream differs"
    THREAD = "thread-running", "a thread is running: {name}"
    OTHER_THREAD = "another-thread-running", "another thread is running"
    THREADS = "threads-running", "a fork would lose running threads"
    TIMER = "timer-running", "a timer is running"
    UNTOLD = "sharing-unknown", "this platform does not tell what processes share"


class Note(Code):
    """What a report contains besides verdicts and reasons, about a test or about a point."""

    ALLOWED = "allowed", "allowed at {number:point}: {what}"
    BLIND = "blind-kind", "kind {kind} is blind here: {why}"
    DIVIDED = "divided", "divided over workers: {shares}"
    HOOK_FAILED = "hook-failed", "{hook} of the plugin {plugin} {what}; the audit goes on without it: {remedy}"
    NOT_JUDGED = (
        "not-judged",
        "atomic {name} is not judged: at the end of the uninterrupted test it differs from run to run",
    )
    RESOURCE_FAILED = (
        "resource-failed",
        "resource {resource} of the plugin {plugin} is looked at no more: its {method}() failed with {error}; repair it",
    )
    SHARED = "shared-by-runs", "{shared}, and with another one beside it the test {trouble}"
    SIGINT_RESTORED = "sigint-restored", "SIGINT is ignored in this process; audited as if it were not"
    TOO_MUCH = (
        "modules-not-compared",
        "modules keep too much to compare all of it after each run: not {what}, nor what lies deeper",
    )
    UNBLOCKED = "signals-unblocked", "pytest was started with {signals} blocked; audited as if it were not"
    UNTIMED = "not-timed", "how often a Ctrl-C would meet the defects was not measured: {why}"
    TOO_OFTEN = "too-often", "the test comes to {number:place} of theirs too often"
    OTHER_MODE = "other-mode", "it is measured for points=checkpoint only"
    UNTRACED = "not-traced", "not traced where it came from at {number:failing point}: {why}"

    # About points
    ARRIVED = "arrived-elsewhere", "arrived at {place}"
    ARRIVED_LATE = "arrived-after-test", "arrived after the test"
    HANDLER = "went-to-handler", "went to {handler}"
    HELD = "held-back-for-a-while", "held back by the {by}, {where}"
    ONCE = "failed-once", "once, the next run in the same process {trouble}; not so in a clean process"

    # Made of several texts
    BY_SHARD = "by-shard", "{texts}"
    SEVERAL = "several", "{texts}"
    OTHER = "other", "{text}"
    """A text without a code; this package is not known to write any."""


_ENUMS: tuple[type[Code], ...] = (NotAudited, Isolation, Strategy, Note)

CODES: Mapping[str, Code] = MappingProxyType({code.value: code for enum in _ENUMS for code in enum})
"""Every code by its name; no two enums share a name."""


class Reason(str):
    """A sentence that carries its code and its values.

    Attributes:
        code: which reason it is.
        values: the values in the sentence, by name: texts, numbers and other reasons.
    """

    __slots__ = ("code", "values")
    code: Code
    values: Mapping[str, Any]

    def __new__(cls, code: Code, /, **values: Any) -> Self:
        """Create the reason with this code, and make its sentence from the values."""
        # Some reasons are created in the middle of a run, where no code of another package may run, such as string.Formatter's.
        written = {name: _Number(value) if type(value) is int else value for name, value in values.items()}
        return cls.restored(code.sentence.format(**written), code, values)

    @classmethod
    def restored(cls, text: str, code: Code, values: Mapping[str, Any]) -> Self:
        """Return a reason with the text that it once had, even if the sentence of its code has changed since."""
        self = str.__new__(cls, text)
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "values", MappingProxyType(dict(values)))
        return self

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"a reason cannot be changed: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        """Support ``pickle``, which must keep the code: reasons are sent from process to process."""
        return Reason.restored, (str(self), self.code, dict(self.values))


class _Number(int):
    """A number in a sentence; if its format is a noun, the number is written with that noun."""

    def __format__(self, form: str) -> str:
        return count(int(self), form) if _is_noun(form) else int.__format__(self, form)


def _is_noun(form: str) -> bool:
    return len(form) > 1 and form.replace(" ", "").isalpha()


def _type_of(form: str | None) -> type:
    """Return the type of a value with that format: a noun counts things, and any other format is that of a number."""
    return str if not form else int if _is_noun(form) else float


SENTENCES: Mapping[Code, Mapping[str, type]] = MappingProxyType(
    {
        code: {name: _type_of(form) for _, name, form, _ in Formatter().parse(code.sentence) if name}
        for code in CODES.values()
    }
)
"""For each code, the types of the values in its sentence: ``int`` or ``float``; ``str`` may also be a number or a reason."""


def count(items: Sized | int, word: str) -> str:
    """Return a number with its noun in the right form."""
    number = items if isinstance(items, int) else len(items)
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def reason_of(text: str) -> Reason:
    """Return a text as a reason; a text without a code becomes :attr:`Note.OTHER`."""
    return text if isinstance(text, Reason) else Reason(Note.OTHER, text=text)


def joined(reasons: Iterable[Reason]) -> str:
    """Join reasons into one text that keeps their codes; ``""`` if there are none."""
    several = tuple(reasons)
    if len(several) < 2:
        return several[0] if several else ""
    return Reason.restored(", ".join(several), Note.SEVERAL, {"codes": tuple(each.code for each in several)})


def codes_of(text: str) -> tuple[Code, ...]:
    """Return the codes of a text that :func:`joined` made; none for ``""``."""
    if not text:
        return ()
    reason = reason_of(text)
    return tuple(reason.values["codes"]) if reason.code is Note.SEVERAL else (reason.code,)


def restored_from(text: str, codes: Iterable[Code]) -> str:
    """Return the text with the codes that :func:`codes_of` returned for it; without codes, the text as it is."""
    several = tuple(codes)
    if not several:
        return text
    if len(several) == 1:
        return Reason.restored(text, several[0], {})
    return Reason.restored(text, Note.SEVERAL, {"codes": several})


def elsewhere(shard: str) -> Reason:
    """Return the reason why the points of other shards than ``shard`` are left out."""
    return Reason(NotAudited.ELSEWHERE, shard=shard)


def as_second(why: Reason) -> Reason:
    """Return the reason why a second interrupt, rather than a first one, is left out."""
    return Reason(NotAudited.SECOND, why=why)


def as_first(why: Reason) -> Reason:
    """Return the reason why a first interrupt is left out: ``why`` itself. It is the counterpart of :func:`as_second`."""
    return why
