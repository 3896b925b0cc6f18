"""The store as a whole: one write path, many writers, and what survives them."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.identity import identify
from mxm_dataio.models import Mode, Response, Session, Status
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from mxm_dataio.utils import new_id
from tests.support import CHECKOUT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "root"


@pytest.fixture
def store(root: Path) -> Iterator[RecordingStore]:
    with RecordingStore(root) as made:
        yield made


def session(pid: int = 0, status: Status = Status.COMPLETE) -> Session:
    id = new_id()
    return Session(id, "src", Mode.RECORD, "2025-01-01", status, "t", root_id=id, pid=pid)


DOCUMENT = identify("GET", "e").document().decode()
H = hashlib.sha256(DOCUMENT.encode()).hexdigest()


def record(
    store: RecordingStore,
    held: Session,
    *bodies: bytes,
    upload: bytes | None = None,
    limit: int = 4,
) -> str:
    """Record a call and return its id."""
    waiting: dict[str, bytes] = {}

    def take(content: bytes) -> str:
        spool = store.spool(limit)
        spool.write(content)
        checksum = spool.checksum
        store.take(spool, checksum, waiting)
        return checksum

    attempts = [
        CapturedAttempt("GET", "u", 0.0, checksum=take(content), size=len(content))
        for content in bodies
    ]
    made = CapturedCall(new_id(), "GET", "u", 0.0)
    entry = Entry(
        made, InSession(held.id, held.root_id, held.source, held.as_of), "", DOCUMENT, (), None,
        take(upload) if upload is not None else None, len(upload or b""), None,
        tuple(attempts), waiting,
    )  # fmt: skip
    store.append(entry)
    return made.id


def write_many(root: Path, count: int, mark: str) -> None:
    """Write one session, as a thread or a process of its own."""
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        for number in range(count):
            record(store, held, f"{mark}-{number}".encode(), b"shared")
        store.end(held)


def test_a_recorded_call_comes_back_with_its_bytes(root: Path, store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    id = record(store, held, b"", b"first", b"second attempt", upload=b"sent")
    store.end(held)
    with RecordingStore(root) as again:
        made = again.exchange(id)
        assert made is not None
        assert made.request.params_hash == H
        assert list(again.exchanges(held.id)) == [made]
        assert again.requests(held.id) == [made.request]
        assert again.responses(id) == list(made.responses)
        assert again.last("src", H, held.id) == made
        assert again.nth("src", H, held.id, "") == made
        assert again.nth("src", H, held.id, id) is None
        assert again.session(held.id) == held
        assert [again.open(one).read() for one in made.responses] == [
            b"", b"first", b"second attempt",
        ]  # fmt: skip
    for response in made.responses:
        assert response.bytes_path == root / "responses" / f"{response.checksum}.bin"
        assert response.bytes_path.stat().st_size == response.size
    assert made.request.body_size == 4
    assert (root / "responses" / f"{made.request.body_checksum}.bin").read_bytes() == b"sent"


def test_nothing_is_found_where_nothing_is(store: RecordingStore) -> None:
    assert store.exchange("no") is None
    assert store.session("no") is None
    assert store.responses("no") == []
    assert (store.sessions(), store.requests("no")) == ([], [])


def test_the_root_is_its_owner_s_alone(root: Path, store: RecordingStore) -> None:
    record(store, session(), b"longer than the limit")
    assert {path.name for path in root.iterdir()} >= {"dataio.sqlite", "responses"}
    for path in (root, root / "responses"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert list(root.rglob("*.tmp")) == []
    for path in root.rglob("*"):
        assert path.is_dir() or path.stat().st_mode & 0o777 == 0o600, path


def test_damage_is_told_not_served(store: RecordingStore) -> None:
    (response,) = store.responses(record(store, session(), b"content"))
    assert response.bytes_path is not None
    response.bytes_path.write_bytes(b"Content")
    with pytest.raises(IntegrityError, match=response.bytes_path.name):
        store.open(response)
    with pytest.raises(IntegrityError, match="none/1"):
        store.open(Response("none"))


def test_a_root_below_a_file_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for readonly in (True, False):
        with pytest.raises(StoreError):
            RootStore(tmp_path / "file" / "root", readonly=readonly)


def test_read_only_wants_a_recording_and_makes_nothing(root: Path) -> None:
    with pytest.raises(StoreError, match="nothing is recorded"):
        RootStore(root, readonly=True)
    assert not root.exists()


def test_a_store_in_a_folder_without_write_permission_can_be_read() -> None:
    # Not under tmp_path, which another user could not reach.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        held = session()
        with RecordingStore(root) as store:
            store.begin(held)
            made = record(store, held, b"content")
            store.end(held)
        script = (
            # (Loaded by pathlib, but not before it is needed: another user may not read it.)
            "import os, sys, urllib.parse\n"
            "from mxm_dataio.storage.root_store import RootStore\n"
            "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
            "assert not os.access(sys.argv[1], os.W_OK)\n"
            "with RootStore(sys.argv[1], readonly=True) as store:\n"
            "    (response,) = store.responses(sys.argv[2])\n"
            "    print(store.open(response).read().decode())\n"
        )
        if os.getuid() == 0:
            for path in (Path(folder), root, *root.rglob("*")):
                os.chown(path, 65534, 65534)
        for path in (root / "responses", root):
            path.chmod(0o500)
        try:
            done = subprocess.run(
                [sys.executable, "-c", script, root, made],
                capture_output=True,
                text=True,
            )
        finally:
            root.chmod(0o700)
            (root / "responses").chmod(0o700)
        assert (done.stdout, done.stderr) == ("content\n", "")


def test_threads_and_processes_writing_one_root_lose_nothing(root: Path) -> None:
    count = 20
    context = multiprocessing.get_context("spawn")
    workers: list[threading.Thread | multiprocessing.process.BaseProcess] = [
        context.Process(target=write_many, args=(root, count, f"process{number}"))
        for number in range(4)
    ]
    workers += [
        threading.Thread(target=write_many, args=(root, count, f"thread{number}"))
        for number in range(4)
    ]
    # Four more threads share one store.
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)

        def share(mark: int) -> None:
            for number in range(count):
                record(store, held, f"shared{mark}-{number}".encode(), b"shared")

        workers += [threading.Thread(target=share, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        store.end(held)
    assert [one.exitcode for one in workers[:4]] == [0] * 4  # type: ignore[union-attr]
    with RootStore(root, readonly=True) as again:
        sessions = again.sessions()
        assert len(sessions) == 9
        found = [exchange for one in sessions for exchange in again.exchanges(one.id)]
        assert len(found) == 12 * count
        contents = {again.open(exchange.responses[0]).read().decode() for exchange in found}
        assert {again.open(exchange.responses[1]).read() for exchange in found} == {b"shared"}
    expected = {f"process{m}-{n}" for m in range(4) for n in range(count)}
    expected |= {
        f"{kind}{m}-{n}" for kind in ("thread", "shared") for m in range(4) for n in range(count)
    }
    assert contents == expected
    assert len(list((root / "responses").iterdir())) == 12 * count + 1


def test_a_call_survives_kill_9_and_its_session_is_interrupted(root: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.test_store import RecordingStore, Status, record, session
store = RecordingStore(Path(sys.argv[1]))
held = session(os.getpid(), Status.RUNNING)
store.begin(held)
record(store, held, b"kept")
os.kill(os.getpid(), signal.SIGKILL)
"""
    here = str(CHECKOUT)
    done = subprocess.run([sys.executable, "-c", script, root, here], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with RootStore(root, readonly=True) as store:
        (held,) = store.sessions()
        assert held.status is Status.INTERRUPTED
        assert store.session(held.id) == held
        (exchange,) = store.exchanges(held.id)
        assert store.open(exchange.responses[0]).read() == b"kept"


def test_only_a_running_session_of_a_dead_process_is_interrupted(
    store: RecordingStore, root: Path
) -> None:
    # A process id says nothing: this process has the dead one's, as one in a container has.
    ended = session(os.getpid(), Status.FAILED)
    alive, dead = (session(os.getpid(), Status.RUNNING) for _ in range(2))
    store.begin(ended)
    store.end(ended)
    store.begin(alive)
    other = RecordingStore(root)
    other.begin(dead)
    assert store.sessions("src") == other.sessions("src") == [ended, alive, dead]
    other.close()
    assert store.sessions("src") == [ended, alive, replace(dead, status=Status.INTERRUPTED)]
    # Told, not written: reading changes nothing.
    assert store.catalog.session(dead.id) == dead


def test_a_killed_session_is_interrupted_before_anyone_waits_for_its_process(root: Path) -> None:
    # As in a container whose first process waits for no one.
    script = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.test_store import *
store = RecordingStore(Path(sys.argv[1]))
store.begin(session(os.getpid(), Status.RUNNING))
ready, told = os.pipe()
child = os.fork()
if not child:
    # Nor does a child that lives on keep it running.
    os.write(told, b"x")
    signal.pause()
os.read(ready, 1)
print(child, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    checkout = str(CHECKOUT)
    with subprocess.Popen(
        [sys.executable, "-c", script, root, checkout], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        try:
            with RecordingStore(root) as store:
                assert [one.status for one in store.sessions()] == [Status.INTERRUPTED]
            assert list((root / "running").iterdir()) == []
        finally:
            os.kill(child, signal.SIGKILL)


def test_ids_are_given_by_their_beginning_or_their_end(root: Path, store: RecordingStore) -> None:
    first, second = session(), session()
    child = replace(session(), parent_id=second.id, root_id=second.id)
    for held in (first, second, child):
        store.begin(held)
    call = record(store, first, b"content")
    for text in (first.id, first.id[-8:], first.id[-5:], first.id[:-1]):
        assert store.session_id(text) == first.id
    for text in (call, call[-8:]):
        assert store.request_id(text) == call
    assert store.session_id("latest") == second.id
    assert store.session_id("latest~0") == second.id
    assert store.session_id("latest~1") == first.id
    for text in ("", "zz", "latest~2", "latest~", "%", first.id + "0", call):
        with pytest.raises(StoreError, match="no session"):
            store.session_id(text)
    for text in ("", "zz", first.id):
        with pytest.raises(StoreError, match="no call"):
            store.request_id(text)
    with pytest.raises(StoreError, match="several sessions begin or end with 0"):
        store.session_id("0")
