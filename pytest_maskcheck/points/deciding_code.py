"""Which code decides what an audit of a test finds, and a digest of it.

1. Files: those that the test and the code it reached may import, directly or not, as far as they are no installed packages: these are
   known by their versions. Of files in scope, the rests and some of the functions decide. Of others, such as a neighbour project that is
   installed in editable form, the whole text decides, as nobody measured which of their functions were reached.
2. Functions: those that the test reached, and those that an interrupted run may come to besides. These are found by name: every function
   in those files that has a name which was mentioned counts, and all that it mentions, and so on. A class that was mentioned counts with
   its special methods, which are called without being mentioned; of a class that was in use, only those count that leaving a block or
   the end of an object call.
   A name of a variable or an alias leads to what it stands for. What a decorator may have stored in a variable or an attribute counts
   for every test, like whatever the import of a file calls.
3. Of a call that the test made, the function is known. It may still come to another one once there is a new one of that name (an
   override), so the places of all functions of that name decide, too.

What does not work: functions whose names are computed (``getattr(self, f"visit_{kind}")``) are seen only if the test reached them, or if
they are added to a class of which it reached something. Data files, environment variables, and code in other languages are not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.points.functions import Besides, digest, is_special
from pytest_maskcheck.points.module_files import ModuleFiles, is_installed, packages_above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_maskcheck.points.functions import Function
    from pytest_maskcheck.points.source_files import SourceFiles

Matches = Callable[[str], bool]
"""Returns whether a file is in scope."""

Place = tuple[str, str]
"""A file, and the qualified name of a function or class in it."""


@dataclass(frozen=True, slots=True, repr=False)
class Reached:
    """What an audit shows about the code that decides it.

    Parameters:
        functions: file -> the qualified names of the functions that were reached.
        words: the names of what an interrupted run may come to besides.
        called: the names of what was called.
    """

    functions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    words: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()

    @classmethod
    def of(cls, sources: SourceFiles, lines: Mapping[str, Iterable[int]]) -> Reached:
        """Return what the lines show that runs reached, by absolute path."""
        besides = Besides()
        functions = {}
        for path, numbers in lines.items():
            found = sources.read(path).functions
            ours = {(each.name, each.first): _within(each, numbers) for each in found}
            reached = {key: of_it for key, of_it in ours.items() if of_it}
            functions[path] = tuple(dict.fromkeys(name for name, _ in reached))
            besides.add(sources.text(path), lambda name, first, known=reached: known.get((name, first)))  # type: ignore[misc]
        besides.settle({name.rpartition(".")[2] for names in functions.values() for name in names})
        return cls(functions, frozenset(besides.words), frozenset(besides.called))

    def to_json(self) -> list[Any]:
        """Return plain data."""
        return [self.functions, " ".join(sorted(self.words)), " ".join(sorted(self.called))]

    @classmethod
    def from_json(cls, data: list[Any]) -> Reached:
        """Return what :meth:`to_json` described."""
        functions, words, called = data
        known = {path: tuple(names) for path, names in functions.items()}
        return cls(known, frozenset(words.split()), frozenset(called.split()))


def _within(function: Function, lines: Iterable[int]) -> set[int]:
    return {line for line in lines if function.first <= line <= function.last}


_AT_IMPORT = frozenset({"__init_subclass__", "__set_name__", "__prepare__", "__class_getitem__", "__mro_entries__"})
"""Special methods that class statements and annotations call."""

_UNSEEN = frozenset({"__exit__", "__aexit__", "__del__", "__getattr__", "__getattribute__", "__setattr__"})
"""Special methods that an interrupt may bring about where no statement shows it."""


class _View:
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
        run: set[str] = set()
        decorated: dict[frozenset[str], set[str]] = {}
        rests = []
        for path in sorted(files):
            source = sources.read(path)
            rests.append(f"{path} {source.rest}")
            run |= source.run
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
        self.base = _Closure(self)
        stored = (name for decorators, names in decorated.items() if self._may_store(decorators) for name in names)
        self.base.mention({*run, *_AT_IMPORT, *stored})

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

    def special(self, place: Place) -> list[Place]:
        """Return the special methods of a class."""
        return [each for each in self.members.get(place, ()) if is_special(each[1].rpartition(".")[2])]

    def bases(self, place: Place) -> frozenset[str]:
        """Return the words of the bases of a class."""
        return self._bases.get(place, frozenset())


class _Closure:
    """The functions and classes that some words lead to.

    Parameters:
        view: the code.
        base: what is known already.
    """

    def __init__(self, view: _View, base: _Closure | None = None) -> None:
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


class Deciding:
    """The code that decides an audit; which functions do is found out when that is asked for.

    Parameters:
        view: the code.
        inside: the files in scope: the code outside functions decides, and some of the functions.
        whole: the other files; all of their text decides.
        reached: returns what was reached.
        start: returns the functions that decide, from what was reached.
    """

    def __init__(
        self,
        view: _View,
        inside: frozenset[str],
        whole: frozenset[str],
        reached: Callable[[], Reached],
        start: Callable[[Reached], _Closure],
    ) -> None:
        self._view = view
        self._find = reached
        self._start = start
        self.whole = whole
        self.files = inside | whole

    @cached_property
    def _reached(self) -> Reached:
        return self._find()

    @cached_property
    def _closure(self) -> _Closure:
        return self._start(self._reached)

    def idle(self, path: str) -> set[tuple[int, int]]:
        """Return the first and last lines of the functions of a file that do not decide."""
        return {(each.first, each.last) for each in self._idle(path)}

    def apart(self, path: str) -> set[tuple[int, int]]:
        """Return the first and last lines of the functions of a file that would not decide even if they were new."""
        return {
            (each.first, each.last)
            for each in self._idle(path)
            if each.short not in self._reached.called
            and ((path, each.owner) not in self._closure.used or _is_test(each.name))
        }

    def _idle(self, path: str) -> list[Function]:
        functions = self._view.sources.read(path).functions
        return [each for each in functions if (path, each.name) not in self._closure.functions]


class DecidingCode:
    """Finds the code that decides audits; what files contain is read once."""

    def __init__(self, sources: SourceFiles) -> None:
        self._sources = sources
        self._modules = ModuleFiles()
        self._imported: dict[str, tuple[str, ...]] = {}
        self._views: dict[tuple[frozenset[str], str], _View] = {}
        self._files: dict[tuple[frozenset[str], str], tuple[frozenset[str], frozenset[str]]] = {}

    def files(self, starts: Iterable[str], matches: Matches, scope: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return the files in scope, and the others, that code in some files may import.

        Parameters:
            starts: the files, which belong to it.
            matches: returns whether a file is in scope.
            scope: equal for equal ``matches``.
        """
        key = frozenset(starts), scope
        if key not in self._files:
            inside: set[str] = set()
            outside: set[str] = set()
            queue = [*key[0]]
            while queue:
                path = queue.pop()
                if path in inside or path in outside:
                    continue
                if matches(path):
                    inside.add(path)
                elif not is_installed(path):
                    outside.add(path)
                else:
                    continue
                queue += self._imports(path)
            self._files[key] = frozenset(inside), frozenset(outside)
        return self._files[key]

    def _imports(self, path: str) -> tuple[str, ...]:
        if path not in self._imported:
            names = self._sources.read(path).imports
            found = {file for name in names for file in self._modules.of(name, path)}
            self._imported[path] = (*packages_above(path), *sorted(found - {path}))
        return self._imported[path]

    def digest(
        self,
        starts: Iterable[str],
        matches: Matches,
        scope: str,
        *,
        reached: Reached,
        entered: Iterable[Place],
        always: Iterable[str],
    ) -> str:
        """Return a digest of the code that decides an audit.

        Parameters:
            starts, matches, scope: as for :meth:`files`.
            reached: what the audit has shown.
            entered: functions that run unmeasured, such as fixtures.
            always: names of functions that are called without being mentioned.
        """
        view = self._view(*self.files([*starts, *reached.functions], matches, scope))
        closure = _closure(view, reached, entered, always)
        functions = [
            f"{path} {name} {each.digest}"
            for path, name in sorted(closure.functions)
            for each in view.at.get((path, name), (_GONE,))
        ]
        members = [
            f"{path} {owner} {' '.join(sorted(name for _, name in view.members.get((path, owner), ()) if not _is_test(name)))}"
            for path, owner in sorted(closure.used)
        ]
        named = [f"{word} {view.functions[word]}" for word in sorted(reached.called & view.functions.keys())]
        return digest(view.rests, *functions, "", *members, "", *named)

    def deciding(
        self,
        starts: Iterable[str],
        matches: Matches,
        scope: str,
        *,
        files: Iterable[str],
        reached: Callable[[], Reached],
        entered: Iterable[Place],
        always: Iterable[str],
    ) -> Deciding:
        """Return the code that decides an audit.

        Parameters:
            starts, matches, scope, entered, always: as for :meth:`digest`.
            files: the files of which something was reached.
            reached: returns what that is.
        """
        inside, outside = self.files([*starts, *files], matches, scope)
        view = self._view(inside, outside)
        return Deciding(view, inside, outside, reached, lambda known: _closure(view, known, entered, always))

    def _view(self, inside: frozenset[str], outside: frozenset[str]) -> _View:
        key = inside, "\n".join(sorted(outside))
        if key not in self._views:
            self._views[key] = _View(self._sources, inside, outside)
        return self._views[key]


def _closure(view: _View, reached: Reached, entered: Iterable[Place], always: Iterable[str]) -> _Closure:
    """Return the functions that decide; parameters as for :meth:`DecidingCode.digest`."""
    closure = _Closure(view, view.base)
    closure.reach((path, name) for path, names in reached.functions.items() for name in names)
    for place in entered:
        closure.enter(place)
    closure.mention(always)
    closure.mention(reached.words)
    return closure


def _is_test(name: str) -> bool:
    """Return whether a method is a test, by its name: tests do not call each other."""
    return name.rpartition(".")[2].startswith("test")


class _Gone:
    """Stands for a function that is no longer there."""

    digest = "gone"


_GONE = _Gone()
