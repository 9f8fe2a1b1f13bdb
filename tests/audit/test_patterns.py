"""Names that differ from run to run: the pattern that keys share, and the findings under such names."""

from __future__ import annotations

import random
import uuid
from base64 import urlsafe_b64encode
from itertools import product

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.known_patterns import Patterns
from pytest_maskcheck.resources.random_names import Pattern, are_alike, looks_random
from pytest_maskcheck.results import Audit, Category

pytestmark = pytest.mark.oldest_and_newest

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


def drawn(kind: str, source: random.Random) -> str:
    """Return a random name as made by ``tempfile``, ``uuid`` or ``secrets``, or an address."""
    number = uuid.UUID(int=source.getrandbits(128), version=4)
    made_up = {
        "tempfile": "".join(source.choices(LETTERS, k=8)),
        "uuid": str(number),
        "hex": number.hex,
        "url": urlsafe_b64encode(source.randbytes(9)).decode(),
        "address": f"{0x7F0000000000 + source.getrandbits(36):x}",
    }
    return made_up[kind]


@pytest.mark.parametrize("kind", ["tempfile", "uuid", "hex", "url", "address"])
@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (".draft-", "", ".draft-*"),
        ("part_", "_new.txt", "part_*_new.txt"),
        ("", ".lock", "*.lock"),
        ("job-7-", "", "job-#-*"),
        ("glued", "", "glued*"),
        ("", "", "*"),
    ],
)
def test_a_pattern_is_the_same_in_every_session(kind, before, after, text):
    """Any three samples give the same pattern, and the pattern matches most further names."""
    source = random.Random(kind + before + after)
    names = Surroundings().text
    missed = 0
    for _ in range(100):
        one, *others = (f"<tmp_path>/{names(before + drawn(kind, source) + after)}" for _ in range(4))
        pattern = Pattern(tuple(others))
        assert pattern.text == f"<tmp_path>/{text}"
        assert pattern.is_vague == (text == "*")
        missed += not pattern.matches(one)
    assert missed < 25 if kind == "url" else missed < 8  # a missed name widens the pattern when it turns up


@pytest.mark.parametrize(
    ("one", "other", "text", "plain"),
    [
        ("worker-a#b", "worker-c#d", "worker-*", True),
        ("RuntimeError: <Thing at 0x7f1> is held", "RuntimeError: <Thing at 0x8e2> is held", None, True),
        ("<tmp_path>/h#.dat", "<tmp_path>/h-#.dat", "<tmp_path>/h*#.dat", True),  # a hash may be negative
        ("<tmp_path>/alpha.lock", "<tmp_path>/beta.lock", "<tmp_path>/*.lock", False),
        ("<tmp_path>/a#b.lock", "<tmp_path>/c#d.part", "<tmp_path>/*.*", False),
        ("<tmp_path>/a#b", "<tmp_path>/c#d", "<tmp_path>/*", False),
        ("<tmp_path>/a/b#", "<tmp_path>/c#", "*", False),
        ("call # of failed", "setup # did b", "* # * *", False),
    ],
)
def test_only_what_shows_by_itself_that_it_is_one_thing_is_told_without_an_origin(one, other, text, plain):
    """Without an origin, names are alike only if the differing part looks random and a common word is left."""
    assert are_alike(one, other) == plain
    if text:
        assert Pattern((one, other)).text == text


def test_a_pattern_matches_no_more_than_names_like_its_samples():
    """A pattern does not match an ordinary name beside random ones, nor a random name with another extension."""
    hexadecimal = Pattern(("<t>/a#b#c#d#e#f#", "<t>/f#e#d#c#b#a#", "<t>/b#a#f#d#e#c#"))
    assert hexadecimal.matches("<t>/c#d#a#f#d#e#")
    assert not any(map(hexadecimal.matches, ("<t>/final", "<t>/tmp*", "<t>/a#b#c#d#e#f#.lock", "<t>/a#/b#c#d#e")))
    prefixed = Pattern(("<t>/part-a#b", "<t>/part-xy#", "<t>/part-#c"))
    assert prefixed.matches("<t>/part-z#q")
    assert not any(map(prefixed.matches, ("<t>/part-z#q.lock", "<t>/other-z#q", "<t>/part", "<u>/part-z#q")))


