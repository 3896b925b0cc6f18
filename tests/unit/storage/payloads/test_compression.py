"""Compressed payloads: found, checked and bounded as the others are."""

from __future__ import annotations

import hashlib
import io
import json
import random
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio import ConfigError, IngestSession, IntegrityError
from mxm_dataio.config.choices import Compression
from mxm_dataio.http import zstd as zstd_
from mxm_dataio.storage.payloads import compression, reading
from mxm_dataio.storage.payloads import folder as payloads
from mxm_dataio.storage.payloads.drain import BLOCK
from mxm_dataio.storage.payloads.folder import PayloadFolder
from mxm_dataio.storage.payloads.prefixes import Prefixes
from mxm_dataio.storage.payloads.spool import Spool
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import examples
from tests.support.servers import RawServer, Route, answer, responder

LIBRARY = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
pytest.importorskip(LIBRARY)

TEXT = json.dumps([{"number": number, "name": f"n{number % 7}"} for number in range(90)]).encode()
NOISE = random.Random(1).randbytes(4000)
# Three blocks and more, each unlike the others.
LARGE = random.Random(2).randbytes(BLOCK // 4).hex().encode() * 8 + b"end"
FORMS = pytest.mark.parametrize("limit", [0, 1 << 30], ids=["file", "memory"])


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def made(path: Path, kind: Compression = "zstd") -> PayloadFolder:
    folder = PayloadFolder(path, kind)
    folder.create()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> PayloadFolder:
    return made(tmp_path)


@pytest.fixture
def large(folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch) -> PayloadFolder:
    monkeypatch.setattr(reading, "WHOLE", BLOCK)
    put(folder, LARGE)
    assert names(folder) == {f"{sha(LARGE)}.bin.zst", f"{sha(LARGE)}.prefixes"}
    return folder


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    zstd_._zstd.cache_clear()
    monkeypatch.setitem(sys.modules, LIBRARY, None)
    yield
    zstd_._zstd.cache_clear()


def put(folder: PayloadFolder, content: bytes, limit: int = 0) -> str:
    spool = Spool(folder.folder, limit)
    spool.write(content)
    return folder.put(spool)


def names(folder: PayloadFolder) -> set[str]:
    return {path.name for path in folder.folder.iterdir()} - {reading.MIXED}


def read(folder: PayloadFolder, content: bytes) -> bytes:
    with folder.open(sha(content), len(content)) as file:
        return b"".join(iter(lambda: file.read(70_000), b""))


# -- kept ------------------------------------------------------------------------------------


@examples(60)
@given(st.binary(max_size=40), st.integers(1, 2000), st.booleans(), st.booleans())
def test_any_bytes_come_back(
    tmp_path_factory: pytest.TempPathFactory, part: bytes, times: int, kept: bool, blocks: bool
) -> None:
    folder, content = made(tmp_path_factory.mktemp("p")), part * times
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "WHOLE", 9 if blocks else 1 << 20)
        if kept:
            folder.keep(sha(content), content)
        else:
            put(folder, content)
        assert read(folder, content) == content
        folder.verify(sha(content), len(content), beside=True)
    held = folder.path(sha(content))
    assert held.stat().st_size <= len(content)
    assert held.stat().st_mode & 0o777 == 0o600
    assert names(folder) <= {held.name, f"{sha(content)}.prefixes"}


@FORMS
@pytest.mark.parametrize("content", [b"", b"x" * 255, NOISE], ids=["empty", "tiny", "noise"])
def test_what_does_not_get_smaller_stays_as_it_is(
    folder: PayloadFolder, content: bytes, limit: int
) -> None:
    put(folder, content, limit)
    assert names(folder) == {f"{sha(content)}.bin"}
    assert folder.path(sha(content)).read_bytes() == content


def test_a_large_file_that_begins_as_noise_is_given_up_early(
    folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "_SURE", BLOCK)
    content, source = random.Random(3).randbytes(4 * BLOCK), io.BytesIO()
    source.write(content)
    assert not compression.compress_file(source, io.BytesIO())
    assert source.tell() < len(content)
    put(folder, content)
    assert read(folder, content) == content


