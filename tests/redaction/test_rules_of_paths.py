"""What rules hide in paths is on no disk, and other values replay; rules of some places."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import urllib3

from mxm_dataio import (
    ConfigError,
    ReplayMissError,
)
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.storage.recording_store import RecordingStore
from tests.redaction.ruled import (
    OTHER,
    SECRET,
    WAYS,
    in_path,
    leaks,
)
from tests.support.servers import Connection, RawServer, answer


@pytest.mark.parametrize("form", ["/bot{}/send", "/v1/users/{}/x?a=b", "/services/T01/B02/{}"])
def test_a_path(form: str, tmp_path: Path) -> None:
    def serve(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            if request.path == "/to":
                there = form.format(request.target.partition("?to=")[2])
                connection.send(answer(302, headers=[("Location", there)]))
            else:
                connection.send(answer(200, b"fine"))

    def work(secret: str) -> Iterator[str]:
        there = form.format(secret)
        yield requests.get(url + there, headers={"Referer": url + there}, timeout=5).text
        with urllib3.PoolManager() as pool:
            yield pool.request("POST", url + there, body=b"x").data.decode()
        raw = http.client.HTTPConnection(url.partition("//")[2])
        raw.request("GET", there)
        yield raw.getresponse().read().decode()
        raw.close()
        yield requests.get(f"{url}/to", {"to": secret}, timeout=5).text

    mine = DEFAULT.adding(in_path, lambda p, n, v: "TO" if (p, n) == ("query", "to") else None)
    with RawServer(serve) as server:
        url = server.url
        for way in WAYS:
            with way(tmp_path, "record", mine):
                assert list(work(SECRET)) == ["fine"] * 4
            hits = server.hits
            with way(tmp_path, "replay", mine):
                assert list(work(OTHER)) == ["fine"] * 4
            assert server.hits == hits
            with pytest.raises(ReplayMissError) as caught, way(tmp_path, "replay", mine):
                requests.delete(url + form.format(OTHER), timeout=5)
            assert OTHER not in str(caught.value)
    assert leaks(tmp_path, SECRET) == []


def test_a_path_in_messages(tmp_path: Path) -> None:
    for way in WAYS:
        with (
            way(tmp_path, "record", DEFAULT.adding(in_path)),
            contextlib.suppress(requests.ConnectionError),
        ):
            requests.get(f"http://127.0.0.1:1/users/{SECRET[:6]}/it's", timeout=5)
    with RecordingStore(tmp_path / "root") as store:
        (call,) = store.exchanges(store.sessions()[0].id)
        assert call.request.failure is not None
        assert "/users/ID/it's" in call.request.failure.message
    assert leaks(tmp_path, f"/{SECRET[:6]}/") == []


def test_what_is_asked_of_paths() -> None:
    asked: list[tuple[str, str]] = []

    def rule(place: str, name: str, value: str) -> str | None:
        asked.append((name, value))
        return {"j/ane": "a b", "keep": value}.get(value)

    mine = DEFAULT.adding(rule, places=["path"])
    assert mine.url("https://h/Users/j%2Fane;v=1//x/?q=1#a/b") == (
        "https://h/Users/a%20b;v=1//x/?q=1#a/b"
    )
    assert asked == [("/", "Users"), ("/users/", "j/ane"), ("/users/j/ane//", "x")]
    assert mine.url("https://h") == "https://h"
    # One that is to stay stays, though it looks like a secret.
    bot = f"https://h/bot12345:{'A' * 30}/x"
    assert "REDACTED" in DEFAULT.url(bot)
    kept = DEFAULT.adding(lambda p, n, v: v if p == "path" and v.startswith("bot") else None)
    assert kept.url(bot) == bot


def test_places() -> None:
    with pytest.raises(ConfigError, match="no place 'answer'"):
        DEFAULT.adding(in_path, places=["answer"])
    mine = DEFAULT.adding(in_path, places=["query", "header"])
    assert not mine.asks_bodies
    assert not DEFAULT.asks_bodies
    assert DEFAULT.adding(in_path).asks_bodies
