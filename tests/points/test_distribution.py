"""Tests of the project's own distribution: its name, where it is installed, and that it is audited by default."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_maskcheck.points import distribution
from pytest_maskcheck.points.distribution import Installed
from tests.conftest import read_audits

NAMES = {
    "project": ("pyproject.toml", '[project]\nname = "My.Shop"\n'),
    "poetry": ("pyproject.toml", '[tool.poetry]\nname = "My.Shop"\n'),
    "setup.cfg": ("setup.cfg", "[metadata]\nname = My.Shop\n"),
    "setup.py": ("setup.py", "from setuptools import setup\nsetup(version='1', name='My.Shop')\n"),
    "sdist": ("PKG-INFO", "Metadata-Version: 2.1\nName: My.Shop\nVersion: 1\n\nName: other\n"),
}

NO_NAMES = {
    "none": ("pyproject.toml", "[tool.ruff]\nline-length = 120\n"),
    "broken": ("pyproject.toml", "[project\n"),
    "strange": ("pyproject.toml", "project = 3\n"),
    "no text": ("setup.cfg", "[metadata]\nname\n"),
    "computed": ("setup.py", "from setuptools import setup\nsetup(name=find_name())\n"),
    "no Python": ("setup.py", "def (\n"),
}


@pytest.mark.parametrize("case", NAMES)
def test_the_name_is_read_from_the_project(tmp_path: Path, case: str) -> None:
    """The name is read from each file that may contain it, even if the root is a directory below that file's."""
    file, text = NAMES[case]
    (tmp_path / file).write_text(text)
    (tmp_path / "tests").mkdir()
    assert distribution.project_name(str(tmp_path)) == "My.Shop"
    assert distribution.project_name(str(tmp_path / "tests")) == "My.Shop"


@pytest.mark.parametrize("case", NO_NAMES)
def test_a_project_without_a_name_has_none(tmp_path: Path, case: str) -> None:
    """A file without a name, or one that cannot be parsed, is skipped, and the next file is read."""
    file, text = NO_NAMES[case]
    (tmp_path / file).write_text(text)
    (tmp_path / "PKG-INFO").write_text("Name: next\n")
    assert distribution.project_name(str(tmp_path)) == "next"


def install(site: Path, name: str, files: dict[str, str], project: Path | None = None, **extra: str) -> None:
    """Install a distribution as installers do: files, metadata, record, and the project's URL if it is editable."""
    info = f"{name.replace('-', '_')}-1.dist-info"
    url = {"url": project.as_uri(), "dir_info": {"editable": True}} if project else {"url": "file:///x", "dir_info": {}}
    written = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/direct_url.json": json.dumps(url),
        **{f"{info}/{file}": text for file, text in extra.items()},
    }
    for path, text in written.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(dedent(text))
    record = [*written, f"{info}/RECORD", "../../../bin/tool", "shop/__pycache__/till.pyc"]
    (site / info / "RECORD").write_text("".join(f"{path},,\n" for path in record))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory on ``sys.path`` for installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_code_of_a_plain_installation(site: Path) -> None:
    """In a plain installation, packages are directories, modules are files, and directories of namespaces are left out."""
    files = dict.fromkeys(
        [
            "shop/__init__.py",
            "shop/parts/till.py",
            "shop_tool.py",
            "space/own/__init__.py",
            "space/own/a.py",
            "space/b.py",
        ],
        "",
    )
    install(
        site,
        "my-shop",
        {**files, "old/__init__.py": "", "old/shop/__init__.py": ""},
        **{"namespace_packages.txt": "old\n"},
    )
    found = distribution.installed("My.Shop")
    assert found == Installed(
        "My.Shop",
        tuple(str(site / name) for name in ("old/shop", "shop", "space/own")),
        tuple(str(site / name) for name in ("old/__init__.py", "shop_tool.py", "space/b.py")),
    )


def test_code_of_an_editable_installation_is_the_project(site: Path, tmp_path: Path) -> None:
    """An editable installation is the project's directory, even if the URL of the directory has quoted characters."""
    project = tmp_path / "my shop"
    project.mkdir()
    install(site, "my-shop", {"my_shop.pth": str(project / "src")}, project)
    assert distribution.installed("my-shop") == Installed("my-shop", (str(project),), editable=True)


def test_what_is_not_installed_has_no_code(site: Path, tmp_path: Path) -> None:
    """A project that is not installed, one without a name, and one installed without Python code have no installation."""
    install(site, "empty", {})
    assert distribution.installed("no-such-distribution") is None
    assert distribution.installed("empty") is None
    assert distribution.project_distribution(str(tmp_path)) is None


# Audits in a virtual environment

TILL = """
    import threading

    LOCK = threading.Lock()

    def take():
        LOCK.acquire()
        len("x")
        LOCK.release()
    """

TEST = """
    import other, pytest
    from shop import till

    @pytest.mark.interrupt_safe
    def test_take():
        other.use()
        till.take()
    """

OTHER = """
    def use():
        return len("x")
    """


@pytest.mark.parametrize("editable", [False, True], ids=["plain", "editable"])
def test_an_installed_project_is_audited_by_default(tmp_path: Path, editable: bool) -> None:
    """An installed project has points, in an environment below the root or in ``src/`` beside the root; other packages have none."""
    venv.create(tmp_path / ".venv", symlinks=True)
    (site,) = (tmp_path / ".venv").glob("lib/python*/site-packages")
    paths = [sysconfig.get_path("purelib"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    (site / "base.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in paths if path))
    install(site, "other", {"other.py": OTHER})
    root = tmp_path / "tests" if editable else tmp_path
    code = tmp_path / "src" / "shop" if editable else site / "shop"
    install(site, "my-shop", {"my_shop.pth": f"{code.parent}\n"}, tmp_path if editable else None)
    if not editable:
        install(site, "my-shop", {"shop/__init__.py": "", "shop/till.py": TILL})
    files = {
        code / "__init__.py": "",
        code / "till.py": TILL,
        tmp_path / "pyproject.toml": '[project]\nname = "my-shop"\n',
        root / "pytest.ini": "[pytest]\n",
        tmp_path / "tests" / "test_shop.py": TEST,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    command = ("-m", "pytest", "-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider", "--maskcheck")
    done = subprocess.run(
        [tmp_path / ".venv" / "bin" / "python", *command, "--maskcheck-report=json:report.json"],
        cwd=root,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    place = tmp_path if editable else code
    assert f"maskcheck: scope: the root directory and my-shop ({place}), and the tests\n" in done.stdout
    (audit,) = read_audits(root / "report.json")
    assert {Path(point.file).name for point in audit.points} == {"test_shop.py", "till.py"}
    assert [defect.kind for defect in audit.failures] == ["lock"]
    assert audit.unaudited == ("other",)
    assert "SCOPE" not in done.stdout
