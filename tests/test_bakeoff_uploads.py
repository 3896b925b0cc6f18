"""Uploads plainly, recorded and replayed: what was sent and where a file is left."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession
from tests.harness import SOURCE, three_ways
from tests.servers import RawServer, answer, responder

UPLOADS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "bytes": lambda _: {"data": b"\x00\x01binary"},
    "text": lambda _: {"data": "häh"},
    "form": lambda _: {"data": {"a": ["1", "2"], "b": ""}},
    "json": lambda _: {"json": {"b": 1.5, "a": ["ü", None]}},
    "multipart": lambda _: {"files": {"f": ("n.txt", b"content")}, "data": {"x": "y"}},
    "generator": lambda _: {"data": (part for part in (b"one", b"two", b"three" * 100))},
    "file": lambda path: {"data": opened(path, 0)},
    "file-from-middle": lambda path: {"data": opened(path, 1000)},
    "no-length": lambda _: {"data": NoLength(b"x" * 70_000)},
    "empty": lambda _: {"data": b""},
}


class NoLength:
    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def __iter__(self) -> Any:
        return iter(lambda: self.read(1000), b"")


def opened(path: Path, offset: int) -> Any:
    file = path.open("rb")
    file.seek(offset)
    return file


@pytest.mark.parametrize("client", ["requests", "urllib3"])
@pytest.mark.parametrize("kind", UPLOADS)
def test_uploads(kind: str, client: str, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(bytes(range(256)) * 1500)
    with RawServer(responder({"/up": lambda r: answer(200, r.body_sha256.encode())})) as server:

        def by_requests() -> Any:
            given = UPLOADS[kind](content)
            seen = requests.post(f"{server.url}/up", **given)
            body = given.get("data")
            where = body.tell() if hasattr(body, "tell") else None
            if hasattr(body, "close"):
                body.close()
            return None if kind == "multipart" else seen.content, where

        def by_urllib3() -> Any:
            given = UPLOADS[kind](content)
            with urllib3.PoolManager() as pool:
                if "json" in given or "files" in given or isinstance(given["data"], dict):
                    fields = {"f": ("n.txt", "content"), "x": "y"}
                    pool.request("POST", f"{server.url}/up", fields=fields)
                    return None
                if kind == "no-length":
                    given["data"] = iter(given["data"])
                chunked = kind == "generator" or kind == "no-length"
                seen = pool.urlopen("POST", f"{server.url}/up", body=given["data"], chunked=chunked)
                if hasattr(given["data"], "close"):
                    given["data"].close()
                return seen.data

        work = by_requests if client == "requests" else by_urllib3
        three_ways(tmp_path / "root", server, work)


def test_streamed_upload_is_stored_and_its_file_left_where_it_was(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(bytes(range(256)) * 4000)
    with (
        RawServer(responder({"/up": lambda r: answer(200, r.body_sha256.encode())})) as server,
        IngestSession(SOURCE, tmp_path / "root") as ingest,
    ):
        with content.open("rb") as file:
            file.seek(500)
            seen = requests.post(f"{server.url}/up", data=file).text
        (exchange,) = ingest.store.exchanges(ingest.id)
    digest = hashlib.sha256(content.read_bytes()[500:]).hexdigest()
    assert seen == digest == exchange.request.body_checksum
    assert exchange.request.body_size == content.stat().st_size - 500
