"""``CaptureAdapter`` and ``mount``: one session under capture, nothing else touched."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import connection, connectionpool
from urllib3.util.retry import Retry

from mxm_dataio import (
    CaptureAdapter,
    ConfigError,
    DataIOWarning,
    IngestSession,
    ReplayMissError,
    StoreError,
    mount,
    register,
    use_cassette,
)
from mxm_dataio.registry import unregister
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.harness import EXACT, observe, outcome
from tests.support.servers import Connection, RawServer, answer, responder, tls_server
from tests.support.ways import HOOK, HOWS, MOUNT, Opener, opener


@pytest.fixture
def server() -> Iterator[RawServer]:
    flaky = iter([answer(503), answer(200, b"now")] * 10)
    routes: dict[str, Any] = {
        "/": answer(200, b"hello"),
        "/flaky": lambda _: next(flaky),
        "/chunked": answer(200, b"hello world", chunked=[3, 3]),
        "/moved": answer(302, headers=[("Location", "/chunked")]),
    }
    with RawServer(responder(routes)) as running:
        yield running


def recorded(root: Path) -> list[Any]:
    with RecordingStore(root) as store:
        return [e for s in store.sessions() for e in store.exchanges(s.id)]


def test_one_line_and_undone(server: RawServer, tmp_path: Path) -> None:
    session = requests.Session()
    own = dict(session.adapters)
    with IngestSession("s", tmp_path, hook=False) as ingest:
        with mount(session, ingest) as mounted:
            assert mounted is session
            session.get(server.url)
            requests.get(f"{server.url}/?unseen=1")
        assert dict(session.adapters) == own
        assert "get_connection_with_tls_context" not in vars(own["http://"])
        session.get(f"{server.url}/?after=1")
    (exchange,) = recorded(tmp_path)
    assert exchange.request.url == f"{server.url}/"
    assert exchange.answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert exchange.answer.timings.connect is not None
    assert server.connections == 2
    session.close()


def test_nothing_is_patched(tmp_path: Path) -> None:
    classes: list[type] = [connection.HTTPConnection, connection.HTTPSConnection]
    classes += [connectionpool.HTTPConnectionPool]
    before = [dict(vars(cls)) for cls in classes]
    with IngestSession("s", tmp_path, hook=False) as ingest, requests.Session() as session:
        mount(session, ingest)
        assert [dict(vars(cls)) for cls in classes] == before


@pytest.mark.parametrize("hook", [True, False])
def test_record_and_replay_with_the_owners_adapters(
    hook: bool, server: RawServer, tmp_path: Path
) -> None:
    class Mine(HTTPAdapter):
        calls = 0

        def send(self, *args: Any, **kwargs: Any) -> Any:
            Mine.calls += 1
            return super().send(*args, **kwargs)

    def work(session: requests.Session) -> Any:
        return [
            observe(session.get(f"{server.url}/{path}", stream=True))
            for path in ("", "flaky", "chunked", "moved")
        ]

    def owner() -> requests.Session:
        session = requests.Session()
        retry = Retry(total=2, status_forcelist=[503], backoff_factor=0)
        session.mount("http://", Mine(max_retries=retry))
        return session

    with owner() as session:
        plain = work(session)
    calls = Mine.calls
    with owner() as session, IngestSession("s", tmp_path, hook=hook, redaction=EXACT) as ingest:
        mount(session, ingest)
        assert work(session) == plain
    assert Mine.calls == 2 * calls
    exchanges = recorded(tmp_path)
    assert [[r.status_code for r in e.responses] for e in exchanges] == [
        [200], [503, 200], [200], [302], [200],
    ]  # fmt: skip
    hits = server.hits
    with owner() as session, IngestSession("s", tmp_path, "replay", hook=hook) as ingest:
        mount(session, ingest)
        assert work(session) == plain
    assert server.hits == hits
    assert Mine.calls == 2 * calls


@pytest.mark.parametrize("replaying", HOWS)
@pytest.mark.parametrize("recording", HOWS)
def test_failures_keep_their_class(recording: str, replaying: str, tmp_path: Path) -> None:
    """By either way in, and recorded by one and replayed by the other."""
    context, _ = tls_server(tmp_path)
    released = threading.Event()

    def silent(connection: Connection) -> None:
        connection.read_request()
        released.wait(10)

    def work(opener: Opener) -> Any:
        retry = Retry(1, status_forcelist=[503], backoff_factor=0)
        dead = {"http": "http://127.0.0.1:1"}
        with opener({"http://": HTTPAdapter(max_retries=retry)}) as session:
            return [
                outcome(lambda: session.get(secure.url, timeout=5)),
                outcome(lambda: session.get("http://127.0.0.1:1/", timeout=5)),
                outcome(lambda: session.get("http://far.test/", timeout=5, proxies=dead)),
                outcome(lambda: session.get(busy.url, timeout=5)),
                outcome(lambda: session.post(quiet.url, timeout=0.2)),
            ]

    def run(mode: str, how: str) -> Any:
        options = {"redaction": EXACT, "hook": how == HOOK}
        with IngestSession("s", tmp_path / "root", mode, **options) as ingest:
            return work(opener(ingest if how == MOUNT else None))

    with (
        RawServer(silent) as quiet,
        RawServer(responder({"/": answer(503)})) as busy,
        RawServer(silent, tls=context) as secure,
    ):
        plain = work(opener())
        assert run("record", recording) == plain
        assert run("replay", replaying) == plain
        released.set()
    assert [error[0] for error in plain] == [
        "SSLError", "ConnectionError", "ProxyError", "RetryError", "ReadTimeout",
    ]  # fmt: skip
    failures = [e.responses[-1].error_class.rpartition(".")[2] for e in recorded(tmp_path / "root")]
    assert failures == [
        "SSLError", "NewConnectionError", "ProxyError", "ResponseError", "ReadTimeoutError",
    ]  # fmt: skip


def test_by_hand(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, hook=False) as ingest, requests.Session() as session:
        session.mount("http://", CaptureAdapter(ingest=ingest, max_retries=3))
        session.get(server.url)
        assert session.get_adapter(server.url).max_retries.total == 3
    assert len(recorded(tmp_path)) == 1


def test_idle_connections_from_before_are_used_and_seen(server: RawServer, tmp_path: Path) -> None:
    with requests.Session() as session:
        session.get(server.url)
        with IngestSession("s", tmp_path, hook=False) as ingest, mount(session, ingest):
            session.get(server.url)
        session.get(server.url)
    assert server.connections == 1
    (exchange,) = recorded(tmp_path)
    assert exchange.answer.peer.address == f"{server.host}:{server.port}"
    assert exchange.answer.head


def test_attributes_reach_the_adapter_inside() -> None:
    inner = HTTPAdapter(max_retries=2, pool_maxsize=7)
    adapter = CaptureAdapter(inner=inner)
    assert adapter.max_retries is inner.max_retries
    assert adapter.poolmanager is inner.poolmanager
    adapter.max_retries = Retry(5)
    assert inner.max_retries.total == 5
    assert isinstance(adapter, HTTPAdapter)
    with pytest.raises(ConfigError, match="max_retries"):
        CaptureAdapter(inner=inner, max_retries=1)


def test_pickled_and_copied_sessions(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path) as ingest, requests.Session() as session:
        mount(session, ingest)
        for clone in (
            pickle.loads(pickle.dumps(session)),
            copy.copy(session),
            copy.deepcopy(session),
        ):
            clone.get(server.url)
            clone.close()
    assert len(recorded(tmp_path)) == 3


def test_every_argument_reaches_the_adapter_inside(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    class Spy(HTTPAdapter):
        def send(self, request: Any, **kwargs: Any) -> Any:
            seen.update(kwargs)
            return super().send(request, **kwargs)

    context, bundle = tls_server(tmp_path)
    with (
        RawServer(responder({"/": answer(200, b"x")}), tls=context) as server,
        IngestSession("s", tmp_path / "root", hook=False) as ingest,
        requests.Session() as session,
    ):
        session.mount("https://", Spy())
        mount(session, ingest)
        with pytest.raises(requests.exceptions.SSLError):
            session.get(server.url)
        assert (seen["timeout"], seen["verify"], seen["stream"]) == (None, True, False)
        session.get(server.url, verify=bundle, timeout=(3, 4), stream=True).close()
        assert (seen["timeout"], seen["verify"], seen["stream"]) == ((3, 4), bundle, True)
    exchanges = recorded(tmp_path / "root")
    assert exchanges[0].request.failure.error_class == "requests.exceptions.SSLError"
    assert exchanges[1].answer.peer.tls_version


def test_a_mock_inside_is_captured_at_its_body(tmp_path: Path) -> None:
    with responses.RequestsMock() as mocked, requests.Session() as session:
        mocked.get("http://mock.test/a", body=b"mocked", status=202, headers={"X-A": "1"})
        with IngestSession("s", tmp_path, hook=False) as ingest, mount(session, ingest):
            assert session.get("http://mock.test/a").content == b"mocked"
    with (
        IngestSession("s", tmp_path, "replay", hook=False) as ingest,
        requests.Session() as session,
        mount(session, ingest),
    ):
        again = session.get("http://mock.test/a")
        assert (again.status_code, again.content, again.headers["X-A"]) == (202, b"mocked", "1")


def test_a_file_adapter_inside(tmp_path: Path) -> None:
    class Files(BaseAdapter):
        def send(self, request: Any, **_kwargs: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response.url, response.request = 200, request.url, request
            response.raw = io.BytesIO(Path(request.url.removeprefix("file://")).read_bytes())
            response.raw.release_conn = lambda: None
            return response

        def close(self) -> None:
            """Nothing is held."""

    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with IngestSession("s", tmp_path / "root", hook=False) as ingest, requests.Session() as session:
        session.mount("file://", Files())
        with mount(session, ingest), session.get(f"file://{path}", stream=True) as response:
            assert b"".join(response.iter_content(3)) == b"a,b\n1,2\n"
    path.unlink()
    with (
        IngestSession("s", tmp_path / "root", "replay", hook=False) as ingest,
        requests.Session() as session,
    ):
        session.mount("file://", Files())
        with mount(session, ingest):
            assert session.get(f"file://{path}").content == b"a,b\n1,2\n"


def test_after_the_session_calls_pass(server: RawServer, tmp_path: Path) -> None:
    with requests.Session() as session:
        with IngestSession("s", tmp_path) as ingest:
            mount(session, ingest)
        with pytest.warns(DataIOWarning, match="no call is recorded from here on"):
            assert session.get(server.url).content == b"hello"
        assert session.get(server.url).content == b"hello"
    assert recorded(tmp_path) == []


def test_where_warnings_are_errors_they_pass_too(server: RawServer, tmp_path: Path) -> None:
    with requests.Session() as session:
        with IngestSession("s", tmp_path) as ingest:
            mount(session, ingest)
        assert session.get(server.url).content == b"hello"


def test_responses_know_their_adapter(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path) as ingest, requests.Session() as session:
        mount(session, ingest)
        assert session.get(server.url).connection is session.get_adapter(server.url)


class OwnPool(connectionpool.HTTPConnectionPool):
    """Makes its connections itself, as the pools of unix sockets do."""

    def _new_conn(self) -> connection.HTTPConnection:
        return connection.HTTPConnection(self.host, self.port)


class OwnPools(HTTPAdapter):
    def __init__(self, server: RawServer) -> None:
        self.pool = OwnPool(server.host, server.port)
        super().__init__()

    def get_connection(self, *_args: Any, **_kwargs: Any) -> OwnPool:
        return self.pool

    get_connection_with_tls_context = get_connection  # type: ignore[assignment]

    def close(self) -> None:
        self.pool.close()
        super().close()


@pytest.mark.parametrize("before", [0, 1], ids=["fresh", "idle"])
def test_pools_that_make_their_own_connections(
    before: int, server: RawServer, tmp_path: Path
) -> None:
    with requests.Session() as session:
        session.mount("http://", OwnPools(server))
        for _ in range(before):
            session.get(server.url)
        with IngestSession("s", tmp_path, hook=False) as ingest, mount(session, ingest):
            for _ in range(2):
                streamed = session.get(f"{server.url}/chunked", stream=True)
                assert list(streamed.raw.stream()) == [b"hel", b"lo ", b"world"]
    assert server.connections == 1
    for call in recorded(tmp_path):
        assert call.answer.size == 11
        assert call.answer.framing is not None
        assert call.answer.peer.address == f"{server.host}:{server.port}"


def test_what_is_no_answer_of_http_s_is_requests_own_error(tmp_path: Path) -> None:
    class Bytes:
        def fetch(self, _request: object) -> bytes:
            return b""

    register("bare", Bytes())
    try:
        with IngestSession("bare", tmp_path, hook=False) as ingest:
            ingest.request("http://a.test/x")
    finally:
        unregister("bare")
    with (
        IngestSession("bare", tmp_path, "replay", hook=False) as ingest,
        requests.Session() as session,
        mount(session, ingest),
        pytest.raises(requests.ConnectionError),
    ):
        session.get("http://a.test/x")


@pytest.mark.parametrize("timeout", [(1, 2, 3), -1, "soon"])
def test_a_timeout_that_requests_refuses_is_refused_in_replay(
    timeout: Any, server: RawServer, tmp_path: Path
) -> None:
    def call(mode: str) -> Any:
        with (
            IngestSession("s", tmp_path, mode, hook=False) as ingest,
            requests.Session() as session,
            mount(session, ingest),
        ):
            session.get(server.url)
            return outcome(lambda: session.get(server.url, timeout=timeout))

    assert call("record") == call("replay")


@pytest.mark.parametrize("mode", ["record", "replay", "auto", "off"])
@pytest.mark.parametrize("by", ["mount", "adapter"])
def test_a_session_that_was_never_opened(
    by: str, mode: str, server: RawServer, tmp_path: Path
) -> None:
    with IngestSession("s", tmp_path):
        requests.get(server.url)
    hits = server.hits
    ingest = IngestSession("s", tmp_path, mode)
    with requests.Session() as session:
        if by == "mount":
            mount(session, ingest)
        else:
            session.mount("http://", CaptureAdapter(ingest=ingest))
        with pytest.raises(ConfigError, match=r"never opened; call within with IngestSession"):
            session.get(server.url)
        assert server.hits == hits
        # Opened later, it serves.
        with ingest:
            assert session.get(server.url).content == b"hello"


@pytest.mark.parametrize("mode", ["replay", "off"])
def test_a_session_that_has_ended(mode: str, server: RawServer, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path):
        requests.get(server.url)
    with requests.Session() as session:
        with IngestSession("s", tmp_path, mode, hook=False) as ingest:
            mount(session, ingest)
            session.get(server.url)
        hits = server.hits
        if mode == "off":
            assert session.get(server.url).content == b"hello"
        else:
            with pytest.raises(ReplayMissError, match="has ended, and what it replays is offline"):
                session.get(server.url)
            assert server.hits == hits
        # Another that is active sees the call.
        with IngestSession("s", tmp_path / "other"):
            assert session.get(server.url).content == b"hello"
    assert len(recorded(tmp_path / "other")) == 1


def test_nothing_is_mounted(server: RawServer, tmp_path: Path) -> None:
    with (
        pytest.warns(DataIOWarning, match=r"nothing is mounted on it: .* write mount\("),
        IngestSession("s", tmp_path, hook=False),
    ):
        requests.get(server.url)
    with (
        pytest.raises(ConfigError, match="nothing is mounted on it"),
        IngestSession("s", tmp_path, "replay", hook=False),
    ):
        requests.get(server.url)
    with IngestSession("s", tmp_path, hook=False) as ingest:
        ingest.request(server.url)
    with IngestSession("s", tmp_path, "off", hook=False):
        pass


def test_what_is_made_and_never_opened_is_told_of(tmp_path: Path) -> None:
    with pytest.warns(DataIOWarning) as told:  # noqa: PT031
        IngestSession("forgotten", tmp_path)
        use_cassette(tmp_path / "x.json")
        gc.collect()
    texts = {str(one.message) for one in told}
    assert any("a session of 'forgotten' was never opened" in text for text in texts)
    assert any("was made and not used" in text for text in texts)
    # What failed to open has said so.
    with pytest.raises(StoreError), IngestSession("s", tmp_path / "no", "replay"):
        pass
    gc.collect()
