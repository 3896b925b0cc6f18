"""A small store in which every column of every table has something to say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mxm_dataio.http.heads import given_head
from mxm_dataio.identity import identify
from mxm_dataio.integrity.foreign import put_foreign
from mxm_dataio.integrity.proofs import include
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.models import Failure, Framing, Mode, Peer, Session, Status, Unseen
from mxm_dataio.storage.catalog.sealed import SealedCall, SealedSession
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from mxm_dataio.utils import new_id

HOST = "https://data.example"
_HEAD = given_head((("Accept", "application/json"), ("User-Agent", "scraper/1")))
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
_PEER = Peer("192.0.2.7:443", "TLSv1.3", "TLS_AES_128_GCM_SHA256", "c0" * 32)


def session(parent: Session | None = None, status: Status = Status.RUNNING) -> Session:
    """Return a session of this process."""
    id = new_id()
    return Session(
        id, "market", Mode.RECORD, "2025-01-01", status, "2025-01-02T00:00:00.000000Z",
        kind="daily", parent_id=parent.id if parent else None,
        root_id=parent.root_id if parent else id, pid=os.getpid(),
    )  # fmt: skip


def taking(store: RecordingStore, waiting: dict[str, bytes]) -> Callable[[bytes], str]:
    """Return what takes a payload of a call, and returns its checksum.

    Args:
        waiting: the call's payloads that have no file yet; added to.
    """

    def take(content: bytes) -> str:
        spool = store.spool(1 << 20)
        spool.write(content)
        checksum = spool.checksum
        store.take(spool, checksum, waiting)
        return checksum

    return take


def record(
    store: RecordingStore,
    held: Session,
    name: str,
    *bodies: bytes,
    upload: bytes = b"",
    vary: tuple[str, ...] = (),
    served_from: str | None = None,
) -> str:
    """Record a call, with an attempt for each body, the last of which went well; return its id."""
    waiting: dict[str, bytes] = {}

    take = taking(store, waiting)
    method, url = "POST" if upload else "GET", f"{HOST}/{name}?day=1"
    identity = identify(
        method, url, headers=[("Accept", "application/json"), ("X-Part", "2")], body=upload or None
    )
    attempts = [
        CapturedAttempt(
            "GET" if number else method, f"{url}&again={number}" if number else url,
            1735776000.25 + number, 200, take(body), len(body), True, number == 1,
            Framing(((len(body), 1),), {0: b";x\r\n"}, b"0\r\n\r\n") if number else None,
            Failure("urllib3.exceptions.ReadTimeoutError", "slow", {"n": 1}) if number else None,
            0.01, 0.02, 0.04, 0.25, _PEER, "e" * 64 if number else None, 9 * bool(number),
            _ANSWER,
        )
        for number, body in enumerate(bodies)
    ]  # fmt: skip
    failure = None if bodies else Failure("requests.exceptions.ConnectionError", "refused")
    call = CapturedCall(
        new_id(), method, url, 1735776000.5, Status.COMPLETE if bodies else Status.FAILED, 0.5,
        failure, _HEAD,
    )  # fmt: skip
    store.append(
        Entry(
            call, InSession(held.id, held.root_id, held.source, held.as_of), "daily",
            identity.document(vary).decode(), vary, identity.params_hash() if vary else None,
            take(upload) if upload else None, len(upload), served_from, tuple(attempts), waiting,
        )
    )  # fmt: skip
    return call.id


def fill(root: Path) -> list[str]:
    """Make the store: two sessions that ended, and a third, child of the second; return ids."""
    with RecordingStore(root) as store:
        first, second = session(), session()
        child = session(second)
        store.begin(first)
        quote = record(store, first, "a", b'{"price": 1}')
        record(store, first, "b", b"slow", b"shared", upload=b"a=1")
        record(store, first, "c", b"shared", vary=("accept", "x-part"))
        record(store, first, "d", served_from=quote)
        record(store, first, "e", b"")
        end(store, first)
        store.begin(second)
        store.begin(child)
        record(store, second, "f", b"six")
        record(store, child, "g", b"seven", b"eight")
        record(store, second, "h", b"nine")
        end(store, child)
        end(store, second, Status.INCOMPLETE)
    return [first.id, second.id, child.id]


def with_pruned(root: Path) -> None:
    """Have a session in the store that was pruned, and none of its files."""
    with RecordingStore(root) as store:
        gone = session()
        store.begin(gone)
        record(store, gone, "p", b"pruned", vary=("x-part",))
        record(store, gone, "q", b"pruned")
        end(store, gone)
        for path in (root / "responses").iterdir():
            os.utime(path, (0, 0))
        prune(store, Choice(sessions=(gone.id,)))


class Carried(NamedTuple):
    """An ended session as it goes to another root."""

    session: SealedSession
    proof: str
    calls: list[SealedCall]


def carried(root: Path) -> list[Carried]:
    """Return what a root gives on: prunes first, and none from elsewhere that it has pruned."""
    with RootStore(root, readonly=True) as store:
        own = store.catalog.store_id()
        found = [
            Carried(one, include(store, one.id).text(), list(store.catalog.sealed_calls(one.id)))
            for one in store.catalog.sealed_sessions()
            if one.store == own or one.pruned_at is None
        ]
    return sorted(found, key=lambda one: (one.session.source != "", one.session.id))


def carry(origin: Path, root: Path, *, payloads: bool = True) -> list[Carried]:
    """Take all that ended in a root into another, and return it."""
    found = carried(origin)
    with RecordingStore(root) as store:
        leaves: dict[str, dict[int, bytes]] = {}
        for one in found:
            put_foreign(store.catalog, *one)
            leaves.setdefault(one.session.store, {})[one.session.leaf] = one.session.seal
        for store_id, seals in leaves.items():
            store.catalog.put_origin_leaves(store_id, seals)
    for path in (origin / "responses").iterdir() if payloads else ():
        shutil.copy(path, root / "responses" / path.name)
    return found


def end(store: RecordingStore, held: Session, status: Status = Status.COMPLETE) -> None:
    """End and seal a session."""
    store.settle()
    store.end(
        replace(
            held,
            status=status,
            ended_at="2025-01-02T00:00:09.000000Z",
            warnings=("a word",),
            program="scraper.py",
            exit_status=3,
            coverage=(Unseen("process", "curl", 2, "m"),),
        )
    )
