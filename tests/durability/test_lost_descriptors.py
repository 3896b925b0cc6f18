"""A program that closes descriptors, and opens files and sockets of its own in their place.

Whatever becomes of the recording, its files and sockets are its own: the same program runs plainly
and under capture, and what it reads, what lies in its files and what came through its sockets is
the same. What was recorded is whole once the store is opened by the next process.
"""

from __future__ import annotations

import json
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import IngestSession, Status
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage.descriptors import Descriptor, LostError, OwnFile
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import prepared
from tests.support.effort import sampled, some
from tests.support.servers import RawServer, answer, responder

LARGE = b"0123456789abcdef" * 40_000

PROGRAM = '''
import contextlib, fcntl, json, os, socket, stat, sys, threading, time, warnings
import requests
warnings.simplefilter("ignore")
url, folder, how, scenario = sys.argv[1:5]
from mxm_dataio import IngestSession
from mxm_dataio.storage import writer as _writing
root = f"{folder}/store"
TEXT = "money " * 500 + "\\n"
files, pairs, seen = [], [], []
web = requests.Session()
web.trust_env = False

def calls(count, path="/small"):
    for number in range(count):
        seen.append(len(web.get(f"{url}{path}?{len(seen)}").content))

def close_all(low=3):
    web.close()
    os.closerange(low, 400)

def ours():
    """Numbers of the store's files, as one finds them that closes what it does not know."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(root):
                found.append(int(name))
    return sorted(found)

def open_files(count=12):
    for _ in range(count):
        # As another program may: for reading and writing, so that whatever is done to it shows.
        file = open(f"{folder}/{how}-{len(files)}.txt", "w+")
        files.append(file)
        file.write(TEXT); file.flush()

def open_sockets(count=12):
    for _ in range(count):
        one, other = socket.socketpair()
        os.set_inheritable(one.fileno(), True)
        pairs.append((one, other))
        one.sendall(TEXT.encode()); other.sendall(TEXT.encode())

def write_on():
    for file in files:
        file.write(TEXT); file.flush()
    for one, other in pairs:
        one.sendall(TEXT.encode()); other.sendall(TEXT.encode())

SCENARIOS
mode = {"plain": "", "replay": "replay", "auto": "auto"}.get(how, "record")
more = {"durability": "power"} if how == "power" else {"watch": True} if how == "watch" else {}
ingest = IngestSession("x", root, mode, **more) if mode else contextlib.nullcontext()
with ingest:
    globals()[scenario]()
    write_on()
# As what it had open is closed, too.
told = {"seen": seen, "files": [], "sockets": []}
for file in files:
    file.close()
    with open(file.name) as again:
        told["files"].append(again.read() == TEXT * 2)
for pair in pairs:
    for end in pair:
        end.setblocking(False)
        found = b""
        with contextlib.suppress(BlockingIOError):
            while data := end.recv(1 << 16):
                found += data
        told["sockets"].append(found == TEXT.encode() * 2)
print(json.dumps(told))
if mode and ingest.session:
    print(json.dumps([ingest.session.status.value, *ingest.session.warnings]))
'''

