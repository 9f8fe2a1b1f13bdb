"""Patches: edits of source code that cure defects, each tried on a copy of the project before it is proposed."""
