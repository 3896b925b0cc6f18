"""Cassettes on disk: whole at each moment, and written only when they have changed."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import IntegrityError, StoreError, use_cassette
from mxm_dataio.formats.cassette.document import Document, Folder
from mxm_dataio.formats.cassette.files import load, locked, remove, save

LARGE = b"\0" * 20_000
CHECKSUM = hashlib.sha256(LARGE).hexdigest()


def document(kind: str = "", *, large: bool = False) -> Document:
    node: Any = {"request": {"method": "GET", "url": "http://a.test/"}}
    if kind:
        node = {"kind": kind, **node}
    if large:
        body = {"bytes": {"sha256": CHECKSUM, "beside": len(LARGE)}}
        node["responses"] = [{"status": "HTTP/1.1 200 OK", "body": body}]
    return Document("s", "2025-01-01", calls=[node])


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.json"
    assert load(path) == (b"", None)
    assert save(path, document(), {}, b"")
    was, found = load(path)
    assert was == path.read_bytes()
    assert found == document()
    os.utime(path, ns=(1, 1))
    assert not save(path, document(), {}, was)
    assert path.stat().st_mtime_ns == 1
    assert save(path, document("other"), {}, was)
    assert load(path)[1] == document("other")
    assert [file.name for file in path.parent.iterdir()] == ["c.json"]


def test_one_is_removed_with_what_lies_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert not remove(path)
    save(path, document(large=True), {CHECKSUM: LARGE}, b"")
    assert Folder(path)(CHECKSUM, len(LARGE)) == LARGE
    assert remove(path)
    assert list(tmp_path.iterdir()) == []


def test_one_may_have_no_calls(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for empty in (Document("s", "2025-01-01"), Document("s", "2025-01-01", meta={"seed": 1})):
        save(path, empty, {}, b"")
        assert load(path)[1] == empty


def test_what_lies_beside_comes_first_and_goes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    save(path, document(), {}, b"")
    steps = []
    replace, unlink = Path.replace, Path.unlink

    def noted(self: Path, target: Path) -> Path:
        steps.append(f"write {target.name[:6]}")
        return replace(self, target)

    def gone(self: Path, **options: Any) -> None:
        steps.append(f"remove {self.name[:6]}")
        unlink(self, **options)

    monkeypatch.setattr(Path, "replace", noted)
    monkeypatch.setattr(Path, "unlink", gone)
    save(path, document(large=True), {CHECKSUM: LARGE}, path.read_bytes())
    save(path, document(), {}, path.read_bytes())
    name = CHECKSUM[:6]
    assert steps == [f"write {name}", "write a.json", "write a.json", f"remove {name}"]


def test_nothing_but_payloads_is_removed_from_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    save(path, document(large=True), {CHECKSUM: LARGE}, b"")
    for name in ("notes.txt", "mine.bin"):
        (tmp_path / "a.json.d" / name).write_text("mine")
    save(path, document(), {}, path.read_bytes())
    left = sorted(file.name for file in (tmp_path / "a.json.d").iterdir())
    assert left == ["mine.bin", "notes.txt"]


def test_nothing_is_removed_through_a_link(tmp_path: Path) -> None:
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    save(other, document(large=True), {CHECKSUM: LARGE}, b"")
    was = other.read_bytes()
    Folder(path).path.symlink_to(Folder(other).path)
    for one in (document(), document(large=True)):
        with pytest.raises(IntegrityError, match="is a link"):
            save(path, one, {CHECKSUM: LARGE}, b"")
    with pytest.raises(IntegrityError, match="is a link"):
        load(path)
    Folder(path).path.unlink()
    path.symlink_to(other)
    for work in (lambda: load(path), lambda: save(path, document("x"), {}, was)):
        with pytest.raises(IntegrityError, match="put the file itself in its place"):
            work()
    assert path.is_symlink()
    assert other.read_bytes() == was
    assert Folder(other)(CHECKSUM, len(LARGE)) == LARGE


@pytest.mark.parametrize("mode", ["once", "none", "all", "new_episodes", "rewrite", "record"])
@pytest.mark.parametrize("which", ["file", "dangling", "folder"])
def test_no_mode_follows_a_link(tmp_path: Path, mode: str, which: str) -> None:
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    save(other, document(large=True), {CHECKSUM: LARGE}, b"")
    if which == "folder":
        path.write_bytes(other.read_bytes())
        Folder(path).path.symlink_to(Folder(other).path)
    else:
        path.symlink_to(other if which == "file" else tmp_path / "none.json")
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    with pytest.raises(IntegrityError, match="is a link"), use_cassette(path, mode):
        pass
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(IntegrityError, match="no plain file"):
        load(tmp_path / "a.json")


def test_the_folders_that_it_lies_in_may_be_links(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    path = tmp_path / "link" / "a.json"
    save(path, document(large=True), {CHECKSUM: LARGE}, b"")
    assert load(path)[1] is not None
    assert Folder(path)(CHECKSUM, len(LARGE)) == LARGE


def test_a_payload_beside_that_is_damaged_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    save(path, document(large=True), {CHECKSUM: LARGE}, b"")
    Folder(path).file(CHECKSUM).write_bytes(b"damaged")
    save(path, document("x", large=True), {CHECKSUM: LARGE}, path.read_bytes())
    assert Folder(path)(CHECKSUM, len(LARGE)) == LARGE


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_what_fails_leaves_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a.json"
    save(path, document(), {}, b"")
    first = path.read_bytes()

    def full(*_args: Any, **_kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if step == "write":
            patched.setattr(Path, "open", full)
        elif step == "fsync":
            patched.setattr(os, "fsync", full)
        else:
            patched.setattr(Path, "replace", full)
        with pytest.raises(StoreError, match="No space left") as caught:
            save(path, document("x", large=True), {CHECKSUM: LARGE}, first)
    assert caught.value.path == path
    assert path.read_bytes() == first
    assert not [file for file in tmp_path.rglob("*") if file.suffix == ".tmp"]


def test_what_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no cassette"):
        load(tmp_path / "a.json", needed=True)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(IntegrityError, match="no plain file"):
        load(tmp_path / "folder.json")
    (tmp_path / "link.json").symlink_to("nowhere")
    with pytest.raises(IntegrityError, match="is a link"):
        load(tmp_path / "link.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"bad\.json"):
        load(tmp_path / "bad.json")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    inside, most = [], []

    def write() -> None:
        with locked(path):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=write) for _ in range(8)]
    with locked(path):
        for thread in threads:
            thread.start()
        assert not most
    for thread in threads:
        thread.join(10)
    assert most == [1] * 8
