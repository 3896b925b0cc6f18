"""A view that raises: a test fails by it, a program goes on, and what is sent never changes."""

from __future__ import annotations

import contextlib
import http.client
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import (
    Call,
    DataIOWarning,
    IngestSession,
    Status,
    Store,
    ViewError,
    use_cassette,
)  # fmt: skip
from tests.support.pytests import bare, run, start
from tests.support.servers import Connection, RawServer, answer

pytest_plugins = ["pytester"]


def echo(connection: Connection) -> None:
    while (request := connection.read_request()) is not None:
        connection.send(answer(200, f"{request.method} {request.target} ".encode() + request.body))


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(echo) as running:
        yield running


def by_requests(url: str) -> Any:
    return requests.post(f"{url}/a?t=1", data=iter([b"ab", b"c"]), timeout=5).text


def by_urllib3(url: str) -> Any:
    with urllib3.PoolManager() as pool:
        return pool.request("GET", f"{url}/a?t=1", headers={"X-Mine": "1"}).data


def by_http_client(url: str) -> Any:
    connection = http.client.HTTPConnection(url.partition("//")[2], timeout=5)
    try:
        connection.request("PUT", "/a?t=1", b"data")
        return connection.getresponse().read()
    finally:
        connection.close()


def raising(call: Call) -> Call | None:
    raise LookupError("not as it was thought")


def wrong(call: Call) -> Any:
    return call.url


CLIENTS = [by_requests, by_urllib3, by_http_client]
VIEWS = [
    (raising, "the view 'raising' raised LookupError for .*: not as it was thought"),
    (wrong, "the view 'wrong' returned str for .*: return the call"),
]
Client = Callable[[str], Any]


def wire(server: RawServer) -> list[tuple[Any, ...]]:
    server.sync()
    return [(one.method, one.target, one.headers, one.body) for one in server.requests]


@pytest.mark.parametrize(("view", "said"), VIEWS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_program_goes_on_recorded_plainly(
    client: Client, view: Any, said: str, server: RawServer, tmp_path: Path
) -> None:
    plain = [client(server.url) for _ in range(2)]
    asked = wire(server)
    for mode in ("record", "auto", "auto"):
        before = len(wire(server))
        with (
            pytest.warns(DataIOWarning, match=said) as told,
            IngestSession("s", tmp_path, mode, stdlib=True, view=view) as ingest,
        ):
            assert [client(server.url) for _ in range(2)] == plain
        # One of them, for all calls.
        assert len(told) == 1
        with Store(tmp_path) as store:
            session = store.session(ingest.id)
            assert session is not None
            assert session.status is Status.INCOMPLETE
            assert len(store.requests(ingest.id)) == 2
        # What was recorded before answers safe calls.
        assert wire(server)[before:] in ([], asked)
    hits = server.hits
    with (
        pytest.warns(DataIOWarning, match=said) as told,
        IngestSession("s", tmp_path, "replay", stdlib=True, view=view) as ingest,
    ):
        assert [client(server.url) for _ in range(2)] == plain
    assert len(told) == 1
    # It was recorded as without a view.
    with IngestSession("s", tmp_path, "replay", stdlib=True) as ingest:
        assert [client(server.url) for _ in range(2)] == plain
    assert server.hits == hits


@pytest.mark.parametrize("mode", ["record", "auto", "replay"])
@pytest.mark.parametrize("client", CLIENTS)
def test_strictly_it_raises(client: Client, mode: str, server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, stdlib=True):
        client(server.url)
    asked = wire(server)
    with (
        pytest.raises(ViewError, match="the view 'raising' raised LookupError"),
        IngestSession("s", tmp_path, mode, stdlib=True, strict=True, view=raising),
    ):
        client(server.url)
    assert wire(server)[len(asked) :] in ([], asked)


@pytest.mark.parametrize("mode", ["record", "new_episodes", "replay"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_cassettes_session_ends_by_it_though_the_program_swallows_it(
    client: Client, mode: str, server: RawServer, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    with use_cassette(path, "record", stdlib=True):
        client(server.url)
    asked, written = wire(server), path.read_bytes()
    with (
        pytest.raises(ViewError, match="the view 'raising' raised LookupError"),
        use_cassette(path, mode, stdlib=True, view=raising),
        contextlib.suppress(Exception),
    ):
        client(server.url)
    assert wire(server)[len(asked) :] in ([], asked)
    if mode == "replay":
        assert path.read_bytes() == written


def test_one_that_raises_for_what_was_recorded_alone(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path):
        requests.get(f"{server.url}/old", timeout=5)
        requests.get(f"{server.url}/new?t=1", timeout=5)

    def view(call: Call) -> Call:
        if call.path == "/old":
            raise LookupError("of old")
        return call.without("t")

    for mode in ("auto", "replay"):
        with (
            warnings.catch_warnings(),
            IngestSession("s", tmp_path, mode, view=view),
        ):
            warnings.simplefilter("ignore", DataIOWarning)
            assert requests.get(f"{server.url}/new?t=2", timeout=5).text.startswith("GET /new")


def test_in_auto_an_upload_goes_on(server: RawServer, tmp_path: Path) -> None:
    options: dict[str, Any] = {"reuse": ["POST", "200"], "view": raising}
    for _ in range(2):
        with (
            pytest.warns(DataIOWarning, match="the view 'raising' raised"),
            IngestSession("s", tmp_path, "auto", **options),
        ):
            assert by_requests(server.url) == "POST /a?t=1 abc"


# -- in a test -----------------------------------------------------------------------------------

TEST = """
    import pytest, requests

    def view(call):
        return call.nosuch

    @pytest.mark.dataio(view=view)
    def test_it():
        try:
            requests.get("{url}/a", timeout=5)
        except Exception:
            pass
"""


@pytest.mark.parametrize("mode", ["all", "new_episodes", "none"])
def test_a_test_fails_by_it(
    mode: str, pytester: pytest.Pytester, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare(monkeypatch)
    text = TEST.replace("{url}", server.url)
    pytester.makepyfile(test_it=text.replace("(view=view)", ""))
    run(pytester, passed=1)
    pytester.makepyfile(test_it=text)
    result = start(pytester, f"--dataio-mode={mode}")
    assert result.parseoutcomes()["errors"] == 1
    shown = result.stdout.str()
    assert "ViewError: the view 'view' raised AttributeError for GET" in shown
