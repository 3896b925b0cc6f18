"""Verification: each way to tamper with a store is found, and its exchange is named."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.errors import StoreError
from mxm_dataio.integrity.findings import Finding, Verified
from mxm_dataio.integrity.verify import verify, verify_root
from mxm_dataio.models import Status
from mxm_dataio.storage.catalog.catalog import SQLiteCatalog
from mxm_dataio.storage.catalog.migrations import empty
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import crossed
from tests.trust.small import carry, end, fill, record, session, with_pruned


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("made")
    return root, fill(root)


@pytest.fixture
def root(made: tuple[Path, list[str]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "root"))


@pytest.fixture
def ids(made: tuple[Path, list[str]]) -> list[str]:
    return made[1]


@contextlib.contextmanager
def database(root: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(root / "dataio.sqlite", isolation_level=None)
    try:
        yield db
    finally:
        db.close()


def sql(root: Path, *statements: str) -> None:
    with database(root) as db:
        for statement in statements:
            assert db.execute(statement).rowcount != 0, statement


def one(root: Path, query: str) -> Any:
    with database(root) as db:
        return db.execute(query).fetchone()[0]


def request_id(root: Path, name: str) -> str:
    return str(one(root, f"SELECT id FROM requests WHERE endpoint LIKE '%/{name}'"))


def about(verified: Verified, id: str) -> list[Finding]:
    return [finding for finding in verified.findings if finding.request == id]


def payload(root: Path, content: bytes) -> Path:
    return root / "responses" / f"{hashlib.sha256(content).hexdigest()}.bin"


def test_what_was_recorded_is_as_it_was_recorded(root: Path, ids: list[str]) -> None:
    seen: list[tuple[str, int, int]] = []
    found = verify_root(root, progress=lambda *step: seen.append(step))
    assert (found.ok, found.findings, found.notes) == (True, (), ())
    assert (found.sessions, found.calls, found.payloads, found.size) == (3, 8, 9, 42)
    assert found.head is not None
    assert found.head.size == 3
    assert seen[0] == ("calls", 8, 8)
    assert seen[-1] == ("bytes", 42, 42)
    part = verify_root(root, [ids[1]])
    assert (part.ok, part.sessions, part.calls, part.payloads) == (True, 1, 2, 2)


def test_every_column_of_the_small_store_says_something(root: Path, tmp_path: Path) -> None:
    with_pruned(root)
    fill(tmp_path / "elsewhere")
    carry(tmp_path / "elsewhere", root)
    with RecordingStore(root) as store:
        assert store.forget(request_id(root, "a"))
    assert verify_root(root).ok
    for table, columns in COLUMNS.items():
        for column in columns:
            assert one(root, f"SELECT count(*) FROM {table} WHERE {column} NOT NULL"), column


# -- columns -----------------------------------------------------------------------------------

with empty() as _db:
    COLUMNS: dict[str, list[str]] = {
        table: [row[1] for row in _db.execute(f"PRAGMA table_info({table})")]
        for (table,) in _db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
_db.close()

NUMBERS = {
    "number", "session", "root", "body_size", "started", "duration", "pid", "count", "leaf",
    "request", "sequence", "status_code", "size", "complete", "closed_by_peer", "connect", "tls",
    "first_byte", "total",
}  # fmt: skip
CALLS = [
    (table, column) for table in ("requests", "responses") for column in COLUMNS[table]
    if (table, column) not in {("requests", "number"), ("responses", "request")}
]  # fmt: skip


def changed(column: str) -> str:
    """Return SQL for another value of a column, of its kind."""
    if column in NUMBERS:
        return f"coalesce({column}, 0) + 1"
    if column in ("hash", "seal", "params_hash"):
        return "randomblob(32)"
    if column in ("head", "content"):
        return "CAST('Other: 1' AS BLOB)"
    return f"coalesce({column}, '') || 'x'"


@pytest.mark.parametrize(("table", "column", "name"), crossed(CALLS, ["b", "h"], 2))
def test_a_changed_column_of_a_call(root: Path, table: str, column: str, name: str) -> None:
    id = request_id(root, name)
    number = f"(SELECT number FROM requests WHERE id = '{id}')"
    where = (
        f"number = {number}"
        if table == "requests"
        else f"request = {number} AND sequence = (SELECT max(sequence) FROM responses r "
        f"WHERE r.request = {number})"
    )
    sql(root, f"UPDATE {table} SET {column} = {changed(column)} WHERE {where}")
    found = verify_root(root)
    if (table, column) == ("requests", "id"):
        id += "x"
    assert about(found, id), found
    if column == "hash":
        assert [one.what for one in about(found, id)] == ["its hash was changed"]
    # One change is told once or twice (a checksum: the record, and the payload it names), and of
    # a call that went to another session both sessions speak.
    assert len(found.findings) <= (5 if column == "session" else 2), found


@pytest.mark.parametrize("column", [c for c in COLUMNS["sessions"] if c not in ("number",)])
def test_a_changed_column_of_a_session(root: Path, ids: list[str], column: str) -> None:
    value = "7" if column == "leaf" else changed(column)
    sql(root, f"UPDATE sessions SET {column} = {value} WHERE id = '{ids[0]}'")
    found = verify_root(root)
    changed_id = f"{ids[0]}x" if column == "id" else ids[0]
    assert any(one.session == changed_id for one in found.findings), found


@pytest.mark.parametrize("seal", ["seal = NULL", "seal = NULL, leaf = NULL"])
def test_a_removed_seal(root: Path, ids: list[str], seal: str) -> None:
    # The last leaf's, so that the tree has no gap.
    sql(root, f"UPDATE sessions SET {seal} WHERE leaf = (SELECT max(leaf) FROM sessions) ")
    found = verify_root(root)
    if seal == "seal = NULL":
        assert "its seal was removed" in str(found.findings[0])
    else:
        # Of a session that says it is incomplete this may be: a published head tells.
        assert found.ok
        assert found.notes
    sql(root, f"UPDATE sessions SET {seal} WHERE id = '{ids[2]}'")
    assert any(one.session == ids[2] for one in verify_root(root).findings)


def test_shared_heads_and_variants(root: Path) -> None:
    sql(root, "UPDATE heads SET content = CAST('Other: ' || number AS BLOB)")
    assert len(verify_root(root).findings) == 7
    sql(root, "DELETE FROM heads")
    assert len(verify_root(root).findings) == 7


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM variants",
        "UPDATE variants SET vary = 'accept'",
        "UPDATE variants SET source = 'x'",
        "UPDATE variants SET base_hash = 'x'",
        "INSERT INTO variants VALUES ('x', 'y', 'z')",
    ],
)
def test_variants(root: Path, statement: str) -> None:
    sql(root, statement)
    assert "vary on" in str(verify_root(root).findings[0])


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP INDEX requests_by_hash", "not those of this release"),
        (
            "CREATE TRIGGER t AFTER INSERT ON requests BEGIN DELETE FROM requests; END",
            "DROP TRIGGER t",
        ),
        ("CREATE VIEW v AS SELECT 1", "DROP VIEW v"),
    ],
)
def test_tables_that_are_not_ours(root: Path, statement: str, said: str) -> None:
    with database(root) as db:
        db.execute(statement)
    assert said in str(verify_root(root).findings)


def test_an_index_that_lies(root: Path) -> None:
    path = root / "dataio.sqlite"
    content = path.read_bytes()
    said = []
    for match in re.finditer(request_id(root, "h").encode(), content):
        path.write_bytes(content[: match.start()] + b"f" + content[match.start() + 1 :])
        found = verify_root(root)
        assert not found.ok
        said.append("requests_by_session" in str(found.findings))
    assert any(said)


def test_an_index_that_leads_astray(root: Path) -> None:
    # SQLite's own check does not look at all of an entry's header.
    path = root / "dataio.sqlite"
    content = path.read_bytes()
    entries = [match.start() for match in re.finditer(rb"\x07\x4c\x19", content)]
    assert len(entries) == 8
    for at in entries:
        path.write_bytes(content[:at] + b"\x08" + content[at + 1 :])
        assert "requests_by_hash" in str(verify_root(root).findings)


# -- records -----------------------------------------------------------------------------------


def delete(root: Path, id: str) -> None:
    number = one(root, f"SELECT number FROM requests WHERE id = '{id}'")
    with database(root) as db:
        db.execute(f"DELETE FROM responses WHERE request = {number}")
        db.execute(f"DELETE FROM requests WHERE number = {number}")


def renumber(root: Path, *pairs: tuple[int, int]) -> None:
    with database(root) as db:
        for sign, offset in ((1, -1000), (-1, 1000)):
            for old, new in pairs:
                source, target = (old, new + offset) if sign == 1 else (new - 1000, new)
                db.execute(f"UPDATE requests SET number = {target} WHERE number = {source}")
                db.execute(f"UPDATE responses SET request = {target} WHERE request = {source}")


def number(root: Path, name: str) -> int:
    return int(one(root, f"SELECT number FROM requests WHERE endpoint LIKE '%/{name}'"))


def test_a_removed_record_names_the_one_behind_it(root: Path) -> None:
    delete(root, request_id(root, "b"))
    found = verify_root(root)
    (behind,) = about(found, request_id(root, "c"))
    assert "what was before it was removed" in behind.what
    assert "5 records and 4 are there: some are missing" in str(found.findings)


def test_the_first_record_removed(root: Path) -> None:
    delete(root, request_id(root, "a"))
    found = verify_root(root)
    assert "as the first of its session" in about(found, request_id(root, "b"))[0].what
    assert "answered from the call" in about(found, request_id(root, "d"))[0].what


def test_the_tail_cut_off(root: Path, ids: list[str]) -> None:
    delete(root, request_id(root, "e"))
    found = verify_root(root)
    assert [one.request for one in found.findings] == [request_id(root, "d")]
    assert "5 records and 4 are there: those behind this one" in found.findings[0].what
    delete(root, request_id(root, "d"))
    sql(
        root,
        "UPDATE sessions SET count = 3, head = (SELECT hash FROM requests "
        f"WHERE endpoint LIKE '%/c') WHERE id = '{ids[0]}'",
    )
    found = verify_root(root)
    assert [one.request for one in found.findings] == [request_id(root, "c")]
    assert "removed from its end" in found.findings[0].what


def test_every_record_removed(root: Path, ids: list[str]) -> None:
    for name in "abcde":
        delete(root, request_id(root, name))
    found, variants = verify_root(root).findings
    assert found.session == ids[0]
    assert found.what == "it counts 5 records and 0 are there: its records are missing"
    assert "is said by no call" in variants.what


def test_records_swapped(root: Path) -> None:
    a, b = number(root, "b"), number(root, "c")
    renumber(root, (a, b), (b, a))
    found = verify_root(root)
    assert "re-ordered" in about(found, request_id(root, "c"))[0].what
    assert request_id(root, "a") in about(found, request_id(root, "b"))[0].what + str(found)
    assert {"b", "c", "d"} == {(one.url or "?")[-7] for one in found.findings}


def test_a_record_moved_to_the_end(root: Path) -> None:
    renumber(root, (number(root, "b"), 99))
    found = verify_root(root)
    (moved,) = about(found, request_id(root, "b"))
    assert moved.what.startswith("it was recorded behind GET https://data.example/a?day=1")
    assert "and stands behind" in moved.what


def test_a_record_moved_to_the_front(root: Path) -> None:
    renumber(root, (number(root, "c"), -5))
    assert "as the first" in about(verify_root(root), request_id(root, "c"))[0].what


def test_a_record_moved_to_another_session(root: Path) -> None:
    sql(root, "UPDATE requests SET session = 1, root = 1 WHERE endpoint LIKE '%/f'")
    assert about(verify_root(root), request_id(root, "f"))


@pytest.mark.parametrize("hash", ["randomblob(32)", "hash"])
def test_a_record_put_in(root: Path, ids: list[str], hash: str) -> None:
    columns = ", ".join(c for c in COLUMNS["requests"] if c not in ("number", "id", "hash"))
    sql(
        root,
        f"INSERT INTO requests (id, hash, {columns}) "
        f"SELECT 'forged', {hash}, {columns} FROM requests WHERE endpoint LIKE '%/d'",
    )
    assert about(verify_root(root), "forged")
    renumber(root, (number(root, "c"), 98), (number(root, "d"), 99))
    assert about(verify_root(root), "forged")


def test_sessions_whose_numbers_were_swapped(root: Path, ids: list[str]) -> None:
    """Of sessions of one as-of, the number tells which is the newest, and answers in replay."""
    numbers = [one(root, f"SELECT number FROM sessions WHERE id = '{id}'") for id in ids[:2]]
    places = [("sessions", "number"), ("requests", "session"), ("requests", "root")]
    with RootStore(root, readonly=True) as store:
        held = store.requests(ids[0])[0]
        before = store.catalog.newest(held.source, held.params_hash, "~")
    for old, new in [(numbers[0], 99), (numbers[1], numbers[0]), (99, numbers[1])]:
        for table, column in places:
            sql(root, f"UPDATE {table} SET {column} = {new} WHERE {column} = {old}")
    with RootStore(root, readonly=True) as store:
        assert [len(store.requests(id)) for id in ids[:2]] == [5, 2], "nothing else has changed"
        assert store.catalog.newest(held.source, held.params_hash, "~") == before
    found = verify_root(root)
    assert {finding.session for finding in found.findings} == set(ids[:2])
    assert all("its seal is not that of its row" in finding.what for finding in found.findings)


def test_calls_recorded_after_the_seal(root: Path, ids: list[str]) -> None:
    with RecordingStore(root) as store:
        held = store.session(ids[0])
        assert held is not None
        late = record(store, held, "late", b"late")
    found = verify_root(root)
    assert [(one.request, one.what) for one in found.findings] == [
        (late, "it was added after the session's seal")
    ]
    assert found.findings[0].session == ids[0]
    # The row put back as it was sealed does not hide it.
    sql(
        root,
        "UPDATE sessions SET count = 5, head = (SELECT hash FROM requests "
        f"WHERE endpoint LIKE '%/e') WHERE id = '{ids[0]}'",
    )
    assert verify_root(root).findings == found.findings


def test_a_removed_session(root: Path, ids: list[str]) -> None:
    sql(root, f"DELETE FROM sessions WHERE id = '{ids[0]}'")
    found = verify_root(root)
    assert {one.what for one in about(found, request_id(root, "a"))} == {"its session is missing"}
    assert any("leaf 1 of the store's tree where 0" in one.what for one in found.findings)


def test_a_session_removed_with_its_calls(root: Path, ids: list[str]) -> None:
    for name in "abcde":
        delete(root, request_id(root, name))
    sql(root, f"DELETE FROM sessions WHERE id = '{ids[0]}'", "DELETE FROM variants")
    (found,) = verify_root(root).findings
    assert "leaf 1 of the store's tree" in found.what


def test_attempts_of_no_call(root: Path) -> None:
    sql(root, "UPDATE responses SET request = 77 WHERE request = 1")
    found = verify_root(root)
    assert "an attempt of no call" in str(found.findings)
    assert about(found, request_id(root, "a"))


def test_a_text_that_is_none(root: Path) -> None:
    sql(root, "UPDATE requests SET kind = CAST(x'ff' AS TEXT) WHERE endpoint LIKE '%/b'")
    assert about(verify_root(root), request_id(root, "b"))


@pytest.mark.parametrize("store", ["CAST(x'ff' AS TEXT)", "x'ff'", "7"])
def test_a_store_that_has_no_such_id(root: Path, tmp_path: Path, store: str) -> None:
    fill(tmp_path / "elsewhere")
    carry(tmp_path / "elsewhere", root)
    sql(
        root,
        f"UPDATE origins SET store = {store} WHERE session = (SELECT max(session) FROM origins)",
    )
    assert not verify_root(root).ok


def test_columns_that_name_files_elsewhere(root: Path) -> None:
    sql(root, "UPDATE responses SET checksum = '../../etc/passwd' WHERE request = 1")
    assert "is none: '../../etc/passwd'" in str(verify_root(root).findings)


# -- heads ---------------------------------------------------------------------------------------


def test_a_published_head_finds_what_was_written_anew(root: Path, ids: list[str]) -> None:
    before = verify_root(root).head
    assert before is not None
    assert verify_root(root, against=[before]).ok
    with RecordingStore(root) as store:
        fresh = session()
        store.begin(fresh)
        record(store, fresh, "n", b"new")
        end(store, fresh)
    after = verify_root(root, against=[before])
    assert after.ok
    assert after.head is not None
    assert after.head.size == 4
    with database(root) as db:
        for old, new in ((0, 90), (1, 0), (90, 1)):
            db.execute(f"UPDATE sessions SET leaf = {new} WHERE leaf = {old}")
    assert verify_root(root).ok
    assert "not those of the head given" in str(verify_root(root, against=[before]).findings)


def test_a_published_head_finds_the_end_cut_off(root: Path) -> None:
    before = verify_root(root).head
    assert before is not None
    sql(root, "UPDATE sessions SET seal = NULL, leaf = NULL WHERE leaf = 2")
    assert verify_root(root).ok
    assert "3 ended sessions and 2 are there" in str(verify_root(root, against=[before]).findings)


# -- files ---------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def link(path: Path) -> None:
    path.replace(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (flip, "was changed"),
        (longer, "has 4 bytes, and 3 were recorded"),
        (Path.unlink, "is missing"),
        (lambda path: path.rename(path.with_name("x")), "is missing"),
        (link, "is no plain file"),
        (pipe, "is no plain file"),
    ],
)
def test_a_payload(root: Path, tamper: Callable[[Path], object], words: str) -> None:
    path = payload(root, b"six")
    tamper(path)
    (found,) = verify_root(root).findings
    assert words in found.what
    assert (found.request, found.path) == (request_id(root, "f"), path)
    assert (found.method, found.url) == ("GET", "https://data.example/f?day=1")


def test_a_payload_that_many_name(root: Path) -> None:
    payload(root, b"shared").unlink()
    (found,) = verify_root(root).findings
    assert "(and 1 more name it)" in found.what


def test_two_payloads_swapped(root: Path) -> None:
    six, nine = payload(root, b"six"), payload(root, b"seven")
    six.rename(six.with_name("t"))
    nine.rename(six)
    six.with_name("t").rename(nine)
    assert {one.path for one in verify_root(root).findings} == {six, nine}


def test_files_that_no_record_names_are_noted(root: Path) -> None:
    for number in range(5):
        payload(root, b"%d" % number).write_bytes(b"")
    payload(root, b"six").with_suffix(".other").write_bytes(b"of a payload that is known")
    (root / "responses" / ".1.tmp").write_bytes(b"")
    found = verify_root(root)
    assert found.ok
    assert "and 2 more in responses" in found.notes[0]
    assert found.notes[1].startswith("1 temporary file")


def test_many_payloads_and_a_large_one(tmp_path: Path) -> None:
    held = session()
    with RecordingStore(tmp_path) as store:
        store.begin(held)
        bodies = [b"%d" % number for number in range(300)]
        record(store, held, "many", *bodies, bytes(9 << 20), bytes(10 << 20))
        end(store, held)
        payload(tmp_path, b"200").unlink()
        flip(payload(tmp_path, bytes(10 << 20)))
        found = verify(store)
        assert (found.payloads, len(found.findings)) == (302, 2)


def test_what_lies_beside_a_large_payload(tmp_path: Path) -> None:
    held = session()
    with RecordingStore(tmp_path) as store:
        store.begin(held)
        record(store, held, "large", bytes(9 << 20))
        end(store, held)
        flip(payload(tmp_path, bytes(9 << 20)).with_suffix(".prefixes"))
        (found,) = verify(store).findings
    assert "beside its payload, was changed; the payload is sound" in found.what


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_database(root: Path, keep: float) -> None:
    path = root / "dataio.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert not verify_root(root).ok


def test_a_database_overwritten_in_the_middle(root: Path) -> None:
    path = root / "dataio.sqlite"
    # What a page held that is free says nothing.
    sql(root, "VACUUM")
    content = path.read_bytes()
    for page in range(1, len(content) // 4096):
        path.write_bytes(content[: page * 4096] + b"\xa5" * 4096 + content[(page + 1) * 4096 :])
        assert not verify_root(root).ok, page


def test_no_database(root: Path, tmp_path: Path) -> None:
    (root / "dataio.sqlite").unlink()
    assert "is missing; payloads are there" in str(verify_root(root).findings)
    with pytest.raises(StoreError, match="nothing is recorded"):
        verify_root(tmp_path / "none")
    (root / "dataio.sqlite").write_bytes(b"no database " * 100)
    assert not verify_root(root).ok


# -- sessions that have not ended ----------------------------------------------------------------


def test_sessions_that_never_ended_are_noted(root: Path) -> None:
    running, gone = session(), session()
    with RecordingStore(root) as store:
        store.begin(running)
        # Its process, which held a lock, is no more.
        store.catalog.put_session(gone)
        for held in (running, gone):
            record(store, held, f"of-{held.id}", b"z")
        store.settle()
        found = verify(store)
    assert found.ok
    assert found.notes == (
        f"session {running.id} has not ended: chained, not sealed yet",
        f"session {gone.id} is interrupted: its calls are chained, but not sealed",
    )
    sql(root, f"UPDATE requests SET kind = 'x' WHERE endpoint LIKE '%/of-{gone.id}'")
    assert about(verify_root(root), request_id(root, f"of-{gone.id}"))


def test_calls_that_wait_in_a_journal_are_noted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RootStore(root, readonly=True) as reader, RecordingStore(root) as store:
        held = session()
        store.begin(held)
        record(store, held, "waits", b"w")
        found = verify(reader)
        assert found.ok
        assert "1 call waits in the journal" in found.notes[1]
        assert "waits" not in str(verify(store).notes)
    (root / "journal" / "x.damaged").write_bytes(b"")
    assert "put aside" in str(verify_root(root).findings)


def test_a_session_that_is_not_there(root: Path, ids: list[str]) -> None:
    with pytest.raises(StoreError, match="no session nothing"):
        verify_root(root, ["nothing"])
    with pytest.raises(StoreError, match="several sessions begin or end with 0"):
        verify_root(root, ["0"])
    assert verify_root(root, [ids[0][:-1]]).sessions == 1
    with RecordingStore(root) as store, pytest.raises(StoreError, match="no session"):
        verify(store, ["0"])


def test_a_store_is_verified_while_it_is_written(root: Path) -> None:
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        with store.catalog.snapshot() as db:
            record(store, held, "during", b"d")
            store.move()
            assert db.execute("SELECT count(*) FROM requests").fetchone() == (8,)
        assert isinstance(store.catalog, SQLiteCatalog)
        assert verify(store).calls == 9
        end(store, held, Status.FAILED)
    assert verify_root(root).ok


@pytest.mark.parametrize(
    ("column", "value"),
    crossed([
        "sessions.head", "sessions.count", "sessions.seal", "sessions.leaf", "sessions.id",
        "sessions.warnings", "sessions.status", "requests.hash", "requests.identity",
        "requests.endpoint", "requests.url", "requests.head", "requests.vary", "requests.id",
        "requests.served_from", "requests.body_checksum", "requests.body_size",
        "responses.checksum", "responses.size", "responses.complete", "responses.head",
        "responses.framing", "variants.vary", "heads.content",
    ], ["'text'", "7", "1.5", "x''", "x'ff'"]),
)  # fmt: skip
def test_a_value_of_another_type(root: Path, column: str, value: str) -> None:
    table, name = column.split(".")
    key = {"variants": "base_hash", "responses": "request"}.get(table, "rowid")
    sql(root, f"UPDATE {table} SET {name} = {value} WHERE {key} = (SELECT max({key}) FROM {table})")
    found = verify_root(root)
    assert not found.ok
    assert "Error" not in str(found)
