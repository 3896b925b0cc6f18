"""Retries plainly, recorded and replayed: their history, their end, and no sleep in replay."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mxm_dataio import IngestSession
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.effort import crossed
from tests.support.harness import SOURCE, counted, describe, mounted, observe, outcome, three_ways
from tests.support.servers import Connection, RawServer, answer, responder

CUT = b""
NOW = answer(200, b"now")
LATER = answer(503, b"later", headers=[("X-Try", "again")])


class Script:
    """A handler that answers with each step in turn, for ever; an empty one is a reset."""

    def __init__(self, *steps: bytes) -> None:
        self._steps = steps
        self._count = 0

    def restart(self) -> None:
        """Go back to the first step."""
        self._count = 0

    def __call__(self, connection: Connection) -> None:
        while connection.read_request():
            step = self._steps[self._count % len(self._steps)]
            self._count += 1
            if not step:
                connection.reset()
                return
            connection.send(step)


def waits(seconds: str, status: int = 503) -> bytes:
    return answer(status, b"wait", headers=[("Retry-After", seconds)])


def retrying(**kwargs: Any) -> Callable[[], Retry]:
    given = {"backoff_factor": 0, "status_forcelist": [503], **kwargs}
    return lambda: Retry(**given)


# What the server does, again and again, and the policy that meets it.
CASES: dict[str, tuple[Sequence[bytes], Callable[[], Any]]] = {
    "second": ([LATER, NOW], retrying(total=3)),
    "third": ([LATER, LATER, NOW], retrying(total=3)),
    "exhausted": ([LATER], retrying(total=2)),
    "exhausted-not-raised": ([LATER], retrying(total=2, raise_on_status=False)),
    "status-budget": ([LATER], retrying(total=5, status=1)),
    "mixed": ([CUT, LATER, CUT, NOW], retrying(total=5)),
    "mixed-exhausted": ([LATER, CUT, LATER], retrying(total=2)),
    "failure-last": ([LATER, LATER, CUT], retrying(total=2)),
    "read-budget": ([CUT], retrying(total=5, read=1)),
    "read-off": ([CUT], retrying(total=5, read=False)),
    "after-zero": ([waits("0"), NOW], retrying(total=2)),
    "after-unlisted": ([waits("0", 429), NOW], retrying(total=2, status_forcelist=())),
    "after-413": ([waits("0", 413), NOW], retrying(total=2, status_forcelist=())),
    "after-ignored": (
        [waits("0", 429)], retrying(status_forcelist=(), respect_retry_after_header=False)
    ),
    "after-garbage": ([waits("soon"), NOW], retrying(total=2)),
    "not-listed": ([answer(500, b"no"), NOW], retrying(total=3)),
    "bodies-dropped": ([answer(503, b"x" * 70_000), NOW], retrying(total=3)),
    "chunked-dropped": ([answer(503, b"x" * 7000, chunked=[9, 99]), NOW], retrying(total=3)),
    "closing": ([answer(503, b"x", headers=[("Connection", "close")]), NOW], retrying(total=3)),
    "int": ([CUT, NOW], lambda: 2),
    "none-left": ([CUT, NOW], lambda: 0),
    "false": ([CUT, NOW], lambda: False),
    "false-status": ([LATER, NOW], lambda: False),
    "true-like": ([CUT, CUT, CUT, CUT, NOW], lambda: None),
    "redirect-then-later": (
        [answer(302, headers=[("Location", "/x")]), LATER, CUT, NOW], retrying(total=5)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_retries_through_requests(case: str, tmp_path: Path) -> None:
    steps, policy = CASES[case]
    script = Script(*steps)

    def work(session: requests.Session, url: str) -> Any:
        script.restart()
        given = policy()
        session.get_adapter(url).max_retries = Retry.from_int(given) if given is not None else 0
        seen = []
        for _ in range(len(steps)):
            seen.append(outcome(lambda: observe(session.get(url))))
        return seen

    def hooked(url: str) -> Any:
        with requests.Session() as session:
            adapter = HTTPAdapter()
            session.mount("http://", adapter)
            return work(session, url)

    with RawServer(script) as server:
        plain = three_ways(tmp_path / "1", server, lambda: hooked(server.url))
        assert len(plain) == len(steps)
        mounted(tmp_path / "2", server, lambda session: work(session, server.url))


@pytest.mark.parametrize(("case", "method"), crossed(CASES, ["GET", "POST"], 4))
def test_retries_through_urllib3(case: str, method: str, tmp_path: Path) -> None:
    steps, policy = CASES[case]
    script = Script(*steps)

    def managed() -> Any:
        with urllib3.PoolManager() as pool:
            return observe(pool.urlopen(method, server.url, retries=policy()))

    def pooled() -> Any:
        with urllib3.HTTPConnectionPool(server.host, server.port) as bare:
            made = bare.urlopen(method, "/", retries=policy(), preload_content=False)
            return observe(made)

    with RawServer(script) as server:

        def work() -> Any:
            script.restart()
            return [outcome(way) for way in (managed, pooled) for _ in steps]

        three_ways(tmp_path, server, work)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("allowed", [None, False, ["POST"], []])
def test_allowed_methods(allowed: Any, method: str, tmp_path: Path) -> None:
    name = "allowed_methods" if hasattr(Retry, "DEFAULT_ALLOWED_METHODS") else "method_whitelist"
    with RawServer(Script(LATER, CUT, NOW)) as server:

        def once() -> Any:
            retry = Retry(3, backoff_factor=0, status_forcelist=[503], **{name: allowed})
            with urllib3.PoolManager() as pool:
                return observe(pool.urlopen(method, server.url, retries=retry))

        three_ways(tmp_path, server, lambda: [outcome(once) for _ in range(3)])


def in_a_while() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=1.5), usegmt=True)


SLEEPERS: dict[str, tuple[Callable[[], bytes], dict[str, Any]]] = {
    "backoff": (lambda: LATER, {"backoff_factor": 0.05}),
    "seconds": (lambda: waits("1"), {"backoff_factor": 0}),
    "date": (lambda: waits(in_a_while()), {"backoff_factor": 0}),
    "past": (lambda: waits("Wed, 09 Jun 1999 10:18:14 GMT"), {"backoff_factor": 0.05}),
}


@pytest.mark.parametrize("client", ["requests", "urllib3"])
@pytest.mark.parametrize("case", SLEEPERS)
def test_replay_does_not_sleep(
    case: str, client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, policy = SLEEPERS[case]
    count = 0

    def flaky(_request: Any) -> bytes:
        nonlocal count
        count += 1
        return NOW if count % 3 == 0 else make()

    slept: list[float] = []
    really = time.sleep

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        really(min(seconds, 0.001))

    def work(url: str) -> Any:
        retry = Retry(3, status_forcelist=[503], **policy)
        if client == "urllib3":
            with urllib3.PoolManager() as pool:
                made = pool.request("GET", url, retries=retry)
                return made.data, counted(made.retries)
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=retry))
            got = session.get(url)
            return got.content, counted(got.raw.retries)

    # Sleeping is shortened in all three ways, and told apart by when it is asked for.
    monkeypatch.setattr(time, "sleep", sleep)
    before: list[int] = []
    with RawServer(responder({"/": flaky})) as server:
        plain = three_ways(
            tmp_path,
            server,
            lambda: work(server.url),
            before_replay=lambda: before.append(len(slept)),
        )
    assert plain[0] == b"now"
    assert before[0] >= 2, "a live retry sleeps, else this shows nothing"
    assert len(slept) == before[0], "replay slept"


def test_a_call_retried_less_often_in_replay(tmp_path: Path) -> None:
    """The replaying program allows fewer retries than were made; it is given the answer."""
    with RawServer(Script(LATER, LATER, NOW)) as server:
        for mode, total in (("record", 3), ("replay", 0)):
            with IngestSession(SOURCE, tmp_path, mode), urllib3.PoolManager() as pool:
                retry = Retry(total, backoff_factor=0, status_forcelist=[503])
                assert pool.request("GET", server.url, retries=retry).data == b"now"


def test_attempts_are_stored_in_order(tmp_path: Path) -> None:
    with RawServer(responder({"/always": answer(503, b"never")})) as server:

        def work() -> Any:
            with requests.Session() as session:
                retry = Retry(total=3, status_forcelist=[503], backoff_factor=0)
                session.mount("http://", HTTPAdapter(max_retries=retry))
                return session.get(f"{server.url}/always")

        plain = three_ways(tmp_path / "1", server, work)
    assert plain.name == "RetryError"
    assert plain.args[0].reason.name == "ResponseError"
    with RecordingStore(tmp_path / "1") as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
    assert [r.status_code for r in exchange.responses] == [503] * 4
    assert [r.sequence for r in exchange.responses] == [1, 2, 3, 4]
    assert exchange.request.failure is not None


def test_a_retry_after_a_failure_keeps_the_failure(tmp_path: Path) -> None:
    with RawServer(Script(CUT, answer(200, b"second try"))) as server:

        def work() -> Any:
            with urllib3.PoolManager() as pool:
                got = pool.request("GET", server.url, retries=Retry(2, backoff_factor=0))
                return got.data, [describe(h.error) for h in got.retries.history]

        plain = three_ways(tmp_path, server, work)
    assert plain[0] == b"second try"
    assert plain[1][0].name == "ProtocolError"
    with RecordingStore(tmp_path) as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
    first, second = exchange.responses
    assert first.error_class == "urllib3.exceptions.ProtocolError"
    assert first.status_code is None
    assert (second.status_code, second.failure) == (200, None)
