"""Figures of an archive besides those of pushing: soundness, look-ups, replay, and engines."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import requests

from mxm_dataio import IngestSession, Store
from mxm_dataio.archive import Archive, Indexed, object_store
from mxm_dataio.archive.index import Index, IndexWriter
from mxm_dataio.archive.names import SessionName
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.integrity.proofs import head_of
from mxm_dataio.storage.root_store import RootStore
from mxm_dataio.utils import new_id
from tests.support.servers import RawServer

from . import engines, flips
from .figures import Figures, many_calls, source
from .network import Unreliable
from .servers import new_bucket, settings

_SESSION = 500


def every_byte(figures: Figures, folder: Path, most: int | None) -> None:
    """Flip each byte of each object of a small archive.

    Args:
        most: bytes of each object; all, if not given.
    """
    url = f"memory:///flips-{folder.name}"
    flips.make(folder / "root")
    Archive(url).push(folder / "root")
    tried, found, missed = flips.flip(url, most, random.randrange(10**6))
    figures.say("bytes of a small archive flipped", tried, "")
    figures.say("of these found; the others have no meaning", found, "")
    figures.say("flips neither found nor without meaning", len(missed), "", 0, always=True)


def network(figures: Figures, folder: Path, pushes: int) -> None:
    """Push through a network that drops, delays and answers 503 and 429."""
    root, endpoint = folder / "root", os.environ["AWS_ENDPOINT_URL"]
    for _ in range(8):
        many_calls(root, 20, 2000)
        many_calls(root, 2, 100_000)
    with RootStore(root, readonly=True) as store:
        head = head_of(store)
    hindered, bucket = 0, new_bucket()
    for seed in range(pushes):
        url = f"{bucket}/{seed}"
        unreliable = Unreliable(endpoint, seed)
        with RawServer(unreliable) as server, _at(f"http://127.0.0.1:{server.port}"):
            assert Archive(url).push(root).ok
        hindered += sum(one != "pass" for one in unreliable.done)
        assert Archive(url).push(root).objects == 0
        found = Archive(url).verify(against=[head])
        assert (found.ok, found.notes, found.sessions) == (True, (), head.size)
    figures.say(f"{pushes} pushes through a network that fails, all whole; requests hindered",
                hindered, "")  # fmt: skip


@contextmanager
def _at(endpoint: str) -> Iterator[None]:
    quick = mock.patch.object(object_store, "_LONGEST_WAIT", 0.2)
    with mock.patch.dict(os.environ, settings(endpoint)), quick:
        yield


def look_up(figures: Figures, rows: int) -> None:
    """Look hashes up in an index of so many calls, written as every index is."""
    objects, draw = ObjectStore(new_bucket()), random.Random(1)
    writer, known = IndexWriter(objects, None), []
    began = time.perf_counter()
    for leaf in range(rows // _SESSION):
        name = SessionName("0" * 32, leaf, new_id(), draw.randbytes(32))
        made = [_indexed(name.session, draw) for _ in range(_SESSION)]
        writer.add(name, made)
        if len(known) < 2000:
            known.append(draw.choice(made))
    writer.finish()
    took = time.perf_counter() - began
    figures.say(f"an index of {rows:,} calls made in", took, "s")
    figures.say("bytes a call in it", writer.size / rows, "")
    index = Index.of(objects)
    assert index is not None
    assert index.rows == rows
    times, firsts = [], []
    for one in draw.sample(known, 200):
        began = time.perf_counter()
        found = index.look_up(one.params_hash)
        times.append(time.perf_counter() - began)
        assert found == [one]
    for one in draw.sample(known, 50):
        began = time.perf_counter()
        opened = Index.of(objects)
        assert opened is not None
        assert opened.look_up(one.params_hash) == [one]
        firsts.append(time.perf_counter() - began)
    what = f"a look-up in {rows:,} calls"
    figures.say(f"{what}, median", 1000 * sorted(times)[100], "ms", 60)
    figures.say(f"{what}, 90 %", 1000 * sorted(times)[180], "ms", 60)
    figures.say(f"{what}, opening the index, median", 1000 * sorted(firsts)[25], "ms", 60)


def _indexed(session: str, draw: random.Random) -> Indexed:
    return Indexed(
        draw.randbytes(32).hex(), "prices", "2025-10-07", session, new_id(),
        f"exchanges/source=prices/month=2025-10/{session}.parquet",
    )  # fmt: skip


def replay(figures: Figures, folder: Path, calls: int) -> None:
    """Replay one session from its root, and straight from the archive."""
    url = new_bucket()
    with source() as address:
        asked = [f"{address}/day?symbol=S{number}" for number in range(calls)]
        asked += [f"{address}/large/{number}" for number in range(5)]
        with IngestSession(source="prices", root=folder / "root", mode="record"):
            recorded = _answers(asked)
    Archive(url).push(folder / "root")
    took = {}
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    for where, root in (("its root", folder / "root"), ("the archive", url)):
        began = time.perf_counter()
        with IngestSession(source="prices", root=root, mode="replay"):
            replayed = _answers(asked)
        took[where] = time.perf_counter() - began
        assert replayed == recorded, where
    what = f"{len(asked):,} calls replayed, equal to what was recorded, from"
    for where, seconds in took.items():
        figures.say(f"{what} {where}", seconds, "s")


def _answers(asked: list[str]) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    with requests.Session() as asking:
        answers = [asking.get(url, timeout=30) for url in asked]
    return [(one.status_code, list(one.headers.items()), one.content) for one in answers]


def same_counts(figures: Figures, folder: Path) -> None:
    """Count the calls of each host with each engine that is installed."""
    url = new_bucket()
    engines.archive(folder / "root", url)
    with Store(folder / "root", readonly=True) as store:
        own = dict(store.sql("SELECT host, count(*) FROM calls GROUP BY host"))
    assert own == engines.HOSTS, own
    others = 0
    for heading in engines.MODULES:
        if heading == "Bodies":
            continue
        if not engines.is_installed(heading):
            sys.stdout.write(f"{heading}: not installed\n")
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=folder) as place:
            found = engines.said(heading, url, Path(place))
        others += found != own
        told = "the same calls of each host" if found == own else f"OTHER CALLS: {found}"
        figures.say(f"{heading} counts {told}, in", time.perf_counter() - began, "s")
    figures.say("engines that count otherwise than the store", others, "", 0, always=True)
