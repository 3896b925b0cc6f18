"""A command-line client of the market, as a package with a command of its own."""

__version__ = "2.1"
