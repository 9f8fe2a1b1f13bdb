"""The patterns that the runs of one test have shown, by kind, and the name of each leftover that is the same in every run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.resources.random_names import Pattern

if TYPE_CHECKING:
    from pytest_maskcheck.results import Origin


def place_and_stack(origin: Origin) -> tuple[object, ...]:
    """Return the key of an origin: equal for things that come from one place."""
    return origin.place, origin.stack


@dataclass(slots=True, repr=False)
class Patterns:
    """The patterns of one test, by kind.

    A pattern that was widened is still found under its earlier text: results that carry it have to be renamed.
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
        """Return whether a name is that of a pattern of which only a directory is left."""
        pattern = self._known.get(kind, {}).get(text)
        return pattern is not None and pattern.is_vague

    def keep(self, kind: str, key: str) -> None:
        """Treat a key as one that is the same in every run; it was seen twice."""
        name = self.name(kind, key)
        if name == key or self.is_vague(kind, name):
            self._steady.add((kind, key))

    def has(self, kind: str, origin: object) -> bool:
        """Return whether there is a pattern for things from an origin."""
        return (kind, origin) in self._origins

    def fit(self, kind: str, key: str) -> None:
        """Widen a pattern by a key that only its letters keep from matching."""
        for text, pattern in self._known.get(kind, {}).items():
            if not pattern.is_vague and pattern.widened([key]).text == text:
                self._known[kind][text] = pattern.widened([key])
                return

    def learn_from(self, kind: str, rows: Sequence[Sequence[str]], origin: object) -> None:
        """Take the keys of what came from one origin in several runs: of one thing, or of several whose names contain different words."""
        groups: list[list[str]] = []
        for key in (key for row in rows for key in row):
            group = next((group for group in groups if not Pattern((group[0], key)).is_vague), None)
            if group is None:
                groups.append([key])
            else:
                group.append(key)
        # Each run must have given as many keys as there are things; otherwise they cannot be told apart.
        if len(groups) == 1 or {len(group) % len(rows) for group in groups} != {0}:
            self.learn(kind, [key for group in groups for key in group], origin)
            return
        for group in groups:  # several things made on one line
            if len(set(group)) > 1:
                self.learn(kind, group)

    def learn(self, kind: str, keys: Iterable[str], origin: Any = None) -> str:
        """Take keys as those of one thing in several runs; return its name.

        Parameters:
            kind: the kind.
            keys: at least two that differ.
            origin: where it comes from, if that is known: one origin has one pattern.
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
        # A widened pattern may get back an earlier text, which must not lead in a circle.
        self._renamed.pop((kind, pattern.text), None)
        self._steady -= {(kind, key) for key in pattern.samples}
        if origin is not None:
            self._origins[kind, origin] = pattern.text
        return pattern.text
