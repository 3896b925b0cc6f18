"""What is known as a secret late is masked in what was recorded before, or said."""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError, mount, use_cassette
from mxm_dataio.api import capture_of
from mxm_dataio.errors import DataIOWarning, StoreError
from mxm_dataio.http.tokens import LATE
from mxm_dataio.integrity.verify import verify
from mxm_dataio.replay.lookup import filled
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support import CHECKOUT
from tests.support.servers import RawServer, Request, answer

KEY = "Zk3v9-QmX71_tRw8"
HTML = ("Content-Type", "text/html; charset=utf-8")
Visit = Callable[[requests.Session, str], list[Any]]


def site(key: str, pad: int = 0) -> Callable[[Any], None]:
    def one(request: Request) -> bytes:
        if request.path == "/page":
            page = f"<meta name=csrf content='{key}'>{'.' * pad}".encode()
            return answer(200, page, headers=[HTML, ("X-Page", f"for {key}")])
        if request.path == "/plain":
            return answer(200, b"plain", headers=[HTML])
        good = key.encode() in request.raw
        return answer(200 if good else 403, f"{key if good else 'bad'}".encode(), headers=[HTML])

    def serve(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            connection.send(one(request))

    return serve


def page_first(web: requests.Session, url: str) -> list[Any]:
    """Get a token by a page, and send it in places of no secret, then of one."""
    shown = re.search(r"content='([^']*)'", web.get(f"{url}/page").text)
    assert shown is not None
    key = shown[1]
    return [
        web.post(f"{url}/a", data={"middle": key}).status_code,
        web.post(f"{url}/b", json={"deep": [key, {"middle": key}]}).status_code,
        web.get(f"{url}/c/{key}/d", params={"q": f"it is {key}"}).status_code,
        web.get(f"{url}/e", headers={"X-CSRF-Token": key}).status_code,
        web.get(f"{url}/c/{key}/d", params={"q": f"it is {key}"}).status_code,
    ]


def path_first(web: requests.Session, url: str) -> list[Any]:
    """Send the program's own key in places of no secret, then of one."""
    key = KEY
    found = [
        web.get(f"{url}/v1/{key}/a").status_code,
        web.get(f"{url}/v1/x", params={"q": key, "r": "1"}).status_code,
        web.post(f"{url}/b", json={"deep": [key], "n": 1}, headers={"Accept": "*/*"}).status_code,
        web.post(f"{url}/c", data=f"<a>{key}</a>", headers={"X-Mine": key}).status_code,
        web.get(f"{url}/v1/{key}/a", headers={"X-API-Key": key}).status_code,
    ]
    return [*found, web.get(f"{url}/v1/{key}/a").status_code]


def hook(path: Path, mode: str, visit: Visit, url: str) -> list[Any]:
    with IngestSession("s", path / "root", mode), requests.Session() as web:
        return visit(web, url)


def mounted(path: Path, mode: str, visit: Visit, url: str) -> list[Any]:
    ingest = IngestSession("s", path / "root", mode, hook=False)
    with ingest, requests.Session() as web, mount(web, ingest):
        return visit(web, url)


def taped(path: Path, mode: str, visit: Visit, url: str) -> list[Any]:
    tape = path / "tape.json"
    with use_cassette(tape, "once" if mode == "record" else "none"), requests.Session() as web:
        return visit(web, url)


def record(root: Path, visit: Visit, url: str, mode: str = "record") -> None:
    with IngestSession("s", root, mode), requests.Session() as web:
        visit(web, url)


def leaks(root: Path, value: str = KEY) -> list[str]:
    forms = {value.encode()}
    for before in range(3):
        text = base64.b64encode(bytes(before) + value.encode())
        forms.add(text[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6])
    return [
        path.name
        for path in root.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]


def checked(root: Path) -> None:
    if (root / "root").exists():
        with RootStore(root / "root", readonly=True) as store:
            assert not verify(store).findings


@pytest.mark.parametrize("way", [hook, mounted, taped])
@pytest.mark.parametrize("visit", [page_first, path_first])
@pytest.mark.parametrize("pad", [0, 100_000, 3_000_000])
def test_it_is_masked_and_replays(way: Any, visit: Visit, pad: int, tmp_path: Path) -> None:
    with RawServer(site(KEY, pad)) as server:
        live = way(tmp_path, "record", visit, server.url)
        hits = server.hits
        assert leaks(tmp_path) == []
        checked(tmp_path)
        assert way(tmp_path, "replay", visit, server.url) == live
        assert server.hits == hits
    assert set(live) == {200}


@pytest.mark.parametrize("visit", [page_first, path_first])
def test_a_cassette_does_not_grow(visit: Visit, tmp_path: Path) -> None:
    tape = tmp_path / "tape.json"
    texts = []
    with RawServer(site(KEY)) as server:
        for mode in ("new_episodes", "new_episodes", "rewrite", "none"):
            with use_cassette(tape, mode), requests.Session() as web:
                assert set(visit(web, server.url)) == {200}
            texts.append(tape.read_text())
    assert len(set(texts)) == 1
    assert KEY not in texts[0]


@pytest.mark.parametrize("way", [hook, taped])
def test_masked_late_and_in_time_they_keep_their_order(way: Any, tmp_path: Path) -> None:
    count = itertools.count()

    def serve(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            text = f"<b id={KEY}>" if request.path == "/page" else f"{next(count)}"
            connection.send(answer(200, text.encode(), headers=[HTML]))

    def visit(web: requests.Session, url: str) -> list[Any]:
        key = web.get(f"{url}/page").text[6:-1]
        told = [web.get(f"{url}/c/{key}").text for _ in range(2)]
        told.append(web.get(f"{url}/e", headers={"X-CSRF-Token": key}).text)
        return [*told, *(web.get(f"{url}/c/{key}").text for _ in range(2))]

    with RawServer(serve) as server:
        live = way(tmp_path, "record", visit, server.url)
        assert live == ["0", "1", "2", "3", "4"]
        assert way(tmp_path, "replay", visit, server.url) == live
    assert leaks(tmp_path) == []


def store_page_first(root: Path, url: str) -> IngestSession:
    """Record a page, have it moved to its place, and only then send its token as one."""
    with IngestSession("s", root) as ingest, requests.Session() as web:
        web.get(f"{url}/page")
        web.get(f"{url}/v1/{KEY}/a")
        assert capture_of(ingest).store is not None
        assert len(list(capture_of(ingest).store.exchanges(ingest.id))) == 2
        web.get(f"{url}/e", headers={"X-CSRF-Token": KEY})
    return ingest


@pytest.mark.parametrize("pad", [0, 100_000])
def test_what_was_in_its_place_is_said(pad: int, tmp_path: Path) -> None:
    known = "became known as a secret later"
    with RawServer(site(KEY, pad)) as server, pytest.warns(DataIOWarning, match=known) as caught:
        ingest = store_page_first(tmp_path, server.url)
    (said,) = [str(one.message) for one in caught]
    with RootStore(tmp_path, readonly=True) as store:
        (session,) = store.sessions()
        calls = list(store.exchanges(session.id))
        assert verify(store).ok
    assert said in session.warnings
    assert session.status == "complete"
    assert KEY not in said
    assert [call.request.id in said for call in calls] == [True, True, False]
    assert f"--session {ingest.id}" in said


def test_nothing_is_said_where_all_was_known(tmp_path: Path) -> None:
    ingest = IngestSession("s", tmp_path)
    with RawServer(site(KEY)) as server, ingest, requests.Session() as web:
        web.get(f"{server.url}/e", headers={"X-CSRF-Token": KEY})
        web.get(f"{server.url}/page")
        assert capture_of(ingest).store is not None
        assert len(list(capture_of(ingest).store.exchanges(ingest.id))) == 2
        web.get(f"{server.url}/e", headers={"X-API-Key": "K9x-3Qm8-77Lp-zz01"})
    assert not [text for text in ingest.session.warnings if "became known" in text]
    assert leaks(tmp_path) == []


def test_a_payload_of_another_session_stays(tmp_path: Path) -> None:
    with RawServer(site(KEY, 100_000)) as server:
        record(tmp_path, lambda web, url: [web.get(f"{url}/page")], server.url)
        (path,) = (tmp_path / "responses").glob("*.bin")
        with pytest.warns(DataIOWarning, match=path.name):
            record(tmp_path, page_first, server.url)
        with RootStore(tmp_path, readonly=True) as store:
            assert verify(store).ok
    assert path.name in leaks(tmp_path)


RECORDING = """
import sys, requests
from mxm_dataio import IngestSession
with IngestSession("child", sys.argv[1]):
    requests.get(sys.argv[2] + "/page")
    print("recorded", flush=True)
    sys.stdin.readline()
"""


def test_a_payload_that_another_process_may_name_stays(tmp_path: Path) -> None:
    with RawServer(site(KEY, 100_000)) as server:
        command = [sys.executable, "-c", RECORDING, str(tmp_path), server.url]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "recorded\n"
            with pytest.warns(DataIOWarning, match=r"\.bin"):
                record(tmp_path, page_first, server.url)
            child.communicate("\n", timeout=30)
        assert child.returncode == 0
        with RootStore(tmp_path, readonly=True) as store:
            assert verify(store).ok
            assert len(store.sessions()) == 2


@pytest.mark.parametrize(
    "step", ["Journal.clear", "Placement.remove_outdated", "RecordingStore.end"]
)
def test_a_kill_amid_it(step: str, tmp_path: Path) -> None:
    program = f"""
import os, sys, requests
from mxm_dataio import IngestSession
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.journal import Journal
from mxm_dataio.storage.placement import Placement
from tests.redaction.test_late import page_first
{step} = lambda *_, **__: os._exit(9)
with IngestSession("s", sys.argv[1]), requests.Session() as web:
    page_first(web, sys.argv[2])
"""
    with RawServer(site(KEY, 100_000)) as server:
        command = [sys.executable, "-c", program, str(tmp_path), server.url]
        done = subprocess.run(command, cwd=CHECKOUT, timeout=60, check=False)
    assert done.returncode == 9
    with RecordingStore(tmp_path) as store:
        assert verify(store).ok
        (session,) = store.sessions()
        calls = list(store.exchanges(session.id))
    assert len(calls) == 6
    assert calls[0].responses[0].redacted


def test_what_can_not_be_moved_waits_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise StoreError("busy")

    with RawServer(site(KEY, 100_000)) as server, monkeypatch.context() as patch:
        patch.setattr(SQLiteCatalog, "put", busy)
        with pytest.warns(DataIOWarning, match="wait"):
            record(tmp_path, page_first, server.url)
    assert [name for name in leaks(tmp_path) if name.endswith(".journal")] == []
    with RecordingStore(tmp_path) as store:
        assert verify(store).ok
        (session,) = store.sessions()
        assert len(list(store.exchanges(session.id))) == 6


def test_another_value_than_the_secret(tmp_path: Path) -> None:
    other, words = "aB4c5D6e7F8g9H0i", "daily-prices"
    with RawServer(site(KEY)) as server:
        with IngestSession("s", tmp_path), requests.Session() as web:
            path_first(web, server.url)
        with IngestSession("s", tmp_path, "replay") as ingest, requests.Session() as web:
            # It looks like none.
            with pytest.raises(ReplayMissError, match="is not recorded"):
                web.get(f"{server.url}/v1/{words}/a")
            ingest.misses.clear()
        with pytest.raises(ReplayMissError, match="may be another call's answer"):
            record(
                tmp_path, lambda web, url: [web.get(f"{url}/v1/{other}/a")], server.url, "replay"
            )


def test_a_signed_token_in_a_path(tmp_path: Path) -> None:
    token = f"{part({'alg': 'HS256'})}.{part({'exp': 1})}.c2lnbmF0dXJlc2lnbmF0dXJl"

    def visit(web: requests.Session, url: str) -> list[Any]:
        fields = {"Authorization": f"Bearer {token}"}
        return [web.get(f"{url}/v1/{token}/a").status_code, web.get(url, headers=fields).ok]

    with RawServer(site(token)) as server:
        for way in (hook, taped):
            live = way(tmp_path, "record", visit, server.url)
            assert way(tmp_path, "replay", visit, server.url) == live
    assert leaks(tmp_path, token.rpartition(".")[2]) == []


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("recorded", "asked", "values"),
    [
        (f"a{LATE}b", f"a{KEY}b", [KEY]),
        (f"{LATE}", KEY, [KEY]),
        (f"a{LATE}b{LATE}c", f"a{KEY}b{KEY}x{KEY}c", [KEY, f"{KEY}x{KEY}"]),
        (f"a{LATE}b", "aREDACTEDb", ["REDACTED"]),
        (f"a{LATE}b", f"a{KEY}c", None),
        (f"a{LATE}b", f'a{KEY}"{KEY}b', None),
        (f"a{LATE}ab", "ab", None),
        (f"a{LATE}b", "a2024-01-01b", None),
        (f"a{LATE}b{LATE}", f"a{KEY}b", None),
    ],
)
def test_what_stands_in_the_place(recorded: str, asked: str, values: list[str] | None) -> None:
    assert filled(recorded, asked) == values
