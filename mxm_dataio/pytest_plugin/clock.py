"""A recording's clock and random draws, for who replays it; ``[freeze]`` installs the clock."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime

from ..errors import ConfigError


@contextlib.contextmanager
def frozen(instant: str, seed: str, *, ticks: bool = False) -> Iterator[None]:
    """Have it be an instant within, and have ``random`` draw alike each time.

    What measures time (``time.monotonic``, ``perf_counter``, and with them timeouts) goes on.

    Args:
        instant: as in a cassette, ``2025-10-07T12:00:00Z``.
        seed: any text; the same text gives the same draws.
        ticks: the clock goes on from there; else it stands still.

    Raises:
        ConfigError: the library for it is not installed.
    """
    try:
        import time_machine
    except ImportError:
        raise ConfigError("freeze needs a library: pip install mxm-dataio[freeze]") from None
    state = random.getstate()
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    random.seed(int.from_bytes(digest[:8], "big"))
    try:
        with time_machine.travel(datetime.fromisoformat(instant), tick=ticks):
            yield
    finally:
        random.setstate(state)


def this_second() -> str:
    """Return the time as a cassette keeps it, without what is below a second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
