"""Find the pattern of keys that differ from run to run: ``<tmp_path>/part-*``.

Numbers, and names made by ``tempfile``, are already masked in keys. Other random parts are found by comparing samples, the keys of
one thing in several runs. Samples are split at ``/``, then ``.``, then other separators, then ``_``. Parts that differ become
``*``.

Rules:

1. The text of a pattern is the same in every session. So samples are split at separators only, never within a word: two samples
   may begin with the same letter by chance. There is one exception. If no word would be left of the name, and there are at least
   three samples, the letters that all of them begin or end with are kept.
2. A pattern matches as little as possible: each ``*`` matches text with the alphabet and roughly the length of its samples.
   Otherwise the pattern of a random name would also excuse an ordinary name beside it.
3. A key that was seen twice is not random. It keeps its name, unless a pattern that contains words matches it.

What does not work: if a thing has no known origin, a random part without digits or separators is taken for a word, as it looks
like one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

_LEVELS = (r"(/)", r"(\.)", r"([^\w#*])", r"(_)")
"""Where keys are split, in this order."""

_FIXED = 2
"""The number of levels, from the first one on, where all samples of a pattern have equally many parts."""

_ALPHABETS = ("a-f0-9#", "A-F0-9#", "a-z0-9#_", r"\w#", r"\w#\-", "^/.", "^/")
"""Character sets that a random part may be made of, the smallest first. The first two are hexadecimal digits."""

_MANY = 5
"""The samples of a part need so many letters in all to be taken for hexadecimal digits."""

_SAMPLES = 8
"""How many samples of a pattern are kept, the latest ones."""

_ENOUGH = 3
"""So many samples hardly begin with so many equal letters by chance."""

_FILLING = re.compile(r"[_\-]*([a-f]*#[a-f#]*[_\-]*)*")
"""What random parts may have in common by chance: separators, and masked numbers with hexadecimal letters beside them."""

_SIGNED = re.compile("-#")
_WORD_RUN = re.compile(r"[^\W\d_]{2,}")
_WORD = re.compile(r"[^\W\d_]{2}")
_PLACES = re.compile(r"<\w+>")


@dataclass(frozen=True)
class _Varying:
    """A part of a pattern that differs, with its text in each sample."""

    texts: tuple[str, ...]

    @property
    def expression(self) -> str:
        """The regular expression for such a part."""
        letters = len(re.sub(r"[^a-zA-Z]", "", "".join(self.texts)))
        alphabets = _ALPHABETS if letters >= _MANY else _ALPHABETS[2:]
        alphabet = next((each for each in alphabets if all(re.fullmatch(f"[{each}]*", t) for t in self.texts)), "^\n")
        lengths = [len(text) for text in self.texts]
        # Masking numbers makes random text shorter: one UUID in 300 becomes less than half as long as usual.
        return f"[{alphabet}]{{{min(lengths) // 4},{2 * max(lengths) + 4}}}"


_Parts = list["str | _Varying"]


@dataclass(frozen=True)
class Pattern:
    """What several keys have in common.

    Parameters:
        samples: the keys.
    """

    samples: tuple[str, ...]

    @cached_property
    def _parts(self) -> _Parts:
        # Fewer samples may begin with equal letters by chance; the pattern would then be another one in the next session.
        parts = _merged(_common(self.samples, 0))
        return parts if _words(parts) or len(self.samples) < _ENOUGH else _merged(_common(self.samples, 0, inside=True))

    @cached_property
    def text(self) -> str:
        """The pattern as a key."""
        return "".join(part if isinstance(part, str) else "*" for part in self._parts)

    @cached_property
    def is_vague(self) -> bool:
        """Whether nothing is left of the name but its directory."""
        return not _words(self._parts)

    @cached_property
    def is_plain(self) -> bool:
        """Whether the samples alone show that they name one thing: most of each is equal, and what differs looks random."""
        differing = [part for part in self._parts if isinstance(part, _Varying)]
        words = _WORD_RUN.findall("".join(part for part in self._parts if isinstance(part, str)))
        random = all(
            any(re.search(r"[#\d]", text) for text in part.texts) or {*part.texts} == {"", "-"} for part in differing
        )
        return random and not self.is_vague and len(words) >= len(differing)

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        parts = (re.escape(part) if isinstance(part, str) else part.expression for part in self._parts)
        return re.compile("".join(parts))

    def matches(self, key: str) -> bool:
        """Return whether ``key`` is the pattern's text or is like the samples."""
        return key == self.text or bool(self._expression.fullmatch(key))

    def widened(self, keys: Iterable[str]) -> Pattern:
        """Return the pattern of these samples and of ``keys``."""
        return Pattern(tuple(dict.fromkeys((*self.samples, *keys)))[-_SAMPLES:])


