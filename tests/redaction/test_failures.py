"""A call that fails says what it failed with: its own secrets are not in what is kept of that."""

from __future__ import annotations

import gzip
import http.client
import sqlite3
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    FetchError,
    IngestSession,
    Redaction,
    ReplayMissError,
    StoreError,
    mount,
    register,
    unregister,
    use_cassette,
)
from mxm_dataio.errors import RuleError
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.redaction.secrets import Secrets
from tests.support.effort import crossed
from tests.support.servers import RawServer, answer, responder

DEAD = "http://127.0.0.1:1"
# One that is known wherever it turns up, and some that would take data along.
VALUES = ["s3cr3tV4lue0815", "pa5s"]


def held(folder: Path) -> Iterator[bytes]:
    """Yield every byte on disk, rows and packed files as they are read."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield data
            with suppress(OSError, EOFError):
                yield gzip.decompress(data)
            if path.suffix == ".sqlite":
                with closing(sqlite3.connect(path)) as db:
                    yield "\n".join(db.iterdump()).encode()


def get(url: str, timeout: float = 5, **given: Any) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.get(url, timeout=timeout, **given)


def pooled(url: str, **given: Any) -> None:
    with urllib3.PoolManager() as pool:
        pool.request("GET", url, timeout=5, retries=False, **given)


def opened(url: str, headers: dict[str, str] | None = None) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers or {}), timeout=5) as got:
        got.read()


def connection(url: str, target: str, **given: Any) -> None:
    with closing(http.client.HTTPConnection(url.partition("//")[2], timeout=5)) as conn:
        conn.request("GET", target, **given)
        conn.getresponse().read()


Work = Callable[[str, str], object]

# Each is handed a server's URL and the secret.
FAILING: dict[str, Work] = {
    "a key beyond Latin-1": lambda u, v: get(u, headers={"X-API-Key": f"\u0410{v}"}),
    "a scheme and a key beyond Latin-1": lambda u, v: get(
        u, headers={"Authorization": f"Bearer \u0410{v}"}
    ),
    "no scheme, beyond Latin-1": lambda u, v: get(u, headers={"Authorization": f"{v}\u0410"}),
    "a key beyond Latin-1, urllib3": lambda u, v: pooled(u, headers={"X-API-Key": f"\u0410{v}"}),
    "a key beyond Latin-1, http.client": lambda u, v: connection(
        u, "/", headers={"X-API-Key": f"\u0410{v}"}
    ),
    "a newline behind the key": lambda u, v: pooled(u, headers={"X-API-Key": f"{v}\n"}),
    "CR LF behind the key": lambda u, v: pooled(u, headers={"X-API-Key": f"{v}\r\n"}),
    "a newline within the key": lambda u, v: pooled(u, headers={"X-API-Key": f"a\n{v}\nb"}),
    "a newline behind a bearer": lambda u, v: pooled(u, headers={"Authorization": f"Bearer {v}\n"}),
    "a newline behind a bearer, urllib.request": lambda u, v: opened(
        u, {"Authorization": f"Bearer {v}\n"}
    ),
    "a newline behind a cookie": lambda u, v: pooled(u, headers={"Cookie": f"sid={v}\n"}),
    "a blank in the query, urllib.request": lambda u, v: opened(f"{u}/?q=a b&token={v}"),
    "a blank in the query, http.client": lambda u, v: connection(u, f"/?q=a b&token={v}"),
    "no port but a password": lambda u, v: opened(u.replace("//", f"//user:{v}@")),
    "a quote": lambda u, v: get(f"{DEAD}/?q=it's&token={v}"),
    "a quote, urllib3": lambda u, v: pooled(f"{DEAD}/?q=it's&token={v}"),
    "a parenthesis": lambda u, v: get(f"{DEAD}/?q=f(x)&token={v}"),
    "a double quote": lambda u, v: get(f'{DEAD}/?q="x"&token={v}'),
    "angles": lambda u, v: get(f"{DEAD}/?q=<x>&token={v}"),
    "a blank": lambda u, v: get(f"{DEAD}/?q=a b&token={v}"),
    "a backslash": lambda u, v: get(f"{DEAD}/?q=a\\b&token={v}"),
    "a comma and a semicolon": lambda u, v: get(f"{DEAD}/?q=a,b;c&token={v}"),
    "a part of a name": lambda u, v: get(f"{DEAD}/?q=it's&user[password]={v}"),
    "a fragment": lambda u, v: get(f"{DEAD}/?q=it's#access_token={v}"),
    "userinfo": lambda u, v: get(DEAD.replace("//", f"//user:{v}@")),
    "userinfo and no such host": lambda u, v: get(f"http://user:{v}@nowhere.invalid/?token={v}"),
    "a redirect to a dead end": lambda u, v: get(f"{u}/to?token={v}"),
    "redirects without an end": lambda u, v: get(f"{u}/loop?token={v}"),
    "redirects without an end, urllib3": lambda u, v: urllib3.PoolManager().request(
        "GET", f"{u}/loop?token={v}", retries=2
    ),
    "a redirect that is no URL": lambda u, v: get(f"{u}/odd?token={v}"),
    "a body cut short": lambda u, v: get(f"{u}/cut?token={v}"),
    "a body cut short, urllib.request": lambda u, v: opened(f"{u}/cut?token={v}"),
    "chunks cut short": lambda u, v: get(f"{u}/chunks?token={v}"),
    "an error's status, urllib.request": lambda u, v: opened(f"{u}/none?token={v}"),
    "a proxy that is not there": lambda u, v: get(
        "http://x.invalid/", proxies={"http": f"http://user:{v}@127.0.0.1:1"}
    ),
    "a proxy that is no URL": lambda u, v: get(
        "http://x.invalid/", proxies={"http": f"http://user:{v}@127.0.0.1:x"}
    ),
    "a form and a dead end": lambda u, v: requests.post(f"{DEAD}/", data={"new_password": v}),
    "no TLS": lambda u, v: get(f"{u.replace('http:', 'https:')}/?q=it's&token={v}", timeout=0.2),
}


def routes(value: str) -> dict[str, Any]:
    there = f"http://user:{value}@127.0.0.1:1/it's?token={value}"
    return {
        "/": answer(200, b"ok"),
        "/to": answer(302, headers=[("Location", there)]),
        "/loop": answer(302, headers=[("Location", f"/loop?q=it's&token={value}")]),
        "/odd": answer(302, headers=[("Location", f"http://user:{value}@[x/?token={value}")]),
        "/cut": answer(
            200, b"partly", headers=[("Content-Length", "500"), ("Connection", "close")]
        ),
        "/chunks": answer(200, headers=[("Transfer-Encoding", "chunked"), ("Connection", "close")])
        + b"5\r\nabc",
    }


@pytest.mark.parametrize(
    ("name", "place"),
    crossed(FAILING, [("root", VALUES[0]), ("root", VALUES[1]), ("cassette", VALUES[1])]),
)
def test_a_failing_call(name: str, place: tuple[str, str], tmp_path: Path) -> None:
    how, value = place
    root = tmp_path / "root"
    with (
        RawServer(responder(routes(value))) as server,
        warnings.catch_warnings(record=True) as said,
    ):
        warnings.simplefilter("always")
        if how == "cassette":
            ingest = use_cassette(root / "a.json", stdlib=True, keep_failed=True)
        else:
            ingest = IngestSession("s", root, stdlib=True)
        with ingest, suppress(Exception):
            FAILING[name](server.url, value)
    assert not [data for data in held(root) if value.encode() in data]
    assert not [one for one in said if value in str(one.message)]


@pytest.mark.parametrize("name", ["a newline behind the key", "a quote", "a key beyond Latin-1"])
def test_what_fails_when_mounted(name: str, tmp_path: Path) -> None:
    value = VALUES[0]
    given: dict[str, Any] = {
        "a newline behind the key": (f"{DEAD}/", {"X-API-Key": f"\t{value}"}),
        "a quote": (f"{DEAD}/?q=it's&token={value}", {}),
        "a key beyond Latin-1": (f"{DEAD}/", {"X-API-Key": f"\u0410{value}"}),
    }
    url, headers = given[name]
    with requests.Session() as session, IngestSession("s", tmp_path, hook=False) as ingest:
        mount(session, ingest)
        with suppress(Exception):
            session.get(url, headers=headers)
    assert not [data for data in held(tmp_path) if value.encode() in data]


@pytest.mark.parametrize("value", VALUES)
def test_what_fails_replays_with_another_key(value: str, tmp_path: Path) -> None:
    for mode, key in (("record", value), ("replay", "another")):
        with IngestSession("s", tmp_path, mode), pytest.raises(requests.ConnectionError) as caught:
            get(f"{DEAD}/?q=it's&token={key}")
        assert "Max retries exceeded with url: /?q=it's" in str(caught.value)
    assert "token=REDACTED" in str(caught.value)


def test_the_position_of_what_has_no_code_is_kept(tmp_path: Path) -> None:
    for mode in ("record", "replay"):
        with IngestSession("s", tmp_path, mode), pytest.raises(UnicodeEncodeError) as caught:
            pooled(DEAD, headers={"X-API-Key": f"abc\u0410{VALUES[0]}"})
        assert "character '\\u0410' in position 3" in str(caught.value)


# -- fetchers --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "text",
    [
        "GET http://h/?q=it's&token={v} failed",
        "http://user:{v}@h/ failed",
        "user:{v}@h:80 is no host",
        "bad header: {{'X-API-Key': '{v}'}}",
        "bad pairs: [('X-API-Key', '{v}')]",
        "sent Authorization: Basic {v}",
        'body {{"a": 1, "client_secret": "{v}"}}',
        "password={v}",
        "b'X-Api-Key: {v}'",
        "refresh_token='{v}', user=bob",
    ],
)
def test_a_fetcher_that_tells(text: str, value: str, tmp_path: Path) -> None:
    class Telling:
        def fetch(self, _request: Any) -> bytes:
            raise OSError(text.format(v=value))

    register("telling", Telling())
    try:
        with IngestSession("telling", tmp_path) as ingest:
            with pytest.raises(FetchError) as caught:
                ingest.request("a name")
            assert value not in str(caught.value)
    finally:
        unregister("telling")
    assert not [data for data in held(tmp_path) if value.encode() in data]


@pytest.mark.parametrize(
    "text",
    [
        "HTTPConnectionPool(host='h', port=80): Max retries exceeded with url: /a?symbol=A&page=2",
        "unexpected token: ',' in line 3",
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "KeyError: 'password'",
        "no such key: key=AAPL, next_page_token=abc123def456",
        "write to me@example.com: it is 12:30",
        "invalid literal for int() with base 10: 'x'",
        "[Errno 111] Connection refused",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Secrets(DEFAULT).text(text) == text


# -- rules that fail -------------------------------------------------------------------------


class Rule:
    """Raises what it was asked with, in a place."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __call__(self, place: str, name: str, value: str) -> str | None:
        if place == self.place and name not in ("host", "accept", "content-type"):
            raise KeyError(name, value)
        return None


