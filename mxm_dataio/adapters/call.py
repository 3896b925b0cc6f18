"""One call under capture: its attempts as they happen, recorded once when all is known.

A call is settled when the program has its answer (or its exception) and the last byte of the
last body has come, whichever is later; so an exchange is on disk before the read that ends its
body returns. A body dropped half-way is settled when it is closed, or when the session ends.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from typing import Any

from ..concurrency import mutex
from ..concurrency.reentry import is_interrupt
from ..errors import DataIOError, RuleError
from ..http.heads import given_head
from ..identity import Identity
from ..ingest.capture import Capture
from ..ingest.misses import leave_out
from ..ingest.request import Collector, collector
from ..models import Exchange, Failure, Headers, Status
from ..process import perf_counter_ns, seconds_since, wall_time
from ..storage.entries import CapturedCall
from ..storage.payloads.spool import Spool
from ..utils import new_id
from . import failures
from .attempt import Attempt

# The attribute of a connection over recorded bytes, which reaches no one.
REPLAYS = "_dataio_replays"
# Identity of an upload that the connection never took to its end.
UNSENT = {"unsent": True}


class Call:
    """What the program asked for.

    Args:
        url: absolute.
        headers: as the program gave them to the transport.
        body: bytes or text where it is at hand, anything else is a stream.
        conditions: headers to add on the wire, for revalidation.
        spare: the stored answer that serves if the source fails.

    Attributes:
        stored: the stored answer that has.
        failed_by: name of the exception with which the source did.
    """

    stored: Exchange | None = None
    failed_by = ""
    _duration: float | None = None
    _failure: Failure | None = None
    _status: Status | None = None
    # Takes the secrets of what is asked from texts.
    _about: Callable[[str], str] | None = None
    _over = False
    _settled = False

    def __init__(
        self,
        ingest: Capture,
        method: str,
        url: str,
        headers: Headers,
        body: Any,
        *,
        conditions: Headers = (),
        spare: Exchange | None = None,
    ) -> None:
        self.ingest = ingest
        self.secrets = ingest.secrets_for(url)
        self.id = new_id()
        self.method = method
        self.url = url
        self.headers = headers
        self.streams = not isinstance(body, (bytes, type(None)))
        self.body: bytes | None = None if self.streams else body
        self.conditions = conditions
        self.spare = spare
        self.collector: Collector | None = collector()
        self.attempts: list[Attempt] = []
        self._started = wall_time()
        self._clock = perf_counter_ns()
        # What the program is handling as it makes the call is no part of what goes wrong in it.
        self._outside = sys.exception()
        self._lock = threading.RLock()
        if not ingest.track(self):
            # It ended a moment ago, in another thread, and takes no more.
            self._settled = True

    # -- what the taps tell --------------------------------------------------------------

    def attempt(self) -> Attempt:
        """Begin another try; the one before can only still be read from."""
        for earlier in self.attempts:
            if earlier.parser is None:
                earlier.done = True
        attempt = Attempt(self, len(self.attempts) + 1)
        if self._settled:
            attempt.done = True
        self.attempts.append(attempt)
        return attempt

    def blame(self, error: BaseException | None) -> None:
        """Note what urllib3 made of the last try, as it goes on to the next."""
        if error is not None and self.attempts:
            last = self.attempts[-1]
            if last.failure is None:
                last.failure = self._dump(error)
            if not last.answered:
                last.done = True

    def explain(self, response: Any) -> None:
        """Note, from a response's history, what urllib3 made of the tries before it.

        A mounted adapter is not told as it happens; see :meth:`blame`.
        """
        history = getattr(getattr(response, "retries", None), "history", ())
        for attempt, step in zip(self.attempts[-2::-1], reversed(history), strict=False):
            if step.error is not None and attempt.failure is None:
                attempt.failure = self._dump(step.error)

    def lose(self, exc: BaseException) -> None:
        """Give up recording this call: what was taken of it can't be trusted.

        Raises:
            StoreError: when the session is strict.
            Exception: what a signal's handler of the program's has raised amid the recording.
        """
        if self._begin_settling():
            self._end_settling()
            reason = exc.strerror if isinstance(exc, OSError) else exc
            self._lost(reason or repr(exc))
        if is_interrupt(exc):
            raise exc

    def _lost(self, why: object) -> None:
        ingest = self.ingest
        part = ingest.sources.of(self.url)
        if part.matcher.sees and not isinstance(why, RuleError):
            identity = ingest.identify(self.method, self.url, self.headers, self.body)
            if identity.left_out:
                leave_out(ingest, identity)
                return
        ingest.calls.note(part.source, self.method, self.url, "not recorded")
        ingest.lost(self._name(), why)

    def _name(self) -> str:
        return f"{self.method} {self.secrets.shown(self.url)}"

    # -- how it ends ---------------------------------------------------------------------

    def returned(self) -> None:
        """The program has its answer."""
        self._duration = seconds_since(self._clock)
        self._outside = None
        self._over = True
        self.advance()

    def raised(self, exc: BaseException) -> None:
        """The program has its exception, or a stored answer in its place."""
        self._duration = seconds_since(self._clock)
        if self.spare is not None and self.attempts and isinstance(exc, Exception):
            self.stored, self.failed_by = self.spare, type(exc).__name__
            self._failure, self._status = None, Status.COMPLETE
        else:
            self._failure, self._status = self._dump(exc), Status.FAILED
        if not isinstance(exc, Exception):
            self.interrupted()
        beneath = failures.beneath(exc)
        # Of urllib3's; ssl's have a word by this name.
        reason = getattr(beneath, "reason", None)
        self.blame(reason if isinstance(reason, BaseException) else beneath)
        for attempt in self.attempts:
            attempt.done = True
        self._outside = None
        self._over = True
        self.advance()

    def _dump(self, exc: BaseException) -> Failure:
        return self.dump(exc, self._outside)

    def dump(self, exc: BaseException, outside: BaseException | None) -> Failure:
        """Return an exception of this call as data; see :func:`.failures.dump`."""
        if self._about is None:
            self._about = self.secrets.about(self.url, self.headers, self.body)
        return failures.dump(exc, self.secrets, outside, self._about)

    def interrupted(self) -> None:
        """It was broken off from outside (``KeyboardInterrupt``), and has no outcome."""
        self._status = Status.INTERRUPTED

    def advance(self) -> None:
        """Settle, if nothing is outstanding."""
        if self._over and all(attempt.done for attempt in self.attempts):
            self.settle()

    def settle(self) -> None:
        """Record the call, once; on return it is recorded, if by another thread.

        (Not waiting for that with the lock that the other may want; see
        :mod:`mxm_dataio.concurrency.mutex`.)
        """
        if not self._lock.acquire(blocking=not mutex.held()):
            return
        try:
            if self._begin_settling():
                try:
                    self._record()
                except RuleError as exc:
                    self._lost(exc)
                except DataIOError:
                    raise
                except BaseException as exc:
                    if not isinstance(exc, Exception) or is_interrupt(exc):
                        self.ingest.incomplete(f"{self._name()} was broken off amid its recording")
                        raise
                    self._lost(repr(exc))
                finally:
                    self._end_settling()
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Leave the call to the parent process, in a child that was forked amid it."""
        self._lock = threading.RLock()
        self._settled = True
        for attempt in self.attempts:
            attempt.done = True
            for spool in (attempt.spool, attempt.upload):
                if spool is not None:
                    spool.forget()

    def _begin_settling(self) -> bool:
        """Say whether it is up to the caller to settle; nothing more is taken then."""
        with self._lock:
            if self._settled:
                return False
            self._settled = True
        for attempt in self.attempts:
            attempt.done = True
        return True

    def _end_settling(self) -> None:
        for attempt in self.attempts:
            attempt.release()
            for spool in (attempt.spool, attempt.upload):
                if spool is not None:
                    spool.discard()
        # An attempt knows its call: a cycle otherwise, and what the program drops would stay
        # until the next garbage collection.
        self.attempts = []
        self.ingest.untrack(self)

    def _record(self) -> None:
        upload = self._upload()
        identity = self._identity(upload)
        attempts = [(a.captured(), a.spool if a.answered else None) for a in self.attempts]
        last = self.attempts[-1] if self.attempts else None
        status = self._status
        if not self._over:
            # The session ends before the program has its answer: what became of it is not known.
            status = Status.INTERRUPTED
        if status is None:
            complete = last is None or last.complete
            status = Status.COMPLETE if complete else Status.PARTIAL
        self.ingest.record(
            CapturedCall(
                self.id,
                self.method.upper(),
                self.url,
                self._started,
                status,
                self._duration,
                self._failure,
                (last.sent_head if last is not None else b"") or given_head(self.headers),
            ),
            identity,
            attempts,
            body=self.body or upload,
            into=self.collector,
            stored=self.stored,
        )

    def _upload(self) -> Spool | None:
        """Return what was uploaded by the last try that took the stream to its end."""
        if not self.streams:
            return None
        for attempt in reversed(self.attempts):
            if attempt.sent_all and attempt.upload is not None:
                return attempt.upload
        return None

    def _identity(self, upload: Spool | None) -> Identity:
        if upload is not None:
            return identify_streamed(self.ingest, self.method, self.url, self.headers, upload)
        identity = self.ingest.identify(self.method, self.url, self.headers, self.body)
        if self.streams and not any(attempt.sent_all for attempt in self.attempts):
            return identity.with_body(UNSENT)
        return identity


def identify_streamed(
    ingest: Capture, method: str, url: str, headers: Headers, upload: Spool
) -> Identity:
    """Return the identity of a call whose body was a stream, from the spool that took it."""
    if upload.file is None:
        return ingest.identify(method, url, headers, upload.content())
    with mmap(upload.file.fileno(), 0, access=ACCESS_READ) as content:
        return ingest.identify(method, url, headers, content)
