"""Plants secrets in every place that HTTP has, records, and looks for them in every byte on disk.

``python -m tests.trust.secrets`` prints how many were planted and found; exit status 1 if any was.
"""

from __future__ import annotations

import base64
import functools
import gzip
import html
import io
import json
import logging
import random
import re
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import brotli
import requests
import urllib3
from requests.adapters import HTTPAdapter

from mxm_dataio import IngestSession, Redaction, ReplayMissError, mount, use_cassette
from mxm_dataio.formats import exporting
from mxm_dataio.formats.cassette import document
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.storage.root_store import RootStore
from tests.support.proxies import proxy
from tests.support.servers import RawServer
from tests.trust.planting import KIND_OF, PLACES, SOURCE, UNMOUNTED, Bed, serve

WORDS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# What all secrets have, to be looked for first.
MARK = "5eed8bed5eed"
KINDS = ("hex", "url-safe", "base64", "jwt", "odd")
WAYS = ("hook", "mount", "cassette")


@functools.cache
def forms(secret: str) -> set[bytes]:
    """Return what to look for: a secret as it is, and as it may be written."""
    data = secret.encode()
    found = {data, quote(secret, safe="").encode(), quote(secret).encode()}
    found |= {quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()}
    found |= {html.escape(secret).encode(), secret.encode("utf-16-le"), secret.encode("utf-16-be")}
    found |= {secret.encode("latin-1")}
    for before in range(3):
        text = base64.b64encode(bytes(before) + data)
        inner = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


@dataclass
class Garden:
    """Makes secrets, and remembers them."""

    seed: int = 5
    planted: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def plant(self, kind: str) -> str:
        """Return a new secret."""
        draw = "".join(self._random.choices(WORDS, k=24)) + "7z"
        secret = {
            "hex": f"{self._random.getrandbits(96):024x}{MARK}",
            "url-safe": f"{draw[:9]}-{draw[9:20]}_{draw[20:]}{MARK}",
            "base64": f"{draw[:8]}+{draw[8:19]}/{draw[19:]}{MARK}==",
            "jwt": f"eyJ{draw[:7]}.{draw[7:19]}.{draw[19:]}{MARK}",
            "odd": f'{draw[:10]}&"\\ é%/+<{draw[10:]}{MARK}',
        }[kind]
        self.planted.append(secret)
        return secret

    def found(self, data: bytes) -> list[str]:
        """Return the secrets that stand in some bytes."""
        if not any(form in data for form in forms(MARK)):
            return []
        return [one for one in self.planted if any(form in data for form in forms(one))]


def run(
    root: Path,
    redaction: Redaction = DEFAULT,
    kinds: tuple[str, ...] = KINDS,
    ways: tuple[str, ...] = WAYS,
) -> tuple[Garden, dict[str, str]]:
    """Plant, record and look; return the garden, and each secret found with where."""
    garden = Garden()
    beside = root.with_name("cassettes")
    beside.mkdir()
    found: dict[str, str] = {}

    def look(where: str, data: bytes) -> None:
        for secret in garden.found(data):
            found.setdefault(secret, where)

    looked: set[tuple[int, int, int]] = set()
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    logging.getLogger("mxm_dataio").addHandler(handler)
    logging.getLogger("mxm_dataio").setLevel(logging.DEBUG)
    misses: list[str] = []
    with (
        warnings.catch_warnings(record=True) as warned,
        RawServer(serve) as server,
        RawServer(proxy()) as via,
    ):
        warnings.simplefilter("always")
        with IngestSession(SOURCE, root):
            pass  # There is a root, whatever the way.
        for way in ways:
            for kind in kinds:
                with _session(way, root, beside / f"{kind}.json", redaction) as ingest:
                    for place in PLACES:
                        if way == "mount" and place in UNMOUNTED:
                            continue
                        secret = garden.plant(KIND_OF.get(place, kind))
                        bed = Bed(requests.Session(), ingest, secret, server.url, via.url)
                        bed.turn = len(garden.planted)
                        _plant(bed, place, way)
                    # What has not changed since the last look can't hold what was planted since.
                    for path, data in _files(root, beside, but=looked):
                        look(str(path), data)
        with IngestSession(SOURCE, root, "replay", redaction=redaction) as replay:
            for secret in garden.planted:
                try:
                    fields = {"X-API-Key": quote(secret), "Accept": quote(secret)}
                    asked_for = {"token": secret, "unknown": secret}
                    requests.get(f"{server.url}/missing", params=asked_for, headers=fields)
                except ReplayMissError as miss:
                    misses.append(str(miss))
            replay.misses.clear()
    logging.getLogger("mxm_dataio").removeHandler(handler)
    with RootStore(root, readonly=True) as store:
        for session in store.sessions():
            exporting.to_cassette(store, session, beside / f"{session.id}.json")
    for path, data in _files(root, beside):
        look(str(path), data)
    for name, data in _held(beside):
        look(name, data)
    look("logs", logged.getvalue().encode())
    look("warnings", "\n".join(str(one.message) for one in warned).encode())
    look("misses", "\n".join(misses).encode())
    for path in (root, *root.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        if path.stat().st_mode & 0o777 != wanted:
            found[str(path)] = f"mode {path.stat().st_mode & 0o777:o}"
    return garden, found


def _plant(bed: Bed, place: Callable[[Bed], None], way: str) -> None:
    with bed.web as web:
        web.trust_env = False
        web.mount("http://", HTTPAdapter(max_retries=urllib3.Retry(
            1, backoff_factor=0, status_forcelist=[503])))  # fmt: skip
        if way == "mount":
            mount(web, bed.ingest)
        place(bed)
        bed.spread()


def _session(way: str, root: Path, path: Path, redaction: Redaction) -> Any:
    if way == "cassette":
        return use_cassette(path, source=SOURCE, redaction=redaction, stdlib=True)
    hook = way == "hook"
    return IngestSession(SOURCE, root, hook=hook, stdlib=hook, redaction=redaction)


def _files(
    *folders: Path, but: set[tuple[int, int, int]] | None = None
) -> Iterator[tuple[Path, bytes]]:
    for path in (path for folder in folders for path in folder.rglob("*")):
        with suppress(FileNotFoundError):
            if path.is_file():
                state = path.stat()
                known = (state.st_ino, state.st_size, state.st_mtime_ns)
                if but is not None and known in but:
                    continue
                yield path, _inflated(path.read_bytes())
                if but is not None:
                    but.add(known)


def _inflated(data: bytes) -> bytes:
    for undo in (gzip.decompress, zlib.decompress, brotli.decompress):
        with suppress(OSError, zlib.error, brotli.error):
            data += undo(data)
    return data


def _held(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what cassettes hold: bodies as they were, and the text without what wraps its lines."""
    count = 0
    for path in folder.glob("*.json"):
        text = path.read_bytes()
        yield f"{path}, joined", re.sub(rb'[\s",]+', b"", text)
        for recording in document.recordings(document.parse(text, str(path)), str(path)):
            for payload in recording.payloads.values():
                count += 1
                yield f"{path}, a body", _inflated(payload)
    assert count, "the cassettes have no body to look into"


def main() -> int:
    """Run, and say what was found."""
    with tempfile.TemporaryDirectory() as folder:
        garden, found = run(Path(folder) / "root")
    print(f"{len(garden.planted)} secrets planted, {len(found)} found")
    for secret, where in found.items():
        print(f"  {secret!r} in {where}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
