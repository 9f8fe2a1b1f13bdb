"""What is known of CPython: its versions, its bytecode, its defects."""
