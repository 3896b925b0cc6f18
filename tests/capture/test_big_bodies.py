"""Bodies of tens of MiB, recorded and replayed as they stream: all of it, or loudly not."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import DataIOWarning, IngestSession, IntegrityError, Status, mount
from mxm_dataio.api import capture_of
from mxm_dataio.storage.payloads.checked_file import VerifiedFile
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import crossed
from tests.support.forks import forked
from tests.support.servers import RawServer, answer, responder

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

SIZE = (24 << 20) + 12_345
BODY = random.Random(3).randbytes(1 << 20) * 24 + bytes(12_345)
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/big": answer(200, BODY),
        "/chunked": answer(200, BODY, chunked=[1 << 20] * 24),
    }
    with RawServer(responder(routes)) as running:
        yield running


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "drain" in thread.name]


def streamed(url: str, step: int = 1 << 16) -> str:
    digest = hashlib.sha256()
    with requests.get(url, stream=True, timeout=60) as response:
        for piece in response.iter_content(step):
            digest.update(piece)
    return digest.hexdigest()


def pooled(url: str) -> str:
    digest = hashlib.sha256()
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", url, preload_content=False, timeout=60)
        for piece in response.stream(1 << 16):
            digest.update(piece)
        response.release_conn()
    return digest.hexdigest()


def at_once(url: str) -> str:
    return hashlib.sha256(requests.get(url, timeout=60).content).hexdigest()


READERS = [streamed, pooled, at_once]


@pytest.mark.parametrize("path", ["big", "chunked"])
@pytest.mark.parametrize("read", READERS)
def test_a_big_body_is_stored_and_comes_again(
    server: RawServer, tmp_path: Path, read: Callable[[str], str], path: str
) -> None:
    url = f"{server.url}/{path}"
    with IngestSession("s", tmp_path):
        assert read(url) == DIGEST
        assert own_threads() == []
    before = server.hits
    with IngestSession("s", tmp_path, "replay"):
        assert read(url) == DIGEST
    assert server.hits == before


def test_a_big_upload_is_stored(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path):
        requests.post(f"{server.url}/big", data=iter([BODY[:9], BODY[9:]]), timeout=60)
        assert own_threads() == []
    with RecordingStore(tmp_path) as store:
        (session,) = store.sessions()
        (request,) = store.requests(session.id)
        assert (request.body_checksum, request.body_size) == (DIGEST, SIZE)
        assert store.payloads.path(DIGEST).read_bytes() == BODY


def test_a_big_body_read_to_its_end_survives_a_kill(server: RawServer, tmp_path: Path) -> None:
    def child() -> None:
        IngestSession("s", tmp_path).open()
        with requests.get(f"{server.url}/big", stream=True, timeout=60) as response:
            left = SIZE
            for piece in response.iter_content(1 << 16):
                left -= len(piece)
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

    assert forked(child) == -signal.SIGKILL
    with RecordingStore(tmp_path) as store:
        (session,) = store.sessions()
        (exchange,) = store.exchanges(session.id)
        assert exchange.request.status is Status.COMPLETE
        (response,) = exchange.responses
        assert (response.checksum, response.size) == (DIGEST, SIZE)
        assert store.payloads.path(DIGEST).read_bytes() == BODY


def test_a_big_body_left_half_way_is_stored_as_far_as_it_came(
    server: RawServer, tmp_path: Path
) -> None:
    with IngestSession("s", tmp_path) as ingest:
        with requests.get(f"{server.url}/big", stream=True, timeout=60) as response:
            next(response.iter_content(9 << 20))
        assert own_threads() == []
        with mount(requests.Session(), ingest) as session:
            left = session.get(f"{server.url}/big", stream=True, timeout=60)
            next(left.iter_content(9 << 20))
        # The session's end settles the other.
    assert own_threads() == []
    left.close()
    with RecordingStore(tmp_path) as store:
        (session_row,) = store.sessions()
        for exchange in store.exchanges(session_row.id):
            (stored,) = exchange.responses
            assert exchange.request.status is Status.PARTIAL
            assert 9 << 20 <= stored.size < SIZE
            content = store.payloads.path(str(stored.checksum)).read_bytes()
            assert content == BODY[: stored.size]


def test_a_child_forked_amid_a_big_body_does_not_hang_or_harm_it(
    server: RawServer, tmp_path: Path
) -> None:
    with IngestSession("s", tmp_path):
        digest = hashlib.sha256()
        with requests.get(f"{server.url}/big", stream=True, timeout=60) as response:
            pieces = response.iter_content(1 << 16)
            for _ in range(100):
                digest.update(next(pieces))

            def child() -> None:
                response.close()
                assert own_threads() == []

            assert forked(child) == 0
            for piece in pieces:
                digest.update(piece)
    assert digest.hexdigest() == DIGEST
    with RecordingStore(tmp_path) as store:
        assert store.payloads.path(DIGEST).read_bytes() == BODY


@pytest.mark.parametrize("full", [SIZE // 2, SIZE - 20_000], ids=["half-way", "at its end"])
def test_a_disk_that_fills_up_amid_a_big_body_spares_the_program(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: int
) -> None:
    real = os.pwrite

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if offset > full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with IngestSession("s", tmp_path) as ingest:
        with pytest.warns(DataIOWarning, match="No space left"):
            assert streamed(f"{server.url}/big") == DIGEST
        assert own_threads() == []
        assert capture_of(ingest).store is not None
        assert list(capture_of(ingest).store.payloads.folder.iterdir()) == []


# -- damage ----------------------------------------------------------------------------------


def came(url: str, into: bytearray) -> None:
    with requests.get(url, stream=True, timeout=60) as response:
        for piece in response.iter_content(1 << 16):
            into += piece


def came_pooled(url: str, into: bytearray) -> None:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", url, preload_content=False, timeout=60)
        while piece := response.read(1 << 16):
            into += piece


@pytest.mark.parametrize("path", ["big", "chunked"])
@pytest.mark.parametrize(("at", "read"), crossed([0, SIZE // 2, SIZE - 1], [came, came_pooled], 2))
def test_damage_on_the_disk_is_met_before_a_wrong_byte_is(
    server: RawServer, tmp_path: Path, at: int, read: Callable[[str, bytearray], None], path: str
) -> None:
    url = f"{server.url}/{path}"
    with IngestSession("s", tmp_path) as ingest:
        assert streamed(url) == DIGEST
        assert capture_of(ingest).store is not None
        payload = capture_of(ingest).store.payloads.path(DIGEST)
    with payload.open("r+b") as file:
        file.seek(at)
        file.write(bytes([BODY[at] ^ 4]))
    before, got = server.hits, bytearray()
    with IngestSession("s", tmp_path, "replay"), pytest.raises(IntegrityError) as caught:
        read(url, got)
    assert caught.value.path == payload
    assert at - (1 << 20) < len(got) <= at
    assert got == BODY[: len(got)]
    with IngestSession("s", tmp_path, "replay"), pytest.raises(IntegrityError):
        at_once(url)
    assert server.hits == before


def test_the_first_byte_waits_for_no_other(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with IngestSession("s", tmp_path):
        assert streamed(f"{server.url}/big") == DIGEST
    taken, real = [0], VerifiedFile._advance

    def advance(file: VerifiedFile) -> None:
        taken[0] += 1
        real(file)

    monkeypatch.setattr(VerifiedFile, "_advance", advance)
    with (
        IngestSession("s", tmp_path, "replay"),
        requests.get(f"{server.url}/big", stream=True, timeout=60) as response,
    ):
        assert next(response.iter_content(1)) == BODY[:1]
        assert taken == [1]
