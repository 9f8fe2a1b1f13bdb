"""Gives the whole suite pytest's ``pytester`` fixture."""

pytest_plugins = ["pytester"]
