"""Sessions of ``requests``: the adapter that captures and replays their calls, and mounting it."""

from __future__ import annotations

from .adapter import CaptureAdapter
from .mounting import mount

__all__ = ["CaptureAdapter", "mount"]
