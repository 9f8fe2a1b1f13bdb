"""What a run can leave behind: one file for each kind, or for a family of kinds."""
