"""``use_cassette``: a session with a text file in place of a root."""

from __future__ import annotations

from .options import CassetteOptions, MarkerOptions
from .session import CassetteSession, use_cassette

__all__ = ["CassetteOptions", "CassetteSession", "MarkerOptions", "use_cassette"]
