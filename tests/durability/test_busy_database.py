"""Another process holds the database's lock: the program goes on, and what it recorded waits.

A second in all at the opening, at a call and at the end, no more; then the calls, and the session's
rows, wait in the journal, and whoever opens the store next finds the session whole and sealed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import DataIOWarning, IngestSession, Status
from mxm_dataio.api import capture_of
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support import forks
from tests.support.effort import crossed
from tests.support.running import Programs
from tests.support.servers import RawServer, answer, responder

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

# Above a second, which is waited, by what a loaded machine takes for the rest.
_LONG = 3.0

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    db.execute(statement)
print("held", flush=True)
sys.stdin.readline()
"""
WAYS = {
    "immediate": ["BEGIN IMMEDIATE"],
    "exclusive": ["BEGIN EXCLUSIVE"],
    # Nobody else may even read it.
    "alone": ["PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE", "PRAGMA user_version=1"],
}


@contextlib.contextmanager
def held(root: Path, way: str = "immediate") -> Iterator[Callable[[], None]]:
    """Have another process hold the database's lock, until it is told to stop."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, root / "dataio.sqlite", *WAYS[way]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

        def let_go() -> None:
            process.kill()
            process.wait()

        try:
            yield let_go
        finally:
            let_go()


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/": lambda request: answer(200, b"small " * 20 + request.target.encode()),
        "/large": lambda request: answer(200, bytes(100_000) + request.target.encode()),
    }
    with RawServer(responder(routes)) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    RecordingStore(made).close()
    return made


class Clock:
    """How long what the program did took at the most."""

    def __init__(self) -> None:
        self.longest = 0.0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.longest = max(self.longest, time.monotonic() - began)


def call(server: RawServer, path: str = "/") -> bytes:
    return requests.get(server.url + path, timeout=30).content


def recorded_while_held(server: RawServer, root: Path, way: str = "immediate") -> None:
    """Record a session of a call, which waits."""
    with held(root, way):
        ingest = IngestSession("s", root).open()
        call(server)
        with pytest.warns(DataIOWarning, match="1 recorded calls wait"):
            ingest.close()


def whole(root: Path, *, sessions: int = 1) -> list[int]:
    """Open the store as the next does; return how many calls each session has, all sealed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with RecordingStore(root) as store:
            found = store.sessions()
            assert len(found) == sessions
            assert [one.status for one in found] == [Status.COMPLETE] * sessions, found
            assert all(one.started_at and one.ended_at for one in found)
            assert len(store.catalog.leaves()) == sessions
            counts = [len(list(store.exchanges(one.id))) for one in found]
    assert not list((root / "journal").iterdir())
    assert not list((root / "running").iterdir())
    verified = verify_root(root)
    assert not verified.findings, verified.findings
    return counts


@pytest.mark.parametrize(("way", "mode"), crossed(WAYS, ["record", "auto"], 2))
@pytest.mark.parametrize("durability", ["process", "power"])
def test_held_all_the_time(
    server: RawServer, root: Path, way: str, mode: str, durability: str
) -> None:
    clock = Clock()
    with held(root, way), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ingest = IngestSession("s", root, mode, durability=durability)
        with clock.taken():
            ingest.open()
        for path in ("/", "/large", "/", "/?other"):
            with clock.taken():
                call(server, path)
        with clock.taken():
            ingest.close()
    assert clock.longest < _LONG
    (told,) = [str(one.message) for one in caught if issubclass(one.category, DataIOWarning)]
    assert "4 recorded calls wait in" in told
    for word in (root / "journal", root / "dataio.sqlite", "another process holds its lock"):
        assert str(word) in told
    assert "open the store again" in told
    assert ingest.session.status is Status.INCOMPLETE
    assert whole(root) == [4]


