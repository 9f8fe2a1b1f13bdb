"""Where to interrupt: the scope, the lines that a test reached, and the points on them."""
