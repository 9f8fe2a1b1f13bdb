"""The HTML report as text: what it says, what it escapes, and how large it is."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import __main__ as command
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports import formats, html
from pytest_maskcheck.reports.html import sources
from pytest_maskcheck.results import Audit, Exposure, SharedDefect, Verdict
from tests.reports.html.example import HOSTILE, REFUSED, STORE, UNREACHED, example

if TYPE_CHECKING:
    from tests.conftest import Run

pytestmark = pytest.mark.newest

TEST = """
    import threading

    import pytest

    LOCK = threading.Lock()

    @pytest.mark.interrupt_safe
    def test_it():
        LOCK.acquire()
        abs(-1)
        LOCK.release()
"""

VOID = {"meta", "link", "input", "wbr", "br", "img"}


class Page(HTMLParser):
    """A page as a browser without scripts reads it: the elements, and whether all of them are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text += data


def page_of(audits, shard: str = "") -> Page:
    return Page(html.encode(audits, shard).decode())


def words(page: Page) -> str:
    return " ".join(page.text.split())


def test_it_says_what_was_found(tmp_path: Path) -> None:
    """The page has the defects, the files with their numbers, and the story of each defect with its command."""
    page = page_of(example(tmp_path).audits)
    text = words(page)
    assert "1 defect makes a test fail" in text
    assert "1 test audited at 3 points" in text
    assert "1 further finding is only listed" in text
    assert "leak lock Store._lock" in text
    assert "It is held by" in text
    assert "Whoever acquires it next waits here for ever." in text
    assert "pytest --maskcheck-point 'src/store.py:10:call#1' test_store.py::test_put" in text
    assert "3 of 6 reached lines interrupted; 3 of 4 points audited; 1 defect" in text


def test_it_says_at_the_top_what_was_not_audited(tmp_path: Path) -> None:
    """Refused tests and undecided points are stated before the defects, with their reasons, and so are left-out hits."""
    text = words(page_of(example(tmp_path).audits))
    sentence = "Not audited: 1 test of 2 and 1 of 4 points."
    assert text.index(sentence) < text.index("Defects: those that fail")
    for reason in (REFUSED, UNREACHED):
        assert text.index(str(reason)) < text.index("Defects: those that fail")
    assert "7 hits left out" in text


def test_known_defects_are_counted_apart(tmp_path: Path) -> None:
    """What the baseline has is a known defect, no further finding, and its time is not among the vulnerable time of its file."""
    audit = example(tmp_path).audits[0]
    assert "vulnerable for" in words(page_of([audit]))
    known = replace(audit, known=tuple(name.digest for defect in audit.failures for name in defect.fingerprints))
    text = words(page_of([known]))
    assert "1 known defect, which the baseline has, fails no test. 1 further finding is only listed." in text
    assert "vulnerable for" not in text


def test_an_exposure_is_shown_as_what_is_known(tmp_path: Path) -> None:
    """The table, the lines and the files show the interval that was measured, not its middle."""
    audit = example(tmp_path).audits[0]
    (point,) = (point for point in audit.points if point.line == 10)
    wide = replace(audit, exposures={point.id: Exposure(0.0, 84.0)})
    text = words(page_of([wide]))
    assert text.count("0-84 \N{MICRO SIGN}s") >= 4
    assert "42 \N{MICRO SIGN}s" not in text


def test_the_numbers_of_a_file_add_up(tmp_path: Path) -> None:
    """Reached lines are interrupted, without a place, or not audited; the table has all three numbers."""
    audit = example(tmp_path).audits[0]
    reason = Reason(NotAudited.OTHER_THREAD)
    text = words(page_of([replace(audit, left_out={reason: 1}, left_out_at={reason: {"src/store.py": "15"}})]))
    assert "631 without a place2 not audited43" in text  # of 6 lines, 3 are interrupted; of 4 points, 3 are audited


def test_a_line_at_which_to_cure_has_a_mark(tmp_path: Path) -> None:
    """Where an interrupt is swallowed, the line of the ``except`` leads to the defect, though no interrupt was delivered there."""
    audit = example(tmp_path).audits[0]
    results = tuple(
        replace(
            each, findings=tuple(replace(found, verdict=Verdict.SWALLOWED) for found in each.findings if found.fails)
        )
        for each in audit.results
    )
    page = page_of([replace(audit, results=results)])
    assert marks_of(page)["9"] == "cure"
    assert "to be cured here: swallowed" in words(page)
    clean = page_of([replace(audit, results=tuple(replace(each, findings=()) for each in audit.results))])
    assert marks_of(clean)["9"] == "reached"


