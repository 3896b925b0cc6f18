"""A program whose signal handler or finalizer makes calls, at any point of the calls it makes.

Arguments: URL of a server that answers a path with itself, folder, road, way, place, mode, seconds.
It prints what it made, as JSON. Run by ``test_reentry.py`` in a process of its own, which may hang.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import http.client
import json
import signal
import sys
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable
from typing import Any

import requests
import urllib3

from mxm_dataio import IngestSession, mount, use_cassette

Fetch = Callable[[str], bytes]
_TICK = 0.0013
_NUMBERS = 40
_LEAST_CALLS = 30


def _hook(_ingest: Any) -> tuple[Fetch, Fetch]:
    pools = urllib3.PoolManager(), urllib3.PoolManager()
    return tuple(lambda url, pool=pool: pool.request("GET", url).data for pool in pools)


def _mounted(ingest: Any) -> tuple[Fetch, Fetch]:
    sessions = requests.Session(), requests.Session()
    for session in sessions:
        mount(session, ingest)
    return tuple(lambda url, one=one: one.get(url).content for one in sessions)


def _http_client(_ingest: Any) -> tuple[Fetch, Fetch]:
    def maker() -> Fetch:
        def fetch(url: str) -> bytes:
            # A connection for each call: one of http.client's takes no second request meanwhile.
            host, _, path = url.removeprefix("http://").partition("/")
            connection = http.client.HTTPConnection(host)
            connection.request("GET", f"/{path}")
            try:
                return connection.getresponse().read()
            finally:
                connection.close()

        return fetch

    return maker(), maker()


def _mixed(_ingest: Any) -> tuple[Fetch, Fetch]:
    def opened(url: str) -> bytes:
        with urllib.request.urlopen(url) as answer:
            return answer.read()

    pool = urllib3.PoolManager()
    return (lambda url: pool.request("GET", url).data), opened


def _asked(ingest: Any) -> tuple[Fetch, Fetch]:
    pool = urllib3.PoolManager()

    def main(url: str) -> bytes:
        if ingest is None:
            return pool.request("GET", url).data
        return ingest.content(ingest.request(url, kind="main"))

    other = urllib3.PoolManager()
    return main, lambda url: other.request("GET", url).data


ROADS = {
    "hook": _hook,
    "mounted": _mounted,
    "http.client": _http_client,
    "mixed": _mixed,
    "request": _asked,
}


def _opened(where: str, folder: str, mode: str, road: str) -> Any:
    if where == "cassette":
        return use_cassette(f"{folder}/calls.json", mode, stdlib=True)
    return IngestSession(
        "x",
        f"{folder}/root",
        mode,
        stdlib=True,
        watch=where == "watch",
        allowed_hosts=["loopback"] if mode != "replay" else [],
        hook=road != "mounted",
    )


class Work:
    """Makes calls, and more of them amid these."""

    def __init__(self, url: str, fetch: Fetch, inner: Fetch, numbered: bool) -> None:
        self._url, self._fetch, self._inner = url, fetch, inner
        self._numbered = numbered
        self._busy = self._over = False
        self.made: list[str] = []
        self.wrong: list[str] = []
        self.amid = 0

    def call(self, fetch: Fetch, name: str, number: int) -> None:
        path = f"/{name}/{number if self._numbered else number % _NUMBERS}"
        try:
            got = fetch(self._url + path)
        except Exception as exc:
            self.wrong.append(f"{path}: {exc!r}")
            return
        if got != path.encode():
            self.wrong.append(f"{path}: {got[:100]!r}")
        self.made.append(path)

    def amidst(self, *_args: Any) -> None:
        if self._busy or self._over:
            return
        self._busy = True
        try:
            self.call(self._inner, "amid", self.amid)
            self.amid += 1
        finally:
            self._busy = False

    def alarm(self, *_args: Any) -> None:
        self.amidst()
        if not self._over:
            # Once more, a tick behind this: however slow the machine, what it interrupts goes on.
            signal.setitimer(signal.ITIMER_REAL, _TICK)

    def until(self, end: float, way: str) -> None:
        work = self

        class Client:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                work.amidst()

        beside = threading.Thread(target=self.beside, args=(end,))
        if way == "signal":
            signal.signal(signal.SIGALRM, self.alarm)
            signal.setitimer(signal.ITIMER_REAL, _TICK)
        else:
            gc.set_threshold(50)
        beside.start()
        number = 0
        while time.monotonic() < end or number < _LEAST_CALLS:
            if way == "gc":
                Client()
            self.call(self._fetch, "main", number)
            number += 1
        if way == "gc":
            gc.collect()
        # What is dropped as the session ends calls after it. (The other thread may be amid one.)
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        beside.join()

    def beside(self, end: float) -> None:
        pool = urllib3.PoolManager()
        number = 0
        while time.monotonic() < end or number < _LEAST_CALLS:
            time.sleep(0.005)
            self.call(lambda url: pool.request("GET", url).data, "beside", number)
            number += 1


def main(url: str, folder: str, road: str, way: str, where: str, mode: str, seconds: str) -> None:
    faulthandler.dump_traceback_later(float(seconds) * 6 + 25, exit=True)
    warnings.simplefilter("error" if where != "cassette" else "default")
    gc.collect()
    hooked = road != "mounted"
    with contextlib.ExitStack() as stack:
        ingest = stack.enter_context(_opened(where, folder, mode, road))
        work = Work(url, *ROADS[road](ingest), numbered=mode not in ("replay", "auto"))
        if not hooked:
            work.beside = lambda end: None  # type: ignore[method-assign]
        if mode == "record" and (seconds == "0"):
            # What a replay is to find.
            for name in ("main", "amid", "beside"):
                for number in range(_NUMBERS):
                    work.call(work._fetch, name, number)
        else:
            work.until(time.monotonic() + float(seconds), way)
    json.dump({"made": work.made, "wrong": work.wrong, "amid": work.amid}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
