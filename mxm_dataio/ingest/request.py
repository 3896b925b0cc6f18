"""``IngestSession.request``: a call of a source, through its fetcher or over HTTP."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from ..concurrency.reentry import Here, within
from ..coverage import captured
from ..errors import ConfigError, DataIOError, FetchError, StoreError
from ..fetcher import Fetcher, HTTPFetcher
from ..http.answers import StoredPayload
from ..http.heads import fetched_head
from ..http.params import texts
from ..models import Exchange, Failure, FetchResult, Mode, Payload, Request, Response, Status
from ..process import perf_counter_ns, seconds_since, wall_time
from ..registry import fetcher_for
from ..replay.misses import ended_early
from ..replay.policy import FAILED, Fetch, Serve
from ..storage.entries import CapturedAttempt, CapturedCall
from ..utils import dotted, instant
from .answering import asking
from .misses import miss, replayed, warn_of_spare

if TYPE_CHECKING:
    from .capture import Capture

# Answers held for the program that the store has without their secrets, not whole, or not at all:
# how many, and how many bytes of them besides the last.
_HELD, _HELD_SIZE = 64, 64 << 20


class Collector:
    """Gathers, for one ``IngestSession.request``, the last call it led to."""

    __slots__ = ("given", "kind", "last")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.last: Exchange | None = None
        # In the place of a recorded answer that its source has confirmed.
        self.given: Exchange | None = None


_collector: Here[Collector] = Here()


def collector() -> Collector | None:
    """Return the collector of the ``IngestSession.request`` that what runs here is a part of."""
    found = _collector.get()
    return found if found is not None and within(Requester.request.__code__) else None


class Requester:
    """The calls that a session makes itself, and the answers of those it did not store."""

    def __init__(self, ingest: Capture) -> None:
        self._ingest = ingest
        self._http: HTTPFetcher | None = None
        # By request, the latest answers that are not as they came, if at all, in the store.
        self._held: dict[str, _Fetched] = {}

    def close(self) -> None:
        """Close the connections held open."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def request(
        self,
        asked: Request,
        data: Any,
        json: Any,
        headers: Mapping[str, str] | None,
        timeout: float | tuple[float, float] | None,
    ) -> Response:
        """Make a call or replay it; see :meth:`mxm_dataio.IngestSession.request`."""
        with _collecting(asked.kind) as gathered:
            fetcher = fetcher_for(asked.source)
            if fetcher is not None:
                return self._through(fetcher, asked, gathered)
            try:
                result = self._http_fetcher().fetch(
                    asked, data=data, json=json, headers=headers, timeout=timeout
                )
            except DataIOError:
                raise
            except Exception as exc:
                secrets = self._ingest.secrets_for(asked.endpoint)
                pairs = tuple([(str(name), str(value)) for name, value in (headers or {}).items()])
                clean = secrets.about(asked.endpoint, pairs)
                raise FetchError(
                    clean(f"{asked.method} {asked.endpoint} failed: {exc}"),
                    error_class=dotted(type(exc)),
                ) from exc
            return self._answer(gathered, asked, result)

    def _answer(self, gathered: Collector, asked: Request, result: FetchResult) -> Response:
        """Return the stored answer, or one made of what was fetched."""
        answer = gathered.last.answer if gathered.last else None
        if answer is None:
            return self._unstored_answer(asked, result)
        if (answer.redacted or answer.truncated) and self._ingest.mode is not Mode.REPLAY:
            return replace(answer, payload=self._hold(answer.request_id, result, answer.payload))
        return answer

    def _hold(self, request_id: str, result: FetchResult, stored: Payload | None) -> Payload:
        """Hold an answer in memory for a while, in the place of the oldest."""
        made = self._held[request_id] = _Fetched(result.content, stored)
        # Of a copy: other threads hold theirs meanwhile.
        held = list(self._held.items())
        size = sum(len(one.came or b"") for _, one in held)
        for left, (oldest, one) in zip(range(len(held), 1, -1), held, strict=False):
            if left <= _HELD and size <= _HELD_SIZE:
                break
            self._held.pop(oldest, None)
            size -= len(one.came or b"")
            one.came = None
        return made

    def _http_fetcher(self) -> HTTPFetcher:
        if self._http is None:
            made = self._ingest.http_fetcher()
            if self._http is None:
                self._http = made
            if self._http is not made:
                # Another thread, or a signal's handler in this one, was faster.
                made.close()
        return self._http

    def _through(self, fetcher: Fetcher, asked: Request, gathered: Collector) -> Response:
        ingest = self._ingest
        pairs = [(name, text) for name, value in asked.params.items() for text in texts(value)]
        identity = ingest.identify(asked.method, asked.endpoint, params=pairs)
        started, clock = wall_time(), perf_counter_ns()
        asked = replace(asked, started_at=instant(started), url=asked.endpoint)
        call = CapturedCall(asked.id, asked.method, asked.endpoint, started)
        decision = ingest.decide(identity)
        asks = partial(asking, asked.source, asked.method, asked.endpoint, params=pairs)
        if isinstance(decision, Serve):
            given = ingest.served(
                decision.stored, asked.endpoint, lambda: call, identity, gathered, asks
            )
            return self._replayed(gathered.last or given, decision.stored)
        if ingest.mode is Mode.REPLAY and not identity.left_out:
            raise miss(ingest, identity, asked.endpoint)
        spare = decision.spare if isinstance(decision, Fetch) else None

        def stands_in(why: str) -> Response:
            assert spare is not None
            warn_of_spare(ingest, asked.method, asked.endpoint, spare, why)
            given = ingest.served(spare, asked.endpoint, lambda: call, identity, gathered, asks)
            return self._replayed(gathered.last or given, spare)

        inner = _collector.set(None)
        try:
            with captured.captured():
                result = _checked(fetcher.fetch(asked), asked.source)
            head = _head_of(result, asked.source)
        except ConfigError:
            raise
        except Exception as exc:
            if spare is not None:
                return stands_in(type(exc).__name__)
            seconds = seconds_since(clock)
            secrets = ingest.secrets_for(asked.endpoint)
            failure = Failure(dotted(type(exc)), secrets.about(asked.endpoint)(str(exc)))
            if ingest.mode is not Mode.OFF:
                ingest.record(
                    call._replace(duration=seconds, status=Status.FAILED, failure=failure),
                    identity, (), into=gathered,
                )  # fmt: skip
            raise _fetch_error(asked, secrets.shown(asked.endpoint), failure) from exc
        finally:
            _collector.set(inner)
        if spare is not None and result.status_code in FAILED:
            return stands_in(str(result.status_code))
        seconds = seconds_since(clock)
        if ingest.mode is not Mode.OFF:
            spool = ingest.spool()
            limit = ingest.settings.max_body
            kept = result.content if limit is None else result.content[:limit]
            truncated = len(result.content) - len(kept)
            spool.write(kept)
            attempt = CapturedAttempt(
                asked.method,
                asked.endpoint,
                started,
                status_code=result.status_code,
                checksum=spool.checksum,
                size=spool.size,
                complete=not truncated,
                total=seconds,
                truncated=truncated,
                head=head,
            )
            status = Status.PARTIAL if truncated else Status.COMPLETE
            ingest.record(
                call._replace(duration=seconds, status=status),
                identity, [(attempt, spool)], into=gathered,
            )  # fmt: skip
        return self._answer(gathered, asked, result)

    def _replayed(self, stored: Exchange, recorded: Exchange) -> Response:
        answer = stored.answer
        if stored.request.failure is not None or answer is None:
            failure = stored.request.failure or Failure("", "no answer came")
            error = _fetch_error(stored.request, stored.request.endpoint, failure)
            error.add_note(replayed(self._ingest, stored.request))
            raise error
        if answer.truncated:
            early = ended_early(answer.method, answer)
            self._ingest.missed(early)
            raise early
        if self._ingest.store is not None and recorded.answer is not None:
            self._ingest.store.verify(recorded.answer)
        return answer

    def _unstored_answer(self, asked: Request, result: FetchResult) -> Response:
        return Response(
            request_id=asked.id,
            method=asked.method,
            url=asked.endpoint,
            status_code=result.status_code,
            reason=result.reason,
            headers=result.headers,
            checksum=hashlib.sha256(result.content).hexdigest(),
            size=len(result.content),
            complete=True,
            payload=self._hold(asked.id, result, None),
        )


