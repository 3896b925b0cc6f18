"""Plain files are opened, and nothing else: no link, no pipe, no name of another's choosing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mxm_dataio.storage import files
from mxm_dataio.storage.files import NotPlainError


def open_now() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain"
    path.write_bytes(b"content")
    return path


def test_a_plain_file_is_opened(plain: Path) -> None:
    file = files.open_plain(plain)
    assert os.read(file, 99) == b"content"
    assert not os.get_inheritable(file)
    os.close(file)
    assert files.is_plain(plain) is True


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "link to nowhere"])
def test_nothing_else_is(plain: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd"
    if kind == "link":
        path.symlink_to(plain)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/no/such/place")
    before = open_now()
    for read in (files.open_plain, lambda odd: files.read_plain(odd, 9)):
        with pytest.raises(NotPlainError):
            read(path)
    assert files.is_plain(path) is False
    assert files.is_link(path) == ("link" in kind)
    assert files.is_folder(path) == (kind == "folder")
    assert open_now() == before, "a descriptor is left open"


def test_what_is_not_there(tmp_path: Path, plain: Path) -> None:
    for path in (tmp_path / "none", plain / "below"):
        assert files.is_plain(path) is None
        assert not files.is_folder(path)
        assert not files.is_link(path)
        with pytest.raises(OSError, match=r"No such|Not a directory"):
            files.open_plain(path)


def test_no_more_is_read_than_may_be_meant(plain: Path, tmp_path: Path) -> None:
    assert files.read_plain(plain, 3) == b"con"
    assert files.read_plain(plain, 99) == b"content"
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert files.read_plain(tmp_path / "sparse", 5) == bytes(5)


def test_names(tmp_path: Path) -> None:
    good, bad = ["a", "0-9_Z", "x" * 64], ["", "..", "a/b", "a b", "a.b", "x" * 65, "\u00e9", "a\n"]
    assert all(map(files.is_id, good))
    assert not any(map(files.is_id, bad))
    assert files.named(tmp_path / "a.lock", ".lock")
    assert not files.named(tmp_path / "a.lock.tmp", ".tmp")
    assert not files.named(tmp_path / ".tmp", ".tmp")
    assert not files.named(tmp_path / "a.lock", ".tmp")
