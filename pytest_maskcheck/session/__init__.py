"""Everything that depends on pytest: its hooks, an item as a callable, and the audits of a session."""
