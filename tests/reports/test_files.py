"""Report files are written completely or not at all, and Ctrl-C during the writing ends the session in order."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reports import files

if TYPE_CHECKING:
    from tests.conftest import Run

pytestmark = pytest.mark.newest

INTERRUPTED = """
    import os, signal, time
    from types import SimpleNamespace

    import pytest

    from pytest_maskcheck.system import unpatched
    from pytest_maskcheck.reports import jsonfile


    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(session):
        def interrupted(*_, **__):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

        {replaced} = {value}
"""
TEST = """
    import pytest

    @pytest.mark.interrupt_safe
    def test_it():
        abs(-1)
"""
MOMENTS = {
    "made": ("jsonfile.json", "SimpleNamespace(dumps=interrupted)"),
    "renamed": ("unpatched.os.replace", "interrupted"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_while_a_report_is_written(pytester: pytest.Pytester, run: Run, moment: str) -> None:
    """Ctrl-C while a report is written keeps the former report and the summary, and the exit status is that of an interrupt."""
    replaced, value = MOMENTS[moment]
    pytester.makeconftest(INTERRUPTED.format(replaced=replaced, value=value))
    pytester.makepyfile(TEST)
    Path("report.json").write_text("former")
    result = run("--maskcheck", "--maskcheck-report=json:report.json")
    output = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.INTERRUPTED, output
    assert "Traceback" not in output
    result.stdout.fnmatch_lines(
        ["INTERRUPTED while the report was made: it was not written", "*1 test audited*", "*1 passed*"]
    )
    assert Path("report.json").read_text() == "former"
    assert not [name for name in os.listdir() if name.startswith(".report.json")]


def test_a_report_that_nobody_interrupts_is_written(pytester: pytest.Pytester, run: Run) -> None:
    """A new report replaces the former one, and no temporary file is left beside it."""
    pytester.makepyfile(TEST)
    Path("report.json").write_text("former")
    result = run("--maskcheck", "--maskcheck-report=json:report.json")
    assert result.ret == pytest.ExitCode.OK
    assert json.loads(Path("report.json").read_text())["schema"]
    assert not [name for name in os.listdir() if name.startswith(".report.json")]


def test_a_file_keeps_its_mode_and_its_symbolic_links(tmp_path: Path) -> None:
    """Writing to a symbolic link replaces the file that it points to, which keeps its mode."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"former")
    file.chmod(0o640)
    link.symlink_to(file)
    files.write(str(link), b"new")
    assert (link.is_symlink(), file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (True, b"new", 0o640)
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    """A new file has the mode that follows from the umask."""
    file, usual = tmp_path / "file", tmp_path / "usual"
    files.write(str(file), b"new")
    usual.touch()
    assert file.stat().st_mode == usual.stat().st_mode


def test_other_names_of_a_file_stay_names_of_it(tmp_path: Path) -> None:
    """A file with several hard links is written in place, so that all of them have the new content."""
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_bytes(b"former")
    os.link(file, other)
    files.write(str(file), b"new")
    assert other.read_bytes() == b"new"


def test_where_nothing_can_be_made_beside_it_a_file_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is written in place if the temporary file cannot be made, as in a directory without write permission."""
    file = tmp_path / "file"
    file.write_bytes(b"former")
    number = file.stat().st_ino
    (tmp_path / f".file.{os.getpid()}").touch()
    files.write(str(file), b"new")
    assert (file.read_bytes(), file.stat().st_ino) == (b"new", number)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_device_is_written_in_place() -> None:
    """A device is not replaced by a file, and errors of writing to it are raised."""
    with pytest.raises(OSError, match="No space left"):
        files.write("/dev/full", b"new")
    assert Path("/dev/full").is_char_device()
