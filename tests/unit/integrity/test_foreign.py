"""Sessions of other stores: what was sealed there is taken in, and nothing else."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.integrity.foreign import put_foreign
from mxm_dataio.integrity.proofs import Head, Inclusion, head_of, include, parse
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.integrity.verify import Verified, verify_root
from mxm_dataio.storage.catalog import rows
from mxm_dataio.storage.catalog.chain import START, record_hash, seal
from mxm_dataio.storage.catalog.sealed import SealedCall
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import examples
from tests.trust.small import (
    Carried,
    carried,
    carry,
    end,
    fill,
    record,
    session,
    with_pruned,
)

CHAINED, RESPONSE, SEALED = (
    [name.strip() for name in text.split(", ")]
    for text in (rows.CHAINED.replace("h.content, ", ""), rows.RESPONSE, rows.SEALED)
)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "origin"
    fill(root)
    with_pruned(root)
    return root


@pytest.fixture(scope="module")
def held(origin: Path) -> list[Carried]:
    return carried(origin)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with RecordingStore(tmp_path / "root"):
        return tmp_path / "root"


def head(root: Path) -> Head:
    with RootStore(root) as store:
        return head_of(store)


def dump(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db:
        return list(db.iterdump())


def sql(root: Path, text: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
        return db.execute(text, values).fetchall()


def put(root: Path, *some: Carried) -> list[bool]:
    with RecordingStore(root) as store:
        return [put_foreign(store.catalog, *one) for one in some]


def refused(root: Path, one: Carried) -> str:
    """Take in what is refused, see that nothing was changed, and return why."""
    before = dump(root)
    with pytest.raises(IntegrityError) as caught:
        put(root, one)
    assert one.session.id in str(caught.value)
    assert dump(root) == before
    return str(caught.value)


def whats(found: Verified) -> list[str]:
    return [finding.what for finding in found.findings]


# -- what is taken in ----------------------------------------------------------------------------


def test_what_is_taken_in_is_all_that_was_sealed(origin: Path, root: Path) -> None:
    carry(origin, root)
    assert carried(root) == [one for one in carried(origin) if not one.session.pruned_at]
    with RootStore(origin) as there, RootStore(root) as here:
        for one in there.sessions():
            assert here.session(one.id) == one
            exchanges = list(there.exchanges(one.id))
            moved = [
                replace(answer, bytes_path=there.payloads.path(answer.checksum))
                if answer.checksum
                else answer
                for exchange in here.exchanges(one.id)
                for answer in exchange.responses
            ]
            assert moved == [answer for exchange in exchanges for answer in exchange.responses]
            assert [one.request for one in here.exchanges(one.id)] == [
                one.request for one in exchanges
            ]
    found = verify_root(root, against=[head(origin), head(root)])
    assert (found.findings, found.sessions, found.pruned) == ((), 5, 1)


def test_what_is_there_already_is_left_as_it_is(
    origin: Path, root: Path, held: list[Carried]
) -> None:
    assert put(root, *held) == [True] * len(held)
    before = dump(root)
    assert put(root, *held) == [False] * len(held)
    assert put(origin, *held) == [False] * len(held)
    assert dump(root) == before


def test_it_goes_on_from_root_to_root(origin: Path, root: Path, tmp_path: Path) -> None:
    fill(root)
    carry(origin, root)
    carry(root, tmp_path / "third")
    assert carried(tmp_path / "third") == carried(root)
    with RootStore(tmp_path / "third") as store:
        assert len({one.store for one in store.catalog.sealed_sessions()}) == 2
    heads = [head(origin), head(root)]
    assert verify_root(tmp_path / "third", against=heads).ok
    # Home again: its own are there, the others come.
    carry(tmp_path / "third", origin_copy := tmp_path / "copy")
    assert verify_root(origin_copy, against=heads).ok


def test_what_is_derived_is_shared_and_forgotten_marks_stay(
    origin: Path, root: Path, held: list[Carried]
) -> None:
    call = next(one for one in held if one.calls).calls[0].columns[0]
    sql(root, "INSERT INTO forgotten VALUES (?, 'then')", call)
    carry(origin, root)
    assert sql(root, "SELECT * FROM forgotten") == [(call, "then")]
    assert sql(root, "SELECT * FROM variants") == sql(origin, "SELECT * FROM variants") != []
    assert sql(root, "SELECT content FROM heads") == sql(origin, "SELECT content FROM heads")
    # The first of a kind is kept beside its call, the others by number.
    plain = "SELECT count(*) FROM requests WHERE typeof(head) = 'blob'"
    assert sql(root, plain) == [(1,)]


def test_a_child_comes_behind_its_root(root: Path, held: list[Carried]) -> None:
    child = next(one for one in held if one.session.root_id != one.session.id)
    assert f"it is of session {child.session.root_id}, which is to come first" in refused(
        root, child
    )
    parent = next(one for one in held if one.session.id == child.session.root_id)
    assert put(root, parent, child) == [True, True]
    with RootStore(root) as store:
        assert [one.id for one in store.family(parent.session.id)] == [
            parent.session.id, child.session.id,
        ]  # fmt: skip
    assert verify_root(root, [child.session.id]).ok


# -- which is the newest -------------------------------------------------------------------------


def newest(root: Path, held: Carried) -> str:
    call = held.calls[0].columns
    with RootStore(root) as store:
        found = store.catalog.newest(call[3], call[10], "~")
    assert found is not None
    return found[1]


def one_call(root: Path) -> None:
    with RecordingStore(root) as store:
        made = session()
        store.begin(made)
        record(store, made, "same", b"x")
        end(store, made)


@pytest.mark.parametrize("order", ["newest first", "oldest first", "shuffled"])
def test_the_newest_is_the_one_that_began_last_whichever_came_first(
    tmp_path: Path, order: str
) -> None:
    origins = [tmp_path / "first", tmp_path / "second"]
    for origin in [*origins, *origins, *origins]:
        one_call(origin)
    found = sorted((one for origin in origins for one in carried(origin)), key=_id)
    last = found[-1]
    if order == "newest first":
        found.reverse()
    elif order == "shuffled":
        random.Random(7).shuffle(found)
    root = tmp_path / "root"
    put(root, *found)
    assert newest(root, last) == last.session.id
    numbers = sql(root, "SELECT number FROM sessions ORDER BY id")
    assert numbers == sorted(numbers)
    # One's own behind them, and one from elsewhere that began behind that.
    one_call(root)
    own = newest(root, last)
    assert own not in {one.session.id for one in found}
    one_call(origins[0])
    (later,) = [one for one in carried(origins[0]) if one.session.id > own]
    put(root, later)
    assert newest(root, last) == later.session.id
    one_call(root)
    assert newest(root, last) > later.session.id
    assert verify_root(root).findings == ()


def _id(one: Carried) -> str:
    return one.session.id


def test_sessions_of_one_millisecond_get_numbers_of_their_own(tmp_path: Path) -> None:
    made = [
        sealed_by(tmp_path / str(n), f"01a22da8-a66f-7b60-bd7d-c7400e59203{n}") for n in range(3)
    ]
    put(tmp_path / "root", *made[::-1])
    assert len(sql(tmp_path / "root", "SELECT number FROM sessions")) == 3
    assert verify_root(tmp_path / "root").ok


def sealed_by(root: Path, id: str, **changes: Any) -> Carried:
    """Return a session with an id of one's own choice, as a store of a stranger seals it."""
    with RecordingStore(root) as store:
        made = replace(session(), id=id, root_id=id, **changes)
        store.begin(made)
        record(store, made, "a", b"x")
        end(store, made)
    return carried(root)[-1]


