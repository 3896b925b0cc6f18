"""Runs that failed, in replay: they step behind those that did not, and say that they are old."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import FetchError, IngestSession, Store, mount, register, unregister, use_cassette
from tests.support.servers import RawServer, answer, responder


def numbered() -> RawServer:
    """Return a server that counts."""
    count = 0

    def page(_: object) -> bytes:
        nonlocal count
        count += 1
        return answer(200, str(count).encode())

    return RawServer(responder({"/": page}))


def failing(root: Path, as_of: str, urls: Iterable[str]) -> None:
    """Record a program that fails at its end."""

    def program() -> None:
        with IngestSession("s", root, as_of=as_of):
            for url in urls:
                requests.get(url)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program()


def replayed(root: Path, url: str, **options: Any) -> str:
    with IngestSession("s", root, "replay", **options):
        return requests.get(url).text


def test_a_failed_session_does_not_hide_a_good_one_of_its_day(tmp_path: Path) -> None:
    with numbered() as server:
        url = f"{server.url}/"
        with IngestSession("s", tmp_path, as_of="2025-01-02"):
            requests.get(url)
        for _ in range(2):
            failing(tmp_path, "2025-01-02", [url])
    with Store(tmp_path, readonly=True) as store:
        failed = store.sessions()[-1].id
    assert replayed(tmp_path, url) == "1"
    assert replayed(tmp_path, url, session=failed) == "3"


def test_where_all_have_failed_the_newest_answers(tmp_path: Path) -> None:
    with numbered() as server:
        url = f"{server.url}/"
        for _ in range(2):
            failing(tmp_path, "2025-01-02", [url])
    assert replayed(tmp_path, url) == "2"


def test_a_newer_day_goes_before_an_older_whatever_became_of_it(tmp_path: Path) -> None:
    with numbered() as server:
        url = f"{server.url}/"
        with IngestSession("s", tmp_path, as_of="2025-01-01"):
            requests.get(url)
        failing(tmp_path, "2025-01-02", [url])
    assert replayed(tmp_path, url) == "2"


def test_calls_in_a_row_are_those_of_the_good_session(tmp_path: Path) -> None:
    """What is read ahead goes by the same rule."""
    with numbered() as server:
        urls = [f"{server.url}/?{n}" for n in range(20)]
        with IngestSession("s", tmp_path, as_of="2025-01-02"):
            good = [requests.get(url).text for url in urls]
        failing(tmp_path, "2025-01-02", urls[::2])
        with IngestSession("s", tmp_path, "replay"):
            assert [requests.get(url).text for url in urls] == good


def test_a_program_that_exits_with_an_error_has_failed(tmp_path: Path) -> None:
    script = tmp_path / "scraper.py"
    script.write_text(
        "import sys, urllib.request\n"
        "print(urllib.request.urlopen(sys.argv[1]).read().decode())\n"
        "sys.exit(int(sys.argv[2]))\n"
    )
    root = str(tmp_path / "root")

    def run(mode: str, status: int) -> str:
        command = [sys.executable, "-m", "mxm_dataio", "run", "--root", root, "--source", "s"]
        command += ["--mode", mode, "--as-of", "2025-01-02", str(script), url, str(status)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == status
        return ended.stdout.strip()

    with numbered() as server:
        url = f"{server.url}/"
        assert [run("record", 0), run("record", 3)] == ["1", "2"]
    assert run("replay", 0) == "1"


# -- the note ----------------------------------------------------------------------------------


def by_requests(url: str, _: Any) -> None:
    requests.get(url)


def by_mount(url: str, ingest: Any) -> None:
    with requests.Session() as session, mount(session, ingest):
        session.get(url)


def by_urllib3(url: str, _: Any) -> None:
    with urllib3.PoolManager() as pool:
        pool.request("GET", url, retries=False)


def by_urllib(url: str, _: Any) -> None:
    urllib.request.urlopen(url)


def by_fetcher(url: str, ingest: Any) -> None:
    ingest.request(url)


def notes(exc: BaseException | None) -> list[str]:
    """Return the notes of an exception, and of what its library made it of."""
    found: list[str] = []
    while exc is not None:
        found += getattr(exc, "__notes__", ())
        exc = exc.__cause__ or exc.__context__
    return found


WAYS = [by_requests, by_mount, by_urllib3, by_urllib, by_fetcher]
Way = Callable[[str, Any], None]


@pytest.mark.parametrize("way", WAYS)
def test_a_replayed_failure_says_that_it_is_recorded(way: Way, tmp_path: Path) -> None:
    with RawServer(responder({})) as server:
        url = f"{server.url}/"
    seen: list[BaseException] = []
    for mode in ("record", "record", "replay"):
        with (
            IngestSession("s", tmp_path, mode, stdlib=True) as ingest,
            pytest.raises((OSError, urllib3.exceptions.HTTPError, FetchError)) as caught,
        ):
            way(url, ingest)
        seen.append(caught.value)
    with Store(tmp_path, readonly=True) as store:
        other, last = (one.id for one in store.sessions()[:2])
    live, _, again = seen
    assert notes(live) == []
    assert str(again) == str(live) or "0x" in str(live)
    (note,) = notes(again)
    assert note.startswith("replayed, not live: recorded 20")
    assert f"session {last};" in note
    assert f"session={other!r}" in note


def test_of_a_cassette_it_says_which(tmp_path: Path) -> None:
    with RawServer(responder({})) as server:
        url = f"{server.url}/"
    for mode in ("record", "none"):
        with (
            use_cassette(tmp_path / "c.json", mode=mode),
            pytest.raises(requests.ConnectionError) as caught,
        ):
            requests.get(url)
    (note,) = notes(caught.value)
    assert f"in the cassette {tmp_path / 'c.json'}" in note


def test_a_fetcher_s_failure_has_it_too(tmp_path: Path) -> None:
    class Broken:
        def fetch(self, request: object) -> bytes:
            raise OSError("down")

    register("broken", Broken())
    try:
        for mode in ("record", "replay"):
            with (
                IngestSession("broken", tmp_path, mode) as ingest,
                pytest.raises(FetchError, match="down") as caught,
            ):
                ingest.request("x")
    finally:
        unregister("broken")
    assert caught.value.__notes__[0].startswith("replayed, not live")
