"""A root that comes from a stranger: nothing in it is followed, waited for, allocated or obeyed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    DataIOError,
    DataIOWarning,
    IngestSession,
    IntegrityError,
    ReplayMissError,
    Status,
    Store,
)
from mxm_dataio.api import capture_of
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage import journal as journal_module
from mxm_dataio.storage.files import is_id
from mxm_dataio.storage.journal import MAGIC
from mxm_dataio.storage.payloads.drain import BLOCK
from mxm_dataio.storage.payloads.folder import PayloadFolder
from mxm_dataio.storage.payloads.prefixes import Prefixes
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import new_id
from tests.support.effort import crossed, sampled
from tests.support.memory import growth
from tests.support.servers import RawServer, answer, responder

SMALL, LARGE = b"small body", os.urandom(1 << 16) * 48
ROUTES: dict[str, Any] = {
    "/small": answer(200, SMALL),
    "/large": answer(200, LARGE),
    "/chunked": answer(200, SMALL, chunked=[3, 4]),
}
BODIES = {"/small": SMALL, "/large": LARGE}
pytestmark = pytest.mark.timeout(30)


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with RawServer(responder(ROUTES)) as running:
        yield running


@pytest.fixture(scope="module")
def made(server: RawServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "root"
    with IngestSession("s", root) as ingest:
        for path in ROUTES:
            requests.get(server.url + path)
        with contextlib.suppress(requests.RequestException):
            requests.get("http://127.0.0.1:1/refused")
        assert capture_of(ingest).store is not None
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "root"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder beside the root, in which nothing may change."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in (f"{new_id()}.lock", f"{new_id()}.tmp", f"{new_id()}.journal", "precious"):
        (folder / name).write_bytes(MAGIC)
    return folder


def unchanged(folder: Path) -> bool:
    return [path.read_bytes() for path in folder.iterdir()] == [MAGIC] * 4


def payload(root: Path, content: bytes) -> Path:
    return root / "responses" / f"{hashlib.sha256(content).hexdigest()}.bin"


def odd(path: Path, kind: str) -> None:
    """Put something else than a plain file in a place."""
    content = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        there = path.with_name("there")
        there.write_bytes(content)
        path.symlink_to(there)
    elif kind == "link to nowhere":
        path.symlink_to("/no/such/file")
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "device":
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
            path.open("rb").close()
        except OSError:
            pytest.skip("no device may be made or opened here")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as sock:
            here = os.open(".", os.O_RDONLY)
            os.chdir(path.parent)
            try:
                sock.bind(path.name)
            finally:
                os.fchdir(here)
                os.close(here)


KINDS = ["pipe", "folder", "link", "link to nowhere", "link to a device", "device", "socket"]


# -- in the place of files ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/small", "/large"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_payload(server: RawServer, root: Path, kind: str, path: str) -> None:
    content = SMALL if path == "/small" else LARGE
    odd(payload(root, content), kind)
    hits = server.hits
    with IngestSession("s", root, "replay"), pytest.raises(IntegrityError) as caught:
        requests.get(server.url + path)
    assert caught.value.path == payload(root, content)
    assert server.hits == hits
    assert not verify_root(root).ok


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_of_prefixes(server: RawServer, root: Path, kind: str) -> None:
    """The payload is hashed whole then, and served."""
    odd(payload(root, LARGE).with_suffix(".prefixes"), kind)
    with IngestSession("s", root, "replay"):
        assert requests.get(f"{server.url}/large").content == LARGE
    assert not verify_root(root).ok


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_journal(server: RawServer, root: Path, kind: str) -> None:
    path = root / "journal" / f"{new_id()}.journal"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(MAGIC)
    odd(path, kind)
    with pytest.warns(DataIOWarning, match="no plain file"), RecordingStore(root) as store:
        assert len(store.sessions()) == 1
    assert not os.path.lexists(path)
    assert os.path.lexists(path.with_suffix(".damaged"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_lock(root: Path, kind: str) -> None:
    change(root, "UPDATE sessions SET status = 'running'")
    with Store(root, readonly=True) as store:
        id = store.sessions()[0].id
    lock = root / "running" / f"{id}.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    odd(lock, kind)
    with Store(root, readonly=True) as store:
        assert store.sessions()[0].status is Status.INTERRUPTED


@pytest.mark.parametrize(("suffix", "kind"), crossed(["", "-wal", "-shm", "-journal"], KINDS, 2))
@pytest.mark.parametrize("mode", ["record", "replay"])
def test_what_is_no_database(root: Path, suffix: str, kind: str, mode: str) -> None:
    """SQLite follows links, of its log too, and writes to where they lead."""
    path = root / f"dataio.sqlite{suffix}"
    odd(path, kind)
    there = root / "there"
    before = there.read_bytes() if there.exists() else None
    with pytest.raises(IntegrityError, match="no plain file"):
        IngestSession("s", root, mode).open()
    assert os.path.lexists(path)
    assert (there.read_bytes() if there.exists() else None) == before


@pytest.mark.parametrize("name", ["responses", "journal", "running"])
@pytest.mark.parametrize("mode", ["record", "replay"])
def test_a_folder_that_is_a_link(root: Path, elsewhere: Path, name: str, mode: str) -> None:
    if (root / name).exists():
        shutil.rmtree(root / name)
    (root / name).symlink_to(elsewhere)
    with pytest.raises(IntegrityError, match="is a link"):
        IngestSession("s", root, mode).open()
    assert unchanged(elsewhere)
    assert not verify_root(root).ok


def test_the_root_itself_may_be_a_link(server: RawServer, root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    with IngestSession("s", tmp_path / "link"):
        requests.get(f"{server.url}/small")
    with IngestSession("s", tmp_path / "link", "replay"):
        assert requests.get(f"{server.url}/small").content == SMALL


def test_only_names_of_ours_are_swept(root: Path) -> None:
    """Whatever else lies there stays, links above all."""
    kept = []
    for folder in ("running", "journal"):
        (root / folder).mkdir(exist_ok=True)
        for name in ("a b.tmp", "..tmp", ".tmp", "notes.txt", "x.lock.txt", f"{'y' * 70}.tmp"):
            (root / folder / name).touch()
            kept.append(root / folder / name)
        there = root / f"there-{folder}"
        there.touch()
        link = root / folder / f"{new_id()}.tmp"
        link.symlink_to(there)
        pipe = root / folder / f"{new_id()}.tmp"
        os.mkfifo(pipe)
        kept += [there, link, pipe]
    gone = [root / "running" / f"{new_id()}.tmp", root / "journal" / f"{new_id()}.tmp"]
    for path in gone:
        path.touch()
    RecordingStore(root).close()
    assert all(os.path.lexists(path) for path in kept)
    assert not any(os.path.lexists(path) for path in gone)


def test_a_rollback_journal_that_names_another_file_is_not_obeyed(
    root: Path, elsewhere: Path
) -> None:
    """SQLite deletes the file that it names, once no database needs it any more."""
    path = root / "dataio.sqlite-journal"
    name = os.fsencode(elsewhere / "precious")
    check = sum(name) & 0xFFFFFFFF
    record = struct.pack(">I", len(name)) + struct.pack(">I", check)
    path.write_bytes(bytes(512) + name + record + bytes.fromhex("d9d505f920a163d7"))
    for mode in ("record", "replay"):
        with pytest.raises(IntegrityError, match="several databases"):
            IngestSession("s", root, mode).open()
    assert unchanged(elsewhere)


# -- the database ------------------------------------------------------------------------------


def change(root: Path, *statements: str, **values: Any) -> None:
    with contextlib.closing(sqlite3.connect(root / "dataio.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA trusted_schema=ON")
        for statement in statements:
            db.execute(statement, values)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON requests BEGIN DELETE FROM sessions; END",
        "CREATE VIEW v AS SELECT * FROM requests",
        'CREATE VIEW "a ""view""" AS SELECT 1',
        "CREATE INDEX more ON responses (url)",
        "CREATE UNIQUE INDEX IF NOT EXISTS more ON REQUESTS (id)",
        "CREATE VIRTUAL TABLE words USING fts5 (x)",
    ],
)
@pytest.mark.parametrize("mode", ["record", "replay", "auto"])
def test_what_acts_in_the_database_is_refused_by_its_name(
    root: Path, statement: str, mode: str
) -> None:
    change(root, statement)
    before = (root / "dataio.sqlite").read_bytes()
    with pytest.raises(IntegrityError, match="is none of ours") as caught:
        IngestSession("s", root, mode).open()
    assert (root / "dataio.sqlite").read_bytes() == before
    # What is said works when it is typed.
    change(root, *re.findall(r"is removed with (DROP .+?); ", str(caught.value)))
    IngestSession("s", root, mode).open().close()


