"""Plants secrets in every place that HTTP has, records, and looks for them in every byte on disk.

``python -m tests.trust.secrets`` prints how many were planted and found; exit status 1 if any was.
"""

from __future__ import annotations

import base64
import functools
import gzip
import html
import io
import json
import logging
import random
import re
import sys
import tempfile
import urllib.request
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import requests
import urllib3
from requests.adapters import HTTPAdapter

from mxm_dataio import (
    IngestSession,
    Redaction,
    ReplayMissError,
    Store,
    exporting,
    mount,
    register,
    unregister,
    use_cassette,
)
from mxm_dataio.formats import cassette
from mxm_dataio.redaction import DEFAULT
from tests.proxies import proxy
from tests.servers import RawServer, Request, answer

SOURCE = "planted"
WORDS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
KINDS = ("hex", "url-safe", "base64", "jwt", "odd")
WAYS = ("hook", "mount", "cassette")
FORM = "application/x-www-form-urlencoded"


@functools.cache
def forms(secret: str) -> set[bytes]:
    """Return what to look for: a secret as it is, and as it may be written."""
    data = secret.encode()
    found = {data, quote(secret, safe="").encode(), quote(secret).encode()}
    found |= {quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()}
    found |= {html.escape(secret).encode(), secret.encode("utf-16-le"), secret.encode("utf-16-be")}
    found |= {secret.encode("latin-1")}
    for before in range(3):
        text = base64.b64encode(bytes(before) + data)
        inner = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


@dataclass
class Garden:
    """Makes secrets, and remembers them."""

    seed: int = 5
    planted: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def plant(self, kind: str) -> str:
        """Return a new secret."""
        draw = "".join(self._random.choices(WORDS, k=24)) + "7z"
        secret = {
            "hex": f"{self._random.getrandbits(128):032x}",
            "url-safe": f"{draw[:9]}-{draw[9:20]}_{draw[20:]}",
            "base64": f"{draw[:8]}+{draw[8:19]}/{draw[19:]}==",
            "jwt": f"eyJ{draw[:7]}.{draw[7:19]}.{draw[19:]}",
            "odd": f'{draw[:10]}&"\\ é%/+<{draw[10:]}',
        }[kind]
        self.planted.append(secret)
        return secret

    def found(self, data: bytes) -> list[str]:
        """Return the secrets that stand in some bytes."""
        return [one for one in self.planted if any(form in data for form in forms(one))]


@dataclass
class Bed:
    """Where one secret is planted.

    Attributes:
        secret: as it is; ``token``: as a header or a cookie can carry it.
        url: of the server; ``dead``: where nothing listens; ``via``: of a proxy.
    """

    web: requests.Session
    ingest: IngestSession
    secret: str
    url: str
    via: str
    dead: str = "http://127.0.0.1:1"

    @property
    def token(self) -> str:
        """The secret as a header or a cookie can carry it."""
        return quote(self.secret, safe="") if '"' in self.secret else self.secret

    def spread(self) -> None:
        """Have the secret, which is known by now, in every other place."""
        secret, url, web = self.secret, self.url, self.web
        web.get(f"{url}/path/{quote(secret, safe='')}/end", params={"unknown": secret})
        web.post(f"{url}/echo", data={"middleware": secret, "note": f"it is {secret}!"})
        web.post(f"{url}/echo", json={"deep": [{"unheard": f"<{secret}>"}]})
        web.post(f"{url}/echo", data=f"<a b='x'>{html.escape(secret)}</a>".encode(),
                 headers={"Content-Type": "text/xml"})  # fmt: skip
        web.post(f"{url}/echo", files={"file": f"one\n{secret}\ntwo".encode()})
        web.post(f"{url}/echo", data=iter([b"a ", secret.encode(), b" b"]))
        web.post(f"{url}/echo", data=json.dumps({"x": secret}).encode("utf-16"),
                 headers={"Content-Type": "application/json"})  # fmt: skip
        held = base64.b64encode(f"someone:{secret}".encode()).decode()
        web.get(f"{url}/echo", headers={"X-Unknown": self.token, "X-Held": held})
        web.get(f"{url}/header", headers={"X-Say": self.token})
        for coding in ("identity", "gzip", "deflate"):
            web.post(f"{url}/echo?coding={coding}", data=f"[{secret}]".encode())


