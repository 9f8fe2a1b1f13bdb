"""Results for people (terminal) and for machines (files). ``formats`` is the registry of file formats."""