def test_many_that_take_in_at_once_take_in_each_once(
    origin: Path, root: Path, held: list[Carried]
) -> None:
    taken: list[bool] = []
    raised: list[BaseException] = []

    def work(seed: int) -> None:
        mine = sorted(held, key=lambda one: (one.session.source != "", one.session.id))
        if seed % 2:
            # Roots first all the same.
            mine.sort(key=lambda one: one.session.id != one.session.root_id)
        try:
            with RecordingStore(root, patient=True) as store:
                for one in mine:
                    taken.append(put_foreign(store.catalog, *one))
        except BaseException as exc:
            raised.append(exc)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    assert (taken.count(True), len(taken)) == (len(held), 4 * len(held))
    assert verify_root(root).findings == ()
    assert carried(root) == [one for one in carried(origin) if not one.session.pruned_at]


# -- what is refused -----------------------------------------------------------------------------


def with_columns(one: Carried, **changes: Any) -> Carried:
    columns = list(one.session.columns)
    for name, value in changes.items():
        columns[SEALED.index(name)] = value
    return one._replace(session=one.session._replace(columns=tuple(columns)))


def sealed_anew(one: Carried) -> Carried:
    """Have a stranger write all hashes of a session anew, and a tree of it alone."""
    calls, before = [], START
    for call in one.calls:
        before = record_hash(before, call.columns, call.attempts)
        calls.append(call._replace(hash=before))
    mine = seal(before, len(calls), one.session.columns)
    session = one.session._replace(head=before, count=len(calls), seal=mine, leaf=0, store="f" * 32)
    proof = Inclusion(Head.of([mine]), 0, before, len(calls), session.columns, ())
    return Carried(session, proof.text(), calls)