def bearer(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", headers={"Authorization": f"Bearer {bed.token}"})


def basic(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", auth=("someone", bed.secret.encode()))


def api_key(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", headers={"X-API-Key": bed.token})


def cookie(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", cookies={"sessionid": bed.token})
    bed.web.cookies.clear()


def set_cookie(bed: Bed) -> None:
    # Used before the body that came with it was read.
    with bed.web.get(f"{bed.url}/cookie", params={"token": bed.token}, stream=True) as got:
        csrf = got.cookies["csrftoken"]
        bed.web.post(f"{bed.url}/echo", data={"middleware": csrf}, headers={"X-Form": csrf})
    bed.web.cookies.clear()


def userinfo(bed: Bed) -> None:
    host = bed.url.removeprefix("http://")
    bed.web.get(f"http://someone:{quote(bed.secret, safe='')}@{host}/echo")


def query(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", params={"api_key": bed.secret})
    url = f"{bed.url}/echo?{urlencode({'api_key': bed.secret})}#access_token={quote(bed.secret)}"
    bed.web.get(f"{bed.url}/echo", headers={"Referer": url})


def form(bed: Bed) -> None:
    bed.web.post(f"{bed.url}/echo", data={"password": bed.secret, "again": bed.secret})


def deep_json(bed: Bed) -> None:
    bed.web.post(f"{bed.url}/echo", json={"a": [{"client_secret": bed.secret}], "b": bed.secret})


def multipart(bed: Bed) -> None:
    bed.web.post(f"{bed.url}/echo", files={"f": b"1"}, data={"token": bed.secret})


def signed(bed: Bed) -> None:
    for name in ("X-Amz-Security-Token", "X-Amz-Signature", "X-Goog-Signature", "sig"):
        bed.web.get(f"{bed.url}/echo?{urlencode({'part': 1, name: bed.secret})}")


def token_answer(bed: Bed) -> None:
    for coding in ("identity", "gzip", "deflate"):
        say = {
            "access_token": bed.secret,
            "token_type": "Bearer",
            "nested": {"id_token": bed.secret},
        }
        got = bed.web.post(f"{bed.url}/token?coding={coding}", json={"secret": json.dumps(say)})
        assert got.json()["access_token"] == bed.secret, "the program gets what came"


def redirect(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/away", params={"token": bed.secret})


def failure(bed: Bed) -> None:
    for url in (f"{bed.dead}/?{urlencode({'token': bed.secret})}",
                f"{bed.url}/cut?{urlencode({'token': bed.secret})}",
                f"{bed.url}/cut/{quote(bed.secret, safe='')}"):  # fmt: skip
        with suppress(requests.RequestException):
            bed.web.get(url, headers={"X-API-Key": bed.token})
    # Tried twice.
    bed.web.get(f"{bed.url}/busy?{urlencode({'apikey': bed.secret})}")


def proxied(bed: Bed) -> None:
    via = bed.via.replace("//", f"//someone:{quote(bed.secret, safe='')}@")
    bed.web.get("http://example.invalid/a", proxies={"http": via})


def stream(bed: Bed) -> None:
    body = json.dumps({"token": bed.secret, "pad": "x" * 300_000}).encode()
    kinds = {"Content-Type": "application/json"}
    bed.web.post(f"{bed.url}/sink", data=io.BytesIO(body), headers=kinds)
    bed.web.post(f"{bed.url}/sink", data=iter([bed.secret.encode(), b"x" * 300_000]))


def trailer(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/trailer", params={"token": bed.token}, headers={"X-Say": bed.token})


def asked(bed: Bed) -> None:
    for data in (None, {"password": bed.secret}):
        bed.ingest.request(f"{bed.url}/echo", {"token": bed.secret}, method="POST", data=data)
    with suppress(Exception):
        bed.ingest.request(f"{bed.dead}/", {"token": bed.secret})


class _Fetcher:
    def fetch(self, request: Any) -> bytes:
        if "fail" in request.endpoint:
            raise OSError(f"no answer for {request.params['token']}")
        return f"it was {request.params['token']}".encode()


def fetcher(bed: Bed) -> None:
    register(SOURCE, _Fetcher())
    try:
        bed.ingest.request("name", {"token": bed.secret})
        with suppress(Exception):
            bed.ingest.request("fail", {"token": bed.secret})
    finally:
        unregister(SOURCE)


def standard_library(bed: Bed) -> None:
    url = f"{bed.url}/echo?{urlencode({'access_key': bed.secret})}"
    fields = {"X-Auth-Token": bed.token, "Cookie": f"sessionid={bed.token}"}
    given = urllib.request.Request(url, json.dumps({"apikey": bed.secret}).encode(), fields)
    with urllib.request.build_opener().open(given, timeout=10) as got:
        got.read()


def oauth_header(bed: Bed) -> None:
    value = f'OAuth realm="x", oauth_token="{quote(bed.secret, safe="")}", oauth_version="1.0"'
    bed.web.get(f"{bed.url}/echo", headers={"Authorization": value})


PLACES: tuple[Callable[[Bed], None], ...] = (
    bearer, basic, api_key, cookie, set_cookie, userinfo, query, form, deep_json, multipart,
    signed, token_answer, redirect, failure, proxied, stream, trailer, asked, fetcher,
    oauth_header, standard_library,
)  # fmt: skip


def serve(connection: Any) -> None:
    """Answer as the places want it."""
    busy = True
    while (request := connection.read_request()) is not None:
        if request.path.startswith("/cut"):
            body = f"partly {request.target} {request.header('X-API-Key')}".encode()
            fields = [("Content-Length", "5000"), ("Content-Type", "text/plain")]
            connection.send(answer(200, body, headers=fields))
            return
        if request.path == "/busy" and busy:
            busy = False
            connection.send(answer(503, request.target.encode(), headers=[("Retry-After", "0")]))
            continue
        connection.send(_answer(request))


def _answer(request: Request) -> bytes:
    say = request.header("X-Say") or ""
    asked_for = request.target.partition("?")[2].replace("token=", "")
    match request.path:
        case "/cookie":
            page = f"<input name=csrf value='{asked_for}'>".encode()
            cookie = ("Set-Cookie", f"csrftoken={asked_for}; Path=/")
            return answer(200, page, headers=[cookie, ("Content-Type", "text/html")])
        case "/header":
            fields = [("ETag", f'"{say}"'), ("Link", f"<http://h/{say}>; rel=next")]
            return answer(200, headers=fields, reason=f"For {say}")
        case "/token":
            kind = ("Content-Type", "application/json;charset=UTF-8")
            return _coded(request, json.loads(json.loads(request.body)["secret"]), kind)
        case "/away":
            there = f"/echo?access_token={asked_for}#id_token={asked_for}"
            return answer(302, f"see {there}".encode(), headers=[("Location", there)])
        case "/trailer":
            text = f"of {say}"
            fields = [("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")]
            chunk = f"{len(text):x};a={say}\r\n{text}\r\n"
            trailers = f"X-Was: {say}\r\nSet-Cookie: a={say}\r\n"
            return answer(200, headers=fields) + f"{chunk}0\r\n{trailers}\r\n".encode()
        case "/sink":
            return answer(200)
    shown = " ".join([request.target, request.body.decode("latin-1"), *map(str, request.headers)])
    return _coded(request, shown, ("Content-Type", "text/plain; charset=latin-1"))


def _coded(request: Request, value: Any, kind: tuple[str, str]) -> bytes:
    body = value.encode("latin-1") if isinstance(value, str) else json.dumps(value).encode()
    coding = request.target.rpartition("coding=")[2] if "coding=" in request.target else ""
    if coding in ("gzip", "deflate"):
        body = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
        return answer(200, body, headers=[kind, ("Content-Encoding", coding)])
    return answer(200, body, headers=[kind], chunked=[7, 30] if len(body) % 2 else None)


def run(
    root: Path,
    redaction: Redaction = DEFAULT,
    kinds: tuple[str, ...] = KINDS,
    ways: tuple[str, ...] = WAYS,
) -> tuple[Garden, dict[str, str]]:
    """Plant, record and look; return the garden, and each secret found with where."""
    garden = Garden()
    beside = root.with_name("cassettes")
    beside.mkdir()
    found: dict[str, str] = {}

    def look(where: str, data: bytes) -> None:
        for secret in garden.found(data):
            found.setdefault(secret, where)

    looked: set[tuple[int, int, int]] = set()
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    logging.getLogger("mxm_dataio").addHandler(handler)
    logging.getLogger("mxm_dataio").setLevel(logging.DEBUG)
    misses: list[str] = []
    with (
        warnings.catch_warnings(record=True) as warned,
        RawServer(serve) as server,
        RawServer(proxy()) as via,
    ):
        warnings.simplefilter("always")
        with IngestSession(SOURCE, root):
            pass  # There is a root, whatever the way.
        for way in ways:
            for kind in kinds:
                with _session(way, root, beside / f"{kind}.json", redaction) as ingest:
                    for place in PLACES:
                        if way == "mount" and place is standard_library:
                            continue  # Not captured: nothing says that it is a secret.
                        _plant(ingest, place, garden.plant(kind), server, via, way)
                    # What has not changed since the last look can't hold what was planted since.
                    for path, data in _files(root, beside, but=looked):
                        look(str(path), data)
        with IngestSession(SOURCE, root, "replay", redaction=redaction) as replay:
            for secret in garden.planted:
                try:
                    fields = {"X-API-Key": quote(secret), "Accept": quote(secret)}
                    asked_for = {"token": secret, "unknown": secret}
                    requests.get(f"{server.url}/missing", params=asked_for, headers=fields)
                except ReplayMissError as miss:
                    misses.append(str(miss))
            replay.misses.clear()
    logging.getLogger("mxm_dataio").removeHandler(handler)
    with Store(root, readonly=True) as store:
        for session in store.sessions():
            exporting.to_cassette(store, session, beside / f"{session.id}.json")
    for path, data in _files(root, beside):
        look(str(path), data)
    for name, data in _held(beside):
        look(name, data)
    look("logs", logged.getvalue().encode())
    look("warnings", "\n".join(str(one.message) for one in warned).encode())
    look("misses", "\n".join(misses).encode())
    for path in (root, *root.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        if path.stat().st_mode & 0o777 != wanted:
            found[str(path)] = f"mode {path.stat().st_mode & 0o777:o}"
    return garden, found


def _plant(
    ingest: IngestSession, place: Any, secret: str, server: RawServer, via: RawServer, way: str
) -> None:
    with requests.Session() as web:
        web.trust_env = False
        web.mount("http://", HTTPAdapter(max_retries=urllib3.Retry(
            1, backoff_factor=0, status_forcelist=[503])))  # fmt: skip
        if way == "mount":
            mount(web, ingest)
        bed = Bed(web, ingest, secret, server.url, via.url)
        place(bed)
        bed.spread()


def _session(way: str, root: Path, path: Path, redaction: Redaction) -> Any:
    if way == "cassette":
        return use_cassette(path, source=SOURCE, redaction=redaction, stdlib=True)
    hook = way == "hook"
    return IngestSession(SOURCE, root, hook=hook, stdlib=hook, redaction=redaction)


def _files(
    *folders: Path, but: set[tuple[int, int, int]] | None = None
) -> Iterator[tuple[Path, bytes]]:
    for path in (path for folder in folders for path in folder.rglob("*")):
        with suppress(FileNotFoundError):
            if path.is_file():
                state = path.stat()
                known = (state.st_ino, state.st_size, state.st_mtime_ns)
                if but is not None and known in but:
                    continue
                yield path, _inflated(path.read_bytes())
                if but is not None:
                    but.add(known)


def _inflated(data: bytes) -> bytes:
    for undo in (gzip.decompress, zlib.decompress):
        with suppress(OSError, zlib.error):
            data += undo(data)
    return data


def _held(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what cassettes hold: bodies as they were, and the text without what wraps its lines."""
    count = 0
    for path in folder.glob("*.json"):
        text = path.read_bytes()
        yield f"{path}, joined", re.sub(rb'[\s",]+', b"", text)
        for recording in cassette.recordings(cassette.parse(text, str(path)), str(path)):
            for payload in recording.payloads.values():
                count += 1
                yield f"{path}, a body", _inflated(payload)
    assert count, "the cassettes have no body to look into"


def main() -> int:
    """Run, and say what was found."""
    with tempfile.TemporaryDirectory() as folder:
        garden, found = run(Path(folder) / "root")
    print(f"{len(garden.planted)} secrets planted, {len(found)} found")
    for secret, where in found.items():
        print(f"  {secret!r} in {where}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
