"""Options, ini keys and marker arguments: their values, which one wins, and the message for an invalid one."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from pytest_maskcheck import settings
from pytest_maskcheck.reports import formats
from pytest_maskcheck.settings import Allow, SessionSettings, Settings

DEFAULTS = Settings(
    points="checkpoint",
    interrupts=1,
    signals=(signal.SIGINT,),
    hits=3,
    max_points=2000,
    seed=0,
    timeout=5.0,
    strict=False,
    may_swallow=False,
    allow=(),
    kinds=(),
    include=(),
    exclude=(),
    isolation="auto",
    strategy="auto",
    repeats="auto",
)

ROWS = {row.name: row for row in settings.TABLE}
SESSION_ROWS = {row.name: row for row in settings.SESSION}

SESSION_RIGHT = {
    "budget": [("2.5", 2.5)],
    "allow_none": [(True, True)],
    "fail_undecided": [(True, True)],
    "since": [("HEAD~1", "HEAD~1")],
    "cleanup": [(True, True)],
    "depth": [("lines", "lines"), ("places", "places"), ("all", "all")],
    "github": [("auto", "auto"), ("on", "on"), ("off", "off")],
    "changed": [(True, True)],
    "resume": [(True, True)],
    "cache": [("folder/results", "folder/results")],
    "baseline": [("known.toml", "known.toml")],
}
"""Setting of the session -> valid values, each as a text or a switch, and as it is read."""

SESSION_WRONG = {
    "budget": ["0", "-1", "soon", True],
    "allow_none": ["yes", 1],
    "fail_undecided": ["yes", 1],
    "since": ["", True],
    "cleanup": ["yes", 1],
    "depth": ["deep", "", True],
    "github": ["yes", "", True],
    "changed": ["yes", 1],
    "resume": ["no", 0],
    "cache": ["", 1, True],
    "baseline": ["", 1, True],
}
"""Setting of the session -> values that are refused."""

RIGHT = {
    "points": [("line", "line"), ("raise", "raise"), ("checkpoint", "checkpoint")],
    "interrupts": [("1", 1), ("2", 2)],
    "signals": [
        ("SIGTERM", (signal.SIGTERM,)),
        ("15", (signal.SIGTERM,)),
        ("SIGRTMIN+2", (signal.SIGRTMIN + 2,)),
        ("SIGCHLD", (signal.SIGCHLD,)),
    ],
    "hits": [("1", 1), ("2", 2), ("3", 3), ("all", None)],
    "max_points": [("7", 7)],
    "seed": [("7", 7), ("-1", -1)],
    "timeout": [("2", 2.0), ("0.5", 0.5)],
    "strict": [(True, True)],
    "may_swallow": [(True, True)],
    "allow": [
        ("thread:pool-*", (Allow("thread:pool-*"),)),
        ("fd:a b -- not ours", (Allow("fd:a b", "not ours"),)),
    ],
    "kinds": [("-path", ("-path",)), ("locale", ("locale",))],
    "include": [("pkg/*", ("pkg/*",))],
    "exclude": [("stdlib", ("stdlib",))],
    "isolation": [("fork", "fork"), ("none", "none"), ("auto", "auto")],
    "strategy": [("rerun", "rerun"), ("snapshot", "snapshot"), ("auto", "auto")],
    "repeats": [("2", 2), ("all", "all"), ("auto", "auto")],
}
"""Setting -> valid values, each as a text or a switch, and as it is read."""

WRONG = {
    "points": ["lines", "", 1],
    "interrupts": ["0", "3", "two", 1.5, True],
    "signals": [
        *("SIGNONE", "TERM", "", "0", "9999", "SIGRTMIN+99", True, 1.5, None, [], ["SIGTERM", None]),
        *("SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "9", 9),
    ],
    "hits": ["0", "4", "most", 1.5, True],
    "max_points": ["0", "-1", "2.5", "many", True],
    "seed": ["2.5", "", "lucky", True, None],
    "timeout": ["0", "-1", "inf", "nan", "soon", True],
    "strict": ["yes", 1],
    "may_swallow": ["no", 0],
    "allow": [[""], [1], 1, "thread", {"thread:*": None}, {1: "x"}, {"thread": "x"}, " -- why"],
    "kinds": [[""], "+path", "path,fd", 1, "--path"],
    "include": [[""], [None], 1],
    "exclude": [[""], [1], {}],
    "isolation": ["yes", None],
    "strategy": ["fork", None],
    "repeats": ["0", "-1", "none", 1.5, True, None, ["all"]],
}
"""Setting -> values that are refused."""


def cases(table: dict[str, list]) -> list:
    """Return (name, entry) for each entry of a table."""
    return [(name, entry) for name, entries in table.items() for entry in entries]


@pytest.fixture
def config(pytester, monkeypatch):
    """Return a function that returns the configuration of an inner pytest with this plugin only, for some arguments."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return lambda *args: pytester.parseconfig("-p", "pytest_maskcheck.plugin", *args)


