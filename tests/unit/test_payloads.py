"""Payload files: one for each distinct body, private, whole, and checked before served."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxm_dataio import payloads
from mxm_dataio.errors import IntegrityError
from mxm_dataio.payloads import PayloadFolder, Spool


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


@settings(max_examples=60, deadline=None)
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


@pytest.mark.parametrize("whole", [payloads._WHOLE, 4], ids=["in memory", "from disk"])
def test_what_is_opened_was_checked(
    folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    monkeypatch.setattr(payloads, "_WHOLE", whole)
    checksum = put(folder, b"hello")
    with folder.open(checksum, 5) as file:
        assert file.read() == b"hello"
    path = folder.path(checksum)
    for damage in (b"hellO", b"hell", b"hello!", b""):
        path.write_bytes(damage)
        with pytest.raises(IntegrityError, match=checksum) as caught:
            folder.open(checksum, 5)
        assert caught.value.path == path
    with pytest.raises(IntegrityError, match=checksum):
        folder.open(checksum, 0)


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
