"""Replay from an archive gives what replay from a root gives that has all of it."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import ConfigError, IngestSession, IntegrityError, ReplayMissError
from mxm_dataio.archive import Archive, session_object, tombstone
from mxm_dataio.archive.names import SessionName
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.config.archive_urls import root_of
from mxm_dataio.errors import StoreError
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import rounds
from tests.support.servers import RawServer, Request, answer

from .archives import names, objects
from .test_pull import run

Call = tuple[str, str, dict[str, str]]
DAYS = ["2025-01-01", "2025-01-31", "2025-02-01", "2025-02-01T12:00:00.000000Z", "2025-04-01"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have what is kept of archives in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[RawServer]:
    """Run a server of which no answer is like another."""
    count = itertools.count()

    def handle(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            connection.send(answered(request, next(count)))

    with RawServer(handle) as found:
        yield found


def answered(request: Request, number: int) -> bytes:
    """Return an answer of the kind that a path says."""
    body = f"answer {number} to {request.path}".encode()
    kind = request.path.strip("/").partition("/")[0].partition("?")[0]
    headers = [("X-Number", str(number))]
    if kind == "vary":
        headers.append(("Vary", "X-Lang" if number % 3 else "X-Lang, X-Other"))
    if kind == "large":
        body *= 5000
    if kind == "moved":
        headers.append(("Location", f"/a?from={number % 3}"))
        return answer(302, body, headers=headers)
    return answer({"wrong": 500, "gone": 404}.get(kind, 200), body, headers=headers)


def done(url: str, calls: Sequence[Call]) -> list[object]:
    """Make calls, and return all that a program sees of each."""
    found: list[object] = []
    with requests.Session() as session:
        for method, path, headers in calls:
            try:
                got = session.request(method, url + path, headers=headers, timeout=10)
            except ReplayMissError:
                found.append("missed")
            except requests.RequestException as exc:
                found.append(type(exc))
            else:
                history = [(one.status_code, one.url, one.content) for one in got.history]
                kept = getattr(got, "bytes_path", None)
                found.append(
                    (got.status_code, got.url, dict(got.headers), got.content, history, kept)
                )
    return found


def replay(root: Path | str, url: str, calls: Sequence[Call], **more: Any) -> list[object]:
    """Replay calls from a root, or an archive; return what the program sees, and how it ended."""
    seen: list[object] = []
    try:
        with IngestSession(source="market", root=root, mode="replay", **more) as ingest:
            seen = done(url, calls)
    except ReplayMissError as exc:
        seen.append(str(exc).partition(" is not recorded in ")[0])
    seen.append((len(ingest.misses), ingest.session.status, ingest.play_counts))
    seen.append(sorted(request.id for request in ingest.unused))
    return seen


def record(root: Path, url: str, calls: Sequence[Call], **more: Any) -> str:
    """Record calls in a session; return its id."""
    with IngestSession(source="market", root=root, **more) as ingest:
        done(url, calls)
    return ingest.id


PATHS = ["/a?from=0", "/a?from=1", "/a?from=2", "/b", "/vary/1", "/vary/2", "/moved", "/wrong",
         "/large", "/keys?api_key=k{}", "/gone"]  # fmt: skip


def some_calls(lot: random.Random, count: int) -> list[Call]:
    """Return calls by lot."""
    found = []
    for _ in range(lot.randrange(count)):
        headers = {"X-Lang": lot.choice(["de", "en"])}
        if lot.random() < 0.3:
            headers["X-Other"] = lot.choice("12")
        path = lot.choice(PATHS).format(lot.choice(["eY3kP0q8Zt7Rw1Xv", "Qp4mB9sL2nVx6Hd5"]))
        found.append(("GET", path, headers))
    return found


@pytest.mark.parametrize("seed", range(rounds(4, 60)))
def test_as_a_root_that_has_all(
    memory: str, tmp_path: Path, server: RawServer, cache: Path, seed: int
) -> None:
    """Whatever is asked in whatever order, whichever of it is there already from before."""
    lot = random.Random(seed)
    for number in range(lot.randrange(2, 12)):
        root = tmp_path / f"root-{lot.randrange(3)}"
        source = lot.choice(["market", "market", "other"])
        try:
            with IngestSession(source=source, root=root, as_of=lot.choice(DAYS)):
                done(server.url, [("GET", "/a?from=0", {}), *some_calls(lot, 12)])
                if lot.random() < 0.2:
                    raise LookupError(number)
        except LookupError:
            pass
    for root in tmp_path.glob("root-*"):
        Archive(memory).push(root)
    Archive(memory).pull(tmp_path / "all")
    for _ in range(6):
        if lot.random() < 0.3:
            shutil.rmtree(cache, ignore_errors=True)
        more = {"as_of": lot.choice([None, *DAYS]), "exhausted": lot.choice(["repeat", "error"])}
        if lot.random() < 0.2:
            more["ignore_params"] = ["from"]
        calls = some_calls(lot, 15)
        assert replay(memory, server.url, calls, **more) == replay(
            tmp_path / "all", server.url, calls, **more
        )


# -- how much comes ------------------------------------------------------------------------------


def kept(url: str) -> set[str]:
    """Return the ids of the sessions that are kept of an archive."""
    with RootStore(root_of(url)) as store:
        return {one.id for one in store.sessions()}


@pytest.fixture
def days(memory: str, tmp_path: Path, server: RawServer) -> list[str]:
    """Push a session of each of some days; return their ids."""
    root = tmp_path / "root"
    found = []
    for day in ("2025-01-01", "2025-01-02", "2025-02-03", "2025-02-04"):
        calls = [("GET", f"/b?day={day}", {}), ("GET", "/b", {}), ("GET", "/large", {})]
        found.append(record(root, server.url, calls, as_of=day))
    with IngestSession(source="other", root=root, as_of="2025-03-01"):
        done(server.url, [("GET", "/b", {})])
    Archive(memory).push(root)
    return found


def test_the_newest_comes_first_and_no_more_than_is_asked_for(
    memory: str, server: RawServer, days: list[str], cache: Path
) -> None:
    asked: list[Call] = [("GET", "/b", {})]
    replay(memory, server.url, asked)
    assert kept(memory) == {days[3]}
    replay(memory, server.url, [*asked, ("GET", "/b?day=2025-02-03", {})])
    assert kept(memory) == {days[3], days[2]}
    shutil.rmtree(cache)
    replay(memory, server.url, asked, as_of="2025-01-02")
    assert kept(memory) == {days[1]}
    # That an older one is here does not make it the newest.
    replay(memory, server.url, asked)
    assert kept(memory) == {days[1], days[3]}
    replay(memory, server.url, [("GET", "/b?day=2025-01-01", {})], as_of="2025-01-02")
    assert kept(memory) == {days[0], days[1], days[3]}


def test_large_bodies_come_as_they_are_served(
    memory: str, server: RawServer, days: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    chunks = ObjectStore.chunks

    def counted(self: ObjectStore, name: str, size: int) -> Iterator[bytes]:
        fetched.append(name)
        return chunks(self, name, size)

    monkeypatch.setattr(ObjectStore, "chunks", counted)
    replay(memory, server.url, [("GET", "/b", {})])
    assert fetched == []
    (large, *_) = replay(memory, server.url, [("GET", "/large", {})])
    assert isinstance(large, tuple)
    assert len(large[3]) > 64 << 10
    assert len(fetched) == 1
    replay(memory, server.url, [("GET", "/large", {})])
    assert len(fetched) == 1


def test_what_is_kept_is_its_owners(
    memory: str, server: RawServer, days: list[str], cache: Path
) -> None:
    replay(memory, server.url, [("GET", "/b", {})])
    for folder in (cache / "mxm-dataio", root_of(memory)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert memory not in str(root_of(memory))
    assert root_of(memory) == root_of(memory + "/")


def test_another_endpoint_is_another_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    one = root_of("s3://bucket/prefix")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:hidden@127.0.0.1:1")
    assert root_of("s3://bucket/prefix") != one
    assert "hidden" not in str(root_of("s3://bucket/prefix"))


# -- one session ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "end", "latest~2"])
def test_one_session(
    memory: str, tmp_path: Path, server: RawServer, days: list[str], name: str
) -> None:
    text = {"id": days[1], "end": days[1][-10:], "latest~2": "latest~2"}[name]
    calls: list[Call] = [("GET", "/b", {}), ("GET", "/large", {}), ("GET", "/b?day=2025-01-01", {})]
    found = replay(memory, server.url, calls, session=text)
    assert found == replay(tmp_path / "root", server.url, calls, session=text)
    assert kept(memory) == {days[1]}


def test_a_session_that_is_not_there(memory: str, server: RawServer, days: list[str]) -> None:
    with pytest.raises(ConfigError, match="no session nothing is in the archive"):
        replay(memory, server.url, [], session="nothing")


def test_answers_that_were_served_from_other_sessions(
    memory: str, tmp_path: Path, server: RawServer
) -> None:
    """A call that a stored answer had answered leads to the session which holds that."""
    root = tmp_path / "root"
    calls: list[Call] = [("GET", "/b", {}), ("GET", "/large", {})]
    first = record(root, server.url, calls, as_of="2025-01-01")
    for day in ("2025-01-02", "2025-01-03"):
        last = record(root, server.url, calls, as_of=day, mode="auto")
    Archive(memory).push(root)
    assert replay(memory, server.url, calls) == replay(root, server.url, calls)
    assert kept(memory) >= {first, last}


def test_a_call_by_its_id(memory: str, tmp_path: Path, days: list[str], cache: Path) -> None:
    root = tmp_path / "root"
    with RootStore(root) as store:
        calls = {one.id: day for day in days for one in store.requests(day)}
    for id, day in list(calls.items())[::2]:
        shutil.rmtree(cache, ignore_errors=True)
        assert run("show", id, "--raw", "--root", memory) == run(
            "show", id, "--raw", "--root", root
        )
        assert kept(memory) == {day}


# -- what is not to be had -----------------------------------------------------------------------


def miss(memory: str, server: RawServer, source: str, as_of: str | None = None) -> str:
    """Return what the error of a call says that is nowhere recorded."""
    with (
        pytest.raises(ReplayMissError) as raised,
        IngestSession(source=source, root=memory, mode="replay", as_of=as_of) as ingest,
    ):
        requests.get(f"{server.url}/none", timeout=10)
    assert len(ingest.misses) == 1
    return str(raised.value)


def test_a_miss_says_what_was_asked(memory: str, server: RawServer, days: list[str]) -> None:
    hits = server.hits
    where = f"in source 'market' in the archive {memory}, in "
    assert f"{where}4 sessions that have calls of it (" in miss(memory, server, "market")
    assert f"{where}1 session that has calls of it; 3 sessions of a later as-of left out (" in miss(
        memory, server, "market", "2025-01-01"
    )
    nowhere = miss(memory, server, "nobody")
    assert "in 0 sessions that" in nowhere
    record = "record to a folder (mode='record', root='DIR') and push what has ended"
    assert f"{record}: mxm-dataio push {memory} --root DIR" in nowhere
    assert server.hits == hits


def test_an_archive_that_can_not_be_reached(
    memory: str, server: RawServer, days: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A miss says so, and none is swallowed: what is kept here may not be the newest."""
    calls: list[Call] = [("GET", "/b", {})]
    replay(memory, server.url, calls)

    def gone(self: ObjectStore, *_: object) -> Any:
        raise StoreError(f"{self.url} can't be listed: the store can't be reached")

    monkeypatch.setattr(ObjectStore, "get", gone)
    monkeypatch.setattr(ObjectStore, "list", gone)
    assert "could not be asked for all of it" in miss(memory, server, "market")
    session = IngestSession(source="market", root=memory, mode="replay")
    with pytest.raises(ReplayMissError, match="the store can't be reached"), session:
        assert done(server.url, calls) == ["missed"]


