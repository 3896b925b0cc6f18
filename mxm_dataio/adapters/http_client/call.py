"""A call on a connection of ``http.client``, made step by step and perhaps not to its end."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

from ...models import Failure, Peer, Status
from ..call import Call
from ..plan import Plan
from .request import STREAM, OutgoingRequest

# What the program was at when something failed: in a failure's data under this name, these values.
DURING = "during"
CONNECTING, SENDING, READING = "connecting", "sending", "reading"


class ConnectionCall(Call):
    """A call on a bare connection."""

    def __init__(self, asked: OutgoingRequest) -> None:
        super().__init__(asked.ingest, asked.method, asked.url, (), STREAM)
        # Until its head has gone out.
        self.asked: OutgoingRequest | None = asked
        self.plan: Plan | None = None
        self._during = CONNECTING
        self._watched: weakref.ref[Any] | None = None

    def take_head(self, asked: OutgoingRequest) -> None:
        """Take what the head says."""
        self.asked = self._about = None
        self.headers = asked.headers
        self.streams = asked.body is STREAM
        self.body = None if self.streams else asked.body

    def connected(self, peer: Peer) -> None:
        """The program has connected by itself."""
        for attempt in self.attempts:
            attempt.peer = peer
            attempt.done = True
        self._status = Status.COMPLETE
        self.returned()

    def watch(self, connection: Any) -> None:
        """Be told when the program drops the connection before it has fetched the answer."""
        self._watched = weakref.ref(connection, lambda _gone: self.abandoned())

    def reads(self) -> None:
        """The program fetches the answer."""
        self._during = READING

    def answered(self) -> None:
        """It has it, and the answer lives without the connection."""
        self._watched = None
        self.returned()

    def broke(self, exc: BaseException) -> None:
        """Sending failed; a program may still ask for an answer, if its head has gone out."""
        last = self.attempts[-1] if self.attempts else None
        sent = last is not None and bool(last.sent_head)
        if sent:
            self._during = SENDING
        if not sent or self.spare is not None or not isinstance(exc, OSError):
            self.raised(exc)
        else:
            self._failure = self._dump(exc)
            self._status = Status.FAILED

    def abandoned(self) -> None:
        """No one will fetch the answer."""
        for attempt in self.attempts:
            attempt.done = True
        self.returned()

    def cancel(self) -> None:
        """Record nothing."""
        if self._begin_settling():
            self._end_settling()

    def _dump(self, exc: BaseException) -> Failure:
        failure = super()._dump(exc)
        return replace(failure, data={**failure.data, DURING: self._during})

    def _record(self) -> None:
        last = self.attempts[-1] if self.attempts else None
        if self.asked is not None and last is not None and last.sent_head:
            # It went out below a tap of urllib3's.
            self.asked.take_head(last.sent_head)
            self.take_head(self.asked)
        super()._record()

    def _end_settling(self) -> None:
        self._watched = None
        super()._end_settling()
