"""Interrupts that arrive as signals: the engines that find where they can arrive, and deliver them."""