SCENARIOS = '''
def before_the_first_call():
    close_all(); open_files(); calls(3)

def after_calls():
    calls(5); close_all(); open_files(); calls(3)

def after_hundreds():
    calls(600); close_all(); open_files(); calls(4)

def at_the_end():
    calls(5); close_all(); open_files()

def nothing_in_their_place():
    calls(2); close_all(); calls(3)

def again_and_again():
    for _ in range(4):
        calls(3); close_all(); calls(1)
    open_files(); calls(2)

def sockets():
    calls(5); close_all(); open_sockets(); calls(3)

def journals_full():
    _writing._FULL, _writing._STEP, _writing._STEP_EVERY = 8, 3, 2
    calls(20); close_all(); open_files(); calls(60)

def large_ones():
    calls(2, "/large"); close_all(); open_files(); calls(2, "/large")

def one_of_ours(index=0):
    calls(5)
    for number in ours()[index : index + 1]:
        os.close(number)
    open_files(1); calls(5)

def the_second():
    one_of_ours(1)

def the_third():
    one_of_ours(2)

def the_fourth():
    one_of_ours(3)

def the_fifth():
    one_of_ours(4)

def each_of_ours():
    calls(3)
    for index in range(8):
        for number in ours()[index : index + 1]:
            os.close(number)
        open_files(1); calls(1)

def dup2_over_ours():
    calls(3)
    open_files(1)
    for number in ours():
        os.dup2(files[0].fileno(), number)
    calls(5)
    for number in range(3, 64):
        if number != files[0].fileno():
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(number), os.fstat(files[0].fileno())):
                    os.close(number)

def sockets_in_place_of_ours():
    calls(3)
    for number in ours():
        os.close(number)
    open_sockets(8); calls(5)

def amid_a_large_body():
    calls(1)
    answer = web.get(url + "/large", stream=True)
    size = len(answer.raw.read(300_000))
    for number in ours():
        os.close(number)
    open_files()
    size += len(answer.raw.read())
    seen.append(size)
    calls(2)

def amid_a_large_upload():
    def body():
        yield b"a" * 300_000
        for number in ours():
            os.close(number)
        open_files()
        yield b"b" * 300_000
    seen.append(web.post(url + "/upload", data=body()).text)
    calls(2)

def from_another_thread():
    calls(2)
    over = threading.Event()
    def close():
        while not over.wait(0.01):
            for number in ours():
                with contextlib.suppress(OSError):
                    os.close(number)
    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    calls(150)
    over.set()
    thread.join()
    open_files(); calls(3)

def as_a_daemon():
    """In a child of a child, which has closed everything."""
    calls(2)
    read, write = os.pipe()
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        try:
            os.dup2(write, 60)
            web.close()
            os.closerange(0, 60)
            # Before anything stands in the place of the standard streams.
            calls(2)
            null = os.open(os.devnull, os.O_RDWR)
            low = [null, os.dup(null), os.dup(null)]
            open_files(); calls(3); write_on()
            fine = low == [0, 1, 2]
            for file in files:
                file.close()
                with open(file.name) as again:
                    fine = fine and again.read() == TEXT * 2
            if how != "plain":
                ingest.close()
            os.write(60, json.dumps([fine, seen]).encode())
        except BaseException as exc:
            os.write(60, repr(exc).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.wait()
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read().decode()
    seen.append(told)
    calls(1)

def before_a_fork():
    """The child is not to close what has its parent's numbers."""
    calls(3); close_all(); open_files()
    child = os.fork()
    if not child:
        try:
            calls(2)
            if how != "plain":
                ingest.close()
            for file in files:
                os.fstat(file.fileno())
            os._exit(0)
        finally:
            os._exit(1)
    seen.append(os.waitpid(child, 0)[1])
    calls(2)

def standard_streams():
    """Who closes these and opens files in their place gets just their numbers."""
    calls(1)
    os.close(0)
    calls(2)
    seen.append(os.open(os.devnull, os.O_RDONLY))
    calls(1)

def another_session():
    calls(2); close_all(); open_files(); calls(2)
    if how != "plain":
        ingest.close()
        with IngestSession("y", root, mode) as other:
            calls(2)
    else:
        calls(2)

def locks():
    """The program's own locks, too, are its own."""
    calls(3); close_all(); open_files(); calls(2)
    for file in files:
        fcntl.lockf(file, fcntl.LOCK_EX)
    calls(2)
    child = os.fork()
    if not child:
        taken = 0
        for file in files:
            with contextlib.suppress(OSError):
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken += 1
        os._exit(taken)
    seen.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
'''
# Those whose children record, or that record under another name.
_CALLS = {
    "as_a_daemon": 8, "before_a_fork": 7, "another_session": 6, "amid_a_large_body": 4,
    "amid_a_large_upload": 3, "locks": 7, "standard_streams": 4,
}  # fmt: skip
_REPLAYED = {
    "sockets", "each_of_ours", "amid_a_large_body", "as_a_daemon",
}  # fmt: skip
# Each a part of what another does, told apart where that one fails.
_LIKE_OTHERS = {
    "nothing_in_their_place", "one_of_ours", "the_second", "the_third", "the_fourth", "the_fifth",
    "after_calls", "at_the_end", "after_hundreds", "again_and_again", "large_ones", "sockets",
}  # fmt: skip
EVERY = [line[4:-3] for line in SCENARIOS.splitlines() if line.startswith("def ")]
EVERY.remove("one_of_ours(index=")
EVERY.append("one_of_ours")


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/small": lambda request: answer(200, b"small " * 20 + request.target.encode()),
        "/large": lambda request: answer(200, LARGE + request.target.encode()),
        "/upload": lambda request: answer(200, b"%d" % len(request.body)),
    }
    with RawServer(responder(routes)) as running:
        yield running


def run(server: RawServer, folder: Path, how: str, scenario: str) -> tuple[Any, list[str]]:
    """Run the program; return what it saw, and what its session says."""
    text = PROGRAM.replace("SCENARIOS", SCENARIOS)
    done = prepared.run(["-c", text, server.url, folder, how, scenario])
    assert done.returncode == 0, done.stderr
    # Nor is anything said of what is no warning: a connection that could not be closed, say.
    assert done.stderr == "", done.stderr
    told, *said = done.stdout.splitlines()
    return json.loads(told), json.loads(said[0]) if said else []


