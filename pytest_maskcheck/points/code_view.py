"""The code of several files by name, and what names lead to."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pytest_maskcheck.points.functions import digest, is_special

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_maskcheck.points.functions import Function
    from pytest_maskcheck.points.source_files import SourceFiles

Place = tuple[str, str]
"""A file, and the qualified name of a function or class in it."""

Leads = tuple[frozenset[str], frozenset[Place]]
"""Names and classes."""

_AT_IMPORT = frozenset({"__init_subclass__", "__set_name__", "__prepare__", "__class_getitem__", "__mro_entries__"})
"""Special methods that class statements and annotations call."""

_UNSEEN = frozenset({"__exit__", "__aexit__", "__del__", "__getattr__", "__getattribute__", "__setattr__"})
"""Special methods that an interrupt may bring about where no statement shows it."""


class CodeView:
    """The code of several files, by name.

    Parameters:
        sources: reads files.
        files: paths of the files in scope.
        others: paths of other files that decide.
    """

    def __init__(self, sources: SourceFiles, files: Iterable[str], others: Iterable[str]) -> None:
        self.sources = sources
        self.functions: dict[str, list[Place]] = {}
        self.classes: dict[str, list[Place]] = {}
        self.members: dict[Place, list[Place]] = {}
        self.at: dict[Place, list[Function]] = {}
        self.stands: dict[str, set[str]] = {}
        self.assigned: dict[Place, dict[str, frozenset[str]]] = {}
        self._bases: dict[Place, frozenset[str]] = {}
        self._faces: dict[str, str] = {}
        self._leads: dict[Place, Leads] = {}
        self._led: dict[tuple[frozenset[str], tuple[Place, ...]], Leads] = {}
        self._run: dict[str, frozenset[str]] = {}
        self._imported: dict[tuple[str, ...], Closure] = {}
        decorated: dict[frozenset[str], set[str]] = {}
        rests = []
        for path in sorted(files):
            source = sources.read(path)
            rests.append(f"{path} {source.rest}")
            self._run[path] = source.run
            for each in source.functions:
                place = path, each.name
                if place not in self.at:
                    self.functions.setdefault(each.short, []).append(place)
                    self.members.setdefault((path, each.owner), []).append(place)
                self.at.setdefault(place, []).append(each)
            for name, words in source.classes.items():
                self.classes.setdefault(name.rpartition(".")[2], []).append((path, name))
                self._bases[path, name] = words
            for name, words in source.stands.items():
                owner, _, short = name.rpartition(".")
                if owner:
                    self.assigned.setdefault((path, owner), {})[short] = words
                else:
                    self.stands.setdefault(short, set()).update(words)
            for name, words in source.decorated.items():
                decorated.setdefault(words, set()).add(name)
        rests += [f"{path} {sources.digest(path)}" for path in sorted(others)]
        self.rests = digest(*rests)
        self._decorated = decorated

    @cached_property
    def run(self) -> frozenset[str]:
        """The words of what the import of the files calls: what it created may be of any class among them."""
        return frozenset(word for words in self._run.values() for word in words)

    def imported(self, files: Iterable[str]) -> Closure:
        """Return what the import of these files may call."""
        key = tuple(files)
        if key not in self._imported:
            self._imported[key] = Closure(self)
            if key:
                run = {word for path in key for word in self._run.get(path, ())}
                self._imported[key].mention(run | _AT_IMPORT)
        return self._imported[key]

    @cached_property
    def base(self) -> Closure:
        """What counts for every test: what the import of the files calls, and what decorators may have stored."""
        base = Closure(self, self.imported(self._run))
        decorated = self._decorated.items()
        base.mention(name for decorators, names in decorated if self._may_store(decorators) for name in names)
        return base

    def _may_store(self, decorators: frozenset[str]) -> bool:
        """Return whether decorators with these words are of a variable, or mention one, as do the functions that they name.

        Two steps suffice for a decorator that calls a method to store; with more, common names would lead everywhere.
        """
        words = set(decorators)
        for _ in range(2):
            if not words.isdisjoint(self.stands):
                return True
            places = [place for word in words for place in self.functions.get(word, ())]
            places += [
                place for word in words for owner in self.classes.get(word, ()) for place in self.members.get(owner, ())
            ]
            words = {word for place in places for each in self.at[place] for word in each.words}
        return not words.isdisjoint(self.stands)

    def leads_from(self, place: Place) -> Leads:
        """Return what the words of a function lead to, and its class."""
        if place not in self._leads:
            words = frozenset(word for each in self.at.get(place, ()) for word in each.words)
            self._leads[place] = self.leads(words, ((place[0], place[1].rpartition(".")[0]),))
        return self._leads[place]

    def leads(self, words: frozenset[str], classes: tuple[Place, ...]) -> Leads:
        """Return the names that words and classes lead to without a call, and the classes."""
        if (words, classes) not in self._led:
            self._led[words, classes] = self._find_leads(words, classes)
        return self._led[words, classes]

    def _find_leads(self, words: Iterable[str], classes: Iterable[Place]) -> Leads:
        known: set[str] = set()
        used: set[Place] = set()
        queue, owners = [*words], [*classes]
        while queue or owners:
            while owners:
                owner = owners.pop()
                if owner[1] and owner not in used:
                    used.add(owner)
                    queue += self.bases(owner)
                    for assigned in self.assigned.get(owner, {}).values():
                        queue += assigned
            if queue and (word := queue.pop()) not in known:
                known.add(word)
                queue += self.stands.get(word, ())
                owners += self.classes.get(word, ())
        return frozenset(known), frozenset(used)

    def faces(self, word: str) -> str:
        """Return where functions of a name are, and what can be seen of them without calling them."""
        if word not in self._faces:
            places = [place for place in self.functions.get(word, ()) if not is_test(place[1])]
            shown = [f"{path} {name} {each.face}" for path, name in places for each in self.at[path, name]]
            self._faces[word] = "\n".join(shown)
        return self._faces[word]

    def names(self, place: Place) -> str:
        """Return the names of the methods of a class."""
        return " ".join(sorted(name for _, name in self.members.get(place, ()) if not is_test(name)))

    def special(self, place: Place) -> list[Place]:
        """Return the special methods of a class."""
        return [each for each in self.members.get(place, ()) if is_special(each[1].rpartition(".")[2])]

    def bases(self, place: Place) -> frozenset[str]:
        """Return the words of the bases of a class."""
        return self._bases.get(place, frozenset())


class Closure:
    """The functions and classes that some words lead to.

    Parameters:
        view: the code.
        base: what is known already.
    """

    def __init__(self, view: CodeView, base: Closure | None = None) -> None:
        self._view = view
        self.words: set[str] = set(base.words) if base else set()
        self.functions: set[Place] = set(base.functions) if base else set()
        self.classes: set[Place] = set(base.classes) if base else set()
        self.used: set[Place] = set(base.used) if base else set()

    def mention(self, words: Iterable[str]) -> None:
        """Add what has one of these names, and what that leads to."""
        queue = [*words]
        while queue:
            word = queue.pop()
            if word in self.words:
                continue
            self.words.add(word)
            queue += self._view.stands.get(word, ())
            for place in self._view.functions.get(word, ()):
                self._enter(place, queue)
            for place in self._view.classes.get(word, ()):
                self._enter_class(place, queue)

    def enter(self, place: Place) -> None:
        """Add a function, and what its words lead to."""
        queue: list[str] = []
        self._enter(place, queue)
        self.mention(queue)

    def reach(self, places: Iterable[Place]) -> None:
        """Add functions without their words: what they called was reached itself."""
        reached = [*places]
        self.functions.update(reached)
        queue: list[str] = []
        for owner in {(path, name.rpartition(".")[0]) for path, name in reached}:
            self._use_class(owner, queue)
        self.mention(queue)

    def look(self, places: Iterable[Place]) -> None:
        """Add functions, and the names and classes that they lead to, but not the functions of these names."""
        view = self._view
        found = [view.leads(frozenset(self.words), tuple(sorted(self.used))), view.leads(view.run, ())]
        for place in places:
            self.functions.add(place)
            found.append(view.leads_from(place))
        self.words = set().union(*(words for words, _ in found))
        self.used = set().union(*(used for _, used in found))

    def _enter(self, place: Place, queue: list[str]) -> None:
        if place in self.functions:
            return  # if it was only reached, its words are those of what an interrupted run may come to
        self.functions.add(place)
        for each in self._view.at.get(place, ()):
            queue += each.words
        self._use_class((place[0], place[1].rpartition(".")[0]), queue)

    def _use_class(self, place: Place, queue: list[str]) -> None:
        """Add a class one of whose methods is called."""
        if not place[1] or place in self.used:
            return
        self.used.add(place)
        for each in self._view.special(place):
            if each[1].rpartition(".")[2] in _UNSEEN:
                self._enter(each, queue)
        for name, words in self._view.assigned.get(place, {}).items():
            if name in _UNSEEN:
                queue += words

    def _enter_class(self, place: Place, queue: list[str]) -> None:
        """Add a class that may be called."""
        if place in self.classes:
            return
        self.classes.add(place)
        self.used.add(place)
        queue += self._view.bases(place)
        for each in self._view.special(place):
            self._enter(each, queue)
        for words in self._view.assigned.get(place, {}).values():
            queue += words


def is_test(name: str) -> bool:
    """Return whether a method is a test, by its name: tests do not call each other."""
    return name.rpartition(".")[2].startswith("test")
