"""vcrpy's options as ours, for markers and fixtures that were written for its pytest plugins."""

from __future__ import annotations

from .options import from_vcr

__all__ = ["from_vcr"]
