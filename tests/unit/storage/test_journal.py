"""Journals: what is appended is taken in, whoever dies when, and nothing that was broken off."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import DataIOWarning, IntegrityError, StoreError
from mxm_dataio.models import Failure, Framing, Status
from mxm_dataio.storage import writer as module
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.storage.journal import MAGIC, Journal, Left, left
from mxm_dataio.storage.payloads.folder import PayloadFolder
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support import CHECKOUT
from tests.support.effort import examples
from tests.support.forks import forked
from tests.unit.storage.catalog import test_catalog as catalogs
from tests.unit.test_store import record, session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def entry(number: int, size: int = 10) -> Entry:
    id, content = f"r{number}", bytes([number]) * size
    checksum = hashlib.sha256(content).hexdigest()
    failure = Failure("a.B", "gone \udcff", {"x": [1]})
    framing = Framing(((3, 1 << 20),), {1: b";\xff"}, b"\r\n")
    head = b"HTTP/1.1 200 OK\r\n\xff: 1\r\n\r\n"
    attempts = (
        CapturedAttempt("GET", "u", 0.0, failure=failure, head=head),
        CapturedAttempt("GET", "u", 0.0, framing=framing, checksum=checksum, size=size),
    )
    return Entry(
        CapturedCall(id, "GET", "u", 0.0), InSession("s1", "s1", "src", "today"), "",
        '{"endpoint":"e"}', ("a", "b"), None, None, 0, None, attempts, {checksum: content},
    )  # fmt: skip


def journals(root: Path) -> list[Path]:
    """Return those that hold calls."""
    found = sorted((root / "journal").glob("*.journal"))
    return [path for path in found if path.stat().st_size > len(MAGIC)]


def written(folder: Path, *entries: Entry) -> Path:
    journal = Journal(folder)
    for one in entries:
        journal.append(one)
    journal.close()
    return journal.path


# -- the file --------------------------------------------------------------------------------


@examples(100)
@given(entry=catalogs.entries, head=st.binary(), vary=st.lists(st.text(), max_size=2))
def test_every_entry_comes_back(entry: Entry, head: bytes, vary: list[str]) -> None:
    attempts = tuple(one._replace(head=head[1:]) for one in entry.attempts)
    made = entry._replace(call=entry.call._replace(head=head), vary=tuple(vary), attempts=attempts)
    assert Entry.decode(*made.encode()) == made


def test_what_is_appended_is_read_in_its_order(folder: Path) -> None:
    path = written(folder, entry(1), entry(2, 100_000), entry(3, 0))
    assert list(Left(path, gone=True).entries()) == [entry(1), entry(2, 100_000), entry(3, 0)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_broken_off_anywhere_the_whole_entries_are_read(folder: Path) -> None:
    path = written(folder, entry(1))
    first = path.stat().st_size
    data = written(folder, entry(1), entry(2)).read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        expected = [entry(1)] if length >= first else []
        assert list(Left(path, gone=True).entries()) == expected, length


def test_no_flipped_byte_is_taken_for_an_entry(folder: Path) -> None:
    whole = [entry(1), entry(2)]
    path = written(folder, *whole)
    data = path.read_bytes()
    told = 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        found = []
        try:
            for one in Left(path, gone=True).entries():
                found.append(one)
        except IntegrityError:
            told += 1
        assert found == whole[: len(found)], at
        assert len(found) < len(whole), at
    # What is not told is a length that points beyond the end: an entry broken off.
    assert told > len(data) * 0.9


def test_zeros_behind_the_end_are_no_entry(folder: Path) -> None:
    # What a file system may leave of a write that a power cut met.
    path = written(folder, entry(1))
    with path.open("ab") as file:
        file.write(bytes(64))
    found = Left(path, gone=True).entries()
    assert next(found) == entry(1)
    with pytest.raises(IntegrityError):
        next(found)


def test_a_refused_write_leaves_whole_entries_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(folder)
    journal.append(entry(1))
    write = os.write

    def partly(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", refuse)
        return write(file, data[: len(data) // 2])

    def refuse(_file: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", partly)
    with pytest.raises(OSError, match="No space"):
        journal.append(entry(2))
    monkeypatch.undo()
    journal.append(entry(3))
    journal.close()
    assert list(Left(journal.path, gone=True).entries()) == [entry(1), entry(3)]
    assert journal.entries == [entry(1), entry(3)]


def test_nothing_is_written_behind_a_part_that_can_t_be_cut_off(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        made = [record(store, held, b"before", limit=9)]
        write = os.write

        def partly(file: int, data: bytes) -> int:
            monkeypatch.setattr(os, "write", refuse)
            return write(file, data[: len(data) // 2])

        def refuse(*_args: object) -> int:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "write", partly)
        monkeypatch.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError, match="Input/output"):
            record(store, held, b"lost", limit=9)
        monkeypatch.undo()
        made.append(record(store, held, b"behind", limit=9))
        # What a process that is killed now leaves behind.
        found = [one.call.id for path in journals(root) for one in Left(path, gone=True).entries()]
        assert found == made
        assert [one.id for one in store.requests(held.id)] == made
    assert journals(root) == []


def test_a_living_owner_s_journal_is_known_by_its_lock(folder: Path) -> None:
    journal = Journal(folder)
    with left(folder) as found:
        assert found == [Left(journal.path, gone=False)]
    journal.close()
    with left(folder) as found:
        assert found == [Left(journal.path, gone=True)]
        # Two that open the store at once: only one of them takes it for its own.
        with left(folder) as other:
            assert other == [Left(journal.path, gone=False)]
    with left(folder.parent / "none") as found:
        assert found == []


def test_a_journal_that_can_t_be_made_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks"):
        Journal(folder)
    assert list(folder.iterdir()) == []


# -- in a store ------------------------------------------------------------------------------


def test_calls_wait_and_any_look_finds_them(root: Path) -> None:
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        made = [record(store, held, f"{number}".encode(), limit=100) for number in range(3)]
        assert len(journals(root)) == 1
        assert list((root / "responses").iterdir()) == []
        assert [one.request.id for one in store.exchanges(held.id)] == made
        assert journals(root) == []
        assert [store.open(store.responses(id)[0]).read() for id in made] == [b"0", b"1", b"2"]


def test_a_large_payload_goes_to_its_file_at_once(root: Path) -> None:
    with RecordingStore(root) as store:
        record(store, session(), bytes(100_000), limit=1 << 20)
        (path,) = (root / "responses").iterdir()
        assert path.stat().st_size == 100_000
        (journal,) = journals(root)
        assert journal.stat().st_size < 5_000


@pytest.mark.parametrize("size", [0, 3_000])
def test_full_journals_are_moved_as_others_come(
    root: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(module, "_FULL", 64)
    monkeypatch.setattr(module, "_FULL_SIZE", 32_000)
    monkeypatch.setattr(module, "_STEP", 20)
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        made = []
        for number in range(300):
            made.append(record(store, held, f"{number:0{size}}".encode(), limit=9_000))
            assert len(journals(root)) <= 2
            assert sum(len(one.entries) for one in store._writer._journals.waiting()) <= 2 * 64
        assert len(list((root / "responses").iterdir())) >= 100
        assert [one.request.id for one in store.exchanges(held.id)] == made
        assert journals(root) == []


def test_calls_move_once_they_have_waited_their_time(root: Path) -> None:
    with (
        RecordingStore(root, delay=3600) as store,
        RecordingStore(root, delay=0) as hasty,
    ):
        held = session()
        for one in (store, hasty):
            record(one, held, b"a", limit=9)
        assert len(list(store._catalog.exchanges(held.id))) == 1


def kill(root: Path, script: str) -> None:
    """Run a script that opens a store and kills itself."""
    start = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from tests.unit.test_store import *
store = RecordingStore(Path(sys.argv[1]))
held = session(os.getpid(), Status.RUNNING)
store.begin(held)
"""
    end = "os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run(
        [sys.executable, "-c", f"{start}\n{script}\n{end}", root, CHECKOUT],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("readonly", [False, True])