def recorded(root: Path) -> int:
    """Open the store as the next process would; return how many calls it holds, all sound."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with RecordingStore(root) as store:
            sessions = store.sessions()
            assert all(one.ended_at for one in sessions), sessions
            assert {one.status for one in sessions} <= {Status.COMPLETE, Status.INCOMPLETE}
            count = sum(len(list(store.exchanges(one.id))) for one in sessions)
            assert {seal for _, _, seal in store.catalog.leaves()}
            assert len(store.catalog.leaves()) == len(sessions)
    assert not list((root / "journal").glob("*.journal"))
    found = verify_root(root)
    assert not found.findings, found.findings
    return count


@pytest.mark.parametrize(
    "scenario",
    some(EVERY, set(EVERY) - _LIKE_OTHERS),
)
def test_the_program_s_files_are_its_own(server: RawServer, tmp_path: Path, scenario: str) -> None:
    plain, _ = run(server, tmp_path, "plain", scenario)
    told, said = run(server, tmp_path, "record", scenario)
    assert told == plain
    assert all(told["files"])
    assert all(told["sockets"])
    count = _CALLS.get(scenario, len(told["seen"]))
    # As it closes them in one thread while the other writes.
    lost = sum("was not recorded" in one for one in said)
    assert not lost or scenario == "from_another_thread"
    assert recorded(tmp_path / "store") == count - lost
    if said[0] == "incomplete":
        assert "recorded calls wait in" in said[-1]
        assert str(tmp_path / "store" / "journal") in said[-1]
    else:
        assert said == ["complete"]


@pytest.mark.parametrize(
    ("how", "scenario"),
    sampled(
        [
            ("auto", "after_calls"), ("power", "sockets"), ("watch", "as_a_daemon"),
            ("power", "each_of_ours"), ("auto", "amid_a_large_body"), ("watch", "sockets"),
        ],
        2,
    ),
)  # fmt: skip
def test_so_they_are_in_whatever_way_it_is_recorded(
    server: RawServer, tmp_path: Path, scenario: str, how: str
) -> None:
    plain, _ = run(server, tmp_path, "plain", scenario)
    told, _ = run(server, tmp_path, how, scenario)
    assert told == plain
    assert recorded(tmp_path / "store") == _CALLS.get(scenario, len(told["seen"]))


@pytest.mark.parametrize(
    "scenario",
    # The second source of that one is another.
    some((one for one in EVERY if one != "another_session"), _REPLAYED),
)
def test_a_replay_goes_on_and_leaves_them_alone(
    server: RawServer, tmp_path: Path, scenario: str
) -> None:
    plain, _ = run(server, tmp_path, "plain", scenario)
    run(server, tmp_path, "record", scenario)
    recorded(tmp_path / "store")
    before = server.hits
    told, said = run(server, tmp_path, "replay", scenario)
    assert server.hits == before
    assert told == plain
    assert said == ["complete"]


@pytest.mark.parametrize("again", [False, True], ids=["closed", "opened again"])
def test_a_program_may_read_the_database_by_a_connection_of_its_own(
    tmp_path: Path, again: bool
) -> None:
    def session(during: Callable[[], object] = lambda: None) -> None:
        with IngestSession(source="s", root=tmp_path) as ingest:
            during()
        assert ingest.session.status == "complete"

    def look() -> sqlite3.Connection:
        db = sqlite3.connect(tmp_path / "dataio.sqlite")
        db.execute("SELECT count(*) FROM sessions").fetchall()
        return db

    # SQLite closes the session's numbers with the last connection: the program's, which outlives
    # the session. Other files then have these numbers.
    held: list[sqlite3.Connection] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session(lambda: held.append(look()))
        session()
        held.pop().close()
        others = [(tmp_path / f"other{at}").open("w") for at in range(2)]
        if again:
            held.append(look())
        session()
        session(lambda: [one.close() for one in (*held, *others)])
        session()


# -- one descriptor --------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "own"
    made.write_bytes(b"content")
    return made


def opened(path: Path) -> Descriptor:
    return Descriptor(os.open(path, os.O_RDWR), path, os.O_RDWR)


def test_a_number_that_is_another_s_is_not_closed(path: Path, tmp_path: Path) -> None:
    held = opened(path)
    (tmp_path / "other").touch()
    other = os.open(tmp_path / "other", os.O_RDWR)
    os.dup2(other, held.raw)
    number = held.raw
    held.close()
    os.close(number)
    os.close(other)


def test_a_file_is_opened_anew_if_it_is_the_same(path: Path) -> None:
    held = opened(path)
    with OwnFile(held) as file:
        assert file.read(3) == b"con"
        os.close(held.raw)
        assert file.read() == b"tent"
        os.close(held.raw)
        path.rename(path.with_name("moved"))
        path.write_bytes(b"another")
        with pytest.raises(LostError):
            file.read()


def test_the_numbers_of_standard_streams_are_not_taken(path: Path) -> None:
    keep = os.dup(0)
    os.close(0)
    try:
        held = opened(path)
        assert held.raw > 2
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
        held.close()
    finally:
        os.dup2(keep, 0)
        os.close(keep)
