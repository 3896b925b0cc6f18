"""A request's body counts by what it is: no secret of it is stored, and it replays without.

Whatever its header says, through every way in, whatever carries the bytes.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import io
import json
import re
import sys
import urllib.request
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import backports.zstd
import brotli
import pytest
import requests
import urllib3
from requests_toolbelt import MultipartEncoder

from mxm_dataio import IngestSession, ReplayMissError, mount, use_cassette
from mxm_dataio.api import capture_of
from mxm_dataio.redaction.rules import NOTHING
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import crossed, sampled
from tests.support.servers import RawServer, answer, responder

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
Sent = tuple[bytes, dict[str, str]]


def typed(content_type: str, coding: str = "") -> dict[str, str]:
    headers = {"Content-Type": content_type} if content_type else {}
    return headers | ({"Content-Encoding": coding} if coding else {})


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


def batch(secret: str, boundary: str, end: str = "\r\n") -> bytes:
    inner = (
        f"POST /v1/login?token={secret} HTTP/1.1{end}Authorization: Bearer {secret}{end}"
        f'Content-Type: application/json{end}{end}{{"password": "{secret}"}}'
    )
    part = f"--{boundary}{end}Content-Type: application/http{end}Content-ID: <{uuid.uuid4()}>"
    return f"{part}{end}{end}{inner}{end}--{boundary}--{end}".encode()


def parts(boundary: str, *heads_and_contents: str, end: str = "\r\n") -> bytes:
    pairs = zip(heads_and_contents[::2], heads_and_contents[1::2], strict=True)
    body = "".join(f"--{boundary}{end}{h}{end}{end}{c}{end}" for h, c in pairs)
    return f"{body}--{boundary}--{end}".encode()


def nested(secret: str, boundary: str) -> bytes:
    inner = parts(f"in{boundary}", "Content-Type: text/json", f'{{"password": "{secret}"}}')
    head = f"Content-Type: multipart/alternative; boundary=in{boundary}"
    return parts(boundary, head, inner.decode())


SOAP = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header><w:Security>'
    '<w:UsernameToken u:Id="{1}"><w:Username>me</w:Username><w:Password>{0}</w:Password>'
    "<w:Nonce>{0}</w:Nonce></w:UsernameToken></w:Security><a:MessageID>{1}</a:MessageID>"
    '</e:Header><e:Body><login xmlns="urn:partner"><username>u</username>'
    "<password><![CDATA[{0}]]></password></login></e:Body></e:Envelope>"
)
RPC = (
    "<methodCall><params><param><value><struct><member><name>password</name><value><string>{}"
    "</string></value></member></struct></value></param></params></methodCall>"
)
ESCAPED = json.dumps({"a": json.dumps({"password": "%s"})}).replace("%", "%%").replace("%%s", "%s")

# What is sent, given the secret and what is drawn anew for each call.
BODIES: dict[str, Callable[[str, str], Sent]] = {
    "json": lambda s, _: (f'{{"password": "{s}", "a": 1}}'.encode(), typed(JSON)),
    "json as text": lambda s, _: (f'{{"password": "{s}"}}'.encode(), typed("text/plain")),
    "json as form": lambda s, _: (f'{{"password": "{s}"}}'.encode(), typed(FORM)),
    "json of no type": lambda s, _: (f'[{{"password": "{s}"}}]'.encode(), {}),
    "json with a trailing comma": lambda s, _: (f'{{"password": "{s}",}}'.encode(), typed(JSON)),
    "json cut off": lambda s, _: (f'{{"a": 1, "password": "{s}'.encode(), typed(JSON)),
    "json in latin-1": lambda s, _: (
        f'{{"n": "caf\u00e9", "password": "{s}"}}'.encode("latin-1"),
        typed(JSON),
    ),
    "json in utf-16": lambda s, _: (f'{{"password": "{s}"}}'.encode("utf-16"), {}),
    "json behind a mark": lambda s, _: (f'{{"password": "{s}"}}'.encode("utf-8-sig"), typed(JSON)),
    "a python dict": lambda s, _: (str({"password": s}).encode(), {}),
    "json in json": lambda s, _: ((ESCAPED % s).encode(), typed(JSON)),
    "graphql": lambda s, _: (
        json.dumps({"query": f'mutation {{ login(password: "{s}") {{ id }} }}'}).encode(),
        typed(JSON),
    ),
    "ndjson": lambda s, _: (
        f'{{"index":{{}}}}\n{{"password":"{s}"}}\n'.encode(),
        typed("application/x-ndjson"),
    ),
    "ndjson of no type": lambda s, _: (f'{{"i":{{}}}}\n{{"password":"{s}"}}\n'.encode(), {}),
    "json in a form": lambda s, _: (f'b=1&p={{"password":"{s}"}}'.encode(), typed(FORM)),
    "json in a form, escaped": lambda s, _: (
        f"b=1&p=%7B%22password%22%3A%22{s}%22%7D".encode(),
        typed(FORM),
    ),
    "form of no type": lambda s, _: (f"user=me&password={s}".encode(), {}),
    "form of lines": lambda s, _: (f"user=me\r\npassword={s}\r\n".encode(), typed("text/plain")),
    "form as json": lambda s, _: (f"user=me&password={s}".encode(), typed("text/html")),
    "multipart/mixed": lambda s, b: (
        parts(b, "Content-Type: application/json", f'{{"password": "{s}"}}'),
        typed(f"multipart/mixed; boundary={b}"),
    ),
    "multipart with bare line feeds": lambda s, b: (
        parts(b, 'Content-Disposition: form-data; name="password"', s, end="\n"),
        typed(f'multipart/form-data; boundary="{b}"'),
    ),
    "multipart, no boundary said": lambda s, b: (
        b"preamble\r\n" + parts(b, 'Content-Disposition: form-data; name="password"', s),
        typed("multipart/form-data"),
    ),
    "multipart of no type": lambda s, b: (
        parts(b, 'Content-Disposition: form-data; name="password"', s),
        {},
    ),
    "multipart without its last boundary": lambda s, b: (
        parts(b, "Content-Disposition: form-data; name=password", s)[: -len(b) - 6],
        typed(f"multipart/form-data; boundary={b}"),
    ),
    "multipart, name encoded": lambda s, b: (
        parts(b, "Content-Disposition: form-data; name*=utf-8''p%61ssword", s),
        typed(f"multipart/form-data; boundary={b}"),
    ),
    "multipart, pem bundle": lambda s, b: (
        parts(
            b,
            'Content-Disposition: form-data; name="private_key"',
            f"-----BEGIN A-----\r\nx\r\n-----END A-----\r\n-----BEGIN B-----\r\n{s}\r\n-----END",
        ),
        typed(f"multipart/form-data; boundary={b}"),
    ),
    "multipart, base64": lambda s, b: (
        parts(
            b,
            "Content-Type: application/json\r\nContent-Transfer-Encoding: base64",
            base64.b64encode(f'{{"password": "{s}"}}'.encode()).decode(),
        ),
        typed(f"multipart/related; boundary={b}"),
    ),
    "multipart in multipart": lambda s, b: (nested(s, b), typed(f"multipart/mixed; boundary={b}")),
    "batch": lambda s, b: (batch(s, b), typed(f"multipart/mixed; boundary={b}")),
    "batch with bare line feeds": lambda s, b: (
        batch(s, b, "\n"),
        typed(f"multipart/batch; boundary={b}"),
    ),
    "soap": lambda s, b: (SOAP.format(s, b).encode(), typed("text/xml")),
    "soap in utf-16, of no type": lambda s, b: (SOAP.format(s, b).encode("utf-16"), {}),
    "xml-rpc": lambda s, _: (RPC.format(s).encode(), typed("text/xml")),
    "xml in json": lambda s, _: (
        json.dumps({"xml": f"<a><password>{s}</password></a>"}).encode(),
        typed(JSON),
    ),
    "xml as form": lambda s, _: (f'<a password="{s}"/>'.encode(), typed(FORM)),
}
CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": lambda data, n: gzip.compress(data, n, mtime=n),
    "x-gzip": lambda data, n: gzip.compress(data[:9], n, mtime=n) + gzip.compress(data[9:]),
    "deflate": lambda data, n: zlib.compress(data, n),
    "Deflate": lambda data, n: raw_deflate(data),
    "br": lambda data, n: bytes(brotli.compress(data, quality=n)),
    "zstd": lambda data, n: backports.zstd.compress(data, n),
    "deflate, gzip": lambda data, n: gzip.compress(zlib.compress(data, n), mtime=n),
    # As they stand, without a word of the coding.
    "": lambda data, n: gzip.compress(data, n, mtime=n),
    # The header lies, or names what is none.
    "gzip ": lambda data, n: data,
    "aws-chunked": lambda data, n: data,
}
for coding, encode in CODINGS.items():

    def coded(s: str, b: str, coding: str = coding, encode: Any = encode) -> Sent:
        body = f'{{"password": "{s}", "rows": {list(range(50))}}}'.encode()
        return encode(body, 1 + len(b) % 2), typed(JSON, coding)

    BODIES[f"coding {coding or 'unsaid'}"] = coded
    BODIES[f"form, coding {coding or 'unsaid'}"] = lambda s, b, c=coding, e=encode: (
        e(f"a=1&password={s}".encode(), 1 + len(b) % 2),
        typed(FORM, c),
    )


def drawn(n: int) -> tuple[str, str]:
    """Return a secret, and what else is other in each call."""
    return f"Hunter2-{uuid.uuid4().hex}", "b" * n + uuid.uuid4().hex


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with RawServer(responder({"/": answer(200, b'{"ok": true}')})) as server:
        yield f"{server.url}/"


def readings(data: bytes) -> Iterator[bytes]:
    """Yield bytes, and what is within them."""
    yield data
    yield data.replace(b"\0", b"")
    for at in (
        match.start() for match in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", data)
    ):
        try:
            yield zlib.decompressobj(47).decompress(data[at:])
        except zlib.error:
            continue
    for found in re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", data):
        yield base64.b64decode(found[: len(found) // 4 * 4])


def found_in(folder: Path, secret: str) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [p.name for p in files if any(secret.encode() in r for r in readings(p.read_bytes()))]


@pytest.mark.parametrize("kind", BODIES)
def test_no_secret_is_stored_and_another_replays(kind: str, url: str, tmp_path: Path) -> None:
    tape, root = tmp_path / "tape" / "a.json", tmp_path / "root"
    secret, other = drawn(1)
    body, headers = BODIES[kind](secret, other)
    for opened in (use_cassette(tape), IngestSession("s", root)):
        with opened:
            assert requests.post(url, body, headers=headers, timeout=5).json() == {"ok": True}
    assert found_in(tmp_path, secret) == []
    body, headers = BODIES[kind](*drawn(2))
    for opened in (use_cassette(tape, mode="none"), IngestSession("s", root, "replay")):
        with opened:
            assert requests.post(url, body, headers=headers, timeout=5).json() == {"ok": True}
    body, headers = BODIES[kind](*drawn(2))
    with use_cassette(tape, mode="none") as again:
        with pytest.raises(ReplayMissError) as caught:
            requests.post(f"{url}?other=1", body, headers=headers, timeout=5)
        again.misses.clear()
    assert "Hunter2" not in str(caught.value)


READABLE = [kind for kind, made in BODIES.items() if b"password" in made("x", "b")[0]]


@pytest.mark.parametrize("kind", [kind for kind in READABLE if kind not in ("soap", "batch")])
def test_what_holds_no_secret_stays_to_the_byte(kind: str, url: str, tmp_path: Path) -> None:
    body, headers = BODIES[kind]("Hunter2", "b0")
    plain = body.replace(b"password", b"passages").replace(b"private_key", b"private_car")
    plain = plain.replace(b"token=", b"taken=").replace(b"Authorization", b"Authors")
    with IngestSession("s", tmp_path) as ingest:
        requests.post(url, plain, headers=headers, timeout=5)
        assert stored(ingest) == plain


def stored(ingest: IngestSession) -> bytes:
    assert isinstance(capture_of(ingest).store, RootStore)
    exchange = list(capture_of(ingest).store.exchanges(ingest.id))[-1]
    return capture_of(ingest).store.payloads.path(str(exchange.request.body_checksum)).read_bytes()


def test_only_values_change(url: str, tmp_path: Path) -> None:
    body = b'{ "a" :1.50,"password":"Hunter2-Hunter2" , "b":"\\u00e9"}\r\n'
    with IngestSession("s", tmp_path) as ingest:
        requests.post(url, body, headers=typed(JSON), timeout=5)
        assert stored(ingest) == body.replace(b"Hunter2-Hunter2", b"REDACTED")
        requests.post(url, gzip.compress(body), headers=typed(JSON, "gzip"), timeout=5)
        assert gzip.decompress(stored(ingest)) == body.replace(b"Hunter2-Hunter2", b"REDACTED")


# -- every way in ----------------------------------------------------------------------------


def by_urllib3(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    with urllib3.PoolManager() as pool:
        return pool.request("POST", url, body=body, headers=headers).data


def by_urlopen(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    asked = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(asked, timeout=5) as got:
        return bytes(got.read())


def by_connection(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=5)
    connection.request("POST", "/", body, headers)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


def by_file(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    return requests.post(url, data=io.BytesIO(body), headers=headers, timeout=5).content


def by_generator(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    pieces = (body[at : at + 7] for at in range(0, len(body), 7))
    return requests.post(url, data=pieces, headers=headers, timeout=5).content


WAYS = [by_urllib3, by_urlopen, by_connection, by_file, by_generator]


@pytest.mark.parametrize(("way", "spool"), crossed(WAYS, [1 << 20, 10], 2))
def test_every_way_in(way: Any, spool: int, url: str, tmp_path: Path) -> None:
    kinds = ["json of no type", "coding gzip", "multipart/mixed", "soap", "ndjson", "batch"]
    for kind in kinds:
        root = tmp_path / kind.replace("/", " ")
        secret, other = drawn(1)
        with IngestSession("s", root, stdlib=True, spool_limit=spool):
            assert way(url, *BODIES[kind](secret, other)) == b'{"ok": true}'
        assert found_in(root, secret) == []
        with IngestSession("s", root, "replay", stdlib=True, spool_limit=spool):
            assert way(url, *BODIES[kind](*drawn(2))) == b'{"ok": true}'


@pytest.mark.parametrize("kind", ["json as text", "coding br", "xml-rpc"])
def test_mounted_and_asked_for(kind: str, url: str, tmp_path: Path) -> None:
    secret, other = drawn(1)
    body, headers = BODIES[kind](secret, other)
    with IngestSession("s", tmp_path, hook=False) as ingest, requests.Session() as session:
        with mount(session, ingest):
            session.post(url, body, headers=headers, timeout=5)
        ingest.request(url, {"q": "1"}, method="POST", data=body, headers=headers)
    assert found_in(tmp_path, secret) == []
    body, headers = BODIES[kind](*drawn(2))
    with IngestSession("s", tmp_path, "replay", hook=False) as ingest:
        ingest.request(url, {"q": "1"}, method="POST", data=body, headers=headers)
        with requests.Session() as session, mount(session, ingest):
            assert session.post(url, body, headers=headers, timeout=5).ok


def test_an_encoder_of_the_toolbelt(url: str, tmp_path: Path) -> None:
    def send(secret: str) -> bytes:
        fields = {
            "meta": ("m.json", json.dumps({"password": secret}), JSON),
            "token": secret,
            "file": ("f.bin", io.BytesIO(b"\0" * 5000), "application/octet-stream"),
        }
        made = MultipartEncoder(fields)
        headers = typed(made.content_type)
        return requests.post(url, data=made, headers=headers, timeout=5).content

    secret, _ = drawn(1)
    with IngestSession("s", tmp_path):
        send(secret)
    assert found_in(tmp_path, secret) == []
    with IngestSession("s", tmp_path, "replay"):
        assert send(drawn(1)[0]) == b'{"ok": true}'


# -- names that do not count -----------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", sampled([kind for kind in BODIES if kind[:4] not in ("batc", "soap")], 2)
)
def test_ignored_names_are_reached(kind: str, url: str, tmp_path: Path) -> None:
    tape = tmp_path / "a.json"
    names = ["password", "private_key"]

    def send(n: int) -> Any:
        body, headers = BODIES[kind](f"{n}" * 9, "b" * n)
        return requests.post(url, body, headers=headers, timeout=5).json()

    with use_cassette(tape, ignore_params=names, redaction=NOTHING):
        send(1)
    with use_cassette(tape, mode="none", ignore_params=names, redaction=NOTHING):
        assert send(2) == {"ok": True}
    with use_cassette(tape, mode="none", redaction=NOTHING) as without:
        with pytest.raises(ReplayMissError):
            send(2)
        without.misses.clear()


@pytest.mark.parametrize(
    "value", ['{"password": "%s", "a": 1}', "<a><password>%s</password></a>", "{password: '%s'}"]
)
def test_what_is_within_a_parameter(value: str, url: str, tmp_path: Path) -> None:
    secret, _ = drawn(1)
    nonce = value.replace("password", "noncens")
    with IngestSession("s", tmp_path, ignore_params=["noncens"]) as ingest:
        requests.get(url, params={"q": value % secret, "r": nonce % "1"}, timeout=5)
        ingest.request(url, {"s": value % secret})
    assert found_in(tmp_path, secret) == []
    with IngestSession("s", tmp_path, "replay", ignore_params=["noncens"]) as ingest:
        query = {"q": value % drawn(1)[0], "r": nonce % "22"}
        assert requests.get(url, params=query, timeout=5).ok
        ingest.request(url, {"s": value % drawn(1)[0]})


def test_the_member_that_differs_is_named(url: str, tmp_path: Path) -> None:
    tape = tmp_path / "a.json"
    with use_cassette(tape):
        requests.post(url, '{"a": {"b": 1}, "password": "Hunter2-Hunter2"}', timeout=5)
    with use_cassette(tape, mode="none") as again:
        with pytest.raises(ReplayMissError) as caught:
            requests.post(url, '{"a": {"b": 2}, "password": "Hunter3-Hunter3"}', timeout=5)
        again.misses.clear()
    assert "body $.a.b: asked 2, recorded 1" in str(caught.value)
    assert "Hunter" not in str(caught.value)


# -- what can't be looked into ---------------------------------------------------------------


@pytest.fixture
def no_brotli(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("no_brotli")
def test_without_the_library_a_body_is_not_kept_and_that_is_said(url: str, tmp_path: Path) -> None:
    secret, _ = drawn(1)
    body = brotli.compress(f'{{"password": "{secret}"}}'.encode())

    def send() -> requests.Response:
        return requests.post(url, body, headers=typed(JSON, "br"), timeout=5)

    with IngestSession("s", tmp_path / "root") as ingest:
        with pytest.warns(UserWarning, match="under Content-Encoding br.*pip install brotli"):
            send()
        assert stored(ingest) == b"REDACTED"
    with use_cassette(tmp_path / "a.json"), pytest.warns(UserWarning, match="pip install brotli"):
        send()
    for replaying in (
        use_cassette(tmp_path / "a.json", mode="none"),
        IngestSession("s", tmp_path / "root", "replay"),
    ):
        with replaying:
            assert send().ok


def test_a_body_that_ends_early_is_looked_into(url: str, tmp_path: Path) -> None:
    secret, _ = drawn(1)
    whole = gzip.compress(f'{{"password": "{secret}", "a": "{uuid.uuid4()}"}}'.encode())
    with IngestSession("s", tmp_path):
        requests.post(url, whole[:-20], headers=typed(JSON, "gzip"), timeout=5)
    assert found_in(tmp_path, secret) == []


def test_what_is_compressed_is_no_bomb(url: str, tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * (40 << 20))
    with IngestSession("s", tmp_path) as ingest:
        requests.post(url, bomb, headers=typed(JSON, "gzip"), timeout=60)
        assert stored(ingest) == bomb
    with IngestSession("s", tmp_path, "replay"):
        again = gzip.compress(b"\0" * (40 << 20), 5, mtime=9)
        assert requests.post(url, again, headers=typed(JSON, "gzip"), timeout=60).ok
