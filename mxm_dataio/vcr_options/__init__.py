"""Options of vcrpy and betamax as ours, for fixtures and markers that were written for them."""

from __future__ import annotations

from .betamax import from_betamax
from .options import Translated, from_vcr

__all__ = ["Translated", "from_betamax", "from_vcr"]
