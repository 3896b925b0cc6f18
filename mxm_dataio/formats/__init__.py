"""Formats of recordings as files: each module reads one.

A module has ``read(fp) -> Iterable[Recording]``, of a binary file, and ``knows(content: bytes) ->
bool``, which says by how a file begins whether it is of the format.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Format → its module, in the order in which a file is tried.
FORMATS = {
    "cassette": "cassette.document",
    "betamax": "foreign.betamax",
    "vcr": "foreign.vcr",
    "responses": "foreign.responses",
}
# Those in which sessions are written: the first whole, the others as rows, a call each.
WRITTEN = ("cassette", "jsonl", "csv", "parquet")
# As much of a file as tells its format.
LOOK = 65_536


def module_of(name: str) -> Any:
    """Return the module of a format."""
    return import_module(f".{FORMATS[name]}", __name__)


def detect(content: bytes) -> str | None:
    """Return the format of a file, given how it begins, or ``None``."""
    return next((name for name in FORMATS if module_of(name).knows(content[:LOOK])), None)
