"""Which module did something, seen from deep below it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

from .tasks import waiting_for_task

# What carries connections for others; they are named only if nobody else is there.
_CARRIERS = frozenset(
    {"aiohappyeyeballs", "anyio", "eventlet", "gevent", "httpcore", "socks", "trio"}
)
# Their look-ups of names are made in other threads than their connections.
_LOOPS = frozenset({"asyncio", "curio", "eventlet", "gevent", "trio"})
# The modules through which everything goes, whoever does it.
_THROUGH = frozenset({"socket", "_socket", "ssl", "subprocess", "os"})
# These have several tasks connect, and take the first that does.
_RACES = frozenset({"aiohappyeyeballs._staggered", "asyncio.staggered"})
# What works in them was given to them by others.
_POOLS = frozenset({"concurrent", "threading"})
# Functions that connect to a host for others, and which of their local names has it.
_CONNECTORS = {
    ("aiohttp", "_create_direct_connection"): "host",
    ("anyio", "connect_tcp"): "remote_host",
    ("asyncio", "create_connection"): "host",
    ("socket", "create_connection"): "address",
    ("trio", "open_tcp_stream"): "host",
    ("urllib3", "create_connection"): "address",
}
_OWN = __name__.partition(".")[0]
_DEEPEST = 200


class Stack(NamedTuple):
    """What the frames below an event tell.

    Attributes:
        caller: the module that did it, up to its first private part; empty if none is known.
        inner: the innermost module of all, without sockets and processes themselves.
        asked: the host that it wanted, where one of these frames has it.
        loops: an event loop does it.
    """

    caller: str
    inner: str
    asked: str = ""
    loops: bool = False


def stack(frame: FrameType | None) -> Stack:
    """Return what the frames from this one outwards tell.

    The caller is the innermost module that belongs neither to the standard library nor to what
    carries connections for others. Behind a task of an event loop stands whoever made the task,
    not who runs the loop.
    """
    inner = asked = caller = carrier = ""
    loops = races = False
    for name, one in _modules(frame):
        top = name.partition(".")[0]
        if not inner and name not in _THROUGH and top != _OWN:
            inner = name
        if top in _LOOPS:
            loops = True
            if (carrier or races) and _runs_tasks(name, one):
                break
        asked = _asked(top, one) or asked
        races = races or name in _RACES
        if top in _CARRIERS:
            carrier = carrier or top
        elif _is_caller(top):
            caller = public(name)
            break
    if not caller and (carrier or races):
        caller, host = _maker_of_task()
        caller, asked = caller or carrier, host or asked
    return Stack(caller or _standard(inner), inner, asked, loops)


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


def _modules(frame: FrameType | None) -> Iterator[tuple[str, FrameType]]:
    """Yield the modules of the frames, from this one outwards."""
    for _ in range(_DEEPEST):
        if frame is None:
            return
        name = frame.f_globals.get("__name__")
        if type(name) is str:
            yield name, frame
        frame = frame.f_back


def _is_caller(top: str) -> bool:
    return top not in sys.stdlib_module_names and top != _OWN and top not in _CARRIERS


def _runs_tasks(name: str, frame: FrameType) -> bool:
    """Say whether a frame is the loop's that runs a task, in which all within it happens."""
    if name == "asyncio.events":
        return frame.f_code.co_name == "_run"
    return name.startswith("trio._core.")


def _asked(top: str, frame: FrameType) -> str:
    """Return the host that a frame is connecting to, if it is one that does so for others."""
    local = _CONNECTORS.get((top, frame.f_code.co_name))
    if local is None:
        return ""
    host = frame.f_locals.get(local)
    if isinstance(host, tuple) and host:
        host = host[0]
    return host if type(host) is str else ""


def _maker_of_task() -> tuple[str, str]:
    """Return the module that waits for this task, and the host that it wants."""
    caller = asked = ""
    for frame in reversed(waiting_for_task()):
        name = str(frame.f_globals.get("__name__"))
        top = name.partition(".")[0]
        asked = _asked(top, frame) or asked
        if _is_caller(top):
            caller = public(name)
            break
    return caller, asked


def _standard(inner: str) -> str:
    """Return what of the standard library did it."""
    top = inner.partition(".")[0]
    if top not in _POOLS:
        return top
    return "asyncio" if threading.current_thread().name.startswith("asyncio") else ""