def test_the_legend_is_there_once(tmp_path: Path) -> None:
    """However many files there are, the marks are explained once."""
    page = page_of(example(tmp_path).audits)
    assert [attrs.get("class") for _, attrs in page.tags].count("legend") == 1


def test_a_page_without_files_or_defects_has_no_empty_tables() -> None:
    """Without audits there is no table, and no link to one; the title says what the page says first."""
    page = page_of([])
    assert not [tag for tag, _ in page.tags if tag == "table"]
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} == {"#content", "#overview", "#limits"}
    assert "maskcheck: No defect makes a test fail" in words(page)


def test_it_says_that_data_is_not_judged(tmp_path: Path) -> None:
    """Each page says that the data of one's own objects is judged only where a test states a guarantee."""
    for audits in ([], example(tmp_path).audits):
        assert "not the data of your own objects" in words(page_of(audits))


def test_it_says_when_all_was_audited() -> None:
    """A session without a limit says so, and one without an audit does not look clean."""
    assert "has a verdict" in words(page_of([Audit("a.py::test", points=(), earlier=True)]))
    nothing = words(page_of([]))
    assert "Nothing was audited" in nothing
    assert "has a verdict" not in nothing


def test_it_says_that_it_is_about_a_shard(tmp_path: Path) -> None:
    """The report of one shard says that the others have the rest."""
    assert "This is shard 1/3 of a session" in words(page_of(example(tmp_path).audits, "1/3"))


def test_each_line_has_its_mark(tmp_path: Path) -> None:
    """Lines are marked by what an interrupt there does: clean, defect, listed, not audited, only reached; others have no mark."""
    page = page_of(example(tmp_path).audits)
    marks = {
        attrs["id"].rpartition(":")[2]: attrs["class"].split()
        for tag, attrs in page.tags
        if tag == "li" and (attrs.get("id") or "").startswith("src/store.py:")
    }
    assert {line: each[0] for line, each in marks.items()} == {
        "8": "clean",
        "9": "cure",
        "10": "defect",
        "11": "listed",
        "14": "unaudited",
        "15": "reached",
    }
    assert "window" in marks["10"]


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    """Names, reasons, tests and sources with markup stay text, whichever field they are in."""
    hostile = replace(
        example(tmp_path).audits[0],
        refused="",
        breakdown=HOSTILE,
        unmeasured={HOSTILE: HOSTILE},
        unaudited=(HOSTILE,),
        no_first_use=HOSTILE,
        reached_first={HOSTILE: "3"},
        left_out={HOSTILE: 2},
        reached={f"{HOSTILE}.py": "1-3", "src/store.py": "8-11"},
    )
    tags = [tag for tag, _ in page_of([hostile, *example(tmp_path / "again").audits[1:]]).tags]
    assert tags.count("script") == 2  # our own
    assert "img" not in tags
    assert tags.count("noscript") == tags.count("article")


def test_what_is_no_text_is_shown() -> None:
    """Names of other bytes, which cannot be encoded, are written with backslashes."""
    assert b"test_\\udcff" in html.encode([Audit("test_\udcff.py::test", refused=REFUSED)], "")


def test_it_loads_nothing(tmp_path: Path) -> None:
    """No element names an address, and the policy of the page forbids all that is not in it."""
    page = page_of(example(tmp_path).audits)
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for _, attrs in page.tags:
        assert not {"src", "srcset", "style", "onclick", "onerror"} & attrs.keys()
        assert (attrs.get("href") or "#").startswith(("#", "data:,"))


