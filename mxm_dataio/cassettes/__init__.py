"""``use_cassette``: a session with a text file in place of a root."""

from __future__ import annotations

from .session import CassetteSession, use_cassette

__all__ = ["CassetteSession", "use_cassette"]
