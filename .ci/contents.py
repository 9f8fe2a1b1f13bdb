"""Check what is in the sdist and the wheel in a folder: ``python .ci/contents.py FOLDER``.

The sdist has every file of the folders that it is made of, the tests among them, and no other; the wheel has the package and
its metadata. Where git knows which files are the project's, the others (caches, editors' files) count as stray.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
ALWAYS = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}
"""What hatchling puts into each sdist; the last one, which says what is stray, too."""

METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def project_files() -> set[str]:
    """Return the files of the project: those that git tracks, or, outside of a clone, all that look like sources."""
    if (TOP / ".git").exists():
        command = ["git", "-C", str(TOP), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
        return {name for name in listed if name and (TOP / name).exists()}
    stray = {"__pycache__", "dist", "build"}
    files = (path.relative_to(TOP) for path in TOP.rglob("*") if path.is_file())
    return {
        str(path) for path in files if not (stray & {*path.parts} or any(part[0] == "." for part in path.parts[:1]))
    }


def wanted_in_sdist() -> set[str]:
    """Return what pyproject.toml names, file by file."""
    with (TOP / "pyproject.toml").open("rb") as file:
        included = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    places = [place.strip("/") for place in included]
    return ALWAYS | {name for name in project_files() if any(name == p or name.startswith(f"{p}/") for p in places)}


def compared(what: str, found: set[str], wanted: set[str]) -> list[str]:
    """Return what is wrong, one line for each file."""
    missing = [f"{what} lacks {name}" for name in sorted(wanted - found)]
    return missing + [f"{what} has {name}, which does not belong there" for name in sorted(found - wanted)]


def check_sdist(path: Path) -> list[str]:
    """Compare the sdist with the project."""
    with tarfile.open(path) as archive:
        names = [member.name for member in archive if not member.isdir()]
        links = [member.name for member in archive if member.issym() or member.islnk()]
    root = path.name.removesuffix(".tar.gz")
    outside = [f"the sdist has {name}, outside of {root}" for name in names if not name.startswith(f"{root}/")]
    found = {name.removeprefix(f"{root}/") for name in names}
    untested = [] if any(name.startswith("tests/") for name in found) else ["the sdist has no tests"]
    return [
        *outside,
        *untested,
        *(f"the sdist has a link {name}" for name in links),
        *compared("the sdist", found, wanted_in_sdist()),
    ]


def check_wheel(path: Path) -> list[str]:
    """Compare the wheel with the package."""
    with zipfile.ZipFile(path) as archive:
        found = set(archive.namelist())
    name, version, *_ = path.name.split("-")
    package = {each for each in project_files() if each.startswith("pytest_maskcheck/")}
    return compared("the wheel", found, package | {f"{name}-{version}.dist-info/{each}" for each in METADATA})


def main(folder: Path) -> int:
    """Check the only sdist and the only wheel in a folder."""
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    wrong = check_sdist(sdist) + check_wheel(wheel)
    print(*(wrong or [f"{sdist.name} and {wheel.name}: contents as they should be"]), sep="\n")  # noqa: T201  (a command)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
