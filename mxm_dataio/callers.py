"""Which module did something, seen from deep below it."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import NamedTuple

# What carries connections for others; they are named only if nobody else is there.
_CARRIERS = frozenset({"aiohappyeyeballs", "anyio", "eventlet", "gevent", "httpcore", "socks"})
# Their look-ups of names are made in other threads than their connections.
_LOOPS = frozenset({"asyncio", "curio", "eventlet", "gevent", "trio"})
_OWN = __name__.partition(".")[0]
_POOLS = frozenset({"concurrent", "threading"})
_DEEPEST = 200


class Stack(NamedTuple):
    """What the frames below an event tell.

    Attributes:
        caller: the module that did it, up to its first private part; empty if none is known.
        inner: the innermost module of all, without sockets and processes themselves.
        asked: host that asyncio is connecting to.
        loops: an event loop does it.
    """

    caller: str
    inner: str
    asked: str = ""
    loops: bool = False


# The modules through which everything goes, whoever does it.
_THROUGH = frozenset({"socket", "_socket", "ssl", "subprocess", "os"})


def stack(frame: FrameType | None) -> Stack:
    """Return what the frames from this one outwards tell.

    The caller is the innermost module that belongs neither to the standard library nor to what
    carries connections for others. A task of an event loop ends where the loop begins, as
    whoever runs that has not called it.
    """
    carrier = inner = asked = caller = ""
    loops = False
    standard = sys.stdlib_module_names
    for _ in range(_DEEPEST):
        if frame is None:
            break
        name = frame.f_globals.get("__name__")
        if type(name) is str:
            top = name.partition(".")[0]
            if not inner and name not in _THROUGH and top != _OWN:
                inner = name
            if top in _LOOPS:
                loops = True
                code = frame.f_code.co_name
                if code == "create_connection" and name == "asyncio.base_events":
                    host = frame.f_locals.get("host")
                    asked = asked or (host if type(host) is str else "")
                if code == "_run" and name == "asyncio.events" and carrier:
                    break
            if top in _CARRIERS:
                carrier = carrier or top
            elif top not in standard and top != _OWN:
                caller = public(name)
                break
        frame = frame.f_back
    return Stack(caller or carrier or _standard(inner), inner, asked, loops)


def _standard(inner: str) -> str:
    """Return what of the standard library did it; a pool's thread works for others."""
    top = inner.partition(".")[0]
    if top not in _POOLS:
        return top
    return "asyncio" if threading.current_thread().name.startswith("asyncio") else ""


def public(name: str) -> str:
    """Return a module's name up to its first private part: ``httpx`` for ``httpx._client``."""
    if name == "__main__":
        return name
    parts: list[str] = []
    for part in name.split("."):
        if part.startswith("_") and parts:
            break
        parts.append(part)
    return ".".join(parts)