@pytest.mark.parametrize("kind", ["exchanges/source=market", "payloads", "sessions"])
@pytest.mark.parametrize("harm", ["flip", "remove"])
def test_what_is_damaged_is_never_served_nor_passed_over(
    memory: str, server: RawServer, days: list[str], kind: str, harm: str
) -> None:
    store = ObjectStore(memory)
    for name in names(memory, kind):
        whole = objects(memory)[name]
        if harm == "flip":
            middle = len(whole) // 2
            store.put(name, whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        elif kind != "sessions":
            store.delete([name])
    calls: list[Call] = [("GET", "/large", {})]
    if harm == "remove" and kind == "sessions":
        return
    with pytest.raises(IntegrityError, match=kind.partition("/")[0]):
        replay(memory, server.url, calls)


def test_what_is_fetched_can_not_be_kept(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="can't be kept in"):
        IngestSession(source="market", root=memory, mode="replay").open()


def test_a_forked_root(memory: str, tmp_path: Path, server: RawServer) -> None:
    root, copy = tmp_path / "root", tmp_path / "copy"
    record(root, server.url, [("GET", "/a", {})], as_of="2025-01-01")
    shutil.copytree(root, copy)
    ids = [record(one, server.url, [("GET", "/a", {})], as_of="2025-01-02") for one in (root, copy)]
    Archive(memory).push(root)
    second = memory + "-second"
    Archive(second).push(copy)
    for name, content in objects(second).items():
        ObjectStore(memory).create(name, content)
    with pytest.raises(IntegrityError) as raised:
        replay(memory, server.url, [("GET", "/a", {})])
    assert all(id in str(raised.value) for id in ids)


def test_what_was_pruned_meanwhile(
    memory: str, tmp_path: Path, server: RawServer, days: list[str]
) -> None:
    calls: list[Call] = [("GET", "/b", {})]
    before = replay(memory, server.url, calls)
    for name, content in objects(memory).items():
        parsed = SessionName.parse(name)
        if parsed is not None and parsed.session == days[3]:
            archived, _ = session_object.read(content, parsed, name)
            said = tombstone.write(archived.session, "2026-02-03T00:00:00.000000Z")
            ObjectStore(memory).put(f"tombstones/{days[3]}.json", said)
    Archive(memory).pull(tmp_path / "all")
    after = replay(memory, server.url, calls)
    assert before != after == replay(tmp_path / "all", server.url, calls)


def test_what_is_not_in_the_archive_any_more(
    memory: str, server: RawServer, days: list[str]
) -> None:
    """It was made anew, say, under the same URL: what is kept of the other answers nothing."""
    calls: list[Call] = [("GET", "/b", {})]
    replay(memory, server.url, calls)
    ObjectStore(memory).delete([name for name in names(memory) if days[3] in name])
    replay(memory, server.url, calls)
    (found, *_) = replay(memory, server.url, calls)
    with IngestSession(source="market", root=memory, mode="replay", session=days[2]):
        assert done(server.url, calls) == [found]


# -- what is not done there ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", [None, "record", "auto", "all", "new_episodes"])
def test_nothing_is_recorded_to_an_archive(memory: str, mode: Any, cache: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"record to a folder, root='DIR', and push .*mode='replay'"
    ):
        IngestSession(source="market", root=memory, mode=mode)
    assert not cache.exists()


@pytest.mark.parametrize("mode", ["once", "none", "off"])
def test_other_words(memory: str, server: RawServer, days: list[str], mode: Any) -> None:
    with IngestSession(source="market", root=memory, mode=mode):
        (found,) = done(server.url, [("GET", "/b", {})])
    assert isinstance(found, tuple)


@pytest.mark.parametrize(
    "url",
    ["s3://me:hidden@bucket/a", "s3://bucket/a?key=hidden", "ftp://me:hidden@host/a", "s3://"],
)
def test_a_url_that_is_none(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        IngestSession(source="market", root=url, mode="replay")
    assert "hidden" not in str(raised.value)
    monkeypatch.setenv("MXM_DATAIO_ROOT", url)
    with pytest.raises(ConfigError) as raised:
        IngestSession(source="market", mode="replay")
    assert "hidden" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_root_is_given_elsewhere(
    memory: str, server: RawServer, days: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[Call] = [("GET", "/b", {})]
    said = replay(memory, server.url, calls)
    monkeypatch.setenv("MXM_DATAIO_ROOT", memory)
    with IngestSession(source="market", mode="replay") as ingest:
        assert done(server.url, calls) == said[:1]
    assert f"root={memory!r}" in repr(ingest)
    monkeypatch.delenv("MXM_DATAIO_ROOT")
    (tmp_path / "settings.toml").write_text(f'root = "{memory}"\nmode = "replay"\n')
    monkeypatch.setenv("MXM_DATAIO_CONFIG", str(tmp_path / "settings.toml"))
    with IngestSession(source="market"):
        assert done(server.url, calls) == said[:1]


# -- programs ------------------------------------------------------------------------------------

PROGRAM = """
import multiprocessing, os, subprocess, sys
import requests
def get(path):
    print(requests.get(os.environ["AT"] + path).text, flush=True)
if __name__ == "__main__":
    get("/one")
    if sys.argv[1:] == ["child"]:
        sys.exit()
    subprocess.run([sys.executable, __file__, "child"], check=True)
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        pool.map(get, ["/two", "/one"])
"""


@pytest.mark.parametrize(
    ("way", "place"), [("spawn", "folder"), ("fork", "folder"), ("spawn", "s3")]
)
def test_a_program_and_its_processes(
    request: pytest.FixtureRequest, tmp_path: Path, server: RawServer, way: str, place: str
) -> None:
    folder = request.getfixturevalue(place)
    script = tmp_path / "scraper.py"
    script.write_text(PROGRAM)
    env = {**os.environ, "AT": server.url}

    def go(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mxm_dataio.run", "--source", "market", *options,
             str(script), way],
            capture_output=True, text=True, env=env, timeout=100, check=False,
        )  # fmt: skip

    recorded = go("--root", str(tmp_path / "root"))
    assert recorded.returncode == 0, recorded.stderr
    Archive(folder).push(tmp_path / "root")
    hits = server.hits
    for root in (tmp_path / "root", folder):
        replayed = go("--root", str(root), "--mode", "replay")
        assert replayed.returncode == 0, replayed.stderr
        assert replayed.stdout == recorded.stdout
    assert server.hits == hits
    refused = go("--root", folder)
    assert refused.returncode == 2
    assert "nothing is recorded to an archive directly" in refused.stderr


AT_ONCE = """
import sys, requests
from mxm_dataio import IngestSession
url, root = sys.argv[1:]
with IngestSession(source="market", root=root, mode="replay"):
    for path in ("/b", "/large", "/b?day=2025-01-01"):
        print(requests.get(url + path).text[:40])
"""


def test_processes_that_fetch_at_once(folder: str, tmp_path: Path, server: RawServer) -> None:
    for day in ("2025-01-01", "2025-01-02", "2025-02-03"):
        calls = [("GET", f"/b?day={day}", {}), ("GET", "/b", {}), ("GET", "/large", {})]
        record(tmp_path / "root", server.url, calls, as_of=day)
    Archive(folder).push(tmp_path / "root")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, server.url, folder],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(5)
    ]  # fmt: skip
    said = [one.communicate(timeout=100) for one in running]
    assert [one.returncode for one in running] == [0] * 5, said
    assert len({out for out, _ in said}) == 1
    assert len(kept(folder)) == 3


def test_a_forked_process_that_would_have_to_ask(
    folder: str, tmp_path: Path, server: RawServer
) -> None:
    """A library with threads of its own does nothing there: that is said, and none waits."""
    record(tmp_path / "root", server.url, [("GET", "/b", {})])
    Archive(folder).push(tmp_path / "root")
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        said = ""
        try:
            Archive(folder).sessions()
        except StoreError as exc:
            said = str(exc)
        finally:
            os.write(writes, said.encode())
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as file:
        assert "forked" in file.read()
    os.waitpid(child, 0)
