"""Faults of disk, clock and neighbours: the program's calls go through, and nothing is lost.

What a session could not record or move it says (``incomplete``), and no more than that; what
waits in a journal is moved by the next that opens the store.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import DataIOWarning, IngestSession, Status, Store, StoreError
from mxm_dataio.api import capture_of
from mxm_dataio.storage import journal
from mxm_dataio.storage import writer as writer_module
from mxm_dataio.storage.adoption import Adoption
from mxm_dataio.storage.catalog import catalog
from mxm_dataio.storage.payloads import folder as payloads_module
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import forks
from tests.support.clocks import set_clock
from tests.support.servers import RawServer, answer, responder
from tests.trust import source, writers

# Python 3.12 and later warn of any fork beside threads; the servers here are threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

SMALL, LARGE = b"small " * 20, b"0123456789abcdef" * 8_192


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/small": lambda request: answer(200, SMALL + request.target.encode()),
        "/large": lambda request: answer(200, LARGE + request.target.encode()),
    }
    with RawServer(responder(routes)) as running:
        yield running


class Program:
    """A program whose calls must come to the same whatever becomes of their recording."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.get(f"{url}/small?connect")
        self._number = 0

    def call(self, path: str = "/small") -> str:
        """Make a call, and return the target that it was made to."""
        self._number += 1
        target = f"{path}?{self._number}"
        content = self.session.get(f"{self._url}{target}", timeout=30).content
        assert content == (SMALL if path == "/small" else LARGE) + target.encode()
        return target


@pytest.fixture
def program(server: RawServer) -> Iterator[Program]:
    made = Program(server.url)
    with made.session:
        yield made


def recorded(root: Path) -> list[str]:
    """Open the store as the next process would; return the targets of its calls, all sound."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with RecordingStore(root) as store:
            for session in store.sessions():
                for exchange in store.exchanges(session.id):
                    target = "/" + exchange.request.url.split("/", 3)[3]
                    with store.open(exchange.responses[0]) as file:
                        body = SMALL if target.startswith("/small") else LARGE
                        assert file.read() == body + target.encode()
                    found.append(target)
    assert not list((root / "journal").glob("*.journal"))
    return found


def ended(ingest: IngestSession) -> Status:
    return ingest.session.status


@contextlib.contextmanager
def session(root: Path, mode: str = "record") -> Iterator[IngestSession]:
    """Open a session, and see that it warns if and only if it ends incomplete."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with IngestSession("s", root, mode) as ingest:
            yield ingest
    told = [str(one.message) for one in caught if issubclass(one.category, DataIOWarning)]
    assert bool(told) is (ended(ingest) is Status.INCOMPLETE), told
    assert len(told) <= 1, "one warning, not one a call"


def forked(work: Callable[[], object]) -> int:
    """Run work in a forked child; return its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(forks.started(work), 0)[1])


# -- the disk refuses ------------------------------------------------------------------------

REFUSALS = [errno.ENOSPC, errno.EIO, errno.EMFILE]


def refused(code: int) -> OSError:
    return OSError(code, os.strerror(code))


class Fault:
    """Something of the store that fails while it is on."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: object, name: str, exc: Exception) -> None:
        original = getattr(owner, name)
        self.on = False
        self.met = 0

        def faulty(*args: Any, **kwargs: Any) -> Any:
            if self.on:
                self.met += 1
                raise exc
            return original(*args, **kwargs)

        patch.setattr(owner, name, faulty)


@pytest.mark.parametrize("code", REFUSALS, ids=errno.errorcode.get)
@pytest.mark.parametrize("amid", [False, True])
def test_the_journal_can_t_be_written(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, amid: bool
) -> None:
    """Neither a new one be made, nor one that is there be written to."""
    if amid:
        fault = Fault(monkeypatch, journal.os, "write", refused(code))
    else:
        fault = Fault(monkeypatch, journal.locks, "make", refused(code))
    with session(tmp_path) as ingest:
        kept = [program.call()] if amid else []
        fault.on = True
        program.call()
        program.call()
        fault.on = False
        kept += [program.call(), program.call()]
    assert fault.met
    assert ended(ingest) is Status.INCOMPLETE
    assert len([one for one in ingest.session.warnings if "was not recorded" in one]) == 2
    assert os.strerror(code) in ingest.session.warnings[0]
    assert recorded(tmp_path) == kept


