"""The engine for CPython 3.12 and later, built on ``sys.monitoring``.

Theory of operation. CPython runs signal handlers at function entry, after calls of what it does not inline, at
backward jumps, and in ``str`` and ``repr``. Most of these have an event:

=============  =====================  ==========================================================
place          event                  delivery (see ``delivery.py``)
=============  =====================  ==========================================================
entry          ``PY_START``           at once: the check lies behind when the event fires
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

Whether the last two sorts of calls check depends on the objects at hand. So the recorder probes CPython itself: it leaves a
signal of its own pending (``probe.py``) at the event. If the handler runs in this very frame, at this very
instruction, that is a place; if a callback of ours is interrupted first, there was no check.

Rules:

1. Never raise from a ``JUMP``, ``BRANCH``, ``CALL`` or ``INSTRUCTION`` callback. A detour that raises waits for a ``LINE``; a comprehension
   on one line has none at its head, where alone it is raised from ``INSTRUCTION``.
2. Only the main thread counts: only it runs signal handlers.
3. A strike arms the one code object it waits for; before it sends the signal it switches its events off.
4. A child process forked by the code under test is not watched.
5. What begins when an interrupt lands is armed just before its handler runs, for code on the stack and for suspended generators,
   too. A handler that is called from a callback runs by ``sys.call_tracing``, or nothing in it would be seen.
6. No frame is ever held, nor what is called or passed: what a function drops must die when it would die unwatched.

Where it still fails: C code that no call runs and that waits (``with lock`` while another thread has it, a ``for`` over a
slow file) handles a signal that comes meanwhile; arithmetic of huge integers, too. Such checks depend on time.
``int("x")`` checks inside, but loses what the handler raises (:func:`~.facts.loses_interrupts`): not a place. While the
code under test has a wakeup descriptor (``signal.set_wakeup_fd``), no probe is sent: each would wake it.
Where a recording begins in the middle of a run, calls under way are probed as they are, cold or warm.

==================  ================================================================
file                purpose
==================  ================================================================
``engine``          the three ways to watch a run; takes and gives back the tool
``recorder``        what recordings have in common: watched code, counts of events
``checkpoints``     the recording of checkpoints
``stretches``       its part about code out of scope
``line_starts``     the recording of lines
``striker``         waits for one trigger, and strikes
``passing``         goes by many triggers, at each of which the process may fork
``catching``        watches who catches an interrupt
``events``          which events to watch for
==================  ================================================================
"""