def with_call(one: Carried, place: int, **changes: Any) -> Carried:
    """Return a session one of whose calls has other columns."""
    calls = list(one.calls)
    columns = list(calls[place].columns)
    for name, value in changes.items():
        columns[next(n for n, c in enumerate(CHAINED) if c.endswith(name))] = value
    calls[place] = calls[place]._replace(columns=tuple(columns))
    return one._replace(calls=calls)


def with_attempt(one: Carried, **changes: Any) -> Carried:
    """Return a session one of whose attempts has other columns."""
    calls = list(one.calls)
    attempts = [list(attempt) for attempt in calls[0].attempts]
    for name, value in changes.items():
        attempts[0][RESPONSE.index(name)] = value
    calls[0] = calls[0]._replace(attempts=[tuple(attempt) for attempt in attempts])
    return one._replace(calls=calls)


def first(held: Iterable[Carried]) -> Carried:
    return next(one for one in held if len(one.calls) > 3)


def _swap(one: Carried) -> Carried:
    return one._replace(calls=[one.calls[1], one.calls[0], *one.calls[2:]])


FORGERIES: dict[str, tuple[Callable[[Carried, Carried], Carried], str]] = {
    "another's proof": (lambda a, b: a._replace(proof=b.proof), "its proof is another session's"),
    "no proof": (lambda a, b: a._replace(proof="{}"), "of its proof"),
    "a consistency proof": (
        lambda a, b: a._replace(proof=a.proof.replace("inclusion", "consistency")), "of its proof",
    ),
    "another leaf": (
        lambda a, b: a._replace(session=a.session._replace(leaf=b.session.leaf)), "its proof is",
    ),
    "another seal": (
        lambda a, b: a._replace(session=a.session._replace(seal=b.session.seal)), "its seal is not",
    ),
    "another number": (
        lambda a, b: with_columns(a, number=a.session.columns[-1] + 1), "its seal is not",
    ),
    "another as-of": (lambda a, b: with_columns(a, as_of="2030-01-01"), "its seal is not"),
    "another count": (
        lambda a, b: a._replace(session=a.session._replace(count=a.session.count - 1)),
        "its seal is not",
    ),
    "no store": (lambda a, b: a._replace(session=a.session._replace(store="x")), "of no store"),
    "a leaf below none": (
        lambda a, b: a._replace(session=a.session._replace(leaf=-1)), "its leaf, is none",
    ),
    "the last call cut": (lambda a, b: a._replace(calls=a.calls[:-1]), "calls, and 4 came"),
    "all calls cut": (lambda a, b: a._replace(calls=[]), "calls, and 0 came"),
    "all calls cut and marked": (
        lambda a, b: Carried(a.session._replace(pruned_at="2026-01-01"), a.proof, []),
        "no prune that is here names it",
    ),
    "one call cut": (lambda a, b: a._replace(calls=a.calls[:1] + a.calls[2:]), "does not follow"),
    "calls swapped": (lambda a, b: _swap(a), "does not follow"),
    "a call more": (lambda a, b: a._replace(calls=[*a.calls, a.calls[0]]), "more than its"),
    "calls of another": (lambda a, b: a._replace(calls=b.calls), "it is another session's"),
    "a call's hash": (
        lambda a, b: a._replace(calls=[a.calls[0]._replace(hash=bytes(32)), *a.calls[1:]]),
        "does not follow",
    ),
    "a column of a call": (lambda a, b: with_call(a, 2, kind="x"), "does not follow"),
    "a payload": (lambda a, b: with_attempt(a, checksum="0" * 64), "does not follow"),
    "a hash": (lambda a, b: sealed_anew(with_call(a, 0, params_hash="0" * 64)), "its params_hash"),
    "no warnings": (lambda a, b: sealed_anew(with_columns(a, warnings="{")), "is not as it"),
    "a call of another session": (
        lambda a, b: sealed_anew(
            a._replace(calls=[SealedCall(b"", *b.calls[0][1:]), *a.calls])
        ), "it is another session's",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_what_was_forged_is_refused_and_changes_nothing(
    root: Path, held: list[Carried], name: str
) -> None:
    change, why = FORGERIES[name]
    one = first(held)
    other = next(a for a in held if a.calls and a != one and a.session.root_id == a.session.id)
    before = dump(root)
    with pytest.raises(IntegrityError, match=why) as caught:
        put(root, change(one, other))
    assert one.session.id in str(caught.value)
    assert dump(root) == before
    assert put(root, one) == [True]


# What no release of ours writes, although a stranger's seals and proof hold.
BAD_SESSIONS: dict[str, Any] = {
    "id": "../../x", "root_id": 7, "source": None, "as_of": 8, "status": "gone", "mode": "x",
    "pid": "1", "warnings": "[", "coverage": "[[]]", "exit_status": 1 << 70, "number": "1",
    "host": "\ud800", "program": None,
}  # fmt: skip
BAD_CALLS: dict[str, Any] = {
    "source": 1, "as_of": None, "kind": b"", "method": 5, "endpoint": b"x", "identity": "{",
    "url": 3.5, "q.head)": "text", "body_checksum": "../../../etc/passwd", "body_size": -1,
    "started": 5, "duration": float("nan"), "status": "fine", "failure": "{", "served_from": 7,
    "vary": 1, "base_hash": b"",
}  # fmt: skip
BAD_ATTEMPTS: dict[str, Any] = {
    "sequence": 2, "method": 1, "status_code": 1 << 64, "head": "text", "checksum": "x" * 64,
    "size": -5, "complete": 1, "closed_by_peer": None, "framing": "[[", "failure": "[]",
    "started": None, "connect": float("inf"), "total": 1, "peer": "\udfff", "original": 1,
    "truncated": -1, "tls_cipher": 1.5,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SESSIONS)
def test_a_session_of_other_types_is_refused(root: Path, held: list[Carried], name: str) -> None:
    one = sealed_anew(with_columns(first(held), **{name: BAD_SESSIONS[name]}))
    before = dump(root)
    with pytest.raises(IntegrityError):
        put(root, one)
    assert dump(root) == before


@pytest.mark.parametrize(
    ("which", "name"),
    [*(("call", name) for name in BAD_CALLS), *(("attempt", name) for name in BAD_ATTEMPTS)],
)
def test_a_call_of_other_types_is_refused(
    root: Path, held: list[Carried], which: str, name: str
) -> None:
    one = first(held)
    assert put(root, sealed_anew(one)) == [True]
    shutil.rmtree(root)
    with RecordingStore(root):
        pass
    if which == "call":
        one = with_call(one, 0, **{name: BAD_CALLS[name]})
    else:
        one = with_attempt(one, **{name: BAD_ATTEMPTS[name]})
    refused(root, sealed_anew(one))


json_like = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


@given(st.data())
@examples(300)
def test_whatever_is_put_into_a_column_is_refused_or_as_it_was_sealed(data: st.DataObject) -> None:
    which, anew, value = (
        data.draw(some)
        for some in (st.sampled_from(["session", "call", "attempt"]), st.booleans(), json_like)
    )
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder, "origin"))
        one = first(carried(Path(folder, "origin")))
        columns, call = list(one.session.columns), one.calls[0]
        of_call, attempt = list(call.columns), list(call.attempts[0])
        changed = {"session": columns, "call": of_call, "attempt": attempt}[which]
        changed[data.draw(st.integers(0, len(changed) - 1))] = value
        call = SealedCall(call.hash, tuple(of_call), [tuple(attempt), *call.attempts[1:]])
        one = one._replace(
            session=one.session._replace(columns=tuple(columns)), calls=[call, *one.calls[1:]]
        )
        try:
            one = sealed_anew(one) if anew else one
        except TypeError:
            # Nobody can seal it.
            return
        root = Path(folder, "root")
        try:
            put(root, one)
        except IntegrityError:
            assert sql(root, "SELECT count(*) FROM sessions") == [(0,)]
            return
        assert verify_root(root).findings == ()
        with RootStore(root) as store:
            assert len(list(store.exchanges(one.session.id))) == len(one.calls)
        assert carried(root) == [one]