def test_a_random_name_of_few_letters_is_matched():
    """A random name is matched even if few letters are left of it, as its numbers are masked."""
    pattern = Pattern(("<t>/log-f#d#a#f#ab#c#e#d#fa#", "<t>/log-#c#d#ff#a#b#e#cd#a#b"))
    assert pattern.matches("<t>/log-f#d#a#f#")
    assert not any(map(pattern.matches, ("<t>/log-", "<t>/log-a#", "<t>/log-main", "<t>/log")))


def test_names_of_one_origin_have_one_pattern_even_if_it_is_widened():
    """Names of one origin get the text of the widened pattern, also in earlier results; a key that was seen twice keeps its own name."""
    patterns = Patterns()
    patterns.keep("path", "<t>/final")
    earlier = patterns.learn("path", ["<t>/part-new-a#", "<t>/part-new-b#"], "origin")
    later = patterns.learn("path", ["<t>/part-old-c#"], "origin")
    assert (earlier, later) == ("<t>/part-new-*", "<t>/part-*")
    assert {patterns.name("path", key) for key in (earlier, later, "<t>/part-old-d#")} == {later}
    patterns.learn("path", ["<t>/qwe", "<t>/asd", "<t>/yxc"])
    assert patterns.name("path", "<t>/final") == "<t>/final"
    assert patterns.name("fd", "<t>/part-old-d#") == "<t>/part-old-d#"


def test_masked_numbers_alone_do_not_look_random():
    """A counter, or a letter with a number, does not look random, as it may be part of a name that is the same in every run."""
    assert all(map(looks_random, ("o-#f#a#b", "<t>/#ab#c#")))
    assert not any(map(looks_random, ("a#-b#.lock", "p-#-#.#", "worker #", "utf#le")))


PREAMBLE = """
import os, random, secrets, socket, tempfile, threading, uuid
from multiprocessing import shared_memory
import pytest
HELD = []
def new(path):
    path.touch()
    return path
"""

