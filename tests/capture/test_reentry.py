"""Calls that a signal handler or a finalizer makes, at any point of the calls of its thread."""

from __future__ import annotations

import ast
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import urllib3

import mxm_dataio
from mxm_dataio import IngestSession, Status
from mxm_dataio.formats.cassette import document as cassette
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT, prepared
from tests.support.effort import crossed
from tests.support.running import Programs
from tests.support.servers import Connection, RawServer, answer

SECONDS = 0.3
LONG = 15.0


def echo(connection: Connection) -> None:
    """Answer each path with itself."""
    while (request := connection.read_request()) is not None:
        connection.send(answer(200, request.target.encode()))


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(echo) as running:
        yield running


class Done:
    """What the program made in one session."""

    def __init__(
        self, url: str, folder: Path, road: str, way: str, where: str, mode: str, seconds: float
    ) -> None:
        words = [url, str(folder), road, way, where, mode, f"{seconds:g}"]
        env = {k: v for k, v in os.environ.items() if not k.startswith("MXM_")}
        done = prepared.run(["-m", "tests.support.reentrant", *words], CHECKOUT, env, timeout=110)
        assert done.returncode == 0, done.stderr[-5000:]
        made = json.loads(done.stdout)
        assert made["wrong"] == []
        self.made: list[str] = made["made"]
        self.amid: int = made["amid"]


def recorded(root: Path) -> list[str]:
    """Return the paths of the calls recorded, each of which is whole."""
    found = []
    with RecordingStore(root) as store:
        for session in store.sessions():
            assert session.status is Status.COMPLETE, session.warnings
            assert not session.coverage
            for exchange in store.exchanges(session.id):
                path = "/" + exchange.request.endpoint.partition("://")[2].partition("/")[2]
                if exchange.request.served_from is None:
                    (response,) = exchange.responses
                    assert response.complete
                    assert response.bytes_path is not None
                    assert response.bytes_path.read_bytes() == path.encode()
                assert exchange.request.kind in ("", path.split("/")[1])
                found.append(path)
    return found


def in_cassette(path: Path) -> list[str]:
    document = cassette.parse(path.read_bytes(), str(path))
    found = []
    for node in document.calls:
        url = node["request"]["url"]
        found.append("/" + url.partition("://")[2].partition("/")[2])
    return found


WAYS = ("signal", "gc")


def record(
    server: RawServer, folder: Path, road: str, way: str, where: str, seconds: float
) -> None:
    done = Done(server.url, folder, road, way, where, "record", seconds)
    found = in_cassette(folder / "calls.json") if where == "cassette" else recorded(folder / "root")
    assert Counter(found) == Counter(done.made)
    assert done.amid > 10


def replay(
    server: RawServer, folder: Path, road: str, way: str, where: str, mode: str, seconds: float
) -> None:
    Done(server.url, folder, road, way, where, "record", 0)
    hits = server.hits
    done = Done(server.url, folder, road, way, where, mode, seconds)
    if mode == "replay":
        # What goes beyond the recording, auto fetches.
        assert server.hits == hits
    assert done.amid > 10


@pytest.mark.parametrize(
    ("road", "where", "way"),
    crossed(
        [
            ("hook", "root"),
            ("mounted", "root"),
            ("http.client", "root"),
            ("mixed", "watch"),
            ("mixed", "cassette"),
            ("request", "root"),
        ],
        WAYS,
    ),
)
def test_each_call_is_recorded(
    road: str, where: str, way: str, server: RawServer, tmp_path: Path
) -> None:
    record(server, tmp_path, road, way, where, SECONDS)


@pytest.mark.parametrize(
    ("road", "where", "mode", "way"),
    crossed(
        [
            ("hook", "root", "replay"),
            ("mounted", "root", "replay"),
            ("http.client", "watch", "replay"),
            ("mixed", "cassette", "replay"),
            ("mixed", "root", "auto"),
        ],
        WAYS,
    ),
)
def test_each_call_is_answered(
    road: str, where: str, mode: str, way: str, server: RawServer, tmp_path: Path
) -> None:
    replay(server, tmp_path, road, way, where, mode, SECONDS)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", ["root", "watch", "cassette"])