def test_an_edit_is_shown_as_a_diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit that the command ``cure`` has saved in the report is part of the story; without one there is none."""
    session = example(tmp_path)
    edit = SimpleNamespace(title="a `mask`", diff=f"--- a/x.py\n@@ -1 +1 @@\n-{HOSTILE}\n+with mask():\n", tests=("a",))
    monkeypatch.setattr(SharedDefect, "edit", None, raising=False)
    assert "diff" not in {attrs.get("class") for _, attrs in page_of(session.audits).tags}
    monkeypatch.setattr(SharedDefect, "edit", edit, raising=False)
    page = page_of(session.audits)
    assert {"diff", "add", "del"} <= {attrs.get("class") for _, attrs in page.tags}
    assert f"Proven edit: a mask --- a/x.py @@ -1 +1 @@ -{HOSTILE} +with mask():" in words(page)


def test_links_have_a_target(tmp_path: Path) -> None:
    """Each link leads to an element of the page, and no id is there twice."""
    page = page_of(example(tmp_path, 3).audits)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {(attrs["href"] or "")[1:] for tag, attrs in page.tags if tag == "a"} <= {*ids}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "The source cannot be read (No such file or directory)"),
        (b"# coding: latin-1\nx = 'caf\xe9'\n" + STORE.encode(), "The file has changed since the audit"),
        (b"x = 'caf\xe9'\n", "The file cannot be decoded"),
        (b"# coding: klingon\n", "The file cannot be decoded"),
        (b"\0" * 9, ""),
        (b"x" * 2_000_001, "The source cannot be read (it has 2,000,001 bytes)"),
    ],
)
def test_sources_that_changed_are_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """A file that is missing, has changed, cannot be decoded or is too large leads to a sentence; its defects are still there."""
    session = example(tmp_path)
    file = tmp_path / "src" / "store.py"
    file.unlink() if content is None else file.write_bytes(content)
    text = words(page_of(session.audits))
    assert problem in text
    assert text.count("leak lock Store._lock") >= 3


def marks_of(page: Page, path: str = "src/store.py") -> dict[str, str]:
    """Return the number of each line that a page can link to -> its mark."""
    return {
        (attrs["id"] or "").rpartition(":")[2]: (attrs.get("class") or "").partition(" ")[0]
        for tag, attrs in page.tags
        if tag == "li" and (attrs.get("id") or "").startswith(f"{path}:")
    }


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("        with self._lock:\n", "        self._lock.acquire()\n", {"10": "defect"}),
        ('"""A store."""\n', '"""A store."""\n\n\n', {}),
        (STORE, STORE, None),
    ],
    ids=["edited", "moved", "same"],
)
def test_a_line_that_may_have_changed_is_not_marked_clean(
    tmp_path: Path, old: str, new: str, kept: dict[str, str] | None
) -> None:
    """If a file was edited anywhere since the audit, only lines of findings whose text is the same have a mark, and the page says so first."""
    session = example(tmp_path)
    (tmp_path / "src" / "store.py").write_text(STORE.replace(old, new), encoding="utf-8")
    page = page_of(session.audits)
    if kept is None:
        assert marks_of(page)["8"] == "clean"
        assert "changed since the audit" not in words(page)
        return
    assert {line: mark for line, mark in marks_of(page).items() if mark} == kept
    assert "1 file changed since the audit" in words(page).partition("Defects: ")[0]


@pytest.mark.parametrize(
    ("reason", "mark", "text"),
    [
        (Reason(NotAudited.HITS, hits=3), "sampled", "only the first, the second and the last time was audited"),
        (Reason(NotAudited.MAX_POINTS, max_points=2, seed=0), "partly", "partly left out: beyond max_points=2"),
        (Reason(NotAudited.PAUSED), "partly", "partly left out: within maskcheck.paused()"),
    ],
)
def test_a_line_says_what_was_left_out(tmp_path: Path, reason: Reason, mark: str, text: str) -> None:
    """A line of which hits were left out is not marked as clean each time; one without a point is not audited, and both say why."""
    audit = example(tmp_path).audits[0]
    assert (marks_of(page_of([audit]))["8"], marks_of(page_of([audit]))["15"]) == ("clean", "reached")
    page = page_of([replace(audit, left_out={reason: 7}, left_out_at={reason: {"src/store.py": "8,15"}})])
    assert (marks_of(page)["8"], marks_of(page)["15"]) == (mark, "unaudited")
    assert text in words(page)
    assert f"not audited: {reason}" in words(page)


def decided(folder: Path) -> Audit:
    """Return an audit with the points alone that have a verdict."""
    audit = example(folder).audits[0]
    kept = [number for number, result in enumerate(audit.results) if not result.reason]
    return replace(
        audit,
        points=tuple(audit.points[number] for number in kept),
        results=tuple(audit.results[number] for number in kept),
        left_out={},
    )


def warned(page: Page) -> bool:
    """Return whether the page warns of what was not audited."""
    return "missing" in (next(attrs["class"] for _, attrs in page.tags if attrs.get("id") == "limits") or "")


@pytest.mark.parametrize(
    ("reason", "sentence", "warns"),
    [
        (Reason(NotAudited.HITS, hits=3), "7 further turns of loops were left out", False),
        (Reason(NotAudited.OTHER_THREAD), "7 hits of places were left out", True),
        (Reason(NotAudited.IGNORED), "has a verdict.", False),
    ],
)
def test_it_counts_what_was_left_out(tmp_path: Path, reason: Reason, sentence: str, warns: bool) -> None:
    """The sentence that all chosen points have a verdict also counts what was not chosen; it is a warning if places are missing."""
    page = page_of([replace(decided(tmp_path), left_out={reason: 7})])
    assert f"Every test that passed, and every point that was chosen, has a verdict. {sentence}".replace(
        "has a verdict. has a verdict.", "has a verdict."
    ) in words(page)
    assert warned(page) is warns


def test_it_counts_tests_without_first_use(tmp_path: Path) -> None:
    """Where code that runs only once in a process was not audited, the first sentences say so, and warn."""
    said = "Code that runs only once in a process was not, or not wholly, audited in 1 test."
    audit = decided(tmp_path)
    lacking = page_of([replace(audit, no_first_use=Reason(NotAudited.NO_COLD_PROCESS))])
    assert (said in words(lacking), warned(lacking)) == (True, True)
    whole = page_of([audit])
    assert (said in words(whole), warned(whole)) == (False, False)


def test_a_line_that_only_a_first_run_reaches_is_not_audited(tmp_path: Path) -> None:
    """A line that the audit never interrupted as only the first run comes there says so."""
    audit = replace(example(tmp_path).audits[0], reached_first={"src/store.py": "15"})
    assert marks_of(page_of([audit]))["15"] == "unaudited"
    assert "not audited: only the first run of a process reaches it" in words(page_of([audit]))


SAMPLE = """
    import threading

    import pytest

    LOCK = threading.Lock()

    STEPS = [LOCK.locked] * 4 + [LOCK.acquire, LOCK.release] + [LOCK.locked] * 4

    def aside():
        abs(-2)

    @pytest.mark.interrupt_safe(hits=2)
    def test_it():
        for step in STEPS:
            step()
        thread = threading.Thread(target=aside)
        thread.start()
        thread.join()
