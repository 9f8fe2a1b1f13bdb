"""The HTML report in a real browser: what is shown, sorted, found, reached by keys and links, and that nothing is loaded."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reports import formats
from tests.reports.html.example import HOSTILE, example

if TYPE_CHECKING:
    from tests.reports.html.conftest import Browser

pytestmark = pytest.mark.newest

DEFECTS = "[data-list=defects] tbody tr"
FILES = "[data-list=files] tbody tr"
NUMBER = 12
MANY = 2000
OF_EACH = 50


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with twelve defects that fail and one that is listed."""
    return written(tmp_path_factory.mktemp("page"), NUMBER)


def written(folder: Path, defects: int, tests: int = 1) -> Path:
    formats.write("html", str(folder / "page.html"), example(folder, defects, tests).audits)
    return folder / "page.html"


def test_the_overview_comes_first(browser: Browser, page: Path) -> None:
    """The page opens with its verdict, what was not audited, and both tables; files and stories are not shown yet."""
    browser.open(page)
    assert browser.texts("h1") == [f"{NUMBER} defects make a test fail"]
    assert "Not audited: 1 test of 2 and 1 of 15 points." in browser.texts("#limits")[0]
    assert len(browser.texts(DEFECTS)) == NUMBER + 1
    assert [text.split()[0] for text in browser.texts(f"{FILES} th")] == ["src/store.py", "test_store.py"]
    assert not browser.texts("article")


def test_nothing_is_loaded_and_nothing_goes_wrong(browser: Browser, page: Path) -> None:
    """Each view is shown without a message on the console, a request beside that for the file, or a script of hostile names."""
    browser.open(page)
    views = browser.run("return [...document.querySelectorAll('.list tbody a')].map(each => each.hash)")
    assert len(views) == NUMBER + 3
    for view in views:
        browser.go(view)
        assert browser.run("return document.querySelector('.view.open').id") == view[1:]
    assert browser.requests() == [page.as_uri()]
    assert browser.console() == []
    assert browser.driver.title.startswith("maskcheck: ")
    assert browser.run("return document.images.length + document.scripts.length") == 2


def test_hostile_names_are_shown_as_they_are(browser: Browser, page: Path) -> None:
    """Markup in names and sources is text on the page."""
    browser.open(page)
    assert any(HOSTILE in text for text in browser.texts(DEFECTS))
    with browser.moving():
        browser.click(f"{DEFECTS} a")
    assert HOSTILE in browser.texts("h1")[0]
    browser.go("#src/store.py:10")
    assert '# </noscript><script>document.title = "run"</script>' in browser.texts("li.here")[0]


def test_the_policy_stops_other_scripts(browser: Browser, page: Path) -> None:
    """If markup of others came in after all, it would neither run nor load anything."""
    browser.open(page)
    browser.run(
        "document.body.insertAdjacentHTML('beforeend', `<img src='http://127.0.0.1:9/x' onerror='document.title=1'>`);"
        "const script = document.createElement('script'); script.textContent = 'document.title = 2'; document.body.append(script)"
    )
    assert browser.driver.title == f"maskcheck: {NUMBER} defects make a test fail"
    assert len(browser.console()) >= 2


@pytest.mark.parametrize(
    ("column", "order", "top", "bottom"),
    [
        (1, "descending", "13", "1"),
        (2, "ascending", "implicit fd", "leak lock Store._lock11"),
        (4, "descending", "500 µs to 1.5 ms", "2-6 µs"),
        (6, "ascending", "fails", "listed"),
    ],
)
def test_columns_sort(browser: Browser, page: Path, *, column: int, order: str, top: str, bottom: str) -> None:
    """A click on a heading sorts by its column, numbers by their value; another one sorts the other way round; the heading says which."""
    browser.open(page)
    heading = f"[data-list=defects] thead th:nth-child({column})"
    seen = {}
    for _ in range(2):
        browser.click(f"{heading} button")
        texts = browser.texts(f"{DEFECTS} > :nth-child({column})")
        seen[browser.run("return document.querySelector(arguments[0]).getAttribute('aria-sort')", heading)] = texts
        assert browser.run("return document.querySelectorAll('[data-list=defects] [aria-sort]').length") == 1
    assert [*seen] == [order, {"ascending": "descending", "descending": "ascending"}[order]]
    assert seen[order][0].startswith(top)
    assert seen[order][-1].startswith(bottom)
    assert sorted(seen["ascending"]) == sorted(seen["descending"])
    (other,) = seen.keys() - {order}
    assert seen[other][0].startswith(bottom)


