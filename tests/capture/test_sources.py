"""One session that records several sources by the hosts of its calls, and replays each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import ConfigError, DataIOWarning, IngestSession, ReplayMissError, Store, mount
from mxm_dataio.api import capture_of
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.redaction import DEFAULT
from tests.support.servers import RawServer, answer, responder

SECRET = "Kq82hXw0Zt61Lm"


@pytest.fixture
def servers() -> Iterator[tuple[RawServer, RawServer]]:
    """Two hosts, each of which counts its answers."""

    def site(name: str) -> RawServer:
        counts: dict[str, int] = {}

        def count(request: Any) -> bytes:
            counts[request.target] = counts.get(request.target, 0) + 1
            text = f"{name} {request.target.partition('?')[0]} {counts[request.target]}"
            return answer(200, text.encode())

        return RawServer(responder({"/x": count, "/y": count, "/leak": count}))

    with site("one") as one, site("two") as two:
        yield one, two


def rules(servers: tuple[RawServer, RawServer]) -> dict[str, str]:
    return {server.url.partition("//")[2]: name for server, name in zip(servers, "ab", strict=True)}


def program(servers: tuple[RawServer, RawServer]) -> list[str]:
    """Call both in turns, by both libraries, one thing twice."""
    one, two = servers
    with requests.Session() as session, urllib3.PoolManager() as pool:
        return [
            session.get(f"{one.url}/x").text,
            session.get(f"{two.url}/x").text,
            pool.request("GET", f"{one.url}/y").data.decode(),
            session.get(f"{one.url}/x").text,
            pool.request("POST", f"{two.url}/y", body=b"up").data.decode(),
        ]


def stored(root: Path) -> list[tuple[str, str]]:
    with Store(root, readonly=True) as store:
        return [
            (request.source, request.endpoint.rpartition("/")[2])
            for session in store.sessions()
            for request in store.requests(session.id)
        ]


def test_calls_are_stored_under_their_sources_and_replay_from_them(
    servers: tuple[RawServer, RawServer], tmp_path: Path
) -> None:
    with IngestSession("own", tmp_path, "record", sources=rules(servers)) as ingest:
        live = program(servers)
    assert stored(tmp_path) == [("a", "x"), ("b", "x"), ("a", "y"), ("a", "x"), ("b", "y")]
    assert (ingest.session.source, str(ingest.session.status)) == ("own", "complete")
    hits = [server.hits for server in servers]
    with IngestSession("own", tmp_path, "replay", sources=rules(servers)):
        assert program(servers) == live
    with IngestSession("own", tmp_path, "replay", session=ingest.id, sources=rules(servers)):
        assert program(servers) == live
    # Either source replays by itself, whoever asks.
    with IngestSession("a", tmp_path, "replay"):
        assert requests.get(f"{servers[0].url}/x").text == live[0]
    with (
        pytest.raises(ReplayMissError, match="source: asked 'a', recorded 'b'"),
        IngestSession("a", tmp_path, "replay"),
    ):
        requests.get(f"{servers[1].url}/x")
    assert [server.hits for server in servers] == hits


def test_one_session_is_one_chain_whatever_its_sources(
    servers: tuple[RawServer, RawServer], tmp_path: Path
) -> None:
    with IngestSession("own", tmp_path, "record", sources=rules(servers)) as ingest:
        program(servers)
        requests.get(f"{servers[0].url}/x", headers={"Range": "bytes=0-3"})
    found = verify_root(tmp_path)
    assert found.ok, found.findings
    assert (found.sessions, found.calls) == (1, 6)
    db = sqlite3.connect(tmp_path / "dataio.sqlite")
    with db:
        assert db.execute("SELECT count, seal NOT NULL FROM sessions").fetchall() == [(6, 1)]
        db.execute("UPDATE requests SET source = 'b' WHERE source = 'a' AND number = 1")
    db.close()
    assert not verify_root(tmp_path).ok
    assert ingest.id


def test_each_source_is_dated_and_looked_up_by_itself(
    servers: tuple[RawServer, RawServer], tmp_path: Path
) -> None:
    one, two = servers
    asked = rules(servers)
    with IngestSession("own", tmp_path, "record", "2025-01-01", sources=asked):
        assert [requests.get(f"{s.url}/x").text for s in servers] == ["one /x 1", "two /x 1"]
    # A later session has one of them only.
    with IngestSession("own", tmp_path, "record", "2025-02-01", sources=asked):
        assert requests.get(f"{one.url}/x").text == "one /x 2"
    with IngestSession("own", tmp_path, "replay", sources=asked):
        assert [requests.get(f"{s.url}/x").text for s in servers] == ["one /x 2", "two /x 1"]
    with IngestSession("own", tmp_path, "replay", "2025-01-31", sources=asked):
        assert [requests.get(f"{s.url}/x").text for s in servers] == ["one /x 1", "two /x 1"]
    assert (one.hits, two.hits) == (2, 1)


def test_auto_serves_each_source_from_its_own(
    servers: tuple[RawServer, RawServer], tmp_path: Path
) -> None:
    one, two = servers
    with IngestSession("b", tmp_path, "record"):
        # Of the right source for one host, of the wrong one for the other.
        requests.get(f"{one.url}/x")
        requests.get(f"{two.url}/x")
    with IngestSession("own", tmp_path, "auto", sources=rules(servers)):
        assert requests.get(f"{two.url}/x").text == "two /x 1"
        assert requests.get(f"{one.url}/x").text == "one /x 2"
    # What was served is noted as a call of its source.
    assert stored(tmp_path)[2:] == [("b", "x"), ("a", "x")]
    assert verify_root(tmp_path).ok


def test_redaction_by_source_and_secrets_of_all(
    servers: tuple[RawServer, RawServer], tmp_path: Path
) -> None:
    one, two = servers
    redaction = {"a": DEFAULT.adding(names=["isin"])}
    with IngestSession("own", tmp_path, "record", sources=rules(servers), redaction=redaction):
        requests.get(f"{one.url}/x", {"isin": "IE00B5BMR087", "token": SECRET})
        requests.get(f"{two.url}/x", {"isin": "LU0274208692", "of": SECRET})
    with Store(tmp_path, readonly=True) as store:
        (session,) = store.sessions()
        first, second = store.requests(session.id)
    assert first.params == {}
    assert "isin=REDACTED" in first.url
    # Its own redaction has no isin; the secret that the other was called with is one here too.
    assert second.params == {"isin": "LU0274208692", "of": "REDACTED"}
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()
    with IngestSession("own", tmp_path, "replay", sources=rules(servers), redaction=redaction):
        got = requests.get(f"{one.url}/x", {"isin": "another", "token": "another-one"}).text
        assert got == "one /x 1"


def test_redaction_that_is_off_for_one_source_is_told(tmp_path: Path) -> None:
    with pytest.warns(DataIOWarning, match="redaction is off for source 'open'"):
        IngestSession(
            "own", tmp_path, sources={"open.test": "open"}, redaction={"open": None, "else": None}
        )


def test_a_request_of_ones_own_and_a_mounted_session(
    servers: tuple[RawServer, RawServer], tmp_path: Path
) -> None:
    one, two = servers
    for mode in ("record", "replay"):
        ingest = IngestSession("own", tmp_path, mode, sources=rules(servers), hook=False)
        with ingest, requests.Session() as session, mount(session, ingest):
            answered = ingest.request(f"{two.url}/y", kind="label")
            assert ingest.content(answered) == b"two /y 1"
            assert session.get(f"{one.url}/y").text == "one /y 1"
    assert stored(tmp_path) == [("b", "y"), ("a", "y")]
    assert (one.hits, two.hits) == (1, 1)


def test_a_forked_childs_calls_have_their_sources_too(
    servers: tuple[RawServer, RawServer], tmp_path: Path
) -> None:
    from tests.capture.test_processes import forked

    with IngestSession("own", tmp_path, sources=rules(servers)):
        requests.get(f"{servers[0].url}/x")
        assert forked(lambda: [requests.get(f"{server.url}/y") for server in servers]) == 0
    assert stored(tmp_path) == [("a", "x"), ("a", "y"), ("b", "y")]


def test_rules_from_the_environment_and_bad_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXM_DATAIO_SOURCES", "*.example.com=example, api.test = api")
    ingest = IngestSession("own", tmp_path)
    assert capture_of(ingest).sources.of("https://api.test/").source == "api"
    assert capture_of(ingest).sources.of("https://www.example.com/").source == "example"
    with pytest.raises(ConfigError, match="no pairs"):
        IngestSession("own", tmp_path, sources="x")  # type: ignore[arg-type]