@pytest.fixture
def marked(pytester, config):
    """Return a function that returns the settings of a test with the given marker and command line."""

    def marked(mark: str, *args: str) -> Settings:
        path = pytester.makepyfile(f"import pytest\n{mark}\ndef test_it(): pass")
        node = pytester.getpathnode(path)
        (item,) = pytester.genitems([node])
        return settings.for_item(item, settings.from_config(config(*args)))

    return marked


def test_defaults(config):
    """Without options, ini keys and marker arguments, settings have the documented defaults."""
    assert Settings(**settings.from_config(config())) == DEFAULTS


def test_options_and_settings_are_the_same(config):
    """Every declared option is a setting, or switches audits or reports on."""
    given = {name.removeprefix("maskcheck_") for name in vars(config().option) if name.startswith("maskcheck")}
    assert given - {"maskcheck", "all", "baseline_update", "point", "report", "shard"} == {
        *ROWS,
        *SESSION_ROWS,
    }


def test_every_setting_is_documented_and_tried(config):
    """Every setting has a row in ``docs/usage.md``, every option is named there, and each has right and wrong values here."""
    usage = (Path(__file__).parents[1] / "docs" / "usage.md").read_text(encoding="utf-8")
    rows = {
        name
        for line in usage.splitlines()
        if line.startswith("|")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    options = {name for name in vars(config().option) if name.startswith("maskcheck_")}
    settable = {*SESSION_ROWS, *ROWS}
    assert settable <= rows
    assert {name for name in options if f"--{name.replace('_', '-')}" not in usage} <= {
        f"maskcheck_{name}" for name in settable
    }
    assert {*ROWS} == {*RIGHT} == {*WRONG}
    assert {*SESSION_ROWS} == {*SESSION_RIGHT} == {*SESSION_WRONG}


@pytest.mark.parametrize(("name", "entry"), cases(SESSION_RIGHT))
def test_session_setting(pytester, config, name, entry):
    """Every setting of the session can be given on the command line and in an ini file."""
    raw, value = entry
    option = SESSION_ROWS[name].option
    expected = str(pytester.path / value) if name in {"cache", "baseline"} else value
    assert getattr(settings.of_session(config(option if raw is True else f"{option}={raw}")), name) == expected
    pytester.makeini(f"[pytest]\nmaskcheck_{name} = {str(raw).lower() if raw is True else raw}\n")
    assert getattr(settings.of_session(config()), name) == expected


@pytest.mark.parametrize(("name", "raw"), cases(SESSION_WRONG))
def test_session_setting_that_cannot_be_used(name, raw):
    """A value that cannot be used is a usage error that names the setting."""
    with pytest.raises(pytest.UsageError, match=f"^maskcheck_{name} is "):
        SESSION_ROWS[name].read(f"maskcheck_{name}", raw)


def test_session_defaults(config):
    """Without options and ini keys, settings of the session have the documented defaults."""
    assert settings.of_session(config()) == SessionSettings(
        budget=None,
        allow_none=False,
        fail_undecided=False,
        changed=False,
        resume=False,
        since=None,
        cleanup=False,
        depth="all",
        github="auto",
        cache=None,
        baseline=None,
    )


@pytest.mark.parametrize(("name", "entry"), cases(RIGHT))
def test_option(config, name, entry):
    """Every setting can be given on the command line."""
    raw, value = entry
    option = ROWS[name].option
    assert settings.from_config(config(option if raw is True else f"{option}={raw}"))[name] == value


@pytest.mark.parametrize(("name", "entry"), cases(RIGHT))
def test_ini_key(pytester, config, name, entry):
    """Every setting can be given in an ini file."""
    raw, value = entry
    pytester.makeini(f"[pytest]\nmaskcheck_{name} = {str(raw).lower() if raw is True else raw}\n")
    assert settings.from_config(config())[name] == value


@pytest.mark.parametrize("table", ["tool.pytest.ini_options", "tool.pytest"])
def test_pyproject(pytester, config, table):
    """All settings can be given in pyproject.toml: as ini options, or natively with pytest 9."""
    if table == "tool.pytest" and pytest.version_tuple < (9,):
        pytest.skip("native TOML came with pytest 9")
    pytester.makepyprojecttoml(f"""
        [{table}]
        maskcheck_points = "line"
        maskcheck_interrupts = 2
        maskcheck_signals = ["SIGINT", "SIGTERM"]
        maskcheck_hits = "all"
        maskcheck_max_points = 7
        maskcheck_seed = 9
        maskcheck_timeout = 0.5
        maskcheck_strict = true
        maskcheck_may_swallow = true
        maskcheck_allow = ["thread:pool-*", "fd:* -- the pool keeps them"]
        maskcheck_kinds = ["-path", "locale"]
        maskcheck_include = ["pkg/*"]
        maskcheck_exclude = ["stdlib"]
        maskcheck_isolation = "none"
        maskcheck_strategy = "rerun"
        maskcheck_repeats = "2"
        """)
    assert Settings(**settings.from_config(config())) == Settings(
        points="line",
        interrupts=2,
        signals=(signal.SIGINT, signal.SIGTERM),
        hits=None,
        max_points=7,
        seed=9,
        timeout=0.5,
        strict=True,
        may_swallow=True,
        allow=(Allow("thread:pool-*"), Allow("fd:*", "the pool keeps them")),
        kinds=("-path", "locale"),
        include=("pkg/*",),
        exclude=("stdlib",),
        isolation="none",
        strategy="rerun",
        repeats=2,
    )


def test_lists_on_the_command_line_are_given_one_by_one(config):
    """An option for a list takes one entry and may be repeated."""
    chosen = settings.from_config(config("--maskcheck-allow=fd:*", "--maskcheck-allow=path:*"))
    assert chosen["allow"] == (Allow("fd:*"), Allow("path:*"))


def test_marker_arguments_are_python_values(marked):
    """A marker accepts numbers, lists, tuples and single strings."""
    mark = "@pytest.mark.interrupt_safe(hits=2, max_points=7, timeout=1, allow=('fd:*',), include='pkg', exclude=['a', 'b'])"
    chosen = marked(mark)
    assert (chosen.hits, chosen.max_points, chosen.timeout) == (2, 7, 1.0)
    assert (chosen.allow, chosen.include, chosen.exclude) == ((Allow("fd:*"),), ("pkg",), ("a", "b"))


@pytest.mark.parametrize(
    ("value", "signums"),
    [
        ("signal.SIGTERM", (signal.SIGTERM,)),
        ("15", (signal.SIGTERM,)),
        ("'SIGUSR1'", (signal.SIGUSR1,)),
        ("[signal.SIGTERM, 'SIGINT', signal.SIGRTMAX, 15]", (signal.SIGTERM, signal.SIGINT, signal.SIGRTMAX)),
    ],
)
def test_signals_are_named_in_many_ways(marked, value, signums):
    """Signals may be given by name, number or member of ``signal.Signals``, one or several; duplicates are dropped."""
    assert marked(f"import signal\n@pytest.mark.interrupt_safe(signals={value})").signals == signums


def test_the_command_line_wins_over_the_ini_file(pytester, config):
    """An option on the command line replaces the ini key, even if it is a list."""
    pytester.makeini("[pytest]\nmaskcheck_hits = 1\nmaskcheck_include = a\nmaskcheck_timeout = 1\n")
    chosen = settings.from_config(config("--maskcheck-hits=2", "--maskcheck-include=b"))
    assert (chosen["hits"], chosen["include"], chosen["timeout"]) == (2, ("b",), 1.0)


def test_layers_add_up(pytester, marked):
    """``allow`` and ``kinds`` add up over all layers: the ini file, the command line, and markers from the outside in."""
    pytester.makeini("[pytest]\nmaskcheck_allow =\n  fd:a b -- ours\n  fd:c\nmaskcheck_kinds = -path\n")
    source = """
pytestmark = pytest.mark.interrupt_safe(kinds=["all"])
@pytest.mark.interrupt_safe(allow={"fd:e": "kept"}, kinds="-fd")"""
    chosen = marked(source, "--maskcheck-allow=fd:d", "--maskcheck-kinds=path")
    assert [(each.glob, each.reason, each.source.partition(".py")[0]) for each in chosen.allow] == [
        ("fd:a b", "ours", "the configuration file"),
        ("fd:c", "", "the configuration file"),
        ("fd:d", "", "the command line"),
        ("fd:e", "kept", "the mark of test_layers_add_up"),
    ]
    assert chosen.kinds == ("-path", "path", "all", "-fd")


@pytest.mark.parametrize(
    ("words", "on"),
    [
        ((), {"fd", "path"}),
        (("-path",), {"fd"}),
        (("locale", "-fd"), {"path", "locale"}),
        (("-all", "locale"), {"locale"}),
        (("all", "-fd"), {"path", "locale"}),
        (("-path", "path"), {"fd", "path"}),
    ],
)
def test_kinds_are_switched_on_and_off(words, on):
    """If two words are about one kind, the later one wins."""
    assert settings.switched(words, {"fd": True, "path": True, "locale": False}) == on


def test_an_unknown_kind_is_refused():
    """An unknown kind is a usage error that lists the existing kinds."""
    with pytest.raises(pytest.UsageError, match=r"kinds is '-lock', but .*; there are fd, path"):
        settings.switched(("-lock",), {"path": True, "fd": True})


def test_the_marker_wins_over_the_command_line(marked):
    """A marker argument replaces the option; settings that the marker does not name are unchanged."""
    chosen = marked("@pytest.mark.interrupt_safe(hits=1, strict=False)", "--maskcheck-hits=2", "--maskcheck-strict")
    assert (chosen.hits, chosen.strict, chosen.points) == (1, False, "checkpoint")


def test_a_marker_without_arguments_leaves_the_command_line(marked):
    """A marker without arguments changes no setting."""
    chosen = marked("@pytest.mark.interrupt_safe", "--maskcheck-hits=2", "--maskcheck-strict")
    assert (chosen.hits, chosen.strict) == (2, True)


def test_the_closest_marker_wins(pytester, config):
    """A function's marker wins over its class's, which wins over its module's, argument by argument."""
    path = pytester.makepyfile("""
        import pytest
        pytestmark = pytest.mark.interrupt_safe(hits=1, timeout=1, max_points=1)

        @pytest.mark.interrupt_safe(timeout=2, max_points=2)
        class TestIt:
            @pytest.mark.interrupt_safe(max_points=3)
            def test_it(self): pass
        """)
    (item,) = pytester.genitems([pytester.getpathnode(path)])
    chosen = settings.for_item(item, settings.from_config(config()))
    assert (chosen.hits, chosen.timeout, chosen.max_points) == (1, 2.0, 3)


@pytest.mark.parametrize(("name", "value"), cases(WRONG))
def test_a_wrong_marker_argument_is_told_with_the_remedy(marked, name, value):
    """The message for an invalid marker argument has the test, the argument, the value, and what it must be."""
    with pytest.raises(pytest.UsageError) as error:
        marked(f"@pytest.mark.interrupt_safe({name}={value!r})")
    place = "test_a_wrong_marker_argument_is_told_with_the_remedy.py::test_it"
    assert str(error.value) == (
        f"{place}: argument {name} of @pytest.mark.interrupt_safe is {value!r}; it must be {ROWS[name].must}"
    )


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, value in cases(WRONG) if isinstance(value, str) and name in RIGHT]
)
def test_a_wrong_ini_value_is_told_with_the_remedy(pytester, config, name, value):
    """The message for an invalid ini value has the key and what the value must be, whether pytest or this plugin refuses it."""
    if isinstance(getattr(DEFAULTS, name), bool):
        value = "perhaps"
    pytester.makeini(f"[pytest]\nmaskcheck_{name} = {value}\n")
    with pytest.raises(pytest.UsageError) as error:
        settings.from_config(config())
    assert str(error.value).startswith(f"maskcheck_{name} ")
    assert str(error.value).endswith(f"; it must be {ROWS[name].must}")


