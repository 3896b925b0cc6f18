"""A recorded session as a file: its calls with their bytes, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError, StoreError
from ..models import Exchange, Session
from ..storage.root_store import RootStore
from .cassette import files
from .cassette.document import SUFFIX, Document
from .recordings import Recording, checksums
from .volatile import Volatile


def recordings_of(store: RootStore, session: Session) -> Iterator[Recording]:
    """Yield the calls of a session and of its children, each with what answered it.

    A call that was answered from the store (in ``auto``) has the answer that it was given, as one
    of its own. One that was forgotten is left out: replay of the file is to be that of the root.

    Raises:
        IntegrityError: a payload is missing or damaged; the file is named.
        StoreError: what answered a call is not there any more.
    """
    family = store.family(session.id)
    found = [exchange for one in family for exchange in store.exchanges(one.id)]
    forgotten = store.catalog.forgotten().keys()
    for exchange in sorted(found, key=lambda exchange: exchange.request.id):
        if not forgotten.isdisjoint({exchange.request.id, exchange.request.served_from or ""}):
            continue
        whole = _answered(store, exchange)
        yield Recording(whole, {checksum: _payload(store, whole, checksum)
                                for checksum in checksums(whole)})  # fmt: skip


def _answered(store: RootStore, exchange: Exchange) -> Exchange:
    request, held = exchange.request, exchange
    while held.request.served_from is not None:
        found = store.exchange(held.request.served_from)
        if found is None:
            raise StoreError(
                f"{request.method} {request.url} was answered by the call "
                f"{held.request.served_from}, which is not in {store.root}",
                path=store.root,
            )
        held = found
    if held is exchange:
        return exchange
    status, failure = held.request.status, held.request.failure
    made = replace(request, served_from=None, status=status, failure=failure)
    return Exchange(made, held.responses)


def _payload(store: RootStore, exchange: Exchange, checksum: str) -> bytes:
    for response in exchange.responses:
        if response.checksum == checksum:
            with store.open(response) as file:
                return file.read()
    with store.payloads.open(checksum, exchange.request.body_size) as file:
        return file.read()


def to_cassette(
    store: RootStore,
    session: Session,
    path: Path,
    *,
    volatile: Volatile | None = None,
    chunks: bool = False,
    force: bool = False,
) -> int:
    """Write a session as a cassette, and return how many calls it has.

    Args:
        volatile: the headers left out; the documented ones, if not given.
        chunks: keep how chunked bodies were cut, however many pieces that is.
        force: what is there is replaced.

    Raises:
        ConfigError: there is a file already, or the name is none of a cassette's.
        IntegrityError: a payload is missing or damaged; nothing was written.
        StoreError: the file can't be written.
    """
    if path.suffix != SUFFIX:
        raise ConfigError(
            f"{path} would be read by nothing: a cassette's name ends in {SUFFIX}, like "
            f"{path.with_name(f'{path.stem or path.name}{SUFFIX}')}"
        )
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already: --force replaces it")
    document = Document(session.source, session.started_at[:10])
    beside: dict[str, bytes] = {}
    for recording in recordings_of(store, session):
        if not document.calls:
            # That of the session is another, if it was imported.
            document.recorded = recording.exchange.request.started_at[:10]
        beside |= document.add(recording, volatile or Volatile(), chunks=chunks)
    if session.as_of != document.recorded:
        document.as_of = session.as_of
    with files.locked(path):
        files.save(path, document, beside, path.read_bytes() if path.exists() else b"")
    return len(document.calls)
