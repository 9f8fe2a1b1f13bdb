"""A data file of coverage.py, so that its own reports show where interrupts were delivered and which clean-up code ran.

The lines have contexts of our own: a report of that file alone shows what audits covered, and one that is combined with the data of a
measurement shows both, apart from each other. Data of branches and of lines cannot be combined, nor can absolute and relative paths; so
both are as the user's configuration of coverage has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.results.encoding import legible
from pytest_maskcheck.results.figures import figures
from pytest_maskcheck.system.unpatched import os, pathlib, tempfile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coverage import CoverageData

    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.results.figures import FileFigures

_CONTEXTS: dict[str, Callable[[FileFigures], frozenset[int]]] = {
    "maskcheck: interrupted, clean": lambda each: each.clean,
    "maskcheck: interrupted, defect": lambda each: each.interrupted & each.defects,
    "maskcheck: interrupted, listed": lambda each: each.interrupted & each.listed - each.defects,
    "maskcheck: interrupted, undecided": lambda each: each.interrupted & each.undecided - each.defects - each.listed,
    "maskcheck: clean-up": lambda each: each.cleanup or frozenset(),
}
"""Each line has one context; a pattern such as ``maskcheck: interrupted`` selects several."""


def encode(audits: Sequence[Audit], shard: str, shortfall: str = "") -> bytes:  # noqa: ARG001  (the same for all formats)
    """Return the content of the file; see :class:`~.formats.Format`."""
    from coverage import CoverageData  # here, as it takes long to import, and `merge` has no other need of it

    branch, relative = _configured()
    files = figures(audits)
    roots = _roots(files)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data")
        data = CoverageData(path)
        try:
            for context, lines_of in _CONTEXTS.items():
                lines = {_name(each, roots, relative=relative): lines_of(each) for each in files}
                _add(data, context, {name: numbers for name, numbers in lines.items() if numbers}, branch=branch)
            # Files without any such line are reported, too, with none of their lines covered.
            data.touch_files([_name(each, roots, relative=relative) for each in files])
        finally:
            data.close(force=True)
        return pathlib.Path(path).read_bytes()


def _add(data: CoverageData, context: str, lines: dict[str, frozenset[int]], *, branch: bool) -> None:
    data.set_context(context)
    if branch:
        # No branch is claimed to have been taken: coverage takes no account of a line that leads to itself.
        data.add_arcs({name: [(line, line) for line in numbers] for name, numbers in lines.items()})
    else:
        data.add_lines(lines)


def _configured() -> tuple[bool, bool]:
    """Return whether coverage measures branches, and has relative paths, as the configuration file here says."""
    from coverage import Coverage
    from coverage.exceptions import CoverageException

    try:
        configuration = Coverage(data_file=None)
    except CoverageException:  # it cannot be read: coverage itself will say so
        return False, False
    return bool(configuration.get_option("run:branch")), bool(configuration.get_option("run:relative_files"))


def _roots(files: Sequence[FileFigures]) -> list[str]:
    """Return the directories that paths in reports are relative to, as far as they are known from files with points."""
    known = (each.file.removesuffix(each.path) for each in files if each.file.endswith(f"{os.sep}{each.path}"))
    return list(dict.fromkeys(known))


def _name(each: FileFigures, roots: Sequence[str], *, relative: bool) -> str:
    """Return the name of a file in the data."""
    candidates = (os.path.join(root, each.path) for root in roots)
    path = each.file or next(filter(os.path.exists, candidates), os.path.abspath(each.path))
    return legible(os.path.relpath(path) if relative else path)  # a database takes no name that cannot be encoded
