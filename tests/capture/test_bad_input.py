"""What goes wrong is said clearly, disturbs no call of the program, and loses nothing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    DataIOWarning,
    IngestSession,
    IntegrityError,
    Status,
    StoreError,
    mount,
)
from mxm_dataio.api import capture_of
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT, prepared
from tests.support.servers import RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/": answer(200, b"hello"),
        "/big": answer(200, b"0123456789abcdef" * 65_536),
    }
    with RawServer(responder(routes)) as running:
        yield running


def run(script: str, *args: object) -> subprocess.CompletedProcess[str]:
    return prepared.run(["-c", textwrap.dedent(script), *args], CHECKOUT)


def unusable(tmp_path: Path) -> Path:
    """A root that no one can make, not even the superuser: below a file."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "root"


def test_unusable_root_warns_and_the_calls_go_through(server: RawServer, tmp_path: Path) -> None:
    with pytest.warns(DataIOWarning, match=r"root .* can't be made.*incomplete"):
        ingest = IngestSession("s", unusable(tmp_path)).open()
    assert requests.get(server.url).content == b"hello"
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", f"{server.url}/big").status == 200
    response = ingest.request(server.url)
    assert ingest.content(response) == b"hello"
    assert response.bytes_path is None
    ingest.close()
    assert ingest.session.status is Status.INCOMPLETE
    assert len(ingest.session.warnings) == 4


