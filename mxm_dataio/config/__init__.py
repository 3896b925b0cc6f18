"""Settings, and what is typed for them in each face."""

from __future__ import annotations

from .settings import ONCE, Settings, load, mode_of, nearest, seconds_of

__all__ = ["ONCE", "Settings", "load", "mode_of", "nearest", "seconds_of"]