@pytest.mark.parametrize(
    "statement", ["DROP INDEX requests_by_hash", "ALTER TABLE responses ADD COLUMN more"]
)
@pytest.mark.parametrize("mode", ["record", "replay", "auto"])
def test_tables_that_are_not_ours(root: Path, statement: str, mode: str) -> None:
    change(root, statement)
    before = (root / "dataio.sqlite").read_bytes()
    with pytest.raises(IntegrityError, match="not those of this release"):
        IngestSession("s", root, mode).open()
    assert (root / "dataio.sqlite").read_bytes() == before


def test_tables_of_programs_that_copy_or_analyse_the_file_are_no_matter(
    server: RawServer, root: Path
) -> None:
    change(
        root,
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)",
        "CREATE TABLE _litestream_lock (id INTEGER)",
        "INSERT INTO _litestream_seq VALUES (1, 7)",
        "CREATE TABLE notes (k TEXT PRIMARY KEY, v UNIQUE)",
        "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE INDEX notes_by_v ON notes (v)",
        "ANALYZE",
    )
    with IngestSession("s", root, "record"):
        requests.get(f"{server.url}/small")
    with IngestSession("s", root, "replay"):
        assert requests.get(f"{server.url}/small").content == SMALL
    assert verify_root(root).ok
    with contextlib.closing(sqlite3.connect(root / "dataio.sqlite")) as db:
        assert db.execute("SELECT seq FROM _litestream_seq").fetchall() == [(7,)]


