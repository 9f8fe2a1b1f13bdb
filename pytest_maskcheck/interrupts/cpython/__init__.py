"""Facts about CPython: its versions, its bytecode, its frames. Imports nothing of ``interrupts`` outside this folder."""