# -- two that are one, and one that is two -------------------------------------------------------


def test_an_id_that_another_has(root: Path, tmp_path: Path) -> None:
    id = "01a22da8-a66f-7b60-bd7d-c7400e592033"
    one, other = sealed_by(tmp_path / "a", id), sealed_by(tmp_path / "b", id, kind="other")
    put(root, one)
    assert "there is one with this id, and other content" in refused(root, other)
    # The same session, said to be another store's.
    refused(root, one._replace(session=one.session._replace(store="e" * 32)))
    assert verify_root(root).ok


def test_an_id_of_a_session_that_is_under_way_here(root: Path, tmp_path: Path) -> None:
    id = "01a22da8-a66f-7b60-bd7d-c7400e592033"
    with RecordingStore(root) as store:
        store.begin(replace(session(), id=id, root_id=id))
        refused(root, sealed_by(tmp_path / "a", id))


def test_a_call_that_another_session_has(root: Path, held: list[Carried], tmp_path: Path) -> None:
    one = first(held)
    put(root, one)
    with RecordingStore(tmp_path / "b") as store:
        made = session()
        store.begin(made)
        record(store, made, "a", b"x")
        end(store, made)
    (other,) = carried(tmp_path / "b")
    taken = sealed_anew(with_call(other, 0, id=one.calls[2].columns[0]))
    assert f"another has a call with the id {one.calls[2].columns[0]}" in refused(root, taken)


