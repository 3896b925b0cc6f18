"""What changes from one recording to the next though the source answers the same.

A cassette does without it, so that recording an unchanged source again changes no line. The
default list can be added to and taken from; see :class:`Volatile`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from ..errors import ConfigError
from ..models import Headers

# Of answers. A name may end in "*".
ANSWERS = frozenset(
    """
    date age expires keep-alive via server-timing report-to nel
    ratelimit ratelimit-* x-ratelimit-* x-rate-limit-*
    request-id x-request-id x-correlation-id correlation-id x-trace-id x-transaction-id
    traceparent tracestate x-b3-* x-cloud-trace-context x-datadog-* x-amzn-trace-id
    x-amz-request-id x-amz-id-2 x-amzn-requestid x-amz-cf-id x-amz-cf-pop x-github-request-id
    x-ms-request-id x-guploader-uploadid x-msedge-ref
    cf-ray cf-cache-status x-cache x-cache-hits x-cache-lookup x-served-by x-timer x-varnish
    x-runtime x-response-time x-process-time x-processing-time x-execution-time x-duration
    x-envoy-* x-kong-* x-azure-ref fly-request-id x-vercel-id x-vercel-cache x-nf-request-id
    """.split()  # noqa: SIM905 - a table reads better than a list
)
# Of requests.
REQUESTS = frozenset(
    """
    date request-id x-request-id x-correlation-id correlation-id x-trace-id traceparent
    tracestate baggage sentry-trace x-b3-* x-datadog-* x-cloud-trace-context x-amzn-trace-id
    x-amz-date amz-sdk-invocation-id amz-sdk-request idempotency-key x-idempotency-key
    """.split()  # noqa: SIM905
)
# Without these a body can't be read, or another answer would be served.
_NEEDED = frozenset(
    """
    content-length content-encoding content-type transfer-encoding connection vary location
    host accept range
    """.split()  # noqa: SIM905
)
_EXPIRES = re.compile(r";[ \t]*expires[ \t]*=[ \t]*([^;]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Volatile:
    """Which headers a cassette leaves out, by lower-case name; ``x-b3-*`` stands for many.

    Attributes:
        answers: of answers. Of ``Set-Cookie`` an ``Expires`` to come is left out.
        requests: of requests.
    """

    answers: frozenset[str] = ANSWERS
    requests: frozenset[str] = REQUESTS

    def adding(self, *, answers: Iterable[str] = (), requests: Iterable[str] = ()) -> Volatile:
        """Return this with more names, in any case.

        Raises:
            ConfigError: a header is named that replay can't do without.
        """
        more = [_lower(answers), _lower(requests)]
        if needed := sorted(_NEEDED & (more[0] | more[1])):
            raise ConfigError(f"{needed[0]} can't be left out of a cassette: replay needs it")
        return replace(self, answers=self.answers | more[0], requests=self.requests | more[1])

    def without(self, *, answers: Iterable[str] = (), requests: Iterable[str] = ()) -> Volatile:
        """Return this without some of its names: these headers are kept."""
        return replace(
            self,
            answers=self.answers - _lower(answers),
            requests=self.requests - _lower(requests),
        )

    def request(self, headers: Headers) -> Headers:
        """Return a request's headers without what changes."""
        return tuple(pair for pair in headers if not _among(pair[0], self.requests))

    def answer(self, lines: list[str], now: float) -> list[str]:
        """Return the header lines of an answer without what changes.

        Args:
            now: when it came, in seconds since the epoch.
        """
        kept: list[str] = []
        dropping = False
        for line in lines:
            if line[:1] not in (" ", "\t"):
                name = line.partition(":")[0]
                dropping = _among(name, self.answers)
                if self.answers and name.strip().lower() == "set-cookie":
                    line = _EXPIRES.sub(lambda match: _unless_to_come(match, now), line)
            if not dropping:
                kept.append(line)
        return kept


NOTHING = Volatile(frozenset(), frozenset())


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _among(name: str, names: frozenset[str]) -> bool:
    name = name.strip().lower()
    if name in names:
        return True
    return any(name.startswith(one[:-1]) for one in names if one[-1:] == "*")


def _unless_to_come(match: re.Match[str], now: float) -> str:
    """Return a cookie's ``Expires``, but not one to come: then it would be over in replay."""
    try:
        end = parsedate_to_datetime(match[1]).timestamp()
    except (ValueError, OverflowError):
        return match[0]
    return "" if end > now else match[0]
