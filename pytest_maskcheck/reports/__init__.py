"""Results made readable: for the terminal and for machines."""