def fork(origin: Path, copy: Path) -> tuple[Carried, Carried]:
    """Copy a root, have each go on, and return what each has put in the same place."""
    one_call(origin)
    shutil.copytree(origin, copy)
    for root in (origin, copy):
        one_call(root)
    ours, theirs = carried(origin)[-1], carried(copy)[-1]
    assert ours.session[-3:-1] == theirs.session[-3:-1]
    return ours, theirs


def test_a_copied_root_that_went_on_by_itself(root: Path, tmp_path: Path) -> None:
    ours, theirs = fork(tmp_path / "origin", tmp_path / "copy")
    put(root, ours)
    why = refused(root, theirs)
    assert ours.session.id in why
    assert "was copied, and each copy went on" in why
    for where, other in ((tmp_path / "origin", theirs), (tmp_path / "copy", ours)):
        why = refused(where, other)
        assert carried(where)[-1].session.id in why
        assert "was copied, and each copy went on" in why


def test_a_copy_that_lacks_what_the_other_has_sealed_since(tmp_path: Path) -> None:
    one_call(tmp_path / "origin")
    shutil.copytree(tmp_path / "origin", tmp_path / "copy")
    one_call(tmp_path / "origin")
    assert "this is an older copy" in refused(tmp_path / "copy", carried(tmp_path / "origin")[-1])