@pytest.mark.parametrize("place", ["header", "query", "form", "json", "part"])
@pytest.mark.parametrize("how", ["root", "cassette"])
def test_a_rule_that_fails(place: str, how: str, tmp_path: Path) -> None:
    value, mine = VALUES[0], DEFAULT.adding(Rule(place))
    given: dict[str, Any] = {
        "form": {"data": {"x": value}},
        "json": {"json": {"x": value}},
        "part": {"files": {"x": value.encode()}},
    }
    query = f"?x={value}" if place == "query" else ""
    headers = {"Authorization": f"Bearer {value}"}
    kept: Any = IngestSession("s", tmp_path, redaction=mine)
    if how == "cassette":
        kept = use_cassette(tmp_path / "a.json", redaction=mine)

    def work() -> None:
        with RawServer(responder({"/": answer(200, b"ok")})) as server, kept:
            got = requests.post(
                f"{server.url}/{query}", headers=headers, timeout=5, **given.get(place, {})
            )
            assert got.content == b"ok"

    said = f"raised KeyError for the {place} "
    if how == "cassette":
        # A test fails by it.
        with pytest.raises(StoreError, match=said) as caught:
            work()
        assert value not in str(caught.value)
    else:
        with pytest.warns(UserWarning, match=said) as warned:
            work()
        assert not [one for one in warned if value in str(one.message)]
    assert not [data for data in held(tmp_path) if value.encode() in data]


