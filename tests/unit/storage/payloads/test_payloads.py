"""Payload files: one for each distinct body, private, whole, and checked before served."""

from __future__ import annotations

import errno
import functools
import hashlib
import io
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import IntegrityError
from mxm_dataio.storage.payloads import folder as payloads
from mxm_dataio.storage.payloads import reading
from mxm_dataio.storage.payloads.drain import BLOCK
from mxm_dataio.storage.payloads.folder import PayloadFolder
from mxm_dataio.storage.payloads.prefixes import Prefixes
from mxm_dataio.storage.payloads.spool import Spool
from tests.support.effort import examples


@pytest.fixture
def folder(tmp_path: Path) -> PayloadFolder:
    made = PayloadFolder(tmp_path / "root" / "responses")
    made.create()
    return made


def spool(folder: PayloadFolder, content: bytes, limit: int = 1 << 20) -> Spool:
    made = Spool(folder.folder, limit)
    made.write(content)
    return made


def put(folder: PayloadFolder, content: bytes, limit: int = 1 << 20) -> str:
    return folder.put(spool(folder, content, limit))


def names(folder: PayloadFolder) -> set[str]:
    return {path.name for path in folder.folder.iterdir()}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- spools ----------------------------------------------------------------------------------


def test_a_spool_moves_to_a_file_above_its_limit(folder: PayloadFolder) -> None:
    made = Spool(folder.folder, 4)
    made.write(b"ab")
    made.write(b"cd")
    assert (made.file, made.temporary, made.content()) == (None, None, b"abcd")
    made.write(b"e")
    assert made.temporary is not None
    assert made.temporary.read_bytes() == b"abcde"
    assert made.temporary.stat().st_mode & 0o777 == 0o600
    made.write(b"fg")
    assert made.temporary.read_bytes() == b"abcdefg"
    assert (made.size, made.checksum, made.content()) == (7, sha(b"abcdefg"), b"abcdefg")
    made.discard()
    assert names(folder) == set()
    made.discard()


def test_a_spool_without_a_folder_stays_in_memory() -> None:
    made = Spool(None, 1)
    made.write(b"abc")
    assert (made.file, made.content(), made.size) == (None, b"abc", 3)


def test_a_spool_copies_what_it_is_given(folder: PayloadFolder) -> None:
    buffer = bytearray(b"first")
    made = Spool(folder.folder, 100)
    made.write(memoryview(buffer))
    buffer[:] = b"other"
    assert made.content() == b"first"


@examples(60)
@given(st.lists(st.binary(max_size=9), max_size=8), st.integers(0, 30))
def test_any_cut_of_any_bytes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], limit: int
) -> None:
    folder = PayloadFolder(tmp_path_factory.mktemp("p"))
    made = Spool(folder.folder, limit)
    for part in parts:
        made.write(part)
    whole = b"".join(parts)
    assert folder.put(made) == sha(whole)
    assert folder.open(sha(whole), len(whole)).read() == whole
    assert names(folder) == {f"{sha(whole)}.bin"}


# -- putting ---------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1 << 20], ids=["file", "memory"])
def test_a_payload_lies_under_its_checksum_for_its_owner_alone(
    folder: PayloadFolder, limit: int
) -> None:
    checksum = put(folder, b"hello", limit)
    assert checksum == sha(b"hello")
    path = folder.path(checksum)
    assert path == folder.folder / f"{checksum}.bin"
    assert path.read_bytes() == b"hello"
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.folder.stat().st_mode & 0o777 == 0o700
    assert names(folder) == {path.name}


def test_modes_hold_under_an_open_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = PayloadFolder(tmp_path / "responses")
        folder.create()
        path = folder.path(put(folder, b"x", 0))
    finally:
        os.umask(before)
    assert folder.folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("limit", [0, 1 << 20], ids=["file", "memory"])
