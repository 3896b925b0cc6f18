"""What happened: which calls were made, what answered each, and which recorded ones did not."""

from __future__ import annotations

import http.client
import os
import threading
import tracemalloc
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    IngestSession,
    LeftOutError,
    ReplayMissError,
    mount,
    register,
    use_cassette,
)
from mxm_dataio.ingest.calls import Calls
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.redaction.secrets import Secrets
from mxm_dataio.registry import unregister
from tests.support.servers import RawServer, answer, responder

ROUTES = {
    "/a": answer(200, b"a"),
    "/b": answer(404, b"b"),
    "/c": answer(200, b"c", headers=[("ETag", '"1"'), ("Cache-Control", "max-age=0")]),
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder(ROUTES)) as server:
        yield server


def opened(tmp_path: Path, kind: str, mode: str, **options: Any) -> Any:
    if kind == "root":
        return IngestSession("s", tmp_path / "root", mode, stdlib=True, **options)
    return use_cassette(tmp_path / "c.json", mode, **options)


def by_requests(url: str) -> object:
    return requests.get(url).content


def by_urllib3(url: str) -> object:
    with urllib3.PoolManager() as pool:
        return pool.request("GET", url).data


def by_stdlib(url: str) -> object:
    connection = http.client.HTTPConnection(url.split("/")[2])
    connection.request("GET", "/" + url.split("/", 3)[3])
    found = connection.getresponse().read()
    connection.close()
    return found


