"""The user's own coverage numbers do not change by a line, whatever runs the audit makes."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import coverage
import pytest

if TYPE_CHECKING:
    from tests.compat.conftest import RunModule

pytestmark = pytest.mark.oldest_and_newest

SHOP = '''
    """Code with a way that only an interrupt takes."""

    import threading

    LOCK = threading.Lock()
    SOLD = []


    def price(amount, rebate=False):
        if amount < 0:
            raise ValueError(amount)
        if rebate:
            amount -= 1
        return amount


    def sell(items):
        LOCK.acquire()
        try:
            for item in items:
                SOLD.append(price(item))
        except KeyboardInterrupt:
            SOLD.clear()
            if len(items) > 1:
                items = items[:1]
            raise
        finally:
            LOCK.release()
        return len(items)


    def never(number):
        while number:
            number -= 1
        return number
'''

TESTS = '''
    import pytest
    import shop


    @pytest.fixture(scope="module")
    def counter():
        before = len(shop.SOLD)
        yield shop
        del shop.SOLD[before:]
        if shop.SOLD:
            shop.SOLD.clear()
        assert not shop.SOLD


    @pytest.fixture
    def rebate():
        yield True
        for step in range(2):
            assert step < 2


    def test_unmarked(counter):
        assert shop.price(3) == 3


    @pytest.mark.interrupt_safe
    def test_safe(counter, rebate):
        assert shop.price(len("abcde"), rebate) == 4


    @pytest.mark.interrupt_safe
    class TestShop:
        def test_unsafe(self, counter):
            """LOCK is left behind: this audit fails."""
            assert shop.sell([1, 2]) == 2


    def test_error():
        with pytest.raises(ValueError):
            shop.price(-1)


    @pytest.mark.interrupt_safe
    def test_last(counter):
        """Its end tears the fixture of the module down."""
        shop.SOLD.append(len("a"))
'''

OTHER_TESTS = """
    import pytest
    import shop


    @pytest.mark.interrupt_safe
    def test_alone():
        assert shop.price(1) == 1


    def test_afterwards():
        assert shop.never(2) == 0
"""

CHILDREN = """
    import os
    import subprocess
    import sys

    import pytest
    import shop


    @pytest.mark.interrupt_safe
    def test_fork():
        pid = os.fork()
        if pid == 0:
            os._exit(shop.price(0))
        assert os.waitpid(pid, 0)[1] == 0


    @pytest.mark.interrupt_safe(max_points=5)
    def test_subprocess():
        assert subprocess.call([sys.executable, "-c", "import shop; shop.never(1)"]) == 0


    def test_unmarked():
        assert shop.sell([1]) == 1
"""

PATCHES = """
    [run]
    source = .
    branch = true
    parallel = true
    patch = _exit, fork, subprocess
    [report]
    ignore_errors = true
"""

CORES = ("ctrace", "pytrace", "sysmon") if sys.version_info >= (3, 12) else ("ctrace", "pytrace")
PYTEST = ("pytest", "-q", "-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider")
COV = (*PYTEST, "-p", "pytest_cov", "--cov=.", "--cov-report=")
MODES = {
    "lines": ("coverage", "run", "--source=.", "--context=all", "-m", *PYTEST),
    "branches": (*COV, "--cov-branch", "--cov-context=test"),
}

Numbers = dict[str, tuple[object, ...]]


def numbers(place: Path, *, raw: bool) -> Numbers:
    """Return coverage's lines, missing lines and branches of each file, and with ``raw`` also all arcs and contexts."""
    file = place / ".coverage"
    data = coverage.CoverageData(str(file))
    data.read()
    reader = coverage.Coverage(data_file=str(file), config_file=False)
    reader.load()
    found: Numbers = {}
    for path in data.measured_files():
        lines, arcs = sorted(data.lines(path) or ()), sorted(data.arcs(path) or ())
        found[Path(path).name] = (lines, reader.analysis2(path)[1:], reader.branch_stats(path) if arcs else {})
        if raw:
            contexts = {line: sorted(names) for line, names in data.contexts_by_lineno(path).items()}
            found[Path(path).name] += (arcs, contexts)
    reader.get_data().close(force=True)
    data.close(force=True)
    return found


def data_files(place: Path) -> list[str]:
    """Return the names of coverage's data files."""
    return sorted(path.name for path in place.glob(".coverage*") if path.name != ".coveragerc")


