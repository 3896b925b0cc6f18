"""Sessions that dead processes left are sealed by who comes next, those of living ones never."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from mxm_dataio import Session, Status, StoreError
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.integrity.verify import Verified, verify_root
from mxm_dataio.models import Unseen
from mxm_dataio.storage.catalog import rows
from mxm_dataio.storage.entries import SessionEntry
from mxm_dataio.storage.journal import Journal
from mxm_dataio.storage.journal import left as left_journals
from mxm_dataio.storage.leftovers import left_sessions
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.running import Programs
from tests.support.servers import RawServer, answer, responder
from tests.support.waiting import eventually
from tests.trust import small

# Records a call for each line that it reads, and says so; with a word, in a forked child.
RECORDER = """
    import os, sys, requests
    from mxm_dataio import IngestSession
    url, root, how = sys.argv[1:]

    def work():
        for line in iter(sys.stdin.readline, ""):
            if line.strip() == "end":
                break
            requests.get(url + line.strip())
            print(os.getpid(), flush=True)

    with IngestSession(source="s", root=root, mode="record"):
        if how == "forks":
            if not (child := os.fork()):
                work()
                os._exit(0)
            requests.get(url + "/a")
            sys.stdin = open(os.devnull)
            print(child, flush=True)
            import time
            while True:
                time.sleep(0.01)
                if os.path.exists(root + "/../end"):
                    break
        else:
            work()
"""


class Recorder:
    """Such a process."""

    def __init__(self, programs: Programs, server: RawServer, *words: str) -> None:
        programs.write("recorder.py", RECORDER)
        self._url, self._programs = server.url, programs
        self.process = self._started(*(words or ("recorder.py", server.url, "root", "plainly")))

    def _started(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self._programs.folder,
            env=self._programs.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def get(self, path: str = "/a") -> int:
        """Have it make a call, and return the id of the process that made it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def end(self) -> None:
        self.process.communicate("end\n", timeout=30)
        assert self.process.returncode == 0


Start = Callable[..., Recorder]


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({f"/{name}": answer(200, b"x" * 100) for name in "abc"})) as running:
        yield running


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.fixture
def start(programs: Programs, server: RawServer) -> Iterator[Start]:
    made: list[Recorder] = []

    def started(*words: str) -> Recorder:
        made.append(Recorder(programs, server, *words))
        return made[-1]

    yield started
    for one in made:
        one.kill()


def seal_left(root: Path) -> int:
    with RecordingStore(root) as store:
        return store.seal_left()


def by_process(root: Path) -> dict[int, Session]:
    with RootStore(root) as store:
        return {one.pid: one for one in store.sessions()}


def sealed(root: Path) -> set[str]:
    with RootStore(root) as store:
        return {one.id for one in store.catalog.sealed_sessions()}


def sound(root: Path) -> Verified:
    found = verify_root(root)
    assert found.findings == ()
    return found


def test_what_a_killed_process_left_is_sealed_and_a_living_one_goes_on(
    programs: Programs, start: Start
) -> None:
    dead, living = start(), start()
    for _ in range(3):
        dead.get(), living.get()
    dead.kill()
    assert seal_left(programs.root) == 1
    found = by_process(programs.root)
    gone, other = found[dead.process.pid], found[living.process.pid]
    assert (gone.status, other.status) == (Status.INTERRUPTED, Status.RUNNING)
    assert gone.ended_at is not None
    assert sealed(programs.root) == {gone.id}
    with RootStore(programs.root) as store:
        assert [one.count for one in store.catalog.sealed_sessions()] == [3]
    sound(programs.root)
    assert seal_left(programs.root) == 0
    living.get()
    living.end()
    assert by_process(programs.root)[living.process.pid].status is Status.COMPLETE
    assert by_process(programs.root)[dead.process.pid] == gone
    assert sealed(programs.root) == {gone.id, other.id}
    sound(programs.root)


def forking(start: Start, server: RawServer) -> tuple[Recorder, int]:
    """Start a program that has recorded, and so has a child that it has forked; return its id."""
    parent = start("recorder.py", server.url, "root", "forks")
    assert parent.process.stdout
    child = int(parent.process.stdout.readline())
    assert parent.get() == child
    return parent, child


def test_a_killed_child_of_a_process_that_lives(
    programs: Programs, server: RawServer, start: Start
) -> None:
    parent, child = forking(start, server)
    # Nobody waits for it: its number stays taken.
    os.kill(child, signal.SIGKILL)
    assert eventually(lambda: Path(f"/proc/{child}/stat").read_text().split()[2] == "Z")
    assert seal_left(programs.root) == 1
    found = by_process(programs.root)
    assert found[child].status is Status.INTERRUPTED
    assert found[parent.process.pid].status is Status.RUNNING
    assert sealed(programs.root) == {found[child].id}
    (programs.folder / "end").touch()
    assert parent.process.wait(30) == 0
    assert by_process(programs.root)[parent.process.pid].status is Status.COMPLETE
    assert len(sealed(programs.root)) == 2
    sound(programs.root)


