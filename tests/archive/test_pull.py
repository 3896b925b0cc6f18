"""What was pushed is pulled: all that was recorded, each session once, and nothing unchecked."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mxm_dataio.archive import Archive, session_object, tombstone
from mxm_dataio.archive.names import SessionName
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.errors import ConfigError, IntegrityError, StoreError
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.models import Session
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from mxm_dataio.utils import new_id
from tests.trust.small import end, record, session, with_pruned

from .archives import head, names, objects


def add(
    root: Path, *bodies: bytes, source: str = "market", as_of: str = "2025-01-01", call: str = "a"
) -> Session:
    """Record a session with a call for each body."""
    with RecordingStore(root) as store:
        held = replace(session(), source=source, as_of=as_of)
        store.begin(held)
        for number, body in enumerate(bodies):
            record(store, held, f"{call}{number}", body)
        end(store, held)
    return held


def content(root: Path) -> dict[str, object]:
    """Return what a root says of its sessions, with all calls and their bodies."""
    found: dict[str, object] = {}
    with RootStore(root) as store:
        for one in store.sessions():
            calls = []
            for exchange in store.exchanges(one.id):
                kept = [
                    (replace(answer, bytes_path=None, payload=None),
                     answer.checksum and store.payload(answer.checksum, answer.size))
                    for answer in exchange.responses
                ]  # fmt: skip
                calls.append((exchange.request, kept))
            found[one.id] = (one, calls)
    return found


def sound(root: Path, *origins: Path) -> bool:
    """Say whether a root verifies, against the heads of those that its sessions are from."""
    return verify_root(root, against=[head(one) for one in origins]).ok


# -- what comes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["memory", "folder", "s3", pytest.param("weed", marks=[pytest.mark.long])]
)
def test_all_that_was_pushed(place: str, request: pytest.FixtureRequest, root: Path) -> None:
    url = request.getfixturevalue(place)
    add(root, b"x" * 100_000, b"y" * (3 << 20), b"", b"z" * 65536, b"z" * 65537)
    with_pruned(root)
    Archive(url).push(root)
    other = root.parent / "other"
    pulled = Archive(url).pull(other)
    assert (pulled.sessions, pulled.there, pulled.problems) == (6, 0, ())
    assert content(other) == content(root)
    assert sound(other, root)
    again = Archive(url).pull(other)
    assert (again.sessions, again.there, again.problems) == (0, 6, ())


def test_of_many_roots_into_one_with_sessions_of_its_own(memory: str, tmp_path: Path) -> None:
    roots = [tmp_path / name for name in "abc"]
    for one in roots:
        add(one, b"1", as_of="2025-01-02", call=one.name)
        add(one, b"2", as_of="2025-01-03", call=one.name)
        Archive(memory).push(one)
    Archive(memory).pull(roots[0])
    assert len(content(roots[0])) == 6
    assert sound(roots[0], *roots)
    # And what it records from here on goes where it belongs.
    add(roots[0], b"3", as_of="2025-01-04")
    assert Archive(memory).push(roots[0]).sessions == 1
    assert Archive(memory).pull(tmp_path / "d").sessions == 7
    assert content(tmp_path / "d") == content(roots[0])
    assert sound(tmp_path / "d", *roots)


def test_what_is_pushed_of_a_root_that_has_pulled_is_the_same(
    memory: str, root: Path, tmp_path: Path
) -> None:
    Archive(memory).push(root)
    Archive(memory).pull(tmp_path / "other")
    before = objects(memory)
    assert Archive(memory).push(tmp_path / "other").objects == 0
    second = memory + "-second"
    assert Archive(second).push(tmp_path / "other").sessions == 3
    assert {name for name in objects(second) if name.startswith("sessions")} == {
        name for name in before if name.startswith("sessions")
    }
    Archive(second).pull(tmp_path / "third")
    assert content(tmp_path / "third") == content(root)
    assert sound(tmp_path / "third", root)


def test_a_source(memory: str, tmp_path: Path) -> None:
    one = add(tmp_path / "root", b"1", source="one")
    add(tmp_path / "root", b"2", source="two")
    empty = add(tmp_path / "root", source="one")
    Archive(memory).push(tmp_path / "root")
    assert Archive(memory).pull(tmp_path / "other", source="one").sessions == 2
    assert content(tmp_path / "other").keys() == {one.id, empty.id}
    assert Archive(memory).pull(tmp_path / "other", source="three").sessions == 0
    assert Archive(memory).pull(tmp_path / "other").sessions == 1


def test_calls_of_a_source_in_a_session_of_another(memory: str, tmp_path: Path) -> None:
    with RecordingStore(tmp_path / "root") as store:
        held = session()
        store.begin(held)
        record(store, replace(held, source="inner"), "a", b"1")
        end(store, held)
    Archive(memory).push(tmp_path / "root")
    assert Archive(memory).pull(tmp_path / "a", source="inner").sessions == 1
    assert Archive(memory).pull(tmp_path / "b", source="market").sessions == 0


def test_an_as_of(memory: str, tmp_path: Path) -> None:
    days = ["2024-12-31", "2025-01-01", "2025-01-01T12:00:00.000000Z", "2025-01-02", "2025-02-01"]
    held = {day: add(tmp_path / "root", b"1", as_of=day) for day in days}
    add(tmp_path / "root", as_of="2025-03-01")
    Archive(memory).push(tmp_path / "root")
    Archive(memory).pull(tmp_path / "other", as_of="2025-01-01")
    assert content(tmp_path / "other").keys() == {held[day].id for day in days[:3]}
    with pytest.raises(ConfigError, match="neither a date"):
        Archive(memory).pull(tmp_path / "none", as_of="yesterday")
    assert not (tmp_path / "none").exists()


def test_a_session_comes_with_those_of_its_processes(memory: str, root: Path) -> None:
    Archive(memory).push(root)
    ids = sorted(content(root))
    for number, id in enumerate(ids[1:]):
        other = root.parent / f"other-{number}"
        assert Archive(memory).pull(other, session=id[-9:]).sessions == 2
        assert content(other).keys() == set(ids[1:])
    assert Archive(memory).pull(root.parent / "first", session="latest~1").sessions == 1
    assert content(root.parent / "first").keys() == {ids[0]}
    for name in ("latest~2", "nothing", ""):
        with pytest.raises(StoreError, match="no session"):
            Archive(memory).pull(root.parent / "none", session=name)
    with pytest.raises(StoreError, match="several sessions"):
        Archive(memory).pull(root.parent / "none", session=ids[0][:4])


def test_a_child_whose_root_is_of_another_source(memory: str, tmp_path: Path) -> None:
    with RecordingStore(tmp_path / "root") as store:
        parent = replace(session(), source="outer", as_of="2026-01-01")
        store.begin(parent)
        child = replace(session(parent), source="inner")
        store.begin(child)
        record(store, child, "a", b"1")
        end(store, child)
        # Not ended yet, and so not pushed.
        Archive(memory).push(tmp_path / "root")
        pulled = Archive(memory).pull(tmp_path / "other", source="inner")
        assert (pulled.sessions, pulled.waiting, pulled.ok) == (0, 1, True)
        end(store, parent)
    Archive(memory).push(tmp_path / "root")
    pulled = Archive(memory).pull(tmp_path / "other", source="inner", as_of="2025-06-01")
    assert (pulled.sessions, pulled.waiting) == (2, 0)
    assert sound(tmp_path / "other", tmp_path / "root")


def test_bodies_come_later(memory: str, root: Path, tmp_path: Path) -> None:
    add(root, b"x" * 100_000, b"small")
    Archive(memory).push(root)
    other = tmp_path / "other"
    Archive(memory).pull(other, payloads=False)
    assert list((other / "responses").iterdir()) == []
    assert sound(other, root)
    pulled = Archive(memory).pull(other)
    assert (pulled.sessions, pulled.completed) == (0, 4)
    assert content(other) == content(root)
    assert Archive(memory).pull(other).completed == 0
    next((other / "responses").iterdir()).unlink()
    assert Archive(memory).pull(other).completed == 1
    assert content(other) == content(root)


def test_pulls_at_once_into_one_root(s3: str, root: Path, tmp_path: Path) -> None:
    for number in range(10):
        add(root, os.urandom(70_000), b"%d" % number)
    Archive(s3).push(root)
    taken, barrier = [], threading.Barrier(4)

    def pull() -> None:
        barrier.wait()
        taken.append(Archive(s3).pull(tmp_path / "other", jobs=2))

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.problems for one in taken] == [()] * 4
    assert sum(one.sessions for one in taken) == 13
    assert content(tmp_path / "other") == content(root)


def test_progress_is_told(memory: str, root: Path, tmp_path: Path) -> None:
    Archive(memory).push(root)
    told: list[tuple[str, int, int]] = []
    Archive(memory).pull(tmp_path / "other", progress=lambda *one: told.append(one))
    assert told == [("sessions", number, 3) for number in (1, 2, 3)]


# -- which is newest -----------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["forwards", "backwards", "mixed"])
def test_the_newest_of_one_as_of_is_the_same_in_any_order(
    memory: str, tmp_path: Path, order: str
) -> None:
    held = [add(tmp_path / "root", b"%d" % number) for number in range(6)]
    own = add(tmp_path / "own", b"own", as_of="2024-01-01")
    Archive(memory).push(tmp_path / "root")
    ids = [one.id for one in held]
    ids = {"forwards": ids, "backwards": ids[::-1], "mixed": ids[::2] + ids[1::2]}[order]
    for id in ids:
        Archive(memory).pull(tmp_path / "own", session=id)
    with RootStore(tmp_path / "own") as store, RootStore(tmp_path / "root") as origin:
        (call,) = store.exchanges(ids[0])
        asked = call.request.source, call.request.params_hash, "~"
        assert store.catalog.newest(*asked) == origin.catalog.newest(*asked)
        (number,) = store.catalog.database.all("SELECT number FROM sessions WHERE id = ?", own.id)
        assert number == (1,)
    later = add(tmp_path / "own", b"later")
    with RootStore(tmp_path / "own") as store:
        assert store.catalog.newest(*asked) == ("2025-01-01", later.id)


# -- what was pruned -----------------------------------------------------------------------------


def test_what_was_pruned_at_its_origin(memory: str, root: Path, tmp_path: Path) -> None:
    with_pruned(root)
    Archive(memory).push(root)
    (gone,) = [one.id for one, _ in content(root).values() if one.pruned_at]  # type: ignore[misc]
    Archive(memory).pull(tmp_path / "other", session=gone)
    assert len(content(tmp_path / "other")) == 2
    assert sound(tmp_path / "other", root)


def test_what_was_pruned_from_the_archive(memory: str, root: Path, tmp_path: Path) -> None:
    Archive(memory).push(root)
    Archive(memory).pull(tmp_path / "before")
    tombs = {}
    for name, bytes_ in objects(memory).items():
        parsed = SessionName.parse(name)
        if parsed is not None:
            archived, _ = session_object.read(bytes_, parsed, name)
            tombs[parsed.session] = tombstone.write(archived.session, "2026-02-03T00:00:00.000000Z")
    for id, said in tombs.items():
        ObjectStore(memory).put(f"tombstones/{id}.json", said)
    ObjectStore(memory).delete(names(memory, "exchanges"))
    pulled = Archive(memory).pull(tmp_path / "other")
    assert (pulled.sessions, pulled.calls, pulled.problems) == (3, 0, ())
    assert sound(tmp_path / "other", root)
    found = content(tmp_path / "other")
    assert len(found) == 4
    assert {
        one.pruned_at for one, _ in found.values() if one.source  # type: ignore[misc]
    } == {"2026-02-03T00:00:00.000000Z"}  # fmt: skip
    assert Archive(memory).pull(tmp_path / "other").sessions == 0
    # What was pulled before stays.
    assert Archive(memory).pull(tmp_path / "before").problems == ()
    assert content(tmp_path / "before") == content(root)
    assert sound(tmp_path / "before", root)
    ObjectStore(memory).put(f"tombstones/{min(tombs)}.json", b"{}")
    (problem,) = Archive(memory).pull(tmp_path / "third").problems
    assert min(tombs) in problem


def test_a_prune_of_what_was_pulled(memory: str, root: Path, tmp_path: Path) -> None:
    Archive(memory).push(root)
    Archive(memory).pull(tmp_path / "other")
    with RootStore(tmp_path / "other", readonly=False) as store:
        prune(store, Choice(source="market"))
    assert sound(tmp_path / "other", root)
    assert Archive(memory).pull(tmp_path / "other").sessions == 0
    assert sound(tmp_path / "other", root)


# -- what is wrong there -------------------------------------------------------------------------


def test_no_archive(memory: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is archived"):
        Archive(memory).pull(tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_newer_archive(memory: str, root: Path, tmp_path: Path) -> None:
    Archive(memory).push(root)
    ObjectStore(memory).put("archive.json", b'{"mxm-dataio archive": 2}')
    with pytest.raises(IntegrityError, match="is of version 2"):
        Archive(memory).pull(tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["exchanges", "payloads", "sessions"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "foreign", "empty"])
def test_a_damaged_object_is_named_and_all_else_comes(
    memory: str, root: Path, tmp_path: Path, kind: str, harm: str
) -> None:
    large = add(root, b"x" * 100_000)
    Archive(memory).push(root)
    for number, name in enumerate(names(memory, kind)):
        whole = objects(memory)[name]
        changed = {
            "flip": whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1])
            + whole[len(whole) // 2 + 1 :],
            "cut": whole[:-1], "foreign": b"PAR1" + b"\xff" * 500 + b"PAR1", "empty": b"",
        }  # fmt: skip
        store = ObjectStore(memory)
        if harm == "remove":
            store.delete([name])
        else:
            store.put(name, changed[harm])
        other = tmp_path / f"other-{number}"
        pulled = Archive(memory).pull(other)
        if kind == "sessions" and harm == "remove":
            assert len(content(other)) < 4
        else:
            assert any(name in problem for problem in pulled.problems), pulled.problems
        there, was = content(other), content(root)
        for id, one in there.items():
            assert one == was[id] or (kind == "payloads" and id == large.id)
        # A child is not taken in without its root.
        assert len(there) >= (4 if kind == "payloads" else 2)
        assert sound(other)
        store.put(name, whole)
        assert Archive(memory).pull(other).ok
        assert content(other) == was
        assert sound(other, root)


def test_every_byte_of_an_object_with_calls(memory: str, tmp_path: Path) -> None:
    add(tmp_path / "root", b"1")
    Archive(memory).push(tmp_path / "root")
    (name,) = names(memory, "exchanges")
    whole = objects(memory)[name]
    for at in range(0, len(whole), 37):
        ObjectStore(memory).put(name, whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        (problem,) = Archive(memory).pull(tmp_path / "other").problems
        assert name in problem
    assert content(tmp_path / "other") == {}


@pytest.mark.parametrize(
    "name",
    [
        "sessions/store=x/y.parquet", "sessions/../../etc/passwd", "sessions/z",
        f"sessions/store={'0' * 32}/00000000-{new_id()}-{'0' * 64}.parquet",
        f"sessions/store={'0' * 32}/99999999999-..-{'0' * 64}.parquet",
    ],
)  # fmt: skip
def test_a_foreign_object_among_the_sessions(
    memory: str, root: Path, tmp_path: Path, name: str
) -> None:
    Archive(memory).push(root)
    try:
        ObjectStore(memory).put(name, b"x")
    except StoreError:
        pytest.skip("the store takes no such name")
    pulled = Archive(memory).pull(tmp_path / "other")
    assert pulled.sessions == 3
    (problem,) = pulled.problems
    assert name in problem
    assert content(tmp_path / "other") == content(root)


def forge(url: str, change: Callable[[session_object.ArchivedSession], object]) -> None:
    """Write a session's object anew, as somebody would who knows how."""
    store = ObjectStore(url)
    for name, bytes_ in objects(url).items():
        parsed = SessionName.parse(name)
        if parsed is not None:
            archived, _ = session_object.read(bytes_, parsed, name)
            made = change(archived)
            assert isinstance(made, session_object.ArchivedSession)
            store.put(name, session_object.write(made))


