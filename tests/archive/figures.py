"""Figures of pushing to an archive in a real S3 on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from mxm_dataio import IngestSession
from mxm_dataio.archive import Archive
from mxm_dataio.archive.names import SessionName
from mxm_dataio.integrity.proofs import head_of
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.trust.small import end, record, session

from .archives import names, objects
from .kills import forked, kill
from .servers import new_bucket

_BODY, _LARGE = 1024, 300_000


class Figures:
    """Prints figures, and remembers whether one is out of its bounds."""

    def __init__(self, *, bound: bool) -> None:
        self.bound = bound
        self.wrong = False

    def say(
        self, what: str, value: float, unit: str, most: float | None = None, *, always: bool = False
    ) -> None:
        """Print a figure, and the most that it may be.

        Args:
            always: be that the bound, in the short form too.
        """
        out = most is not None and value > most and (self.bound or always)
        self.wrong |= out
        said = f"{value:,.0f}" if value >= 100 or isinstance(value, int) else f"{value:.2f}"
        limit = f" (at most {most:g})" if most is not None else ""
        sys.stdout.write(f"{what}: {said} {unit}{limit}{' OUT OF BOUNDS' * out}\n")
        sys.stdout.flush()


# -- what is recorded --------------------------------------------------------------------------


class _Source(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    draw = random.Random(1)

    def do_GET(self) -> None:
        large = self.path.startswith("/large")
        body = self.draw.randbytes(_LARGE) if large else self._prices()
        self.send_response(200)
        kind = "octet-stream" if large else "json"
        self.send_header("Content-Type", f"application/{kind}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _prices(self) -> bytes:
        rows: list[dict[str, float]] = []
        while len(body := json.dumps({"page": self.path, "rows": rows})) < _BODY:
            open_, close = (round(self.draw.uniform(10, 99), 2) for _ in range(2))
            rows.append({"t": self.draw.randrange(10**9), "open": open_, "close": close})
        return body.encode()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def source() -> Iterator[str]:
    """Run a source of prices, and yield its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Source) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def recorded(root: Path, address: str, sessions: int, calls: int) -> None:
    """Record sessions of so many calls, and two large bodies besides."""
    for number in range(sessions):
        with IngestSession(source="prices", root=root, mode="record"), requests.Session() as asking:
            for call in range(calls):
                asking.get(f"{address}/day?symbol=S{call}&page={number}", timeout=30)
            for call in range(2):
                asking.get(f"{address}/large/{root.name}/{number}/{call}", timeout=30)


def many_calls(root: Path, calls: int, size: int) -> None:
    """Record one session of so many calls with bodies of a size."""
    with RecordingStore(root) as store:
        held = session()
        store.begin(held)
        for number in range(calls):
            record(store, held, f"a{number}", os.urandom(size))
        end(store, held)


def one_body(root: Path, size: int) -> None:
    """Record one session with a body of so many bytes."""

    class Source(_Source):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            for _ in range(size >> 20):
                self.wfile.write(os.urandom(1 << 20))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with IngestSession(source="prices", root=root, mode="record"):
            address = f"http://127.0.0.1:{server.server_port}/"
            with requests.get(address, stream=True, timeout=60) as answer:
                for _ in answer.iter_content(1 << 20):
                    pass
        server.shutdown()


# -- figures -----------------------------------------------------------------------------------


def ended(children: list[int]) -> None:
    """Wait for children, which have to end well."""
    for child in children:
        if os.waitpid(child, 0)[1]:
            raise SystemExit("a push failed")


def push(root: Path, url: str) -> int:
    """Start the command, and return its process id."""
    command = ["-m", "mxm_dataio", "push", url, "--root", str(root), "--json"]
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    return os.posix_spawn(
        sys.executable, [sys.executable, *command], os.environ, file_actions=nowhere
    )