def test_a_wrong_type_in_native_toml_is_told_with_the_remedy(pytester, config):
    """If pytest refuses the type of a value in native TOML, the message still says what it must be."""
    if pytest.version_tuple < (9,):
        pytest.skip("native TOML came with pytest 9")
    pytester.makepyprojecttoml("[tool.pytest]\nmaskcheck_max_points = 'many'\n")
    with pytest.raises(
        pytest.UsageError,
        match=r"^maskcheck_max_points .*int.*; it must be a whole number, 1 or more, below 2[*][*]63$",
    ):
        settings.from_config(config())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("colour=1", "has no argument 'colour'; it takes allow, exclude, hits, include, interrupts, isolation, "),
        ("3", "takes keyword arguments only, not 3"),
    ],
)
def test_a_marker_argument_that_does_not_exist_is_told(marked, arguments, message):
    """An unknown and a positional marker argument are refused, and the message says what the marker takes."""
    with pytest.raises(pytest.UsageError, match=f"::test_it: @pytest.mark.interrupt_safe {message}"):
        marked(f"@pytest.mark.interrupt_safe({arguments})")


@pytest.mark.parametrize("report", ["xml:x.xml", "json:", "json", ":x.json", ""])
def test_a_wrong_report_is_told_with_an_example(config, report):
    """A ``--maskcheck-report`` without a known format and a path is refused, and the message has an example."""
    with pytest.raises(pytest.UsageError) as error:
        settings.reports(config(f"--maskcheck-report={report}"), formats.parse)
    assert str(error.value).startswith(f"--maskcheck-report is {report!r}; it must be FORMAT:PATH with FORMAT ")
    assert str(error.value).endswith(", such as json:maskcheck.json")