def test_a_killed_parent_of_a_child_that_lives(
    programs: Programs, server: RawServer, start: Start
) -> None:
    parent, child = forking(start, server)
    parent.process.kill()
    parent.process.wait()
    assert seal_left(programs.root) == 1
    found = by_process(programs.root)
    assert sealed(programs.root) == {found[parent.process.pid].id}
    assert found[child].status is Status.RUNNING
    assert parent.get("/b") == child
    os.kill(child, signal.SIGKILL)
    assert eventually(lambda: seal_left(programs.root) == 1)
    with RootStore(programs.root) as store:
        counts = {one.id: one.count for one in store.catalog.sealed_sessions()}
    assert counts == {found[parent.process.pid].id: 1, found[child].id: 2}
    sound(programs.root)


CALLS = """
    import ctypes, os, sys, requests
    # It is not to die with the run, which it can't where there is no such call.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    for line in iter(sys.stdin.readline, ""):
        if line.strip() == "end":
            break
        requests.get(sys.argv[1] + line.strip())
        print(os.getpid(), flush=True)
"""


def test_a_program_whose_run_was_killed_goes_on(
    programs: Programs, server: RawServer, start: Start
) -> None:
    """It records in the session that the run had begun, and would have ended."""
    programs.write("prog.py", CALLS)
    run = start(*programs.command(), "prog.py", server.url)
    program = run.get()
    assert program != run.process.pid
    run.process.kill()
    run.process.wait()
    assert seal_left(programs.root) == 0
    assert by_process(programs.root)[program].status is Status.RUNNING
    assert run.get("/b") == program
    assert seal_left(programs.root) == 0
    os.kill(program, signal.SIGKILL)
    assert eventually(lambda: seal_left(programs.root) == 1)
    with RootStore(programs.root) as store:
        (one,) = store.catalog.sealed_sessions()
        assert (one.count, store.session(one.id).status) == (2, Status.INTERRUPTED)  # type: ignore[union-attr]
    sound(programs.root)
    assert list((programs.root / "running").iterdir()) == []


def test_a_program_that_was_killed_is_its_runs_to_end(
    programs: Programs, server: RawServer, start: Start
) -> None:
    programs.write("prog.py", CALLS)
    run = start(*programs.command(), "prog.py", server.url)
    program = run.get()
    os.kill(run.process.pid, signal.SIGSTOP)
    os.kill(program, signal.SIGKILL)
    assert eventually(lambda: Path(f"/proc/{program}/stat").read_text().split()[2] == "Z")
    assert seal_left(programs.root) == 0
    os.kill(run.process.pid, signal.SIGCONT)
    run.process.wait(30)
    (one,) = by_process(programs.root).values()
    assert (one.status, one.exit_status) == (Status.INTERRUPTED, -9)
    assert sealed(programs.root) == {one.id}


def test_a_process_whose_lock_another_deleted(programs: Programs, start: Start) -> None:
    dead, living = start(), start()
    dead.get(), living.get()
    shutil.rmtree(programs.root / "running")
    dead.kill()
    assert seal_left(programs.root) == 1
    living.get()
    living.end()
    found = by_process(programs.root)
    assert found[living.process.pid].status is Status.COMPLETE
    assert found[dead.process.pid].status is Status.INTERRUPTED
    sound(programs.root)


def test_many_that_seal_at_once_seal_each_once(programs: Programs, start: Start) -> None:
    for _ in range(3):
        one = start()
        one.get()
        one.kill()
    stores = [RecordingStore(programs.root, patient=True) for _ in range(4)]
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda store=store: counts.append(store.seal_left()))  # type: ignore[misc]
        for store in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert sorted(counts)[-1] > 0
    assert sum(counts) == 3
    assert len(sealed(programs.root)) == 3
    sound(programs.root)


# -- in this process: as a store is left whose session was not ended ------------------------------


def left(root: Path, **changes: object) -> Session:
    with RecordingStore(root) as store:
        held = replace(small.session(), **changes)  # type: ignore[arg-type]
        store.begin(held)
        small.record(store, held, "a", b"x")
    return held


def test_what_else_its_row_says_stays(tmp_path: Path) -> None:
    held = left(tmp_path, program="scraper.py", kind="k", warnings=("one",))
    with closing(sqlite3.connect(tmp_path / "dataio.sqlite")) as db, db:
        # As of another machine, whose volume this is.
        db.execute("UPDATE sessions SET host = 'pod-7'")
    with RecordingStore(tmp_path) as store:
        assert store.seal_left() == 1
        (one,) = store.sessions()
        end = store.catalog.chain_end(held.id)
    assert end is not None
    assert (end.host, end.leaf, end.records) == ("pod-7", 0, 1)
    assert one == replace(held, status=Status.INTERRUPTED, ended_at=one.ended_at)
    sound(tmp_path)