def test_a_rule_that_fails_in_replay_is_told(tmp_path: Path) -> None:
    with IngestSession("s", tmp_path) as ingest, suppress(requests.ConnectionError):
        get(DEAD)
    mine = DEFAULT.adding(Rule("query"))
    with (
        pytest.raises(RuleError, match="without a name") as caught,
        IngestSession("s", tmp_path, "replay", redaction=mine) as ingest,
    ):
        get(f"{DEAD}/?x={VALUES[0]}")
    assert VALUES[0] not in str(caught.value)
    assert ingest.misses == []


def test_a_miss_with_what_is_no_url(tmp_path: Path) -> None:
    with IngestSession("s", tmp_path), suppress(requests.ConnectionError):
        get(DEAD)
    for value in VALUES:
        with pytest.raises(ReplayMissError) as caught, IngestSession("s", tmp_path, "replay"):
            get(f"{DEAD}/?q=it's&token={value}&x=1")
        assert value not in str(caught.value)


def test_without_redaction_all_is_told(tmp_path: Path) -> None:
    value = VALUES[0]
    with (
        pytest.warns(UserWarning, match="redaction is off"),
        IngestSession("s", tmp_path, redaction=None),
        suppress(UnicodeEncodeError),
    ):
        pooled(DEAD, headers={"X-API-Key": f"\u0410{value}"})
    assert any(value.encode() in data for data in held(tmp_path))