# name -> (code before the interrupt, code after it), expected failures
FILE = "p = new(tmp_path / {}); len('x')", "p.unlink()"
LOST = {
    "mkstemp": (
        ("fd, name = tempfile.mkstemp(dir=tmp_path, prefix='.draft-'); os.close(fd); len('x')", "os.unlink(name)"),
        {"leak path <tmp_path>/.draft-*"},
    ),
    "glued": (
        ("name = tempfile.mkdtemp(dir=tmp_path, prefix='draft'); len('x')", "os.rmdir(name)"),
        {"leak path <tmp_path>/draft*"},
    ),
    "named": (
        (
            "f = tempfile.NamedTemporaryFile(dir=tmp_path, suffix='.part', prefix='', delete=False); f.close(); len('x')",
            "os.unlink(f.name)",
        ),
        {"leak path <tmp_path>/*.part"},
    ),
    "everybodys": (
        ("fd, name = tempfile.mkstemp(dir='/tmp', prefix='.mctest-'); os.close(fd); len('x')", "os.unlink(name)"),
        {"leak path /tmp/.mctest-*"},
    ),
    "bare": ((FILE[0].format("str(uuid.uuid4())"), FILE[1]), {"leak path <tmp_path>/*"}),
    "letters": (
        (FILE[0].format("''.join(random.choices('abcdefghijklmnop', k=9))"), FILE[1]),
        {"leak path <tmp_path>/*"},
    ),
    "url": ((FILE[0].format("f'part-{secrets.token_urlsafe(9)}'"), FILE[1]), {"leak path <tmp_path>/part-*"}),
    "process": ((FILE[0].format("f'p-{os.getpid()}'"), FILE[1]), {"leak path <tmp_path>/p-#"}),
    "steady": ((FILE[0].format("'a1-b2.lock'"), FILE[1]), {"leak path <tmp_path>/a#-b#.lock"}),
    "one_line": (
        (FILE[0].format("(uuid.uuid4().hex + random.choice(['.lock', '.part.old', '-x']))"), FILE[1]),
        {"leak path <tmp_path>/*"},
    ),
    "loop": (
        (
            "names = [tempfile.mkdtemp(dir=tmp_path, prefix='job-') for _ in range(3)]\nfor name in names:\n    len('x')",
            "    os.rmdir(name)",
        ),
        {"leak path <tmp_path>/job-*"},
    ),
    "two": (
        (
            "p, q = new(tmp_path / f'one-{uuid.uuid4()}'), new(tmp_path / f'two-{uuid.uuid4()}'); len('x')",
            "p.unlink(); q.unlink()",
        ),
        {"leak path <tmp_path>/one-*", "leak path <tmp_path>/two-*"},
    ),
    "way_out": (
        (
            "try:\n    len('x')\nexcept KeyboardInterrupt:\n    new(tmp_path / f'crash-{uuid.uuid4().hex}'); raise",
            "pass",
        ),
        {"leak path <tmp_path>/crash-*"},
    ),
    "port": (
        ("s = socket.create_server(('127.0.0.1', 0)); HELD.append(s); len('x')", "HELD.clear(); s.close()"),
        {"leak socket tcp listening 127.0.0.1:#"},
    ),
    "abstract": (
        (
            "s = socket.socket(socket.AF_UNIX)\ns.bind(f'\\0mc-{uuid.uuid4().hex}'); HELD.append(s); len('x')",
            "HELD.clear(); s.close()",
        ),
        {"leak socket unix @mc-*"},
    ),
    "thread": (
        (
            "e = threading.Event()\nthreading.Thread(target=e.wait, name=f'w-{uuid.uuid4().hex}', daemon=True).start()\nlen('x')",
            "e.set()",
        ),
        {"leak thread w-*"},
    ),
    "environ": (
        ("name = f'MC_{uuid.uuid4().hex}'\nos.environ[name] = '1'; len('x')", "del os.environ[name]"),
        {"altered environ MC_*"},
    ),
    "memory": (
        (
            "m = shared_memory.SharedMemory(name=f'part-{uuid.uuid4().hex}', create=True, size=9); m.close(); len('x')",
            "m.unlink()",
        ),
        {"leak shared_memory part-*"},
    ),
    "fixture": (
        ("thing = object(); HELD.append(thing); len('x')", "HELD.clear()"),
        {"unusable fixture teardown of the test failed: RuntimeError: <object object at *> is held, token *"},
    ),
    "left": (("new(tmp_path / f'log-{uuid.uuid4().hex}'); len('x')", "pass"), set()),
    "left_bare": (("new(tmp_path / uuid.uuid4().hex); len('x')", "pass"), set()),
    "left_letters": ((FILE[0].format("''.join(random.choices('abcdefghijklmnop', k=9))"), "len('x')"), set()),
    "one_more": (
        ("p, q = [new(tmp_path / f'log-{uuid.uuid4().hex}') for _ in 'ab']\nlen('x')", "q.unlink()\nlen('x')"),
        {"leak path <tmp_path>/log-*"},
    ),
    "beside": (
        ("p = new(tmp_path / 'draft'); len('x')", "os.rename(p, tmp_path / uuid.uuid4().hex)"),
        {"leak path <tmp_path>/draft"},
    ),
    "clean": (
        (
            "p = tmp_path / uuid.uuid4().hex\ntry:\n    new(p); len('x')\nfinally:\n    p.unlink(missing_ok=True)",
            "pass",
        ),
        set(),
    ),
}

MAKERS = "\n".join(
    f"def make_{name}(path): return new(path / '{name}')" for name in map("".join, product(LETTERS[:26], repeat=2))
)


def program(before: str, after: str) -> str:
    """Return a test that is to be interrupted at the last call of ``before``."""
    fixture = "while_it_holds" if "thing" in before else "tmp_path" if "tmp_path" in before else ""
    body = "\n".join(f"    {line}" for line in f"{before}\n{after}".splitlines())
    return f"{PREAMBLE}@pytest.mark.interrupt_safe\ndef test_it({fixture}):\n{body}\n"


