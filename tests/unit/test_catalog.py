"""The rows: every field comes back, migrations go forward, foreign files stay as they are."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxm_dataio import catalog as module
from mxm_dataio.catalog import SCHEMA_VERSION, SQLiteCatalog
from mxm_dataio.chain import START, seal
from mxm_dataio.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.heads import parse_head
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
from mxm_dataio.utils import canonical_json, instant, new_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dataio.sqlite"


@pytest.fixture
def catalog(path: Path) -> Iterator[SQLiteCatalog]:
    made = SQLiteCatalog(path)
    yield made
    made.close()


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
roundtrip = settings(max_examples=150, deadline=None)


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
    with closing(sqlite3.connect(catalog.path)) as db, db:
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
    with closing(sqlite3.connect(catalog.path)) as db, db:
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


def test_similar_and_with_hash(catalog: SQLiteCatalog) -> None:
    put(catalog, session("s1"), "r1", "r2")
    put(catalog, session("s2", source="else"), "r3")
    put(catalog, session("s1"), "r4", name="other")
    assert [one.id for one in catalog.similar("src", "h", 1)] == ["r2", "r4"]
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
    catalog._db.set_trace_callback(asked.append)
    catalog.variants("src", H)
    catalog.newest("src", H, "2025-01-01~")
    catalog.nth("src", H, "s1", "r1")
    catalog.last("src", H, "s1")
    catalog.exchange("r1")
    catalog.session("s1")
    catalog.with_hash(H, 5)
    list(catalog.exchanges("s1"))
    catalog._db.set_trace_callback(None)
    assert len(asked) > 10
    for sql in dict.fromkeys(asked):
        plan = [row[3] for row in catalog._db.execute(f"EXPLAIN QUERY PLAN {sql}")]
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


# -- the file --------------------------------------------------------------------------------


def test_the_file_is_ours_private_and_in_wal_mode(path: Path, catalog: SQLiteCatalog) -> None:
    put(catalog, session("s1"), "r1")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA application_id").fetchone() == (module.APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_an_empty_file_becomes_private_before_anything_is_in_it(path: Path) -> None:
    # What is left of a process that was killed as it made the file.
    path.touch(0o644)
    SQLiteCatalog(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_durable_row_is_synced_and_the_next_is_not(path: Path, catalog: SQLiteCatalog) -> None:
    levels: list[int] = []
    db = catalog._db
    db.set_trace_callback(
        lambda sql: levels.append(1) if sql == "PRAGMA synchronous=FULL" else None
    )
    put(catalog, session("s1"), "r1")
    assert levels == []
    catalog.put_session(session("s1"), durable=True)
    db.set_trace_callback(None)
    assert levels == [1]
    assert db.execute("PRAGMA synchronous").fetchone() == (1,)


@pytest.mark.parametrize("action", ["a durable row", "a second catalog", "a reading catalog"])
def test_no_action_lets_go_of_sqlite_s_locks(
    path: Path, catalog: SQLiteCatalog, action: str
) -> None:
    # Closing any descriptor of the file drops all POSIX locks that the process has on it, and
    # another process then takes our WAL away (sqlite.org/howtocorrupt.html §2.2).
    put(catalog, session("s1"), "r1")
    if action == "a durable row":
        catalog.put_session(session("s1"), durable=True)
    else:
        SQLiteCatalog(path, readonly=action == "a reading catalog").close()
    script = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], timeout=0)\n"
        "try: print(db.execute('PRAGMA journal_mode=DELETE').fetchone())\n"
        "except sqlite3.OperationalError as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.stdout == "database is locked\n", done


def grown(monkeypatch: pytest.MonkeyPatch, *steps: str) -> None:
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, *steps))
    monkeypatch.setattr(module, "SCHEMA_VERSION", len(module.MIGRATIONS))


def test_an_older_file_is_migrated_and_keeps_its_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SQLiteCatalog(path)) as old:
        put(old, session("s1"), "r1")
    grown(monkeypatch, "CREATE TABLE t1 (a);", "ALTER TABLE t1 ADD b; CREATE INDEX i ON t1 (b)")
    with pytest.raises(StoreError, match="open it once for recording"):
        SQLiteCatalog(path, readonly=True)
    with closing(SQLiteCatalog(path)) as new:
        assert new._all("PRAGMA user_version") == [(SCHEMA_VERSION + 2,)]
        assert new._all("SELECT a, b FROM t1") == []
        assert new.exchange("r1") is not None
    SQLiteCatalog(path, readonly=True).close()


def test_a_failed_migration_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SQLiteCatalog(path).close()
    with monkeypatch.context() as patch:
        grown(patch, "CREATE TABLE t1 (a)", "CREATE TABLE t2 (a); no SQL at all")
        with pytest.raises(StoreError):
            SQLiteCatalog(path)
    with closing(SQLiteCatalog(path)) as again:
        assert again._all("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        assert again._all("SELECT name FROM sqlite_master WHERE name LIKE 't_'") == []


def test_a_message_that_is_no_text_is_damage(
    catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Damaged:
        def execute(self, *_args: object) -> None:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    with monkeypatch.context() as patch:
        patch.setattr(catalog, "_db", Damaged())
        for ask in (lambda: catalog.nth("src", H, "s1", ""), catalog.version):
            with pytest.raises(IntegrityError):
                ask()


# -- refusals: each file stays as it is ------------------------------------------------------


def refusal(path: Path, readonly: bool = False) -> IntegrityError:
    """Return the refusal without its traceback, which would hold the connection open."""
    with pytest.raises(IntegrityError) as caught:
        SQLiteCatalog(path, readonly=readonly)
    error = caught.value
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def contents(path: Path) -> dict[str, bytes]:
    gc.collect()
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def refused(path: Path, readonly: bool, match: str) -> None:
    before = contents(path)
    error = refusal(path, readonly)
    assert re.search(match, str(error))
    assert error.path == path
    assert str(path) in str(error)
    after = contents(path)
    # What the reader of a WAL leaves beside it holds no content of its own.
    after = {name: found for name, found in after.items() if not name.endswith("-shm")}
    assert {name: before.get(name, b"") for name in after} == after


@pytest.mark.parametrize("readonly", [True, False])
def test_a_newer_file_is_refused(path: Path, readonly: bool) -> None:
    SQLiteCatalog(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    refused(path, readonly, "upgrade mxm-dataio")


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE theirs (a)", "PRAGMA user_version=1", "PRAGMA application_id=77"],
)
def test_another_program_s_database_is_refused(path: Path, readonly: bool, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(sql)
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("VACUUM")
    refused(path, readonly, "another program")


def test_another_program_s_wal_is_not_folded_in(path: Path) -> None:
    origin = path.with_name("origin")
    origin.mkdir()
    with closing(sqlite3.connect(origin / path.name)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE theirs (a)")
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(origin / name, path.with_name(name))
    shutil.rmtree(origin)
    before = contents(path)
    assert refusal(path).path == path
    after = contents(path)
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("junk", [b"x", b"# a diary\n" * 999, b"SQLite format 2\x00" + b"\0" * 99])
def test_a_file_that_is_no_database_is_refused(path: Path, readonly: bool, junk: bytes) -> None:
    path.write_bytes(junk)
    refused(path, readonly, "no SQLite database")


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("kept", [17, 99, 1000, 4096])
def test_a_truncated_database_is_refused(path: Path, readonly: bool, kept: int) -> None:
    SQLiteCatalog(path).close()
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, readonly, "damaged")


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


def test_read_only_needs_a_file_and_never_writes(path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is recorded") as caught:
        SQLiteCatalog(path, readonly=True)
    assert caught.value.path == path
    assert list(path.parent.iterdir()) == []
    SQLiteCatalog(path).close()
    with closing(SQLiteCatalog(path, readonly=True)) as reader:
        with pytest.raises(StoreError):
            reader.put_session(session("s1"))
        assert reader.sessions() == []


def test_a_forked_child_uses_a_connection_of_its_own(path: Path) -> None:
    # In a process of its own: pytest's has threads, and a fork of those is warned of.
    script = """
