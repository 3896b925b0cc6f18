"""Pruning an archive: what is to go goes, what is named stays, and others push meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.archive import Archive, listing, transfer
from mxm_dataio.archive.names import ExchangesName
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.errors import ConfigError, IntegrityError, StoreError
from mxm_dataio.models import Session
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.utils import instant
from tests.support.effort import rounds
from tests.trust.small import end, record, session

from .archives import names, objects
from .test_pull import content, run, sound

NONE = timedelta(0)
DAY = 86_400


def add(root: Path, *bodies: bytes, days: float = 0, source: str = "market") -> Session:
    """Record a session that began some days ago, with a call for each body."""
    with RecordingStore(root) as store:
        began = instant(time.time() - days * DAY)
        held = replace(session(), source=source, started_at=began, as_of=began[:10])
        store.begin(held)
        for number, body in enumerate(bodies):
            record(store, held, f"c{number}", body)
        end(store, held)
    return held


LARGE = [bytes([letter]) * 100_000 for letter in b"xyz"]


@pytest.fixture(params=["memory", "s3", pytest.param("weed", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def held(url: str, tmp_path: Path) -> list[str]:
    """Push an old session, one of another source, and a new one; return their ids."""
    root = tmp_path / "root"
    ids = [
        add(root, b"one", LARGE[0], LARGE[1], days=800).id,
        add(root, b"two", LARGE[1], days=800, source="other").id,
        add(root, b"three", LARGE[2], LARGE[0], days=1).id,
    ]
    Archive(url).push(root)
    return ids


def checksums(url: str) -> set[int]:
    """Return which large bodies are there, by the letter that they are made of."""
    return {bytes_[0] for name, bytes_ in objects(url).items() if name.startswith("payloads/")}


def of(url: str) -> set[str]:
    """Return the ids of the sessions that have objects with calls."""
    return {one.session for one in map(ExchangesName.parse, names(url, "exchanges")) if one}


def test_what_is_old_goes(url: str, tmp_path: Path, held: list[str]) -> None:
    with_all = objects(url)
    looked = Archive(url).prune("2y", grace=NONE, remove=False)
    assert objects(url) == with_all
    found = Archive(url).prune("2y", grace=NONE)
    assert replace(looked, done=True) == found
    assert (found.sessions, found.calls, found.objects, found.problems) == (2, 5, 3, ())
    assert of(url) == {held[2]}
    assert checksums(url) == {*b"xz"}
    assert len(names(url, "sessions")) == 3
    assert Archive(url).prune("2y", grace=NONE).sessions == 0
    verified = Archive(url).verify()
    assert verified.ok, verified.findings
    assert (verified.pruned, len(verified.notes)) == (2, 2)
    assert Archive(url).push(tmp_path / "root").objects == 0


def test_what_is_pulled_of_it(url: str, tmp_path: Path, held: list[str]) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    Archive(url).prune(DAY * 700, grace=NONE)
    pulled = Archive(url).pull(other)
    assert (pulled.sessions, pulled.calls, pulled.ok) == (3, 3, True)
    assert sound(other, root)
    there: Any = content(other)
    assert there[held[2]] == content(root)[held[2]]
    assert all(there[id][0].pruned_at and not there[id][1] for id in held[:2])


def test_sessions_of_child_processes_go_with_their_parents(memory: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    ids = []
    with RecordingStore(root) as store:
        for days in (800, 10):
            began = instant(time.time() - days * DAY)
            parent = replace(session(), started_at=began)
            # Which began when the other way round would have gone, or stayed.
            child = replace(session(parent), started_at=instant(time.time() - (810 - days) * DAY))
            for one in (parent, child):
                store.begin(one)
                record(store, one, "a", one.id.encode())
            for one in (child, parent):
                end(store, one)
            ids += [parent.id, child.id]
    Archive(memory).push(root)
    assert Archive(memory).prune("2y", grace=NONE).sessions == 2
    assert of(memory) == set(ids[2:])


def test_a_source(url: str, held: list[str]) -> None:
    assert Archive(url).prune("700d", "other", grace=NONE).sessions == 1
    assert of(url) == {held[0], held[2]}
    assert checksums(url) == {*b"xyz"}


def test_a_body_is_kept_for_seven_days(url: str, held: list[str]) -> None:
    found = Archive(url).prune("2y")
    assert (found.objects, found.young) == (2, 1)
    assert checksums(url) == {*b"xyz"}
    assert of(url) == {held[2]}
    found = Archive(url).prune("2y", grace=NONE)
    assert (found.sessions, found.objects, found.young) == (0, 1, 0)


@pytest.mark.parametrize("at", range(4))
def test_a_prune_that_was_broken_off_is_taken_up(
    url: str, held: list[str], monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    count = 0

    def breaking(name: str) -> Callable[..., Any]:
        plain: Callable[..., Any] = getattr(ObjectStore, name)

        def broken(self: ObjectStore, *arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count > at:
                raise StoreError("gone")
            return plain(self, *arguments)

        return broken

    with monkeypatch.context() as patch:
        for name in ("create", "delete"):
            patch.setattr(ObjectStore, name, breaking(name))
        with pytest.raises(StoreError, match="gone"):
            Archive(url).prune("2y", grace=NONE)
    assert Archive(url).verify().ok
    assert Archive(url).prune("2y", grace=NONE).ok
    assert of(url) == {held[2]}
    assert checksums(url) == {*b"xz"}
    assert Archive(url).verify().ok


def test_what_no_session_names(url: str, held: list[str]) -> None:
    store = ObjectStore(url)
    store.delete([name for name in names(url, "sessions") if held[1] in name])
    store.put("payloads/ab/" + "ab" * 32, b"left")
    found = Archive(url).prune("90y")
    assert (found.objects, found.young) == (0, 2)
    found = Archive(url).prune("90y", grace=NONE)
    assert (found.objects, found.young) == (2, 0)
    assert of(url) == {held[0], held[2]}
    assert checksums(url) == {*b"xyz"}


def test_where_a_session_is_damaged_no_body_goes(url: str, held: list[str]) -> None:
    (name,) = (name for name in names(url, "sessions") if held[2] in name)
    ObjectStore(url).put(name, b"x")
    found = Archive(url).prune("2y", grace=NONE)
    assert not found.ok
    assert name in found.problems[0]
    assert of(url) == {held[2]}
    assert checksums(url) == {*b"xyz"}


def test_a_foreign_object(memory: str, tmp_path: Path) -> None:
    add(tmp_path / "root", b"1", days=800)
    Archive(memory).push(tmp_path / "root")
    ObjectStore(memory).put("exchanges/x", b"x")
    found = Archive(memory).prune("2y", grace=NONE)
    assert found.problems == (f"{memory}/exchanges/x is no object of an archive",)
    assert names(memory, "exchanges") == ["exchanges/x"]


def test_no_archive(memory: str) -> None:
    with pytest.raises(StoreError, match="nothing is archived"):
        Archive(memory).prune("2y")
    with pytest.raises(ConfigError, match="no span of time"):
        Archive(memory).prune("long")
    ObjectStore(memory).put("archive.json", b'{"mxm-dataio archive": 2}')
    with pytest.raises(IntegrityError, match="is of version 2"):
        Archive(memory).prune("2y")


def test_what_is_removed_as_it_is_pushed_is_put_back(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prune that took it for left, at the very moment between its being renewed and its name."""
    root = tmp_path / "root"
    add(root, b"small", LARGE[0])
    Archive(memory).push(root)
    before = objects(memory)
    store = ObjectStore(memory)
    store.delete(names(memory, "sessions"))
    monkeypatch.setattr(transfer, "_YOUNG", NONE)
    write = transfer.Transfers._session

    def swept(self: transfer.Transfers, name: str, content: memoryview) -> bool:
        store.delete([*names(memory, "payloads"), *names(memory, "exchanges")])
        return write(self, name, content)

    monkeypatch.setattr(transfer.Transfers, "_session", swept)
    assert Archive(memory).push(root).ok
    assert objects(memory) == before