def auditing(isolation: str) -> tuple[str, str]:
    """Return the options that switch auditing on."""
    return "--maskcheck", f"--maskcheck-isolation={isolation}"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a directory with a module and its tests."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "shop.py").write_text(dedent(SHOP))
    (tmp_path / "test_shop.py").write_text(dedent(TESTS))
    return tmp_path


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("mode", MODES)
def test_numbers_stay_as_they_are(shop: Path, run_module: RunModule, mode: str, core: str) -> None:
    """Lines, arcs and contexts are the same as without an audit, with each coverage core and each isolation."""
    plain = run_module(shop, *MODES[mode], COVERAGE_CORE=core)
    assert plain.returncode == 0, plain.stdout
    expected = {raw: numbers(shop, raw=raw) for raw in (True, False)}
    assert set(expected[True]) == {"shop.py", "test_shop.py"}
    for isolation in ("fork", "none"):
        (shop / ".coverage").unlink()
        audited = run_module(shop, *MODES[mode], *auditing(isolation), COVERAGE_CORE=core)
        assert "3 tests audited at" in audited.stdout, audited.stdout
        assert audited.returncode == 1, audited.stdout
        # This core records the context only the first time, and arcs that no code takes: both depend on when it is switched on.
        raw = (mode, core, isolation) != ("branches", "sysmon", "none")
        assert numbers(shop, raw=raw) == expected[raw], isolation
        assert data_files(shop) == [".coverage"]


def test_numbers_of_two_measurements(shop: Path, run_module: RunModule) -> None:
    """Of two nested measurements, both have the same numbers as without an audit."""
    both = ("coverage", "run", "--source=.", "--data-file=.outer", "-m", *COV)
    found = []
    for options in ((), auditing("none")):
        result = run_module(shop, *both, *options)
        assert result.returncode == bool(options), result.stdout
        inner = numbers(shop, raw=True)
        (shop / ".outer").rename(shop / ".coverage")
        found.append((inner, numbers(shop, raw=True)))
    assert found[0] == found[1]


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_numbers_of_two_workers(shop: Path, run_module: RunModule, isolation: str) -> None:
    """The numbers of xdist's workers are the same as without an audit."""
    (shop / "test_other.py").write_text(dedent(OTHER_TESTS))
    together = (*COV, "--cov-branch", "-p", "xdist.plugin", "-n2", "--dist=loadfile")
    plain = run_module(shop, *together)
    assert plain.returncode == 0, plain.stdout
    expected = numbers(shop, raw=False)
    audited = run_module(shop, *together, *auditing(isolation))
    assert "4 tests audited at" in audited.stdout, audited.stdout
    assert numbers(shop, raw=False) == expected
    assert data_files(shop) == [".coverage"]


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_no_cover_beside_contexts(shop: Path, run_module: RunModule, isolation: str) -> None:
    """A marked test with pytest-cov's ``no_cover`` does not change the numbers."""
    (shop / "test_shop.py").write_text(dedent(TESTS).replace("class TestShop", "@pytest.mark.no_cover\nclass TestShop"))
    plain = run_module(shop, *MODES["branches"])
    assert plain.returncode == 0, plain.stdout
    expected = numbers(shop, raw=False)
    audited = run_module(shop, *MODES["branches"], *auditing(isolation))
    assert "3 tests audited at" in audited.stdout, audited.stdout
    assert numbers(shop, raw=False) == expected


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_patches_of_the_user(tmp_path: Path, run_module: RunModule, isolation: str) -> None:
    """If coverage patches ``os._exit``, forks and subprocesses, audits add no data files and change no numbers."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "shop.py").write_text(dedent(SHOP))
    (tmp_path / "test_children.py").write_text(dedent(CHILDREN))
    (tmp_path / ".coveragerc").write_text(dedent(PATCHES))
    found = []
    for options in ((), auditing(isolation)):
        result = run_module(tmp_path, "coverage", "run", "-m", *PYTEST, *options)
        files = data_files(tmp_path)
        combined = run_module(tmp_path, "coverage", "combine")
        assert combined.returncode == 0, combined.stdout
        found.append((len(files), numbers(tmp_path, raw=False)))
        (tmp_path / ".coverage").unlink()
    assert "2 tests audited at" in result.stdout, result.stdout
    assert found[0][0] >= 3
    assert found[0] == found[1]
