"""Large bodies on their way to a file: every byte, once, in order; no thread left, no memory."""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.storage.descriptors import LostError
from mxm_dataio.storage.payloads import drain
from mxm_dataio.storage.payloads.drain import Drain
from tests.support.forks import forked
from tests.support.waiting import eventually

# Python 3.12 and later warn of any fork beside threads; the drain's own ends before.
pytestmark = pytest.mark.filterwarnings("error:.*use of fork:DeprecationWarning")

BLOCK = 8


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of eight bytes, a thread above two of them, and room for two threads."""
    monkeypatch.setattr(drain, "BLOCK", BLOCK)
    monkeypatch.setattr(drain, "ALONE", 2 * BLOCK)
    monkeypatch.setattr(drain, "_seats", threading.Semaphore(2))
    yield
    assert own_threads() == []


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    with (tmp_path / "body").open("w+b", buffering=0) as made:
        yield made


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "drain" in thread.name]


def content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def check(made: Drain, file: BinaryIO, expected: bytes) -> None:
    assert content(file) == expected
    assert made.size == len(expected)
    assert made.checksum() == hashlib.sha256(expected).hexdigest()
    ends = range(BLOCK, len(expected) + 1, BLOCK)
    assert made.prefixes() == b"".join(hashlib.sha256(expected[:end]).digest() for end in ends)


@pytest.mark.parametrize("seats", [0, 1], ids=["without a thread", "with one"])
@given(parts=st.lists(st.one_of(st.none(), st.binary(max_size=3 * BLOCK)), max_size=12))
def test_every_byte_arrives_in_order(
    tmp_path_factory: pytest.TempPathFactory, seats: int, parts: list[bytes | None]
) -> None:
    drain._seats = threading.Semaphore(seats)
    with (tmp_path_factory.mktemp("d") / "body").open("w+b", buffering=0) as file:
        made = Drain(file)
        expected = b""
        for part in parts:
            if part is None:
                made.finish()
                check(made, file, expected)
            else:
                made.write(part)
                expected += part
        made.finish()
        check(made, file, expected)


def test_the_buffer_given_may_be_reused_at_once(file: BinaryIO) -> None:
    made, buffer = Drain(file), bytearray(5)
    for number in range(40):
        buffer[:] = bytes([number]) * 5
        made.write(memoryview(buffer))
    made.finish()
    check(made, file, b"".join(bytes([number]) * 5 for number in range(40)))


def test_a_thread_comes_with_the_size_and_goes_with_the_body(file: BinaryIO) -> None:
    made = Drain(file)
    made.write(bytes(2 * BLOCK))
    assert own_threads() == []
    made.write(bytes(BLOCK))
    assert len(own_threads()) == 1
    made.finish()
    assert own_threads() == []
    made.write(b"more")
    made.finish()
    check(made, file, bytes(3 * BLOCK) + b"more")


def test_a_body_given_up_leaves_no_thread(file: BinaryIO) -> None:
    made = Drain(file)
    made.write(bytes(9 * BLOCK))
    made.abandon()
    assert own_threads() == []


def test_a_body_dropped_leaves_no_thread(file: BinaryIO) -> None:
    made = Drain(file)
    made.write(bytes(9 * BLOCK))
    assert len(own_threads()) == 1
    del made
    gc.collect()
    assert eventually(lambda: own_threads() == [])


def test_more_bodies_than_cores_share_no_thread_and_lose_no_byte(tmp_path: Path) -> None:
    files = [(tmp_path / str(number)).open("w+b", buffering=0) for number in range(5)]
    made = [Drain(file) for file in files]
    for _ in range(9):
        for number, one in enumerate(made):
            one.write(bytes([number]) * BLOCK)
    assert len(own_threads()) == 2
    for number, (one, file) in enumerate(zip(made, files, strict=True)):
        one.finish()
        check(one, file, bytes([number]) * 9 * BLOCK)
        file.close()
    assert all(drain._seats.acquire(blocking=False) for _ in range(2))


def test_no_thread_to_be_had_is_no_failure(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    made = Drain(file)
    made.write(b"x" * 9 * BLOCK)
    made.finish()
    check(made, file, b"x" * 9 * BLOCK)
    assert all(drain._seats.acquire(blocking=False) for _ in range(2))


def test_a_slow_disk_holds_the_reader_up_not_the_memory(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, real = threading.Event(), os.pwrite

    def pwrite(*args: object) -> int:
        if "drain" in threading.current_thread().name:
            assert go_on.wait(30)
        return real(*args)

    monkeypatch.setattr(os, "pwrite", pwrite)
    made = Drain(file)
    writer = threading.Thread(target=lambda: [made.write(b"slow") for _ in range(100)])
    writer.start()
    held = drain.ALONE + drain._BUFFERS * BLOCK
    assert eventually(lambda: made.size == held)
    time.sleep(0.05)
    assert made.size == held
    go_on.set()
    writer.join(30)
    made.finish()
    check(made, file, b"slow" * 100)


def test_who_brings_the_bytes_writes_them_where_the_thread_lags_behind(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, real, here = threading.Event(), os.pwrite, []

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if "drain" in threading.current_thread().name:
            assert go_on.wait(30)
        elif offset >= drain.ALONE:
            here.append(offset)
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    made = Drain(file)
    made.write(b"s" * (drain.ALONE + BLOCK))
    assert eventually(made._full.empty)
    made.write(b"t" * 2 * BLOCK)
    assert here == [drain.ALONE + 2 * BLOCK]
    go_on.set()
    made.finish()
    check(made, file, b"s" * (drain.ALONE + BLOCK) + b"t" * 2 * BLOCK)


def test_a_file_that_two_threads_open_anew_at_once_is_lost_by_neither(tmp_path: Path) -> None:
    class Contended(io.FileIO):
        count = 0

        def fileno(self) -> int:
            # The other has its lock already, and its number not yet.
            self.count += 1
            if self.count % 2:
                raise LostError(tmp_path)
            return super().fileno()

    with Contended(tmp_path / "body", "w+b") as file:
        made = Drain(file)
        made.write(b"n" * 9 * BLOCK)
        made.finish()
        check(made, file, b"n" * 9 * BLOCK)


@pytest.mark.parametrize("seats", [0, 1], ids=["without a thread", "with one"])
def test_a_full_disk_is_told_and_stays_told(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch, seats: int
) -> None:
    monkeypatch.setattr(drain, "_seats", threading.Semaphore(seats))
    real = os.pwrite

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        # Some of it goes in, as on a disk that fills up.
        if offset + len(data) > 6 * BLOCK + 2:
            if offset >= 6 * BLOCK + 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[:2]
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    made = Drain(file)
    with pytest.raises(OSError, match="No space left"):
        made.write(b"full" * 100)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            made.finish()
    made.abandon()


def test_a_full_disk_at_the_last_byte_is_told_at_the_end(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pwrite(*_args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made = Drain(file)
    made.write(b"x" * (9 * BLOCK + 1))
    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="No space left"):
        made.finish()


# -- interrupts ------------------------------------------------------------------------------


def _interrupted_at(step: int, work: Callable[[], None]) -> bool:
    """Run work, raising KeyboardInterrupt before the given line of the drain's; say whether."""
    left = step

    def trace(frame: object, event: str, _arg: object) -> object:
        nonlocal left
        code = frame.f_code  # type: ignore[attr-defined]
        # What a finalizer raises is swallowed, and any other drain may be collected meanwhile.
        if code.co_filename != drain.__file__ or code.co_name == "__del__":
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize(
    ("seats", "lag"),
    [(0, 0.0), (1, 0.0), (1, 0.001)],
    ids=["without a thread", "with one", "with one that lags behind"],
)
@pytest.mark.parametrize("begun", [0, 2 * BLOCK - 3, 6 * BLOCK - 3])
def test_an_interrupt_anywhere_leaves_bytes_and_checksum_of_one_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: int, seats: int, lag: float
) -> None:
    real = os.pwrite

    def pwrite(*args: Any) -> int:
        if "drain" in threading.current_thread().name:
            time.sleep(lag)
        return real(*args)

    monkeypatch.setattr(os, "pwrite", pwrite)
    lead, piece, rest = b"l" * begun, bytes(range(7)) + b"p" * 2 * BLOCK, b"r" * 3 * BLOCK
    step = 0
    for step in range(1, 2000):
        drain._seats = threading.Semaphore(seats)
        with (tmp_path / "body").open("w+b", buffering=0) as file:
            made = Drain(file)
            made.write(lead)
            hit = _interrupted_at(step, lambda made=made: made.write(piece))
            made.write(rest)
            made.finish()
            came = content(file)
            taken = len(came) - len(lead) - len(rest)
            check(made, file, lead + piece[:taken] + rest)
            if not hit:
                assert taken == len(piece)
                break
    assert 20 < step < 2000


# -- forks -----------------------------------------------------------------------------------


def test_a_fork_amid_a_body_waits_for_no_thread_and_harms_none(file: BinaryIO) -> None:
    made = Drain(file)
    made.write(b"a" * 9 * BLOCK)
    assert len(own_threads()) == 1

    def child() -> None:
        # No thread was there to be forked beside, so the child's copy is whole.
        made.finish()
        assert made.checksum() == hashlib.sha256(b"a" * 9 * BLOCK).hexdigest()

    assert forked(child) == 0
    made.write(b"b" * 9 * BLOCK)
    assert len(own_threads()) == 1
    made.finish()
    check(made, file, b"a" * 9 * BLOCK + b"b" * 9 * BLOCK)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_fork_beside_another_thread_s_body_waits_for_nothing(file: BinaryIO) -> None:
    made = Drain(file)
    writer = threading.Thread(target=made.write, args=(b"a" * 9 * BLOCK,))
    writer.start()
    writer.join()
    assert forked(made.abandon) == 0
    made.finish()
    check(made, file, b"a" * 9 * BLOCK)
