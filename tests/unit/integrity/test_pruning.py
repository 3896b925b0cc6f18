"""Pruning: what goes, what stays and says so, and that no file goes that a record names."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from mxm_dataio import IngestSession, mount
from mxm_dataio.errors import ConfigError, IntegrityError, StoreError
from mxm_dataio.integrity import pruning, waiting
from mxm_dataio.integrity.collecting import Collected
from mxm_dataio.integrity.findings import Verified
from mxm_dataio.integrity.proofs import include
from mxm_dataio.integrity.pruning import Choice, Pruned, plan, prune
from mxm_dataio.integrity.tombstones import is_prune
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.models import Mode, Session, Status
from mxm_dataio.storage.journal import Journal
from mxm_dataio.storage.payloads import expiry
from mxm_dataio.storage.payloads.folder import PayloadFolder
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from mxm_dataio.utils import instant, parse_instant
from tests.trust.small import end, fill, record, session

ALL = Choice(before=4e9)
LARGE = 100_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Iterator[RecordingStore]:
    with RecordingStore(root) as made:
        yield made


def made(store: RecordingStore, *bodies: bytes, source: str = "market", days: float = 0) -> Session:
    """Record a session of calls with these bodies, that began some days ago."""
    held = replace(session(), source=source, started_at=instant(time.time() - days * 86400))
    store.begin(held)
    for number, body in enumerate(bodies):
        record(store, held, f"{number}", body)
    end(store, held)
    return held


def age(root: Path, seconds: float = 2 * expiry.GRACE) -> None:
    """Have all files been written long ago."""
    then = time.time() - seconds
    for path in (root / "responses").iterdir():
        os.utime(path, (then, then))


def payload(root: Path, content: bytes) -> Path:
    return root / "responses" / f"{hashlib.sha256(content).hexdigest()}.bin"


def gone(pruned: Pruned) -> list[str]:
    return [tree.root.id for tree in pruned.trees]


def sound(root: Path) -> Verified:
    found = verify_root(root)
    assert found.findings == ()
    return found


# -- what goes and what stays -------------------------------------------------------------------


def test_a_session_goes_and_says_so(root: Path, store: RecordingStore) -> None:
    first = made(store, b"one", b"shared", b"x" * LARGE)
    second = made(store, b"two", b"shared")
    before = sound(root).head
    assert before is not None
    age(root)
    planned = plan(store, Choice(sessions=(first.id,)))
    assert payload(root, b"one").exists()
    done = prune(store, Choice(sessions=(first.id,)))
    assert (planned.trees, planned.kept) == (done.trees, done.kept)
    assert planned.collected == done.collected == Collected(2, LARGE + 3, 0, 0)
    assert [(tree.calls, tree.size) for tree in done.trees] == [(3, LARGE + 9)]
    assert not payload(root, b"one").exists()
    assert payload(root, b"shared").exists()
    assert list(store.exchanges(first.id)) == []
    assert len(list(store.exchanges(second.id))) == 2
    pruned = store.session(first.id)
    assert pruned is not None
    assert pruned.pruned_at is not None
    found = verify_root(root, against=[before])
    assert found.ok
    assert found.pruned == 1
    assert found.notes == (
        f"session {first.id}: pruned on {pruned.pruned_at}, its 3 calls are gone; its seal is kept "
        "(pruned since the head of 2 ended sessions)",
    )
    assert include(store, first.id).holds()
    # Again there is nothing to do, and its own session is none to be pruned.
    (event,) = (one for one in store.sessions() if is_prune(one))
    assert prune(store, Choice(sessions=(first.id, event.id))) == Pruned((), (), Collected())


def test_without_a_choice_only_files_go(root: Path, store: RecordingStore) -> None:
    held = made(store, b"one")
    payload(root, b"nobody's").write_bytes(b"nobody's")
    age(root)
    assert prune(store, Choice()) == Pruned((), (), Collected(1, 8))
    assert len(list(store.exchanges(held.id))) == 1
    assert len(store.sessions()) == 1


def test_what_is_chosen(store: RecordingStore) -> None:
    old, new = made(store, b"1", days=40), made(store, b"2", days=1)
    other = made(store, b"3", source="other", days=40)
    month = time.time() - 30 * 86400
    for choice, wanted in [
        (Choice(before=month), [old, other]),
        (Choice(source="market"), [old, new]),
        (Choice(before=month, source="market"), [old]),
        (Choice(keep_last=1), [old]),
        (Choice(keep_last=0), [old, new, other]),
        (Choice(keep_last=1, source="other"), []),
        (Choice(sessions=(new.id, other.id)), [new, other]),
        (Choice(sessions=(new.id,), before=month), []),
        (Choice(), []),
    ]:
        assert gone(plan(store, choice)) == [one.id for one in wanted], choice
    assert choice.any is False
    assert parse_instant(old.started_at) < month


def test_those_that_are_pruned_do_not_count_among_the_last(store: RecordingStore) -> None:
    first, second, third = (made(store, b"1") for _ in range(3))
    prune(store, Choice(sessions=(second.id,)))
    assert gone(plan(store, Choice(keep_last=1))) == [first.id]
    assert third.id not in gone(plan(store, Choice(keep_last=2)))


def test_children_go_with_their_root(root: Path, store: RecordingStore) -> None:
    parent = session()
    child, grandchild = session(parent), session(parent)
    grandchild = replace(grandchild, parent_id=child.id)
    for held in (parent, child, grandchild):
        store.begin(held)
        record(store, held, "a", held.id.encode())
    for held in (grandchild, child, parent):
        end(store, held)
    done = prune(store, Choice(sessions=(grandchild.id,)))
    assert [one.id for one in done.trees[0].members] == [parent.id, child.id, grandchild.id]
    assert done.trees[0].calls == 3
    assert len(sound(root).notes) == 4  # and of the files, which are young


def test_sessions_under_way_stay(root: Path, store: RecordingStore) -> None:
    parent = session()
    child = session(parent)
    store.begin(parent)
    store.begin(child)
    record(store, parent, "a", b"a")
    end(store, parent)
    done = prune(store, ALL)
    assert done.trees == ()
    assert [(one.id, why) for one, why in done.kept] == [
        (parent.id, f"its child {child.id} is under way")
    ]
    end(store, child)
    assert gone(prune(store, ALL)) == [parent.id]
    sound(root)


def test_an_interrupted_session_can_be_pruned(root: Path) -> None:
    held = session()
    with RecordingStore(root) as store:
        store.begin(held)
        record(store, held, "a", b"a")
    with RecordingStore(root) as store:
        prune(store, ALL)
    notes = sound(root).notes
    assert any("its 1 call is gone; its row is kept" in note for note in notes)


def test_a_session_that_answered_another_stays(root: Path, store: RecordingStore) -> None:
    first = session()
    store.begin(first)
    id = record(store, first, "a", b"a")
    end(store, first)
    second = session()
    store.begin(second)
    record(store, second, "a", served_from=id)
    end(store, second)
    third = made(store, b"c")
    done = prune(store, Choice(sessions=(first.id, third.id)))
    assert gone(done) == [third.id]
    assert [(one.id, why) for one, why in done.kept] == [
        (first.id, f"calls of session {second.id} were answered from it")
    ]
    # Both together may go.
    assert gone(prune(store, ALL)) == [first.id, second.id]
    sound(root)


def test_a_chain_of_answers_holds_all_of_it(store: RecordingStore) -> None:
    ids: list[str] = []
    held: list[Session] = []
    for number in range(3):
        held.append(session())
        store.begin(held[-1])
        ids.append(
            record(store, held[-1], "a", b"a")
            if not number
            else record(store, held[-1], "a", served_from=ids[-1])
        )
        end(store, held[-1])
    done = plan(store, Choice(sessions=(held[0].id, held[1].id)))
    assert done.trees == ()
    assert {one.id for one, _ in done.kept} == {held[0].id, held[1].id}


def test_what_waits_in_a_journal_holds_sessions_and_files(
    root: Path, store: RecordingStore
) -> None:
    first = made(store, b"first")
    payload(root, b"small").write_bytes(b"small")
    with RecordingStore(root) as other:
        second = session()
        other.begin(second)
        id = next(iter(store.exchanges(first.id))).request.id
        record(other, second, "a", served_from=id)
        record(other, second, "b", b"small", upload=b"y" * LARGE)
        # It ended without its calls having been moved.
        other.end(replace(second, status=Status.INCOMPLETE), settled=False)
        age(root)
        done = prune(store, ALL)
        assert done.trees == ()
        assert {one.id: why for one, why in done.kept} == {
            first.id: "calls of session one under way were answered from it",
            second.id: "calls of its own wait in a journal",
        }
        assert done.collected.files == 0
    assert len(sound(root).notes) == 1
    assert gone(prune(store, ALL)) == [first.id, second.id]


def test_a_prune_that_is_broken_off_is_whole_or_none(
    root: Path, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = made(store, b"one")
    age(root)

    def broken_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name, calls in (("put_sealed", 1), ("collect", 0)):
        with monkeypatch.context() as patched:
            patched.setattr(pruning, name, broken_off)
            with pytest.raises(KeyboardInterrupt):
                prune(store, ALL)
        assert len(list(store.exchanges(held.id))) == calls
        assert sound(root).pruned == 1 - calls
    assert payload(root, b"one").exists()
    assert prune(store, ALL).collected.files == 1


def test_a_call_that_comes_late_for_a_pruned_session_is_not_put(
    root: Path, store: RecordingStore
) -> None:
    held = made(store, b"one")
    prune(store, ALL)
    with RecordingStore(root) as other:
        record(other, held, "late", b"late")
    assert list(store.exchanges(held.id)) == []
    sound(root)


def test_variants_and_heads_go_with_the_last_that_has_them(
    root: Path, store: RecordingStore
) -> None:
    for name in ("a", "b"):
        held = session()
        store.begin(held)
        for number in range(3):
            record(store, held, f"{name}{number}", b"a", vary=("x-part",))
        record(store, held, "both", b"b", vary=("x-part",))
        end(store, held)
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
        assert db.execute("SELECT count(*) FROM variants").fetchone() == (7,)
        assert db.execute("SELECT count(*) FROM heads").fetchone() == (2,)
        prune(store, Choice(keep_last=1))
        assert db.execute("SELECT count(*) FROM variants").fetchone() == (4,)
        assert db.execute("SELECT count(*) FROM heads").fetchone() == (2,)
        sound(root)
        prune(store, ALL)
        assert db.execute("SELECT count(*) FROM variants").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM heads").fetchone() == (0,)
    sound(root)


def test_a_writer_that_knows_heads_by_number_learns_that_they_are_gone(root: Path) -> None:
    with RecordingStore(root) as writer, RecordingStore(root) as store:
        made(writer, b"1", b"2", b"3")
        prune(store, ALL)
        # Another head now has the number that the writer remembers.
        held = made(store, b"1", b"2", b"3")
        with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
            db.execute("UPDATE heads SET content = x'00' || content")
            db.execute("DELETE FROM requests")
            db.execute("DELETE FROM responses")
        made(writer, b"4", b"5")
        heads = {str(one.request.headers) for one in writer.exchanges(writer.sessions()[-1].id)}
        assert len(heads) == 1
        assert "scraper/1" in heads.pop()
    assert held


def test_replay_of_a_pruned_session_is_refused(root: Path, store: RecordingStore) -> None:
    held = made(store, b"one")
    with requests.Session() as client, IngestSession("market", root, "once", hook=False) as ingest:
        mount(client, ingest)
        assert ingest.mode is Mode.REPLAY
    prune(store, ALL)
    with pytest.raises(ConfigError, match=f"session {held.id} was pruned on 20"):
        IngestSession("market", root, "replay", session=held.id, hook=False).open()
    with requests.Session() as client, IngestSession("market", root, "once", hook=False) as ingest:
        mount(client, ingest)
        assert ingest.mode is Mode.RECORD


# -- what verify says ---------------------------------------------------------------------------


def sql(root: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
        assert db.execute(statement, values).rowcount > 0


def said(root: Path, id: str) -> list[str]:
    return [one.what for one in verify_root(root).findings if one.session == id]


@pytest.fixture
def pruned(root: Path) -> list[str]:
    ids = fill(root)
    with RecordingStore(root) as store:
        prune(store, Choice(sessions=(ids[0],)))
        ids.append(store.sessions()[-1].id)
    sound(root)
    return ids


def test_calls_deleted_without_a_mark_are_found(root: Path) -> None:
    id = fill(root)[0]
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
        db.execute("DELETE FROM responses WHERE request IN (SELECT number FROM requests)")
        db.execute("DELETE FROM requests")
        db.execute("DELETE FROM variants")
    assert "5 records and 0 are there: its records are missing" in said(root, id)[0]
    sql(root, "UPDATE sessions SET pruned_at = started_at WHERE id = ?", id)
    assert "they were removed by another hand" in said(root, id)[0]


def test_a_mark_on_a_session_whose_calls_are_there(root: Path) -> None:
    id = fill(root)[0]
    sql(root, "UPDATE sessions SET pruned_at = 'x' WHERE id = ?", id)
    assert said(root, id) == ["it is marked as pruned, and its calls are there"]


def test_a_mark_on_a_session_without_calls(root: Path, store: RecordingStore) -> None:
    held = made(store)
    sql(root, "UPDATE sessions SET pruned_at = 'x' WHERE id = ?", held.id)
    assert "they were removed by another hand" in said(root, held.id)[0]


@pytest.mark.parametrize("value", ["NULL", "'2025-01-01T00:00:00.000000Z'", "17"])
def test_a_mark_that_was_changed(root: Path, pruned: list[str], value: str) -> None:
    sql(root, f"UPDATE sessions SET pruned_at = {value} WHERE id = ?", pruned[0])
    assert said(root, pruned[0]) == ["the mark in its row that it was pruned was changed"]


@pytest.mark.parametrize(
    "change", ["count = 4", "head = randomblob(32)", "source = 'x'", "seal = randomblob(32)"]
)
def test_a_pruned_session_whose_row_was_changed(root: Path, pruned: list[str], change: str) -> None:
    sql(root, f"UPDATE sessions SET {change} WHERE id = ?", pruned[0])
    assert any("its seal is not that of its row" in what for what in said(root, pruned[0]))


@pytest.mark.parametrize("change", ["warnings = '[]'", "warnings = '{'", "leaf = 'x'"])
def test_a_prune_that_was_changed(root: Path, pruned: list[str], change: str) -> None:
    sql(root, f"UPDATE sessions SET {change} WHERE id = ?", pruned[3])
    assert said(root, pruned[3])
    assert "no prune in the store's tree names it" in said(root, pruned[0])[0]


def test_a_prune_that_was_removed(root: Path, pruned: list[str]) -> None:
    sql(root, "DELETE FROM sessions WHERE id = ?", pruned[3])
    assert "no prune in the store's tree names it" in said(root, pruned[0])[0]


def test_a_call_put_back_is_found(root: Path, pruned: list[str]) -> None:
    columns = "endpoint, identity, params_hash, body_size, started, status, hash, source, as_of"
    sql(
        root,
        f"INSERT INTO requests (id, session, root, kind, method, {columns}) SELECT 'again', 1, 1, "
        f"kind, method, {columns} FROM requests LIMIT 1",
    )
    assert "it was pruned, and calls are there" in str(said(root, pruned[0])) or (
        "it is marked as pruned, and its calls are there" in said(root, pruned[0])
    )


def test_the_kept_row_removed(root: Path, store: RecordingStore) -> None:
    # One that never ended, of which neither tree nor chain would tell.
    held = session()
    with RecordingStore(root) as other:
        other.begin(held)
        record(other, held, "a", b"a")
    prune(store, ALL)
    sql(root, "DELETE FROM sessions WHERE id = ?", held.id)
    assert said(root, held.id) == ["it was pruned, and the row that should be kept is missing"]


def test_a_call_answered_while_its_answer_was_pruned_is_a_note(
    root: Path, store: RecordingStore
) -> None:
    first = session()
    store.begin(first)
    id = record(store, first, "a", b"a")
    end(store, first)
    prune(store, ALL)
    second = session()
    store.begin(second)
    record(store, second, "a", served_from=id)
    record(store, second, "a", served_from=second.id)
    end(store, second)
    found = verify_root(root)
    assert [one.what for one in found.findings] == [
        f"it was answered from the call {second.id}, which is not there"
    ]
    assert any(note.startswith("1 call answered from calls that") for note in found.notes)


# -- files, and who writes meanwhile --------------------------------------------------------------


def test_young_files_stay_until_later(root: Path, store: RecordingStore) -> None:
    made(store, b"one", b"two")
    done = prune(store, ALL)
    assert done.collected == Collected(0, 0, 2)
    assert len(sound(root).notes) == 2
    age(root)
    assert prune(store, Choice()).collected == Collected(2, 6)
    assert len(sound(root).notes) == 1


def test_compressed_ones_and_prefixes_go_too(root: Path) -> None:
    large = bytes(3 << 20)
    with RecordingStore(root, compression="zstd") as store:
        made(store, b"text " * 1000, large)
        age(root)
        lone = root / "responses" / f"{'0' * 64}.prefixes"
        lone.write_bytes(b"x")
        (root / "responses" / "notes.txt").write_bytes(b"somebody's")
        assert len(list((root / "responses").iterdir())) == 6
        done = prune(store, ALL)
        assert (done.collected.files, done.collected.young) == (2, 1)
        age(root)
        assert prune(store, Choice()).collected.files == 1
        left = {path.name for path in (root / "responses").iterdir()}
        assert left == {".compressed", "notes.txt"}


def test_unfinished_files_of_the_dead_go_after_a_day(root: Path, store: RecordingStore) -> None:
    spool = store.spool(4)
    spool.write(b"longer than that")
    (live,) = (root / "running").glob("*.tmp")
    dead = root / "responses" / ".dead.tmp"
    journal = Journal(root / "journal")
    hidden = root / "journal" / "x.tmp"
    for path in (dead, hidden):
        path.write_bytes(b"half")
    for path in (live, dead, hidden):
        os.utime(path, (1e9, 1e9))
    young = root / "responses" / ".young.tmp"
    young.write_bytes(b"half")
    assert plan(store, Choice()).collected.temporary == 2
    assert prune(store, Choice()).collected.temporary == 2
    assert (live.exists(), dead.exists(), hidden.exists(), young.exists()) == (
        True, False, False, True,
    )  # fmt: skip
    spool.discard()
    journal.remove()


def test_a_journal_that_cannot_be_read_stops_all(root: Path, store: RecordingStore) -> None:
    made(store, b"one")
    age(root)
    broken = Journal(root / "journal")
    os.write(broken.descriptor(), b"\x01\0\0\0\x01\0\0\0\0\0\0\0ab")
    with pytest.raises(IntegrityError, match="damaged"):
        prune(store, ALL)
    assert payload(root, b"one").exists()
    assert len(store.sessions()) == 1
    broken.remove()
    (root / "journal").chmod(0)
    try:
        if os.getuid():
            with pytest.raises(StoreError, match="can't be read"):
                prune(store, ALL)
    finally:
        (root / "journal").chmod(0o700)


def test_a_payload_met_again_before_its_call_is_recorded_stays(
    root: Path, store: RecordingStore
) -> None:
    for content in (b"small", b"L" * LARGE):
        made(store, content)
        age(root)
        prune(store, ALL)
        payload(root, content).write_bytes(content)
        age(root)
        with RecordingStore(root) as writer:
            held = session()
            writer.begin(held)
            # It meets the file, and then another prunes before there is a record.
            spool = writer.spool(1 << 20)
            spool.write(content)
            if len(content) == LARGE:
                writer.take(spool, spool.checksum, {})
            else:
                writer.payloads.keep(spool.checksum, content)
            assert prune(store, Choice()).collected.young == 1
            record(writer, held, "a", content)
            end(writer, held)
        sound(root)
        prune(store, ALL)


@pytest.mark.parametrize("content", [b"small", b"L" * LARGE], ids=["small", "large"])
def test_a_payload_met_after_the_names_were_read_stays(
    root: Path, store: RecordingStore, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    payload(root, content).write_bytes(content)
    age(root)
    remove = PayloadFolder.remove
    removed: list[Path] = []

    def late(folder: PayloadFolder, path: Path, before: float) -> int | None:
        if not removed:
            # Journals and catalog are read; now it is met, recorded and moved.
            with RecordingStore(root) as writer:
                made(writer, content)
        removed.append(path)
        return remove(folder, path, before)

    monkeypatch.setattr(PayloadFolder, "remove", late)
    assert prune(store, Choice()).collected == Collected(0, 0, 1)
    assert len(removed) == 1
    sound(root)


def test_a_call_that_leaves_its_journal_meanwhile_is_seen_in_the_catalog(
    root: Path, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingStore(root) as writer:
        held = session()
        writer.begin(held)
        record(writer, held, "a", b"L" * LARGE)
        age(root)
        of = waiting.Waiting.of

        def moved_first(read: RootStore) -> waiting.Waiting:
            writer.move()
            return of(read)

        monkeypatch.setattr(waiting.Waiting, "of", moved_first)
        assert prune(store, Choice()).collected == Collected()
        end(writer, held)
    sound(root)


def test_a_payload_removed_before_it_is_met_is_written_anew(
    root: Path, store: RecordingStore
) -> None:
    for content in (b"small", b"L" * LARGE):
        # The writer knows it, and has checked it.
        made(store, content)
        age(root)
        with RecordingStore(root) as other:
            prune(other, ALL)
        assert not payload(root, content).exists()
        made(store, content)
        assert payload(root, content).read_bytes() == content
        sound(root)


def test_a_body_that_came_long_ago_is_young_when_it_is_put(
    root: Path, store: RecordingStore
) -> None:
    spool = store.spool(4)
    spool.write(b"L" * LARGE)
    assert spool.temporary is not None
    os.utime(spool.temporary, (1e9, 1e9))
    store.payloads.put(spool)
    assert plan(store, Choice()).collected == Collected(0, 0, 1)


def _write(root: Path, seed: int, seconds: float) -> None:
    """Record sessions that repeat a few bodies, small and large, and have some of their own."""
    expiry.GRACE = _GRACE
    drawn, end_at = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < end_at:
        with RecordingStore(root) as store:
            held = session()
            store.begin(held)
            for number in range(drawn.randrange(1, 20)):
                few = b"%d" % drawn.randrange(8)
                body = drawn.choice((few, few * LARGE, held.id.encode()))
                record(store, held, f"{number}", body)
            end(store, held)


_GRACE = 1.0


def concurrently(root: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> tuple[int, int]:
    """Prune and verify in a loop while processes write; return what was pruned, and files."""
    monkeypatch.setattr(expiry, "GRACE", _GRACE)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(root, seed, seconds)) for seed in range(3)]
    with RecordingStore(root):
        pass
    for writer in writers:
        writer.start()
    sessions = files = 0
    stop = threading.Event()
    try:
        while any(writer.is_alive() for writer in writers):
            with RecordingStore(root) as store:
                done = prune(store, Choice(keep_last=1))
            sessions, files = sessions + len(done.trees), files + done.collected.files
            assert verify_root(root).findings == ()
            stop.wait(0.01)
    finally:
        for writer in writers:
            writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    return sessions, files


def test_pruning_while_others_write_loses_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, _ = concurrently(root, monkeypatch, 2.0)
    assert sessions > 3
    found = sound(root)
    assert found.calls
    assert found.pruned == sessions


@pytest.mark.long
@pytest.mark.timeout(600)
def test_pruning_for_long_while_others_write_loses_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, files = concurrently(root, monkeypatch, 60.0)
    assert sessions > 20
    assert files > 5
    sound(root)


def test_progress_is_told(root: Path, store: RecordingStore) -> None:
    made(store, b"one")
    told: list[tuple[str, int, int]] = []
    plan(store, ALL, progress=lambda *step: told.append(step))
    assert told == [("files", 0, 1)]
    assert pruning.plan is plan
