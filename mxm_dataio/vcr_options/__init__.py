"""vcrpy's options as ours, for markers and fixtures that were written for its pytest plugins."""

from __future__ import annotations

from .options import Translated, from_vcr

__all__ = ["Translated", "from_vcr"]
