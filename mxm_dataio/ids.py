"""Time-ordered ids, and what a forked child has to renew."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Callable

_last = 0


def after_fork(renew: Callable[[], None]) -> None:
    """Have a forked child renew what a thread of its parent may have held: a lock, most of all."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562 §5.7): unique across machines, ascending within a process.

    The 74 bits behind the millisecond carry a 12-bit fraction of it (method 3 of §6.2), then
    62 random bits; two ids of one instant are told apart by stepping the fraction.
    """
    global _last
    now = (time.time_ns() << 12) // 1_000_000
    # One statement that calls nothing: no other thread and no signal's handler comes in between.
    _last = stamp = now if now > _last else _last + 1
    high = (stamp >> 12) << 16 | 0x7000 | (stamp & 0xFFF)
    low = 1 << 63 | int.from_bytes(os.urandom(8)) >> 2
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
