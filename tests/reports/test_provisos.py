"""What verdicts are not about is said in every format: code that only the tests import, and files that have changed since the audit."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_maskcheck.reports import badge, github, gitlab, html, markdown, sarif
from pytest_maskcheck.reports.provisos import changed, provisos
from pytest_maskcheck.reports.source_content import digest
from pytest_maskcheck.reports.summary import summary
from tests.reports.exported import SOURCE, audit, finding

FORMATS = {
    "sarif": sarif.encode,
    "gitlab": gitlab.encode,
    "markdown": markdown.encode,
    "html": html.encode,
    "github": lambda audits, _shard: "".join(github.commands(audits)).encode(),
    "terminal": lambda audits, _shard: "\n".join(summary(audits)).encode(),
}

TESTS_ONLY = replace(audit(), reached={"test_a.py": "1-3"}, own=("test_a.py",), unaudited=("bank",))


def said(text: str, audits) -> dict[str, bool]:
    """Return which formats say something; Markdown escapes names."""
    return {
        name: text in encode(audits, "").decode().replace("\\_", "_").replace("&#39;", "'").lower()
        for name, encode in FORMATS.items()
    }


def color(audits) -> str:
    return json.loads(badge.encode(audits, ""))["color"]


@pytest.fixture
def file(tmp_path):
    """A source file that an audit is about."""
    path = tmp_path / "a.py"
    path.write_text(SOURCE)
    return path


def of(file, **more):
    """Return an audit without a defect that knows the file as it is."""
    whole = audit(finding(fails=False, file=str(file)), file=str(file))
    return replace(whole, reached={"a.py": "1-6"}, digests={"a.py": digest(file.read_bytes())}, **more)


def test_where_only_the_tests_were_audited_every_format_says_so(file) -> None:
    """An audit of tests that import other code, and of nothing else, is green in no format; one that reaches the code is."""
    text = "only the tests' own code was audited, and none of what they import (bank)"
    assert set(said(text, [TESTS_ONLY]).values()) == {True}
    assert set(said("only the tests' own code", [TESTS_ONLY, of(file)]).values()) == {False}


def test_the_colour_of_a_badge_of_tests_alone() -> None:
    """If tests import code that was not audited, the badge is not green; if they have the code themselves, it may be."""
    point = audit(finding(fails=False))
    line = {"reached": {"a.py": "2"}, "own": ("a.py",)}
    assert color([replace(point, **line, unaudited=("bank",))]) == "yellow"
    assert color([replace(point, **line)]) == "brightgreen"


def test_a_file_that_has_changed_is_named_in_every_format(file) -> None:
    """A file that is another one now is named, and the badge is not green; while it is the same one, nothing is said."""
    audits = [of(file)]
    text = "1 file has changed since the audit"
    assert set(said(text, audits).values()) == {False}
    assert color(audits) == "brightgreen"
    file.write_text(f"# new\n{SOURCE}")
    formats = said(text, audits)
    assert formats.pop("html") is False  # it names the file in a sentence of its own
    assert set(formats.values()) == {True}
    assert color(audits) == "yellow"


def test_which_files_have_changed(file) -> None:
    """A file without a digest has changed, if it can be read; one that is gone, or of an earlier result, has not."""
    assert changed([of(file)]) == []
    assert changed([replace(of(file), digests={"a.py": ""})]) == ["a.py"]
    assert changed([replace(of(file), digests={"a.py": "0"}, earlier=True)]) == []
    assert [each.code for each in provisos([replace(of(file), digests={"a.py": "0"})])] == ["changed"]
    gone = replace(of(file), digests={"a.py": "0"})
    file.unlink()
    assert changed([gone]) == []


def test_columns_of_a_file_that_has_changed_are_not_those_of_the_audit(file) -> None:
    """SARIF has columns while the file is the one that was audited, and lines alone afterwards."""
    defect = audit(finding(file=str(file)), file=str(file))
    audits = [replace(defect, digests={"a.py": digest(file.read_bytes())})]

    def region() -> dict[str, int]:
        (result,) = json.loads(sarif.encode(audits, ""))["runs"][0]["results"]
        return result["locations"][0]["physicalLocation"]["region"]

    assert region() == {"startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 19}
    file.write_text(f"# new\n{SOURCE}")
    assert region() == {"startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 1}