"""


def test_a_session_marks_what_was_left_out(pytester: pytest.Pytester, run: Run) -> None:
    """A loop that leaks in its fifth turn, and a line reached on another thread alone, are not marked as clean or without a place."""
    pytester.makepyfile(test_it=SAMPLE)
    run("--maskcheck", "--maskcheck-report=html:o.html", "--maskcheck-report=badge:b.json")
    page = Page(Path("o.html").read_text(encoding="utf-8"))
    marks = marks_of(page, "test_it.py")
    assert marks["15"] == "sampled"
    assert marks["10"] == "unaudited"
    assert "not audited: line reached on another thread" in words(page)
    assert "only the first and the last time was audited" in words(page)
    assert '"yellow"' in Path("b.json").read_text(encoding="utf-8")


def test_without_a_digest_no_line_is_clean(tmp_path: Path) -> None:
    """A file of which audits do not know what it was like, or know different contents, has no marks of clean lines."""
    audit = example(tmp_path).audits[0]
    other = replace(audit, test="t.py::other", digests={**audit.digests, "src/store.py": "0" * 16})
    for audits in ([replace(audit, digests={})], [audit, other]):
        assert "clean" not in marks_of(page_of(audits)).values()
    assert "clean" in marks_of(page_of([audit])).values()


def test_a_page_that_is_merged_later_knows_what_changed(
    pytester: pytest.Pytester, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that was clean when it was audited is not, in a page that is written from the JSON after it was edited."""
    pytester.makepyfile(
        test_it=TEST.replace("LOCK.acquire()", "with LOCK:").replace("LOCK.release()", "").replace("abs", "    abs")
    )
    run("--maskcheck", "--maskcheck-report=json:r.json")
    assert command.main(["merge", "r.json", "--report", "html:o.html"]) == 0
    assert "clean" in marks_of(Page(Path("o.html").read_text(encoding="utf-8")), "test_it.py").values()
    pytester.makepyfile(test_it=TEST)
    command.main(["merge", "r.json", "--report", "html:o.html"])
    page = Page(Path("o.html").read_text(encoding="utf-8"))
    assert not any(marks_of(page, "test_it.py").values())
    assert "1 file changed since the audit" in words(page)


def test_a_file_that_is_written_while_tests_run_has_no_marks(pytester: pytest.Pytester, run: Run) -> None:
    """What was audited is what was loaded: if the file was written after that, its lines have no marks, and the page says so."""
    edit = "import os, pathlib, time\nos.utime(pathlib.Path(__file__), times=(time.time() + 9,) * 2)"
    pytester.makepyfile(test_it=f"import pytest\n{edit}\n@pytest.mark.interrupt_safe\ndef test_it():\n    abs(-1)\n")
    run("--maskcheck", "--maskcheck-report=html:o.html")
    page = Page(Path("o.html").read_text(encoding="utf-8"))
    assert not any(marks_of(page, "test_it.py").values())
    assert "does not say what the file was like when it was audited" in words(page)