def test_held_only_as_it_opens(server: RawServer, root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with held(root) as let_go, IngestSession("s", root) as ingest:
            call(server)
            let_go()
            call(server)
    assert ingest.session.status is Status.COMPLETE
    assert whole(root) == [2]


def test_held_only_as_it_ends(server: RawServer, root: Path) -> None:
    ingest = IngestSession("s", root).open()
    call(server)
    with held(root), pytest.warns(DataIOWarning, match="1 recorded calls wait"):
        ingest.close()
    assert whole(root) == [1]


def test_a_second_is_waited(server: RawServer, root: Path) -> None:
    ingest = IngestSession("s", root).open()
    call(server)
    with held(root) as let_go, warnings.catch_warnings():
        warnings.simplefilter("error")
        child = forks.started(lambda: time.sleep(0.3))
        signal.signal(signal.SIGALRM, lambda *_: let_go())
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        ingest.close()
        os.waitpid(child, 0)
    assert whole(root) == [1]


def test_many_calls_keep_memory_flat(
    server: RawServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mxm_dataio.storage.writer._FULL", 5)
    monkeypatch.setattr("mxm_dataio.storage.writer._MOST_FULL", 4)
    with held(root):
        ingest = IngestSession("s", root).open()
        with requests.Session() as web:
            for number in range(60):
                web.get(f"{server.url}/?{number}")
        store = capture_of(ingest).store
        assert isinstance(store, RootStore)
        assert sum(len(one.entries) for one in store._writer._journals.waiting()) <= 6 * 5
        assert len(list(Path("/proc/self/fd").iterdir())) < 60
        with pytest.warns(DataIOWarning, match="60 recorded calls wait"):
            ingest.close()
    assert whole(root) == [60]


def test_what_was_left_waits_for_the_next(server: RawServer, root: Path) -> None:
    recorded_while_held(server, root)
    with held(root):
        with pytest.warns(DataIOWarning, match="calls wait .* can't be moved"):
            ingest = IngestSession("s", root).open()
        call(server)
        with pytest.warns(DataIOWarning, match="1 recorded calls wait"):
            ingest.close()
    assert whole(root, sessions=2) == [1, 1]


def test_a_call_of_the_session_s_own_has_its_answer(server: RawServer, root: Path) -> None:
    clock = Clock()
    with held(root):
        ingest = IngestSession("s", root).open()
        for _ in range(3):
            with clock.taken():
                answered = ingest.request(f"{server.url}/", params={"a": "b"})
            assert answered.bytes_path is not None
            assert answered.bytes_path.read_bytes().endswith(b"/?a=b")
            assert answered.status_code == 200
        with pytest.warns(DataIOWarning, match="3 recorded calls wait"):
            ingest.close()
    assert clock.longest < _LONG
    assert whole(root) == [3]


def test_a_killed_process_is_interrupted_and_its_calls_are_there(
    server: RawServer, root: Path
) -> None:
    def dies() -> None:
        IngestSession("s", root).open()
        call(server)
        os.kill(os.getpid(), signal.SIGKILL)

    with held(root):
        os.waitpid(forks.started(dies), 0)
    with RecordingStore(root) as store:
        (session,) = store.sessions()
        assert session.status is Status.INTERRUPTED
        assert session.source == "s"
        assert session.started_at
        assert len(list(store.exchanges(session.id))) == 1


def test_a_forked_child_is_not_kept_waiting(server: RawServer, root: Path) -> None:
    def child() -> None:
        began = time.monotonic()
        warnings.simplefilter("ignore")
        call(server)
        assert time.monotonic() - began < _LONG
        ingest.close()
        assert time.monotonic() - began < _LONG + 1

    ingest = IngestSession("s", root).open()
    call(server)
    with held(root):
        assert os.waitpid(forks.started(child), 0)[1] == 0
    ingest.close()
    assert whole(root, sessions=2) == [1, 1]


@pytest.mark.parametrize("way", WAYS)
def test_a_replay_goes_on(server: RawServer, root: Path, way: str) -> None:
    with IngestSession("s", root):
        first = call(server)
        large = call(server, "/large")
    clock = Clock()
    with held(root, way), warnings.catch_warnings():
        warnings.simplefilter("error")
        before = server.hits
        with clock.taken():
            ingest = IngestSession("s", root, "replay").open()
        for path, body in (("/", first), ("/large", large), ("/", first)):
            with clock.taken():
                assert call(server, path) == body
        with clock.taken():
            ingest.close()
        assert server.hits == before
    assert clock.longest < _LONG


def test_a_replay_is_not_kept_waiting_by_what_others_left(server: RawServer, root: Path) -> None:
    with IngestSession("s", root):
        first = call(server)
    recorded_while_held(server, root)
    clock = Clock()
    with held(root):
        with clock.taken(), pytest.warns(DataIOWarning, match="calls wait .* can't be moved"):
            ingest = IngestSession("s", root, "replay").open()
        assert call(server) == first
        with clock.taken():
            ingest.close()
    assert clock.longest < _LONG
    assert whole(root, sessions=2) == [1, 1]


@pytest.mark.parametrize("way", ["immediate", "alone"])
def test_a_program_under_run(server: RawServer, tmp_path: Path, root: Path, way: str) -> None:
    programs = Programs(tmp_path)
    programs.write("program.py", f"import requests\nrequests.get({server.url!r})\nprint('done')")
    command = [sys.executable, "-m", "mxm_dataio.run", "--root", str(root), "program.py"]
    began = time.monotonic()
    with held(root, way):
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=programs.environment()
        )
    # Opening and end, of the program and of run beside it.
    assert time.monotonic() - began < 20
    assert done.returncode == 0
    assert done.stdout.startswith("done\n")
    assert "recorded calls wait in" in done.stderr
    assert "incomplete" in done.stderr
    assert whole(root) == [1]


def test_a_command_says_what_it_waits_for(server: RawServer, root: Path) -> None:
    recorded_while_held(server, root)
    with held(root) as let_go:
        process = subprocess.Popen(
            [sys.executable, "-m", "mxm_dataio", "sessions", "--root", root],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        let_go()
        out, more = process.communicate(timeout=30)
    assert "waiting for another process" in line
    assert str(root / "dataio.sqlite") in line
    assert more == ""
    assert "complete" in out
    assert process.returncode == 0


def test_a_database_that_can_t_be_made_meanwhile(server: RawServer, tmp_path: Path) -> None:
    """Another process has made an empty file, and holds that."""
    root = tmp_path / "root"
    root.mkdir()
    recorded_while_held(server, root, "exclusive")
    assert whole(root) == [1]
