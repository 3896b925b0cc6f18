"""Secrets of answers are on no disk, what else came is stored to the byte, and replay works."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import json
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, Redaction, mount, use_cassette
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import crossed
from tests.support.servers import RawServer, answer, responder

SECRET = "Zk3v9-QmX71_tRw8"
KINDS = {
    "json": (
        "application/json",
        '{"user": {"api_token": "%s", "f": 1.50},\n "n": [1e3]}',
    ),
    "json as text": ("text/plain", '{"accessToken":"%s","token_type":"bearer"}\n'),
    "json as bytes": ("application/octet-stream", '{"password":"%s"}'),
    "json as nothing": ("", '{"jwt":"%s","n":1}'),
    "lines": ("application/x-ndjson", '{"n": 1}\n{"sessionToken": "%s"}\n'),
    "soap": ("text/xml; charset=utf-8", "<e:Envelope xmlns:e='x'><r><sessionId>%s</sessionId>"
             "</r></e:Envelope>"),
    "sts": ("text/xml", "<R><C>\n <SecretAccessKey>%s</SecretAccessKey></C></R>"),
    "form": ("application/x-www-form-urlencoded", "access_token=%s&scope=repo&token_type=bearer"),
}  # fmt: skip


def _brotli(body: bytes) -> bytes:
    return bytes(pytest.importorskip("brotli").compress(body))


def _zstd(body: bytes) -> bytes:
    if urllib3.__version__.startswith("1."):
        pytest.skip("this release of urllib3 decodes no zstd")
    return bytes(pytest.importorskip("backports.zstd").compress(body))


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "br": _brotli, "zstd": _zstd,
}  # fmt: skip


def leaks(root: Path, value: str = SECRET) -> list[str]:
    forms = {value.encode()}
    for before in range(3):
        text = base64.b64encode(bytes(before) + value.encode())
        forms.add(text[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6])
    found = []
    for path in root.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        for undo in (bytes, gzip.decompress, zlib.decompress):
            try:
                plain = undo(data)
            except (OSError, zlib.error, EOFError):
                continue
            found += [path.name for form in forms if form in plain]
    return found


def in_root(path: Path, mode: str) -> AbstractContextManager[Any]:
    return IngestSession("s", path / "root", mode)


def on_tape(path: Path, mode: str) -> AbstractContextManager[Any]:
    return use_cassette(path / "tape.json", "all" if mode == "record" else "none")


@pytest.mark.parametrize(("kind", "coding"), crossed(KINDS, CODINGS, 2))
def test_an_answer(kind: str, coding: str, tmp_path: Path) -> None:
    media, text = KINDS[kind]
    body = CODINGS[coding]((text % SECRET).encode())
    fields = [("Content-Type", media)] if media else []
    fields += [("Content-Encoding", coding)] if coding else []

    def serve(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            if request.path == "/":
                connection.send(answer(200, body, headers=fields))
            else:
                said = "fine" if SECRET.encode() in request.raw else "who?"
                connection.send(answer(200, said.encode()))

    def work() -> Any:
        first = requests.get(url)
        token = SECRET if first.text == text % SECRET else "REDACTED"
        headers = {"Authorization": f"Bearer {token}"}
        told = [
            requests.get(f"{url}/a", headers=headers),
            requests.get(f"{url}/b/{token}", params={"q": token}),
            requests.post(f"{url}/c", json={"deep": [token]}),
        ]
        return first.text, first.headers.get("Content-Length"), [one.text for one in told]

    with RawServer(serve) as server:
        url = server.url
        for way in (in_root, on_tape):
            with way(tmp_path, "record"):
                live = work()
            hits = server.hits
            with way(tmp_path, "replay"):
                shown, _, told = work()
            assert server.hits == hits
            assert live[0] == text % SECRET
            assert shown == text % "REDACTED"
            assert told == live[2] == ["fine"] * 3
    assert leaks(tmp_path) == []
    with RecordingStore(tmp_path / "root") as store:
        (session,) = store.sessions()
        response = next(iter(store.exchanges(session.id))).responses[0]
    assert response.redacted
    assert response.original_checksum == hashlib.sha256(body).hexdigest()
    if not coding:
        assert response.size == len(text % "REDACTED")


OTHERS = [
    (b'{"next_page_token": "Zk3v9QmX71tRw8", "n": 1.50}', "application/json"),
    (b'{"token": "0x2260fac5e5542a773aa44fbcfedf7c193bc2c5" ,"symbol":"A"}', "application/json"),
    (b'{"password": null, "a":"\xff"}', "application/json"),
    (b"<a><password/><b>\xe9</b></a>", "text/xml"),
    (b"\x89PNG\0access_token=Zk3v9QmX71tRw8", "image/png"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "media"), OTHERS)
def test_all_else_stays_to_the_byte(body: bytes, media: str, tmp_path: Path) -> None:
    reply = answer(200, body, headers=[("Content-Type", media)])
    with RawServer(responder({"/": reply})) as server, IngestSession("s", tmp_path):
        requests.post(server.url)
    with RecordingStore(tmp_path) as store:
        (session,) = store.sessions()
        (call,) = store.exchanges(session.id)
        path = call.responses[0].bytes_path
        assert path is not None
        assert path.read_bytes() == body
    assert not call.responses[0].redacted


@pytest.mark.parametrize("size", [60_000, 900_000])
def test_a_large_log_in(size: int, tmp_path: Path) -> None:
    text = json.dumps({"pad": ["x" * 99] * (size // 99), "access_token": SECRET, "n": 1})

    def serve(connection: Any) -> None:
        while connection.read_request() is not None:
            connection.send(answer(200, text.encode(), headers=[("Content-Type", "a/b")]))

    with RawServer(serve) as server, IngestSession("s", tmp_path), requests.Session() as web:
        assert web.post(f"{server.url}/login").text == text
    assert leaks(tmp_path) == []


def test_other_clients_and_none(tmp_path: Path) -> None:
    text = '{"client_secret": "%s"}'

    def serve(connection: Any) -> None:
        while connection.read_request() is not None:
            connection.send(answer(200, (text % SECRET).encode()))

    seen = []
    with RawServer(serve) as server:
        for mode in ("record", "replay"):
            with (
                IngestSession("s", tmp_path / "a", mode, stdlib=True) as ingest,
                requests.Session() as web,
            ):
                with mount(web, ingest):
                    seen.append(web.get(server.url).text)
                raw = http.client.HTTPConnection(server.url[7:])
                raw.request("GET", "/raw")
                seen.append(raw.getresponse().read().decode())
                raw.close()
                seen.append(ingest.content(ingest.request(f"{server.url}/r")).decode())
        assert leaks(tmp_path) == []
        with IngestSession("s", tmp_path / "b", redaction=Redaction(tokens=False)):
            requests.get(server.url)
        assert leaks(tmp_path / "b")
    assert seen == [text % SECRET] * 2 + [text % SECRET] + [text % "REDACTED"] * 3


def test_names_of_ones_own(tmp_path: Path) -> None:
    said = {"user": {"email": "jane.roe@corp.example", "api_token": "tk_live_9aZ8yX7wV6"}, "n": 1}

    def rule(place: str, name: str, value: str) -> str | None:
        return "HIDDEN" if name in ("email", "api_token", "x-account") else None

    def serve(connection: Any) -> None:
        while connection.read_request() is not None:
            fields = [("Content-Type", "application/json"), ("X-Account", "acct-998877665544")]
            connection.send(answer(200, json.dumps(said).encode(), headers=fields))

    tape = tmp_path / "a.json"
    mine = DEFAULT.adding(rule, names=["email"])
    with RawServer(serve) as server:
        for _ in range(2):
            with use_cassette(tape, redaction=mine):
                assert requests.get(server.url).json()["n"] == 1
        assert server.hits == 1
    text = tape.read_text()
    assert [one for one in ("jane.roe", "tk_live", "acct-99") if one in text] == []


def test_a_half_read_log_in(tmp_path: Path) -> None:
    def serve(connection: Any) -> None:
        while connection.read_request() is not None:
            body = f'{{"n": 1, "refreshToken": "{SECRET}'.encode()
            connection.send(answer(200, headers=[("Content-Length", "5000")]) + body)
            return

    # Releases of urllib3 before 2 don't look whether all has come.
    failed = contextlib.suppress(requests.RequestException)
    with RawServer(serve) as server, IngestSession("s", tmp_path), failed:
        requests.get(server.url)
    assert leaks(tmp_path) == []
