"""Facts about CPython: its versions, its bytecode, its frames. Nothing here imports other parts of ``interrupts``."""
