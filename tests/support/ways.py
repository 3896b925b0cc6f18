"""Runs work by either way in, and compares what the servers received as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import requests
from requests.adapters import BaseAdapter

from mxm_dataio import IngestSession, mount
from tests.support.harness import EXACT, SOURCE, outcome
from tests.support.servers import RawServer

HOOK, MOUNT = "hook", "mount"
HOWS = [HOOK, MOUNT]

Opener = Callable[..., AbstractContextManager[requests.Session]]


def opener(ingest: IngestSession | None = None) -> Opener:
    """Return what opens a ``requests.Session``, mounted if there is a capture to mount it on."""

    @contextmanager
    def opened(adapters: Mapping[str, BaseAdapter] | None = None) -> Iterator[requests.Session]:
        with requests.Session() as session:
            for prefix, adapter in (adapters or {}).items():
                session.mount(prefix, adapter)
            if ingest is None:
                yield session
            else:
                with mount(session, ingest):
                    yield session

    return opened


def wire_ways(
    root: Path,
    servers: RawServer | Sequence[RawServer],
    work: Callable[[Opener], Any],
    how: str = HOOK,
    *,
    before: Callable[[], object] = lambda: None,
    compare_wire: bool = True,
    **options: Any,
) -> Any:
    """Run work plainly, recorded and replayed; all must observe the same, the servers too.

    Args:
        servers: get the same bytes on as many connections plainly and recorded, and none in
            replay.
        work: takes what opens a ``requests.Session``; one that uses urllib3 ignores it.
        how: capture by the hook, or by mounting every session opened.
        before: called before each of the two live runs.
        compare_wire: off where a request differs from run to run by its nature.
    """
    if isinstance(servers, RawServer):
        servers = [servers]
    options = {"redaction": EXACT, "hook": how == HOOK, **options}

    def run(mode: str | None) -> Any:
        if mode is None:
            return outcome(lambda: work(opener()))
        with IngestSession(SOURCE, root, mode, **options) as ingest:
            return outcome(lambda: work(opener(ingest if how == MOUNT else None)))

    def counts() -> list[tuple[int, int]]:
        for server in servers:
            server.sync()
        return [(server.connections, server.hits) for server in servers]

    start = counts()
    before()
    plain = run(None)
    middle = counts()
    before()
    recorded = run("record")
    end = counts()
    assert recorded == plain
    for server, first, second, third in zip(servers, start, middle, end, strict=True):
        assert third[0] - second[0] == second[0] - first[0], "other connections under capture"
        if compare_wire:
            seen = [(r.raw, r.body_sha256) for r in server.requests]
            assert seen[second[1] : third[1]] == seen[first[1] : second[1]], "other bytes sent"
    replayed = run("replay")
    assert replayed == plain
    assert counts() == end, "replay went out"
    return plain
