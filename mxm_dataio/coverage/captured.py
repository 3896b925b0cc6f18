"""Which connections and look-ups a captured call accounts for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_accounted: ContextVar[bool] = ContextVar("mxm_dataio_accounted", default=False)
# Each says whether the code that runs here belongs to a captured call; filled by the adapters.
accounts: list[Callable[[], bool]] = []


@contextlib.contextmanager
def captured() -> Iterator[None]:
    """Account for the connections and look-ups made within, in this context."""
    token = _accounted.set(True)
    try:
        yield
    finally:
        _accounted.reset(token)


def is_captured() -> bool:
    """Say whether a captured call accounts for what happens here."""
    return _accounted.get() or any(account() for account in accounts)
