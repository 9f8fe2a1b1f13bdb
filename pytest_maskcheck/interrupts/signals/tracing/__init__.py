"""The engine for CPython 3.11, built on ``sys.settrace`` with opcode events.

Theory of operation. 3.11 has no event for "this call has returned". But if a signal is made pending before a call,
CPython itself handles it at the next checkpoint, and that is after the call, unless the call was inlined or ran Python
code. So the recorder makes a signal of its own pending (``probe.py``) before every call, every backward jump and
everything that converts an object to text (f-strings, ``%``), and again whenever a Python function that such a call ran
returns. If CPython calls the probe's handler there, that is a checkpoint; if the tracer itself is interrupted, there was
none. To strike there later, the engine waits for the same event of the run and makes the real signal pending.

===========  ==========================================  ================================================
place        event awaited                               delivery (see ``delivery.py``)
===========  ==========================================  ================================================
entry        ``call``                                    at once: the event comes after the check
resume       ``call``, not after ``await``               at once, likewise
call, jump   ``opcode`` of the call, text or jump, or    left pending
             ``return`` of a function that the call ran
line         ``line``                                    ``line``: left pending; ``raise``: raised at once
into, back   ``call`` of a function out of scope, or     at once; left pending
             ``opcode`` of a call or jump there
===========  ==========================================  ================================================

Rules:

1. Only the main thread is traced, since only it runs signal handlers. The lines that other threads reach are recorded.
2. Frames out of scope are traced only if a call in scope ran them, and then only for their return. In the stretches that are followed
   (``excursions.py``) they are traced instruction by instruction. No probe is sent there, because traced calls run unspecialised.
3. A strike switches tracing off before it sends the signal: the tracer's own entry would be the next checkpoint.
4. A child process forked by the code under test is not traced.
5. If something begins when the interrupt lands, the signal is left pending at function entries, too, because raising in the trace
   function would end tracing for good. The ``RESUME`` checks again after the trace function has returned.

Where it still fails: while tracing, a C function that runs several Python functions (``sorted`` with a ``key``) is interrupted after the
last of them, as it would be by a real signal at the end of the call. Checks in C code that waits are not found, as in ``monitoring``;
and ``int("x")``, which loses interrupts, looks like other calls. Lines reached by a thread that was started before the run are not
recorded. While a wakeup descriptor is set (``signal.set_wakeup_fd``), it is removed for each probe. No probe is sent on lines that name
``set_wakeup_fd``, so calls on those lines have no place. If garbage is collected between a probe and the check, a finalizer in Python
may take the probe, and that hit is not recorded; the heap is frozen before a recording, so that only garbage of the run itself can do that.
"""
