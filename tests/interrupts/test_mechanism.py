"""Tests of mechanisms: their names in ids, and that no other room does their work."""

from __future__ import annotations

import ast
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_maskcheck
from pytest_maskcheck.interrupts import Hit, Recording, Trigger, choose, mechanism_of, parse, registry
from pytest_maskcheck.interrupts.mechanism import Victim
from pytest_maskcheck.interrupts.signals.mechanism import SignalMechanism
from pytest_maskcheck.points.choice import choose_points
from pytest_maskcheck.points.ids import Names, is_id
from pytest_maskcheck.reasons import reason_of

PACKAGE = Path(pytest_maskcheck.__file__).parent


class Cancelling(SignalMechanism):
    """A second mechanism beside ``signal``; only its names are implemented."""

    name = "cancel"
    victim = Victim(elsewhere=reason_of("reached by another task"), absent=reason_of("its body runs in no task"))

    @classmethod
    def has(cls, number: int) -> bool:
        return number == -1

    @classmethod
    def parse(cls, text: str) -> int:
        if text != "CANCEL":
            raise ValueError
        return -1

    @classmethod
    def label(cls, number: int) -> str:
        return "CANCEL"

    @classmethod
    def suffix(cls, number: int) -> str:
        return "@CANCEL"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGRTMIN", 0)])])
def test_the_suffix_of_an_id_names_the_interrupt(number: int) -> None:
    """``parse`` is the inverse of ``suffix``, and only the default interrupt has no suffix."""
    mechanism = mechanism_of(number)
    assert parse(mechanism.suffix(number).removeprefix("@")) == number
    assert bool(mechanism.suffix(number)) == (number != signal.SIGINT)


def test_a_mechanism_is_chosen_by_name() -> None:
    """``choose`` returns the mechanism with the given name; without a name, it returns ``signal``."""
    assert choose()[0].name == choose("signal")[0].name == "signal"


def test_a_row_in_the_registry_is_enough_for_ids_and_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points of a newly registered mechanism have its suffix and label, and lines its victim did not reach have its reason."""
    name = f"{os.path.basename(__file__)}:1:call#1@CANCEL"
    assert not is_id(name)
    monkeypatch.setattr(registry, "_MECHANISMS", (SignalMechanism, Cancelling))
    assert is_id(name)
    code = compile("f()", __file__, "exec")
    recording = Recording([Hit(code, 0, "call", 1, (), Trigger("t", code, 0, 1))], {(__file__, 1)})
    chosen = choose_points(
        recording,
        Names(os.path.dirname(__file__)),
        lambda *_, **__: "",  # type: ignore[arg-type]
        hits=None,
        max_points=9,
        signums=(-1,),
    )
    (point,) = chosen.points
    assert (point.id.rpartition("@")[2], point.signal) == ("CANCEL", "CANCEL")
    assert chosen.left_out == {"reached by another task": 1}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each file below a folder with each name that it imports from the package, including imports for types only."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_maskcheck."):
                for alias in node.names:
                    yield path.relative_to(PACKAGE).as_posix(), f"{node.module}.{alias.name}"


def test_no_other_room_imports_a_mechanism() -> None:
    """Only ``interrupts`` imports from ``interrupts/signals``: other rooms use the protocol of all mechanisms."""
    signals = "pytest_maskcheck.interrupts.signals"
    assert {file for file, name in imported(PACKAGE) if name.startswith(signals)} <= {
        file for file, _ in imported(PACKAGE) if file.startswith("interrupts/")
    }


def test_facts_about_the_interpreter_depend_on_nothing_in_the_room() -> None:
    """``interrupts/cpython`` imports nothing from other parts of ``interrupts``."""
    room = "pytest_maskcheck.interrupts"
    names = {name for _, name in imported(PACKAGE / "interrupts" / "cpython") if name.startswith(room)}
    assert names
    assert {name for name in names if not name.startswith(f"{room}.cpython")} == set()


def test_only_two_folders_look_into_bytecode() -> None:
    """Only ``interrupts/cpython``, ``system/bytecode.py`` and ``masking.py``, which is copied alone, import ``dis`` or read ``sys.version_info``."""
    looking = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "import dis\n" in text or "sys.version_info" in text:
            looking.add(path.relative_to(PACKAGE).as_posix())
    assert {file for file in looking if not file.startswith("interrupts/cpython/")} == {
        *("system/bytecode.py", "masking.py")
    }
