"""A session to make pages of: three tests and three files in a folder, with names that would break a page that does not escape them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports.source_content import digest_of
from pytest_maskcheck.results import Audit, Exposure, Finding, Frame, Origin, Point, PointResult, Verdict

HOSTILE = "<script>document.title = 'run'</script><img src=x onerror=alert(1)>\"'&</noscript></style>"
"""A name that becomes markup wherever it is not escaped."""

STORE = '''\
"""A store."""
import threading

class Store:
    def __init__(self):
        self._lock = threading.Lock()

    def put(self, value):
        self._lock.acquire()
        self.value = value  # </noscript><script>document.title = "run"</script>
        self._lock.release()

    def get(self):
        with self._lock:
            return self.value
'''
TEST = "def test_put(store):\n    store.put(1)\n"
REFUSED = Reason(NotAudited.DOCTEST)
UNREACHED = Reason(NotAudited.NOT_REACHED)


@dataclass(frozen=True)
class Example:
    """A folder with sources, and the audits of a session about them."""

    folder: Path
    audits: tuple[Audit, ...]


def example(folder: Path, defects: int = 1, tests: int = 1) -> Example:
    """Write the sources into a folder; return a session of some tests, each with this number of defects that fail, and a refused one."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "store.py").write_text(STORE, encoding="utf-8")
    (folder / "test_store.py").write_text(TEST, encoding="utf-8")
    audits = [_audit(folder, range(number * defects, (number + 1) * defects)) for number in range(tests)]
    return Example(folder, (*audits, Audit(f"test_{HOSTILE}.py::test", refused=REFUSED)))


def _audit(folder: Path, defects: range) -> Audit:
    """Return the audit of a test with these defects, and with one that is only listed."""
    points, results, exposures, sources = [], [], {}, {}

    def meet(line: int, finding: Finding | None, time: float = 0.0, *, number: int = 1, reason: str = "") -> None:
        point = _point(folder, line, number)
        points.append(point)
        findings = (finding,) if finding else ()
        results.append(PointResult(point.id, findings, reason, traceback=point.traceback))
        if time:
            exposures[point.id] = Exposure(time / 2, time * 1.5)

    meet(8, None)
    for number in defects:
        name = f"Store._lock {HOSTILE}" if number == 0 else f"Store._lock{number}"
        meet(10, _leak(folder, name), 1000.0 / (number + 1), number=number + 1)
    meet(11, Finding(Verdict.IMPLICIT, "fd", "listed.txt", "fd 3 was open", fails=False), 4.0)
    meet(14, None, reason=UNREACHED)
    sources["src/store.py:10"] = STORE.splitlines()[9].strip()
    reached = {"src/store.py": "8-11,14-15", "test_store.py": "1-2"}
    return Audit(
        "test_store.py::test_put" + (f"[{defects.start}]" if defects.start else ""),
        points=tuple(points),
        results=tuple(results),
        reached=reached,
        exposures=exposures,
        sources=sources,
        duration=0.01,
        own=("test_store.py",),
        left_out={Reason(NotAudited.HITS, hits=1): 7},
        digests={path: digest_of(str(folder / path)) for path in reached},
    )


def _leak(folder: Path, name: str) -> Finding:
    frame = _frame(folder, "src/store.py", 9, "Store.put")
    origin = Origin((frame,), frame, f"pkg.STORE[{HOSTILE!r}]", (_frame(folder, "src/store.py", 14, "Store.get"),))
    return Finding(Verdict.LEAK, "lock", name, "the lock is still held", origin=origin)


def _point(folder: Path, line: int, number: int) -> Point:
    kind = "entry" if line == 8 else "call"
    context = (_frame(folder, "test_store.py", 2, "test_put"),)
    file = str(folder / "src" / "store.py")
    return Point(f"src/store.py:{line}:{kind}#{number}", "src/store.py", file, line, kind, number, "Store.put", context)


def _frame(folder: Path, path: str, line: int, function: str) -> Frame:
    return Frame(path, line, function, str(folder / path))
