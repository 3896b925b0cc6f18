"""Settings, and what is typed for them in each face."""

from __future__ import annotations

from .settings import ONCE, ByName, Settings, by_name, load, mode_of, nearest, seconds_of

__all__ = ["ONCE", "ByName", "Settings", "by_name", "load", "mode_of", "nearest", "seconds_of"]
