"""Where: the scope, the lines that a test reached, and the points on them."""
