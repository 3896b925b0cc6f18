"""A part of a cassette's JSON, and the error that it is not what it should be."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]


class Refusal(ValueError):  # noqa: N818 - never leaves the package
    """A node is not what it should be.

    Attributes:
        place: within it, as a path of JSON.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place
