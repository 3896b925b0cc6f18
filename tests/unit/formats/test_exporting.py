"""Sessions of a store as files, and back: nothing is lost but what is said."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.market_server import MarketServer
from mxm_dataio import ConfigError, IngestSession, IntegrityError, use_cassette
from mxm_dataio.cli import main
from mxm_dataio.formats.cassette import document as cassette
from mxm_dataio.formats.exporting import recordings_of, to_cassette
from mxm_dataio.formats.recordings import Recording, entry_of
from mxm_dataio.formats.volatile import NOTHING
from mxm_dataio.models import Framing, Mode, Session, Status
from mxm_dataio.storage.entries import InSession
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from mxm_dataio.utils import new_id
from tests.support.exchanges import comparable, recordings
from tests.support.recorded import Recorder, Try


def put(root: Path, calls: Iterable[Recording], source: str, as_of: str) -> str:
    """Put calls into a store as one session, and return its id."""
    session = Session(
        new_id(), source, Mode.RECORD, as_of, Status.RUNNING, "2025-01-01T00:00:00.000000Z"
    )
    session = replace(session, root_id=session.id)
    within = InSession(session.id, session.id, source, as_of)
    with RecordingStore(root) as store:
        store.begin(session)
        for call in calls:
            store.append(entry_of(call, within, new_id()))
        store.settle()
        store.end(replace(session, status=Status.COMPLETE))
    return session.id


def held(root: Path, session_id: str) -> list[Recording]:
    with RootStore(root, readonly=True) as store:
        session = store.session(session_id)
        assert session is not None
        return list(recordings_of(store, session))


@settings(max_examples=10)
@given(st.lists(recordings(), max_size=3))
def test_store_to_cassette_to_store_loses_nothing_but_what_is_said(calls: list[Recording]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second, path = Path(folder) / "a", Path(folder) / "b", Path(folder) / "c.json"
        session_id = put(first, calls, "shop", "2024-12-31")
        stored = held(first, session_id)
        assert [comparable(one) for one in stored] == [comparable(one) for one in calls]
        with RootStore(first, readonly=True) as store:
            session = store.session(session_id)
            assert session is not None
            assert to_cassette(store, session, path, volatile=NOTHING, chunks=True) == len(calls)
        document = cassette.parse(path.read_bytes(), str(path))
        found = list(cassette.recordings(document, str(path)))
        assert {one.exchange.request.as_of for one in found} <= {"2024-12-31"}
        again = held(second, put(second, found, document.source, document.as_of))
        assert [whole(one) for one in again] == [whole(one) for one in calls]
        with RootStore(second, readonly=True) as store:
            (session,) = store.sessions("shop")
            assert session.as_of == "2024-12-31"


def whole(recording: Recording) -> Any:
    """Return what `comparable` does, and how bodies were cut."""
    framings = [one.framing for one in recording.exchange.responses]
    # An empty body's usual end says nothing.
    return comparable(recording), [
        f if f != Framing((), {}, b"0\r\n\r\n") else None for f in framings
    ]


# -- by real programs ----------------------------------------------------------------------------


@pytest.fixture
def market() -> Iterator[MarketServer]:
    with MarketServer() as server:
        yield server


def program(base: str) -> list[Any]:
    paths = ["/symbols", "/bars/ALFA", "/history/ALFA.csv", "/quote/ALFA", "/calendar", "/gone"]
    return [requests.get(base + path, timeout=9).content for path in paths]


def test_a_recorded_session_replays_as_a_cassette(tmp_path: Path, market: MarketServer) -> None:
    root, path = tmp_path / "root", tmp_path / "cassettes" / "c.json"
    with IngestSession("market", root) as ingest:
        recorded = program(market.url)
    market.stop()
    args = ["export", ingest.id[:13], "-o", str(path), "--root", str(root)]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    assert result.output == f"{path}: 7 calls of market\n"
    with use_cassette(path, "none"):
        assert program(market.url) == recorded
    again = CliRunner().invoke(main, args)
    assert again.exit_code == 2
    assert "--force" in again.output
    forced = CliRunner().invoke(main, [*args, "--force", "--keep-headers", "--json"])
    assert forced.exit_code == 0
    assert '"calls": 7' in forced.output
    assert "Date: " in path.read_text(encoding="utf-8")


def test_what_was_answered_from_the_store_has_its_answer(
    tmp_path: Path, market: MarketServer
) -> None:
    with IngestSession("market", tmp_path / "root"):
        requests.get(f"{market.url}/calendar", timeout=9)
        requests.get(f"{market.url}/symbols", timeout=9)
    for ttl in (None, 0):
        with IngestSession("market", tmp_path / "root", "auto", ttl=ttl) as ingest:
            recorded = [
                requests.get(f"{market.url}{path}", timeout=9).content
                for path in ("/calendar", "/symbols")
            ]
        path = tmp_path / f"{ttl}.json"
        with RootStore(tmp_path / "root", readonly=True) as store:
            assert to_cassette(store, ingest.session, path) == 2
        with use_cassette(path, "none"):
            assert recorded == [
                requests.get(f"{market.url}{path}", timeout=9).content
                for path in ("/calendar", "/symbols")
            ]


def test_a_cassette_replays_as_a_session_of_a_store(tmp_path: Path, market: MarketServer) -> None:
    path = tmp_path / "c.json"
    with use_cassette(path):
        recorded = program(market.url)
    market.stop()
    found = list(cassette.recordings(cassette.parse(path.read_bytes(), str(path)), str(path)))
    put(tmp_path / "root", found, "market", "2025-01-01")
    with IngestSession("market", tmp_path / "root", "replay"):
        assert program(market.url) == recorded


def test_a_cassette_is_imported_under_its_own_source_and_exported_the_same(
    tmp_path: Path, market: MarketServer
) -> None:
    path, back, root = tmp_path / "c.json", tmp_path / "back.json", tmp_path / "root"
    with use_cassette(path, source="market", as_of="2024-12-31") as ingest:
        recorded = program(market.url)
        ingest.request(f"{market.url}/symbols", {"page": 2}, kind="page")
    market.stop()
    result = CliRunner().invoke(main, ["import", str(path), "--root", str(root), "--json"])
    assert result.exit_code == 0, result.output
    with RootStore(root, readonly=True) as store:
        (session,) = store.sessions()
        assert (session.source, session.as_of) == ("market", "2024-12-31")
        to_cassette(store, session, back)
    assert back.read_bytes() == path.read_bytes()
    with IngestSession("market", root, "replay"):
        assert program(market.url) == recorded


def test_calls_of_other_sources_keep_theirs(tmp_path: Path, market: MarketServer) -> None:
    path, root, hosts = tmp_path / "c.json", tmp_path / "root", {"127.0.0.1": "loopback"}
    for _ in range(2):
        with use_cassette(path, sources=hosts):
            recorded = program(market.url)
        market.stop()
    assert '"source": "loopback"' in path.read_text(encoding="utf-8")
    result = CliRunner().invoke(main, ["import", str(path), "--root", str(root)])
    assert result.exit_code == 0, result.output
    with IngestSession("any", root, "replay", sources=hosts):
        assert program(market.url) == recorded


def test_children_go_with_their_parent_and_not_it_with_them(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        parent = Recorder.begin(store)
        child = Recorder.begin(store, parent.session, at=1.0)
        parent.call("https://a.example/parent", Try(200, b"1"))
        child.call("https://a.example/child", Try(200, b"2"), at=2.0)
        child.end(3)
        parent.end(4)
    for asked, wanted in ((parent, ["parent", "child"]), (child, ["child"])):
        found = [one.exchange.request.endpoint for one in held(tmp_path, asked.session.id)]
        assert [endpoint.rpartition("/")[2] for endpoint in found] == wanted


def test_nothing_is_written_of_what_is_damaged(tmp_path: Path, market: MarketServer) -> None:
    root, path = tmp_path / "root", tmp_path / "c.json"
    with IngestSession("market", root) as ingest:
        program(market.url)
    (root / "responses").joinpath(next((root / "responses").glob("*.bin")).name).write_bytes(b"x")
    with RootStore(root, readonly=True) as store:
        session = ingest.session
        assert session is not None
        with pytest.raises(IntegrityError, match="does not hold the bytes"):
            to_cassette(store, session, path)
        path.write_text("mine")
        with pytest.raises(ConfigError, match="there already"):
            to_cassette(store, session, path)
    assert path.read_text() == "mine"


def test_an_unknown_session_is_misuse(tmp_path: Path, market: MarketServer) -> None:
    with IngestSession("market", tmp_path):
        program(market.url)
    args = ["export", "ffff", "-o", str(tmp_path / "c.json"), "--root", str(tmp_path)]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert "no session ffff" in result.output
