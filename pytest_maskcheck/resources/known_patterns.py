"""The patterns found in the runs of one test, by kind. They give each leftover a name that is the same in every run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.resources.random_names import Pattern

if TYPE_CHECKING:
    from pytest_maskcheck.results import Origin


def place_and_stack(origin: Origin) -> tuple[object, ...]:
    """Return what identifies an origin: its place and its stack."""
    return origin.place, origin.stack


@dataclass(slots=True, repr=False)
class Patterns:
    """The patterns of one test, by kind.

    A widened pattern can still be found by its earlier text, as results that carry that text have to be renamed.
    """

    _known: dict[str, dict[str, Pattern]] = field(default_factory=dict)
    _steady: set[tuple[str, str]] = field(default_factory=set)
    _renamed: dict[tuple[str, str], str] = field(default_factory=dict)
    _origins: dict[object, str] = field(default_factory=dict)

    def name(self, kind: str, key: str) -> str:
        """Return the name of ``key`` that is the same in every run."""
        # Follow the renames: a pattern may have been widened several times.
        while (kind, key) in self._renamed:
            key = self._renamed[kind, key]
        known = self._known.get(kind)
        if not known or key in known or (kind, key) in self._steady:
            return key
        return next((text for text, pattern in known.items() if pattern.matches(key)), key)

    def is_vague(self, kind: str, text: str) -> bool:
        """Return whether ``text`` is that of a vague pattern, which contains nothing of a name but its directory."""
        pattern = self._known.get(kind, {}).get(text)
        return pattern is not None and pattern.is_vague

    def keep(self, kind: str, key: str) -> None:
        """Record that a key was seen in two runs. It keeps its name from now on, unless a pattern with words matches it."""
        name = self.name(kind, key)
        if name == key or self.is_vague(kind, name):
            self._steady.add((kind, key))

    def has(self, kind: str, origin: object) -> bool:
        """Return whether there is a pattern for things from an origin."""
        return (kind, origin) in self._origins

    def fit(self, kind: str, key: str) -> None:
        """Add a key to the samples of the first pattern whose text stays the same with it."""
        for text, pattern in self._known.get(kind, {}).items():
            if not pattern.is_vague and pattern.widened([key]).text == text:
                self._known[kind][text] = pattern.widened([key])
                return

    def learn_from(self, kind: str, rows: Sequence[Sequence[str]], origin: object) -> None:
        """Make patterns of the keys that came from one origin in several runs.

        They may be keys of one thing, or of several things whose names contain different words.

        Parameters:
            kind: the kind.
            rows: the keys of each run.
            origin: where they come from.
        """
        groups: list[list[str]] = []
        for key in (key for row in rows for key in row):
            group = next((group for group in groups if not Pattern((group[0], key)).is_vague), None)
            if group is None:
                groups.append([key])
            else:
                group.append(key)
        # Things can be told apart only if each run has as many keys of each as the others.
        if len(groups) == 1 or {len(group) % len(rows) for group in groups} != {0}:
            self.learn(kind, [key for group in groups for key in group], origin)
            return
        for group in groups:  # several things made on one line
            if len(set(group)) > 1:
                self.learn(kind, group)

    def learn(self, kind: str, keys: Iterable[str], origin: Any = None) -> str:
        """Make or widen the pattern of the keys that one thing had in several runs; return its text, the thing's name.

        Parameters:
            kind: the kind.
            keys: at least two that differ.
            origin: where the thing comes from, if that is known. An origin has one pattern.
        """
        known = self._known.setdefault(kind, {})
        pattern = Pattern(tuple(dict.fromkeys(keys)))
        earlier = self._origins.get((kind, origin)) if origin is not None else None
        if earlier is not None:
            while (kind, earlier) in self._renamed:
                earlier = self._renamed[kind, earlier]
            pattern = known[earlier].widened(pattern.samples)
            if pattern.text != earlier:
                self._renamed[kind, earlier] = pattern.text
                del known[earlier]
        elif pattern.text in known:
            pattern = known[pattern.text].widened(pattern.samples)
        known[pattern.text] = pattern
        # A widened pattern may get an earlier text back; the renames must not form a circle.
        self._renamed.pop((kind, pattern.text), None)
        self._steady -= {(kind, key) for key in pattern.samples}
        if origin is not None:
            self._origins[kind, origin] = pattern.text
        return pattern.text
