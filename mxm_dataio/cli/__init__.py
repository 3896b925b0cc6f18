"""``mxm-dataio``: the terminal's face of the library."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
