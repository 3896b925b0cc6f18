"""Who makes a call is told apart by secrets that are not kept; what looks like data counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError, use_cassette
from mxm_dataio.api import capture_of
from mxm_dataio.redaction import DEFAULT, users
from tests.support.servers import RawServer, Request, answer, responder

KEYS = {name: f"sk-{name}-0123456789abcdefXYZ" for name in ("alice", "bob", "carol", "dave")}


def me(request: Request) -> bytes:
    said = request.target + (request.header("Authorization") or "")
    said += request.header("X-API-Key") or ""
    name = next((name for name in KEYS if name in said), "nobody")
    return answer(200, name.encode(), headers=[("Cache-Control", "private")])


@pytest.fixture
def url() -> Iterator[str]:
    with RawServer(responder({"/me": me, "/other": me})) as server:
        yield server.url


@pytest.fixture(params=["bearer", "basic", "header", "query"])
def ask(request: pytest.FixtureRequest, url: str) -> Any:
    def asked(*names: str, path: str = "/me") -> list[str]:
        found = []
        for name in names:
            key, there = KEYS[name], url + path
            if request.param == "bearer":
                got = requests.get(there, headers={"Authorization": f"Bearer {key}"})
            elif request.param == "basic":
                got = (
                    requests.get(f"{there}?n={name}", auth=("user", key))
                    if 0
                    else requests.get(there, headers={"Authorization": f"Token {key}"})
                )
            elif request.param == "header":
                got = requests.get(there, headers={"X-API-Key": key})
            else:
                got = requests.get(there, params={"api_key": key})
            found.append(got.text)
        return found

    return asked


def forget() -> None:
    """Have this process know as little as another would."""
    users._places.clear()


def test_each_gets_its_own_in_the_process_that_recorded(ask: Any, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, "record"):
        ask("alice", "bob")
    with IngestSession("s", tmp_path, "replay"):
        assert ask("bob", "alice", "bob") == ["bob", "alice", "bob"]


def test_in_another_process_users_count_as_they_appear(ask: Any, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, "record"):
        ask("alice", "bob", "alice", "bob")
    forget()
    with IngestSession("s", tmp_path, "replay"):
        assert ask("carol", "dave", "dave", "carol") == ["alice", "bob", "bob", "alice"]


def test_what_one_recorded_replays_with_another_key(ask: Any, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, "record"):
        ask("alice")
    for fresh in (False, True):
        if fresh:
            forget()
        with IngestSession("s", tmp_path, "replay"):
            assert ask("bob") == ["alice"]


def test_what_the_second_alone_recorded_replays_by_itself(ask: Any, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, "record"):
        ask("alice")
        ask("bob", path="/other")
    forget()
    with IngestSession("s", tmp_path, "replay"):
        assert ask("carol", path="/other") == ["bob"]


def test_a_placeholder_is_anyone_in_the_recorded_order(url: str, tmp_path: Path) -> None:
    def ask(*tokens: str) -> list[str]:
        heads = [{"Authorization": f"Bearer {token}"} for token in tokens]
        return [requests.get(f"{url}/me", headers=head).text for head in heads]

    with IngestSession("s", tmp_path, "record"):
        ask(KEYS["alice"], KEYS["bob"], KEYS["carol"])
    with IngestSession("s", tmp_path, "replay"):
        assert ask(*["REDACTED"] * 4) == ["alice", "bob", "carol", "carol"]


def test_cassettes_tell_users_apart_and_hold_nothing_of_them(ask: Any, tmp_path: Path) -> None:
    cassette = tmp_path / "c.json"
    with use_cassette(cassette):
        ask("alice", "bob")
    assert not any(key in cassette.read_text() for key in KEYS.values())
    forget()
    with use_cassette(cassette, mode="none"):
        assert ask("carol", "dave", "carol") == ["alice", "bob", "alice"]
    with use_cassette(cassette, mode="new_episodes"):
        assert ask("dave") == ["alice"]


def test_auto_serves_the_user_who_recorded_alone(ask: Any, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, "auto"):
        assert ask("alice") == ["alice"]
    with IngestSession("s", tmp_path, "auto") as ingest:
        assert ask("alice", "bob") == ["alice", "bob"]
        assert capture_of(ingest).store is not None
    assert served(tmp_path) == 1
    forget()
    with IngestSession("s", tmp_path, "auto"):
        assert ask("bob") == ["bob"]
    assert served(tmp_path) == 1


def served(root: Path) -> int:
    from mxm_dataio import Store

    with Store(root) as store:
        return sum(
            call.served_from is not None for s in store.sessions() for call in store.requests(s.id)
        )


def test_signatures_cookies_and_nonces_tell_nobody(url: str, tmp_path: Path) -> None:
    def ask(n: int) -> str:
        head = {
            "Authorization": f'Digest username="u", nonce="{n}00fd1e2c", response="{n}abcdef0123"',
            "Cookie": f"session={n}deadbeefcafe01234567",
            "X-CSRF-Token": f"{n}c0ffee0123456789",
        }
        query = {"signature": f"{n}c0ffee9876543210fedc"}
        return requests.get(f"{url}/me", headers=head, params=query).text

    with IngestSession("s", tmp_path, "record"):
        [ask(n) for n in range(3)]
    content = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"(user)" not in content


# -- what looks like data --------------------------------------------------------------------

DATA = ["BTC", "DOGE", "MATIC", "p2", "page12", "7", "120"]
SECRETS = [
    "hunter2",
    "swordfish",
    "123456",
    "1234",
    "abc123",
    "sesame",
    "deploy",
    "S3cr3t",
    "x",
    "one",
    "pass",
]


@pytest.mark.parametrize("name", ["token", "crumb", "signature"])
@pytest.mark.parametrize("value", DATA)
def test_data_under_the_name_of_a_secret_counts(name: str, value: str) -> None:
    assert DEFAULT.url(f"http://h/?{name}={value}") == f"http://h/?{name}={value}"
    body = json.dumps({name: value}).encode()
    assert DEFAULT.body(body, "application/json") == body
    assert b"REDACTED" in DEFAULT.adding(names=[name]).body(body, "application/json")


@pytest.mark.parametrize("value", SECRETS)
def test_a_short_secret_is_none_of_data(value: str) -> None:
    assert DEFAULT.url(f"http://h/?token={value}") == "http://h/?token=REDACTED"


@pytest.mark.parametrize("name", ["password", "api_key", "access_token", "pwd", "secret"])
def test_under_other_names_nothing_is_data(name: str) -> None:
    assert all(value not in DEFAULT.url(f"http://h/?{name}={value}&") for value in DATA[:3])


@pytest.mark.parametrize("way", ["params", "data", "json", "files"])
def test_what_was_not_recorded_is_a_miss(url: str, tmp_path: Path, way: str) -> None:
    def ask(value: str) -> None:
        given: Any = {"token": (None, value) if way == "files" else value}
        requests.post(f"{url}/me", **{way: given})

    with IngestSession("s", tmp_path, "record"):
        ask("BTC")
        requests.post(f"{url}/me")
    with IngestSession("s", tmp_path, "replay"):
        ask("BTC")
    with pytest.raises(ReplayMissError), IngestSession("s", tmp_path, "replay"):
        ask("DOGE")


def test_what_was_recorded_before_data_counted_replays(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> None:
        requests.get(f"{url}/me")
        requests.get(f"{url}/me", params={"token": "BTC"})

    with IngestSession("s", tmp_path, "record", redaction=DEFAULT.adding(names=["token"])):
        ask()
    with IngestSession("s", tmp_path, "replay"):
        ask()