@pytest.mark.parametrize("code", REFUSALS, ids=errno.errorcode.get)
def test_a_large_payload_can_t_be_written(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    fault = Fault(monkeypatch, payloads_module, "create", refused(code))
    with session(tmp_path) as ingest:
        kept = [program.call("/large")]
        fault.on = True
        program.call("/large")
        kept.append(program.call())
        fault.on = False
        kept.append(program.call("/large"))
    assert fault.met
    assert ended(ingest) is Status.INCOMPLETE
    assert recorded(tmp_path) == kept
    assert not list((tmp_path / "responses").glob(".*")), "no temporary file is left"


@pytest.mark.parametrize("code", REFUSALS, ids=errno.errorcode.get)
@pytest.mark.parametrize("till_the_end", [False, True])
@pytest.mark.parametrize("what", ["payloads", "database"])
def test_what_is_recorded_can_t_be_moved(
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    till_the_end: bool,
    what: str,
) -> None:
    """The calls wait; a session that could move them in the end is complete."""
    monkeypatch.setattr(writer_module, "_FULL", 4)
    if what == "payloads":
        fault = Fault(monkeypatch, payloads_module, "create", refused(code))
    else:
        exc = StoreError("disk I/O error")
        fault = Fault(monkeypatch, catalog.SQLiteCatalog, "put", exc)
    made = []
    with session(tmp_path) as ingest:
        made += [program.call() for _ in range(6)]
        fault.on = True
        made += [program.call() for _ in range(12)]
        assert fault.met
        fault.on = till_the_end
        made.append(program.call())
    fault.on = False
    assert ended(ingest) is (Status.INCOMPLETE if till_the_end else Status.COMPLETE)
    if till_the_end:
        assert "recorded calls wait" in ingest.session.warnings[0]  # type: ignore[union-attr]
    assert recorded(tmp_path) == made


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser may mount")
def test_a_disk_that_is_full(program: Program) -> None:
    """A real one: what fits is recorded; what waits is moved once there is room."""
    folder = Path(tempfile.mkdtemp(prefix="full-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("no file system may be mounted here")
    try:
        ballast, root = folder / "ballast", folder / "root"
        ballast.write_bytes(bytes(5_400_000))
        with session(root) as ingest:
            for _ in range(8):
                program.call("/large")
            for _ in range(400):
                program.call()
            assert shutil.disk_usage(folder).free < 8_192, "this tests nothing"
        assert ended(ingest) is Status.INCOMPLETE
        lost = [one for one in ingest.session.warnings if "was not recorded" in one]
        assert lost
        assert "No space left" in lost[0]
        written = waiting(root)
        assert written, "nothing was to be moved"
        ballast.unlink()
        found = recorded(root)
        assert len(found) == len(set(found)) >= written
        # A hundred of them are kept.
        assert len(found) + len(lost) == 408 or len(lost) >= 99
        with session(root) as ingest:
            last = program.call()
        assert ended(ingest) is Status.COMPLETE
        assert recorded(root) == [*found, last]
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def waiting(root: Path) -> int:
    """Return how many calls wait in journals."""
    with journal.left(root / "journal") as found:
        return sum(len(list(one.entries())) for one in found)


def test_no_more_files_may_be_opened(program: Program, tmp_path: Path) -> None:
    """A real limit, in a process of its own: before the session, amid it, and at its end."""

    @contextlib.contextmanager
    def none_left() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        last = os.dup(0)
        os.close(last)
        resource.setrlimit(resource.RLIMIT_NOFILE, (last, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def work() -> None:
        warnings.simplefilter("ignore", DataIOWarning)
        kept = []
        # Modules that are loaded late take a file each.
        with IngestSession("before", tmp_path / "other"):
            program.call()
        with none_left(), IngestSession("none", tmp_path) as ingest:
            program.call()
        assert ended(ingest) is Status.INCOMPLETE
        with IngestSession("amid", tmp_path) as ingest:
            with none_left():
                program.call()
            kept.append(program.call())
            with none_left():
                kept.append(program.call())
                program.call("/large")
            kept.append(program.call("/large"))
        assert ended(ingest) is Status.INCOMPLETE
        with IngestSession("end", tmp_path) as ingest:
            kept.append(program.call())
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)
            until = none_left()
            until.__enter__()
        resource.setrlimit(resource.RLIMIT_NOFILE, soft)
        assert ended(ingest) is Status.INCOMPLETE
        assert recorded(tmp_path) == kept

    assert forked(work) == 0


@pytest.mark.parametrize("user", ["owner", "another"])
def test_a_root_that_may_not_be_written(program: Program, user: str) -> None:
    if (os.geteuid() == 0) != (user == "another"):
        pytest.skip("the superuser may write anywhere, others can't become another")
    root = Path(tempfile.mkdtemp(prefix="readonly-"))
    try:
        with session(root):
            kept = program.call()

        def work() -> None:
            for path in (root, *root.iterdir()):
                if path.is_dir():
                    path.chmod(0o555)
                elif user == "another":
                    path.chmod(0o444)
            if user == "another":
                os.setgid(65_534)
                os.setuid(65_534)
            with session(root) as ingest:
                program.call()
            assert ended(ingest) is Status.INCOMPLETE
            with Store(root, readonly=True) as store:
                assert len(store.requests(store.sessions()[0].id)) == 1

        # Of a session that was killed, with nothing left to move.
        (root / "running" / "gone.lock").touch()
        if user == "another":
            for path in root.rglob("*"):
                path.chmod(path.stat().st_mode | 0o444)
        assert forked(work) == 0
        for path in (root, *root.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
        assert recorded(root) == [kept]
    finally:
        shutil.rmtree(root)


# -- the disk is slow, the clock steps back ---------------------------------------------------


def test_a_slow_disk(
    program: Program, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            time.sleep(0.02)
            return original(*args)

        return call

    for name in ("write", "fsync", "sync"):
        monkeypatch.setattr(os, name, slowly(getattr(os, name)))
    monkeypatch.setattr(payloads_module, "create", slowly(payloads_module.create))
    monkeypatch.setattr(writer_module, "_FULL", 8)

    def calls(_thread: int) -> list[str]:
        mine = Program(server.url)
        mine._number = _thread * 1_000
        with mine.session:
            return [mine.call("/large" if number % 4 == 0 else "/small") for number in range(10)]

    with session(tmp_path) as ingest, ThreadPoolExecutor(4) as pool:
        made = [target for targets in pool.map(calls, range(1, 5)) for target in targets]
    assert ended(ingest) is Status.COMPLETE
    connects = [one for one in recorded(tmp_path) if one.endswith("connect")]
    assert sorted(recorded(tmp_path)) == sorted([*made, *connects])
    assert len(connects) == 4


def test_the_clock_steps_back(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, real_ns = time.time, time.time_ns
    step = 0

    def back(seconds: int) -> None:
        nonlocal step
        step -= seconds

    set_clock(monkeypatch, lambda: real() + step, lambda: real_ns() + step * 10**9)
    made = []
    with session(tmp_path) as ingest:
        for seconds in (0, 1, 3_600, 86_400, -90_000):
            back(seconds)
            made += [program.call(), program.call()]
        assert capture_of(ingest).store is not None
        requests_made = capture_of(ingest).store.requests(ingest.id)
    assert ended(ingest) is Status.COMPLETE
    ids = [one.id for one in requests_made]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert recorded(tmp_path) == made
    back(3_600)
    # A session after that is the newer one still.
    with session(tmp_path) as later:
        program.call()
    with RecordingStore(tmp_path) as store:
        assert [one.id for one in store.sessions()] == [ingest.id, later.id]
        assert all(one.duration is not None and one.duration >= 0 for one in requests_made)


# -- neighbours -------------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
db.execute("COMMIT")
db.close()
"""


@contextlib.contextmanager
def held(root: Path) -> Iterator[Callable[[], None]]:
    """Have another process write to the database, for as long as it is not told to stop."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, root / "dataio.sqlite"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.stdin.close


@pytest.mark.parametrize("mode", ["record", "auto"])
def test_another_process_writes_for_seconds(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """No call waits for it (it would for a minute, and the test's time is up); the end does."""
    monkeypatch.setattr(writer_module, "_FULL", 4)
    monkeypatch.setattr(writer_module, "_STEP_EVERY", 1)
    monkeypatch.setattr("mxm_dataio.ingest.place._SHARED_SECONDS", 0.0)
    made = []
    tried = 0
    put = catalog.SQLiteCatalog.put

    def counted(self: Any, entries: Any, **how: Any) -> None:
        nonlocal tried
        tried += 1
        put(self, entries, **how)

    monkeypatch.setattr(catalog.SQLiteCatalog, "put", counted)
    with session(tmp_path, mode) as ingest:
        made.append(program.call())
        with held(tmp_path) as let_go:
            tried = 0
            made += [program.call("/large" if n % 5 == 0 else "/small") for n in range(20)]
            assert tried >= 5, "nothing was to be moved meanwhile"
            threading.Timer(0.5, let_go).start()
            ingest.close()
    assert ended(ingest) is Status.COMPLETE
    assert recorded(tmp_path) == made


@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=pytest.mark.long)])
def test_eight_processes_of_eight_threads(tmp_path: Path, rounds: int) -> None:
    def work(process: int) -> None:
        try:
            writers.work(tmp_path, url, process, rounds)
        except BaseException as exc:
            os.write(2, f"process {process}: {exc!r}\n".encode())
            raise

    url, stop = source.serve()
    children = [forks.started(lambda process=n: work(process)) for n in range(8)]
    try:
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        stop()
    found = writers.whole(tmp_path)
    assert len(found) == len(set(found)) == 64 * rounds
    with RecordingStore(tmp_path) as store:
        sessions = store.sessions()
    assert sorted(one.source for one in sessions) == [f"p{process}" for process in range(8)]
    assert {one.status for one in sessions} == {Status.COMPLETE}


def test_what_one_dead_process_left_is_not_in_the_others_way(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that can't be taken in is told of, and kept; recording goes on."""

    def dies() -> None:
        IngestSession("dead", tmp_path).open()
        program.call()
        os.kill(os.getpid(), signal.SIGKILL)

    assert forked(dies) == forked(dies) == -signal.SIGKILL
    first = sorted((tmp_path / "journal").iterdir())[0]
    put = Adoption._adopt_into

    def faulty(self: Adoption, to: Any, one: Any) -> None:
        if one.path == first:
            raise RecursionError("too deep")
        put(self, to, one)

    monkeypatch.setattr(Adoption, "_adopt_into", faulty)
    with (
        pytest.warns(DataIOWarning, match=r"wait in .*too deep"),
        IngestSession("s", tmp_path) as ingest,
    ):
        program.call()
    assert ended(ingest) is Status.COMPLETE
    monkeypatch.undo()
    assert len(recorded(tmp_path)) == 3


def test_a_store_that_can_t_be_looked_through_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RecordingStore(tmp_path).close()

    def refuse(*_args: object) -> None:
        raise refused(errno.EMFILE)

    monkeypatch.setattr("mxm_dataio.storage.adoption.left", refuse)
    with pytest.warns(DataIOWarning, match="Too many open files"):
        store = RecordingStore(tmp_path)
    with store, pytest.warns(DataIOWarning, match="Too many open files"):
        store.settle()
