"""requests-oauthlib: requests signed anew each time, tokens fetched and refreshed."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from mxm_dataio import ReplayMissError
from tests.clients.harness import (
    WHY,
    Carry,
    exchanges,
    files_with,
    record_then_replay,
    session,
)
from tests.support.servers import RawServer, Request, answer, responder

requests_oauthlib = pytest.importorskip("requests_oauthlib", reason=WHY)
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient  # noqa: E402

KEY, SECRET = "example-client-id", "example-client-secret"
OWNER, OWNER_SECRET = "example-owner-token", "example-owner-secret"
ACCESS, REFRESH, PASSWORD = "example-access-", "example-refresh-", "example-user-password"


def say(value: Any, status: int = 200) -> bytes:
    body = json.dumps(value).encode()
    return answer(status, body, headers=[("Content-Type", "application/json")])


def token(request: Request) -> bytes:
    form = parse_qs(request.body.decode())
    grant = form["grant_type"][0]
    number = 1 if grant == "password" else 2
    return say(
        {
            "access_token": f"{ACCESS}{number}",
            "refresh_token": f"{REFRESH}{number}",
            "token_type": "Bearer",
            # The first is over at once, so that it has to be refreshed.
            "expires_in": -1 if grant == "password" else 3600,
        }
    )


def private(request: Request) -> bytes:
    known = request.header("Authorization") == f"Bearer {ACCESS}2"
    return say({"account": 7}) if known else say({"error": "invalid_token"}, 401)


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/signed": lambda r: say({"said": r.body.decode().partition("&")[0]}),
        "/request_token": answer(200, b"oauth_token=temporary&oauth_token_secret=hidden"),
        "/token": token,
        "/private": private,
    }
    with RawServer(responder(routes)) as running:
        yield running


@pytest.fixture(autouse=True)
def _over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.mark.parametrize("place", ["AUTH_HEADER", "QUERY", "BODY"])
def test_oauth1_signs_each_request_anew(
    place: str, server: RawServer, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Wherever nonce, timestamp and signature stand, a later day's replay finds the call.
    def work(carry: Carry) -> Any:
        day = next(days)
        monkeypatch.setattr(
            "oauthlib.oauth1.rfc5849.generate_timestamp", lambda: str(1767225600 + 86400 * day)
        )
        with requests_oauthlib.OAuth1Session(
            KEY, SECRET, OWNER, OWNER_SECRET, signature_type=place
        ) as web:
            carry(web)
            seen = [web.post(f"{server.url}/signed", data={"b": "1"}).json()]
            if place != "BODY":
                seen.append(web.get(f"{server.url}/signed?x=é&x=2").json())
            seen.append(web.fetch_request_token(f"{server.url}/request_token"))
        return seen

    days = itertools.count()
    result = record_then_replay(tmp_path, server, work, way=way)
    assert result[0] == {"said": "b=1"}
    assert result[-1]["oauth_token"] == "temporary"
    text = b"".join(
        f"{r.target} {r.header('Authorization')} ".encode() + r.body for r in server.requests
    ).decode()
    nonces = re.findall(r'oauth_nonce="?(\w+)', text)
    assert len(set(nonces)) == len(server.requests)
    for secret in (SECRET, OWNER, OWNER_SECRET):
        assert files_with(tmp_path, secret) == []


def test_oauth1_another_request_is_another(server: RawServer, tmp_path: Path) -> None:
    with requests_oauthlib.OAuth1Session(KEY, SECRET, signature_type="QUERY") as web:
        with session(tmp_path, "record"):
            web.get(f"{server.url}/signed?x=1")
        with pytest.raises(ReplayMissError), session(tmp_path, "replay"):
            web.get(f"{server.url}/signed?x=2")


def test_oauth2_refreshes_its_token(server: RawServer, tmp_path: Path, way: str) -> None:
    def work(carry: Carry) -> Any:
        kept: list[Any] = []
        with requests_oauthlib.OAuth2Session(
            client=LegacyApplicationClient(KEY),
            auto_refresh_url=f"{server.url}/token",
            auto_refresh_kwargs={"client_id": KEY, "client_secret": SECRET},
            token_updater=kept.append,
        ) as web:
            carry(web)
            first = web.fetch_token(
                f"{server.url}/token",
                username="user",
                password=PASSWORD,
                client_id=KEY,
                client_secret=SECRET,
            )
            answers = [web.get(f"{server.url}/private") for _ in range(2)]
        return [
            first["access_token"],
            [made["access_token"] for made in kept],
            [(made.status_code, made.json()) for made in answers],
        ]

    # In replay the program is handed the placeholder for each token, and all else works.
    result = record_then_replay(
        tmp_path, server, work, way=way, hidden=(f"{ACCESS}1", f"{ACCESS}2")
    )
    assert result == [f"{ACCESS}1", [f"{ACCESS}2"], [(200, {"account": 7})] * 2]
    tokens = [c for c in exchanges(tmp_path) if c.request.url.endswith("/token")]
    assert len(tokens) == 2
    for secret in (SECRET, PASSWORD, ACCESS, REFRESH):
        assert files_with(tmp_path, secret) == []
    assert all(call.answer is not None and call.answer.redacted for call in tokens)


def test_oauth2_client_credentials(server: RawServer, tmp_path: Path) -> None:
    def work(_: Carry) -> Any:
        with requests_oauthlib.OAuth2Session(client=BackendApplicationClient(KEY)) as web:
            web.fetch_token(f"{server.url}/token", client_id=KEY, client_secret=SECRET)
            return web.get(f"{server.url}/private").json()

    assert record_then_replay(tmp_path, server, work) == {"account": 7}
    basic = server.requests[0].header("Authorization")
    assert basic is not None
    assert basic.startswith("Basic ")
    for secret in (SECRET, basic.removeprefix("Basic "), f"{ACCESS}2\\"):
        assert files_with(tmp_path, secret) == []
