"""Where a file system has no locks, or is full, the message names that and what to do about it."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from mxm_dataio import IngestSession, StoreError
from mxm_dataio.storage.catalog.refusals import refusal
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import cause
from tests.support.servers import RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({"/x": answer(200, b"x")})) as made:
        yield made


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_no_locks(
    name: str, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        number = getattr(errno, name)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    with (
        pytest.raises(StoreError) as caught,
        IngestSession("s", tmp_path / "root", "record", strict=True),
    ):
        requests.get(f"{server.url}/x")
    said = str(caught.value)
    for words in (str(tmp_path / "root"), "no file locks (flock)", "local disk"):
        assert words in said
    assert "free space" not in said


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT"])
def test_a_full_disk(
    name: str, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = getattr(errno, name)

    def full(self: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(StoreError, match="free space there") as caught:
            RecordingStore(tmp_path / "root")
    assert os.strerror(number) in str(caught.value)
    assert "writable" not in str(caught.value)


def test_what_is_to_be_done_fits_the_cause() -> None:
    def said(number: int) -> str:
        return cause(OSError(number, os.strerror(number)), "make it writable")

    assert said(errno.EACCES) == "Permission denied; make it writable"
    assert "writable" not in said(errno.ENOSPC)
    assert "locks" in said(errno.ENOLCK)
    assert cause(OSError("torn")) == "torn"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "is full; free space there"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "may be full: free space there"),
        (sqlite3.SQLITE_IOERR_LOCK, "no file locks; put it on a local disk"),
        (sqlite3.SQLITE_IOERR_READ, ""),
    ],
)
def test_what_the_database_meets(code: int, words: str) -> None:
    exc = sqlite3.OperationalError("database or disk is full")
    exc.sqlite_errorcode = code
    assert str(refusal(Path("dataio.sqlite"), exc)).endswith(
        f"{words}, or put it on another disk" if "free" in words else ""
    )
    assert words in str(refusal(Path("dataio.sqlite"), exc))