def test_what_went_past_it_stays(tmp_path: Path) -> None:
    seen = Unseen("process", "curl", 1, "m")
    with RecordingStore(tmp_path) as store:
        held = small.session()
        store.begin(held)
        store.note_unseen(held.id, b'[1, "process", "curl", 1, "m"]\n')
        # As a kill leaves it.
        store._running.abandon()
    assert seal_left(tmp_path) == 1
    assert by_process(tmp_path)[held.pid].coverage == (seen,)
    sound(tmp_path)


def test_one_that_ended_without_a_seal_keeps_its_status(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        held = small.session()
        store.begin(held)
        ended = replace(held, status=Status.INCOMPLETE, ended_at="2025-01-02T00:00:09.000000Z")
        store.end(ended, settled=False)
        assert sealed(tmp_path) == set()
        assert store.seal_left() == 1
    assert by_process(tmp_path)[held.pid] == ended
    assert sealed(tmp_path) == {held.id}


def test_one_of_which_calls_still_wait_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = left(tmp_path), small.session()
    with RecordingStore(tmp_path) as store:
        store.begin(second)
        small.record(store, second, "b", b"y")
        store._writer.close()
        store._running.end_all()
        with monkeypatch.context() as patch:
            # A disk that does not give back what it has.
            patch.setattr("mxm_dataio.storage.journal.Left.entries", _refused)
            with (
                pytest.warns(UserWarning, match="can't be moved"),
                pytest.raises(StoreError, match="Input/output"),
            ):
                store.seal_left()
        assert sealed(tmp_path) == set()
        assert store.seal_left() == 2
    assert sealed(tmp_path) == {first.id, second.id}
    sound(tmp_path)


def _refused(self: object) -> Iterator[IO[bytes]]:
    raise OSError(5, "Input/output error")


def test_one_whose_journal_another_takes_in_as_well(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        held = small.session()
        store.begin(held)
        small.record(store, held, "a", b"x")
        store._writer.close()
        store._running.end_all()
        with left_journals(tmp_path / "journal"):
            assert store.seal_left() == 1
    assert sealed(tmp_path) == {held.id}
    sound(tmp_path)


def test_one_whose_end_waits_in_a_journal_ends_as_it_did(tmp_path: Path) -> None:
    """That of another process, which was busy: it is not sealed before what it says is there."""
    held = left(tmp_path)
    ended = replace(held, status=Status.COMPLETE, ended_at="2025-01-02T00:00:09.000000Z")
    other = Journal(tmp_path / "journal")
    with RecordingStore(tmp_path) as store:
        other.append(SessionEntry(rows.session_row(ended), 1))
        with pytest.MonkeyPatch.context() as patch:
            # What came before could not be taken in.
            patch.setattr(store._adoption, "adopt", lambda **_: None)
            assert store.seal_left() == 0
        assert store.seal_left() == 0
        assert store.session(held.id) == ended
    other.close()
    assert sealed(tmp_path) == {held.id}
    sound(tmp_path)


def test_one_that_was_pruned_is_sealed_as_it_was(tmp_path: Path) -> None:
    held = left(tmp_path)
    with RecordingStore(tmp_path) as store:
        prune(store, Choice(sessions=(held.id,)))
        assert store.seal_left() == 1
        assert [(one.id, one.count) for one in store.catalog.sealed_sessions("market")][1:] == [
            (held.id, 1)
        ]
    found = sound(tmp_path)
    assert found.pruned == 1


def test_what_is_under_way_here_is_not_left(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        held = small.session()
        store.begin(held)
        assert left_sessions(store.catalog, store._running) == []
        assert store.seal_left() == 0
        small.end(store, held)
    sound(tmp_path)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.long)])
def test_kills_at_random_instants(
    programs: Programs, server: RawServer, start: Start, kills: int
) -> None:
    chance = random.Random(5)
    programs.write(
        "many.py",
        """
        import sys, requests
        from mxm_dataio import IngestSession
        print(flush=True)
        while True:
            with IngestSession(source="s", root=sys.argv[2], mode="record"):
                for _ in range(3):
                    requests.get(sys.argv[1] + "/b")
        """,
    )
    done = 0
    for _ in range(kills):
        running = [start("many.py", server.url, "root") for _ in range(2)]
        for one in running:
            assert one.process.stdout
            one.process.stdout.readline()
        time.sleep(chance.uniform(0, 0.4))
        running[0].kill()
        with RecordingStore(programs.root, patient=True) as store:
            done += store.seal_left()
            dead = [one for one in store.sessions() if one.pid == running[0].process.pid]
        assert {one.id for one in dead} <= sealed(programs.root)
        running[1].kill()
        sound(programs.root)
    seal_left(programs.root)
    found = sound(programs.root)
    assert not any("not sealed" in note for note in found.notes)
    assert done > kills / 4
