"""What a contestant is asked to do in its process. Each job checks that it was really done."""

from __future__ import annotations

import contextlib
import random
import resource
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter, time
from typing import Any

from .contestants import SOURCE, Answers, Client, Clients, Contestant, item
from .server import ITEM_SIZE, REPEATS

_BLOCK = 1 << 20
_SAMPLE = 64


class NotDoneError(Exception):
    """The work was not done, whatever the time it took."""


def block() -> bytes:
    """Return what a big body repeats."""
    return random.Random(4).randbytes(_BLOCK)


class Jobs:
    """The jobs, by name; each returns seconds, or what else was measured."""

    def __init__(self, contestant: Contestant) -> None:
        self._contestant = contestant
        self._answers: Answers = {}

    # -- small answers -----------------------------------------------------------------------

    def record(self, folder: str, urls: Sequence[str], threads: int = 1) -> dict[str, float]:
        """Make calls, recording them."""
        inside, whole, bodies = self._record(Path(folder), urls, threads)
        _check_items(bodies)
        return {"inside": inside, "whole": whole}

    def _record(
        self, folder: Path, urls: Sequence[str], threads: int
    ) -> tuple[float, float, list[bytes]]:
        began = perf_counter()
        with self._contestant.recording(folder) as clients:
            inside, bodies = _calls(clients, urls, threads)
        whole = perf_counter() - began
        if self._contestant.keeps:
            stored = self._contestant.stored(folder)
            if stored != len(urls):
                raise NotDoneError(f"stored {stored} of {len(urls)} calls")
        return inside, whole, bodies

    def prepare(self, folder: str, urls: Sequence[str]) -> dict[str, float]:
        """Get ready to replay."""
        if self._contestant.keeps:
            bodies = self._record(Path(folder), urls, 1)[2]
            _check_items(bodies)
            self._answers = dict(zip(urls, bodies, strict=True))
        else:
            self._answers = self._contestant.answers(urls)
        return {}

    def replay(self, folder: str) -> dict[str, float]:
        """Make the calls again, replaying."""
        return self._replay(Path(folder), list(self._answers))

    def _replay(self, folder: Path, urls: Sequence[str]) -> dict[str, float]:
        began = perf_counter()
        with self._contestant.replaying(folder, self._answers) as clients:
            inside, bodies = _calls(clients, urls, 1)
        whole = perf_counter() - began
        if bodies != [self._answers[url] for url in urls]:
            raise NotDoneError("replayed other bytes than were recorded")
        return {"inside": inside, "whole": whole}

    # -- stores of a size --------------------------------------------------------------------

    def fill(self, folder: str, base: str, count: int) -> dict[str, float]:
        """Fill this project's store: one call that was made, and others like it."""
        from mxm_dataio import IngestSession, mount
        from mxm_dataio.api import capture_of
        from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall
        from mxm_dataio.utils import new_id

        with (
            IngestSession(source=SOURCE, root=folder, mode="record", hook=False) as ingest,
            mount(_requests_session(), ingest) as session,
        ):
            session.get(filled(base, 0))
            store = capture_of(ingest).store
            assert store is not None
            like = next(store.exchanges(ingest.id)).responses[0]
            session.close()
            capture = capture_of(ingest)
            for number in range(1, count):
                url, spool = filled(base, number), capture.spool()
                spool.write(item(number))
                attempt = CapturedAttempt(
                    "GET", url, time(), 200, spool.checksum, spool.size, True, head=like.head
                )
                call = CapturedCall(new_id(), "GET", url, time(), duration=0.001)
                capture.record(call, capture.identify("GET", url), [(attempt, spool)])
        return {"count": self._contestant.stored(Path(folder))}

    def replay_some(self, folder: str, base: str, numbers: Sequence[int]) -> dict[str, float]:
        """Replay some of what a store was filled with."""
        urls = [filled(base, number) for number in numbers]
        self._answers = {filled(base, number): item(number) for number in numbers}
        return self._replay(Path(folder), urls)

    # -- a big body --------------------------------------------------------------------------

    def record_body(
        self, folder: str, small: str, url: str, size: int, limit: int, digest: str = ""
    ) -> dict[str, float]:
        """Stream a body, recording it.

        Args:
            small: a call made before, so that nothing has to be imported any more.
            limit: bytes of address space that the process may take; 0 for no limit.
            digest: the body's SHA-256, to be looked for in this project's store.
        """
        with _limited(limit):
            began = perf_counter()
            with self._contestant.recording(Path(folder)) as clients:
                result = _stream(clients, small, url, size)
            result["whole"] = perf_counter() - began
            result["peak"] = peak()
        if self._contestant.keeps and (count := self._contestant.stored(Path(folder))) != 2:
            raise NotDoneError(f"stored {count} of 2 calls")
        if digest and self._contestant.own:
            _check_stored(Path(folder), digest)
        return result

    def replay_body(
        self, folder: str, small: str, url: str, size: int, limit: int
    ) -> dict[str, float]:
        """Stream a recorded body."""
        with _limited(limit):
            began = perf_counter()
            with self._contestant.replaying(Path(folder), {}) as clients:
                result = _stream(clients, small, url, size)
            result["whole"] = perf_counter() - began
            result["peak"] = peak()
        return result

    # -- sessions ----------------------------------------------------------------------------

    def sessions(self, folder: str, count: int) -> dict[str, Any]:
        """Open and close sessions of this project; the first of a process imports the adapters."""
        times = []
        for _ in range(count):
            began = perf_counter()
            with self._contestant.recording(Path(folder)):
                pass
            times.append(perf_counter() - began)
        return {"first": times[0], "later": sorted(times[1:])[len(times[1:]) // 2]}


def filled(base: str, number: int) -> str:
    """Return the URL of a call that a store was filled with."""
    return f"{base}/item/filled-{number}"


def _requests_session() -> Any:
    import requests

    return requests.Session()


def _calls(clients: Clients, urls: Sequence[str], threads: int) -> tuple[float, list[bytes]]:
    """Return the seconds that calls take, and their answers."""
    if threads == 1:
        client = clients()
        try:
            began = perf_counter()
            bodies = [client.get(url) for url in urls]
            return perf_counter() - began, bodies
        finally:
            client.close()
    return _threaded([clients() for _ in range(threads)], urls)


def _threaded(clients: Sequence[Client], urls: Sequence[str]) -> tuple[float, list[bytes]]:
    count = len(clients)
    start = threading.Barrier(count + 1)
    bodies: list[list[bytes]] = [[] for _ in clients]
    errors: list[Exception] = []

    def work(number: int) -> None:
        client, own = clients[number], urls[number::count]
        start.wait()
        try:
            bodies[number] = [client.get(url) for url in own]
        except Exception as exc:
            errors.append(exc)

    running = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in running:
        thread.start()
    start.wait()
    began = perf_counter()
    for thread in running:
        thread.join()
    taken = perf_counter() - began
    for client in clients:
        client.close()
    if errors:
        raise errors[0]
    return taken, [body for part in bodies for body in part]


def _check_items(bodies: Sequence[bytes]) -> None:
    if any(len(body) != ITEM_SIZE or body != body[:32] * REPEATS for body in bodies):
        raise NotDoneError("an answer has other bytes than the server sent")
    if len(set(bodies)) != len(bodies):
        raise NotDoneError("an answer came twice")


def _stream(clients: Clients, small: str, url: str, size: int) -> dict[str, float]:
    """Stream a body; its length is checked, and its bytes in samples, which takes no time."""
    expected = block() * 2
    client = clients()
    try:
        client.get(small)
        first = 0.0
        position = 0
        began = perf_counter()
        for number, piece in enumerate(client.stream(url)):
            if not number:
                first = perf_counter() - began
            if number % _SAMPLE == 0:
                at = position % _BLOCK
                if piece[:_BLOCK] != expected[at : at + min(len(piece), _BLOCK)]:
                    raise NotDoneError(f"the body has other bytes at {position}")
            position += len(piece)
        inside = perf_counter() - began
    finally:
        client.close()
    if position != size:
        raise NotDoneError(f"the body has {position} bytes, not {size}")
    return {"inside": inside, "first": first}


def _check_stored(folder: Path, digest: str) -> None:
    from mxm_dataio.storage.root_store import RootStore

    with RootStore(folder, readonly=True) as store:
        exchanges = list(store.exchanges(store.sessions(SOURCE)[-1].id))
        answer = exchanges[-1].answer
        assert answer is not None
        if answer.checksum != digest:
            raise NotDoneError("the body is stored under another checksum")
        store.verify(answer)


@contextlib.contextmanager
def _limited(limit: int) -> Iterator[None]:
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    yield


def peak() -> float:
    """Return the most memory that this process had, in bytes."""
    # ru_maxrss counts what the parent had when it forked; Linux says better.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