def test_lines_beyond_the_file_are_shown(tmp_path: Path) -> None:
    """A point on a line that the file does not have, however great its number, is still there, and makes the page no longer."""
    audit = example(tmp_path).audits[0]
    far = [replace(point, line=10**12) if point.line == 10 else point for point in audit.points]
    page = page_of([replace(audit, points=tuple(far))])
    assert "src/store.py:1000000000000" in {attrs.get("id") for _, attrs in page.tags}
    assert "The file has changed since the audit" in words(page)


def test_only_files_of_python_are_shown(tmp_path: Path) -> None:
    """A report that names another file of this machine, a folder or a pipe does not bring it into the page."""
    secret = tmp_path / "secret"
    secret.write_text("password", encoding="utf-8")
    assert not sources.read("secret", str(secret), {}, 1, ()).lines
    (tmp_path / "folder.py").mkdir()
    assert "it is no file" in sources.read("folder.py", str(tmp_path / "folder.py"), {}, 1, ()).problem
    assert "null" in sources.read("a\0.py", "/a\0.py", {}, 1, ()).problem


def test_other_reports_do_not_import_its_libraries() -> None:
    """A session that writes no HTML does not pay for Jinja2."""
    code = "import sys, pytest_maskcheck.reports.formats; print('jinja2' in sys.modules, 'pygments' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_its_own_part_is_small() -> None:
    """Beside the data, a page has at most 150 kB; that of a session without audits has nothing else."""
    assert len(html.encode([], "")) < 30_000


def test_a_folder_gets_an_index(tmp_path: Path) -> None:
    """A path that is a folder stands for the file ``index.html`` in it; of formats without an index it stays what it is."""
    assert formats.parse(f"html:{tmp_path}") == ("html", str(tmp_path / "index.html"))
    assert formats.parse(f"html:{tmp_path}/page") == ("html", f"{tmp_path}/page")
    assert formats.parse(f"json:{tmp_path}") == ("json", str(tmp_path))


def test_merge_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``merge --report html:PATH`` writes the page of a JSON report; a path that cannot be written to is one clear sentence."""
    session = example(tmp_path)
    formats.write("json", str(tmp_path / "in.json"), session.audits)
    words = ["merge", str(tmp_path / "in.json"), "--report"]
    assert command.main([*words, f"html:{tmp_path / 'out.html'}"]) == 1
    assert (tmp_path / "out.html").read_bytes() == html.encode([each.legible() for each in session.audits], "")
    for path in (tmp_path / "absent" / "out.html", tmp_path / "in.json" / "index"):
        with pytest.raises(SystemExit) as end:
            command.main([*words, f"html:{path}"])
        assert end.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(
        r"the merged report cannot be written: .*; name a file in a folder that can be written to", message
    )


def test_every_verdict_is_shown(tmp_path: Path) -> None:
    """The page copes with each verdict, with and without an origin."""
    session = example(tmp_path)
    audit = session.audits[0]
    for verdict in Verdict:
        results = tuple(
            replace(each, findings=tuple(replace(found, verdict=verdict, origin=None) for found in each.findings))
            for each in audit.results
        )
        assert f"{verdict} " in words(page_of([replace(audit, results=results)]))


def test_a_session_writes_it(pytester: pytest.Pytester, run: Run) -> None:
    """``--maskcheck-report=html:PATH`` writes the page of a session, with the sources of its tests."""
    pytester.makepyfile(test_it=TEST)
    result = run("--maskcheck", "--maskcheck-report=html:.")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    page = Page(Path("index.html").read_text(encoding="utf-8"))
    assert "LOCK.acquire()" in words(page)
    assert "1 defect makes a test fail" in words(page)


@pytest.mark.parametrize("path", ["absent/page.html", "file/page.html"])
def test_a_path_that_cannot_be_written_is_one_sentence(pytester: pytest.Pytester, run: Run, path: str) -> None:
    """A path at which no file can be is refused in one sentence, before any test runs."""
    pytester.makepyfile(test_it=TEST)
    Path("file").touch()
    result = run("--maskcheck", f"--maskcheck-report=html:{path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    expected = (
        f"ERROR: --maskcheck-report is 'html:{path}'; it must name a file in a folder that exists and can be written to"
    )
    assert expected in [*result.outlines, *result.errlines]