def test_search_filters_both_tables(browser: Browser, page: Path) -> None:
    """Only rows with all words are shown; their number is announced; Escape brings the others back."""
    browser.open(page)
    browser.type("/", "_LOCK7 leak")
    assert len(browser.texts(DEFECTS)) == 1
    assert not browser.texts(FILES)
    assert browser.texts("#found") == [f"1 of {NUMBER + 1} defects, 0 of 2 files found"]
    browser.type("\ue00c")  # Escape
    assert len(browser.texts(DEFECTS)) == NUMBER + 1
    assert browser.run("return document.activeElement === document.body")


def test_search_leads_to_the_overview(browser: Browser, page: Path) -> None:
    """Typing into the field from within a file shows the tables; tests are found by their names."""
    browser.open(page, "#src/store.py")
    browser.type("/", "test_put")
    assert len(browser.texts(DEFECTS)) == NUMBER + 1
    assert browser.run("return document.activeElement.id") == "find"


def test_keys_move(browser: Browser, page: Path) -> None:
    """``j`` and ``k`` move through rows, Enter opens, then they move through the defects, ``o`` goes back; in a file they move by marks."""
    browser.open(page)
    browser.type("j", "j", "k", "j")
    assert "Store._lock1" in browser.run("return document.activeElement.innerText")
    with browser.moving():
        browser.type("\ue007")  # Enter
    assert "Store._lock1" in browser.texts("h1")[0]
    browser.type("j")
    assert "Store._lock2" in browser.texts("h1")[0]
    assert browser.run("return document.activeElement.tagName") == "H1"
    browser.type("o")
    assert browser.texts("h1") == [f"{NUMBER} defects make a test fail"]
    browser.go("#src/store.py")
    lines = []
    for key in "jjjk":
        browser.type(key)
        lines.append(browser.run("return document.querySelector('.here').id"))
    assert lines == ["src/store.py:10", "src/store.py:11", "src/store.py:14", "src/store.py:11"]


def test_keys_are_typed_in_the_field(browser: Browser, page: Path) -> None:
    """What is typed into the search field is no command."""
    browser.open(page)
    browser.click("#find")
    browser.type("joke")
    assert browser.run("return document.getElementById('find').value") == "joke"


@pytest.mark.parametrize(
    ("fragment", "heading", "line"),
    [
        ("#src/store.py", "src/store.py", None),
        ("#src/store.py:10", "src/store.py", "src/store.py:10"),
        ("#src/store.py:2", "src/store.py", ""),  # a line without a mark has no id
        ("#src/store.py:999", "src/store.py", None),
        ("#limits", f"{NUMBER} defects make a test fail", None),
        ("#%E0%A4%A", f"{NUMBER} defects make a test fail", None),
        ("#nowhere:7", f"{NUMBER} defects make a test fail", None),
    ],
)
def test_deep_links(browser: Browser, page: Path, fragment: str, heading: str, line: str | None) -> None:
    """A link to a file, a line or a part of the overview opens it; one that leads nowhere opens the overview."""
    browser.open(page, fragment)
    assert browser.texts("h1") == [heading]
    assert browser.run("return document.querySelector('.here')?.id ?? null") == line
    if line is not None:
        assert browser.run(
            "const box = document.querySelector('.here').getBoundingClientRect(); return box.top > 0 && box.bottom < innerHeight"
        )
    assert browser.console() == []


