"""The formats of report files. A new format is one module that encodes a session, and one row here.

The option ``--maskcheck-report=FORMAT:PATH``, ``merge --report FORMAT:PATH`` and what they say of a format that does not exist
are driven by :data:`FORMATS`. Formats only encode; how a file is written, so that it is whole or not there, is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_maskcheck.reports import files, jsonfile
from pytest_maskcheck.results import Audit


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Parameters:
        encode: returns the content of the file for the audits of a session, and the shard that it was, such as ``1/3``, or ``""``.
        example: a name for such a file, for messages.
    """

    encode: Callable[[Sequence[Audit], str], bytes]
    example: str


FORMATS: dict[str, Format] = {
    "json": Format(jsonfile.encode, "maskcheck.json"),
}
"""Every format by the name that options give it. The first one is the one that ``merge`` reads, and writes by default."""


def parse(text: str) -> tuple[str, str]:
    """Return the format and the path that ``FORMAT:PATH`` names.

    Raises:
        ValueError: it names none; the message says what it must be.
    """
    name, _, path = text.partition(":")
    if name not in FORMATS or not path:
        first, *_ = FORMATS
        raise ValueError(
            f"it must be FORMAT:PATH with FORMAT {' or '.join(FORMATS)}, such as {first}:{FORMATS[first].example}"
        )
    return name, path


def write(name: str, path: str, audits: Sequence[Audit], shard: str = "") -> None:
    """Write the audits of a session, or of one shard of it, to ``path``.

    Raises:
        OSError: the file cannot be written.
    """
    files.write(path, FORMATS[name].encode(audits, shard))