@pytest.mark.parametrize("road", ["hook", "mounted", "http.client", "mixed", "request"])
def test_for_long(road: str, where: str, way: str, server: RawServer, tmp_path: Path) -> None:
    record(server, tmp_path, road, way, where, LONG)


AT_ONCE = """
    import signal, sys, time
    import urllib3

    url, made, busy = sys.argv[1], [0], [False]

    def amidst(*_):
        if not busy[0]:
            busy[0] = True
            try:
                made[0] += urllib3.PoolManager().request("GET", url + "/amid").data == b"/amid"
            finally:
                busy[0] = False

    signal.signal(signal.SIGALRM, amidst)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    while made[0] < 20:
        sum(range(1000))
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(made[0])
    """


def test_while_a_session_begins_by_itself(server: RawServer, tmp_path: Path) -> None:
    """The first call of all begins the session, and the next signal comes amid that."""
    programs = Programs(tmp_path)
    # By the main program, whose handler interrupts it.
    first = AT_ONCE.replace(
        "while made", "urllib3.PoolManager().request('GET', url)\n    while made"
    )
    programs.write("first.py", first)
    for options, hits in (("", 21), ("--mode replay", 0)):
        before = server.hits
        done = programs.run("first.py", server.url, options=options)
        assert (done.status, done.said) == (0, "")
        assert done.summary["calls"] == int(done.out) + 1
        assert server.hits - before == (int(done.out) + 1 if hits else 0)


class AlarmError(Exception):
    """What the program's handler raises."""


@pytest.mark.filterwarnings("ignore::mxm_dataio.DataIOWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_raises(server: RawServer, tmp_path: Path) -> None:
    """As a timeout by ``signal.alarm`` does, at any point of a call and its recording."""
    made: list[str] = []
    points: list[str] = []
    swallowed: list[str] = []

    def handle(_number: int, frame: FrameType | None) -> None:
        name = frame.f_globals.get("__name__", "") if frame else ""
        # Elsewhere it breaks the library's own locks, with us and without.
        if name.startswith("mxm_dataio"):
            points.append(name)
            raise AlarmError

    was = signal.signal(signal.SIGALRM, handle)
    try:
        with IngestSession("x", tmp_path), urllib3.PoolManager() as pool:
            end = time.monotonic() + SECONDS * 6
            while time.monotonic() < end or len(points) <= 20:
                path = f"/c/{len(points)}-{len(made)}"
                before = len(points)
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0003 + len(points) % 53 * 0.00005)
                    got = pool.request("GET", server.url + path, retries=False).data
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    assert got == path.encode()
                    made.append(path)
                except AlarmError:
                    pass
                else:
                    swallowed += points[before:]
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            pool.request("GET", server.url + "/last")
    finally:
        signal.signal(signal.SIGALRM, was)
    assert len(points) > 20
    # (In a finalizer it is lost to everybody.)
    assert len(swallowed) <= len(points) // 20, swallowed
    with RecordingStore(tmp_path) as store:
        (session,) = store.sessions()
        each = [
            one.request.endpoint.removeprefix(server.url) for one in store.exchanges(session.id)
        ]
    assert len(each) == len(set(each))
    assert {*made, "/last"} <= set(each)


# Under which a thread waits for itself, if it is interrupted. With a reason each.
_PLAIN_LOCKS = {
    # Of a push's threads, which no call of a program's waits for.
    "archive/transfer.py": 1,
    # Of commands, by whose handlers the process ends.
    "concurrency/background.py": 1,
    # Entered with the program's handlers put off, and no garbage collected.
    "run/startup.py": 2,
}


_MAKERS = ("Lock", "allocate_lock", "Event", "Condition", "BoundedSemaphore", "Barrier")


def test_no_other_lock_makes_its_own_thread_wait() -> None:
    found: Counter[str] = Counter()
    package = Path(mxm_dataio.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _MAKERS:
                found[str(path.relative_to(package))] += 1
    assert dict(found) == _PLAIN_LOCKS