class _Fetched(StoredPayload):
    """What came, for the program: the store has it otherwise, or not at all.

    Args:
        came: under its content coding; ``None`` once it is let go of.
        stored: reads what is stored.
    """

    __slots__ = ("_stored", "came")

    def __init__(self, came: bytes | None, stored: Payload | None) -> None:
        self.came = came
        self._stored = stored

    def __reduce__(self) -> tuple[Any, ...]:
        """Have what is not stored go nowhere else."""
        return _Fetched, (None, self._stored)

    def open(self, response: Response) -> BinaryIO:
        if self._stored is not None:
            return self._stored.open(response)
        return io.BytesIO(self._at_hand(response))

    def content(self, response: Response, limit: int | None) -> bytes:
        if self.came is None and self._stored is not None:
            return self._stored.content(response, limit)
        return self.undone(response, self._at_hand(response), limit)

    def _at_hand(self, response: Response) -> bytes:
        if self.came is None:
            raise StoreError(
                f"{response.method} {response.url}: this body is not stored, and not at hand "
                f"any more (the last {_HELD} are, {_HELD_SIZE >> 20} MiB of them): ask for the "
                "content as soon as the answer is there"
            )
        return self.came


@contextmanager
def _collecting(kind: str) -> Iterator[Collector]:
    gathered = Collector(kind)
    outer = _collector.set(gathered)
    try:
        yield gathered
    finally:
        _collector.set(outer)


def _checked(result: object, source: str) -> FetchResult:
    if isinstance(result, FetchResult):
        if not isinstance(result.status_code, int | None):
            raise ConfigError(
                f"the fetcher for {source!r} returned a FetchResult with the status code "
                f"{result.status_code!r}: it is a number, or None"
            )
        return result
    if isinstance(result, (bytes, bytearray, memoryview)):
        return FetchResult(bytes(result))
    raise ConfigError(
        f"the fetcher for {source!r} returned {type(result).__name__}: fetch(request) returns "
        "bytes or a FetchResult"
    )


def _fetch_error(request: Request, shown: str, failure: Failure) -> FetchError:
    return FetchError(
        f"{request.source}: {shown} failed: {failure.error_class}: {failure.message}",
        error_class=failure.error_class,
    )


def _head_of(result: FetchResult, source: str) -> bytes:
    try:
        return fetched_head(result.status_code, result.reason, result.headers)
    except ValueError as exc:
        raise ConfigError(f"the fetcher for {source!r} returned a FetchResult with {exc}") from None
