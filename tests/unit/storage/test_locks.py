"""Locked files: who holds one lives, and what the dead have left goes while others work."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mxm_dataio.storage import locks
from mxm_dataio.utils import new_id
from tests.support import forks

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def name(folder: Path) -> Callable[[], Path]:
    return lambda: folder / f"{new_id()}.tmp"


def test_a_file_is_held_as_long_as_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    file = locks.make(path, b"content")
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    assert locks.is_held(path)
    file.release()
    assert not locks.is_held(path)
    assert not locks.is_held(tmp_path / "none")
    assert list(tmp_path.iterdir()) == [path]


def test_what_no_one_holds_is_swept(tmp_path: Path) -> None:
    held, path = locks.create(name(tmp_path), os.O_RDWR)
    dead = [name(tmp_path)() for _ in range(3)]
    for one in dead:
        one.touch()
    locks.sweep(tmp_path)
    assert [one for one in dead if one.exists()] == []
    assert path.exists()
    os.close(held)
    locks.sweep(tmp_path)
    assert not path.exists()
    # Of a folder that is not there, nothing.
    locks.sweep(tmp_path / "none")


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        locks.create(name(tmp_path), os.O_RDWR)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1
    locks.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instant between the making and the locking of a file, at which a sweep may come."""
    real = fcntl.flock
    swept = []

    def flock(file: int, how: int) -> None:
        if len(swept) < 3:
            swept.append(file)
            for path in tmp_path.iterdir():
                path.unlink()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    file, path = locks.create(name(tmp_path), os.O_RDWR)
    assert len(swept) == 3
    assert list(tmp_path.iterdir()) == [path]
    assert os.fstat(file).st_ino == path.stat().st_ino
    os.close(file)
    swept.clear()
    made = locks.make(tmp_path / "b.lock")
    assert (tmp_path / "b.lock").exists()
    made.release()


def test_a_file_that_is_always_swept_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: int, _how: int) -> None:
        raise BlockingIOError(errno.EWOULDBLOCK, "held")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="deleted as they are made"):
        locks.create(name(tmp_path), os.O_RDWR)
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_locks_nothing_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    file, path = locks.create(name(tmp_path), os.O_RDWR)
    os.close(file)
    locks.sweep(tmp_path)
    assert path.exists()
    with pytest.raises(OSError, match="No locks"):
        locks.make(tmp_path / "a.lock")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("rounds", [300, pytest.param(20_000, marks=pytest.mark.long)])
def test_sweeping_takes_nothing_from_who_writes(tmp_path: Path, rounds: int) -> None:
    """In processes of their own, all the time."""
    temporary, done = tmp_path / "temporary", tmp_path / "done"
    temporary.mkdir()
    done.mkdir()

    def write(number: int) -> None:
        for count in range(rounds):
            file, path = locks.create(name(temporary), os.O_RDWR)
            os.write(file, b"whole")
            path.rename(done / f"{number}-{count}")
            os.close(file)

    def sweep() -> None:
        while True:
            locks.sweep(temporary)

    sweepers = [forks.started(sweep) for _ in range(2)]
    writers = [forks.started(lambda number=n: write(number)) for n in range(2)]  # type: ignore[misc]
    try:
        assert [os.waitpid(child, 0)[1] for child in writers] == [0, 0]
    finally:
        for child in sweepers:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert len(list(done.iterdir())) == 2 * rounds
    assert all(path.read_bytes() == b"whole" for path in done.iterdir())


def test_threads_may_make_and_sweep_too(tmp_path: Path) -> None:
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            locks.sweep(tmp_path)

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        for _ in range(200):
            file, path = locks.create(name(tmp_path), os.O_RDWR)
            assert path.exists()
            os.close(file)
    finally:
        stop.set()
        thread.join()
