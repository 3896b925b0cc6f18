"""The program that is killed: it records calls, and tells of each as soon as it was read.

What it tells goes through a pipe, a line at a time, each by one ``write()``: ``ask URL`` before a
call, ``got URL SHA-256`` behind the read that ended its body, ``failed URL`` behind its
exception, ``opening``, ``began ID``, ``closing`` and ``ended ID`` around a session, and
``trouble`` where anything went wrong that a kill does not explain.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from mxm_dataio import DataIOWarning, IngestSession, mount
from mxm_dataio.ingest import place
from mxm_dataio.storage import adoption, writer

from .source import CUT, KINDS, REFUSED, Asked

_SIZES = (0, 1, 100, 3_000, 20_000, 65_536, 65_537, 200_000, 700_000)
_WEIGHTS = (4, 2, 8, 8, 4, 2, 2, 2, 1)
_KIND_WEIGHTS = (12, 4, 2, 2, 2, 2, 3, 1, 1)


@dataclass(frozen=True)
class Life:
    """How a victim lives.

    Attributes:
        name: its source, and the mark of its URLs.
        threads: how many call at once.
        calls: how many calls each makes in a session, before that ends and the next begins.
        mounted: mounted sessions in place of the hook.
        children: processes forked amid its first session, that record too.
        torn: journals are written in halves, as a kill amid ``write()`` leaves them.
        full, step, every: the writer's ``_FULL``, ``_STEP`` and ``_STEP_EVERY``; 0 as they are.
    """

    name: str
    seed: str
    threads: int
    calls: int
    mode: str
    mounted: bool
    spool_limit: int
    children: int
    torn: bool
    full: int
    step: int
    every: int


def live(life: Life, root: Path, origin: str, tell: Callable[[str], None]) -> None:
    """Record sessions one after the other, for ever; in a process of its own."""
    if life.full:
        writer._FULL, writer._STEP, writer._STEP_EVERY = life.full, life.step, life.every
        adoption._STEP = life.step
    if life.torn:
        os.write = _by_halves(os.write)  # type: ignore[assignment]
    # What waits in auto mode is moved when others come; here at each of them.
    place._SHARED_SECONDS = 0.0
    warnings.simplefilter("error", DataIOWarning)
    threading.excepthook = lambda args: tell(f"trouble {args.exc_value!r}")
    try:
        number = 0
        while True:
            _session(life, number, root, origin, tell)
            number += 1
    except BaseException:
        tell("trouble " + traceback.format_exc()[-2000:].replace("\n", " | "))


def _by_halves(write: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
    def halved(file: int, data: bytes) -> int:
        if len(data) < 100:
            return write(file, data)
        count = write(file, data[: len(data) // 2])
        time.sleep(0.0005)
        return count

    return halved


def _session(life: Life, number: int, root: Path, origin: str, tell: Callable[[str], None]) -> None:
    tell("opening")
    ingest = IngestSession(
        life.name, root, life.mode, spool_limit=life.spool_limit, hook=not life.mounted
    ).open()
    tell(f"began {ingest.id}")
    for child in range(life.children if not number else 0):
        if not os.fork():
            # Its session ends with it: it is killed.
            while True:
                _calls(life, f"{life.name}-c{child}-{os.urandom(4).hex()}", ingest, origin, tell)
    threads = [
        threading.Thread(
            target=_calls, args=(life, f"{life.name}-{number}-{thread}", ingest, origin, tell)
        )
        for thread in range(life.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell("closing")
    ingest.close()
    tell(f"ended {ingest.id}")


def _calls(
    life: Life, mark: str, ingest: IngestSession, origin: str, tell: Callable[[str], None]
) -> None:
    pick = random.Random(f"{life.seed} {mark}")
    with requests.Session() as session, urllib3.PoolManager(retries=False) as pool:
        session.trust_env = False
        if life.mounted:
            mount(session, ingest)
        for number in range(life.calls):
            kind = pick.choices(KINDS, _KIND_WEIGHTS)[0]
            size = pick.choices(_SIZES, _WEIGHTS)[0] or (100 if kind == CUT else 0)
            # Some bodies are of several URLs.
            offset = pick.choice((0, 0, pick.randrange(1 << 20)))
            asked = Asked(kind, size, offset, f"{mark}-{number}")
            url = f"{origin}{asked.path}"
            tell(f"ask {url}")
            read = _by_urllib3 if pick.random() < 0.4 and not life.mounted else _by_requests
            digest = hashlib.sha256()
            try:
                for piece in read(session, pool, asked, url, pick):
                    digest.update(piece)
            except (requests.RequestException, urllib3.exceptions.HTTPError):
                if kind not in (CUT, REFUSED):
                    raise
                tell(f"failed {url}")
            else:
                tell(f"got {url} {digest.hexdigest()}")


def _by_requests(
    session: requests.Session, _pool: object, asked: Asked, url: str, pick: random.Random
) -> Iterator[bytes]:
    stream = pick.random() < 0.5
    response = session.request(asked.method, url, data=asked.upload or None, stream=stream)
    if not stream:
        yield response.content
    elif asked.kind == "get" and asked.size:
        # Told of right behind the read that brings the last byte, without another.
        yield response.raw.read(asked.size)
    else:
        yield from response.iter_content(pick.choice((1_000, 50_000)))


def _by_urllib3(
    _session: object, pool: urllib3.PoolManager, asked: Asked, url: str, pick: random.Random
) -> Iterator[bytes]:
    whole = pick.random() < 0.5
    response = pool.request(
        asked.method, url, body=asked.upload or None, preload_content=whole, redirect=False
    )
    yield from [response.data] if whole else response.stream(pick.choice((1_000, 50_000)))
    response.release_conn()
