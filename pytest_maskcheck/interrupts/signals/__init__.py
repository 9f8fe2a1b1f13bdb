"""Interrupts that come as signals: the engines that find where they can, and deliver them."""
