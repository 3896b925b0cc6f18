"""Suites of other projects, run under capture."""
