"""Assemble what the audit of one pytest item needs: scope, engine, kinds, runner, run maker and executor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.audit import strategy
from pytest_maskcheck.audit.assignment import Assignment
from pytest_maskcheck.audit.channels import OwnChannels
from pytest_maskcheck.audit.course import Course
from pytest_maskcheck.audit.first_course import FirstCourse
from pytest_maskcheck.audit.instruments import Instruments
from pytest_maskcheck.audit.preparation import Preparation
from pytest_maskcheck.audit.run_maker import RunMaker
from pytest_maskcheck.audit.selection import Selection
from pytest_maskcheck.audit.sharing.helper import Helper
from pytest_maskcheck.interrupts import parse
from pytest_maskcheck.points.ids import ID, Names
from pytest_maskcheck.resources import Surroundings, all_kinds
from pytest_maskcheck.resources.heap import classify
from pytest_maskcheck.runs import fingerprint
from pytest_maskcheck.runs.isolation import ISOLATIONS
from pytest_maskcheck.runs.module_state import ModuleState
from pytest_maskcheck.runs.runner import Runner
from pytest_maskcheck.session.item_code import body_code, own_code, own_files, plugin_modules
from pytest_maskcheck.session.item_fixtures import kept_values
from pytest_maskcheck.session.ledger import LEDGER, Ledger
from pytest_maskcheck.session.outline import outline
from pytest_maskcheck.session.private import temporary_directory
from pytest_maskcheck.session.target import ItemTarget
from pytest_maskcheck.settings import switched
from pytest_maskcheck.system import descendants, signals
from pytest_maskcheck.system.lines_since import LinesSince
from pytest_maskcheck.system.loaded_modules import LOADED
from pytest_maskcheck.system.unpatched import FOR_FILES, os, time, unpatched

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_maskcheck.resources import Kind, UserKind
    from pytest_maskcheck.runs.requests import Executor
    from pytest_maskcheck.session.order import Order


@dataclass(frozen=True, slots=True, repr=False)
class Assembly:
    """The parts of one item's audit, put together.

    Parameters:
        order: what is to be audited, and how.
        item: the test.
        directory: holds the ``tmp_path`` directories of runs.
        target: the item as a callable.
        assignment: the order, without the parts that depend on pytest.
        instruments: what the audit works with.
    """

    order: Order
    item: pytest.Function
    directory: str
    target: ItemTarget
    assignment: Assignment
    instruments: Instruments

    @property
    def runner(self) -> Runner:
        """The runner, which runs the test once."""
        return self.instruments.runner

    def course(self) -> Course:
        """Return the audit of what all runs reach."""
        return Course(self.assignment, self.instruments)

    def first_course(self) -> FirstCourse:
        """Return the audit of what only the first run in a process reaches."""
        return FirstCourse(self.assignment, self.instruments)

    def executor(self, limit: float) -> Executor:
        """Return the executor, which makes runs here or in forked workers; a run may take ``limit`` seconds."""
        isolates = ISOLATIONS[self.order.isolation]
        instruments = self.instruments
        return isolates(instruments.maker.make_run, limit, instruments.names.short, instruments.conditions)

    def inherited_mask(self) -> frozenset[int]:
        """Return the signals that this process blocks because it was started with them blocked.

        A signal that a fixture of the session blocks is not among them: such a mask is part of what is audited.
        """
        return self.order.blocked & signals.blocked()


def read_ahead(order: Order) -> None:
    """Do now, once, what each process that is forked for the test would do for itself."""
    assert isinstance(order.item, pytest.Function)
    order.reach.read_ahead(*own_files(order.item))
    order.mechanism.get_ready()
    descendants.get_ready()
    classify()


def assemble(order: Order, item: pytest.Function, directory: str) -> Assembly:
    """Put together the parts for an order.

    Parameters:
        order: what is to be audited, and how.
        item: the test.
        directory: holds the files of the audit; see :func:`.scratch.scratch_directory`.
    """
    began = time.perf_counter()
    read_ahead(order)
    inner = os.path.join(directory, "p")
    reach, root = order.reach, str(item.config.rootpath)
    names, inside = Names(root), {"basetemp": inner}
    surroundings = Surroundings(in_scope=reach.covers, modules=reach.modules, named_only=inside, root=root)
    # Longer-lived fixtures have directories in the session's numbered one; reports name it like the one of the runs.
    surroundings.others = dict.fromkeys(filter(None, [temporary_directory(item.config)]), "basetemp")
    user_kinds = order.extensions.kinds() if order.extensions else ()
    kinds = _chosen(order, surroundings, user_kinds)
    with unpatched(*FOR_FILES):  # pytest's own code looks at the item
        target = ItemTarget(item, {"tmp": os.path.join(directory, "t")})
    item.stash[LEDGER] = ledger = Ledger(item, surroundings.key, here=order.is_here)
    fingerprints = fingerprint.Fingerprints(reach.covers, surroundings.named, partial(kept_values, item), reach.modules)
    runner = _runner(
        order, item, target, kinds, surroundings=surroundings, names=names, ledger=ledger, state=fingerprints.take
    )
    assignment = _assignment(order, item, began)
    maker = _maker(order, runner, ledger)
    selection = _selection(order, item, assignment, names, ledger)
    usual = _usual(order, fingerprints, selection)
    instruments = Instruments(
        runner,
        maker,
        Preparation(maker, assignment.signums),
        order.mechanism,
        order.reach,
        names,
        kinds,
        user_kinds,
        ledger,
        selection,
        usual,
        fingerprints,
        OwnChannels(usual, target),
    )
    return Assembly(order, item, inner, target, assignment, instruments)


def _runner(
    order: Order,
    item: pytest.Function,
    target: ItemTarget,
    kinds: tuple[Kind, ...],
    *,
    surroundings: Surroundings,
    names: Names,
    ledger: Ledger,
    state: Callable[[], fingerprint.Fingerprint],
) -> Runner:
    return Runner(
        target,
        kinds,
        surroundings,
        names,
        order.reach.in_scope,
        order.mechanism,
        here=order.is_here,
        guarantees=ledger,
        state=state,
        own=frozenset(map(id, own_code(item))),
        since=LinesSince() if order.notes_lines else None,
    )


def _maker(order: Order, runner: Runner, ledger: Ledger) -> RunMaker:
    return RunMaker(
        runner,
        order.mechanism,
        order.reach,
        order.settings.points,
        watch=ledger.watch,
        limit=order.settings.timeout,
        seconds=order.seconds,
    )


def _chosen(order: Order, surroundings: Surroundings, user_kinds: tuple[UserKind, ...]) -> tuple[Kind, ...]:
    """Return the kinds that the settings of the test select."""
    kinds = (*user_kinds, *all_kinds(surroundings))
    chosen = switched(order.settings.kinds, {kind.name: kind.default for kind in kinds})
    return tuple(kind for kind in kinds if kind.name in chosen)


def _assignment(order: Order, item: pytest.Function, began: float) -> Assignment:
    form = ID.fullmatch(order.only)
    # A helper takes chunks of points: snapshots need the whole plan.
    asked = "rerun" if order.only or isinstance(order.share, Helper) else order.settings.strategy
    why_rerun = strategy.why_rerun(asked, order.isolation, item.fixturenames, order.seconds, order.descriptors) or next(
        (channel.what for channel in order.channels), None
    )
    return Assignment(
        settings=order.settings,
        outline=partial(outline, order),
        signums=(parse(form["signal"] or ""),) if form else order.settings.signals,
        only=order.only,
        shard=order.shard,
        share=order.share,
        budget=order.budget,
        seconds=order.seconds,
        began=began,
        channels=order.channels,
        left=order.left,
        why_rerun=why_rerun,
        seeing=order.seeing,
        changed=order.changed,
        chosen=order.chosen,
        depth=order.depth,
        story_apart=order.story_apart,
    )


def _selection(order: Order, item: pytest.Function, assignment: Assignment, names: Names, ledger: Ledger) -> Selection:
    remove = partial(order.extensions.remove, item) if order.extensions else None
    files = own_files(item)
    repeats = None
    if order.repeats is not None and not isinstance(order.share, Helper):  # a helper offers all points it could take
        repeats = replace(order.repeats, own=files, name=names.short)
    return Selection(
        assignment,
        order.reach,
        names,
        files,
        body_code(item),
        remove,
        lambda: None if ledger.used else repeats,
    )


def _usual(order: Order, fingerprints: fingerprint.Fingerprints, selection: Selection) -> ModuleState:
    """Return the comparison of module state; modules out of scope are included if the recorded run used them."""
    files = selection.files
    return ModuleState(
        fingerprints,
        is_near=lambda file: file in files or order.reach.reached(file),
        has_run=lambda file: file in selection.recording.files,
        words=lambda: selection.recording.words(),  # noqa: PLW0108  (``recording`` is replaced by a later one)
        plugins=plugin_modules(order.item.config),
        candidates=lambda: [*LOADED.of_files(selection.recording.files), *LOADED.new()],
    )
