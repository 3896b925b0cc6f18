"""What was recorded, read in a line: bytes, content, text and JSON of an answer."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import (
    ConfigError,
    FetchResult,
    IngestSession,
    IntegrityError,
    Response,
    Store,
    register,
    use_cassette,
)
from mxm_dataio.api import capture_of
from mxm_dataio.errors import StoreError
from mxm_dataio.registry import unregister
from tests.support.servers import RawServer, answer, responder

VALUE = {"price": 1.5, "name": "Zürich"}
TEXT = json.dumps(VALUE, ensure_ascii=False).encode()
JSON = ("Content-Type", "application/json")
BODIES = {
    "/json": TEXT,
    "/gzip": gzip.compress(TEXT, mtime=0),
    "/twice": gzip.compress(zlib.compress(TEXT), mtime=0),
    "/odd": TEXT,
    "/cut": gzip.compress(TEXT)[:-9],
}
ROUTES = {
    "/json": answer(200, TEXT, headers=[JSON]),
    "/gzip": answer(200, BODIES["/gzip"], headers=[JSON, ("Content-Encoding", "gzip")]),
    "/twice": answer(
        200,
        BODIES["/twice"],
        headers=[JSON, ("Content-Encoding", "deflate"), ("Content-Encoding", "gzip")],
    ),
    "/odd": answer(200, TEXT, headers=[JSON, ("Content-Encoding", "aws-chunked")]),
    "/cut": answer(200, BODIES["/cut"], headers=[("Content-Encoding", "gzip")]),
    "/bomb": answer(200, gzip.compress(bytes(1 << 22)), headers=[("Content-Encoding", "gzip")]),
    "/none": answer(204),
    "/page": answer(404, b"<p>no</p>", headers=[("Content-Type", "text/html")]),
    "/token": answer(200, b'{"access_token": "kZ81xq02Vw93Lm"}', headers=[JSON]),
    "/big": answer(200, bytes(3 << 20)),
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder(ROUTES)) as server:
        yield server


def recorded(server: RawServer, root: Path, path: str, **options: Any) -> Response:
    with IngestSession("s", root, **options) as ingest:
        requests.get(f"{server.url}{path}", stream=True).raw.read(decode_content=False)
    return stored(root, ingest.id)


def stored(root: Path, session: str) -> Response:
    with Store(root) as store:
        (exchange,) = store.exchanges(session)
    assert exchange.answer is not None
    # Of a store that is closed: no database is needed to read a file.
    return exchange.answer


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("path", ["/json", "/gzip", "/twice", "/odd"])
def test_a_recorded_answer_reads_in_a_line(
    server: RawServer, tmp_path: Path, path: str, compression: str
) -> None:
    found = recorded(server, tmp_path, path, compression=compression)
    assert found.json() == VALUE
    assert found.content == TEXT
    assert found.text == TEXT.decode()
    assert found.raw == BODIES[path]
    with found.open() as file:
        assert file.read() == found.raw


def test_so_does_one_of_a_cassette(server: RawServer, tmp_path: Path) -> None:
    for _ in range(2):
        with use_cassette(tmp_path / "a.json") as ingest:
            answered = ingest.request(f"{server.url}/gzip")
            assert answered.json() == VALUE
            assert capture_of(ingest).store is not None
            found = capture_of(ingest).store.exchange(answered.request_id)
            assert found is not None
            assert found.answer is not None
            assert found.answer.json() == VALUE
        assert answered.text == TEXT.decode()
    assert len(server.requests) == 1


@pytest.mark.parametrize("mode", ["record", "replay", "auto", "off"])
def test_so_does_one_that_a_session_asked_for(server: RawServer, tmp_path: Path, mode: str) -> None:
    with IngestSession("s", tmp_path) as ingest:
        ingest.request(f"{server.url}/gzip")
    with IngestSession("s", tmp_path, mode) as ingest:
        answered = ingest.request(f"{server.url}/gzip")
    assert (answered.content, answered.json()) == (TEXT, VALUE)
    assert answered.raw == BODIES["/gzip"]


def test_a_bomb_fills_no_memory(server: RawServer, tmp_path: Path) -> None:
    found = recorded(server, tmp_path, "/bomb")
    with pytest.raises(StoreError, match=rf"GET {server.url}/bomb.*limit=") as caught:
        found.read(limit=1 << 20)
    assert caught.value.path == found.bytes_path
    assert found.content == found.read(limit=1 << 22) == found.read(limit=None) == bytes(1 << 22)
    # Nor does a payload that is large as it is.
    plain = recorded(server, tmp_path, "/json")
    with pytest.raises(StoreError, match=r"more than 5 stored bytes.*response\.open\(\)"):
        plain.read(limit=5)


def test_a_damaged_payload_is_not_handed_out(server: RawServer, tmp_path: Path) -> None:
    small, large = (recorded(server, tmp_path, path) for path in ("/json", "/big"))
    for found in (small, large):
        assert found.bytes_path is not None
        found.bytes_path.write_bytes(b"x" * found.size)
        for read in ("raw", "content", "text"):
            with pytest.raises(IntegrityError, match=rf"GET {server.url}/.*damaged") as caught:
                getattr(found, read)
            assert caught.value.path == found.bytes_path
        found.bytes_path.unlink()
        with pytest.raises(IntegrityError, match=rf"GET {server.url}/.*can't be opened"):
            _ = found.raw


def test_what_is_no_json_says_what_it_is(server: RawServer, tmp_path: Path) -> None:
    page = recorded(server, tmp_path, "/page")
    with pytest.raises(StoreError, match=r"/page: the answer \(404, text/html, 9 bytes\) is no"):
        page.json()
    assert page.text == "<p>no</p>"
    nothing = recorded(server, tmp_path, "/none")
    assert (nothing.raw, nothing.content, nothing.text) == (b"", b"", "")
    with pytest.raises(StoreError, match="204, without Content-Type, 0 bytes"):
        nothing.json()


def test_what_is_damaged_under_its_coding_says_so(server: RawServer, tmp_path: Path) -> None:
    found = recorded(server, tmp_path, "/cut")
    with pytest.raises(StoreError, match=r"gzip is damaged or ends early.*response\.raw"):
        _ = found.content
    assert found.raw == BODIES["/cut"]


def test_a_body_that_was_not_read_to_its_end_is_no_content(
    server: RawServer, tmp_path: Path
) -> None:
    with IngestSession("s", tmp_path) as ingest:
        requests.get(f"{server.url}/big", stream=True).close()
    found = stored(tmp_path, ingest.id)
    assert not found.complete
    with pytest.raises(StoreError, match=r"were read, and not all: response\.raw has them"):
        _ = found.content
    assert bytes(3 << 20).startswith(found.raw)


def test_nor_is_one_whose_connection_ended(tmp_path: Path) -> None:
    def cut(connection: Any) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[1]")

    ingest = IngestSession("s", tmp_path)
    with RawServer(cut) as server, ingest, suppress(requests.RequestException):
        requests.get(f"{server.url}/").json()
    found = stored(tmp_path, ingest.id)
    with pytest.raises(StoreError, match="3 bytes of this body came, and not all"):
        found.json()
    assert found.raw == b"[1]"


def test_an_answer_that_never_came_says_why(tmp_path: Path) -> None:
    with IngestSession("s", tmp_path) as ingest, pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:1/", timeout=5)
    found = stored(tmp_path, ingest.id)
    for read in ("raw", "content", "text"):
        with pytest.raises(StoreError, match=r"127.0.0.1:1/: no answer came \(.*refused"):
            getattr(found, read)


def test_a_head_has_no_body_to_undo(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path) as ingest:
        requests.head(f"{server.url}/gzip")
    found = stored(tmp_path, ingest.id)
    assert found.header("Content-Encoding") == "gzip"
    assert (found.raw, found.content) == (b"", b"")


def test_a_program_has_what_came_and_the_store_what_is_no_secret(
    server: RawServer, tmp_path: Path
) -> None:
    with IngestSession("s", tmp_path) as ingest:
        live = ingest.request(f"{server.url}/token")
    assert live.json() == {"access_token": "kZ81xq02Vw93Lm"}
    assert b"kZ81" not in live.raw
    assert b"kZ81" not in pickle.dumps(live)
    assert pickle.loads(pickle.dumps(live)).json() == {"access_token": "REDACTED"}
    assert stored(tmp_path, ingest.id).json() == {"access_token": "REDACTED"}


def test_an_answer_stays_the_value_that_it_is(server: RawServer, tmp_path: Path) -> None:
    found = recorded(server, tmp_path, "/json")
    for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), copy.copy(found)):
        assert other == found
        assert hash(other) == hash(found)
        assert other.json() == VALUE
    bare = replace(found, payload=None)
    assert bare == found
    assert "payload" not in repr(found)
    with pytest.raises(StoreError, match=r"not at hand.*store\.exchange"):
        bare.json()
    with use_cassette(tmp_path / "a.json") as ingest:
        kept = ingest.request(f"{server.url}/json")
    assert pickle.loads(pickle.dumps(kept)).json() == VALUE


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=latin-1", "é".encode("latin-1"), "é"),
        ("text/plain", "é".encode(), "é"),
        ("text/plain", b"\xe9", "é"),
        ("text/plain; charset=utf-8", b"a\xffb", "a\ufffdb"),
        ("text/plain; charset=nope", "é".encode(), "é"),
        ("text/plain; charset=rot13", b"abc", "abc"),
        ("text/plain", "\ufeffé".encode(), "é"),
        ("text/plain; charset=utf-8", "é".encode("utf-16"), "é"),
        ("text/html", b'<meta charset="cp1252">\x80', '<meta charset="cp1252">€'),
        ("application/octet-stream", b"\x00\xff", "\x00ÿ"),
        ("", b"x" * 5000 + b"\xff", "x" * 5000 + "\ufffd"),
    ],
)
def test_text_is_in_the_charset_that_is_told(
    tmp_path: Path, content_type: str, body: bytes, text: str
) -> None:
    with given(body, content_type), IngestSession("given", tmp_path) as ingest:
        assert ingest.request("e").text == text


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_each_of_its_encodings(tmp_path: Path, coding: str) -> None:
    with (
        given(json.dumps(VALUE, ensure_ascii=False).encode(coding), "application/json"),
        IngestSession("given", tmp_path) as ingest,
    ):
        assert ingest.request("e").json() == VALUE


def test_json_in_a_charset_that_it_states_is_read_too(tmp_path: Path) -> None:
    body = json.dumps(VALUE, ensure_ascii=False).encode("latin-1")
    with (
        given(body, "application/json; charset=ISO-8859-1"),
        IngestSession("given", tmp_path) as ingest,
    ):
        assert ingest.request("e").json() == VALUE


@pytest.mark.parametrize("body", [b"", b"[" * 200_000, b"1" * 5000 + b"x", b"{'a': 1}"])
def test_json_that_is_none_is_an_error_of_ours(tmp_path: Path, body: bytes) -> None:
    with given(body, "application/json"), IngestSession("given", tmp_path) as ingest:
        answered = ingest.request("e")
    with pytest.raises(StoreError, match="is no JSON"):
        answered.json()


def test_a_coding_whose_library_is_missing_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with (
        given(b"x", "text/plain", ("Content-Encoding", "br")),
        IngestSession("given", tmp_path) as ingest,
    ):
        answered = ingest.request("e")
    with pytest.raises(ConfigError, match=r"e: Content-Encoding br: .*pip install brotli"):
        _ = answered.content


class given:  # noqa: N801 - reads like the function that it is
    """Has a source give an answer."""

    def __init__(self, body: bytes, content_type: str, *more: tuple[str, str]) -> None:
        stated = (("Content-Type", content_type),) if content_type else ()
        self._result = FetchResult(body, 200, (*stated, *more))

    def fetch(self, _request: object) -> FetchResult:
        return self._result

    def __enter__(self) -> None:
        register("given", self)

    def __exit__(self, *_exc: object) -> None:
        unregister("given")
