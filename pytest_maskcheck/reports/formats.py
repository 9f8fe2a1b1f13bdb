"""The formats of report files. A new format is one module that encodes a session, and one row here.

The option ``--maskcheck-report=FORMAT:PATH``, ``merge --report FORMAT:PATH`` and their messages about an unknown format are driven by
:data:`FORMATS`. Formats only encode. All files are written in the same way, so that a file is complete or absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_maskcheck.reports import badge, coverage_data, files, gitlab, html, jsonfile, markdown, sarif
from pytest_maskcheck.results import Audit
from pytest_maskcheck.system.unpatched import os


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Parameters:
        encode: returns the content of the file; it is passed the audits of a session, its shard, such as ``1/3``, or ``""``, and its
            shortfall: why it came no further as a whole, or ``""`` (see :mod:`.unaudited`).
        example: a name of such a file, for messages.
        index: the name of the file if the path is a folder; ``""``: the path must be that of a file.
        notes_lines: a session that writes it notes which lines run from interrupts on.
    """

    encode: Callable[[Sequence[Audit], str, str], bytes]
    example: str
    index: str = ""
    notes_lines: bool = False


FORMATS: dict[str, Format] = {
    "json": Format(jsonfile.encode, "maskcheck.json"),
    "html": Format(html.encode, "maskcheck.html", index="index.html"),
    "sarif": Format(sarif.encode, "maskcheck.sarif"),
    "markdown": Format(markdown.encode, "maskcheck.md"),
    "gitlab": Format(gitlab.encode, "gl-code-quality-report.json"),
    "badge": Format(badge.encode, "badge.json"),
    "coverage": Format(coverage_data.encode, "maskcheck.coverage", notes_lines=True),
}
"""Every format, by its name in options. ``merge`` reads the first one, and writes it by default."""


def parse(text: str) -> tuple[str, str]:
    """Return the format and the path that ``FORMAT:PATH`` names.

    Raises:
        ValueError: the text does not name a known format and a path, or a folder that is not there; the message states what it must be.
    """
    name, _, path = text.partition(":")
    if name not in FORMATS or not path:
        first, *_ = FORMATS
        raise ValueError(
            f"it must be FORMAT:PATH with FORMAT {' or '.join(FORMATS)}, such as {first}:{FORMATS[first].example}"
        )
    index = FORMATS[name].index
    if path.endswith(("/", os.sep)):  # as a folder is written; without a name, a file `new` would be made of `new/`
        if not index:
            raise ValueError(f"{name} is a file, and this path ends as that of a folder: name the file")
        if not os.path.isdir(path):
            raise ValueError("there is no such folder: make it first, or leave out the slash at the end for a file")
    return name, os.path.join(path, index) if index and os.path.isdir(path) else path


def write(name: str, path: str, audits: Sequence[Audit], shard: str = "", shortfall: str = "") -> None:
    """Write the audits of a session, or of one shard of it, to ``path``; ``shortfall``: why it came no further, or ``""``.

    Raises:
        OSError: the file cannot be written.
    """
    files.write(path, FORMATS[name].encode(audits, shard, shortfall))