def test_what_an_archive_says_of_a_tree_is_not_to_change(root: Path, tmp_path: Path) -> None:
    ours, theirs = fork(tmp_path / "origin", tmp_path / "copy")
    store_id, leaf = ours.session.store, ours.session.leaf
    seals = {leaf: theirs.session.seal, leaf + 1: b"\1" * 32}
    with RecordingStore(root) as store:
        store.catalog.put_origin_leaves(store_id, seals)
        store.catalog.put_origin_leaves(store_id, seals)
        with pytest.raises(IntegrityError, match=f"leaf {leaf} of the store {store_id}"):
            store.catalog.put_origin_leaves(store_id, {leaf: ours.session.seal})
        with pytest.raises(IntegrityError, match="each copy went on"):
            put_foreign(store.catalog, *ours)
        assert put_foreign(store.catalog, *theirs)
    with RecordingStore(tmp_path / "origin") as store:
        with pytest.raises(IntegrityError, match="each copy went on"):
            store.catalog.put_origin_leaves(store_id, seals)
        store.catalog.put_origin_leaves(store_id, {leaf: ours.session.seal})
        assert store.catalog.database.all("SELECT * FROM origin_leaves") == []


# -- prunes --------------------------------------------------------------------------------------


def test_one_that_was_pruned_comes_behind_the_prune(root: Path, held: list[Carried]) -> None:
    gone = next(one for one in held if one.session.pruned_at)
    stone = next(one for one in held if not one.session.source)
    assert "no prune that is here names it" in refused(root, gone)
    assert put(root, stone, gone) == [True, True]
    found = verify_root(root)
    assert (found.ok, found.pruned) == (True, 1)
    # Another hand that removes calls can't say that it was a prune.
    other = first(held)
    put(root, other)
    sql(root, "DELETE FROM responses")
    sql(root, "DELETE FROM requests")
    sql(root, "DELETE FROM variants")
    sql(root, "UPDATE sessions SET pruned_at = ?", gone.session.pruned_at)
    assert "they were removed by another hand" in str(whats(verify_root(root)))


def test_a_prune_of_another_store_is_none(tmp_path: Path, root: Path, held: list[Carried]) -> None:
    """What a stranger says of sessions that are not the stranger's makes none of them pruned."""
    one, stranger = first(held), tmp_path / "stranger"
    put(stranger, one)
    with RecordingStore(stranger) as store:
        prune(store, Choice(sessions=(one.session.id,)))
    (stone,) = carried(stranger)
    at = stone.session.columns[8]
    put(root, stone)
    gone = Carried(one.session._replace(pruned_at=at), one.proof, [])
    assert "no prune that is here names it" in refused(root, gone)
    put(root, one)
    for table in ("responses", "requests", "variants"):
        sql(root, f"DELETE FROM {table}")
    sql(root, "UPDATE sessions SET pruned_at = ? WHERE id = ?", at, one.session.id)
    assert "they were removed by another hand" in str(whats(verify_root(root)))


def test_calls_of_a_session_that_its_origin_has_pruned_since(tmp_path: Path, root: Path) -> None:
    origin = tmp_path / "origin"
    fill(origin)
    carry(origin, root)
    with RecordingStore(origin) as store:
        prune(store, Choice(source="market"))
    later = carried(origin)
    assert [one.session.source for one in later if one.session.pruned_at] == ["market"] * 3
    put(root, *later)
    found = verify_root(root, against=[head(origin)])
    assert found.findings == ()
    assert sum("were pruned elsewhere" in note for note in found.notes) == 3
    # Home again, the calls stay gone.
    assert put(origin, *carried(root)) == [False] * 4
    assert verify_root(origin).findings == ()