@FORMS
def test_a_payload_is_kept_in_one_form(tmp_path: Path, limit: int) -> None:
    squeezed, plain = made(tmp_path), made(tmp_path, "none")
    put(plain, TEXT, limit)
    put(squeezed, TEXT, limit)
    assert names(plain) == {f"{sha(TEXT)}.bin"}
    other = TEXT + b"!"
    put(squeezed, other, limit)
    put(plain, other, limit)
    plain.keep(sha(other), other)
    assert names(plain) == {f"{sha(TEXT)}.bin", f"{sha(other)}.bin.zst"}
    for folder in (plain, squeezed):
        assert (read(folder, TEXT), read(folder, other)) == (TEXT, other)


@FORMS
@pytest.mark.parametrize("first", get_args(Compression))
@pytest.mark.parametrize("then", get_args(Compression))
def test_a_damaged_one_is_replaced(
    tmp_path: Path, first: Compression, then: Compression, limit: int
) -> None:
    put(made(tmp_path, first), TEXT)
    path = made(tmp_path).path(sha(TEXT))
    path.write_bytes(path.read_bytes()[:-9] + b"?" * 9)
    folder = made(tmp_path, then)
    put(folder, TEXT, limit)
    assert read(folder, TEXT) == TEXT


def test_one_that_was_cut_since_it_was_checked_is_replaced(folder: PayloadFolder) -> None:
    put(folder, TEXT)
    put(folder, TEXT)
    path = folder.path(sha(TEXT))
    path.write_bytes(path.read_bytes()[:-1])
    put(folder, TEXT)
    assert read(folder, TEXT) == TEXT


@FORMS
def test_without_room_for_it_the_payload_stays_as_it_is(folder: PayloadFolder, limit: int) -> None:
    (folder.folder / f"{sha(TEXT)}.bin.zst").mkdir()
    put(folder, TEXT, limit)
    assert names(folder) == {f"{sha(TEXT)}.bin.zst", f"{sha(TEXT)}.bin"}
    assert read(folder, TEXT) == TEXT


def test_a_compressed_payload_is_synced(
    large: PayloadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str | Path] = []
    monkeypatch.setattr(payloads, "sync_path", synced.append)
    large.sync()
    assert set(map(Path, synced)) == {
        large.path(sha(LARGE)), large.prefixes_path(sha(LARGE)), large.folder
    }  # fmt: skip


# -- damage ----------------------------------------------------------------------------------


def test_no_damage_of_a_byte_serves_another(folder: PayloadFolder) -> None:
    path = folder.path(put(folder, TEXT))
    sound, harmless = path.read_bytes(), 0
    for at in range(len(sound)):
        for bit in (1, 128):
            path.write_bytes(sound[:at] + bytes([sound[at] ^ bit]) + sound[at + 1 :])
            try:
                assert read(folder, TEXT) == TEXT
                harmless += 1
            except IntegrityError:
                pass
    # A few bits of a frame mean nothing.
    assert harmless <= 8
    for damage in (sound[:-1], sound + b"x", sound + sound, b"", TEXT):
        path.write_bytes(damage)
        for check in (lambda: read(folder, TEXT), lambda: folder.verify(sha(TEXT), len(TEXT))):
            with pytest.raises(IntegrityError, match=r"\.bin\.zst") as caught:
                check()
            assert caught.value.path == path


