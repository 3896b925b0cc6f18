"""A signed token's claims can be read in replay, and its signature is nowhere on disk."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import IngestSession, mount, use_cassette
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.servers import RawServer, Request, answer

EXPIRES = 4102444800
SIGNATURE = "c2lnbmF0dXJl-2lnbmF0dXJl_9k"
JSON = ("Content-Type", "application/json")
Way = Callable[[Path, str], AbstractContextManager[Any]]


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def token_of(signature: str = SIGNATURE, **claims: Any) -> str:
    said = {"sub": "u1", "exp": EXPIRES, **claims}
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(said)}.{signature}"


TOKEN = token_of()
VOID = TOKEN.replace(SIGNATURE, "REDACTED")


def expiry(token: str) -> int:
    header, claims, signature = token.split(".")
    assert all((header, signature))
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return int(said["exp"])


def site(token: str) -> Callable[[Any], None]:
    def one(request: Request) -> bytes:
        match request.path:
            case "/token":
                say = {"access_token": token, "id_token": token, "token_type": "Bearer"}
                return answer(200, json.dumps(say).encode(), headers=[JSON])
            case "/cookie":
                return answer(200, b"", headers=[("Set-Cookie", f"sid={token}; Path=/")])
            case "/header":
                return answer(200, b"", headers=[("Authorization", f"Bearer {token}")])
            case "/authorize":
                there = f"/callback?state=1#id_token={token}&token_type=bearer"
                return answer(302, b"", headers=[("Location", there)])
        good = token.encode() in request.raw
        echo = f"token {token} for you" if good else "no"
        return answer(200 if good else 401, echo.encode(), headers=[("Content-Type", "text/html")])

    def serve(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            connection.send(one(request))

    return serve


def token_by_answer(web: requests.Session, url: str) -> str:
    return str(
        web.post(f"{url}/token", data={"client_secret": "s3cr3t-s3cr3t-1"}).json()["access_token"]
    )


def token_by_cookie(web: requests.Session, url: str) -> str:
    token = web.get(f"{url}/cookie").cookies["sid"]
    web.cookies.clear()
    return token


def token_by_header(web: requests.Session, url: str) -> str:
    return web.get(f"{url}/header").headers["Authorization"].partition(" ")[2]


def token_by_fragment(web: requests.Session, url: str) -> str:
    got = web.get(f"{url}/authorize", allow_redirects=False)
    return got.headers["Location"].partition("id_token=")[2].partition("&")[0]


def uses(web: requests.Session, url: str, token: str) -> list[Any]:
    """Send a token in every place."""
    held = base64.b64encode(f"someone:{token}".encode()).decode()
    signature = token.rpartition(".")[2]
    sent = [
        web.get(
            f"{url}/data", headers={"Authorization": f"Bearer {token}", "Accept": f"x/{token}"}
        ),
        web.get(f"{url}/data/{token}/x", params={"q": token, "access_token": token}),
        web.post(f"{url}/data", data={"middle": token, "token": token}),
        web.post(f"{url}/data", json={"deep": [token, f"Bearer {token}"], "jwt": token, "b": held}),
        web.post(f"{url}/data", data=f"<a>{token}</a>", headers={"Content-Type": "text/xml"}),
        web.post(f"{url}/data", files={"f": token.encode()}, data={"x": token}),
        web.get(f"{url}/split/{signature}", cookies={"kept": token, "s": signature}),
    ]
    web.cookies.clear()
    return [got.status_code for got in sent]


def hooked(path: Path, mode: str) -> AbstractContextManager[Any]:
    return IngestSession("s", path, mode)


def taped(path: Path, mode: str) -> AbstractContextManager[Any]:
    return use_cassette(path / "tape.json", "once" if mode == "record" else "none")


WAYS: dict[str, Way] = {"root": hooked, "cassette": taped}
SOURCES = [token_by_answer, token_by_cookie, token_by_header, token_by_fragment]


def leaks(root: Path, *values: str) -> list[tuple[str, str]]:
    found = []
    for value in values:
        forms = {value.encode()}
        for before in range(3):
            text = base64.urlsafe_b64encode(bytes(before) + value.encode())
            forms.add(text[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6])
        for path in root.rglob("*"):
            if path.is_file() and any(form in path.read_bytes() for form in forms):
                found.append((path.name, value))
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_program_decodes_it_in_replay(way: str, source: Any, tmp_path: Path) -> None:
    seen = []
    hits = []
    with RawServer(site(TOKEN)) as server:
        for mode in ("record", "replay"):
            with WAYS[way](tmp_path, mode), requests.Session() as web:
                token = source(web, server.url)
                seen.append((token, expiry(token), uses(web, server.url, token)))
            hits.append(server.hits)
    assert hits[0] == hits[1]
    assert seen[0][0] == TOKEN
    assert seen[1][0] == VOID
    assert seen[0][1:] == seen[1][1:]
    assert seen[0][2] == [200] * 7
    assert leaks(tmp_path, SIGNATURE) == []


def test_mounted_and_by_other_clients(tmp_path: Path) -> None:
    seen: list[Any] = []
    with RawServer(site(TOKEN)) as server:
        host = server.url.removeprefix("http://")
        for mode in ("record", "replay"):
            with (
                IngestSession("s", tmp_path, mode, stdlib=True) as ingest,
                requests.Session() as web,
                urllib3.PoolManager() as pool,
            ):
                with mount(web, ingest):
                    token = token_by_answer(web, server.url)
                raw = http.client.HTTPConnection(host)
                raw.request("GET", f"/data/{token}", headers={"Authorization": f"Bearer {token}"})
                text = raw.getresponse().read().decode()
                raw.close()
                asked = ingest.request(f"{server.url}/data", {"q": token})
                echoed = pool.request("GET", f"{server.url}/data?z={token}").data.decode()
                again = ingest.content(asked).decode()
                seen.append([said.split()[1] for said in (text, echoed, again)])
                assert {expiry(one) for one in seen[-1]} == {EXPIRES}
    assert seen[0][:2] == [TOKEN] * 2
    assert seen[1] == [VOID] * 3
    assert leaks(tmp_path, SIGNATURE) == []


def test_what_it_claims_does_not_count(tmp_path: Path) -> None:
    identities = []
    for number in range(2):
        token = token_of(f"{SIGNATURE}{number}", iat=number)
        root = tmp_path / str(number)
        with RawServer(site(token)) as server:
            with IngestSession("s", root), requests.Session() as web:
                uses(web, server.url, token_by_answer(web, server.url))
            port = str(server.port)
        with RecordingStore(root) as store:
            (session,) = store.sessions()
            calls = list(store.exchanges(session.id))
        identities.append([call.request.identity.replace(port, "") for call in calls])
    assert identities[0] == identities[1]


@pytest.mark.parametrize(
    "token",
    [
        f"{part({'alg': 'dir'})}.{'k' * 22}.{'i' * 16}.{'c' * 30}.{'t' * 22}",
        f"{part([1])}.{part({'a': 1})}.{SIGNATURE}",
        f"eyJhbGciOiJ.eyJzdWIiOiIx.{SIGNATURE}",
        f"{part({'alg': 'none'})}.{part({'a': 1})}.",
    ],
    ids=["encrypted", "no object", "no JSON", "unsigned"],
)
def test_what_is_no_signed_token_goes_whole(token: str, tmp_path: Path) -> None:
    with RawServer(site(token)) as server:
        with IngestSession("s", tmp_path), requests.Session() as web:
            assert token_by_answer(web, server.url) == token
        with IngestSession("s", tmp_path, "replay"), requests.Session() as web:
            assert token_by_answer(web, server.url) == "REDACTED"
    assert leaks(tmp_path, token) == []


def test_a_short_signature_goes_too(tmp_path: Path) -> None:
    token = token_of("sig")
    seen = []
    with RawServer(site(token)) as server:
        for mode in ("record", "replay"):
            with IngestSession("s", tmp_path, mode), requests.Session() as web:
                seen.append(token_by_answer(web, server.url))
                web.get(f"{server.url}/data/{seen[-1]}/x")
    assert expiry(seen[1]) == EXPIRES
    assert leaks(tmp_path, token) == []