def test_a_story_is_told(browser: Browser, page: Path) -> None:
    """A defect is told in order, with its source lines, which lead to the file and back."""
    browser.open(page)
    with browser.moving():
        browser.click(f"{DEFECTS} a")
    assert browser.texts(".way h3") == [
        "acquired",
        "interrupted",
        "unwound through",
        "left behind",
        "held by",
        "blocks",
    ]
    assert "self._lock.acquire()" in browser.texts(".way .acquired code")
    assert browser.texts("article h2") == ["The way", "The cure", "See it again"]
    with browser.moving():
        browser.click(".way .interrupted a")
    assert browser.run("return document.querySelector('.here').id") == "src/store.py:10"
    assert "window" in browser.run("return document.querySelector('.here').className")
    with browser.moving():
        browser.driver.back()
    assert HOSTILE in browser.texts("h1")[0]


def test_heat_grows_with_exposure(browser: Browser, page: Path) -> None:
    """The bar beside a line is longer where a run is exposed for longer; a line without exposure has none."""
    browser.open(page, "#src/store.py")
    widths = "return Object.fromEntries([...document.querySelectorAll('.source .heat')].map(each => [each.closest('li').id, each.offsetWidth]))"
    assert browser.run(widths).keys() == {"src/store.py:10"}


@pytest.mark.parametrize("width", [1200, 700, 360])
def test_it_fits(browser: Browser, page: Path, width: int) -> None:
    """No view is wider than the window, at any width; what is wide scrolls by itself."""
    browser.emulate(width=width)
    for fragment in ("", "#src/store.py"):
        browser.open(page, fragment)
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.open(page)
    browser.go(browser.run("return document.querySelector('.list tbody a').hash"))
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


def test_dark_and_light(browser: Browser, page: Path) -> None:
    """The colours follow what the user prefers; on paper they are dark on white."""
    seen = {}
    for scheme, media in (("light", ""), ("dark", ""), ("dark", "print")):
        browser.emulate(scheme=scheme, media=media)
        browser.open(page)
        seen[scheme, media] = [
            sum(map(int, re.findall(r"\d+", text)[:3]))
            for text in browser.run(
                "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
            )
        ]
    for key, (paper, ink) in seen.items():
        assert (paper > ink) is (key != ("dark", "")), key
    assert not browser.texts(".find, .keys")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_it_is_accessible(browser: Browser, page: Path, scheme: str, width: int) -> None:
    """axe-core finds nothing against WCAG 2.2 AA in any view: contrast, names, landmarks, headings, tables, focus."""
    spec = find_spec("axe_selenium_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe_selenium_python is not installed: pip install --group tests")
    axe = Path(spec.origin).with_name("node_modules") / "axe-core" / "axe.min.js"
    browser.emulate(scheme=scheme, width=width)
    browser.open(page)
    browser.run(axe.read_text(encoding="utf-8"))
    first = browser.run("return document.querySelector('.list tbody a').hash")
    for fragment in ("#overview", "#src/store.py", first):
        browser.go(fragment)
        browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
        found = browser.driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run(document, {resultTypes: ['violations']}).then(done)"
        )
        problems = [(each["id"], node["html"][:200]) for each in found["violations"] for node in each["nodes"]]
        assert problems == [], fragment


def test_without_scripts_all_is_there(browser: Browser, page: Path) -> None:
    """Where scripts are off, the page is one long document with all files and stories, and its links work."""
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(page)
        shown = [each.text for each in browser.driver.find_elements("css selector", "h1") if each.is_displayed()]
        assert len(shown) == 1 + 2 + NUMBER + 1
        assert not browser.driver.find_element("id", "find").is_displayed()
        browser.click(f"{FILES} a")
        assert browser.driver.current_url.endswith("#src/store.py")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_many_defects_open_fast(browser: Browser, tmp_path: Path) -> None:
    """A page with 2,000 defects is opened, sorted and filtered in a fraction of what it takes to make all of its elements."""
    page = written(tmp_path, OF_EACH, MANY // OF_EACH)
    browser.open(page)
    timing = browser.run("const entry = performance.getEntriesByType('navigation')[0]; return entry.loadEventEnd")
    assert 0 < timing < 10_000  # half a second on a busy machine
    assert browser.run("return document.querySelectorAll('*').length") < 20 * MANY
    assert browser.run("return document.querySelectorAll('article').length") == 0
    browser.go(browser.run("return [...document.querySelectorAll('.list tbody a')].at(-9).hash"))
    assert len(browser.texts("article h2")) == 3