def _words(parts: _Parts) -> bool:
    """Return whether a word is left in the last component of a path, or in a text that is no path."""
    last = "".join(part if isinstance(part, str) else "*" for part in parts).rpartition("/")[2]
    return bool(_WORD.search(_PLACES.sub("", last)))


def _common(texts: Sequence[str], level: int, *, inside: bool = False) -> _Parts:
    """Return the parts of ``texts``, equal or differing, split from ``level`` on; with ``inside``, within words, too."""
    if len(set(texts)) == 1:
        return [texts[0]]
    # If only signs differ, the numbers are kept: numbers made from hashes may be negative.
    if level == _FIXED and len({_SIGNED.sub("#", text) for text in texts}) == 1:
        return _signed(texts)
    if level == len(_LEVELS):
        return _differing(texts, inside=inside)
    rows = [re.split(_LEVELS[level], text) for text in texts]
    # Separators are at odd positions, as the expression captures them.
    if len({(len(row), *row[1::2]) for row in rows}) == 1:  # as many parts, and the same separators
        return [part for column in zip(*rows, strict=True) for part in _common(column, level + 1, inside=inside)]
    if level < _FIXED:
        return [_Varying(tuple(texts))]
    rows = [re.split(r"([^\w#*]|_)", text) for text in texts]  # random text may contain any separator
    before = _shared(rows)
    after = _shared([row[len(before) :][::-1] for row in rows])[::-1]
    middles = ["".join(row[len(before) : len(row) - len(after)]) for row in rows]
    return ["".join(before), *_differing(middles, inside=inside), "".join(after)]


def _signed(texts: Sequence[str]) -> _Parts:
    """Return the parts of texts that differ only in the signs of numbers, as those made from hashes do."""
    parts: _Parts = []
    for column in zip(*(re.split(r"(-?#)", text) for text in texts), strict=True):
        if len(set(column)) == 1:
            parts.append(column[0])
        else:
            parts += [_Varying(tuple(text[:-1] for text in column)), "#"]
    return parts


def _shared(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the parts that all rows begin with, up to the last separator among them."""
    shared: list[str] = []
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    # Words are at even positions and separators at odd ones: cut behind a separator.
    return shared[: len(shared) // 2 * 2]


def _differing(texts: Sequence[str], *, inside: bool) -> _Parts:
    """Return one part that differs; with ``inside``, also the letters that all texts begin and end with, if there are enough."""
    if not inside:
        return [_Varying(tuple(texts))]
    before = _beginning(texts)
    rest = [text[len(before) :] for text in texts]
    after = _beginning([text[::-1] for text in rest])[::-1]
    return [before, _Varying(tuple(text[: len(text) - len(after)] for text in rest)), after]


def _beginning(texts: Sequence[str]) -> str:
    """Return the letters that all texts begin with, if there are more than chance explains."""
    shortest = min(texts, key=len)
    length = next((at for at, letter in enumerate(shortest) if {text[at] for text in texts} != {letter}), len(shortest))
    letters = re.match(r"[^\W\d_]*", shortest[:length])
    return letters[0] if letters and len(letters[0]) >= _ENOUGH else ""


def _merged(parts: _Parts) -> _Parts:
    """Join adjacent literal parts. Two parts that differ become one if there is no word, ``/`` or ``.`` between them."""
    merged: _Parts = []
    for part in parts:
        if not part:
            continue
        if isinstance(part, str):
            merged[-1:] = [merged[-1] + part] if merged and isinstance(merged[-1], str) else [*merged[-1:], part]
            continue
        between = merged[-1] if merged else None
        if isinstance(between, _Varying):
            merged[-1] = _joined(between, "", part)
        elif len(merged) > 1 and isinstance(between, str) and _FILLING.fullmatch(between):
            before = merged[-2]
            assert isinstance(before, _Varying)
            merged[-2:] = [_joined(before, between, part)]
        else:
            merged.append(part)
    return merged


def _joined(before: _Varying, between: str, after: _Varying) -> _Varying:
    return _Varying(tuple(one + between + other for one, other in zip(before.texts, after.texts, strict=True)))


@lru_cache(maxsize=1024)
def are_alike(one: str, other: str) -> bool:
    """Return whether two keys are equal, or alone show that they name one thing in two runs."""
    return one == other or Pattern((one, other)).is_plain


def looks_random(key: str) -> bool:
    """Return whether a key contains a part that no two runs share by chance: masked numbers that alternate with letters."""
    return bool(re.search(r"#[^\W\d_]+#[^\W\d_]*#|#[^\W\d_]+#[^\W\d_]+", key))