def test_the_same_bytes_twice_are_one_untouched_file(folder: PayloadFolder, limit: int) -> None:
    checksum = put(folder, b"same")
    before = folder.path(checksum).stat()
    for _ in range(3):
        assert put(folder, b"same", limit) == checksum
    after = folder.path(checksum).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert names(folder) == {f"{checksum}.bin"}


def test_threads_putting_the_same_bytes_leave_one_file(folder: PayloadFolder) -> None:
    threads = [
        threading.Thread(target=put, args=(folder, b"y" * 9000, number % 2 << 20))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(folder) == {f"{sha(b'y' * 9000)}.bin"}


@pytest.mark.parametrize("limit", [0, 1 << 20], ids=["file", "memory"])
@pytest.mark.parametrize("damage", [b"", b"hellO", b"hello and more"])
def test_a_damaged_payload_is_replaced(folder: PayloadFolder, limit: int, damage: bytes) -> None:
    path = folder.path(sha(b"hello"))
    path.write_bytes(damage)
    put(folder, b"hello", limit)
    assert path.read_bytes() == b"hello"
    assert names(folder) == {path.name}


def test_a_symlink_in_a_payload_s_place_is_replaced_not_followed(folder: PayloadFolder) -> None:
    victim = folder.folder.parent / "victim"
    victim.write_bytes(b"precious")
    path = folder.path(sha(b"hello"))
    path.symlink_to(victim)
    put(folder, b"hello")
    assert victim.read_bytes() == b"precious"
    assert not path.is_symlink()
    assert path.read_bytes() == b"hello"


@pytest.mark.parametrize("limit", [0, 1 << 20], ids=["file", "memory"])
def test_a_refused_put_leaves_no_temporary_file_and_keeps_the_bytes(
    folder: PayloadFolder, limit: int
) -> None:
    obstacle = folder.path(sha(b"hello"))
    obstacle.mkdir()
    made = spool(folder, b"hello", limit)
    with pytest.raises(OSError, match=obstacle.name):
        folder.put(made)
    assert (made.size, made.checksum) == (5, sha(b"hello"))
    obstacle.rmdir()
    assert folder.put(made) == sha(b"hello")
    assert names(folder) == {obstacle.name}


# -- opening ---------------------------------------------------------------------------------


def read(folder: PayloadFolder, checksum: str, size: int) -> bytes:
    with folder.open(checksum, size) as file:
        return file.read()


@pytest.mark.parametrize("whole", [reading.WHOLE, 4], ids=["in memory", "from disk"])
def test_what_is_read_was_checked(
    folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    monkeypatch.setattr(reading, "WHOLE", whole)
    checksum = put(folder, b"hello")
    assert read(folder, checksum, 5) == b"hello"
    folder.verify(checksum, 5, beside=True)
    path = folder.path(checksum)
    for damage in (b"hellO", b"hell", b"hello!", b""):
        path.write_bytes(damage)
        for check in (read, PayloadFolder.verify):
            with pytest.raises(IntegrityError, match=checksum) as caught:
                check(folder, checksum, 5)
            assert caught.value.path == path
    with pytest.raises(IntegrityError, match=checksum):
        read(folder, checksum, 0)


def test_a_file_system_may_give_less_at_once(
    folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    checksum, read = put(folder, b"hello"), os.read
    monkeypatch.setattr(os, "read", lambda descriptor, count: read(descriptor, min(count, 2)))
    with folder.open(checksum, 5) as file:
        assert file.read() == b"hello"
    folder.path(checksum).write_bytes(b"hello!")
    with pytest.raises(IntegrityError, match=checksum):
        folder.open(checksum, 5)


def test_what_cannot_be_read_is_no_error_of_the_network(folder: PayloadFolder) -> None:
    path = folder.path("0" * 64)
    path.mkdir()
    with pytest.raises(IntegrityError, match="directory") as caught:
        folder.open("0" * 64, 1)
    assert caught.value.path == path


def test_a_missing_payload_is_named(folder: PayloadFolder) -> None:
    with pytest.raises(IntegrityError, match=f"{'0' * 64}.bin") as caught:
        folder.open("0" * 64, 1)
    assert caught.value.path == folder.path("0" * 64)


def test_a_symlinked_payload_is_not_served(folder: PayloadFolder) -> None:
    checksum = put(folder, b"hello")
    path = folder.path(checksum)
    path.rename(folder.folder / "elsewhere")
    path.symlink_to(folder.folder / "elsewhere")
    with pytest.raises(IntegrityError, match=checksum):
        folder.open(checksum, 5)


def test_sync_reaches_every_payload_and_the_folder(
    folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    paths = {str(folder.path(put(folder, content))) for content in (b"a", b"b")}
    folder.sync()
    assert set(synced) == {*paths, str(folder.folder)}
    assert synced[-1] == str(folder.folder)
    synced.clear()
    folder.sync()
    assert synced == []


# -- large payloads --------------------------------------------------------------------------

LARGE = random.Random(1).randbytes(2 * BLOCK) + b"end"
SUM = sha(LARGE)


@pytest.fixture
def large(folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch) -> PayloadFolder:
    monkeypatch.setattr(reading, "WHOLE", BLOCK)
    assert put(folder, LARGE, 0) == SUM
    assert names(folder) == {f"{SUM}.bin", f"{SUM}.prefixes"}
    return folder


def change(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def collect(file: BinaryIO, into: bytearray) -> None:
    while piece := file.read(1000):
        into += piece


def unread(*_args: object) -> object:
    raise AssertionError("the whole was read")


@pytest.mark.parametrize("limit", [0, 1 << 30], ids=["file", "memory"])
@pytest.mark.parametrize("size", [BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1])
def test_a_large_payload_comes_back_without_being_read_beforehand(
    large: PayloadFolder, monkeypatch: pytest.MonkeyPatch, size: int, limit: int
) -> None:
    checksum = put(large, LARGE[:size], limit)
    large.verify(checksum, size, beside=True)
    monkeypatch.setattr(Prefixes, "of", unread)
    assert read(large, checksum, size) == LARGE[:size]
    with large.open(checksum, size) as file:
        cut = iter(lambda: file.read(1000), b"")
        assert b"".join(cut) == LARGE[:size]
        assert file.read(1) == b""
    with io.BufferedReader(large.open(checksum, size)) as file:  # type: ignore[type-var]
        assert file.read() == LARGE[:size]


@pytest.mark.parametrize("at", [0, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, len(LARGE) - 1])
def test_no_byte_of_a_damaged_block_is_served(large: PayloadFolder, at: int) -> None:
    path = large.path(SUM)
    change(path, at)
    came = bytearray()
    with large.open(SUM, len(LARGE)) as file:
        with pytest.raises(IntegrityError, match=SUM) as caught:
            collect(file, came)
        assert caught.value.path == path
        for again in (file.read, lambda: file.read(1), lambda: file.readinto(bytearray(9))):
            with pytest.raises(IntegrityError, match=SUM):
                again()
    assert came == LARGE[: at // BLOCK * BLOCK]


def test_a_disk_that_can_t_be_read_is_no_error_of_the_network(
    large: PayloadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = put(large, b"small")

    class Failing(io.FileIO):
        def readinto(self, _buffer: object, /) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with large.open(SUM, len(LARGE)) as file:
        assert file.read(1) == LARGE[:1]
        file._file.close()  # type: ignore[attr-defined]
        file._file = Failing(large.path(SUM))  # type: ignore[attr-defined]
        assert file.read(BLOCK) == LARGE[1:BLOCK]
        with pytest.raises(IntegrityError):
            file.read(1)

    def refuse(_descriptor: int, _size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "read", refuse)
    monkeypatch.setattr(os, "preadv", lambda file, _buffers, at: refuse(file, at))
    for checksum, size in ((small, 5), (SUM, len(LARGE))):
        with pytest.raises(IntegrityError):
            read(large, checksum, size)
        with pytest.raises(IntegrityError):
            large.verify(checksum, size)


def test_what_changes_while_it_is_read_is_not_served(large: PayloadFolder) -> None:
    path = large.path(SUM)
    with large.open(SUM, len(LARGE)) as file:
        assert file.read(1) == LARGE[:1]
        change(path, 10)
        change(path, BLOCK)
        rest = iter(lambda: file.read(BLOCK), b"")
        assert next(rest) == LARGE[1:BLOCK]
        with pytest.raises(IntegrityError):
            next(rest)
    change(path, 10)
    change(path, BLOCK)
    with large.open(SUM, len(LARGE)) as file:
        assert file.read(1) == LARGE[:1]
        os.truncate(path, len(LARGE) - 1)
        assert file.read(BLOCK) == LARGE[1:BLOCK]
        assert file.read(BLOCK) == LARGE[BLOCK : 2 * BLOCK]
        with pytest.raises(IntegrityError):
            file.read(BLOCK)


def _gone(path: Path) -> None:
    path.unlink()


def _elsewhere(path: Path) -> None:
    path.symlink_to(path.rename(path.with_suffix(".elsewhere")))


def _unreadable(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _of_another(path: Path) -> None:
    path.write_bytes(Prefixes.of(io.BytesIO(LARGE + LARGE), BLOCK)[0].encode())


DAMAGES: list[Callable[[Path], None]] = [
    _gone, _elsewhere, _unreadable, _of_another,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(path.read_bytes() + b"x"),
    *(functools.partial(change, at=at) for at in (0, 25, 40, 60, 90, -32, -1)),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_sound_prefixes_the_whole_is_checked_first(
    large: PayloadFolder, damage: Callable[[Path], None]
) -> None:
    beside = large.prefixes_path(SUM)
    damage(beside)
    assert read(large, SUM, len(LARGE)) == LARGE
    large.verify(SUM, len(LARGE))
    if damage is not _gone:
        with pytest.raises(IntegrityError) as caught:
            large.verify(SUM, len(LARGE), beside=True)
        assert caught.value.path == beside
    change(large.path(SUM), -1)
    with pytest.raises(IntegrityError) as caught:
        large.open(SUM, len(LARGE))
    assert caught.value.path == large.path(SUM)


def test_forged_prefixes_do_not_get_a_forged_payload_to_its_end(large: PayloadFolder) -> None:
    forged = b"x" * BLOCK + LARGE[BLOCK:]
    large.path(SUM).write_bytes(forged)
    prefixes, _ = Prefixes.of(io.BytesIO(forged), BLOCK)
    large.prefixes_path(SUM).write_bytes(prefixes.encode())
    with large.open(SUM, len(LARGE)) as file:
        assert len(file.read(BLOCK) + file.read(BLOCK)) == 2 * BLOCK
        with pytest.raises(IntegrityError):
            file.read(1)


def test_recorded_again_a_large_payload_gets_its_prefixes_back(large: PayloadFolder) -> None:
    beside, inode = large.prefixes_path(SUM), large.path(SUM).stat().st_ino
    sound = beside.read_bytes()
    for damage in (_gone, functools.partial(change, at=70)):
        damage(beside)
        assert put(large, LARGE, 0) == SUM
        assert beside.read_bytes() == sound
    assert large.path(SUM).stat().st_ino == inode
    assert beside.stat().st_mode & 0o777 == 0o600


def test_prefixes_that_can_t_be_written_cost_no_payload(large: PayloadFolder) -> None:
    other = LARGE + b"!"
    large.prefixes_path(sha(other)).mkdir()
    assert read(large, put(large, other, 0), len(other)) == other
    assert not [name for name in names(large) if name.endswith(".tmp")]


def test_prefixes_are_synced_with_their_payload(
    large: PayloadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str | Path] = []
    monkeypatch.setattr(payloads, "sync_path", synced.append)
    large.sync()
    assert set(map(Path, synced)) == {large.path(SUM), large.prefixes_path(SUM), large.folder}
