"""Options of vcrpy, betamax and requests-cache as ours, for what was written for them."""

from __future__ import annotations

from .betamax import from_betamax
from .options import Translated, from_vcr
from .requests_cache import from_requests_cache

__all__ = ["Translated", "from_betamax", "from_requests_cache", "from_vcr"]