def test_others_push_meanwhile(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that share their bodies come and go, and pushes are broken off: none is lost."""
    add(tmp_path / "root-0")
    Archive(memory).push(tmp_path / "root-0")
    grace = timedelta(seconds=3)
    monkeypatch.setattr(transfer, "_YOUNG", grace / 2)
    until = time.monotonic() + rounds(8, 60)
    problems: list[str] = []
    kept: list[str] = []

    write = transfer.Transfers._session
    lot = random.Random(1)

    def breaking(self: transfer.Transfers, name: str, content: memoryview) -> bool:
        if time.monotonic() < until and lot.random() < 0.3:
            raise StoreError("broken off")
        return write(self, name, content)

    monkeypatch.setattr(transfer.Transfers, "_session", breaking)

    def push(number: int) -> None:
        root = tmp_path / f"root-{number}"
        while time.monotonic() < until:
            add(root, LARGE[number % 3], os.urandom(70_000), days=800)
            kept.append(add(root, LARGE[number % 3], LARGE[(number + 1) % 3]).id)
            with contextlib.suppress(StoreError):
                problems.extend(Archive(memory).push(root).problems)
            time.sleep(lot.random() * 4)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    removed = 0
    while any(thread.is_alive() for thread in threads):
        found = Archive(memory).prune("2y", grace=grace)
        removed += found.objects
        problems.extend(found.problems)
    for thread in threads:
        thread.join()
    for root in tmp_path.glob("root-*"):
        problems.extend(Archive(memory).push(root).problems)
    assert problems == []
    assert removed > 0
    verified = Archive(memory).verify()
    assert verified.ok, verified.findings
    assert set(kept) <= of(memory)


def test_what_is_pruned_as_it_is_pulled(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulled is what it then is: pruned, and nothing is damaged."""
    root = tmp_path / "root"
    old, new = add(root, b"one", LARGE[0], days=800), add(root, b"two", LARGE[1])
    Archive(memory).push(root)
    plain = listing.pruned

    def pruned_then(store: ObjectStore) -> set[str]:
        found = plain(store)
        monkeypatch.setattr(listing, "pruned", plain)
        Archive(memory).prune("2y", grace=NONE)
        return found

    monkeypatch.setattr(listing, "pruned", pruned_then)
    pulled = Archive(memory).pull(tmp_path / "other")
    assert (pulled.sessions, pulled.problems) == (2, ())
    there: Any = content(tmp_path / "other")
    assert there[old.id][0].pruned_at
    assert there[new.id] == content(root)[new.id]
    assert sound(tmp_path / "other", root)


# -- the command ---------------------------------------------------------------------------------


def test_the_command(folder: str, tmp_path: Path) -> None:
    add(tmp_path / "root", b"1", days=800)
    Archive(folder).push(tmp_path / "root")
    status, said = run("prune", folder, "--older-than", "2y")
    assert (status, said.splitlines()[0].partition(" (")[0]) == (
        0, f"would prune 1 session with 1 call from {folder}, and remove 1 object"
    )  # fmt: skip
    assert "nothing was deleted: --yes does it" in said
    assert len(names(folder, "exchanges")) == 1
    status, said = run("prune", folder, "--older-than", "2y", "--yes", "--json")
    told = json.loads(said)
    assert (told["sessions"], told["calls"], told["objects"], told["done"]) == (1, 1, 1, True)
    assert names(folder, "exchanges") == []


@pytest.mark.parametrize(
    "more",
    [
        [], ["--keep-last", "1", "--older-than", "2y"], ["--older-than", "2y", "--session", "x"],
        ["--older-than", "2y", "--vacuum", "--yes"],
    ],
)  # fmt: skip
def test_called_wrongly(folder: str, more: list[str]) -> None:
    status, said = run("prune", folder, *more)
    assert status == 2
    assert "--older-than" in said
    status, said = run("prune", "s3://me:hidden@bucket/x", "--older-than", "2y")
    assert status == 2
    assert "hidden" not in said