def test_unusable_root_raises_when_strict(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be made"):
        IngestSession("s", unusable(tmp_path), strict=True).open()


def test_unusable_root_raises_in_replay(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is recorded"):
        IngestSession("s", unusable(tmp_path), "replay").open()


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("limit", [100_000, 400_000])
def test_a_full_disk(strict: bool, limit: int, server: RawServer, tmp_path: Path) -> None:
    # A limit on file size refuses writes as a full disk does, in a real process: of the payload
    # once it leaves memory, or as it is put in its place.
    done = run(
        """
        import resource, signal, sys, requests
        from mxm_dataio import IngestSession, StoreError
        url, root, strict, limit = sys.argv[1], sys.argv[2], sys.argv[3] == "True", int(sys.argv[4])
        with IngestSession("s", root, strict=strict) as ingest:
            requests.get(url)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                print(len(requests.get(url + "/big").content))
            except StoreError as exc:
                print("StoreError", exc)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            print(len(requests.get(url + "/?again").content))
        print(ingest.session.status)
        """,
        server.url, tmp_path, strict, limit,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if strict:
        assert lines[0].startswith("StoreError")
    else:
        assert lines[0] == "1048576", done.stderr
        assert "DataIOWarning" in done.stderr
    assert "was not recorded" in (lines[0] if strict else done.stderr)
    assert lines[1:] == ["5", "incomplete"]
    with RecordingStore(tmp_path) as store:
        (session,) = store.sessions()
        assert session.status is Status.INCOMPLETE
        assert session.warnings
        assert [r.url[-6:] for r in store.requests(session.id)] == [server.url[-5:] + "/", "?again"]
    assert not [p for p in (tmp_path / "responses").iterdir() if p.suffix != ".bin"]


@pytest.mark.parametrize("damage", ["missing", "changed", "shorter", "linked"])
def test_a_damaged_payload_is_never_served(damage: str, server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path) as ingest:
        response = ingest.request(server.url)
    path = response.bytes_path
    assert path is not None
    if damage == "missing":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(b"hellO")
    elif damage == "shorter":
        path.write_bytes(b"hell")
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    hits = server.hits
    with IngestSession("s", tmp_path, "replay") as ingest:
        for work in (
            lambda: requests.get(server.url),
            lambda: urllib3.PoolManager().request("GET", server.url),
            lambda: ingest.request(server.url),
        ):
            with pytest.raises(IntegrityError) as caught:
                work()
            assert caught.value.path == path
            assert str(path) in str(caught.value)
    assert server.hits == hits
    # Recording the call again heals it.
    with IngestSession("s", tmp_path):
        requests.get(server.url)
    with IngestSession("s", tmp_path, "replay"):
        assert requests.get(server.url).content == b"hello"


@pytest.mark.parametrize("mode", ["record", "replay", "auto"])
def test_a_foreign_database_is_left_alone(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "dataio.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    before = path.read_bytes()
    with pytest.raises(IntegrityError, match="another program"):
        IngestSession("s", tmp_path, mode).open()
    assert path.read_bytes() == before


def test_a_database_that_breaks_amid_the_session(server: RawServer, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with IngestSession("s", tmp_path) as ingest:
            assert requests.get(server.url).content == b"hello"
            assert capture_of(ingest).store is not None
            capture_of(ingest).store.catalog.database._db.execute("DROP TABLE responses")
            for _ in range(3):
                assert requests.get(server.url).content == b"hello"
    told = [w for w in caught if issubclass(w.category, DataIOWarning)]
    assert len(told) == 1, "one warning, not one a call"
    assert "3 recorded calls wait in" in str(told[0].message)
    assert ingest.session.status is Status.INCOMPLETE
    assert len(list((tmp_path / "journal").iterdir())) == 1, "nothing recorded is lost"


def test_whatever_is_odd_about_a_call_goes_to_the_program(
    server: RawServer, tmp_path: Path
) -> None:
    """Mistakes of the program's own raise as they do without us, and are on record."""
    url = "http://127.0.0.1:1/"
    with IngestSession("s", tmp_path):
        with pytest.raises(requests.exceptions.InvalidHeader):
            requests.get(url, headers={"X": "a\nb"})
        with urllib3.PoolManager() as pool:
            with pytest.raises(ValueError, match="Method cannot contain"):
                pool.request("GE T\n", url)
            with pytest.raises(urllib3.exceptions.LocationParseError):
                pool.request("GET", "http://[bad/")
            with pytest.raises(TypeError):
                pool.urlopen("POST", server.url, body=12345, retries=False)


@pytest.mark.parametrize("mounted", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1:-1", "127.0.0.1:99999", "u:secret@127.0.0.1:x"])
def test_a_url_with_an_unusable_port_is_refused_by_requests(
    host: str, mounted: bool, tmp_path: Path
) -> None:
    """As in a redirect to one: requests 2.28 on urllib3 1.26.0 follows it that far."""
    prepared = requests.Request("GET", "http://127.0.0.1/").prepare()
    prepared.url = f"http://{host}/"
    with requests.Session() as plain, pytest.raises(requests.exceptions.InvalidURL) as without:
        plain.send(prepared)
    with IngestSession("s", tmp_path, hook=not mounted) as ingest, requests.Session() as session:
        if mounted:
            mount(session, ingest)
        with pytest.raises(requests.exceptions.InvalidURL) as within:
            session.send(prepared)
    assert str(within.value) == str(without.value)
    assert ingest.session.status is Status.COMPLETE
    with RecordingStore(tmp_path) as store:
        calls = list(store.requests(ingest.session.id))
    # The hook is at urllib3's pool, and no pool was made.
    assert [call.status for call in calls] == [Status.FAILED] * mounted
    assert b"secret" not in (tmp_path / "dataio.sqlite").read_bytes()


def test_keyboard_interrupt_is_on_record_and_not_replayed(tmp_path: Path) -> None:
    go = threading.Event()

    def interrupted(_request: Any) -> bytes:
        process.send_signal(signal.SIGINT)
        go.wait(5)
        return answer(200, b"late")

    script = """
        import sys, requests
        from mxm_dataio import IngestSession
        with IngestSession("s", sys.argv[2]):
            requests.get(sys.argv[1])
        """
    with RawServer(responder({"/": interrupted})) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), server.url, tmp_path],
            stderr=subprocess.PIPE,
            cwd=CHECKOUT,
        )
        _, err = process.communicate(timeout=30)
        go.set()
    assert err.rstrip().endswith(b"KeyboardInterrupt")
    with RecordingStore(tmp_path) as store:
        (request,) = store.requests(store.sessions()[0].id)
    assert request.status is Status.INTERRUPTED
    with IngestSession("s", tmp_path, "replay") as ingest:
        with pytest.raises(Exception, match="is not recorded"):
            requests.get(server.url)
        ingest.misses.clear()


def test_a_read_exchange_survives_kill_9(server: RawServer, tmp_path: Path) -> None:
    done = run(
        """
        import os, signal, sys, requests
        from mxm_dataio import IngestSession
        IngestSession("s", sys.argv[2]).open()
        for number in range(20):
            requests.get(f"{sys.argv[1]}/?n={number}")
        response = requests.get(sys.argv[1] + "/big", stream=True)
        while response.raw.read(4096):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        server.url, tmp_path,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    with RecordingStore(tmp_path) as store:
        (session,) = store.sessions()
        exchanges = list(store.exchanges(session.id))
        assert session.status is Status.INTERRUPTED
        assert len(exchanges) == 21
        for exchange in exchanges:
            assert exchange.request.status is Status.COMPLETE
            with store.open(exchange.responses[0]) as file:
                assert len(file.read()) in (5, 1 << 20)
    with IngestSession("s", tmp_path, "replay"):
        assert len(requests.get(f"{server.url}/big").content) == 1 << 20


def test_several_processes_on_one_root(server: RawServer, tmp_path: Path) -> None:
    script = """
        import sys, requests
        from concurrent.futures import ThreadPoolExecutor
        from mxm_dataio import IngestSession
        url, root, name = sys.argv[1:]
        with IngestSession("s", root) as ingest, ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda n: requests.get(f"{url}/?p={name}&n={n}"), range(25)))
        print(ingest.session.status)
        """
    script = textwrap.dedent(script)
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error::UserWarning",
                "-c",
                script,
                server.url,
                tmp_path,
                str(n),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        for n in range(4)
    ]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert out == "complete\n", err
    with RecordingStore(tmp_path) as store:
        sessions = store.sessions()
        urls = [r.url for s in sessions for r in store.requests(s.id)]
    assert len(sessions) == 4
    assert len(urls) == len(set(urls)) == 100