import os, sys
from pathlib import Path
from mxm_dataio.catalog import SQLiteCatalog
from mxm_dataio.models import Mode, Session, Status
def session(id): return Session(id, "src", Mode.RECORD, "d", Status.COMPLETE, "t")
catalog = SQLiteCatalog(Path(sys.argv[1]))
catalog.put_session(session("parent-before"))
child = os.fork()
if not child:
    assert catalog._db is None
    catalog.put_session(session("child"))
    assert len(catalog.sessions()) == 2, catalog.sessions()
    catalog.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
catalog.put_session(session("parent-after"))
assert [one.id for one in catalog.sessions()] == ["child", "parent-after", "parent-before"]
assert catalog._all("PRAGMA integrity_check") == [("ok",)]
catalog.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with closing(SQLiteCatalog(path, readonly=True)) as again:
        assert len(again.sessions()) == 3


def test_what_a_forked_child_writes_outlives_its_parent_s_catalog(path: Path) -> None:
    # The last of a process that closes the database deletes its log, if SQLite knows of no other.
    script = """
import os, signal, sys
from pathlib import Path
from mxm_dataio.catalog import SQLiteCatalog
from mxm_dataio.models import Mode, Session, Status
def session(id): return Session(id, "src", Mode.RECORD, "d", Status.COMPLETE, "t")
catalog = SQLiteCatalog(Path(sys.argv[1]))
catalog.put_session(session("parent"))
ready, told = os.pipe()
go, say = os.pipe()
child = os.fork()
if not child:
    assert catalog.sessions()
    os.write(told, b"x")
    os.read(go, 1)
    for number in range(9):
        catalog.put_session(session(f"child {number}"))
    os.kill(os.getpid(), signal.SIGKILL)
os.read(ready, 1)
catalog.put_session(session("parent again"))
catalog.close()
os.write(say, b"x")
os.waitpid(child, 0)
assert len(SQLiteCatalog(Path(sys.argv[1])).sessions()) == 11
"""
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def hot(path: Path, application: int) -> None:
    """Make a database whose writer was killed amid a transaction before there was a WAL."""
    origin = path.with_name("origin")
    with closing(sqlite3.connect(origin, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size=1")
        db.execute(f"PRAGMA application_id={application}")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (zeroblob(50000))")
        db.execute("DROP TABLE t")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (randomblob(60000))")
        for suffix in ("", "-journal"):
            shutil.copy(f"{origin}{suffix}", f"{path}{suffix}")
        db.execute("ROLLBACK")
    for left in path.parent.glob("origin*"):
        left.unlink()


def check_undone(path: Path, readonly: bool) -> None:
    """Open what was killed as it was made: there is nothing in it, and nothing left of the kill."""
    if readonly:
        with pytest.raises(StoreError, match="schema version 0"):
            SQLiteCatalog(path, readonly=True)
    else:
        with closing(SQLiteCatalog(path)) as catalog:
            assert catalog.sessions() == []
            assert catalog._all("PRAGMA integrity_check") == [("ok",)]
    assert not Path(f"{path}-journal").exists()


@pytest.mark.parametrize("readonly", [False, True])
def test_what_was_killed_before_the_wal_is_undone(path: Path, readonly: bool) -> None:
    hot(path, module.APPLICATION_ID)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("PRAGMA user_version")
        assert caught.value.sqlite_errorname == "SQLITE_READONLY_ROLLBACK", "this tests nothing"
    check_undone(path, readonly)


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("pages", [1, 2, 5])
def test_a_new_file_that_was_written_by_half_is_undone(
    path: Path, readonly: bool, pages: int
) -> None:
    """As a kill leaves it amid the commit of the first migration: there was nothing before."""
    origin = path.with_name("origin")
    with closing(sqlite3.connect(origin, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size=1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (randomblob(60000))")
        db.execute(f"PRAGMA user_version={module.SCHEMA_VERSION}")
        for suffix in ("", "-journal"):
            shutil.copy(f"{origin}{suffix}", f"{path}{suffix}")
        db.execute("ROLLBACK")
    origin.unlink()
    with path.open("r+b") as file:
        file.truncate(pages * 4096)
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db,
        pytest.raises(sqlite3.DatabaseError, match=r"malformed|not a database"),
    ):
        db.execute("SELECT * FROM sqlite_master").fetchall()
    check_undone(path, readonly)


def test_another_program_s_is_not_undone(path: Path) -> None:
    hot(path, 77)
    files = {one: one.read_bytes() for one in path.parent.iterdir()}
    assert len(files) == 2
    with pytest.raises(IntegrityError, match="another program"):
        SQLiteCatalog(path)
    assert {one: one.read_bytes() for one in path.parent.iterdir()} == files


def test_a_file_that_another_process_is_making_is_not_taken_for_a_foreign_one(path: Path) -> None:
    class Slow(sqlite3.Connection):
        """Lets another process make the tables between two looks."""

        met = 0

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if "sqlite_master" in sql:
                self.met += 1
                with (
                    closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
                    contextlib.suppress(sqlite3.OperationalError),
                ):
                    other.executescript(
                        f"BEGIN; CREATE TABLE sessions (id); PRAGMA user_version=1; "
                        f"PRAGMA application_id={module.APPLICATION_ID}; COMMIT"
                    )
            return super().execute(sql, *values)

    with (
        closing(SQLiteCatalog(path.with_name("any"))) as catalog,
        closing(sqlite3.connect(path, factory=Slow, isolation_level=None)) as db,
    ):
        assert catalog._version(db) == 0
        assert db.met == 1
