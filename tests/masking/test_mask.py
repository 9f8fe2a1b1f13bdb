"""``mask``: signals wait, and are delivered once and in order, through the handler then in force."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from signal import SIGINT, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2, raise_signal
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import masking
from pytest_maskcheck.masking import is_masked, mask, pending_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from tests.masking.conftest import Handlers, Program

from tests.masking.conftest import ALL, Stop, chain

# --- Deferral and delivery ---


def test_a_signal_waits_for_the_end_of_the_body(handlers: Handlers, send: Callable[[int], None]):
    """However a signal is sent, its handler is called after the body and not within it."""
    with mask(SIGUSR1):
        send(SIGUSR1)
        within = [*handlers.calls]
    assert within == []
    assert handlers.calls == [SIGUSR1]


def test_ctrl_c_is_the_default():
    """``mask()`` defers SIGINT, and KeyboardInterrupt is raised as the mask is left."""
    done = []
    with pytest.raises(KeyboardInterrupt), mask():
        raise_signal(SIGINT)
        done.append(1)
    assert done == [1]


def test_what_is_not_named_is_not_held_back(handlers: Handlers):
    """A signal that the mask does not name is delivered within the body."""
    with mask(SIGINT, SIGUSR2):
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1]


@pytest.mark.parametrize("times", [2, 7])
def test_it_comes_once_however_often_it_arrived(handlers: Handlers, times: int):
    """A signal that arrives several times is delivered once."""
    with mask(SIGUSR1):
        for _ in range(times):
            raise_signal(SIGUSR1)
    assert handlers.calls == [SIGUSR1]


def test_it_comes_again_in_the_next_mask(handlers: Handlers):
    """A delivered signal is forgotten: a second mask delivers only what arrived within it."""
    with mask(SIGUSR1):
        raise_signal(SIGUSR1)
    with mask(SIGUSR1):
        pass
    assert handlers.calls == [SIGUSR1]
    with mask(SIGUSR1):
        raise_signal(SIGUSR1)
    assert handlers.calls == [SIGUSR1, SIGUSR1]


@pytest.mark.parametrize("order", [ALL, ALL[::-1], (SIGUSR2, SIGINT, SIGRTMIN, SIGTERM, SIGUSR1)])
def test_several_come_in_order_of_arrival(handlers: Handlers, order: tuple[int, ...]):
    """Signals are delivered in the order of their first arrival, not by number or by the mask's arguments."""
    with mask(*ALL):
        for signum in (*order, *order[::-1]):
            raise_signal(signum)
        assert pending_signals() == order
    assert handlers.calls == [*order]


def test_a_system_call_goes_on():
    """The signal of a timer that expires while the body waits is delivered at the end of the mask."""
    calls = []
    before = signal.signal(signal.SIGALRM, lambda signum, frame: calls.append(signum))
    try:
        with mask(signal.SIGALRM):
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            while not pending_signals():
                signal.sigtimedwait((), 0.001)
            assert calls == []
        assert calls == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_stream_of_signals_from_another_process(handlers: Handlers):
    """While another process keeps sending signals, no handler is called within a mask, and each signal is delivered after it."""
    source = "import os, sys\nwhile True: os.kill(int(sys.argv[1]), int(sys.argv[2])); os.kill(int(sys.argv[1]), int(sys.argv[3]))"
    sender = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", source, *map(str, map(int, (os.getpid(), SIGUSR1, SIGUSR2)))]
    )
    try:
        blocks = 0
        while blocks < 10:
            with mask(SIGUSR1, SIGUSR2):
                before = len(handlers.calls)
                while len(pending_signals()) < 2:
                    pass
                assert len(handlers.calls) == before
            blocks += 1
    finally:
        with mask(SIGUSR1, SIGUSR2):
            sender.kill()
            sender.wait()
    assert {SIGUSR1, SIGUSR2} == set(handlers.calls)
    assert len(handlers.calls) >= 2 * blocks


# --- Handlers outside ---


def test_the_handler_then_in_force_is_called(handlers: Handlers):
    """A handler that the body installs is called at the end of the mask, and stays in force."""
    calls = []

    def mine(signum: int, frame: FrameType | None) -> None:
        calls.append(signum)

    with mask(SIGUSR1):
        raise_signal(SIGUSR1)
        signal.signal(SIGUSR1, mine)
    assert signal.getsignal(SIGUSR1) is mine
    assert (handlers.calls, calls) == ([], [SIGUSR1])