WAYS = [by_requests, by_urllib3, by_stdlib]
KINDS = ["root", "cassette"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_each_call_tells_what_was_asked_and_what_answered(
    server: RawServer, tmp_path: Path, kind: str, way: Callable[[str], object]
) -> None:
    urls = [f"{server.url}/a?token=kZ81xq02Vw93Lm", f"{server.url}/b", f"{server.url}/b"]
    with opened(tmp_path, kind, "record") as ingest:
        for url in urls:
            way(url)
        first = list(ingest.calls)
    assert [one.answered for one in first] == ["recorded"] * 3
    assert [one.status_code for one in first] == [200, 404, 404]
    assert [one.attempts for one in first] == [1, 1, 1]
    assert first[0].url == f"{server.url}/a?token=REDACTED"
    assert len({one.recorded for one in first}) == 3
    assert ingest.play_count == 0
    assert ingest.all_played
    with opened(tmp_path, kind, "replay") as ingest:
        way(urls[0])
        assert not ingest.all_played
        assert [one.url for one in ingest.unused] == [urls[1]] * 2
        way(urls[1])
        assert len(ingest.unused) == 1
        way(urls[2])
        assert ingest.all_played
        way(urls[2])
        again = list(ingest.calls)
    # And as well when it is over.
    assert (ingest.all_played, ingest.unused, ingest.play_count) == (True, [], 4)
    assert [one.answered for one in again] == ["replayed"] * 4
    assert [one.status_code for one in again] == [200, 404, 404, 404]
    assert [one.params_hash for one in again[:3]] == [one.params_hash for one in first]
    assert "kZ81" not in repr(ingest.calls)
    assert sorted(ingest.play_counts.values()) == [1, 1, 2]
    assert again[3].recorded == again[2].recorded
    if kind == "root":
        assert [one.recorded for one in again[:3]] == [one.recorded for one in first]


@pytest.mark.parametrize("kind", KINDS)
def test_what_replay_missed_is_among_them(server: RawServer, tmp_path: Path, kind: str) -> None:
    with opened(tmp_path, kind, "record"):
        requests.get(f"{server.url}/a")
    ingest = opened(tmp_path, kind, "replay")
    with pytest.raises(ReplayMissError), ingest as ingest:
        requests.get(f"{server.url}/b?token=kZ81xq02Vw93Lm")
    (missed,) = ingest.calls
    assert (missed.answered, missed.recorded, missed.status_code) == ("missed", "", None)
    assert missed.params_hash == ingest.misses[0].params_hash
    assert str(missed) == f"GET {server.url}/b?token=REDACTED missed (missed)"
    assert (ingest.play_count, len(ingest.unused)) == (0, 1)


def test_auto_tells_what_it_served_and_what_it_fetched(server: RawServer, tmp_path: Path) -> None:
    def run(**options: Any) -> list[str]:
        with opened(tmp_path, "root", "auto", **options) as ingest:
            for path in ("a", "c"):
                requests.get(f"{server.url}/{path}")
        plays = [one.answered for one in ingest.calls]
        assert ingest.play_count == sum(one != "recorded" for one in plays)
        return plays

    assert run() == ["recorded", "recorded"]
    assert run() == ["replayed", "replayed"]
    assert run(ttl=0) == ["recorded", "recorded"]


def test_a_confirmed_answer_is_told_as_one(tmp_path: Path) -> None:
    def handle(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            fresh = request.header("If-None-Match") == '"1"'
            connection.send(
                answer(304, headers=[("ETag", '"1"')])
                if fresh
                else answer(200, b"c", headers=[("ETag", '"1"')])
            )

    with RawServer(handle) as server:
        with opened(tmp_path, "root", "record") as first:
            requests.get(f"{server.url}/c")
        with opened(tmp_path, "root", "auto", ttl=0) as ingest:
            assert requests.get(f"{server.url}/c").content == b"c"
    (one,) = ingest.calls
    assert (one.answered, one.recorded) == ("revalidated", first.calls[0].recorded)
    assert (one.status_code, one.attempts) == (200, 1)
    assert ingest.play_counts == {one.recorded: 1}
    # The session that it makes is replayed whole.
    with opened(tmp_path, "root", "replay") as ingest:
        requests.get(f"{server.url}/c")
        assert ingest.all_played


def test_a_retry_is_an_attempt_and_a_redirect_of_requests_a_call(tmp_path: Path) -> None:
    routes = {
        "/from": answer(302, headers=[("Location", "/a")]),
        "/a": answer(200, b"a"),
        "/busy": [answer(503), answer(200, b"then")],
    }

    def handle(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            found = routes[request.path]
            connection.send(found.pop(0) if isinstance(found, list) else found)

    with RawServer(handle) as server:
        for mode in ("record", "replay"):
            with opened(tmp_path, "root", mode) as ingest:
                requests.get(f"{server.url}/from")
                retry = urllib3.Retry(status=1, status_forcelist=[503], backoff_factor=0)
                with urllib3.PoolManager(retries=retry) as pool:
                    pool.request("GET", f"{server.url}/busy")
            assert [(one.status_code, one.attempts) for one in ingest.calls] == [
                (302, 1), (200, 1), (200, 2),
            ]  # fmt: skip


def test_a_failure_is_told_without_a_status(tmp_path: Path) -> None:
    for mode in ("record", "replay"):
        with opened(tmp_path, "root", mode) as ingest:
            with pytest.raises(requests.ConnectionError):
                requests.get("http://127.0.0.1:1/", timeout=5)
            (one,) = ingest.calls
        assert one.status_code is None
        assert str(one).startswith("GET http://127.0.0.1:1/ no answer (re")


def test_what_could_not_be_stored_is_told(server: RawServer, tmp_path: Path) -> None:
    def rule(place: str, name: str, value: str) -> str:
        raise ValueError(name)

    redaction = DEFAULT.adding(rule)
    ingest = opened(tmp_path, "root", "record", redaction=redaction)
    with pytest.warns(UserWarning, match="was not recorded"), ingest:
        requests.get(f"{server.url}/a?q=kZ81xq02Vw93Lm")
    (one,) = ingest.calls
    assert (one.answered, one.recorded, one.params_hash) == ("not recorded", "", "")
    assert "kZ81" not in one.url


def test_other_sources_and_fetchers_are_told_too(server: RawServer, tmp_path: Path) -> None:
    class Share:
        def fetch(self, request: object) -> bytes:
            return b"x"

    register("share", Share())
    try:
        for mode in ("record", "replay"):
            with IngestSession("share", tmp_path, mode, sources={"127.0.0.1": "web"}) as ingest:
                ingest.request("e")
                requests.get(f"{server.url}/a")
                assert [one.source for one in ingest.calls] == ["share", "web"]
                assert ingest.all_played
    finally:
        unregister("share")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_is_told_as_that(server: RawServer, tmp_path: Path, kind: str) -> None:
    other = server.url.replace("127.0.0.1", "localhost")
    options = {"ignore_hosts": ["localhost"]}
    for mode in ("record", "replay"):
        with opened(tmp_path, kind, mode, **options) as ingest:
            requests.get(f"{server.url}/a")
            try:
                requests.get(f"{other}/b?token=kZ81xq02Vw93Lm")
            except LeftOutError:
                assert mode == "replay"
        first, left = ingest.calls
        assert first.answered == ("recorded" if mode == "record" else "replayed")
        assert (left.answered, left.url, left.recorded) == ("left out", f"{other}/b", "")
        assert ingest.all_played


def test_off_tells_nothing(server: RawServer, tmp_path: Path) -> None:
    with opened(tmp_path, "root", "off") as ingest:
        requests.get(f"{server.url}/a")
    assert (list(ingest.calls), ingest.unused, ingest.play_counts) == ([], [], {})


def test_a_mounted_session_is_told_of(server: RawServer, tmp_path: Path) -> None:
    for mode in ("record", "replay"):
        ingest = opened(tmp_path, "root", mode, hook=False)
        with ingest, requests.Session() as session, mount(session, ingest):
            session.get(f"{server.url}/a")
            requests.get(f"{server.url}/b")
        assert [one.url for one in ingest.calls] == [f"{server.url}/a"]


@pytest.mark.parametrize("kind", KINDS)
def test_threads_lose_none(server: RawServer, tmp_path: Path, kind: str) -> None:
    def make() -> None:
        for n in range(10):
            requests.get(f"{server.url}/a?n={n}")

    for mode in ("record", "replay"):
        with opened(tmp_path, kind, mode) as ingest:
            threads = [threading.Thread(target=make) for _ in range(4)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                assert all(one.status_code == 200 for one in ingest.calls)
            for thread in threads:
                thread.join()
            assert len(ingest.calls) == ingest.calls.total == 40
            if mode == "replay":
                assert ingest.play_count == 40
                assert ingest.all_played


def test_a_forked_child_tells_of_its_own(server: RawServer, tmp_path: Path) -> None:
    with opened(tmp_path, "root", "record"):
        requests.get(f"{server.url}/a")
        requests.get(f"{server.url}/b")
    with opened(tmp_path, "root", "replay") as ingest:
        requests.get(f"{server.url}/a")
        if not (child := os.fork()):
            try:
                requests.get(f"{server.url}/b")
                os._exit(0 if [one.url[-1] for one in ingest.calls] == ["b"] else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert [one.url[-1] for one in ingest.calls] == ["a"]


# -- unused, over the sessions of a root -------------------------------------------------------


def test_only_what_could_answer_counts_as_unused(server: RawServer, tmp_path: Path) -> None:
    with opened(tmp_path, "root", "record"):
        for path in ("a", "b", "c"):
            requests.get(f"{server.url}/{path}")
    with opened(tmp_path, "root", "record"):
        requests.get(f"{server.url}/a")
    with opened(tmp_path, "root", "replay") as ingest:
        assert [one.url[-1] for one in ingest.unused] == ["a"]
        requests.get(f"{server.url}/b")
        assert [one.url[-1] for one in ingest.unused] == ["c"]
        requests.get(f"{server.url}/a")
        requests.get(f"{server.url}/c")
        assert ingest.all_played


def test_a_pinned_session_is_the_one_that_counts(server: RawServer, tmp_path: Path) -> None:
    with opened(tmp_path, "root", "record") as first:
        requests.get(f"{server.url}/a")
        requests.get(f"{server.url}/b")
    with opened(tmp_path, "root", "record"):
        requests.get(f"{server.url}/a")
    with opened(tmp_path, "root", "replay", session=first.id) as ingest:
        assert len(ingest.unused) == 2
        requests.get(f"{server.url}/b")
        assert [one.url[-1] for one in ingest.unused] == ["a"]


def test_a_forgotten_call_is_not_to_be_played(server: RawServer, tmp_path: Path) -> None:
    from mxm_dataio import Store

    with opened(tmp_path, "root", "record") as first:
        requests.get(f"{server.url}/a")
        requests.get(f"{server.url}/b")
    with Store(tmp_path / "root", readonly=False) as store:
        assert store.forget(first.calls[0].recorded)
    with opened(tmp_path, "root", "replay") as ingest:
        requests.get(f"{server.url}/b")
        assert ingest.all_played


# -- as a list --------------------------------------------------------------------------------


def test_it_is_a_list_of_bounded_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mxm_dataio.ingest.calls._HELD", 100)
    secrets = Secrets(DEFAULT)
    calls = Calls(lambda _: secrets)
    for n in range(250):
        calls.note("s", "GET", f"http://a.test/{n}", "left out")
    assert (len(calls), calls.total) == (100, 250)
    assert (calls[0].url[-3:], calls[-1].url[-3:]) == ("150", "249")
    assert [one.url[-3:] for one in calls[-2:]] == ["248", "249"]
    assert calls[-1] in calls
    with pytest.raises(IndexError):
        calls[100]
    shown = repr(calls).splitlines()
    assert (shown[0], shown[1], len(shown)) == ("<250 calls>", "… 230 before", 22)
    assert shown[-1] == "GET http://a.test/249 no answer (left out)"


def test_a_call_that_is_noted_takes_little() -> None:
    secrets = Secrets(DEFAULT)
    calls = Calls(lambda _: secrets)
    tracemalloc.start()
    try:
        for n in range(2000):
            text = f"{n:064d}"
            url = f"http://api.example.test/prices/daily?symbol={n:06d}"
            calls.note("s", "GET", url, "recorded", text, text[:36], 1, 200)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / 2000 < 600


def test_urllib_is_told_of(server: RawServer, tmp_path: Path) -> None:
    for mode in ("record", "replay"):
        with opened(tmp_path, "root", mode) as ingest:
            urllib.request.urlopen(f"{server.url}/a").read()
        assert [one.status_code for one in ingest.calls] == [200]