def test_a_prune_of_what_was_taken_in(origin: Path, root: Path, held: list[Carried]) -> None:
    fill(root)
    carry(origin, root)
    published = head(root)
    ids = tuple(one.session.id for one in held if one.calls)
    with RecordingStore(root) as store:
        done = prune(store, Choice(sessions=ids))
        assert sum(tree.calls for tree in done.trees) == 8
        (stone,) = [
            one for one in store.catalog.sealed_sessions("") if one.store != held[0].session.store
        ]
        assert stone.leaf == 3
        assert [store.session(id).pruned_at for id in ids] == [stone.columns[8]] * 3
    found = verify_root(root, against=[published, head(root), head(origin)])
    assert (found.findings, found.pruned) == ((), 4)
    with RootStore(root) as store:
        assert all(include(store, id).holds() for id in ids)
    # They are not taken in again.
    assert put(root, *held) == [False] * len(held)
    # The prune goes on to whoever has them, and to who takes them from here.
    carry(root, root.parent / "third", payloads=False)
    assert verify_root(root.parent / "third").findings == ()


# -- verify, head and prove ----------------------------------------------------------------------


def test_a_head_holds_wherever_the_sessions_went(origin: Path, root: Path, tmp_path: Path) -> None:
    shutil.copytree(origin, home := tmp_path / "home")
    heads = [head(home)]
    for _ in range(3):
        one_call(home)
        heads.append(head(home))
    fill(root)
    own = head(root)
    carry(home, root)
    assert head(root) == own
    assert verify_root(root, against=[*heads, own]).findings == ()
    for wrong in (Head(3, heads[0].root), Head(500, own.root)):
        assert "nor that of a store that sessions came from" in str(
            whats(verify_root(root, against=[wrong]))
        )


def test_a_head_holds_by_the_proof_alone(root: Path, held: list[Carried], origin: Path) -> None:
    put(root, first(held))
    found = verify_root(root, against=[head(origin)])
    assert found.ok
    # One who keeps one session of a tree can't have it taken for the whole.
    store = held[0].session.store
    said = f"the head given of 5 ended sessions is of the store {store}: 1 that came from there is"
    assert f"{said} here" in found.notes
    assert not verify_root(root, against=[Head(1, head(origin).root)]).ok


def test_what_came_is_proved_as_it_was_there(origin: Path, root: Path) -> None:
    fill(root)
    taken = carry(origin, root)
    with RootStore(root) as store:
        for one in taken:
            proof = include(store, one.session.id)
            assert (proof.text(), proof.head) == (one.proof, head(origin))
            assert parse(proof.text()) == proof
            end_of = store.catalog.chain_end(one.session.id)
            assert end_of
            assert (end_of.leaf, end_of.seal) == (one.session.leaf, one.session.seal)
        assert len(store.catalog.leaves()) == 3