def test_all_handlers_are_back_before_the_first_is_called(handlers: Handlers):
    """All handlers are restored before the first of them is called."""
    seen = []
    handlers.also = lambda: seen.append([signal.getsignal(signum) is handlers for signum in ALL])
    with mask(*ALL):
        raise_signal(SIGTERM)
        raise_signal(SIGUSR1)
    assert seen == [[True] * 5] * 2


def test_several_are_masked_and_unmasked_at_one_instant(handlers: Handlers, monkeypatch: pytest.MonkeyPatch):
    """A handler called while handlers are being swapped sees either all signals masked or none."""
    seen: list[set[bool]] = []
    swap = masking._swap

    def swap_late(signum: int, handler: object) -> object:
        for other in ALL:
            raise_signal(other)
        return swap(signum, handler)

    def look() -> None:
        seen.append({is_masked(signum) for signum in ALL})

    handlers.also = look
    with monkeypatch.context() as patched:
        patched.setattr(masking, "_swap", swap_late)
        with mask(*ALL) as restore:
            handlers.calls.clear()
            with restore():
                pass
            assert set(pending_signals()) <= set(ALL)
    assert len(seen) >= 40
    assert seen == [{False}] * len(seen)


def test_ignored_outside_is_dropped(handlers: Handlers):
    """A signal that is ignored outside the mask stays ignored within: it is neither pending nor delivered."""
    before = signal.signal(SIGUSR1, signal.SIG_IGN)
    with mask(SIGUSR1):
        raise_signal(SIGUSR1)
        assert pending_signals() == ()
        assert is_masked(SIGUSR1)
    assert signal.signal(SIGUSR1, before) == signal.SIG_IGN
    assert handlers.calls == []


def test_ignored_from_within_is_dropped(handlers: Handlers):
    """If the body sets a signal that has arrived to be ignored, it is dropped at the end of the mask."""
    with mask(SIGUSR1):
        raise_signal(SIGUSR1)
        signal.signal(SIGUSR1, signal.SIG_IGN)
    assert signal.signal(SIGUSR1, handlers) == signal.SIG_IGN
    assert handlers.calls == []


@pytest.mark.parametrize("masks", ["mask(SIGTERM)", "mask(SIGINT, SIGTERM), mask(SIGTERM, SIGUSR1)"])
def test_the_default_action_waits_too(program: Program, masks: str):
    """SIGTERM with its default action kills the process at the end of the mask, not before."""
    result = program(f"""
        from pytest_maskcheck.masking import *
        from signal import *
        with {masks}:
            raise_signal(SIGTERM)
            print("within", flush=True)
        print("after", flush=True)
    """)
    assert (result.returncode, result.stdout, result.stderr) == (-SIGTERM, "within\n", "")


@pytest.mark.parametrize(
    "within", ["deliver_pending()", "exec('with restore(): print(3)')", "exec('with shield(f): print(3)')"]
)
def test_the_default_action_at_a_safe_place(program: Program, within: str):
    """Within a mask, SIGTERM with its default action kills where pending signals are delivered, unless the mask still holds it."""
    result = program(f"""
        import io
        from pytest_maskcheck.masking import *
        from signal import *
        def f():
            return io.BytesIO()
        with mask(SIGTERM) as restore:
            raise_signal(SIGTERM)
            print(1, flush=True)
            {within}
            print(2, flush=True)
    """)
    assert result.returncode == -SIGTERM
    assert result.stdout == ("1\n3\n2\n" if "shield" in within else "1\n")


def test_a_handler_installed_from_c_is_refused(program: Program):
    """Masks refuse to be entered, and change nothing, if a handler was installed from C, so that ``getsignal()`` is ``None``."""
    result = program(
        """
        import faulthandler, os, sys
        faulthandler.register(10)  # a C handler of SIGUSR1...
        for name in ("_signal", "signal"):
            sys.modules.pop(name, None)
        import signal  # ... which is there as Python asks the kernel, as in a program that embeds it
        assert signal.getsignal(signal.SIGUSR1) is None
        sys.path.append(os.environ["PYTHONPATH"])
        from pytest_maskcheck import masking
        for enter in (lambda m: m.__enter__(), lambda m: m.start()):
            try:
                enter(masking.mask(signal.SIGTERM, signal.SIGUSR1))
            except ValueError as error:
                print(error)
        print(masking._stack, signal.getsignal(signal.SIGTERM).name)
        with masking.shield(open, os.devnull):
            print(signal.getsignal(signal.SIGUSR1))
        """,
        "-I",
        "-S",
    )
    refused = "the handler of SIGUSR1 was installed from C and could not be restored: it cannot be masked"
    assert result.stdout.splitlines() == [refused, refused, "[] SIG_DFL", "None"], result.stderr


