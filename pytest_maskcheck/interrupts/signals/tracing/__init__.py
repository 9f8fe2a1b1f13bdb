"""The engine for CPython 3.11, built on ``sys.settrace`` with opcode events.

Theory of operation. 3.11 has no event for "this call has returned". But a signal that is made pending before
a call is handled by CPython itself at the next checkpoint, and that is after the call, unless the call was
inlined or ran Python code. So the recorder makes a signal of its own pending (``probe.py``) before every call, every
backward jump and everything that makes text of an object (f-strings, ``%``), and again whenever a Python function that
such a call ran returns: where CPython calls the probe's handler is a checkpoint; if the tracer itself is interrupted,
there was none. To strike there later, the same event of the run is awaited and the real signal made pending.

===========  ==========================================  ================================================
place        event awaited                               delivery (see ``delivery.py``)
===========  ==========================================  ================================================
entry        ``call``                                    at once: the check lies behind
resume       ``call``, not after ``await``               at once, likewise
call, jump   ``opcode`` of the call, text or jump, or    left pending
             ``return`` of a function that the call ran
line         ``line``                                    ``line``: left pending; ``raise``: raised at once
into, back   ``call`` of a function out of scope, or     at once; left pending
             ``opcode`` of a call or jump there
===========  ==========================================  ================================================

Rules:

1. Only the main thread is traced: only it runs signal handlers. Lines that other threads reach are recorded.
2. Frames out of scope are traced only if a call in scope ran them, and then only for their return; instruction by instruction in the
   stretches that are followed (``excursions.py``). No probe is sent there: traced calls are carried out unspecialised.
3. A strike switches tracing off before it sends the signal: the tracer's own entry would be the next checkpoint.
4. A child process forked by the code under test is not traced.
5. If something begins when the interrupt lands, the signal is left pending at function entries, too: raising in the trace function
   would end tracing for good. The ``RESUME`` checks again after the trace function has returned.

Where it still fails: while tracing, a C function that runs several Python functions (``sorted`` with a
``key``) is struck after the last of them, as a real signal at the end of the call would be. Checks of C code that waits
are not found, as in ``monitoring``; and ``int("x")``, which loses interrupts, looks like other calls. Lines
reached by a thread that was started before the run are not recorded. While a wakeup descriptor is set
(``signal.set_wakeup_fd``) it is taken away for each probe; no probe is sent on lines that name it, so their calls have no place.
"""
