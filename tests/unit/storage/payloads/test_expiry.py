"""Files that are removed and met again at once: one of both wins, and the other knows."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from mxm_dataio.storage.payloads import expiry

OLD = time.time() - 2 * expiry.GRACE
BEFORE = time.time() - expiry.GRACE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    path.write_bytes(b"12345")
    os.utime(path, (OLD, OLD))
    return path


def test_an_old_file_is_removed_with_what_lies_beside_it(file: Path, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    beside.write_bytes(b"young")
    assert expiry.removed(file, BEFORE, beside, tmp_path / "none") == 5
    assert list(tmp_path.iterdir()) == []
    assert expiry.removed(file, BEFORE) is None


def test_a_young_file_stays(file: Path, tmp_path: Path) -> None:
    os.utime(file)
    beside = tmp_path / "beside"
    beside.write_bytes(b"")
    assert expiry.removed(file, BEFORE, beside) is None
    assert file.exists()
    assert beside.exists()


def test_who_meets_an_old_file_keeps_it(file: Path) -> None:
    assert expiry.renewed(file, OLD)
    assert file.stat().st_mtime > time.time() - 60
    assert expiry.removed(file, BEFORE) is None


def test_a_file_young_enough_is_not_touched(file: Path) -> None:
    recent = time.time() - expiry.GRACE / 4
    assert expiry.renewed(file, recent)
    assert file.stat().st_mtime == OLD
    assert expiry.renewed(file, time.time() - 0.6 * expiry.GRACE)
    assert file.stat().st_mtime > OLD


def test_who_meets_it_too_late_knows(file: Path) -> None:
    assert expiry.removed(file, BEFORE) == 5
    assert not expiry.renewed(file, OLD)


def test_a_file_being_removed_is_not_renewed(file: Path) -> None:
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not expiry.renewed(file, OLD)


def test_a_file_that_another_took_the_place_of_is_not_renewed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed_first(descriptor: int) -> None:
        file.unlink()
        file.write_bytes(b"another")

    monkeypatch.setattr(os, "utime", removed_first)
    assert not expiry.renewed(file, OLD)


def test_a_file_that_is_written_or_renewed_now_stays(file: Path) -> None:
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert expiry.removed(file, BEFORE) is None
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert expiry.removed(file, BEFORE) is None
    assert expiry.removed(file, BEFORE) == 5


def test_a_link_is_neither_followed_nor_removed(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert not expiry.renewed(link, OLD)
    with pytest.raises(OSError, match="symbolic"):
        expiry.removed(link, BEFORE)
    assert file.exists()


def test_the_time_of_the_disk(tmp_path: Path) -> None:
    assert abs(expiry.now(tmp_path) - time.time()) < 60
    assert list(tmp_path.iterdir()) == []