def test_the_journal_of_a_killed_process_is_taken_in(root: Path, readonly: bool) -> None:
    kill(root, "for n in range(150): record(store, held, b'%d' % n, upload=b'up', limit=99)")
    assert list((root / "responses").iterdir()) == []
    with RootStore(root, readonly=readonly) as store:
        assert journals(root) == []
        (held,) = store.sessions()
        assert held.status is Status.INTERRUPTED
        found = list(store.exchanges(held.id))
        assert [store.open(one.responses[0]).read() for one in found] == [
            b"%d" % number for number in range(150)
        ]
    assert (root / "responses" / f"{found[0].request.body_checksum}.bin").read_bytes() == b"up"


def test_a_living_process_s_calls_are_seen_and_stay_its_own(root: Path) -> None:
    with RecordingStore(root) as writer:
        held = session()
        writer.begin(held)
        first = record(writer, held, b"1", limit=9)
        with RootStore(root, readonly=True) as reader:
            assert [r.id for r in reader.requests(held.id)] == [first]
        assert len(journals(root)) == 1
        second = record(writer, held, b"2", limit=9)
        with RecordingStore(root) as reader:
            assert [r.id for r in reader.requests(held.id)] == [first, second]
        assert [r.id for r in writer.requests(held.id)] == [first, second]
    assert journals(root) == []