def push_of_ten_thousand(figures: Figures, folder: Path, calls: int) -> None:
    """Four processes push the calls of twenty sessions."""
    url = new_bucket()
    roots = [folder / f"root{number}" for number in range(4)]
    with source() as address:
        ended([forked(lambda root=root: recorded(root, address, 5, calls)) for root in roots])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    ended([push(root, url) for root in roots])
    took = time.perf_counter() - began
    figures.say(f"4 processes push {20 * calls:,} exchanges of 20 sessions", took, "s", 2.5)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    figures.say("  the processor's time that they take together", spent, "s")

    def check() -> None:
        heads = []
        for root in roots:
            with RootStore(root, readonly=True) as store:
                heads.append(head_of(store))
        found = Archive(url).verify(against=heads)
        assert found.ok, found.findings
        assert (found.sessions, found.calls, found.notes) == (20, 20 * (calls + 2), ())
        held = objects(url)
        size = sum(len(held[name]) for name in held if not name.startswith("payloads/"))
        figures.say("bytes an exchange, its body of 1 KiB included", size / found.calls, "", 600)
        raise SystemExit(figures.wrong)

    figures.wrong |= bool(os.waitpid(forked(check), 0)[1])


def pushers_at_once(figures: Figures, folder: Path, pushers: int, sessions: int) -> None:
    """Pushers that each record and push one session after the other."""
    url = new_bucket()

    def pushing(number: int) -> None:
        root = folder / f"pusher{number}"
        took = []
        with Archive(url) as archive:
            for _ in range(sessions):
                many_calls(root, 20, _BODY)
                began = time.perf_counter()
                pushed = archive.push(root)
                took.append(time.perf_counter() - began)
                assert (pushed.ok, pushed.sessions) == (True, 1)
        (folder / f"took{number}").write_text(json.dumps(took))

    ended([forked(lambda number=number: pushing(number)) for number in range(pushers)])
    took = sorted(one for path in folder.glob("took*") for one in json.loads(path.read_text()))
    what = f"{pushers} pushers × {sessions} sessions"
    figures.say(f"{what}, median", took[len(took) // 2], "s")
    figures.say(f"{what}, 90 %", took[len(took) * 9 // 10], "s", 0.5)
    figures.say(f"{what}, longest", took[-1], "s")

    def check() -> None:
        found = [SessionName.parse(name) for name in names(url, "sessions")]
        assert len(found) == len({one.session for one in found if one}) == pushers * sessions
        assert Archive(url).verify().ok

    ended([forked(check)])


def memory(figures: Figures, folder: Path, short: bool) -> None:
    """What a push has in memory at the most."""
    few = 10 if short else 1
    kinds: dict[str, Callable[[Path], None]] = {
        f"{20_000 // few:,} calls": lambda root: many_calls(root, 20_000 // few, _BODY),
        f"{3000 // few:,} bodies of 64 KiB": lambda root: many_calls(root, 3000 // few, 64 << 10),
        f"{60 // few} bodies of 9 MB": lambda root: many_calls(root, 60 // few, 9_000_000),
        f"a body of {1024 // few:,} MiB": lambda root: one_body(root, (1024 // few) << 20),
    }
    for what, make in kinds.items():
        root = folder / what.replace(" ", "-")
        ended([forked(lambda make=make, root=root: make(root))])

        _, status, used = os.wait4(push(root, new_bucket()), 0)
        assert status == 0
        figures.say(f"memory of a push of {what}", used.ru_maxrss >> 10, "MiB", 200)


def kills(figures: Figures, folder: Path, count: int) -> None:
    """Pushes that are killed at random instants, after each of which a second completes it."""
    root = folder / "killed"
    for _ in range(6):
        many_calls(root, 40, 2000)
        many_calls(root, 2, 100_000)
    broken = kill(root, new_bucket(), count, random.randrange(10**6))
    figures.say(f"{count} pushes killed, each whole after the next; broken off", broken, "")
