"""A push: all that was recorded arrives, once, whoever pushes and however often."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mxm_dataio.archive import Archive, exchanges, pushing, session_object, transfer
from mxm_dataio.archive.names import ExchangesName, SessionName
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.integrity import proofs
from mxm_dataio.models import Session
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.trust.small import end, record, session, with_pruned

from .archives import head, names, objects

INLINE = exchanges.INLINE


@pytest.fixture(params=["memory", "folder", "s3", pytest.param("weed", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest) -> str:
    value = request.getfixturevalue(request.param)
    assert isinstance(value, str)
    return value


def archived(url: str) -> dict[str, dict[str, exchanges.ArchivedCall]]:
    """Return the calls of each session of an archive by their ids, read from its objects alone."""
    found: dict[str, dict[str, exchanges.ArchivedCall]] = {}
    held = objects(url)
    for name in [one for one in held if one.startswith("sessions/")]:
        parsed = SessionName.parse(name)
        assert parsed is not None
        one, proof = session_object.read(held[name], parsed, name)
        assert proof.leaf == one.session.leaf
        calls = found.setdefault(one.session.id, {})
        for part in one.objects:
            content = held[part.name]
            assert (len(content), hashlib.sha256(content).hexdigest()) == part[1:]
            calls |= {call.call.columns[0]: call for call in exchanges.read(content, part.name)}
    return found


def recorded(root: Path) -> dict[str, dict[str, exchanges.ArchivedCall]]:
    """Return the same, of a root."""
    found = {}
    with RootStore(root, readonly=True) as store:
        for one in store.catalog.sealed_sessions():
            calls = found[one.id] = {}
            for position, call in enumerate(store.catalog.sealed_calls(one.id)):
                small = [pair for pair in exchanges.bodies(call) if pair[1] <= INLINE]
                contents = {checksum: store.payload(checksum, size) for checksum, size in small}
                calls[call.columns[0]] = exchanges.ArchivedCall(position, call, contents)
    return found


def test_what_arrives_is_what_was_recorded(url: str, root: Path) -> None:
    pushed = Archive(url).push(root)
    assert pushed.ok
    assert (pushed.sessions, pushed.calls, pushed.there) == (3, 8, 0)
    assert archived(url) == recorded(root) != {}
    assert pushed.objects == len(names(url)) - 1
    assert objects(url)["archive.json"] == b'{"mxm-dataio archive": 1}'


def test_pushed_again_nothing_is_written(url: str, root: Path) -> None:
    Archive(url).push(root)
    before = objects(url)
    pushed = Archive(url).push(root)
    assert (pushed.sessions, pushed.objects, pushed.size, pushed.there) == (0, 0, 0, 3)
    assert objects(url) == before


def test_the_listing_alone_gives_the_head(memory: str, root: Path) -> None:
    with_pruned(root)
    Archive(memory).push(root)
    found = [SessionName.parse(name) for name in names(memory, "sessions")]
    assert [one.leaf for one in found if one] == list(range(5))
    assert proofs.Head.of([one.seal for one in found if one]) == head(root)


def test_nothing_to_push_makes_no_archive(folder: str, tmp_path: Path) -> None:
    with RecordingStore(tmp_path / "root"):
        pass
    assert Archive(folder).push(tmp_path / "root").ok
    assert not (tmp_path / "archive").exists()


def test_a_root_that_is_not_there_is_not_made(memory: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is recorded under"):
        Archive(memory).push(tmp_path / "root")
    assert not (tmp_path / "root").exists()
    assert names(memory) == []


# -- bodies ------------------------------------------------------------------------------------


def test_bodies_stand_beside_their_calls_or_are_objects(url: str, tmp_path: Path) -> None:
    sizes = (0, 1, INLINE, INLINE + 1, 3 << 20, 9 << 20)
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]
    with RecordingStore(tmp_path / "root") as store:
        held = session()
        store.begin(held)
        for number, body in enumerate(bodies):
            record(store, held, f"a{number}", body, upload=body)
        record(store, held, "again", bodies[-1], bodies[-1])
        end(store, held)
    Archive(url).push(tmp_path / "root")
    large = {hashlib.sha256(body).hexdigest(): body for body in bodies if len(body) > INLINE}
    payloads = {name: body for name, body in objects(url).items() if name.startswith("payloads/")}
    assert payloads == {f"payloads/{sum[:2]}/{sum}": body for sum, body in large.items()}
    (calls,) = archived(url).values()
    inline = [body for call in calls.values() for body in call.contents.values()]
    assert sorted(inline, key=len) == bodies[:3]
    assert archived(url) == recorded(tmp_path / "root")


def test_a_body_of_many_sessions_is_there_once(memory: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        with RecordingStore(tmp_path / name) as store:
            for _ in range(3):
                held = session()
                store.begin(held)
                record(store, held, "a", b"x" * 100_000)
                end(store, held)
    first = Archive(memory).push(tmp_path / "one")
    second = Archive(memory).push(tmp_path / "two")
    assert (first.objects, second.objects) == (7, 6)
    assert len(names(memory, "payloads")) == 1


def test_a_session_of_several_sources_is_an_object_for_each(memory: str, tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        held = session()
        store.begin(held)
        for number in range(6):
            source = ("market", "a/b=c", "ü")[number % 3]
            record(store, replaced(held, source), f"a{number}", b"x")
        end(store, held)
    Archive(memory).push(tmp_path)
    found = [ExchangesName.parse(name) for name in names(memory, "exchanges")]
    assert sorted(one.source for one in found if one) == ["a/b=c", "market", "ü"]
    assert archived(memory) == recorded(tmp_path)
    (calls,) = archived(memory).values()
    assert sorted(call.position for call in calls.values()) == list(range(6))


def replaced(held: Session, source: str) -> Session:
    """Return a session whose calls are of another source."""
    return replace(held, source=source)


def test_a_long_session_is_several_objects(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "PART", 20_000)
    monkeypatch.setattr(pushing, "_WAITING", 30_000)
    with RecordingStore(tmp_path) as store:
        held = session()
        store.begin(held)
        for number in range(40):
            source = "market" if number % 4 else "other"
            record(store, replaced(held, source), f"a{number}", os.urandom(2000))
        end(store, held)
    Archive(memory).push(tmp_path)
    found = [ExchangesName.parse(name) for name in names(memory, "exchanges")]
    market = sorted(one.part for one in found if one and one.source == "market")
    assert market == list(range(len(market)))
    assert len(market) > 2
    assert archived(memory) == recorded(tmp_path)
    for content in (c for n, c in objects(memory).items() if n.startswith("exchanges")):
        assert len(content) < 40_000


# -- one source, a second root -------------------------------------------------------------------


def test_sessions_of_one_source(memory: str, tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        for source in ("one", "two", "one"):
            held = replaced(session(), source)
            store.begin(held)
            record(store, held, "a", b"x")
            end(store, held)
    assert Archive(memory).push(tmp_path, source="one").sessions == 2
    assert [one.leaf for one in map(SessionName.parse, names(memory, "sessions")) if one] == [0, 2]
    pushed = Archive(memory).push(tmp_path)
    assert (pushed.sessions, pushed.there) == (1, 2)
    assert archived(memory) == recorded(tmp_path)


def test_a_copied_root_that_went_on_by_itself(memory: str, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    ids = []
    for one in (root, copy):
        with RecordingStore(one) as store:
            held = session()
            ids.append(held.id)
            store.begin(held)
            record(store, held, "z", b"z")
            end(store, held)
    Archive(memory).push(root)
    before = objects(memory)
    with pytest.raises(IntegrityError, match="a copied root went on by itself") as raised:
        Archive(memory).push(copy)
    assert all(id in str(raised.value) for id in ids)
    assert objects(memory) == before


# -- what is wrong here --------------------------------------------------------------------------


def damage(root: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
        db.execute(sql, values)


def lose_a_body(root: Path) -> None:
    (root / "responses" / f"{hashlib.sha256(b'six').hexdigest()}.bin").unlink()


def change_a_body(root: Path) -> None:
    (root / "responses" / f"{hashlib.sha256(b'six').hexdigest()}.bin").write_bytes(b"sIx")


def change_a_call(root: Path) -> None:
    damage(root, "UPDATE requests SET kind = 'other' WHERE endpoint LIKE '%/f'")


def remove_a_call(root: Path) -> None:
    damage(root, "DELETE FROM requests WHERE endpoint LIKE '%/h'")


def change_a_kind(root: Path) -> None:
    damage(root, "UPDATE responses SET size = 'six' WHERE url IS NULL AND size = 3")


def change_the_row(root: Path) -> None:
    damage(root, "UPDATE sessions SET kind = 'other' WHERE status = 'incomplete'")


@pytest.mark.parametrize(
    "harm",
    [lose_a_body, change_a_body, change_a_call, remove_a_call, change_a_kind, change_the_row],
)
def test_what_is_damaged_stays_and_all_else_goes(
    memory: str, root: Path, harm: Callable[[Path], None]
) -> None:
    whole = recorded(root)
    harm(root)
    pushed = Archive(memory).push(root)
    assert not pushed.ok
    assert pushed.sessions == 2
    (problem,) = pushed.problems
    (left_out,) = set(whole) - set(archived(memory))
    assert problem.startswith(f"session {left_out} was not pushed: ")
    assert archived(memory) == {id: calls for id, calls in whole.items() if id != left_out}


def test_a_large_body_that_is_damaged(memory: str, tmp_path: Path) -> None:
    body = b"x" * (9 << 20)
    with RecordingStore(tmp_path) as store:
        held = session()
        store.begin(held)
        record(store, held, "a", body)
        end(store, held)
    with (tmp_path / "responses" / f"{hashlib.sha256(body).hexdigest()}.bin").open("r+b") as file:
        file.seek(8 << 20)
        file.write(b"y")
    pushed = Archive(memory).push(tmp_path)
    assert len(pushed.problems) == 1
    assert names(memory, "payloads") == names(memory, "sessions") == []


# -- what is wrong there -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        (b'{"mxm-dataio archive": 2}', "is of version 2, this release knows up to 1"),
        (b"{}", "is damaged, or none of mxm-dataio's"),
        (b"\xff", "is damaged, or none of mxm-dataio's"),
        (b'{"mxm-dataio archive": "1"}', "it names no version"),
        (b"x" * 5000, "is too large"),
    ],
)
def test_a_newer_archive_or_none(memory: str, root: Path, mark: bytes, says: str) -> None:
    ObjectStore(memory).put("archive.json", mark)
    with pytest.raises(IntegrityError, match=says):
        Archive(memory).push(root)
    assert names(memory) == ["archive.json"]


def test_a_store_that_takes_no_conditional_writes(
    memory: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(self: ObjectStore, name: str, content: bytes) -> bool:
        self.put(name, content)
        return True

    monkeypatch.setattr(ObjectStore, "create", create)
    for _ in range(2):
        with pytest.raises(StoreError, match="takes no conditional writes"):
            Archive(memory).push(root)
    assert names(memory) == ["archive.json"]


def test_an_object_that_a_killed_push_left(memory: str, root: Path) -> None:
    Archive(memory).push(root)
    before = objects(memory)
    ObjectStore(memory).delete([name for name in before if name.startswith("sessions/")])
    pushed = Archive(memory).push(root)
    assert (pushed.sessions, pushed.objects) == (3, 3)
    assert objects(memory).keys() == before.keys()


def test_an_equal_one_that_another_release_wrote(
    memory: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("mxm_dataio.archive.parquet._LEVEL", 19)
        Archive(memory).push(root)
    before = objects(memory)
    ObjectStore(memory).delete([name for name in before if name.startswith("sessions/")])
    assert Archive(memory).push(root).ok
    after = objects(memory)
    calls = [name for name in before if name.startswith("exchanges/")]
    assert [before[name] for name in calls] == [after[name] for name in calls]
    assert archived(memory) == recorded(root)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000])
def test_a_foreign_object_in_the_place_of_calls(memory: str, root: Path, content: bytes) -> None:
    Archive(memory).push(root)
    store = ObjectStore(memory)
    store.delete(names(memory, "sessions"))
    name = names(memory, "exchanges")[0]
    store.put(name, content)
    pushed = Archive(memory).push(root)
    assert pushed.sessions == 2
    (problem,) = pushed.problems
    assert name in problem


def test_another_sessions_calls_in_the_place_of_calls(memory: str, root: Path) -> None:
    Archive(memory).push(root)
    store = ObjectStore(memory)
    store.delete(names(memory, "sessions"))
    one, other, *_ = names(memory, "exchanges")
    store.put(one, objects(memory)[other])
    (problem,) = Archive(memory).push(root).problems
    assert "holds other calls than this root's" in problem
    assert one in problem


@pytest.mark.parametrize("size", [100_000, 3 << 20])
def test_a_foreign_object_in_the_place_of_a_body(memory: str, tmp_path: Path, size: int) -> None:
    body = b"x" * size
    with RecordingStore(tmp_path) as store:
        held = session()
        store.begin(held)
        record(store, held, "a", body)
        end(store, held)
    checksum = hashlib.sha256(body).hexdigest()
    ObjectStore(memory).put(f"payloads/{checksum[:2]}/{checksum}", b"other")
    (problem,) = Archive(memory).push(tmp_path).problems
    assert checksum in problem
    assert names(memory, "sessions") == []


def test_what_is_old_is_put_again(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no session names is swept when it is old: not while the session is on its way."""
    with RecordingStore(tmp_path) as store:
        held = session()
        store.begin(held)
        record(store, held, "a", b"x" * 100_000, b"y" * (3 << 20))
        end(store, held)
    Archive(memory).push(tmp_path)
    store = ObjectStore(memory)
    store.delete(names(memory, "sessions"))

    def ages() -> list[object]:
        return [one.modified for kind in ("payloads", "exchanges") for one in store.list(kind)]

    before = ages()
    Archive(memory).push(tmp_path)
    assert ages() == before
    store.delete(names(memory, "sessions"))
    monkeypatch.setattr(transfer, "_YOUNG", transfer.timedelta(0))
    Archive(memory).push(tmp_path)
    assert all(now > then for now, then in zip(ages(), before, strict=True))