def test_what_cannot_be_masked_is_refused():
    """Signals that cannot be masked, numbers that are no signal, and other objects are refused as the mask is made."""
    for signum in (signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, 0, 1000, -1):
        with pytest.raises(ValueError, match="cannot be held back by a handler"):
            mask(signum)
    for item in ("SIGINT", None, [SIGINT], 2.5):
        with pytest.raises(TypeError, match="masks take signal numbers"):
            mask(item)  # type: ignore[arg-type]


@pytest.mark.parametrize("signals", [(SIGUSR1,), (SIGUSR1, SIGUSR2)])
@pytest.mark.parametrize("put_back", [False, True])
def test_a_gate_that_the_body_kept_passes_on(handlers: Handlers, signals: tuple[int, ...], put_back: bool):
    """A handler saved within a mask and installed after it passes signals on to the handler that was in force outside."""
    with mask(*signals):
        gate = signal.getsignal(SIGUSR1)
        if put_back:
            signal.signal(SIGUSR1, signal.SIG_IGN)
    signal.signal(SIGUSR1, gate)
    raise_signal(SIGUSR1)
    assert handlers.calls == [SIGUSR1]
    assert not is_masked(SIGUSR1)
    with mask(*signals):
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1]
    assert handlers.calls == [SIGUSR1, SIGUSR1]


def test_a_handler_that_the_body_takes_back_again(handlers: Handlers):
    """A signal is still masked after the body installed another handler and restored the former one."""
    with mask(SIGUSR1):
        before = signal.signal(SIGUSR1, signal.SIG_IGN)
        signal.signal(SIGUSR1, before)
        raise_signal(SIGUSR1)
        assert handlers.calls == []
    assert signal.getsignal(SIGUSR1) is handlers
    assert handlers.calls == [SIGUSR1]


def test_handlers_that_declare_themselves_unmasked(handlers: Handlers):
    """A handler with a true ``__unmasked__`` attribute is called at once, within the mask."""
    calls = []

    def harmless(signum: int, frame: FrameType | None) -> None:
        calls.append(signum)

    harmless.__unmasked__ = True  # type: ignore[attr-defined]
    before = signal.signal(SIGUSR1, harmless)
    try:
        with mask(SIGUSR1, SIGUSR2):
            raise_signal(SIGUSR1)
            assert calls == [SIGUSR1]
    finally:
        signal.signal(SIGUSR1, before)


# --- Exceptions ---


def test_one_that_raises_does_not_keep_the_others_from_running(handlers: Handlers):
    """All handlers are called in order although some raise; their exceptions are chained, with the body's error at the end."""
    handlers.raising = {signum: Stop(int(signum)) for signum in (SIGUSR1, SIGTERM, SIGRTMIN)}
    body = ValueError("of the body")
    with pytest.raises(Stop) as caught, mask(*ALL):
        for signum in (SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGRTMIN):
            raise_signal(signum)
        raise body
    assert handlers.calls == [SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGRTMIN]
    assert chain(caught.value) == [*(handlers.raising[signum] for signum in (SIGRTMIN, SIGTERM, SIGUSR1)), body]


def test_the_error_of_the_body_comes_out(handlers: Handlers):
    """If no handler raises, the body's own error propagates unchanged."""
    body = ValueError("of the body")
    with pytest.raises(ValueError, match="of the body") as caught, mask(*ALL):
        raise_signal(SIGUSR1)
        raise body
    assert caught.value is body
    assert body.__context__ is None
    assert handlers.calls == [SIGUSR1]


def test_ctrl_c_keeps_the_error_of_the_body():
    """KeyboardInterrupt at the end of a body that failed has the body's error as its context."""
    body = ValueError("of the body")
    with pytest.raises(KeyboardInterrupt) as caught, mask():
        raise_signal(SIGINT)
        raise body
    assert caught.value.__context__ is body


