"""What the other rooms read from the process and the system: the standard library as it was, processes, signals, clocks."""