PROGRAMS = {name: program(*parts) for name, (parts, _) in LOST.items()} | {
    "undecided": PREAMBLE
    + MAKERS
    + """
MAKERS = [make for name, make in globals().items() if name.startswith("make_")]
@pytest.mark.interrupt_safe
def test_it(tmp_path):
    p = MAKERS[os.getpid() % len(MAKERS)](tmp_path)
    len("x")
    p.unlink()
""",
    "pairs": PREAMBLE
    + """
@pytest.mark.interrupt_safe(interrupts=2)
def test_it(tmp_path):
    new(tmp_path / f"log-{uuid.uuid4().hex}")
    try:
        len("x")
    except KeyboardInterrupt:
        p = new(tmp_path / f"part-{uuid.uuid4().hex}")
        len("y")
        p.unlink()
        raise
""",
    "allowed": PREAMBLE
    + """
@pytest.mark.interrupt_safe(allow="path:<tmp_path>/part-*")
def test_it(tmp_path):
    p = new(tmp_path / f"part-{uuid.uuid4().hex}")
    len("x")
    len("x")
    p.unlink()
""",
}
FIXTURE = """
import uuid
import pytest

@pytest.fixture
def while_it_holds(request):
    yield
    if request.module.HELD:
        raise RuntimeError(f"{request.module.HELD.pop()!r} is held, token {uuid.uuid4().hex}")
"""


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """The audits of all programs."""
    return audit_together(PROGRAMS, {"conftest.py": FIXTURE})


def failures(audit: Audit) -> list[str]:
    """Return the failing defects of a test, in words."""
    return sorted(
        f"{defect.verdict} {defect.kind} {defect.key}"
        for defect in (each for each in audit.failures if each.category is Category.OWN)
    )


@pytest.mark.parametrize("name", LOST)
def test_what_has_another_name_in_each_run_is_one_defect(audits, name):
    """Leftovers of one kind and origin are one finding, whatever their names; as many as the uninterrupted test leaves are none."""
    assert failures(audits[name]) == sorted(LOST[name][1])
    assert not any(reason.startswith("different") for reason in audits[name].not_audited)


def test_a_pattern_names_the_origin(audits):
    """A defect named by a pattern has an origin, found under the name that the thing had in the watched run."""
    origins = {defect.key: defect.origin.place.line for defect in audits["two"].failures}
    assert len(origins) == 2
    assert all(defect.origin for name in ("mkstemp", "letters", "thread") for defect in audits[name].failures)


def test_what_differs_in_more_than_its_name_stays_undecided(audits):
    """Files whose names do not look random and whose origins differ are not unified, and their points stay undecided."""
    reasons = [reason for reason in audits["undecided"].not_audited if reason.startswith("different each time")]
    assert reasons
    assert all("leak <tmp_path>/" in reason for reason in reasons)
    assert failures(audits["undecided"]) == []


def test_second_interrupts_are_compared_by_pattern_too(audits):
    """In pairs, leftovers of the ordinary run are no finding, and what only a second interrupt loses is found once."""
    assert failures(audits["pairs"]) == ["leak path <tmp_path>/part-*"]
    assert all(point.first for defect in audits["pairs"].failures for point in defect.points)
    assert audits["pairs"].left_anyway == ("path:<tmp_path>/log-*",)


def test_an_entry_of_the_allow_list_matches_the_names_of_all_runs(audits):
    """An entry of the allow-list matches the pattern and is reported once, not once for each name."""
    audit = audits["allowed"]
    assert audit.failures == ()
    assert len([note for note in audit.notes if note.startswith("allowed at")]) == 1


def test_another_session_and_the_other_strategy_find_the_same_names(audits, audit_together):
    """Keys depend neither on chance nor on the strategy."""
    names = ["environ", "abstract", "glued", "left_bare", "pairs"]
    again = audit_together(
        {name: PROGRAMS[name] for name in names}, {"conftest.py": FIXTURE}, "--maskcheck-strategy=snapshot"
    )
    assert again["environ"].strategy.startswith("snapshot")
    for name in names:
        assert (failures(again[name]), again[name].left_anyway) == (failures(audits[name]), audits[name].left_anyway)
