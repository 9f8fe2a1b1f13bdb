"""One run, and the process in which it happens."""