def test_what_can_t_be_moved_waits_for_the_next_opening(root: Path) -> None:
    store = RecordingStore(root)
    held = session()
    store.begin(held)
    record(store, held, b"kept", limit=9)
    shutil.rmtree(root / "responses")
    with pytest.raises(StoreError, match=r"1 recorded calls wait in .*journal"):
        store.requests(held.id)
    # Recording goes on.
    record(store, held, b"kept too", limit=9)
    with pytest.raises(StoreError, match="2 recorded calls wait"):
        store.close()
    with RecordingStore(root) as store:
        contents = [store.open(one.responses[0]).read() for one in store.exchanges(held.id)]
    assert contents == [b"kept", b"kept too"]


def test_where_nothing_may_be_written_it_is_said_that_calls_wait(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(root, "record(store, held, b'1', limit=9)")

    def refuse(self: object, checksum: str, content: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(PayloadFolder, "keep", refuse)
    with (
        pytest.warns(DataIOWarning, match="recorded calls wait in .*Permission denied"),
        RootStore(root, readonly=True) as store,
    ):
        assert store.requests(store.sessions()[0].id) == []
    with pytest.warns(DataIOWarning, match=r"recorded calls wait in .*Permission denied"):
        store = RecordingStore(root)
    with store, pytest.warns(DataIOWarning, match=r"recorded calls wait in .*Permission denied"):
        store.settle()
    assert len(journals(root)) == 1


def test_a_damaged_journal_is_taken_in_to_where_it_is_sound_and_kept(root: Path) -> None:
    kill(root, "for n in (1, 2): record(store, held, b'%d' % n, limit=9)")
    (journal,) = journals(root)
    data = bytearray(journal.read_bytes())
    data[-10] ^= 1
    journal.write_bytes(data)
    with pytest.warns(DataIOWarning, match=f"{journal.stem}.*damaged"):
        store = RecordingStore(root)
    with store:
        (held,) = store.sessions()
        (found,) = store.exchanges(held.id)
        assert store.open(found.responses[0]).read() == b"1"
    assert journal.with_suffix(".damaged").read_bytes() == data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RecordingStore(root).close()


def test_another_program_s_file_is_put_aside(root: Path) -> None:
    (root / "journal").mkdir(parents=True)
    (root / "journal" / "x.journal").write_bytes(b"of something else\n")
    with pytest.warns(DataIOWarning, match="no journal of this release"):
        RecordingStore(root).close()
    (path,) = (root / "journal").iterdir()
    assert path.read_bytes() == b"of something else\n"


def test_a_forked_child_leaves_its_parent_s_calls_to_it(root: Path) -> None:
    store = RecordingStore(root)
    held = session()
    store.begin(held)
    made = record(store, held, b"parent's", limit=9)

    def child() -> None:
        own = replace(session(), parent_id=held.id)
        store.begin(own)
        record(store, own, b"child's", limit=9)
        assert [r.session_id for r in store.requests(own.id)] == [own.id]
        assert store.requests(held.id) == []
        record(store, own, b"child's second", limit=9)

    # As a child of multiprocessing ends: without closing anything.
    assert forked(child) == 0
    assert len(journals(root)) == 2
    ended = replace(held, ended_at="t")
    store.settle()
    store.end(ended)
    assert journals(root) == [], "the child's is taken in at the end as well"
    assert [r.id for r in store.requests(held.id)] == [made]
    others = [one for one in store.sessions() if one.id != held.id]
    assert [len(store.requests(one.id)) for one in others] == [2]
    store.close()
    assert list((root / "journal").iterdir()) == []