def test_a_body_that_was_swept_meanwhile_is_put_again(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingStore(tmp_path) as store:
        held = session()
        store.begin(held)
        record(store, held, "a", b"x" * 100_000)
        end(store, held)
    Archive(memory).push(tmp_path)
    objects_ = ObjectStore(memory)
    objects_.delete(names(memory, "sessions"))
    write = transfer.Transfers._session

    def swept(self: transfer.Transfers, name: str, content: memoryview) -> bool:
        objects_.delete(names(memory, "payloads"))
        return write(self, name, content)

    monkeypatch.setattr(transfer.Transfers, "_session", swept)
    Archive(memory).push(tmp_path)
    assert len(names(memory, "payloads")) == 1


# -- several at once -----------------------------------------------------------------------------


def test_sixteen_pushers_of_one_root(s3: str, root: Path) -> None:
    with RecordingStore(root) as store:
        for _ in range(5):
            held = session()
            store.begin(held)
            record(store, held, "a", os.urandom(100_000))
            end(store, held)
    written = []
    barrier = threading.Barrier(16)

    def push() -> None:
        barrier.wait()
        pushed = Archive(s3).push(root, jobs=2)
        assert pushed.ok
        written.append(pushed)

    threads = [threading.Thread(target=push) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == 16
    assert all(one.sessions + one.there == 8 for one in written)
    # Of an answer that was lost on its way nobody knows whose object it was.
    assert sum(one.sessions for one in written) <= 8
    assert sum(one.objects for one in written) <= len(names(s3)) - 1
    assert archived(s3) == recorded(root)


def test_progress_is_told(memory: str, root: Path) -> None:
    told: list[tuple[str, int, int]] = []
    Archive(memory).push(root, progress=lambda *one: told.append(one))
    assert told == [("sessions", number, 3) for number in (1, 2, 3)]
