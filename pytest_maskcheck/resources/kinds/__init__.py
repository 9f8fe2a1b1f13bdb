"""The kinds: what a run can leave behind, one file for each family."""
