"""Which code decides what an audit of a test finds, and a digest of it.

1. Files: those that the test and the code it reached may import, directly or not, as far as they are no installed packages: these are
   known by their versions. Of files in scope, the rests and some of the functions decide. Of others, such as a neighbour project that is
   installed in editable form, the whole text decides, as nobody measured which of their functions were reached.
2. Functions: those that runs entered, interrupted or not, if all of these are known (:mod:`pytest_maskcheck.system.entered`). An
   interrupted run is the same as before up to the first function that was edited, so that nothing changes for a test none of whose runs
   entered that one. What is mentioned without being entered is compared from outside: where the functions of a name are, their arguments,
   and which methods the classes in use have.
3. Otherwise, the functions that the test reached, and those that an interrupted run may come to besides. These are found by name: every function
   in those files that has a name which was mentioned counts, and all that it mentions, and so on. A class that was mentioned counts with
   its special methods, which are called without being mentioned; of a class that was in use, only those count that leaving a block or
   the end of an object call.
   A name of a variable or an alias leads to what it stands for. What a decorator may have stored in a variable or an attribute counts
   for every test, like whatever the import of a file calls.
4. Of a call that the test made, the function is known. It may still come to another one once there is a new one of that name (an
   override), so the places of all functions of that name decide, too.

What does not work: functions whose names are computed (``getattr(self, f"visit_{kind}")``) are seen only if the test reached them, or if
they are added to a class of which it reached something. Data files, environment variables, and code in other languages are not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.points.besides import Besides
from pytest_maskcheck.points.code_view import Closure, CodeView, Place, is_test
from pytest_maskcheck.points.functions import digest
from pytest_maskcheck.points.module_files import ModuleFiles, is_installed, packages_above

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from pytest_maskcheck.points.code_names import CodeNames
    from pytest_maskcheck.points.functions import Function
    from pytest_maskcheck.points.source_files import SourceFiles
    from pytest_maskcheck.system.entered import Key

Matches = Callable[[str], bool]
"""Returns whether a file is in scope."""


@dataclass(frozen=True, slots=True, repr=False)
class Reached:
    """What an audit shows about the code that decides it.

    Parameters:
        functions: file -> the qualified names of the functions that were reached.
        words: the names of what an interrupted run may come to besides.
        called: the names of what was called.
        is_all: these are the functions that any run entered, interrupted or not; then words are not needed.
        unwatched: if ``is_all``, the files that were imported while nothing watched: what that entered is not known.
    """

    functions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    words: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()
    is_all: bool = False
    unwatched: tuple[str, ...] = ()

    @classmethod
    def entered(
        cls,
        codes: CodeNames,
        lines: Mapping[str, Iterable[int]],
        files: Iterable[str],
        has: Callable[[Key], bool],
        watched: Container[str],
    ) -> Reached:
        """Return what records show that runs entered, and the import of files.

        Parameters:
            codes: finds the code of functions.
            lines: the lines that runs reached, by absolute path: these count, too.
            files: where to look for functions that were entered.
            has: returns whether code was entered.
            watched: the files that were imported while all that is entered was noted.
        """
        functions = {}
        unwatched = tuple(sorted(path for path in files if path not in watched))
        for path in sorted({*files, *lines}):
            reached = lines.get(path, ())
            names = (
                each.name
                for each, inner in codes.of(path)
                if any(each.first <= line <= each.last for line in reached) or any(map(has, inner))
            )
            functions[path] = tuple(dict.fromkeys(names))
        found = {path: names for path, names in functions.items() if names or path in lines}
        return cls(found, is_all=True, unwatched=unwatched)

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
        return [
            self.functions,
            " ".join(sorted(self.words)),
            " ".join(sorted(self.called)),
            self.is_all,
            [*self.unwatched],
        ]

    @classmethod
    def from_json(cls, data: list[Any]) -> Reached:
        """Return what :meth:`to_json` described."""
        functions, words, called, is_all, unwatched = data
        known = {path: tuple(names) for path, names in functions.items()}
        return cls(known, frozenset(words.split()), frozenset(called.split()), is_all, tuple(unwatched))


def _within(function: Function, lines: Iterable[int]) -> set[int]:
    return {line for line in lines if function.first <= line <= function.last}


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
        view: CodeView,
        inside: frozenset[str],
        whole: frozenset[str],
        reached: Callable[[], Reached],
        start: Callable[[Reached], Closure],
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
    def _closure(self) -> Closure:
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
            and ((path, each.owner) not in self._closure.used or is_test(each.name))
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
        self._views: dict[tuple[frozenset[str], str], CodeView] = {}
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
        closure = (_entered if reached.is_all else _closure)(view, reached, entered, always)
        functions = [
            f"{path} {name} {each.digest}"
            for path, name in sorted(closure.functions)
            for each in view.at.get((path, name), (_GONE,))
        ]
        members = [f"{path} {owner} {view.names((path, owner))}" for path, owner in sorted(closure.used)]
        if reached.is_all:
            named = [f"{word} {view.faces(word)}" for word in sorted(closure.words & view.functions.keys())]
        else:
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

    def _view(self, inside: frozenset[str], outside: frozenset[str]) -> CodeView:
        key = inside, "\n".join(sorted(outside))
        if key not in self._views:
            self._views[key] = CodeView(self._sources, inside, outside)
        return self._views[key]


def _closure(view: CodeView, reached: Reached, entered: Iterable[Place], always: Iterable[str]) -> Closure:
    """Return the functions that decide; parameters as for :meth:`DecidingCode.digest`."""
    closure = Closure(view, view.base)
    closure.reach((path, name) for path, names in reached.functions.items() for name in names)
    for place in entered:
        closure.enter(place)
    closure.mention(always)
    closure.mention(reached.words)
    return closure


def _entered(view: CodeView, reached: Reached, entered: Iterable[Place], always: Iterable[str]) -> Closure:
    """Return the functions that decide if all that were entered are known, with the names that these mention.

    Parameters as for :meth:`DecidingCode.digest`; ``entered`` and ``always`` run before the audit, where nobody watches.
    """
    closure = Closure(view, view.imported(reached.unwatched))
    for place in entered:
        closure.enter(place)
    closure.mention(always)
    places = [(path, name) for path, names in reached.functions.items() for name in names]
    closure.look(places)
    return closure


class _Gone:
    """Stands for a function that is no longer there."""

    digest = "gone"


_GONE = _Gone()
