"""Objects on their way into an archive: several at once, and no more of them in memory than fit."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..errors import IntegrityError
from ..storage.payloads.reading import PayloadReader
from . import exchanges, names, parquet
from .object_store import Listed, ObjectStore
from .session_object import Part, Payload

# Bytes of objects that are held for their being sent.
_ROOM = 16 << 20
# A body above this is sent by parts, one at a time.
_WHOLE = 8 << 20
# From this size on it costs less to ask whether a body is there than to send it for nothing.
_ASK = 1 << 20
_CHUNK = 1 << 20
# What no session names is swept after twice this. What is found there and older is put again, so
# that it is not swept while the session that names it is on its way.
_YOUNG = timedelta(days=3.5)
_TRIES = 5


@dataclass(slots=True)
class Sent:
    """What was written to an archive."""

    objects: int = 0
    size: int = 0


class Transfers:
    """Writes objects, in threads.

    Args:
        payloads: the bodies.
        jobs: how many are written at once.

    Attributes:
        sent: so far.
    """

    def __init__(self, objects: ObjectStore, payloads: PayloadReader, jobs: int) -> None:
        self.sent = Sent()
        self._objects = objects
        self._payloads = payloads
        self._pool = ThreadPoolExecutor(jobs, "mxm-dataio-push")
        self._room = _Room(_ROOM)
        self._lock = threading.RLock()
        self._known: dict[str, Future[Listed | None]] = {}
        # Objects with calls that were old: one that prunes may be about to remove them.
        self._renewed: dict[str, memoryview] = {}

    def close(self, *, wait: bool) -> None:
        """End the threads; what has not begun is left out, unless it is waited for."""
        self._pool.shutdown(wait=wait, cancel_futures=not wait)

    # -- calls -------------------------------------------------------------------------------

    def exchanges(self, name: str, content: memoryview) -> Future[Part]:
        """Write an object with calls; it is there, or an equal one, once the future has it.

        Raises:
            IntegrityError: (the future) another is there.
        """
        size = len(content)
        self._room.take(size)
        return self._pool.submit(self._exchanges, name, content, size)

    def _exchanges(self, name: str, content: memoryview, size: int) -> Part:
        try:
            for _ in range(_TRIES):
                if self._objects.create(name, content):
                    self._count(size)
                    return _part(name, content)
                found = self._objects.get(name, parquet.LARGEST)
                if found is None:
                    # Swept, in between.
                    continue
                there = memoryview(found.content)
                if there != content and not self._equal(name, there, content):
                    raise IntegrityError(
                        f"{self._objects.url}/{name} holds other calls than this root's: a copy "
                        "of it went on by itself, or the object is damaged"
                    )
                if _is_old(found.modified):
                    self._objects.put(name, there)
                    self._renewed[name] = there
                return _part(name, there)
            raise IntegrityError(f"{self._objects.url}/{name} comes and goes: who removes it?")
        finally:
            self._room.give(size)

    def keep(self, name: str) -> None:
        """Write an object with calls again, if it was old and is gone now."""
        content = self._renewed.pop(name, None)
        if content is not None and self._objects.head(name) is None:
            self._objects.put(name, content)

    def _equal(self, name: str, there: memoryview, content: memoryview) -> bool:
        """Say whether two objects hold the same calls: another release may write them otherwise."""
        where = f"{self._objects.url}/{name}"
        return exchanges.read(there, where) == exchanges.read(content, where)

    # -- bodies ------------------------------------------------------------------------------

    def payload(self, payload: Payload) -> Future[Listed | None]:
        """Write a body, of each once; the future has what was there, if it was not written now.

        Raises:
            IntegrityError: (the future) it is damaged, here or there.
        """
        known = self._known.get(payload.checksum)
        if known is None:
            room = min(payload.size, _ROOM) if payload.size <= _WHOLE else _ROOM
            self._room.take(room)
            known = self._pool.submit(self._payload, payload, room)
            self._known[payload.checksum] = known
        return known

    def _payload(self, payload: Payload, room: int) -> Listed | None:
        try:
            name = names.payload(payload.checksum)
            found = self._objects.head(name) if payload.size > _ASK else None
            if found is None:
                if self._create(name, payload):
                    return None
                found = self._objects.head(name)
            if found is None or _is_old(found.modified):
                self._put(name, payload)
                return found
            self._refuse_other(found, payload)
            return found
        finally:
            self._room.give(room)

    def is_there(self, payload: Payload) -> Future[bool]:
        """Look once more for a body that was there before; if it is not any more, forget it."""
        return self._pool.submit(self._is_there, payload)

    def _is_there(self, payload: Payload) -> bool:
        there = self._objects.head(names.payload(payload.checksum)) is not None
        if not there:
            self._known.pop(payload.checksum, None)
        return there

    def _refuse_other(self, found: Listed, payload: Payload) -> None:
        if found.size != payload.size:
            raise IntegrityError(
                f"{self._objects.url}/{found.name} is damaged: it has {found.size} bytes, and the "
                f"body of that name {payload.size}"
            )

    def _create(self, name: str, payload: Payload) -> bool:
        if payload.size > _WHOLE:
            # There is no creation by parts. Who else writes it writes the same.
            self._put(name, payload)
            return True
        created = self._objects.create(name, b"".join(self._chunks(payload)))
        if created:
            self._count(payload.size)
        return created

    def _put(self, name: str, payload: Payload) -> None:
        if payload.size > _WHOLE:
            self._objects.put_parts(name, self._chunks(payload), payload.size)
        else:
            self._objects.put(name, b"".join(self._chunks(payload)))
        self._count(payload.size)

    def _chunks(self, payload: Payload) -> Iterator[bytes]:
        """Yield a body's bytes, checked."""
        with contextlib.closing(self._payloads.open(payload.checksum, payload.size)) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    # -- sessions ----------------------------------------------------------------------------

    def session(self, name: str, content: memoryview) -> Future[bool]:
        """Write a session's object; the future says whether it was not there."""
        return self._pool.submit(self._session, name, content)

    def _session(self, name: str, content: memoryview) -> bool:
        created = self._objects.create(name, content)
        if created:
            self._count(len(content))
        return created

    def _count(self, size: int) -> None:
        with self._lock:
            self.sent.objects += 1
            self.sent.size += size


class _Room:
    """So many bytes, of which each takes what it needs, or waits; alone it has what it asks for."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._size)
            self._taken += size

    def give(self, size: int) -> None:
        with self._changed:
            self._taken -= size
            self._changed.notify_all()


def _part(name: str, content: memoryview) -> Part:
    return Part(name, len(content), hashlib.sha256(content).hexdigest())


def _is_old(modified: datetime) -> bool:
    return datetime.now(UTC) - modified > _YOUNG