@pytest.mark.parametrize("leave", ["return", "break", "continue"])
def test_jumps_out_of_the_body(handlers: Handlers, leave: str):
    """``return``, ``break`` and ``continue`` leave the mask, and pending signals are delivered."""
    namespace = {"mask": mask, "send": raise_signal}
    exec(f"def function():\n for _ in range(1):\n  with mask(10):\n   send(10)\n   {leave}\n return 5", namespace)
    assert namespace["function"]() in {None, 5}  # type: ignore[operator]
    assert handlers.calls == [SIGUSR1]


def test_handlers_that_mask_themselves(handlers: Handlers):
    """A signal that arrives in a mask that a handler entered is delivered once, as that mask ends."""
    events: list[object] = []

    def also() -> None:
        if handlers.calls == [SIGUSR1]:
            with mask(*ALL):
                raise_signal(SIGUSR2)
                events.append([*handlers.calls])
            events.append([*handlers.calls])

    handlers.also = also
    with mask(*ALL):
        raise_signal(SIGUSR1)
        raise_signal(SIGTERM)
    assert events[0] == [SIGUSR1]
    assert sorted(handlers.calls) == sorted([SIGUSR1, SIGUSR2, SIGTERM])
    assert SIGUSR2 in events[1]  # type: ignore[operator]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_unmasked_handlers_that_raise_as_the_mask_is_left(
    handlers: Handlers, count: int, monkeypatch: pytest.MonkeyPatch
):
    """A mask is left completely although handlers of other signals raise meanwhile, up to three times."""
    left = [count]
    finish = masking._Hold._finish

    def disturbed(self: masking._Hold) -> None:
        if left[0]:
            left[0] -= 1
            raise_signal(SIGTERM)
        finish(self)

    handlers.raising = {SIGTERM: Stop(1)}
    with monkeypatch.context() as patched:
        patched.setattr(masking._Hold, "_finish", disturbed)
        with pytest.raises(Stop), mask(SIGUSR1, SIGUSR2):
            raise_signal(SIGUSR1)
    assert handlers.calls == [SIGTERM] * count + [SIGUSR1]
    assert signal.getsignal(SIGUSR1) is handlers


def test_an_unmasked_handler_that_raises_as_the_mask_is_entered(handlers: Handlers, monkeypatch: pytest.MonkeyPatch):
    """If an unmasked handler raises while a mask is entered, no signal is masked afterwards, and the body does not begin."""
    swap = masking._swap
    swaps = []

    def disturbed(signum: int, handler: object) -> object:
        swaps.append(signum)
        if len(swaps) == 2:
            raise_signal(SIGTERM)
        return swap(signum, handler)

    handlers.raising = {SIGTERM: Stop(1)}
    with monkeypatch.context() as patched:
        patched.setattr(masking, "_swap", disturbed)
        with pytest.raises(Stop), mask(SIGUSR1, SIGUSR2, SIGRTMIN):
            pytest.fail("the body began")
    assert handlers.calls == [SIGTERM]
    assert not is_masked(SIGUSR1)


# --- Nesting ---


def test_nested_masks_deliver_at_the_outermost_exit(handlers: Handlers):
    """A signal is delivered when the outermost mask that holds it is left."""
    with mask(SIGUSR1):
        with mask(SIGUSR1, SIGUSR2):
            raise_signal(SIGUSR1)
            raise_signal(SIGUSR2)
            assert handlers.calls == []
        assert handlers.calls == [SIGUSR2]
        with mask(SIGUSR1):
            raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR2]
        assert is_masked(SIGUSR1)
        assert not is_masked(SIGUSR2)
    assert handlers.calls == [SIGUSR2, SIGUSR1]


def test_nested_masks_whose_signals_were_never_named_so(program: Program):
    """Nested masks of the same signal, and masks that name a signal twice, work in a process that makes no other mask."""
    result = program("""
        from pytest_maskcheck.masking import *
        from signal import *
        with mask(), mask(), mask(SIGTERM, SIGINT, SIGTERM), mask(SIGTERM, SIGTERM):
            print(is_masked(), is_masked(SIGTERM))
        print(is_masked(), is_masked(SIGTERM))
    """)
    assert (result.stdout, result.stderr) == ("True True\nFalse False\n", "")


