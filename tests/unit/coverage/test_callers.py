"""Which module did it, found from the frames beneath."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from mxm_dataio.coverage.callers import Stack, public, stack


def within(*modules: str, **local: Any) -> Stack:
    """Return what is found within functions that call each other, the innermost module first.

    Args:
        modules: ``module`` or ``module:function``.
        local: names local to the first.
    """

    def look() -> Stack:
        return stack(sys._getframe(1))

    inner: Callable[[], Any] = look
    for module in modules:
        name, _, function = module.partition(":")
        source = "def call():\n"
        source += "".join(f"    {key} = {value!r}\n" for key, value in local.items())
        source += "    return inner()\n"
        space: dict[str, Any] = {"__name__": name, "inner": inner}
        exec(source, space)
        call = space["call"]
        call.__code__ = call.__code__.replace(co_name=function or "call")
        inner, local = call, {}
    found = inner()
    assert isinstance(found, Stack)
    return found


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("httpx._transports.default", "httpx"),
        ("shop.scraper", "shop.scraper"),
        ("shop._own.scraper", "shop"),
        ("_private", "_private"),
        ("__main__", "__main__"),
    ],
)
def test_a_module_is_named_up_to_its_private_part(name: str, shown: str) -> None:
    assert public(name) == shown
    assert within(name).caller == shown


def test_the_innermost_that_is_not_the_standard_library() -> None:
    found = within("socket", "ssl", "http.client", "urllib.request", "shop.fetch", "__main__")
    assert found.caller == "shop.fetch"
    assert found.inner == "http.client"
    assert not found.loops


def test_what_carries_connections_for_others_is_not_named_for_them() -> None:
    assert within("socket", "httpcore._sync.connection", "httpx._client").caller == "httpx"
    assert within("socket", "httpcore._sync.connection", "__main__").caller == "__main__"


def test_our_own_modules_are_nobody() -> None:
    found = within("socket", "mxm_dataio.adapters.urllib3.taps", "urllib3.connection")
    assert found.caller == "urllib3.connection"


@pytest.mark.parametrize(
    ("module", "local", "asked"),
    [
        ("socket:create_connection", {"address": ("example.com", 80)}, "example.com"),
        ("asyncio.base_events:create_connection", {"host": "example.com"}, "example.com"),
        ("urllib3.util.connection:create_connection", {"address": ("h", 1)}, "h"),
        ("trio._highlevel:open_tcp_stream", {"host": b"h"}, ""),
        ("shop:create_connection", {"address": ("example.com", 80)}, ""),
        ("socket:create_server", {"address": ("example.com", 80)}, ""),
    ],
)
def test_the_host_that_was_wanted(module: str, local: dict[str, Any], asked: str) -> None:
    assert within(module, **local).asked == asked


def test_a_task_was_not_made_by_who_runs_the_loop() -> None:
    found = within("anyio._core._sockets", "asyncio.events:_run", "__main__")
    assert found.caller == "anyio"
    assert found.loops
    # Which holds for what carries others alone.
    assert within("asyncio.streams", "asyncio.events:_run", "__main__").caller == "__main__"


def test_a_coroutine_is_known_by_its_frames() -> None:
    async def fetch() -> Stack:
        await asyncio.sleep(0)
        return stack(sys._getframe())

    assert asyncio.run(fetch()).caller == __name__


def test_who_waits_for_a_task_group_has_made_its_tasks() -> None:
    anyio = pytest.importorskip("anyio")

    async def connect_tcp(found: list[Stack], remote_host: str) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(connect, found)

    async def connect(found: list[Stack]) -> None:
        found.append(stack(sys._getframe()))

    def moved(function: Any, name: str) -> Any:
        space = {**function.__globals__, "__name__": name}
        return type(function)(
            function.__code__, space, function.__name__, None, function.__closure__
        )

    connect = moved(connect, "anyio._core._sockets")
    connect_tcp = moved(connect_tcp, "anyio._core._sockets")

    async def fetch() -> list[Stack]:
        found: list[Stack] = []
        await connect_tcp(found, "example.com")
        return found

    (found,) = anyio.run(fetch)
    assert found.caller == __name__
    assert found.asked == "example.com"
    assert found.loops
