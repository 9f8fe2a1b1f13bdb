"""Formats of report files: each is one row of the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import __main__ as command
from pytest_maskcheck.reports import formats
from pytest_maskcheck.results import Audit, Point, PointResult

if TYPE_CHECKING:
    from tests.conftest import Run

pytestmark = pytest.mark.newest

TOY = """
    import pytest

    from pytest_maskcheck.reports import formats

    def encode(audits, shard, shortfall):
        return "".join(f"{audit.test} {audit.audited} {shard}\\n" for audit in audits).encode()

    formats.FORMATS["toy"] = formats.Format(encode, "maskcheck.toy")
"""
TEST = """
    import pytest

    @pytest.mark.interrupt_safe
    def test_it():
        abs(-1)
"""
AUDIT = Audit(
    "a.py::test",
    points=(Point("a.py:1:call#1", "a.py", "/a.py", 1, "call", 1, "f"),),
    results=(PointResult("a.py:1:call#1"),),
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a format to the registry of this process."""
    row = formats.Format(lambda audits, *_: "".join(audit.test for audit in audits).encode(), "maskcheck.toy")
    monkeypatch.setitem(formats.FORMATS, "toy", row)


def test_a_format_of_the_registry_is_written(pytester: pytest.Pytester, run: Run) -> None:
    """A session writes every report that the command line names, each in its format."""
    pytester.makeconftest(TOY)
    pytester.makepyfile(test_it=TEST)
    result = run(
        "--maskcheck",
        "--maskcheck-report=toy:report.toy",
        "--maskcheck-report=json:report.json",
        "--maskcheck-shard=1/1",
    )
    assert result.ret == pytest.ExitCode.OK
    (audit,) = json.loads(Path("report.json").read_text())["audits"]
    audited = sum(not each["reason"] for each in audit["results"])
    assert Path("report.toy").read_text() == f"test_it.py::test_it {audited} 1/1\n"


@pytest.mark.usefixtures("toy")
def test_merge_writes_a_format_of_the_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``merge --report`` writes a report in the format and to the path that it names, with or without JSON to ``-o``."""
    formats.write("json", str(tmp_path / "in.json"), [AUDIT])
    words = ["merge", str(tmp_path / "in.json"), "-o", str(tmp_path / "out.json")]
    assert command.main([*words, "--report", f"toy:{tmp_path / 'out.toy'}"]) == 0
    assert (tmp_path / "out.toy").read_text() == "a.py::test"
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "in.json").read_bytes()
    assert command.main([*words[:2], "--report", f"toy:{tmp_path / 'other.toy'}"]) == 0
    assert (tmp_path / "other.toy").exists()
    capsys.readouterr()


def test_merge_writes_no_two_reports_to_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two outputs in one file, one would be lost."""
    formats.write("json", str(tmp_path / "in.json"), [AUDIT])
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as error:
        command.main(["merge", str(tmp_path / "in.json"), "-o", str(out), "--report", f"html:{tmp_path}/./out"])
    assert error.value.code == 2
    assert f"json:{out} and html:{tmp_path}/./out name the same file" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("text", ["xml:x", "toy", "toy:", ":x"])
def test_merge_refuses_a_format_that_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """``merge`` refuses a ``--report`` without a known format and a path, names the formats that exist, and writes nothing."""
    formats.write("json", str(tmp_path / "in.json"), [AUDIT])
    with pytest.raises(SystemExit) as end:
        command.main(["merge", str(tmp_path / "in.json"), "-o", str(tmp_path / "out.json"), "--report", text])
    assert end.value.code == 2
    names = " or ".join(formats.FORMATS)
    expected = f"--report is {text!r}; it must be FORMAT:PATH with FORMAT {names}, such as json:maskcheck.json"
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_the_documentation_lists_the_formats() -> None:
    """The table in the documentation has one row for each format, in the order of the registry."""
    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    table = page.partition("| format | content |")[2].partition("\n\n")[0]
    assert [line.split("`")[1] for line in table.splitlines() if "`" in line] == [*formats.FORMATS]
