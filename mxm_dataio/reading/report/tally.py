"""Figures of calls, gathered one by one: totals, hosts, failures, distributions, calls over time.

Memory grows by a few numbers a call, not by its content.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...models import Exchange, Request, Response, Status
from ...utils import parse_instant
from ..filters import called_host
from ..outcomes import BROKEN, code_of, failure_of, wrong
from .histograms import Bin, histogram, percentile

# Edges of the bins: ten a decade, from a tenth of a millisecond; and powers of four, from a byte.
_LATENCY = (10**0.1, 1e-4)
_SIZE = (4.0, 1.0)
_MOMENTS = 120
_LANES = 12
_PEERS = 8
_FAILING_HOSTS = 5
_MESSAGE = 2000
_HOST = 255


class Percentiles(NamedTuple):
    """Of seconds until the program had its answer; ``None`` where there are no values."""

    p50: float | None
    p90: float | None
    p99: float | None
    most: float | None

    @classmethod
    def of(cls, values: Iterable[float]) -> Percentiles:
        """Return those of some values."""
        ordered = sorted(values)
        shares = (percentile(ordered, share) for share in (0.5, 0.9, 0.99, 1.0))
        return cls(*shares)


@dataclass(slots=True)
class Totals:
    """Figures of all calls.

    Attributes:
        failed: ended with an exception; ``errors``: with a status from 400 on.
        partial: the program did not read the body to its end.
        retries, redirects: attempts that followed another of the same call; of these, those that
            followed a redirect are ``redirects``.
        recovered: calls that went well after a retry.
        served: answered from the store.
        received, sent: bytes of bodies.
        payloads, payload_bytes: bodies, those sent too, as often as they are named; ``distinct``,
            ``distinct_bytes``: each counted once, as they are kept.
        redacted: bodies from which a secret was taken; ``cut``: beyond ``max_body``.
    """

    calls: int = 0
    attempts: int = 0
    received: int = 0
    sent: int = 0
    hosts: int = 0
    failed: int = 0
    errors: int = 0
    interrupted: int = 0
    partial: int = 0
    retries: int = 0
    redirects: int = 0
    recovered: int = 0
    served: int = 0
    redacted: int = 0
    cut: int = 0
    payloads: int = 0
    payload_bytes: int = 0
    distinct: int = 0
    distinct_bytes: int = 0


@dataclass(slots=True)
class Host:
    """What went to one host.

    Attributes:
        answers: class of status (``2xx``) → calls.
        bad: calls that went wrong.
        received, sent: bytes of bodies.
        peers: the first addresses that were reached; ``more_peers``: how many more.
        tls: its versions.
        began, ended: starts of its first and of its last call.
    """

    name: str
    calls: int = 0
    attempts: int = 0
    bad: int = 0
    received: int = 0
    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("d"))
    peers: dict[str, None] = field(default_factory=dict)
    tls: set[str] = field(default_factory=set)
    began: float = math.inf
    ended: float = -math.inf

    @property
    def reached(self) -> tuple[list[str], int]:
        """The first addresses, and how many there are besides."""
        return list(self.peers)[:_PEERS], len(self.peers) - min(len(self.peers), _PEERS)


@dataclass(slots=True)
class Failing:
    """Calls that went wrong in the same way.

    Attributes:
        what: the exception's name, or the status.
        answered: an answer came, and was an error.
        hosts: the first of them.
        message, request, began: of the first such call.
    """

    what: str
    answered: bool
    message: str
    request: str
    began: float
    calls: int = 0
    hosts: dict[str, None] = field(default_factory=dict)


class Lane(NamedTuple):
    """Calls over time: in each of equal spans how many began, and how many of these went wrong.

    Attributes:
        session: place of the session whose they are; ``None``: of all others.
    """

    session: int | None
    counts: tuple[int, ...]
    bad: tuple[int, ...]


class Tally:
    """What is gathered.

    Args:
        sessions: how many sessions' calls are to come.
    """

    def __init__(self, sessions: int) -> None:
        self.totals = Totals()
        self.began = math.inf
        self.ended = -math.inf
        self._moments = [array("d") for _ in range(sessions)]
        self._bad_moments = [array("d") for _ in range(sessions)]
        self._latencies = (array("d"), array("d"))
        self._sizes: Counter[int] = Counter()
        self._distinct: set[str] = set()
        self._hosts: dict[str, Host] = {}
        self._failing: dict[str, Failing] = {}

    def take(self, call: Exchange, session: int) -> str | None:
        """Count a call of one of the sessions; return how it went wrong, if it did."""
        request, totals = call.request, self.totals
        began = parse_instant(request.started_at)
        self.began = min(self.began, began)
        self.ended = max(
            [self.ended, began + (request.duration or 0.0), *map(_end, call.responses)]
        )
        self._moments[session].append(began)
        what = wrong(call)
        name = counted_host(request)
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name)
            totals.hosts += 1
        totals.calls += 1
        totals.sent += request.body_size
        totals.served += request.served_from is not None
        totals.partial += request.status is Status.PARTIAL
        host.calls += 1
        host.sent += request.body_size
        host.began, host.ended = min(host.began, began), max(host.ended, began)
        if request.duration is not None:
            self._latencies[what is not None].append(request.duration)
            host.latencies.append(request.duration)
        if request.body_checksum is not None:
            self._take_payload(request.body_checksum, request.body_size)
        for one in call.responses:
            self._take_attempt(one, host)
        retries = sum(not _redirects(one) for one in call.responses[:-1])
        totals.retries += retries
        totals.redirects += max(len(call.responses) - 1, 0) - retries
        totals.recovered += bool(retries) and what is None
        if (code := code_of(call)) is not None:
            host.answers[f"{code // 100}xx" if 100 <= code < 600 else "other"] += 1
        if what is not None:
            self._bad_moments[session].append(began)
            host.bad += 1
            self._take_failure(call, what, name, began)
        return what

    def _take_attempt(self, one: Response, host: Host) -> None:
        totals = self.totals
        totals.attempts += 1
        totals.received += one.size
        totals.redacted += one.redacted
        totals.cut += one.truncated > 0
        host.attempts += 1
        host.received += one.size
        if one.checksum is not None:
            self._sizes[one.size] += 1
            self._take_payload(one.checksum, one.size)
        if one.peer.address is not None:
            host.peers[one.peer.address] = None
        if one.peer.tls_version is not None:
            host.tls.add(one.peer.tls_version)

    def _take_payload(self, checksum: str, size: int) -> None:
        totals = self.totals
        totals.payloads += 1
        totals.payload_bytes += size
        if checksum not in self._distinct:
            self._distinct.add(checksum)
            totals.distinct += 1
            totals.distinct_bytes += size

    def _take_failure(self, call: Exchange, what: str, name: str, began: float) -> None:
        request, totals = call.request, self.totals
        if request.status is Status.INTERRUPTED:
            totals.interrupted += 1
        elif request.status is Status.FAILED:
            totals.failed += 1
        else:
            totals.errors += 1
        failing = self._failing.get(what)
        if failing is None:
            failure = failure_of(call)
            failing = self._failing[what] = Failing(
                what,
                request.status not in BROKEN,
                failure.message[:_MESSAGE] if failure else "",
                request.id,
                began,
            )
        failing.calls += 1
        if len(failing.hosts) < _FAILING_HOSTS:
            failing.hosts[name] = None

    # -- what came of it -----------------------------------------------------------------------

    def calls(self, session: int) -> tuple[int, int]:
        """Return how many calls a session made, and how many of these went wrong."""
        return len(self._moments[session]), len(self._bad_moments[session])

    def percentiles(self) -> Percentiles:
        """Return those of all calls."""
        return Percentiles.of([*self._latencies[0], *self._latencies[1]])

    def latencies(self) -> list[Bin]:
        """Return the distribution of seconds until the answer; marked: calls that went wrong."""
        values = ((value, bad) for bad in (False, True) for value in self._latencies[bad])
        return histogram(values, *_LATENCY)

    def sizes(self) -> list[Bin]:
        """Return the distribution of the sizes of the bodies received, in bytes."""
        values = ((float(size), False) for size, count in self._sizes.items() for _ in range(count))
        return histogram(values, *_SIZE)

    def hosts(self) -> list[Host]:
        """Return the hosts, those with most calls first."""
        return sorted(self._hosts.values(), key=lambda host: (-host.calls, host.name))

    def failing(self) -> list[Failing]:
        """Return the ways in which calls went wrong, the most frequent first."""
        return sorted(self._failing.values(), key=lambda one: (-one.calls, one.what))

    def lanes(self, began: float, ended: float) -> Iterator[Lane]:
        """Yield the calls over time of each session that made any; those of many together."""
        span = (ended - began) / _MOMENTS or 1.0
        filled = [place for place, moments in enumerate(self._moments) if moments]
        alone = filled if len(filled) <= _LANES else filled[: _LANES - 1]
        for place in alone:
            yield self._lane(place, [place], began, span)
        if others := filled[len(alone) :]:
            yield self._lane(None, others, began, span)

    def _lane(self, session: int | None, places: Sequence[int], began: float, span: float) -> Lane:
        def counted(moments: list[array[float]]) -> tuple[int, ...]:
            counts = [0] * _MOMENTS
            for place in places:
                for moment in moments[place]:
                    counts[min(max(int((moment - began) / span), 0), _MOMENTS - 1)] += 1
            return tuple(counts)

        return Lane(session, counted(self._moments), counted(self._bad_moments))


def counted_host(request: Request) -> str:
    """Return the host a call is counted under."""
    return called_host(request.endpoint, request.source)[:_HOST]


def _redirects(one: Response) -> bool:
    return one.status_code is not None and 300 <= one.status_code < 400


def _end(one: Response) -> float:
    return parse_instant(one.started_at) + (one.timings.total or 0.0)
