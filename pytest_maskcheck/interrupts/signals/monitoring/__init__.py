"""The engine for CPython 3.12 and later, built on ``sys.monitoring``.

Theory of operation. CPython runs signal handlers at function entry, after calls that it does not inline, at
backward jumps, and in ``str`` and ``repr``. Most of these places have an event:

=============  =====================  ==========================================================
place          event                  delivery (see ``delivery.py``)
=============  =====================  ==========================================================
entry          ``PY_START``           at once: the event fires after the check
resume         ``PY_RESUME``          at once, likewise; not after ``await`` or ``yield from``
call           ``C_RETURN``           at once: the result is dropped, as by a signal in the call
call           ``PY_RETURN`` of the   left pending: a bound method called through ``*args`` is
               method called          checked on return but fires no ``C_RETURN``
call           ``CALL``               left pending: the same, where the method runs no Python
                                      code yet (generators, coroutines, bound builtins); and
                                      calls that check inside and then fail (``float("x")``)
call           ``INSTRUCTION``        left pending: f-strings and ``%``, which have no event
jump           ``INSTRUCTION`` of     left pending: raising here would skip enclosing blocks, and
               the jump               ``JUMP`` fires after the check on 3.13 and later
line           ``LINE``, or           ``line``: left pending; ``raise``: raised at once
               ``PY_START`` where a   (3.13 and later fire no ``LINE`` for ``def f(): return 1``)
               body begins on the
               line of its ``def``
=============  =====================  ==========================================================

Whether a call that fires no ``C_RETURN`` checks depends on the objects involved. So the recorder probes CPython itself: at the event, it
leaves a signal of its own pending (``probe.py``). If the handler runs in the same frame, at the same instruction, that is a place;
if one of our callbacks is interrupted first, there was no check.

Rules:

1. Never raise from a ``JUMP``, ``BRANCH``, ``CALL`` or ``INSTRUCTION`` callback. A detour that raises waits for a ``LINE``. The one
   exception is the head of a one-line comprehension, which has no ``LINE``: there the detour raises from ``INSTRUCTION``.
2. Only events on the main thread count, since only that thread runs signal handlers.
3. A strike arms the one code object it waits for, and switches its events off before it sends the signal.
4. A child process forked by the code under test is not watched.
5. A phase that begins when an interrupt lands is armed just before the handler runs, for code on the stack and for suspended
   generators, too. A handler called from a callback runs through ``sys.call_tracing``; otherwise nothing in it would be seen.
6. No reference to a frame, a callee or an argument is kept: an object that a function drops must die when it would die unwatched.

Where it still fails: C code that runs without a call and waits (``with lock`` while another thread holds it, a ``for`` over a
slow file) handles a signal that arrives meanwhile; so does arithmetic on huge integers. Such checks depend on timing.
``int("x")`` checks inside, but loses what the handler raises (:func:`~.facts.loses_interrupts`), so it is not a place. While the
code under test has a wakeup descriptor (``signal.set_wakeup_fd``), no probe is sent: each would wake it.
If a recording begins in the middle of a run, calls under way are probed in their current state of warm-up.

==================  ================================================================
file                purpose
==================  ================================================================
``engine``          the ways to watch a run; takes and gives back the tool
``recorder``        the base of all recordings: watched code, counts of events
``checkpoints``     the recording of checkpoints
``stretches``       its part about code out of scope
``line_starts``     the recording of lines
``striker``         waits for one trigger, and strikes
``passing``         passes many triggers, and may fork the process at each
``timing``          times runs
``catching``        watches which handlers catch an interrupt
``events``          which events to watch for
==================  ================================================================
"""
