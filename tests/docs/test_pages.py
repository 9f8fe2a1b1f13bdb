"""README and tutorial are true: their files are written and their commands run as they stand on the page, and print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.newest, pytest.mark.slow]

ROOT = Path(__file__).parents[2]

PAGES = {"README.md": 2, "docs/tutorial.md": 4}
"""Page -> the number of commands that print what it says."""

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(\w+\.py)`")


@dataclass(frozen=True)
class Ran:
    """A command of a page: what the page says that it prints, and what it printed."""

    command: str
    says: list[str]
    printed: str


class Reader:
    """Somebody who follows a page in an empty folder, from its top to its end."""

    def __init__(self, page: str, folder: Path) -> None:
        self._text = (ROOT / page).read_text(encoding="utf-8")
        self.folder = folder
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    def follow(self) -> Iterator[Ran]:
        """Write each file that the text before a block names, and run each command that is followed by what it prints."""
        end = 0
        for block in BLOCK.finditer(self._text):
            before, end = self._text[end : block.start()], block.end()
            language, text = block.groups()
            if language == "console" and (says := [line for line in text.splitlines() if not line.startswith("$ ")]):
                command, *_ = text.removeprefix("$ ").splitlines()
                yield Ran(command, says, self.run(command))
            elif language == "python" and before.rstrip().endswith(":") and (named := FILE.findall(before)):
                (self.folder / named[-1]).write_text(text, encoding="utf-8")

    def run(self, command: str) -> str:
        """Run a command, and return what it prints."""
        python = (
            f'python() {{ "{sys.executable}" "$@"; }}; pytest() {{ python -m pytest -p pytest_maskcheck.plugin "$@"; }}'
        )
        done = subprocess.run(
            ["bash", "-c", f"{python}; {command}"],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_ADDOPTS": "-p no:cacheprovider",
                "PYTEST_PLUGINS": "pytest_maskcheck.plugin",
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.stdout + done.stderr


def _comparable(text: str) -> str:
    """Return text without measured times, and with single spaces."""
    return re.sub(r"(exposed) .*", r"\1", re.sub(r"[ \t]+", " ", text))


@pytest.mark.parametrize("page", PAGES)
def test_commands_print_what_the_page_says(page: str, tmp_path: Path) -> None:
    """Each line that the page shows is printed, but for times, and in that order."""
    ran = list(Reader(page, tmp_path).follow())
    assert len(ran) == PAGES[page]
    for each in ran:
        rest = _comparable(each.printed)
        for line in filter(str.strip, map(_comparable, each.says)):
            assert line in rest, f"{each.command}\n{line!r} is not in\n{rest}"
            rest = rest.partition(line)[2]


def test_what_does_not_help(tmp_path: Path) -> None:
    """What the tutorial warns of, ``except BaseException: release(); raise`` in the pool, still loses a slot."""
    page = "docs/tutorial.md"
    reader = Reader(page, tmp_path)
    (idea,) = re.findall(
        r"^```python\n(    def take.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    next(reader.follow())  # up to the first command
    pool = tmp_path / "pool.py"
    before = pool.read_text(encoding="utf-8")
    pool.write_text(re.sub(r"    def take.*?\n\n", lambda _: f"{idea}\n", before, flags=re.DOTALL), encoding="utf-8")
    assert idea in pool.read_text(encoding="utf-8")
    printed = reader.run("pytest --maskcheck")
    assert "leak: semaphore Pool._slots" in printed
    assert "1 failed" in printed
