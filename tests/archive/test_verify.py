"""An archive is checked from its objects alone: what was changed, removed or put in is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mxm_dataio.archive import Archive, session_object, tombstone
from mxm_dataio.archive.names import SessionName
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.archive.session_object import ArchivedSession, Part
from mxm_dataio.errors import IntegrityError, StoreError
from mxm_dataio.integrity.proofs import Head
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import rounds
from tests.trust.small import end, record, session, with_pruned

from . import flips
from .archives import head, names, objects


@pytest.fixture
def pushed(memory: str, root: Path) -> str:
    """Return the URL of an archive with something of everything."""
    with_pruned(root)
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        record(store, held, "large", b"x" * 100_000, b"y" * 70_000)
        end(store, held)
    Archive(memory).push(root)
    return memory


def sessions(url: str) -> dict[str, ArchivedSession]:
    """Return what the objects of sessions say, by their names."""
    found = {}
    for name, content in objects(url).items():
        parsed = SessionName.parse(name)
        if parsed is not None:
            found[name] = session_object.read(content, parsed, name)[0]
    return found


def test_what_was_pushed(pushed: str, root: Path) -> None:
    found = Archive(pushed).verify(against=[head(root)])
    assert found.ok, found.findings
    assert (found.sessions, found.calls, found.payloads, found.pruned) == (6, 9, 2, 1)
    assert list(found.heads.values()) == [head(root)] == [found.head]
    (note,) = found.notes
    assert "pruned at its origin" in note


def test_several_stores(pushed: str, tmp_path: Path, root: Path) -> None:
    with RecordingStore(tmp_path / "other") as store:
        held = session()
        store.begin(held)
        record(store, held, "o", b"o")
        end(store, held)
    Archive(pushed).push(tmp_path / "other")
    heads = [head(root), head(tmp_path / "other")]
    found = Archive(pushed).verify(against=heads)
    assert found.ok
    assert (found.head, set(found.heads.values())) == (None, set(heads))


def test_an_earlier_head(memory: str, root: Path) -> None:
    early = head(root)
    with_pruned(root)
    Archive(memory).push(root)
    assert Archive(memory).verify(against=[early]).ok


def test_another_head(pushed: str) -> None:
    for other in (Head(3, bytes(32)), Head(99, bytes(32))):
        found = Archive(pushed).verify(against=[other])
        (finding,) = found.findings
        assert str(other) in finding.what


def test_what_is_not_there(memory: str, folder: str) -> None:
    for url in (memory, folder):
        with pytest.raises(StoreError, match="nothing is archived under"):
            Archive(url).verify()
        with pytest.raises(StoreError, match="nothing is archived under"):
            Archive(url).sessions()


def test_sessions_and_their_objects(pushed: str, root: Path) -> None:
    with RootStore(root, readonly=True) as store:
        known = store.sessions()
    assert Archive(pushed).sessions() == known
    assert [one.source for one in Archive(pushed).sessions("market")] == ["market"] * 5
    urls = Archive(pushed).objects()
    assert urls == [f"{pushed}/{name}" for name in names(pushed, "exchanges")]
    assert Archive(pushed).objects("market") == urls
    assert Archive(pushed).objects("other") == []
    store_ = ObjectStore(pushed)
    name, archived = next((n, a) for n, a in sessions(pushed).items() if a.objects)
    store_.delete([name])
    assert set(urls) - set(Archive(pushed).objects()) == {
        f"{pushed}/{part.name}" for part in archived.objects
    }


# -- what is wrong -------------------------------------------------------------------------------


def remove(url: str, prefix: str) -> str:
    name = names(url, prefix)[-1]
    ObjectStore(url).delete([name])
    return name


def add(url: str, name: str) -> str:
    ObjectStore(url).put(name, b"foreign")
    return name


def swap(url: str) -> str:
    one, other, *_ = names(url, "exchanges")
    held = objects(url)
    ObjectStore(url).put(one, held[other])
    return one


def rewrite(url: str, change: Callable[[ArchivedSession], ArchivedSession]) -> str:
    name, archived = next((n, a) for n, a in sessions(url).items() if a.objects)
    ObjectStore(url).put(name, session_object.write(change(archived)))
    return name


HARM: dict[str, Callable[[str], str]] = {
    "calls removed": lambda url: remove(url, "exchanges"),
    "a body removed": lambda url: remove(url, "payloads"),
    "the mark removed": lambda url: gone(url),
    "another session's calls": swap,
    "a foreign object among the sessions": lambda url: add(url, "sessions/README"),
    "no session's object": lambda url: add(url, names(url, "sessions")[0]),
    "no body": lambda url: add(url, names(url, "payloads")[0]),
    "other calls named": lambda url: rewrite(url, lambda a: a._replace(objects=a.objects[:-1])),
    "a body named besides": lambda url: rewrite(
        url, lambda a: a._replace(payloads=(*a.payloads, session_object.Payload("0" * 64, 99_999)))
    ),
    "a foreign object named": lambda url: rewrite(
        url, lambda a: a._replace(objects=(Part("sessions/x", 1, "0" * 64),))
    ),
    "another proof": lambda url: rewrite(url, lambda a: a._replace(proof="{}")),
    "marked as pruned": lambda url: rewrite(
        url,
        lambda a: a._replace(
            objects=(), payloads=(), session=a.session._replace(pruned_at="2025-01-01")
        ),
    ),
    "another row": lambda url: rewrite(
        url,
        lambda a: a._replace(
            session=a.session._replace(columns=("x", *a.session.columns[1:]))
        ),
    ),
}  # fmt: skip


def gone(url: str) -> str:
    ObjectStore(url).delete(["archive.json"])
    return "archive.json"


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_what_is_wrong_is_found_and_named(pushed: str, harm: Callable[[str], str]) -> None:
    name = harm(pushed)
    found = Archive(pushed).verify()
    assert not found.ok
    said = " ".join(map(str, found.findings))
    parsed = SessionName.parse(name)
    assert name in said or (parsed is not None and parsed.session in said)


def test_what_is_damaged_is_named_by_who_lists(pushed: str) -> None:
    name = add(pushed, names(pushed, "sessions")[0])
    for listing in (Archive(pushed).sessions, Archive(pushed).objects):
        with pytest.raises(IntegrityError, match=name):
            listing()


def test_a_session_that_was_removed(pushed: str, root: Path) -> None:
    known = head(root)
    ObjectStore(pushed).delete([names(pushed, "sessions")[1]])
    found = Archive(pushed).verify()
    assert any("1 ended session of the store" in note for note in found.notes)
    # The head is told of by the others' proofs; it is the same store's.
    assert Archive(pushed).verify(against=[known]).ok
    (finding,) = Archive(pushed).verify(against=[Head(4, known.root)]).findings
    assert "no store whose sessions are here has the head given" in finding.what


def test_two_sessions_in_one_place(pushed: str, tmp_path: Path, root: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    for one in (root, copy):
        with RecordingStore(one) as store:
            held = session()
            store.begin(held)
            record(store, held, "z", b"z")
            end(store, held)
    other = f"{pushed}-other"
    Archive(pushed).push(root)
    Archive(other).push(copy)
    held_ = objects(other)
    for name in set(held_) - set(objects(pushed)):
        ObjectStore(pushed).put(name, held_[name])
    found = Archive(pushed).verify()
    assert any("a copied root went on by itself" in str(one) for one in found.findings)


def test_what_a_broken_off_push_left_is_noted(pushed: str) -> None:
    ObjectStore(pushed).delete([names(pushed, "sessions")[-1]])
    found = Archive(pushed).verify()
    assert found.ok
    assert any("3 objects that no session names" in note for note in found.notes)


def test_a_session_that_was_pruned_from_the_archive(pushed: str) -> None:
    store = ObjectStore(pushed)
    archived = next(a for a in sessions(pushed).values() if a.payloads)
    name = f"tombstones/{archived.session.id}.json"
    store.put(name, tombstone.write(archived.session, "2026-01-01T00:00:00Z"))
    store.delete([part.name for part in archived.objects])
    found = Archive(pushed).verify()
    assert found.ok, found.findings
    assert found.pruned == 2
    assert all(part.name not in " ".join(Archive(pushed).objects()) for part in archived.objects)
    for content in (b"", b"{}", tombstone.write(archived.session, "x").replace(b'"x"', b'"y"')):
        store.put(name, content)
        (finding,) = Archive(pushed).verify().findings
        assert name in finding.what


def test_every_flipped_byte_is_found_or_has_no_meaning(memory: str, tmp_path: Path) -> None:
    flips.make(tmp_path)
    Archive(memory).push(tmp_path)
    tried, found, missed = flips.flip(memory, rounds(25, 1000), seed=7)
    assert missed == []
    assert tried >= found > 0