@pytest.mark.parametrize("path", ["../../../escaped", "/tmp/escaped", "a/b", "", "\0", "x" * 5000])
def test_names_of_a_stranger_are_never_paths(memory: str, tmp_path: Path, path: str) -> None:
    add(tmp_path / "root", b"x" * 100_000)
    Archive(memory).push(tmp_path / "root")
    (payload,) = names(memory, "payloads")
    bad = session_object.Payload(path, 100_000)
    forge(memory, lambda one: one._replace(payloads=(bad,)))
    (problem,) = Archive(memory).pull(tmp_path / "other").problems
    assert "is damaged" in problem
    forge_part = session_object.Part(path, 10, "0" * 64)
    Archive(memory + "2").push(tmp_path / "root")
    forge(memory + "2", lambda one: one._replace(objects=(forge_part,)))
    (problem,) = Archive(memory + "2").pull(tmp_path / "other").problems
    assert "is damaged" in problem
    assert {one.name for one in tmp_path.iterdir()} == {"root", "other"}
    assert content(tmp_path / "other") == {}
    assert payload


def bomb(size: int) -> bytes:
    """Return a table of little that unpacks to much."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({"id": pa.array([b"\0" * (1 << 20)] * (size >> 20), pa.binary())}), sink,
        compression="zstd", use_dictionary=False,
    )  # fmt: skip
    return bytes(sink.getvalue())


@pytest.mark.parametrize("content_", [bomb(300 << 20), bomb(1 << 20), b"PAR1PAR1", b"\0" * 100])
def test_a_strangers_table_in_the_place_of_calls(
    memory: str, tmp_path: Path, content_: bytes
) -> None:
    """With the checksum that its session tells, as somebody would write it who knows how."""
    add(tmp_path / "root", b"1")
    Archive(memory).push(tmp_path / "root")
    (name,) = names(memory, "exchanges")
    part = session_object.Part(name, len(content_), hashlib.sha256(content_).hexdigest())
    forge(memory, lambda one: one._replace(objects=(part,)))
    ObjectStore(memory).put(name, content_)
    (problem,) = Archive(memory).pull(tmp_path / "other").problems
    assert name in problem
    assert content(tmp_path / "other") == {}


def test_a_body_of_another_size(memory: str, tmp_path: Path) -> None:
    add(tmp_path / "root", b"x" * 100_000)
    Archive(memory).push(tmp_path / "root")
    bad = session_object.Payload(hashlib.sha256(b"x" * 100_000).hexdigest(), 1 << 60)
    forge(memory, lambda one: one._replace(payloads=(bad,)))
    pulled = Archive(memory).pull(tmp_path / "other")
    assert len(pulled.problems) == 2
    assert content(tmp_path / "other") == {}
    assert list((tmp_path / "other" / "responses").iterdir()) == []


def test_two_sessions_in_one_place(memory: str, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    one, other = add(root, b"1"), add(copy, b"2")
    Archive(memory).push(root)
    second = memory + "-second"
    Archive(second).push(copy)
    for name, bytes_ in objects(second).items():
        ObjectStore(memory).create(name, bytes_)
    pulled = Archive(memory).pull(tmp_path / "third")
    (problem,) = pulled.problems
    assert one.id in problem
    assert other.id in problem
    assert pulled.sessions == 3
    assert sound(tmp_path / "third")


def test_an_archive_that_says_otherwise_than_before(
    memory: str, root: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    one, other = add(root, b"1"), add(copy, b"2")
    Archive(memory).push(root)
    Archive(memory).pull(tmp_path / "third")
    second = memory + "-second"
    Archive(second).push(copy)
    problems = Archive(second).pull(tmp_path / "third").problems
    assert any(other.id in problem for problem in problems)
    assert content(tmp_path / "third").keys() == content(root).keys() >= {one.id}
    assert sound(tmp_path / "third", root)


def test_an_older_copy_of_the_root_itself(memory: str, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    held = add(root, b"1")
    Archive(memory).push(root)
    (problem,) = Archive(memory).pull(copy).problems
    assert held.id in problem
    assert "older copy" in problem
    assert sound(copy)


# -- the command ---------------------------------------------------------------------------------


def run(*arguments: object) -> tuple[int, str]:
    """Run the command line; return status and output."""
    from click.testing import CliRunner

    from mxm_dataio.cli.main import main

    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_the_command(folder: str, root: Path, tmp_path: Path) -> None:
    Archive(folder).push(root)
    other = tmp_path / "other"
    status, said = run("pull", folder, "--root", other, "--source", "market", "--no-payloads")
    assert (status, said) == (
        0, f"pulled 3 sessions with 8 calls from {folder}; 0 sessions were there before\n"
    )  # fmt: skip
    status, said = run("pull", folder, "--root", other)
    assert (
        said == f"completed the bodies of 3 sessions from {folder}; 3 sessions were there before\n"
    )
    status, said = run("pull", folder, "--root", other)
    assert (status, said) == (
        0, f"nothing was pulled from {folder}; 3 sessions were there before\n"
    )  # fmt: skip
    ObjectStore(folder).put(names(folder, "exchanges")[0], b"x")
    status, said = run("pull", folder, "--root", tmp_path / "third", "--json")
    assert status == 1
    told = json.loads(said)
    assert told["type"] == "pull"
    assert len(told["problems"]) == 1 + (told["sessions"] == 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pull"], "Missing argument"),
        (["pull", "data"], "no URL of an archive"),
        (["pull", "s3://me:hidden@bucket/x"], "credentials and endpoints come from"),
        (["pull", "memory:///nothing-there"], "nothing is archived"),
    ],
)
def test_called_wrongly(arguments: list[str], says: str, tmp_path: Path) -> None:
    status, said = run(*arguments, "--root", tmp_path / "root")
    assert status == 2
    assert says in " ".join(said.split())
    assert "hidden" not in said