@pytest.mark.parametrize("path", [".", "gone/x.json", "test_it.py/x.json"])
def test_a_report_that_cannot_be_written_is_refused_at_the_start(pytester, config, path):
    """A report path that is a folder, or is not in a folder, is refused before any test runs."""
    pytester.makepyfile(test_it="")
    with pytest.raises(pytest.UsageError, match="it must name a file in a folder that exists and can be written to"):
        settings.reports(config(f"--maskcheck-report=json:{path}"), formats.parse)


@pytest.mark.parametrize("path", ["same", "./same", "link"])
@pytest.mark.parametrize("other", ["--maskcheck-report=sarif:", "--junitxml=", "--maskcheck-baseline="])
def test_a_report_in_the_file_of_another_output_is_refused(pytester, config, other, path):
    """Of two outputs in one file, one would be lost; the message names both. Devices take several."""
    Path("link").symlink_to("same")
    with pytest.raises(
        pytest.UsageError, match=r"^--maskcheck-report=html:same and .* name the same file: give each a file of"
    ):
        settings.reports(config("--maskcheck-report=html:same", f"{other}{path}"), formats.parse)
    both = ["--maskcheck-report=json:/dev/null", "--maskcheck-report=sarif:/dev/null"]
    assert len(settings.reports(config(*both), formats.parse)) == 2
    assert (
        len(settings.reports(config("--maskcheck-report=html:same", "--maskcheck-report=sarif:b"), formats.parse)) == 2
    )