CHANGES = {
    "the origin's store": "UPDATE origins SET store = 'x'",
    "the origin's leaf": "UPDATE origins SET leaf = leaf + 10",
    "the origin's number": "UPDATE origins SET number = number + 1",
    "the proof": "UPDATE origins SET proof = replace(proof, '\"path\"', '\"paths\"')",
    "a hash of the proof": "UPDATE origins SET proof = replace(proof, '0', '1')",
    "a space in the proof": "UPDATE origins SET proof = proof || ' '",
    "no proof": "UPDATE origins SET proof = ''",
    "bytes for a proof": "UPDATE origins SET proof = x'ff00'",
    "a number for a proof": "UPDATE origins SET proof = 5",
    "no origins": "DELETE FROM origins",
    "no session": "DELETE FROM sessions WHERE number = (SELECT min(session) FROM origins)",
    "a leaf here": "UPDATE sessions SET leaf = 3 WHERE number = (SELECT min(session) FROM origins)",
    "no seal": "UPDATE sessions SET seal = NULL WHERE number = (SELECT min(session) FROM origins)",
    "a row": "UPDATE sessions SET kind = 'x' WHERE number = (SELECT min(session) FROM origins)",
    "a call": "UPDATE requests SET kind = 'x' WHERE session IN (SELECT session FROM origins)",
    "what the archive said": "UPDATE origin_leaves SET seal = zeroblob(32) WHERE leaf = 1",
    "where it said it": "UPDATE origin_leaves SET store = 'x'",
    "what it said is gone": "DELETE FROM origin_leaves",
    "no id": "DELETE FROM store",
    "two ids": "INSERT INTO store VALUES ('x')",
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_of_what_came_is_found(origin: Path, root: Path, name: str) -> None:
    fill(root)
    carry(origin, root)
    assert verify_root(root).ok
    sql(root, CHANGES[name])
    assert not verify_root(root).ok


def test_a_tree_that_an_archive_tells_otherwise(tmp_path: Path, root: Path) -> None:
    """The leaves of sessions that were not taken in count, too: they are below the head."""
    origin = tmp_path / "origin"
    for _ in range(5):
        one_call(origin)
    made = carried(origin)
    put(root, made[4])
    with RecordingStore(root) as store:
        told = {one.session.leaf: one.session.seal for one in made} | {2: b"\2" * 32}
        store.catalog.put_origin_leaves(made[0].session.store, told)
    assert "below a head of 5 sessions that is not that of the tree" in str(
        whats(verify_root(root))
    )
    sql(root, "DELETE FROM origin_leaves WHERE leaf = 2")
    assert verify_root(root).ok


def test_payloads_that_did_not_come_are_noted(origin: Path, root: Path) -> None:
    carry(origin, root, payloads=False)
    found = verify_root(root)
    assert found.ok
    assert "9 payloads of sessions that came from elsewhere are not here" in found.notes
    # One's own are to be there.
    with RecordingStore(root) as store:
        made = session()
        store.begin(made)
        record(store, made, "own", b"shared")
        end(store, made)
    shutil.rmtree(root / "responses")
    (root / "responses").mkdir()
    (finding,) = verify_root(root).findings
    assert "is missing" in finding.what


def test_a_call_that_was_answered_from_one_that_did_not_come(tmp_path: Path, root: Path) -> None:
    origin = tmp_path / "origin"
    one_call(origin)
    with RecordingStore(origin) as store:
        (call,) = store.catalog.database.all("SELECT id FROM requests")
        made = session()
        store.begin(made)
        record(store, made, "same", served_from=call[0])
        end(store, made)
    carry(origin, tmp_path / "all")
    assert verify_root(tmp_path / "all").notes == ()
    put(root, carried(origin)[-1])
    found = verify_root(root)
    assert found.ok
    assert found.notes == (
        "1 call of other stores answered from calls that are not there: their sessions were not "
        "taken in",
    )


def test_it_is_not_taken_in_where_that_can_not_be_written(origin: Path, tmp_path: Path) -> None:
    shutil.copytree(origin, copy := tmp_path / "copy")
    one_call(tmp_path / "other")
    with RootStore(copy) as store, pytest.raises(StoreError):
        put_foreign(store.catalog, *carried(tmp_path / "other")[0])


def test_calls_that_raise_as_they_come_leave_nothing(root: Path, held: list[Carried]) -> None:
    one = first(held)

    def calls() -> Iterable[SealedCall]:
        yield from one.calls[:2]
        raise ConnectionError("cut off")

    before = dump(root)
    with RecordingStore(root) as store:
        with pytest.raises(ConnectionError):
            put_foreign(store.catalog, one.session, one.proof, calls())
        assert dump(root) == before
        assert put_foreign(store.catalog, *one)
