"""The report for people in a browser: one HTML file that needs no other file and sends no request.

One file can be mailed, attached to a build and opened from disk; a folder of pages would have to be packed first. All of it is plain HTML,
written at once: where no scripts run it is one long page on which every link works. The script shows one part at a time, sorts and
searches. The files and the defects stand in ``<noscript>`` elements, which a browser that runs scripts does not parse: a page with 2,000
defects opens as fast as its tables. The policy in the head of the page lets a browser run that script alone, by its hash, and load nothing.

Names, sources and reasons come from the code under test: templates escape all of them. Only what Pygments has highlighted, which
escapes it itself, and our own style and script are inserted as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Audit


def encode(audits: Sequence[Audit], shard: str, shortfall: str = "") -> bytes:
    """Return the content of the file; see :class:`~pytest_maskcheck.reports.formats.Format`."""
    # Jinja2 and Pygments take 0.1 s to import, and most sessions write no HTML.
    from pytest_maskcheck.reports.html.page import rendered

    # A name that is not text, such as a path of other bytes, is shown with backslashes.
    return rendered(audits, shard, shortfall).encode("utf-8", "backslashreplace")
