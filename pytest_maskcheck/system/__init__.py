"""What the process and the system tell, for all rooms: the standard library as it was, processes, signals, clocks."""
