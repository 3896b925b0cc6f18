"""Queries in SQL: what they see, that they change nothing, and how they end."""

from __future__ import annotations

import gzip
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.errors import ConfigError, IntegrityError, StoreError
from mxm_dataio.models import Status
from mxm_dataio.storage.catalog import sql, views
from mxm_dataio.storage.questions import Questions
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.calls import call
from tests.trust.small import fill, session

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordingStore]:
    with RecordingStore(tmp_path) as made:
        yield made


def found(store: RootStore, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in Questions(store).sql(query, parameters)]


def test_calls(store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    one = call(store, held, "https://h.example:8443/a/b?x=1&y=%20&y=2", 503, 200, started=1.5)
    two = call(store, held, "https://i.example/", None, status=Status.FAILED, upload=b"12")
    three = call(store, held, "bars for CSPX", served_from=one, duration=None)
    rows = Questions(store).sql("SELECT * FROM calls ORDER BY id")
    first, second, third = (dict(row) for row in rows)
    assert rows.columns == tuple(first)
    assert first == {
        "id": one, "session_id": held.id, "root_id": held.id, "source": "market", "kind": "",
        "as_of": "2025-01-01", "started_at": "1970-01-01T00:00:01.500000Z", "method": "GET",
        "url": "https://h.example:8443/a/b?x=1&y=%20&y=2", "host": "h.example:8443",
        "path": "/a/b", "params": '{"x": "1", "y": [" ", "2"]}',
        "params_hash": first["params_hash"], "status": "complete", "status_code": 200,
        "attempts": 2, "seconds": 1.0, "bytes": 5,
        "checksum": "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5",
        "sent_bytes": 0, "sent_checksum": None, "error": None, "error_message": None,
        "served_from": None, "forgotten_at": None, "exit": None,
    }  # fmt: skip
    assert second["status"] == "failed"
    assert (second["status_code"], second["bytes"], second["attempts"]) == (None, None, 1)
    assert (second["error"], second["error_message"]) == (
        "requests.exceptions.ConnectionError", "refused",
    )  # fmt: skip
    assert (second["path"], second["sent_bytes"]) == ("/", 2)
    assert (third["host"], third["path"], third["url"]) == (None, None, "bars for CSPX")
    assert (third["served_from"], third["seconds"], third["attempts"]) == (one, None, 0)
    store.forget(one)
    forgotten = found(store, "SELECT id FROM calls WHERE forgotten_at IS NOT NULL ORDER BY id")
    assert forgotten == [(one,), (three,)]
    assert found(store, "SELECT path FROM calls WHERE id = ?", two) == [("/",)]
    assert [row["n"] for row in Questions(store).sql("SELECT :n AS n", {"n": 7})] == [7]


def test_sessions_attempts_and_headers(tmp_path: Path) -> None:
    fill(tmp_path / "root")
    with RootStore(tmp_path / "root") as store:
        for row in Questions(store).sql("SELECT * FROM sessions WHERE source <> ''"):
            kept = store.session(row["id"])
            assert kept is not None
            assert (row["status"], row["exit"]) == (kept.status, kept.exit_status)
            assert (row["started_at"], row["pruned_at"]) == (kept.started_at, kept.pruned_at)
            assert row["calls"] == len(store.requests(row["id"])) or kept.pruned_at
        attempts = {row["id"]: row for row in Questions(store).sql("SELECT * FROM attempts")}
        pairs: dict[tuple[str, int], list[tuple[str, str]]] = {}
        for id, at, place, name, value in Questions(store).sql("SELECT * FROM headers"):
            assert place == len(pairs.setdefault((id, at), []))
            pairs[id, at].append((name, value))
        count = 0
        for exchange in Questions(store).calls():
            asked = pairs.get((exchange.request.id, 0), [])
            assert asked == list(exchange.request.headers)
            for one in exchange.responses:
                count += 1
                row = attempts[one.id]
                assert pairs[exchange.request.id, one.sequence] == list(one.headers)
                assert (row["url"], row["method"]) == (one.url, one.method)
                assert (row["bytes"], row["checksum"]) == (one.size, one.checksum)
                assert (row["complete"], row["truncated"]) == (one.complete, one.truncated)
                assert (row["connect"], row["seconds"]) == (one.timings.connect, one.timings.total)
                assert (row["address"], row["error"]) == (one.peer.address, one.error_class)
        assert count == len(attempts) > 3


def test_a_session_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    made = RecordingStore(tmp_path)
    held = session()
    made.begin(held)
    assert found(made, "SELECT status FROM sessions") == [("running",)]
    made.close()
    with RootStore(tmp_path) as store:
        assert found(store, "SELECT status, ended_at FROM sessions") == [("interrupted", None)]


def test_functions(store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    head = JSON.replace(b"X-A", b"Content-Encoding: gzip\r\nX-A")
    one = call(
        store, held, "https://h/1", 200, head=head, body=gzip.compress(b'{"a": [1, "\xc3\xa4"]}')
    )
    call(store, held, "https://h/2", None, status=Status.FAILED)
    three = call(store, held, "https://h/3", 200, body=b"a,b")
    call(store, held, "https://h/1", served_from=one)
    query = "SELECT header(id, 'X-a'), text(id), json(id, '$.a[1]') FROM calls ORDER BY id"
    assert found(store, query) == [
        ("1, 2", '{"a": [1, "ä"]}', "ä"),
        (None, None, None),
        (None, "a,b", None),
        ("1, 2", '{"a": [1, "ä"]}', "ä"),
    ]
    assert found(store, "SELECT json(id, '$.a') FROM attempts") == [('[1,"ä"]',), (None,), (None,)]
    assert found(store, "SELECT text(?), text(?)", f"{three}/1", f"{three}/2") == [("a,b", None)]
    assert found(store, "SELECT text('no'), text(NULL), text(7)") == [(None, None, None)]
    # SQLite's own are there.
    assert found(store, "SELECT json(' [1 ]'), json_extract('[5]', '$[0]')") == [("[1]", 5)]
    with pytest.raises(ConfigError, match=r"json\(id, 'a'\): .*: write '\$.name'"):
        found(store, "SELECT json(id, 'a') FROM calls")
    # Names of headers are the same in any case.
    count = "SELECT count(*) FROM headers WHERE name = 'content-TYPE' AND sequence > 0"
    assert found(store, count) == [(1,)]


def test_what_can_not_be_read_whole_is_said(
    store: RecordingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = session()
    store.begin(held)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    call(store, held, "https://h/bomb", 200, head=head, body=gzip.compress(b"0" * 200_000))
    call(store, held, "https://h/large", 200, body=b"1" * 100_001)
    monkeypatch.setattr(sql, "LARGEST", 100_000)
    with pytest.raises(StoreError, match=r"https://h/bomb: .*more than 100000 bytes"):
        found(store, "SELECT text(id) FROM calls WHERE path = '/bomb'")
    with pytest.raises(StoreError, match=r"h/large: its body of 100001 .* AND bytes <= 100000"):
        found(store, "SELECT text(id) FROM calls WHERE path = '/large'")
    (checksum,) = found(store, "SELECT checksum FROM calls WHERE path = '/bomb'")[0]
    (tmp_path / "responses" / f"{checksum}.bin").unlink()
    with pytest.raises(IntegrityError, match=r"https://h/bomb: the payload .* can.t be opened"):
        found(store, "SELECT text(id) FROM calls WHERE path = '/bomb'")


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO calls VALUES (1)",
        "DELETE FROM main.requests",
        "UPDATE main.requests SET url = ''",
        "DROP TABLE main.heads",
        "DROP VIEW calls",
        "CREATE TABLE main.t (a)",
        "CREATE TEMP TABLE t (a)",
        "CREATE TEMP TRIGGER t INSTEAD OF INSERT ON calls BEGIN SELECT 1; END",
        "ATTACH 'made' AS made",
        "VACUUM INTO 'made'",
        "VACUUM",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = DELETE",
        "SELECT * FROM pragma_journal_mode('delete')",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "REINDEX",
        "ANALYZE",
        "SELECT load_extension('made')",
        "WITH t AS (SELECT 1) DELETE FROM main.heads",
        "SELECT 1; DELETE FROM main.heads",
        "SELECT hash FROM main.requests",
        "SELECT * FROM main.sessions",
        "SELECT identity FROM requests",
        "SELECT (SELECT hash FROM main.requests) FROM calls",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM dbstat",
        "",
        "-- nothing",
        "SELECT ?",
        "SELEC 1",
        "SELECT zeroblob(400000000)",
    ],
)
def test_a_query_reads_the_views_and_does_nothing_else(
    store: RecordingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.chdir(tmp_path)
    held = session()
    store.begin(held)
    call(store, held, "https://h/1", 200)
    before = found(store, "SELECT * FROM calls"), sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"^SQL: "):
        found(store, query)
    assert (found(store, "SELECT * FROM calls"), sorted(tmp_path.iterdir())) == before
    call(store, held, "https://h/2", 200)
    assert found(store, "SELECT count(*) FROM calls") == [(2,)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT statuscode FROM calls", "statuscode; did you mean 'status_code'"),
        ("SELECT c.hosts FROM calls c", "c.hosts; did you mean 'host'"),
        ("SELECT * FROM cals", "cals; did you mean 'calls'"),
        ("SELECT headers(id, 'x') FROM calls", "headers; did you mean 'header'"),
        ("SELECT url FROM requests", "no view.*there are sessions, calls, attempts, headers"),
        ("SELECT zzz FROM calls", "no such column: zzz$"),
        ("DELETE FROM main.heads", r"a query reads the views \(SELECT …\), and does nothing else"),
    ],
)
def test_mistakes_are_told_with_what_is_near(store: RecordingStore, query: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Questions(store).sql(query)


def test_rows_are_read_as_they_are_taken(store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    for number in range(700):
        call(store, held, f"https://h/{number}", 200)
    rows = Questions(store).sql("SELECT path FROM calls ORDER BY id")
    assert [row["path"] for row in islice(rows, 2)] == ["/0", "/1"]
    # Of one instant, and nobody is kept from writing.
    call(store, held, "https://h/more", 200)
    assert found(store, "SELECT count(*) FROM calls") == [(701,)]
    assert len(list(rows)) == 698
    assert list(rows) == []
    again = Questions(store).sql("SELECT path FROM calls")
    next(again)
    again.close()
    assert list(again) == []
    again.close()


class EnoughError(Exception):
    """What a handler raises."""


@pytest.mark.parametrize("query", [ENDLESS, ENDLESS.replace("count(*)", "max(json(n, '$'))")])
def test_a_runaway_query_is_ended_by_a_signal(store: RecordingStore, query: str) -> None:
    def enough(*_: object) -> None:
        raise EnoughError

    for number, handler, error in (
        (signal.SIGINT, signal.default_int_handler, KeyboardInterrupt),
        (signal.SIGUSR1, enough, EnoughError if query is ENDLESS else BaseException),
    ):
        before = signal.signal(number, handler)
        threading.Timer(0.2, os.kill, [os.getpid(), number]).start()
        try:
            with pytest.raises(error):
                found(store, query)
        finally:
            signal.signal(number, before)
    assert found(store, "SELECT 1") == [(1,)]


def test_a_record_that_others_made_hinders_no_query(store: RecordingStore, tmp_path: Path) -> None:
    held = session()
    store.begin(held)
    call(store, held, "https://h/1", 200, None)
    call(store, held, "https://h/2", 200)
    assert found(store, "SELECT count(*) FROM calls") == [(2,)]
    store.close()
    with sqlite3.connect(tmp_path / "dataio.sqlite") as db:
        db.execute(
            "UPDATE requests SET started = 9e99, identity = 'odd', failure = '[', endpoint = x'00' "
            "WHERE url IS NULL AND endpoint = 'https://h/1'"
        )
        db.execute("UPDATE responses SET failure = '{}', head = 7, started = 'x'")
    db.close()
    with RootStore(tmp_path) as made:
        row, other = Questions(made).sql("SELECT * FROM calls ORDER BY id")
        assert (row["started_at"], row["params"], row["error"]) == (None, None, None)
        assert (row["host"], other["host"]) == (None, "h")
        assert len(found(made, "SELECT * FROM attempts")) == 3
        assert found(made, "SELECT * FROM headers") == []


def test_text_that_has_no_utf_8_is_replaced(store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    head = JSON.replace(b"json", b"json; charset=utf-7")
    call(store, held, "https://h/1?a=1", 200, head=head, body=b'{"a": "+2AA-"}')
    call(store, held, "https://h/2", 200, head=JSON, body=b'{"a": "\\ud800"}')
    for path in ("/1", "/2"):
        (row,) = found(store, "SELECT text(id), json(id, '$.a') FROM calls WHERE path = ?", path)
        assert isinstance(row[0], str)
        assert isinstance(row[1], str)
    assert views.sound("a\ud800") == "a?"


def test_a_column_that_is_not_asked_for_costs_nothing(store: RecordingStore) -> None:
    query = "SELECT host, count(*) FROM calls GROUP BY host"
    plan = [row["detail"] for row in Questions(store).sql(f"EXPLAIN QUERY PLAN {query}")]
    assert plan == ["SCAN q", "USE TEMP B-TREE FOR GROUP BY"]
    one = [
        row["detail"]
        for row in Questions(store).sql("EXPLAIN QUERY PLAN SELECT url FROM calls WHERE id = 'x'")
    ]
    assert len(one) == 1
    assert one[0].startswith("SEARCH q USING INDEX")