# -- Authorization ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("Bearer s", "Bearer REDACTED"),
        ("bearer s", "bearer REDACTED"),
        ("Basic  eDp5", "Basic REDACTED"),
        ("Basic\teDp5", "Basic REDACTED"),
        ('Token token="s", nonce=2', "Token REDACTED"),
        ("Digest username=u, response=s", "Digest REDACTED"),
        ("AWS4-HMAC-SHA256 Credential=A/b, Signature=s", "AWS4-HMAC-SHA256 REDACTED"),
        ("OSS4-HMAC-SHA256 Credential=A", "OSS4-HMAC-SHA256 REDACTED"),
        ("TC3-HMAC-SHA256 Credential=A", "TC3-HMAC-SHA256 REDACTED"),
        ("AWS AKIA:s", "AWS REDACTED"),
        ("Klaviyo-API-Key s", "Klaviyo-API-Key REDACTED"),
        ("SCRAM-SHA-256 data=s", "SCRAM-SHA-256 REDACTED"),
        ("auth_token=s, user=bob", "REDACTED"),
        ("s3cr3t s", "REDACTED"),
        ("0123456789abcdef s", "REDACTED"),
        ("user:pass word", "REDACTED"),
        ("Zk3nX0pQ7rT2vW9yZk3nX0pQ7rT2vW9y x", "REDACTED"),
        ("s", "REDACTED"),
        ("Bearer", "REDACTED"),
        ("", "REDACTED"),
    ],
)
@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization", "X-Authorization"])
def test_what_is_kept_of_authorization(name: str, value: str, after: str) -> None:
    assert DEFAULT.header_pairs([(name, value)]) == ((name, after),)


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("auth_token=s3cr3tV4lue0815, user=bob", "s3cr3tV4lue0815"),
        ("Token token='s3cr3tV4lue0815'", "s3cr3tV4lue0815"),
        ("Basic dTpzM2NyM3RWNGx1\nZTA4MTU=", "s3cr3tV4lue0815"),
        ("Bearer s3cr3tV4lue0815\n", "s3cr3tV4lue0815"),
        ("s3cr3tV4lue0815\r\n", "s3cr3tV4lue0815"),
    ],
)
def test_what_is_known_from_authorization(value: str, known: str) -> None:
    secrets = Secrets(Redaction())
    secrets.pairs((("Authorization", value),))
    assert secrets.mask_text(f"it was {known}!") == "it was REDACTED!"
