"""Secrets that a program sends and receives are in no byte on disk, and replay works without."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, ReplayMissError
from mxm_dataio.api import capture_of
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.servers import RawServer, answer, responder

SECRET = "s3cr3t-V4lue-0815"


def traces(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]


def large(kind: str) -> dict[str, Any]:
    fields = {"token": SECRET, "pad": "x" * 400_000}
    if kind == "json":
        body = json.dumps(fields).encode()
        return {"data": io.BytesIO(body), "headers": {"Content-Type": "application/json"}}
    body, content_type = urllib3.encode_multipart_formdata(fields)
    return {"data": io.BytesIO(body), "headers": {"Content-Type": content_type}}


CALLS: dict[str, dict[str, Any]] = {
    "query": {"params": {"api_key": SECRET, "q": "1"}},
    "basic": {"auth": ("user", SECRET)},
    "header": {"headers": {"X-API-Key": SECRET}},
    "bearer": {"headers": {"Authorization": f"Bearer {SECRET}"}},
    "cookie": {"cookies": {"sid": SECRET}},
    "form": {"data": {"password": SECRET, "user": "u"}},
    "json": {"json": {"deep": [{"client_secret": SECRET}]}},
    "multipart": {"files": {"file": b"content"}, "data": {"token": SECRET}},
}


@pytest.mark.parametrize("kind", [*CALLS, "large json", "large multipart"])
def test_request(kind: str, tmp_path: Path) -> None:
    set_cookie = [("Set-Cookie", f"sid={SECRET}; Path=/; HttpOnly")]
    location = [("Location", f"/end?access_token={SECRET}")]
    routes: dict[str, Any] = {
        "/": answer(302, headers=set_cookie + location),
        "/end": answer(200, b"done"),
    }

    def work(secret: str) -> bytes:
        given = large(kind.removeprefix("large ")) if kind.startswith("large") else CALLS[kind]
        given = {**given}
        if secret != SECRET and kind == "query":
            given["params"] = {"api_key": secret, "q": "1"}
        with requests.Session() as session:
            return session.post(f"{server.url}/", **given).content

    with RawServer(responder(routes)) as server:
        with IngestSession("s", tmp_path):
            assert work(SECRET) == b"done"
        assert traces(tmp_path) == []
        hits = server.hits
        with IngestSession("s", tmp_path, "replay"):
            assert work("another key") == b"done"
        assert server.hits == hits


def test_failures_and_misses(tmp_path: Path) -> None:
    url = f"http://user:{SECRET}@127.0.0.1:1/path?token={SECRET}"
    with IngestSession("s", tmp_path), pytest.raises(requests.ConnectionError):
        requests.get(url)
    assert traces(tmp_path) == []
    with IngestSession("s", tmp_path, "replay") as ingest:
        with pytest.raises(ReplayMissError) as caught:
            requests.get(url + "&other=1")
        assert SECRET not in str(caught.value)
        ingest.misses.clear()
    with RecordingStore(tmp_path) as store:
        (request,) = store.requests(store.sessions()[0].id)
    assert request.url == "http://127.0.0.1:1/path?token=REDACTED"
    assert request.failure is not None
    assert "token=REDACTED" in request.failure.message


def test_the_rest_of_a_body_is_as_it_was(tmp_path: Path) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with (
        RawServer(responder({"/": answer(200)})) as server,
        IngestSession("s", tmp_path) as ingest,
    ):
        requests.post(f"{server.url}/", data=b"a=1&password=x&b=%20y", headers=form)
        assert capture_of(ingest).store is not None
        (exchange,) = capture_of(ingest).store.exchanges(ingest.id)
        path = capture_of(ingest).store.payloads.path(str(exchange.request.body_checksum))
    assert path.read_bytes() == b"a=1&password=REDACTED&b=%20y"
