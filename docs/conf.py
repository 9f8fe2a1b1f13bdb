"""The site: plain Markdown, built by ``.ci/docs`` with Sphinx and MyST.

On GitHub the same files are read as they are. So links to other pages are links to their files, and links to code are relative, too; on
the site, which has the pages alone, these lead to the repository. The lists of links in ``index.md`` are the contents of the site.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from sphinx.util.logging import getLogger

ROOT = Path(__file__).resolve().parents[1]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_LEAVES = re.compile(r"\]\(((?:\.\./)+)(?!docs/)([^)#]*)")
"""A link that leaves the folder of the pages."""
_LOGGER = getLogger(__name__)

project = _PROJECT["name"]
author = _PROJECT["authors"][0]["name"]
release = _PROJECT["version"]
html_title = project
extensions = ["myst_parser", "sphinx_copybutton"]
html_theme = "furo"
html_theme_options = {
    "source_repository": _PROJECT["urls"]["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}
html_show_copyright = False
html_show_sphinx = False
myst_heading_anchors = 3
nitpicky = True
copybutton_exclude = ".linenos, .gp, .go"
exclude_patterns = ["_build"]


def _to_repository(app: Any, docname: str, source: list[str]) -> None:
    """Turn links that leave the folder of the pages into links to the repository; warn of those that lead nowhere."""
    page = ROOT / "docs" / f"{docname}.md"

    def link(match: re.Match[str]) -> str:
        target = (page.parent / match[1] / match[2]).resolve()
        if not target.exists():
            _LOGGER.warning("there is no %s", target, location=docname)
        kind = "tree" if target.is_dir() else "blob"
        return f"]({_PROJECT['urls']['Source']}/{kind}/main/{target.relative_to(ROOT)}"

    source[0] = _LEAVES.sub(link, source[0])


def _contents(app: Any, docname: str, source: list[str]) -> None:
    """Add the contents of the site to its first page: for each heading, the pages that the list below it links to."""
    if docname != "index":
        return
    for section in re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]:
        pages = "\n".join(re.findall(r"^- \[[^]]*\]\(([^):]*)\.md\)", section, re.MULTILINE))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {section.splitlines()[0]}\n\n{pages}\n```\n"


def setup(app: Any) -> dict[str, bool]:
    """Register what is written here with Sphinx."""
    app.connect("source-read", _to_repository)
    app.connect("source-read", _contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