def test_a_trigger_that_says_it_is_a_table(root: Path) -> None:
    # SQLite goes by the text, whatever type stands beside it.
    change(
        root,
        "CREATE TRIGGER t AFTER INSERT ON requests BEGIN DELETE FROM sessions; END",
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET type = 'table' WHERE name = 't'",
    )
    with pytest.raises(IntegrityError):
        RecordingStore(root)


def test_a_view_in_a_table_s_place(root: Path) -> None:
    change(
        root,
        "ALTER TABLE requests RENAME TO other",
        "CREATE VIEW requests AS SELECT *, '1) UNION SELECT 1' AS more FROM other",
    )
    with pytest.raises(IntegrityError, match="not those of this release"):
        Store(root, readonly=True)


def test_what_sqlite_adds_by_itself_is_no_matter(server: RawServer, root: Path) -> None:
    change(root, "ANALYZE")
    with IngestSession("s", root, "replay"):
        assert requests.get(f"{server.url}/small").content == SMALL


FRAMINGS = {
    "a trillion chunks": [[[1, 10**12]], {}, ""],
    "empty chunks": [[[0, 10**12]], {}, ""],
    "no chunks": [[], {}, "\r\n0\r\n\r\n"],
    "fewer bytes": [[[3, 1]], {}, "\r\n0\r\n\r\n"],
    "negative": [[[-5, -2]], {}, ""],
    "half a chunk": [[[2.5, 4]], {}, ""],
    "beyond any number": [[[10**30, 1]], {}, ""],
    "no list": {"a": 1},
    "no pairs": [[1, 2], {}, ""],
    "no places": [[[10, 1]], {"x": ""}, ""],
    "no bytes": [[[10, 1]], {"0": "\u20ac"}, ""],
    "a text for a number": [[["10", 1]], {}, ""],
    "too deep": "[" * 100_000,
    "no JSON": "{",
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_framings(server: RawServer, root: Path, name: str) -> None:
    framing = FRAMINGS[name]
    text = framing if isinstance(framing, str) else json.dumps(framing)
    change(root, "UPDATE responses SET framing = :text WHERE framing NOT NULL", text=text)

    def work() -> None:
        with IngestSession("s", root, "replay"):
            if name == "a trillion chunks":
                # Which may have been so: as many as there are bytes are made.
                with requests.get(f"{server.url}/chunked", stream=True) as response:
                    assert response.raw.read(len(SMALL), decode_content=False) == SMALL
                return
            with pytest.raises(IntegrityError, match="damaged"):
                requests.get(f"{server.url}/chunked")

    assert growth(work) < 24 << 20


COLUMNS = [
    ("responses", "size", -1),
    ("responses", "size", 10**15),
    ("responses", "size", "many"),
    ("responses", "size", 1.5),
    ("responses", "checksum", "../../../../../../etc/passwd"),
    ("responses", "checksum", "A" * 64),
    ("responses", "checksum", b"x"),
    ("responses", "head", "text"),
    ("responses", "truncated", -1),
    ("responses", "truncated", "x"),
    ("responses", "failure", "[1, 2]"),
    ("responses", "failure", "[" * 50_000),
    ("responses", "failure", '["a", "b", 5]'),
    ("responses", "started", 1e300),
    ("responses", "started", "now"),
    ("responses", "url", b"\xff"),
    ("responses", "method", 5.5),
    ("requests", "started", -1e300),
    ("requests", "duration", "long"),
    ("requests", "status", "sound"),
    ("requests", "identity", "{}"),
    ("requests", "identity", "[" * 50_000),
    ("requests", "identity", b"\0"),
    ("requests", "body_size", -1),
    ("requests", "body_checksum", "../x"),
    ("requests", "failure", "null"),
    ("requests", "failure", "5"),
    ("requests", "head", 77),
    ("requests", "served_from", b"x"),
    ("requests", "vary", b"\0"),
]


@pytest.mark.parametrize(("table", "column", "value"), sampled(COLUMNS, 2))
def test_columns(server: RawServer, root: Path, table: str, column: str, value: Any) -> None:
    """Refused, or of no account; but never something else."""
    change(root, f"UPDATE {table} SET {column} = :value", value=value)

    def work() -> None:
        with IngestSession("s", root, "replay") as ingest:
            for path in ("/small", "/large"):
                with contextlib.suppress(IntegrityError, ReplayMissError):
                    assert requests.get(server.url + path).content == BODIES[path]
            with contextlib.suppress(IntegrityError, ReplayMissError):
                requests.get(f"{server.url}/other")
            ingest.misses.clear()
        with Store(root, readonly=True) as store, contextlib.suppress(IntegrityError):
            for session in store.sessions():
                list(store.exchanges(session.id))

    assert growth(work) < 40 << 20
    assert not verify_root(root).ok


@pytest.mark.parametrize(
    ("column", "value"),
    crossed(
        ["id", "root_id", "warnings", "coverage", "mode", "as_of"],
        ["../../../x", b"\xff\0", 5, "[[1]]", "[" * 50_000, "{}", "5"],
        2,
    ),
)
def test_columns_of_a_session(server: RawServer, root: Path, column: str, value: Any) -> None:
    change(root, f"UPDATE sessions SET {column} = :value, status = 'running'", value=value)
    with (
        contextlib.suppress(DataIOError),
        IngestSession("s", root, "replay"),
    ):
        assert requests.get(f"{server.url}/small").content == SMALL
    with contextlib.suppress(DataIOError), Store(root, readonly=True) as store:
        for session in store.sessions():
            assert session.status in Status
            store.session(session.id)
    assert not verify_root(root).ok


def test_calls_served_from_each_other(server: RawServer, root: Path) -> None:
    change(
        root,
        "UPDATE requests SET served_from = "
        "(SELECT id FROM requests o WHERE o.number <> requests.number LIMIT 1)",
        "DELETE FROM responses",
    )
    with IngestSession("s", root, "replay") as ingest:
        with pytest.raises(ReplayMissError):
            requests.get(f"{server.url}/small")
        ingest.misses.clear()
    change(root, "UPDATE requests SET served_from = id")
    with IngestSession("s", root, "replay") as ingest:
        with pytest.raises(ReplayMissError):
            requests.get(f"{server.url}/small")
        ingest.misses.clear()
    change(root, "UPDATE requests SET served_from = NULL")
    with (
        IngestSession("s", root, "replay"),
        pytest.raises(IntegrityError, match="neither answer nor failure"),
    ):
        requests.get(f"{server.url}/small")


# -- failures ----------------------------------------------------------------------------------


def exception(name: str = "ValueError", module: str = "builtins", **more: Any) -> dict[str, Any]:
    return {"exception": [module, name], "args": [], "state": {}, **more}


def nested(depth: int) -> dict[str, Any]:
    made = exception()
    for _ in range(depth):
        made = exception(args=[made])
    return made


FAILURES: dict[str, Any] = {
    "another module": exception("system", "os"),
    "a module that is not there": exception("x", "antigravity"),
    "a function": exception("eval", args=["1/0"]),
    "an attribute of a module": exception("__loader__"),
    "what ends a program": exception("SystemExit", args=[0]),
    "an interrupt": exception("KeyboardInterrupt"),
    "a group": exception("ExceptionGroup", args=["x", []]),
    "a codec's": exception("UnicodeDecodeError", args=["utf-8", {"bytes": "x"}, 0, 1, "x"]),
    "a codec's, wrong": exception("UnicodeDecodeError", state={"object": 5, "start": 1}),
    "its own context": exception(context={"met": 0}),
    "its own cause": exception(cause={"met": 0}, context={"met": 0}),
    "its own wrapping": exception(
        "ConnectionError", "requests.exceptions", args=[{"met": 0}], context={"met": 0}
    ),
    "one not met": exception(args=[{"met": 7}]),
    "met by a text": exception(args=[{"met": "x"}]),
    "its class": exception(state={"__class__": "int"}),
    "its dict": exception(state={"__dict__": {}}),
    "no args": exception(state={"args": 5}),
    "too deep": nested(400),
    "too many": exception(args=[exception() for _ in range(5_000)]),
    "no names": {"exception": 5, "args": [], "state": {}},
    "numbers for names": {"exception": [1, 2], "args": [], "state": {}},
    "lists for names": {"exception": [[], {}], "args": [], "state": {}},
    "bytes of none": exception(args=[{"bytes": 5}]),
    "bytes beyond Latin-1": exception(args=[{"bytes": "\u20ac"}]),
    "a size of none": exception(args=[{"bytes": "x", "size": -1}]),
    "nothing": {},
    "no state": {"exception": ["builtins", "OSError"], "args": []},
    "an error number of any size": exception("OSError", args=[10**30, "x"]),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised is an exception of the modules on the list, or that the record is damaged."""
    text = json.dumps(["a.B", "words", FAILURES[name]])
    change(root, "UPDATE requests SET failure = :text WHERE failure NOT NULL", text=text)
    change(root, "UPDATE responses SET failure = :text WHERE failure NOT NULL", text=text)
    imported: list[str] = []
    monkeypatch.setattr(
        "mxm_dataio.adapters.failures.import_module",
        lambda module: imported.append(module) or sys.modules[module],
    )

    def refused() -> Any:
        return requests.get("http://127.0.0.1:1/refused")

    def pooled() -> Any:
        with urllib3.PoolManager(retries=2) as pool:
            return pool.request("GET", "http://127.0.0.1:1/refused")

    with IngestSession("s", root, "replay") as ingest:
        for work in (refused, pooled):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - which, is told below
                work()
            home = type(caught.value).__module__.partition(".")[0]
            assert home in ("builtins", "mxm_dataio", "requests", "urllib3")
            str(caught.value), repr(caught.value)
        ingest.misses.clear()
    assert set(imported) <= {"builtins", "requests.exceptions"}


# -- payloads ----------------------------------------------------------------------------------


def sparse(path: Path, size: int) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize("size", [1 << 30, 1 << 40])
def test_prefixes_of_any_size(server: RawServer, root: Path, size: int) -> None:
    sparse(payload(root, LARGE).with_suffix(".prefixes"), size)

    def work() -> None:
        with IngestSession("s", root, "replay"):
            assert requests.get(f"{server.url}/large").content == LARGE

    assert growth(work) < 24 << 20


def test_prefixes_for_a_size_that_is_only_stated(root: Path) -> None:
    """A small file, and a record that has it of a thousand tebibytes."""
    checksum = "a" * 64
    folder = PayloadFolder(root / "responses")
    (root / "responses" / f"{checksum}.prefixes").write_bytes(Prefixes(BLOCK, 10**15, b"").encode())
    (root / "responses" / f"{checksum}.bin.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))

    def work() -> None:
        with pytest.raises(IntegrityError):
            folder.open(checksum, 10**15)

    assert growth(work) < 8 << 20


@pytest.mark.parametrize("size", [10, 1 << 20, 100 << 20])
def test_a_compressed_payload_that_inflates(root: Path, size: int) -> None:
    """To more than was recorded, or to as much, which is not what was: nothing else is taken."""
    pytest.importorskip("backports.zstd")
    from backports import zstd

    made = io.BytesIO()
    with zstd.ZstdFile(made, "w") as file:
        for _ in range(400):
            file.write(bytes(1 << 20))
    checksum = "b" * 64
    (root / "responses" / f"{checksum}.bin.zst").write_bytes(made.getvalue())
    folder = PayloadFolder(root / "responses")

    def work() -> None:
        with pytest.raises(IntegrityError):
            folder.open(checksum, size).read()

    assert growth(work) < 24 << 20


# -- journals ----------------------------------------------------------------------------------

SESSION = ["s1", "s1", "s", "2025-01-01"]
IDENTITY = '{"body":null,"endpoint":"e","headers":[],"method":"GET","params":[],"v":1}'
ATTEMPT = [
    "GET", "u", 0.0, 200, None, 0, True, False, None, None, None, None, None, None, [None] * 4,
    None, 0,
]  # fmt: skip


def document(**changes: Any) -> list[Any]:
    """Return an entry's document, with parts of it replaced."""
    parts: dict[str, Any] = {
        "call": ["r1", "GET", "u", 0.0, "complete", 0.5, None],
        "length": 0,
        "session": SESSION,
        "kind": "",
        "identity": IDENTITY,
        "rest": [[], None, None, 0, None],
        "attempts": [ATTEMPT],
        "lengths": [0],
        "checksums": [],
        "sizes": [],
    }
    parts |= changes
    return [
        parts["call"], parts["length"],
        [parts["session"], parts["kind"], parts["identity"], *parts["rest"]],
        parts["attempts"], parts["lengths"], parts["checksums"], parts["sizes"],
    ]  # fmt: skip


def attempt(place: int, value: Any) -> list[Any]:
    return [*ATTEMPT[:place], value, *ATTEMPT[place + 1 :]]


def lay(root: Path, text: bytes, content: bytes = b"") -> Path:
    """Lay a journal with one entry in a root, as one who is gone."""
    path = root / "journal" / f"{new_id()}.journal"
    path.parent.mkdir(exist_ok=True)
    check = zlib.crc32(content, zlib.crc32(text))
    path.write_bytes(MAGIC + struct.pack("<III", len(text), len(content), check) + text + content)
    return path


X = b"x"
DIGEST = hashlib.sha256(X).hexdigest()
ENTRIES: dict[str, Any] = {
    "a payload with a path for a name": (
        document(checksums=["../../elsewhere/precious"], sizes=[1]),
        X,
    ),
    "an absolute one": (document(checksums=["/tmp/precious"], sizes=[1]), X),
    "a payload of another name": (document(checksums=["a" * 64], sizes=[1]), X),
    "a payload's name in capitals": (document(checksums=[DIGEST.upper()], sizes=[1]), X),
    "a payload without a name": (document(checksums=[None], sizes=[1]), X),
    "more bytes than it tells of": (document(), X),
    "fewer": (document(checksums=[DIGEST], sizes=[5]), X),
    "negative ones": (document(lengths=[-1], checksums=[DIGEST], sizes=[2]), X),
    "more attempts than heads": (document(attempts=[ATTEMPT] * 2), b""),
    "an attempt with a list for a text": (document(attempts=[attempt(0, [])]), b""),
    "an attempt of no checksum": (document(attempts=[attempt(4, "../x")]), b""),
    "an attempt of a size that no row takes": (document(attempts=[attempt(5, 1 << 70)]), b""),
    "an attempt of a negative size": (document(attempts=[attempt(5, -1)]), b""),
    "an attempt with a number for a truth": (document(attempts=[attempt(6, 1)]), b""),
    "an attempt with no number": (document(attempts=[attempt(2, float("nan"))]), b""),
    "an attempt without an end": (document(attempts=[attempt(2, float("inf"))]), b""),
    "an attempt with chunks without an end": (
        document(attempts=[attempt(8, [[[0, 1 << 60]], {}, ""])]),
        b"",
    ),
    "an attempt with no peer": (document(attempts=[attempt(14, "x")]), b""),
    "a call of no status": (
        document(call=["r1", "GET", "u", 0.0, "sound", 0.5, None]),
        b"",
    ),
    "a call with a mapping for an id": (
        document(call=[{}, "GET", "u", 0.0, "complete", 0.5, None]),
        b"",
    ),
    "a call with a failure of none": (
        document(call=["r1", "GET", "u", 0.0, "failed", 0.5, [1, 2, 3]]),
        b"",
    ),
    "a session of lists": (document(session=[[], [], [], []]), b""),
    "a session of five": (document(session=[*SESSION, "x"]), b""),
    "an identity that is none": (document(identity="x"), b""),
    "an identity of a list": (document(identity="[]"), b""),
    "an identity without an endpoint": (document(identity="{}"), b""),
    "an identity of another endpoint": (document(identity='{"endpoint":[]}'), b""),
    "an identity too deep": (document(identity="[" * 100_000), b""),
    "a kind that is none": (document(kind={}), b""),
    "a body of no checksum": (document(rest=[[], None, "../x", 0, None]), b""),
    "vary by numbers": (document(rest=[[1], None, None, 0, None]), b""),
    "nothing": ([], b""),
    "no list": ({"a": 1}, b""),
    "a number": (5, b""),
}


def test_an_entry_that_is_one(root: Path) -> None:
    """Else the others here would show nothing."""
    lay(root, json.dumps(document(checksums=[DIGEST], sizes=[1])).encode(), X)
    with RecordingStore(root) as store:
        assert store.exchange("r1") is not None
    assert payload(root, X).read_bytes() == X


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_that_are_none(root: Path, elsewhere: Path, name: str) -> None:
    entry, content = ENTRIES[name]
    path = lay(root, json.dumps(entry).encode(), content)
    before = set(root.rglob("*"))
    with pytest.warns(DataIOWarning, match="is damaged"), RecordingStore(root) as store:
        assert store.exchange("r1") is None
    assert not path.exists()
    new = set(root.rglob("*")) - before
    assert {p.name for p in new} <= {path.with_suffix(".damaged").name, "running"}
    assert unchanged(elsewhere)
    # Said once.
    RecordingStore(root).close()


@pytest.mark.parametrize("lengths", [(1 << 31, 5), (5, (1 << 32) - 1), (1 << 27, 1 << 27)])
@pytest.mark.parametrize("there", [False, True])
def test_lengths_of_any_size(root: Path, lengths: tuple[int, int], there: bool) -> None:
    """Stated only, or with a file that is as large, and takes no place on the disk."""
    path = root / "journal" / f"{new_id()}.journal"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(MAGIC + struct.pack("<III", *lengths, 0))
    if there:
        with path.open("r+b") as file:
            file.truncate(sum(lengths) + 1000)

    def work() -> None:
        if there:
            with pytest.warns(DataIOWarning, match="larger than any"):
                RecordingStore(root).close()
        else:
            RecordingStore(root).close()

    assert growth(work) < 24 << 20
    assert not path.exists()


def test_what_is_larger_than_is_read_is_not_written(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_LARGEST_DOCUMENT", 2_000)
    with IngestSession("s", tmp_path) as ingest:
        with pytest.warns(DataIOWarning, match="larger than any"):
            assert requests.get(f"{server.url}/small?{'x' * 1_500}").content == SMALL
        assert requests.get(f"{server.url}/small").content == SMALL
    assert ingest.session.status is Status.INCOMPLETE
    with RecordingStore(tmp_path) as store:
        assert len(store.requests(ingest.session.id)) == 1


def test_many_large_entries_are_taken_in_a_few_at_a_time(root: Path) -> None:
    content = os.urandom(4 << 20)
    digest = hashlib.sha256(content).hexdigest()
    path = root / "journal" / f"{new_id()}.journal"
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.write(MAGIC)
        for number in range(40):
            call = [f"r{number}", "GET", "u", 0.0, "complete", 0.5, None]
            text = json.dumps(
                document(call=call, checksums=[digest], sizes=[len(content)])
            ).encode()
            check = zlib.crc32(content, zlib.crc32(text))
            file.write(struct.pack("<III", len(text), len(content), check) + text + content)

    def work() -> None:
        with RecordingStore(root) as store:
            assert store.exchange("r39") is not None

    assert growth(work) < 48 << 20


def test_ids_do_not_lead_elsewhere() -> None:
    for text in ("..", "a/b", "", "x" * 65, "a.b", "a\n", "\xe9", "a b"):
        assert not is_id(text)
    assert is_id(new_id())


def test_a_lock_can_t_be_asked_for_by_a_path(root: Path, elsewhere: Path) -> None:
    name = next(path.stem for path in elsewhere.iterdir() if path.suffix == ".lock")
    change(root, "UPDATE sessions SET status = 'running', id = :id", id=f"../../elsewhere/{name}")
    with (elsewhere / f"{name}.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with Store(root, readonly=True) as store:
            assert store.sessions()[0].status is Status.INTERRUPTED


def test_time_is_not_spent_on_what_is_no_one_s(root: Path) -> None:
    """Opening takes what it takes, whatever lies around."""
    for number in range(300):
        (root / "running" / f"{new_id()}.tmp").touch()
        (root / "journal").mkdir(exist_ok=True)
        (root / "journal" / f"x{number}").touch()
    start = time.monotonic()
    RecordingStore(root).close()
    assert time.monotonic() - start < 10
    assert not list((root / "running").glob("*.tmp"))
