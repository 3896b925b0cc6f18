"""A call that is signed anew is the same call, and its data still tells it from others."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError, use_cassette
from mxm_dataio.redaction import DEFAULT
from tests.support.effort import crossed
from tests.support.servers import RawServer, Request, answer

FORM = "application/x-www-form-urlencoded"
_times = count(1)


def echo(request: Request) -> bytes:
    return answer(200, f"{request.target} {request.body.decode('latin-1')}".encode())


@pytest.fixture
def server() -> Iterator[RawServer]:
    def handle(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            connection.send(echo(request))

    with RawServer(handle) as server:
        yield server


def signed(number: int) -> str:
    """Return what looks like a signature made for a call."""
    return base64.b64encode(f"signature number {number:09d}".encode()).decode()


def jwt(number: int) -> str:
    parts = [{"alg": "RS256"}, {"iss": "sa@p", "iat": 1_700_000_000 + number}]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*(text.rstrip("=") for text in texts), signed(number).rstrip("=")])


def clock(number: int) -> str:
    return f"2024-01-01T00:00:{number:02d}Z"


# The fields of one call, given a number that each making of it has of its own.
KINDS: dict[str, Any] = {
    "S3 2": lambda n: {"AWSAccessKeyId": "A", "Expires": 1_700_000_000 + n, "Signature": signed(n)},
    "S3 4": lambda n: {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"A/2024010{n}/s3",
        "X-Amz-Date": f"2024010{n}T000000Z", "X-Amz-Expires": 3600,
        "X-Amz-SignedHeaders": "host", "X-Amz-Signature": signed(n),
    },
    "CloudFront": lambda n: {"Policy": signed(n + 50), "Signature": signed(n), "Key-Pair-Id": "K"},
    "Azure": lambda n: {
        "sv": "2022-11-02", "sr": "b", "sp": "r", "st": clock(n), "se": clock(n + 9),
        "sig": signed(n),
    },
    "Google 2": lambda n: {
        "GoogleAccessId": "a@b", "Expires": 1_700_000_000 + n, "Signature": signed(n)
    },
    "Aliyun": lambda n: {
        "OSSAccessKeyId": "A", "Expires": 1_700_000_000 + n, "Signature": signed(n)
    },
    "Aliyun 4": lambda n: {
        "x-oss-signature-version": "OSS4-HMAC-SHA256", "x-oss-date": f"2024010{n}T000000Z",
        "x-oss-expires": 60, "x-oss-credential": f"A/2024010{n}", "x-oss-signature": signed(n),
    },
    "Tencent": lambda n: {
        "q-sign-algorithm": "sha1", "q-ak": "A", "q-sign-time": f"{1_700_000_000 + n};1",
        "q-key-time": f"{1_700_000_000 + n};1", "q-signature": signed(n),
    },
    "Alibaba": lambda n: {
        "AccessKeyId": "A", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
        "SignatureNonce": f"nonce-{n}", "Timestamp": clock(n), "Signature": signed(n),
    },
    "Binance": lambda n: {
        "recvWindow": 5000, "timestamp": 1_700_000_000_000 + n, "signature": signed(n)
    },
    "OAuth 1": lambda n: {
        "oauth_nonce": f"n{n}", "oauth_timestamp": 1_700_000_000 + n, "oauth_token": "t",
        "oauth_signature": signed(n), "oauth_signature_method": "HMAC-SHA1",
    },
    "a signed assertion": lambda n: {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": jwt(n)
    },
    "a client's assertion": lambda n: {
        "grant_type": "client_credentials", "client_assertion": jwt(n),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    },
    "a code": lambda n: {
        "grant_type": "authorization_code", "code": f"c{n}", "code_verifier": f"v{n}"
    },
    "Google's key": lambda n: {"key": f"AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMB{n:02d}"},
    "OpenWeather's key": lambda n: {"appid": f"b6907d289e10d714a6e88b30761fae{n:02d}"},
}  # fmt: skip


@pytest.mark.parametrize("how", ["root", "cassette"])
@pytest.mark.parametrize(("kind", "place"), crossed(KINDS, ["query", "form", "params"]))
def test_made_anew_it_replays(
    kind: str, how: str, place: str, server: RawServer, tmp_path: Path
) -> None:
    def call(ingest: Any, item: str) -> bytes:
        fields = {"item": item, **KINDS[kind](next(_times) % 9)}
        if place == "query":
            return requests.get(f"{server.url}/a?{urlencode(fields)}", timeout=5).content
        if place == "form":
            return requests.post(f"{server.url}/a", data=fields, timeout=5).content
        return ingest.content(ingest.request(f"{server.url}/a", fields))  # type: ignore[no-any-return]

    def session(mode: str) -> Any:
        if how == "cassette":
            return use_cassette(tmp_path / "a.json", mode=mode)
        return IngestSession("s", tmp_path, mode)

    with session("record") as ingest:
        live = [call(ingest, item) for item in "ab"]
    assert live[0] != live[1]
    hits = server.hits
    with session("replay") as ingest:
        # Which of them it is, its data tells.
        for item, was in (("b", live[1]), ("a", live[0])):
            assert f"item={item}".encode() in was
            assert f"item={item}".encode() in call(ingest, item)
    assert server.hits == hits
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"signature number" not in stored
    assert not [n for n in range(60) if signed(n).encode() in stored]


def test_asked_by_params_or_url_it_is_one_call(server: RawServer, tmp_path: Path) -> None:
    fields = {"item": "a", **KINDS["Binance"](1)}
    with IngestSession("s", tmp_path) as ingest:
        requests.get(f"{server.url}/a?{urlencode(fields)}", timeout=5)
    with IngestSession("s", tmp_path, "replay") as ingest:
        later = {"item": "a", **KINDS["Binance"](2)}
        assert b"item=a" in ingest.content(ingest.request(f"{server.url}/a", later))
        signature = later.pop("signature")
        url = f"{server.url}/a?signature={signature}"
        assert b"item=a" in ingest.content(ingest.request(url, later))


def test_pages_are_no_secrets(server: RawServer, tmp_path: Path) -> None:
    names = ("pageToken", "next_page_token", "continuation_token", "sync_token", "NextToken")
    tokens = [f"Zk3nX0pQ7rT2vW9yAbCdEf{n}" for n in range(3)]
    with IngestSession("s", tmp_path):
        for name in names:
            for token in tokens:
                requests.get(f"{server.url}/a", {name: token}, timeout=5)
    with IngestSession("s", tmp_path, "replay"):
        for name in names:
            for token in reversed(tokens):
                assert token.encode() in requests.get(f"{server.url}/a", {name: token}).content
    with pytest.raises(ReplayMissError), IngestSession("s", tmp_path, "replay"):
        requests.get(f"{server.url}/a", {"pageToken": "another"})


def test_a_name_that_is_switched_off_counts(server: RawServer, tmp_path: Path) -> None:
    mine = DEFAULT.without(names=["userToken", "key"])
    urls = [f"{server.url}/a?userToken={n}&key=AIzaSyD-9tSrke72PouQMnMX-a7eZ{n}" for n in range(2)]
    with IngestSession("s", tmp_path, redaction=mine):
        live = [requests.get(url, timeout=5).content for url in urls]
    with IngestSession("s", tmp_path, "replay", redaction=mine):
        assert [requests.get(url).content for url in reversed(urls)] == live[::-1]
