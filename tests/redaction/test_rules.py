"""What rules hide in answers is on no disk, the program gets what came, and it replays."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    Redaction,
    ReplayMissError,
    use_cassette,
)
from mxm_dataio.formats.importing import Item, read
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.redaction.secrets import LARGEST
from mxm_dataio.storage.recording_store import RecordingStore
from tests.redaction.ruled import (
    HIDDEN,
    OTHER,
    SECRET,
    WAYS,
    hiding,
    in_path,
    in_root,
    leaks,
)
from tests.support.servers import Connection, RawServer, answer, responder
from tests.unit.cli.running import run

TOKEN = DEFAULT.adding(lambda p, n, v: "HIDDEN" if p == "answer_text" and SECRET in v else None)


WORD = DEFAULT.adding(lambda p, n, v: v.replace(SECRET, "HIDDEN") if p == "answer_text" else None)


# Media type, body with %s for the secret, the place that it is hidden in, and what is stored.
BODIES: dict[str, tuple[str, str, Redaction, str | None]] = {
    "a member": (
        "application/json", '{"b" : 1.50,\n "ssn":"%s", "a":[1e3,\t"\\u00e9"]}',
        hiding("answer_json", "ssn"), None,
    ),
    "nested": (
        "application/json", '{"a":{"b":[{"c":[["x"],{"SSN": "%s"}]}]},"n":null}',
        hiding("answer_json", "ssn"), None,
    ),
    "elements": (
        "application/vnd.api+json", '{"ssn":["%s",{"x":"y"},["%s"]],"z":["keep"]}',
        hiding("answer_json", "ssn"), None,
    ),
    "json in json": (
        "application/json", '{"body":"{\\"ssn\\": \\"%s\\", \\"n\\": 1.0}"}',
        hiding("answer_json", "ssn"), None,
    ),
    "lines": (
        "application/x-ndjson", '{"n":1}\n{"ssn":"%s"}\n{"ssn":"%s"}\n',
        hiding("answer_json", "ssn"), None,
    ),
    "lines, one of them broken": (
        "application/x-ndjson", '{"n": "it\'s\n{"ssn":"%s"}\n', hiding("answer_json", "ssn"), None
    ),
    "events": (
        "text/event-stream", ': hi\nid: 7\nevent: it"s\ndata: {"ssn": "%s",\ndata: "a": 1}\n\n'
        "data: [DONE]\n\n", hiding("answer_json", "ssn"), None,
    ),
    "no script": (
        "application/json", ')]}\'\n{"ssn": "%s"}', hiding("answer_json", "ssn"), None
    ),
    "a bare text": ("application/json", '"%s"', hiding("answer_json", ""), None),
    "json of no type": ("", '{"ssn":"%s"}', hiding("answer_json", "ssn"), None),
    "json as bytes": ("binary/octet-stream", '[{"ssn":"%s"}]', hiding("answer_json", "ssn"), None),
    "an element": (
        "text/xml", "<e:r xmlns:e='u'><e:Ssn a='b'> %s\n</e:Ssn><n>1.50</n></e:r>",
        hiding("answer_xml", "ssn"), None,
    ),
    "an attribute": (
        "application/xml", '<?xml version="1.0"?><r><p x:name="%s" b=\'1\'/></r>',
        hiding("answer_xml", "name"), None,
    ),
    "what a name stands beside": (
        "application/xml", "<r><p><name>Jane</name><value>%s</value></p></r>",
        hiding("answer_xml", "value"), None,
    ),
    "atom": ("application/atom+xml", "<feed><id><![CDATA[%s]]></id></feed>",
             hiding("answer_xml", "id"), None),
    "a token": ("text/plain", "%s", TOKEN, "HIDDEN"),
    "no type": ("", "%s\n", TOKEN, "HIDDEN"),
    "a table": (
        "text/csv", "name,ssn\r\nJane,%s\r\n",
        WORD, None,
    ),
    "a page": (
        "text/html; charset=utf-8", "<!DOCTYPE html><html><input value='%s'></html>",
        WORD, None,
    ),
    "a script": (
        "application/javascript", "(function(){window.t='%s'})([1])",
        WORD, None,
    ),
    "events of words": (
        "text/event-stream", "data: %s\n\n",
        WORD, None,
    ),
    "a table as bytes": (
        "application/octet-stream", "name;ssn\nJane;%s\n",
        WORD, None,
    ),
}  # fmt: skip


def _brotli(body: bytes) -> bytes:
    return bytes(pytest.importorskip("brotli").compress(body))


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "br": _brotli
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "coding"),
    [(name, list(CODINGS)[number % len(CODINGS)]) for number, name in enumerate(BODIES)]
    + [("a member", coding) for coding in CODINGS if coding],
)
def test_an_answers_body(name: str, coding: str, tmp_path: Path) -> None:
    media, text, rules, stored = BODIES[name]
    body = CODINGS[coding](text.replace("%s", SECRET).encode())
    fields = [("Content-Type", media)] if media else []
    fields += [("Content-Encoding", coding)] if coding else []
    sent: list[str] = []

    def serve(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            if request.path == "/":
                connection.send(answer(200, body, headers=fields))
            else:
                sent.append(request.target)
                connection.send(answer(200, b"fine"))

    def work() -> str:
        got = requests.get(url, timeout=5)
        token = SECRET if SECRET in got.text else "HIDDEN"
        assert requests.get(f"{url}/by/{token}?q={token}", timeout=5).text == "fine"
        return got.content.decode()

    with RawServer(serve) as server:
        url = server.url
        for way in WAYS:
            with way(tmp_path, "record", rules):
                assert work() == text.replace("%s", SECRET)
            hits = server.hits
            with way(tmp_path, "replay", rules):
                assert work() == (stored or text.replace("%s", "HIDDEN"))
            assert server.hits == hits
    assert sent == [f"/by/{SECRET}?q={SECRET}"] * 2
    assert leaks(tmp_path, SECRET) == []
    with RecordingStore(tmp_path / "root") as store:
        (session,) = store.sessions()
        response = next(iter(store.exchanges(session.id))).responses[0]
    assert response.redacted
    assert response.original_checksum == hashlib.sha256(body).hexdigest()


def test_literals(tmp_path: Path) -> None:
    masks = {"n": "0", "m": "none of it", "b": "false", "z": "x", "f": "1.5e3"}
    body = b'{"n": [12.50, -1e9], "m": 7, "b": true, "z": null, "f": 10, "k": 1.0, "id": 3}'
    asked: list[tuple[str, str]] = []

    def rule(place: str, name: str, value: str) -> str | None:
        if place == "answer_json":
            asked.append((name, value))
            return masks.get(name)
        return None

    routes = {"/": answer(200, body, headers=[("Content-Type", "application/json")])}
    with RawServer(responder(routes)) as server:
        for mode in ("record", "replay"):
            with in_root(tmp_path, mode, DEFAULT.adding(rule)):
                got = requests.get(server.url, timeout=5).content
    assert got == (
        b'{"n": [0, 0], "m": "none of it", "b": false, "z": "x", "f": 1.5e3, "k": 1.0, "id": 3}'
    )
    assert asked == [("n", "12.50"), ("n", "-1e9"), ("m", "7"), ("b", "true"), ("z", "null"),
                     ("f", "10"), ("k", "1.0"), ("id", "3")]  # fmt: skip


def test_headers_of_answers(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def rule(place: str, name: str, value: str) -> str | None:
        asked.append((place, name))
        if name == "x-account" and place == "answer_header":
            return "ACCOUNT"
        if name == "x-old" and place == "header":
            return "OLD"
        if name == "x-kept" and place == "answer_header":
            return value
        return "GONE" if name == "x-kept" else None

    def serve(connection: Connection) -> None:
        fields = [("X-Account", SECRET), ("X-Old", OTHER), ("X-Kept", "kept")]
        while connection.read_request() is not None:
            connection.send(answer(200, b"{}", headers=fields))

    def work() -> list[str]:
        got = requests.get(f"{server.url}/", timeout=5)
        # In replay the program sends what stands in the secret's place.
        requests.get(f"{server.url}/next", {"a": got.headers["X-Account"]}, timeout=5)
        return [got.headers[name] for name in ("X-Account", "X-Old", "X-Kept")]

    with RawServer(serve) as server:
        for way in WAYS:
            with way(tmp_path, "record", DEFAULT.adding(rule)):
                assert work() == [SECRET, OTHER, "kept"]
            with way(tmp_path, "replay", DEFAULT.adding(rule)):
                assert work() == ["ACCOUNT", "OLD", "kept"]
    assert leaks(tmp_path, SECRET, OTHER) == []
    assert ("answer_header", "user-agent") not in asked


def test_nothing_changes_on_the_wire(tmp_path: Path) -> None:
    body = b'{"ssn": "%s"}\n' % SECRET.encode() * 500
    pieces = [1, 7, 100, 999]
    fields = [("Content-Type", "application/x-ndjson")]

    def serve(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            if request.path == "/none":
                connection.send(answer(204))
            elif request.path == "/same":
                connection.send(answer(304, headers=[("ETag", '"x"')]))
            elif request.method == "HEAD":
                head = answer(200, headers=[*fields, ("Content-Length", str(len(body)))])
                connection.send(head)
            else:
                connection.send(answer(200, body, headers=fields, chunked=pieces))

    def work() -> Iterator[Any]:
        with requests.get(f"{url}/", stream=True, timeout=5) as got:
            yield b"\n".join(got.iter_lines())
        with requests.get(f"{url}/", stream=True, timeout=5) as got:
            yield got.raw.read(40)
        with urllib3.PoolManager() as pool:
            yield b"".join(pool.request("GET", f"{url}/", preload_content=False).stream(100))
            yield pool.request("HEAD", f"{url}/").headers["Content-Length"]
        yield requests.get(f"{url}/none", timeout=5).status_code
        yield requests.get(f"{url}/same", headers={"If-None-Match": '"x"'}, timeout=5).status_code
        raw = http.client.HTTPConnection(url.partition("//")[2])
        raw.request("GET", "/")
        yield raw.getresponse().read()
        raw.close()

    mine = hiding("answer_json", "ssn")
    with RawServer(serve) as server:
        url = server.url
        plain = list(work())
        for way in WAYS:
            with way(tmp_path, "record", mine):
                assert list(work()) == plain
            with way(tmp_path, "replay", mine):
                replayed = list(work())
            hidden = [
                one.replace(SECRET.encode(), b"HIDDEN") if isinstance(one, bytes) else one
                for one in plain
            ]
            assert replayed[2:] == hidden[2:]
            assert replayed[0] == hidden[0]
            assert SECRET[:4].encode() not in replayed[1]
    assert leaks(tmp_path, SECRET, SECRET[:9]) == []


def test_auto_fetches_what_was_changed_anew(tmp_path: Path) -> None:
    body = f'{{"ssn": "{SECRET}"}}'.encode()
    mine = hiding("answer_json", "ssn")
    with RawServer(responder({"/": answer(200, body)})) as server:
        for hits in (1, 2):
            with in_root(tmp_path, "auto", mine):
                assert requests.get(server.url, timeout=5).content == body
            assert server.hits == hits
    assert leaks(tmp_path, SECRET) == []


def test_round_trip(tmp_path: Path) -> None:
    """A cassette that was exported is as stored: rules are not asked again."""
    count = iter(range(100))

    def rule(place: str, name: str, value: str) -> str | None:
        return f"{value[:2]}-{next(count)}" if (place, name) == ("answer_json", "ssn") else None

    body = f'{{"ssn": "{SECRET}", "again": "{SECRET}"}}'.encode()
    with RawServer(responder({"/": answer(200, body)})) as server:
        with in_root(tmp_path, "record", DEFAULT.adding(rule)) as ingest:
            requests.get(server.url, timeout=5)
        for way in WAYS[:1]:
            with way(tmp_path, "replay", DEFAULT.adding(rule)):
                assert requests.get(server.url, timeout=5).json() == {
                    "ssn": "Zk-0",
                    "again": "Zk-0",
                }
        done = run("export", ingest.id, "-o", tmp_path / "out.json", "--root", tmp_path / "root")
        assert done.exit_code == 0, done.output
        with use_cassette(tmp_path / "out.json", "none", redaction=DEFAULT.adding(rule)):
            assert requests.get(server.url, timeout=5).json() == {"ssn": "Zk-0", "again": "Zk-0"}
        for _ in range(2):
            with use_cassette(tmp_path / "new.json", redaction=DEFAULT.adding(rule)):
                requests.get(server.url, timeout=5)
        text = (tmp_path / "new.json").read_text()
        assert '"ssn": "Zk-1"' in text
    assert leaks(tmp_path, SECRET) == []


def test_what_is_imported(tmp_path: Path) -> None:
    call = {
        "request": {
            "method": "GET",
            "uri": f"http://h/users/{SECRET}",
            "body": None,
            "headers": {},
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"Content-Type": ["application/json"], "X-Account": [SECRET]},
            "body": {"string": json.dumps({"ssn": SECRET, "n": 1})},
        },
    }
    file = tmp_path / "vcr.json"
    file.write_text(json.dumps({"version": 1, "interactions": [call]}))

    def rule(place: str, name: str, value: str) -> str | None:
        return in_path(place, name, value) or ("HIDDEN" if (place, name) in HIDDEN else None)

    mine = DEFAULT.adding(rule)
    (recording,) = read(Item(file, "vcr"), mine).recordings
    assert recording.exchange.request.endpoint == "http://h/users/ID"
    response = recording.exchange.responses[0]
    assert ("X-Account", "HIDDEN") in response.headers
    assert json.loads(recording.payloads[response.checksum or ""]) == {"ssn": "HIDDEN", "n": 1}
    assert SECRET not in repr(recording)


@pytest.mark.parametrize("media", ["application/json", "image/png"])
def test_a_body_too_large_for_rules(media: str, tmp_path: Path) -> None:
    start = f'{{"ssn": "{SECRET}", "a": "'.encode()
    body = start + b"x" * LARGEST + b'"}'
    mine = hiding("answer_json", "ssn")
    routes = {"/": answer(200, body, headers=[("Content-Type", media)])}
    with RawServer(responder(routes)) as server:
        for way in WAYS:
            text = media == "application/json"
            said = pytest.warns(UserWarning, match="was not kept, since redaction rules")
            with said if text else contextlib.nullcontext(), way(tmp_path, "record", mine):
                assert requests.get(server.url, timeout=20).content == body
            if text:
                # Neither a secret nor half an answer.
                missed = pytest.raises(ReplayMissError, match="redaction rules could not be asked")
                with missed, way(tmp_path, "replay", mine):
                    requests.get(server.url, timeout=20)
        if media == "image/png":
            return
        assert leaks(tmp_path, SECRET) == []
        placed = DEFAULT.adding(in_path, places=["query"])
        with in_root(tmp_path / "b", "record", placed):
            requests.get(server.url, timeout=20)
        with in_root(tmp_path / "b", "replay", placed):
            assert requests.get(server.url, timeout=20).content == body