def test_nested_errors(handlers: Handlers):
    """An error that passes through several masks becomes the context of the exceptions that handlers raise at each exit."""
    handlers.raising = {SIGUSR1: Stop(1), SIGUSR2: Stop(2)}
    body = ValueError("of the body")
    with pytest.raises(Stop) as caught, mask(SIGUSR1), mask(SIGUSR2):
        raise_signal(SIGUSR1)
        raise_signal(SIGUSR2)
        raise body
    assert handlers.calls == [SIGUSR2, SIGUSR1]
    assert chain(caught.value) == [handlers.raising[SIGUSR1], handlers.raising[SIGUSR2], body]


def test_recursion(handlers: Handlers):
    """A signal that arrives in the innermost of 200 nested masks is delivered once, at the end of the outermost."""

    @mask(SIGUSR1, SIGUSR2)
    def down(depth: int) -> None:
        if depth:
            return down(depth - 1)
        raise_signal(SIGUSR1)
        assert len(masking._nested) == 199
        return None

    with mask(SIGUSR1):
        down(199)
        assert handlers.calls == []
    assert handlers.calls == [SIGUSR1]


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("signums", [(SIGUSR1,), (SIGUSR1, SIGUSR2)])
def test_a_full_stack_fails_on_entering(handlers: Handlers, signums: tuple[int, ...], changed: bool):
    """If the stack is nearly full, a mask is not entered, or it is left completely, even where the body installed a handler."""
    entered = []

    def down(depth: int) -> None:
        if depth:
            down(depth - 1)
        else:
            with mask(*signums):
                entered.append(True)
                if changed:
                    masking._swap(SIGUSR1, installed)

    def installed(signum: int, frame: object) -> None:
        pass

    results = []
    limit = sys.getrecursionlimit()
    for depth in range(limit - 300, limit):
        entered.clear()
        try:
            down(depth)
        except RecursionError:
            results.append(bool(entered))
        assert masking._stack == []
        assert signal.getsignal(SIGUSR1) in ((handlers, installed) if entered and changed else (handlers,))
        assert not is_masked(SIGUSR2)
        signal.signal(SIGUSR1, handlers)
        if len(results) > 30:
            break
    assert not any(results)


def test_the_same_object_entered_twice(handlers: Handlers):
    """A mask in force refuses to be entered again, and can be used again once it was left."""
    same = mask(SIGUSR1)
    for _ in range(2):
        with same:
            for enter in (same.__enter__, same.start):
                with pytest.raises(RuntimeError, match=r"mask\(SIGUSR1\) is in force already"):
                    enter()
            raise_signal(SIGUSR1)
            assert handlers.calls == []
        assert handlers.calls == [SIGUSR1]
        handlers.calls.clear()
    assert signal.getsignal(SIGUSR1) is handlers


def test_masks_left_in_the_wrong_order(handlers: Handlers):
    """Leaving the outer of two masks first is an error; both can be left nevertheless, and pending signals are delivered."""
    outer, inner = mask(SIGUSR1), mask(SIGUSR1, SIGUSR2)
    outer.start()
    inner.start()
    raise_signal(SIGUSR1)
    raise_signal(SIGUSR2)
    with pytest.raises(RuntimeError, match=r"mask\(SIGUSR1\) is left before a mask that was entered inside it"):
        outer.stop()
    assert not is_masked(SIGUSR1)
    assert is_masked(SIGUSR2)
    assert handlers.calls == [SIGUSR1]
    inner.stop()
    assert handlers.calls == [SIGUSR1, SIGUSR2]


def test_a_generator_suspended_in_a_mask(handlers: Handlers):
    """A mask in a suspended generator holds until the generator is closed; leaving a mask around it before that is an error."""

    def masked() -> Generator[None, None, None]:
        with mask(SIGUSR1):
            yield

    generator = masked()
    next(generator)
    raise_signal(SIGUSR1)
    assert is_masked(SIGUSR1)
    generator.close()
    assert handlers.calls == [SIGUSR1]
    generator = masked()
    with pytest.raises(RuntimeError, match="left before a mask that was entered inside it"), mask(SIGUSR2):
        next(generator)
    assert not is_masked(SIGUSR2)
    assert is_masked(SIGUSR1)
    del generator
    gc.collect()
    assert not is_masked(SIGUSR1)
