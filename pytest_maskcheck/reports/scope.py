"""The line of pytest's header that names the audited code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def scope_line(
    include: Sequence[str], exclude: Sequence[str], configured: Sequence[str], project: str, places: Sequence[str]
) -> str:
    """Return which code is audited by default, for the header.

    Parameters:
        include, exclude: the settings.
        configured: the patterns that coverage's configuration includes.
        project: the name of the project's own distribution, if it is in scope by default.
        places: where that project is installed, if not in the root directory.
    """
    if include:
        text = f"{', '.join(include)} (include)"
    elif configured:
        text = f"{', '.join(configured)} (coverage's configuration)"
    else:
        text = "the root directory" + (f" and {project}" if places else f", project {project}" if project else "")
        text += f" ({', '.join(places)})" if places else ""
    return text + (f", without {', '.join(exclude)}" if exclude else "") + ", and the tests"