@pytest.mark.parametrize("beside", [True, False])
def test_no_damage_of_a_large_one_serves_another(large: PayloadFolder, beside: bool) -> None:
    path = large.path(sha(LARGE))
    sound = path.read_bytes()
    if not beside:
        large.prefixes_path(sha(LARGE)).unlink()
    places = [*range(0, len(sound), len(sound) // 40), len(sound) - 1]
    damages = [sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :] for at in places]
    for damage in (*damages, sound[:-1], sound[:9], sound + b"x"):
        path.write_bytes(damage)
        came = bytearray()
        try:
            with large.open(sha(LARGE), len(LARGE)) as file:
                while piece := file.read(1000):
                    came += piece
            assert came == LARGE
            assert damage not in (sound[:-1], sound + b"x")
        except IntegrityError:
            assert LARGE.startswith(came)
            assert len(came) < len(LARGE)


def test_a_large_one_is_read_once_and_again_after_an_interrupt(
    large: PayloadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = compression.Decompressed._take, [False]

    def take(self: compression.Decompressed, count: int) -> bytes:
        data = real(self, count)
        if broken.pop() if broken else False:
            raise KeyboardInterrupt
        return data

    monkeypatch.setattr(Prefixes, "of", None)
    assert read(large, LARGE) == LARGE
    monkeypatch.setattr(compression.Decompressed, "_take", take)
    with large.open(sha(LARGE), len(LARGE)) as file:
        first = file.read(BLOCK)
        broken.append(True)
        with pytest.raises(KeyboardInterrupt):
            file.read(1)
        assert first + b"".join(iter(lambda: file.read(BLOCK), b"")) == LARGE


@pytest.mark.parametrize("size", [4000, 3 << 20], ids=["small", "large"])
def test_a_frame_of_more_than_was_recorded_is_not_unpacked(
    folder: PayloadFolder, size: int
) -> None:
    zstd, content = zstd_._zstd(), bytes(size)
    bomb = zstd.compress(bytes(256 << 20))
    (folder.folder / f"{sha(content)}.bin.zst").write_bytes(bomb[: size - 1])
    (folder.folder / f"{sha(content)}.prefixes").write_bytes(
        Prefixes.of(io.BytesIO(content), BLOCK)[0].encode()
    )
    tracemalloc.start()
    try:
        for check in (lambda: read(folder, content), lambda: folder.verify(sha(content), size)):
            with pytest.raises(IntegrityError):
                check()
        assert tracemalloc.get_traced_memory()[1] < size + (8 << 20)
    finally:
        tracemalloc.stop()


def test_a_frame_that_wants_a_wide_window_is_refused() -> None:
    zstd = zstd_._zstd()
    options = {zstd.CompressionParameter.window_log: 27}
    wide = zstd.ZstdCompressor(options=options)
    frame = wide.compress(LARGE) + wide.flush()
    file = compression.Decompressed(io.BytesIO(frame), len(LARGE))
    with file, pytest.raises(OSError, match="no whole frame"):
        file.read(1)


# -- without the library ---------------------------------------------------------------------


@pytest.mark.usefixtures("without")
def test_who_asks_for_it_is_told_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'mxm-dataio\[zstd\]'"):
        IngestSession("s", tmp_path / "root", compression="zstd").open()
    assert not (tmp_path / "root").exists()
    with IngestSession("s", tmp_path / "root"):
        pass
    with IngestSession("s", tmp_path / "root", "replay", compression="zstd"):
        pass


def test_a_compressed_payload_is_not_read_without_it(
    large: PayloadFolder, request: pytest.FixtureRequest
) -> None:
    put(large, TEXT)
    request.getfixturevalue("without")
    for content in (TEXT, LARGE):
        with pytest.raises(ConfigError, match=r"pip install 'mxm-dataio\[zstd\]'"):
            read(large, content)
    plain = PayloadFolder(large.folder)
    put(plain, TEXT)
    assert read(plain, TEXT) == TEXT


# -- as a whole ------------------------------------------------------------------------------


def test_a_session_is_recorded_smaller_and_replays(tmp_path: Path) -> None:
    bodies = [json.dumps({"page": page, "rows": [page] * 4000}).encode() for page in range(4)]
    bodies += [NOISE, LARGE * 6]
    routes: dict[str, Route] = {f"/{n}": answer(200, body) for n, body in enumerate(bodies)}
    with RawServer(responder(routes)) as server:

        def fetch() -> list[bytes]:
            got = (requests.get(f"{server.url}/{n}", timeout=60) for n in range(len(bodies)))
            return [response.content for response in got]

        for kind in ("none", "zstd"):
            with IngestSession("s", tmp_path / kind, compression=kind):
                assert fetch() == bodies
        before = server.hits
        for kind in ("none", "zstd"):
            with IngestSession("s", tmp_path / kind, "replay"):
                assert fetch() == bodies
        assert server.hits == before
    used = {
        kind: sum(path.stat().st_size for path in (tmp_path / kind / "responses").glob("*.bin*"))
        for kind in ("none", "zstd")
    }
    assert used["zstd"] < used["none"] / 2
    with RootStore(tmp_path / "zstd", readonly=True) as store:
        (session,) = store.sessions()
        for exchange, body in zip(store.exchanges(session.id), bodies, strict=True):
            assert exchange.answer is not None
            assert exchange.answer.checksum == sha(body)
            assert exchange.answer.size == len(body)
            path = exchange.answer.bytes_path
            assert path is not None
            assert path.suffix == (".bin" if body is NOISE else ".zst")
            assert path.exists()
            store.verify(exchange.answer, beside=True)