def test_a_path_with_a_slash_at_its_end_is_a_folder(pytester, config):
    """No file is made of the name of a folder: it must be there, and the format must have a name for a file in it."""
    with pytest.raises(
        pytest.UsageError, match="'html:new/'; there is no such folder: make it first, or leave out the slash"
    ):
        settings.reports(config("--maskcheck-report=html:new/"), formats.parse)
    pytester.mkdir("new")
    (found,) = settings.reports(config("--maskcheck-report=html:new/"), formats.parse)
    assert found == ("html", os.path.join("new/", "index.html"))
    for path in ("new/", "gone/"):
        with pytest.raises(pytest.UsageError, match="sarif is a file, and this path ends as that of a folder"):
            settings.reports(config(f"--maskcheck-report=sarif:{path}"), formats.parse)


HOSTILE = """
def no(*_, **__):
    raise RuntimeError("no")

class Hostile:
    __str__ = __repr__ = __eq__ = __hash__ = __bool__ = __format__ = no
    __class__ = property(no)
"""


@pytest.mark.parametrize("name", ROWS)
def test_code_of_a_value_is_not_run(pytester, config, name):
    """A marker argument whose methods and ``__class__`` all raise is refused like any other invalid value."""
    path = pytester.makepyfile(
        f"import pytest\n{HOSTILE}\n@pytest.mark.interrupt_safe({name}=Hostile())\ndef test_it(): pass"
    )
    (item,) = pytester.genitems([pytester.getpathnode(path)])
    with pytest.raises(pytest.UsageError, match=f"argument {name} of .* is an object of type Hostile; it must be "):
        settings.for_item(item, settings.from_config(config()))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("max_points=Number(7)", "max_points=7"),
        ("points=Text('line')", "points='line'"),
        ("include=Words(['a'])", "include=['a']"),
    ],
)
def test_values_of_subclasses_are_what_they_are_to_the_builtin_class(pytester, config, given, wanted):
    """A value of a subclass, such as an enum member, is read as its builtin class would be, whatever methods the subclass overrides."""
    classes = "\n".join(
        f"class {name}({base}):\n    __str__ = __eq__ = __iter__ = no\n    __hash__ = {base}.__hash__"
        for name, base in (("Number", "int"), ("Text", "str"), ("Words", "list"))
    )
    found = []
    for number, arguments in enumerate((given, wanted)):
        source = f"import pytest\n{HOSTILE}\n{classes}\n@pytest.mark.interrupt_safe({arguments})\ndef test_it(): pass"
        path = pytester.makepyfile(**{f"test_{number}": source})
        (item,) = pytester.genitems([pytester.getpathnode(path)])
        found.append(settings.for_item(item, settings.from_config(config())))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "value", [10**5000, -(10**5000), 2**63, "9" * 5000], ids=["huge", "negative", "64 bits", "digits"]
)
@pytest.mark.parametrize("name", ["max_points", "seed", "interrupts", "hits", "signals"])
def test_huge_numbers_are_refused(name, value):
    """A huge number is refused with a short message, though Python cannot convert one of more than 4,300 digits to text."""
    with pytest.raises(pytest.UsageError, match=f"^it is .*; it must be {ROWS[name].must[:8]}") as error:
        ROWS[name].read("it", value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("option", ["--maskcheck-point", "--maskcheck-shard"])
def test_an_option_for_one_thing_may_be_given_once(config, option):
    """Two different values of an option for one thing are refused rather than one ignored silently; a repeated value is accepted."""
    one, other = ("a.py:1:call#1", "a.py:1:call#2") if option.endswith("point") else ("1/2", "2/2")
    read = settings.shard if option.endswith("shard") else lambda config: settings.point(config, lambda _: True)
    with pytest.raises(pytest.UsageError, match=f"^{option} is given as '{one}' and as '{other}': audit "):
        read(config(f"{option}={one}", f"{option}={other}"))
    assert str(read(config(f"{option}={one}", f"{option}={one}"))) == one


def test_a_table_in_toml_is_no_list_of_what_is_allowed(pytester, config):
    """A TOML table for ``allow`` is refused: pytest passes it on as text, which would look like a glob that matches nothing."""
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nmaskcheck_allow = {'fd:*' = 'why'}\n")
    with pytest.raises(
        pytest.UsageError, match=r"^maskcheck_allow is .*; it must be a list of globs .* only the marker takes"
    ):
        settings.from_config(config())


TEST = """
import pytest

@pytest.mark.interrupt_safe{}
def test_it():
    len("x")
"""
XDIST = ("-p", "xdist", "-n2")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ("", ["--maskcheck-hits=7"], "--maskcheck-hits is '7'; it must be 1, 2, 3 or all"),
        ("", ["-o", "maskcheck_timeout=0"], "maskcheck_timeout is 0.0; it must be a number of seconds above 0"),
        (
            "",
            ["--maskcheck-report=json:gone/x"],
            "--maskcheck-report is 'json:gone/x'; it must name a file in a folder*",
        ),
        ("", ["--maskcheck-point=store.py:7"], "--maskcheck-point is 'store.py:7'; copy an id such as * from a report"),
        ("", ["--maskcheck-point="], "--maskcheck-point is ''; copy an id such as * from a report"),
        (
            "",
            ["--maskcheck-include=["],
            "*::test_it: maskcheck include or exclude: '[' is no glob that coverage.py can use: *",
        ),
        (
            "",
            ["--maskcheck-include=broken.part"],
            "*: maskcheck include or exclude: 'broken.part' cannot be imported: OSError: no",
        ),
        (
            "",
            ["--maskcheck-report=json:/dev/full"],
            "the report cannot be written: json:/dev/full: *No space left on device*",
        ),
        ("(max_points=10**5000)", [], "*::test_it: argument max_points of * is a number of 16610 bits; it must be *"),
        ("(include='gone')", [], "*::test_it: maskcheck include or exclude: 'gone' is neither a file below *"),
        ("(colour=1)", [*XDIST], "*::test_it: @pytest.mark.interrupt_safe has no argument 'colour'; it takes *"),
    ],
)
def test_a_usage_error_ends_the_session_in_one_sentence(pytester, audit, arguments, options, message):
    """A usage error ends the session with exit code 4, one message and no traceback, also on workers of xdist."""
    pytester.mkpydir("broken").joinpath("__init__.py").write_text("raise OSError('no')")
    result = audit(TEST.format(arguments), *options).result
    lines = [line for line in result.outlines + result.errlines if line.startswith("ERROR")]
    assert len(lines) == 1
    pytest.LineMatcher(lines).fnmatch_lines([f"ERROR: {message}".replace("[", "[[]")])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_a_report_that_cannot_be_written_in_the_end_is_told(pytester, audit):
    """If the folder of the report was removed during the session, it ends with a message, exit code 4 and no traceback."""
    pytester.mkdir("out")
    result = audit(
        """
        import os, pytest

        @pytest.mark.interrupt_safe
        def test_it():
            len("x")

        def test_last():
            os.rmdir("out")
        """,
        "--maskcheck-report=json:out/x.json",
    ).result
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["ERROR: the report cannot be written: *out/x.json*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[run", "no section headers"),
        ("[run]\ninclude = [", "File pattern can't include"),
        ("\xff", "UnicodeDecodeError"),
    ],
)
def test_a_configuration_of_coverage_that_cannot_be_read_is_told(pytester, audit, text, why):
    """A coverage configuration that cannot be read is a usage error of the test to be audited, which names the reason."""
    pytester.path.joinpath(".coveragerc").write_bytes(text.encode("latin-1"))
    result = audit(TEST.format("")).result
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *::test_it: coverage's configuration *{why}*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
