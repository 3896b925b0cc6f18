"""A recording's clock and random draws, for who replays it; ``[freeze]`` installs the clock."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from ..errors import ConfigError


@contextlib.contextmanager
def frozen(instant: str, seed: str, *, ticks: bool = False) -> Iterator[None]:
    """Have it be an instant within, and have ``random``, ``secrets`` and ``uuid4`` draw alike.

    However they were imported, and with them what draws by ``random.SystemRandom``. What measures
    time (``time.monotonic``, ``perf_counter``, and with them timeouts) goes on.

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
        raise ConfigError("freeze needs a library: pip install 'mxm-dataio[freeze]'") from None
    state = random.getstate()
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    random.seed(int.from_bytes(digest[:8], "big"))
    try:
        with (
            time_machine.travel(datetime.fromisoformat(instant), tick=ticks),
            # Whoever has imported their functions has these modules' names in them.
            _replaced(random, "_urandom", random.Random(digest[8:16]).randbytes),
            _replaced(uuid, "os", _Drawing(random.Random(digest[16:24]).randbytes)),
        ):
            yield
    finally:
        random.setstate(state)


class _Drawing:
    """The module ``os`` to one that draws by ``os.urandom``.

    Args:
        urandom: what it draws by in its place.
    """

    def __init__(self, urandom: Callable[[int], bytes]) -> None:
        self.urandom = urandom

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: object) -> Iterator[None]:
    was = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, was)


def this_second() -> str:
    """Return the time as a cassette keeps it, without what is below a second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
