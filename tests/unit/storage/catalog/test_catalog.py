"""The rows: every field comes back, migrations go forward, foreign files stay as they are."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.http.heads import parse_head
from mxm_dataio.identity import identify
from mxm_dataio.models import (
    Exchange,
    Failure,
    Framing,
    Mode,
    Peer,
    Request,
    Response,
    Session,
    Status,
    Timings,
    Unseen,
)
from mxm_dataio.storage.catalog import reading
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.storage.catalog.chain import START, seal
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.utils import canonical_json, instant, new_id
from tests.support.effort import examples


def session(id: str, as_of: str = "2025-01-01", source: str = "src") -> Session:
    return Session(id, source, Mode.RECORD, as_of, Status.COMPLETE, "t", root_id=id)


def call(id: str, held: Session, name: str = "h", *attempts: CapturedAttempt, **more: Any) -> Entry:
    """Return an entry whose identity is a name."""
    base = Entry(
        CapturedCall(id, "GET", "u", 0.0),
        InSession(held.id, held.root_id, held.source, held.as_of),
        "", identity(name), (), None, None, 0, None, attempts, {},
    )  # fmt: skip
    return base._replace(**more)


def identity(name: str) -> str:
    return identify("GET", name, params=[("n", name)]).document().decode()


H = hashlib.sha256(identity("h").encode()).hexdigest()


def put(catalog: SQLiteCatalog, held: Session, *ids: str, name: str = "h") -> None:
    catalog.put_session(held)
    for id in ids:
        catalog.put([call(id, held, name)])


def ids(*exchanges: Exchange | None) -> list[str | None]:
    return [one.request.id if one else None for one in exchanges]


# -- round trips -----------------------------------------------------------------------------

# Lone surrogates too, where the text is kept as JSON: they come with undecodable file names.
text = st.text(max_size=12)
odd = st.text(st.characters(), max_size=12)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
headers = st.lists(st.tuples(odd, odd), max_size=3).map(tuple)
data = st.recursive(
    st.none() | st.booleans() | st.integers() | odd,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(odd, inner, max_size=2),
)
failures = st.none() | st.builds(Failure, odd, odd, st.dictionaries(odd, data, max_size=2))
framings = st.none() | st.builds(
    Framing,
    # Of more bytes than any body here has.
    chunks=st.lists(st.tuples(st.integers(1, 1 << 62), st.integers(1, 1 << 62)), max_size=3).map(
        lambda runs: (*runs, (1 << 61, 1))
    ),
    odd=st.dictionaries(st.integers(0), st.binary(max_size=9), max_size=2),
    tail=st.binary(max_size=20),
)
sessions = st.builds(
    Session, st.uuids().map(str), text, st.sampled_from(Mode), text, st.sampled_from(Status), text,
    st.none() | text, text, st.none() | text, text, st.integers(0, 1 << 31),
    st.lists(odd, max_size=2).map(tuple), odd, st.none() | st.integers(-64, 255),
    st.none() | st.lists(st.builds(Unseen, text, odd, st.integers(1, 9), text)).map(tuple),
)  # fmt: skip
instants = st.floats(0, 4e9)
# Texts that look like parts of a document, too.
tricky = text | st.sampled_from(['","endpoint":"e","headers":', ',"params":[],"v":1', "\n"])
documents = st.fixed_dictionaries(
    {
        "body": st.recursive(
            st.none() | tricky,
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.sampled_from(["endpoint", "headers", "params", "x"]), inner)
            ),
            max_leaves=4,
        ),
        "endpoint": tricky,
        "headers": st.lists(st.tuples(tricky, tricky), max_size=2),
        "method": tricky,
        "params": st.lists(st.tuples(tricky, tricky | st.just({"hex": "ff"})), max_size=3),
        "v": st.just(1),
    }
).map(lambda document: canonical_json(document).decode())
heads = st.lists(
    st.tuples(st.from_regex(r"[A-Za-z-]+", fullmatch=True), st.text("a:;ÿ~", max_size=9)),
    max_size=3,
)
checksums = st.text("0123456789abcdef", min_size=64, max_size=64)
calls = st.builds(
    CapturedCall, st.uuids().map(str), st.text("ABC", min_size=1), odd, instants,
    st.sampled_from(Status), numbers, failures, st.just(b""),
)  # fmt: skip
attempts_ = st.builds(
    CapturedAttempt, st.text("ABC", min_size=1), odd, instants, st.none() | st.integers(100, 999),
    st.none() | checksums, st.integers(0, 1 << 60), st.booleans(), st.booleans(), framings,
    failures, *[numbers] * 4, st.builds(Peer, *[st.none() | text] * 4), st.none() | text,
    st.integers(0, 1 << 60), st.just(b""),
)  # fmt: skip
entries = st.builds(
    Entry, calls, st.builds(InSession, text, text, text, text), text, documents,
    st.just(()), st.none() | text, st.none() | checksums, st.integers(0, 1 << 60),
    st.none() | text, st.lists(attempts_, max_size=3).map(tuple),
    st.lists(st.binary(), max_size=3).map(lambda some: {sha256(o).hexdigest(): o for o in some}),
)  # fmt: skip
roundtrip = examples(150)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLiteCatalog]:
    made = SQLiteCatalog(tmp_path_factory.mktemp("shared") / "dataio.sqlite")
    yield made
    made.close()


@roundtrip
@given(one=sessions)
def test_every_field_of_a_session_comes_back(shared: SQLiteCatalog, one: Session) -> None:
    one = replace(one, program=storable(one.program))
    shared.put_session(one)
    assert shared.session(one.id) == one
    again = replace(one, status=Status.FAILED, ended_at="later")
    shared.put_session(again)
    assert shared.session(one.id) == again


def storable(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


@roundtrip
@given(entry=entries, pairs=heads)
def test_every_field_of_a_call_comes_back(
    shared: SQLiteCatalog, entry: Entry, pairs: list[tuple[str, str]]
) -> None:
    head = "".join(f"\r\n{name}: {value}" for name, value in pairs).encode("latin-1")
    made = entry.call._replace(id=new_id(), head=head + b"\r\n\r\n")
    entry = entry._replace(call=made)
    shared.put([entry])
    document = json.loads(entry.identity)
    params: dict[str, Any] = {}
    for name, value in document["params"]:
        params.setdefault(name, []).append(value)
    params_hash = hashlib.sha256(entry.identity.encode()).hexdigest()
    request = Request(
        id=made.id,
        session_id=entry.session.id,
        root_id=entry.session.root_id,
        source=entry.session.source,
        as_of=entry.session.as_of,
        kind=entry.kind,
        method=made.method,
        endpoint=document["endpoint"],
        params={k: v if len(v) > 1 else v[0] for k, v in params.items()},
        params_hash=params_hash,
        base_hash=entry.base_hash or params_hash,
        identity=entry.identity,
        url=storable(made.url),
        headers=tuple((name, value) for name, value in pairs),
        body_checksum=entry.body_checksum,
        body_size=entry.body_size,
        started_at=instant(made.started),
        duration=made.duration,
        status=made.status,
        failure=made.failure,
        served_from=entry.served_from,
    )
    responses = tuple(
        Response(
            request_id=made.id,
            sequence=number,
            method=one.method,
            url=storable(one.url),
            status_code=one.status_code,
            checksum=one.checksum,
            size=one.size,
            complete=one.complete,
            closed_by_peer=one.closed_by_peer,
            framing=one.framing,
            failure=one.failure,
            started_at=instant(one.started),
            timings=Timings(one.connect, one.tls, one.first_byte, one.total),
            peer=one.peer,
            original_checksum=one.original_checksum,
            truncated=one.truncated,
        )
        for number, one in enumerate(entry.attempts, 1)
    )
    assert shared.exchange(made.id) == Exchange(request, responses)


@roundtrip
@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z-]+", fullmatch=True), st.binary(max_size=9))))
def test_headers_come_back_from_the_head(
    shared: SQLiteCatalog, pairs: list[tuple[str, bytes]]
) -> None:
    pairs = [(name, value.replace(b"\n", b"").replace(b"\r", b"")) for name, value in pairs]
    head = b"HTTP/1.1 200 Very  OK\r\n"
    head += b"".join(name.encode() + b": " + value + b"\r\n" for name, value in pairs) + b"\r\n"
    id = new_id()
    shared.put([call(id, session("s"), "h", CapturedAttempt("GET", "u", 0.0, head=head))])
    stored = shared.exchange(id)
    assert stored is not None
    (response,) = stored.responses
    assert (response.head, response.http_version, response.reason) == (head, "HTTP/1.1", "Very  OK")
    assert response.headers == tuple(
        (name, value.decode("latin-1").strip(" \t")) for name, value in pairs
    )


def test_the_round_trips_cover_every_field() -> None:
    """What a strategy leaves at its default could be lost unseen."""
    for made, count in ((CapturedCall, 7), (CapturedAttempt, 17), (Entry, 11), (InSession, 4)):
        # Of the first two the head is apart.
        assert len(made._fields) - ("head" in made._fields) == count


@pytest.mark.parametrize(
    ("head", "parsed"),
    [
        (b"", ("", None, ())),
        (b"HTTP/1.0 204\r\n\r\n", ("HTTP/1.0", "", ())),
        (b"HTTP/1.1 200 OK\nA: 1\na:2 \r\n\n", ("HTTP/1.1", "OK", (("A", "1"), ("a", "2")))),
        (b"HTTP/1.1 200 \xe9\r\nF: a\r\n  b\r\n\tc\r\n", ("HTTP/1.1", "é", (("F", "a b c"),))),
        (b"HTTP/1.1 200 OK\r\nno colon\r\nX:a:b\r\n", ("HTTP/1.1", "OK", (("X", "a:b"),))),
    ],
)
def test_parse_head(head: bytes, parsed: object) -> None:
    assert parse_head(head) == parsed


# -- look-ups --------------------------------------------------------------------------------


def test_newest_is_by_as_of_then_by_session(catalog: SQLiteCatalog) -> None:
    put(catalog, session("s1", "2025-01-02"), "r1")
    put(catalog, session("s3", "2025-01-01"), "r3")
    put(catalog, session("s2", "2025-01-02"), "r2")
    put(catalog, session("s9", "2025-01-09"), "r9", name="other")
    put(catalog, session("s8", "2025-01-08", source="else"), "r8")
    assert catalog.newest("src", H, "~") == ("2025-01-02", "s2")
    assert catalog.newest("src", H, "2025-01-01~") == ("2025-01-01", "s3")
    assert catalog.newest("src", H, "2024-12-31~") is None
    assert catalog.newest("src", "none", "~") is None
    assert catalog.newest("else", H, "~") == ("2025-01-08", "s8")


def test_an_instant_counts_to_its_day(catalog: SQLiteCatalog) -> None:
    put(catalog, session("s1", "2025-01-02T23:59:59.000000Z"), "r1")
    assert catalog.newest("src", H, "2025-01-02~") is not None
    assert catalog.newest("src", H, "2025-01-02T23:00:00.000000Z") is None


def test_nth_walks_a_session_and_its_children_in_order(catalog: SQLiteCatalog) -> None:
    parent = session("s1")
    put(catalog, parent, "r1", "r4")
    put(catalog, replace(session("s2"), root_id="s1", parent_id="s1"), "r2")
    put(catalog, session("s3"), "r3")
    put(catalog, parent, "r5", name="other")
    seen, after = [], ""
    while found := catalog.nth("src", H, "s1", after):
        after = found.request.id
        seen.append(after)
    assert seen == ["r1", "r2", "r4"]
    assert ids(catalog.last("src", H, "s1"), catalog.last("src", H, "s3")) == ["r4", "r3"]
    assert ids(catalog.last("src", H, "s9"), catalog.last("no", H, "s1")) == [None, None]


def test_exchanges_come_in_order_beyond_one_step(catalog: SQLiteCatalog) -> None:
    put(catalog, session("s1"), *[f"{number:04}" for number in reversed(range(600))])
    put(catalog, session("s2"), "9999")
    found = [exchange.request.id for exchange in catalog.exchanges("s1")]
    assert found == [f"{number:04}" for number in range(600)]
    assert list(catalog.exchanges("none")) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE requests SET started = 1e300 WHERE id = '2'",
        "UPDATE requests SET status = 'bogus' WHERE id = '2'",
        "INSERT INTO responses SELECT number, 1, NULL, NULL, 200, x'', NULL, 0, 1, 0, '[', NULL, "
        "0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, 0 FROM requests WHERE id = '2'",
    ],
)
def test_exchanges_go_on_past_a_damaged_one(catalog: SQLiteCatalog, change: str) -> None:
    held = session("s")
    put(catalog, held, "1", "2", "3")
    with closing(sqlite3.connect(catalog.database.path)) as db, db:
        db.execute(change)
    told: list[IntegrityError] = []
    assert ids(*catalog.exchanges("s", told.append)) == ["1", "3"]
    assert ["the record 2 in " in str(exc) for exc in told] == [True]
    with pytest.raises(IntegrityError, match="the record 2 in "):
        list(catalog.exchanges("s"))


def test_where_a_chain_ends(catalog: SQLiteCatalog) -> None:
    held = session("s")
    catalog.put_session(held)
    assert catalog.chain_end("s") == (os.uname().nodename, START, 0, None, None)
    put(catalog, held, "1", "2")
    catalog.put_session(held, sealed=True)
    end = catalog.chain_end("s")
    assert end is not None
    assert (end.records, end.leaf) == (2, 0)
    assert end.seal == seal(end.head, 2, catalog.sealed("s")[2])
    assert catalog.chain_end("t") is None
    with closing(sqlite3.connect(catalog.database.path)) as db, db:
        db.execute("UPDATE sessions SET head = 'text'")
    with pytest.raises(IntegrityError):
        catalog.chain_end("s")


def test_variants_are_kept_once_for_each_source(catalog: SQLiteCatalog) -> None:
    held = session("s1")
    catalog.put_session(held)
    for number, vary in enumerate([("accept",), ("accept", "cookie"), ("accept",), ()]):
        catalog.put([call(f"r{number}", held, f"h{number}", base_hash="base", vary=vary)])
    assert set(catalog.variants("src", "base")) == {("accept",), ("accept", "cookie")}
    assert catalog.variants("src", "h1") == []
    assert catalog.variants("other", "base") == []


def test_similar_and_with_hash(catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    put(catalog, session("s1"), "r1", "r2")
    put(catalog, session("s2", source="else"), "r3")
    put(catalog, session("s1"), "r4", name="other")
    assert [one.id for one in catalog.similar("src", "h", 1)] == ["r2", "r4"]
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_LOOKED_THROUGH", 2)
        assert [one.id for one in catalog.similar("src", "h", 1)] == ["r4"]
    assert {one.id for one in catalog.with_hash(H, 9)} == {"r1", "r2", "r3"}
    assert len(catalog.with_hash(H, 2)) == 2


def test_sessions_are_listed_oldest_first(catalog: SQLiteCatalog) -> None:
    for one in (session("s2"), session("s1", source="else"), session("s3")):
        catalog.put_session(one)
    assert [one.id for one in catalog.sessions()] == ["s1", "s2", "s3"]
    assert [one.id for one in catalog.sessions("src")] == ["s2", "s3"]
    assert catalog.session("s9") is None
    assert catalog.exchange("r9") is None


def test_replay_look_ups_use_an_index(catalog: SQLiteCatalog) -> None:
    put(catalog, session("s1"), *[f"r{number}" for number in range(50)])
    asked: list[str] = []
    catalog.database._db.set_trace_callback(asked.append)
    catalog.variants("src", H)
    catalog.newest("src", H, "2025-01-01~")
    catalog.nth("src", H, "s1", "r1")
    catalog.last("src", H, "s1")
    catalog.exchange("r1")
    catalog.session("s1")
    catalog.with_hash(H, 5)
    catalog.takes_bodies("src", "h")
    list(catalog.exchanges("s1"))
    catalog.database._db.set_trace_callback(None)
    assert len(asked) > 10
    for sql in dict.fromkeys(asked):
        plan = [row[3] for row in catalog.database._db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert plan
        assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step], (sql, plan)


def test_calls_are_stored_all_or_none(catalog: SQLiteCatalog) -> None:
    held = session("s1")
    broken = call("r2", held, "h", CapturedAttempt("GET", "u", 0.0, size=None))  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        catalog.put([call("r1", held, base_hash=H, vary=("a",)), broken])
    assert (catalog.exchange("r1"), catalog.exchange("r2")) == (None, None)
    assert catalog.variants("src", H) == []
    put(catalog, held, "r1")
    assert catalog.exchange("r1") is not None


def test_a_call_that_is_there_already_stays(catalog: SQLiteCatalog) -> None:
    held = session("s1")
    catalog.put([call("r1", held, "h", CapturedAttempt("GET", "first", 0.0))])
    first = catalog.exchange("r1")
    catalog.put([call("r1", held, "other", CapturedAttempt("GET", "second", 0.0))])
    assert first is not None
    assert catalog.exchange("r1") == first


# -- damage ----------------------------------------------------------------------------------


def test_damage_behind_the_first_page_is_an_integrity_error(path: Path) -> None:
    with closing(SQLiteCatalog(path)) as made:
        put(made, session("s1"), *[f"r{number}" for number in range(200)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with closing(SQLiteCatalog(path, readonly=True)) as damaged:
        for look_up in (
            lambda: damaged.newest("src", H, "~"),
            lambda: damaged.exchange("r1"),
            lambda: damaged.session("s1"),
        ):
            with pytest.raises(IntegrityError, match=path.name):
                look_up()


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("requests", "identity", "{"),
        ("requests", "status", "nonsense"),
        ("responses", "framing", "[1]"),
        ("responses", "failure", "3"),
        ("sessions", "mode", "?"),
    ],
)
def test_a_damaged_row_is_an_integrity_error(
    path: Path, table: str, column: str, value: str
) -> None:
    with closing(SQLiteCatalog(path)) as made:
        made.put_session(session("s1"))
        made.put([call("r1", session("s1"), "h", CapturedAttempt("GET", "u", 0.0))])
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE {table} SET {column} = ?", (value,))
        db.commit()
    with closing(SQLiteCatalog(path, readonly=True)) as damaged:
        look_up = (
            (lambda: damaged.session("s1"))
            if table == "sessions"
            else (lambda: damaged.exchange("r1"))
        )
        with pytest.raises(IntegrityError, match=path.name):
            look_up()
