"""Classes and patches of the program's own, made before this package is imported or meanwhile."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
import responses
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import connection, connectionpool

from mxm_dataio import DataIOWarning, IngestSession, ReplayMissError, Status, mount
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT
from tests.support.effort import sampled
from tests.support.servers import RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {
        "/": answer(200, b"hello"),
        "/n": lambda request: answer(200, request.target.encode()),
        "/post": lambda request: answer(200, request.body),
    }
    with RawServer(responder(routes)) as running:
        yield running


def recorded(root: Path) -> list[str]:
    """Return the recorded URLs' ends; each call was seen on the wire."""
    with RecordingStore(root) as store:
        exchanges = [e for s in store.sessions() for e in store.exchanges(s.id)]
    assert all(e.answer is not None and e.answer.timings.first_byte for e in exchanges)
    return [e.request.url.rpartition("/")[2] for e in exchanges]


# Each defines work(url, did), where did(name) notes that something of the program's own ran.
PROGRAMS = {
    "session": """
        class Mine(requests.Session):
            def send(self, request, **kwargs):
                did("send"); return super().send(request, **kwargs)
            def request(self, *args, **kwargs):
                did("request"); return super().request(*args, **kwargs)
            def get_adapter(self, url):
                did("get_adapter"); return super().get_adapter(url)
        def work(url):
            with Mine() as session:
                return [session.get(url + "/n?1").text, session.post(url + "/post", b"x").text]
        """,
    "adapter": """
        class Mine(requests.adapters.HTTPAdapter):
            def send(self, request, *args, **kwargs):
                live("send"); return super().send(request, *args, **kwargs)
            def init_poolmanager(self, *args, **kwargs):
                did("init_poolmanager"); return super().init_poolmanager(*args, **kwargs)
            def get_connection(self, *args, **kwargs):
                live("get_connection"); return super().get_connection(*args, **kwargs)
            def cert_verify(self, *args, **kwargs):
                live("cert_verify"); return super().cert_verify(*args, **kwargs)
            def build_response(self, request, raw):
                did("build_response")
                response = super().build_response(request, raw)
                response.mine = 1
                return response
        if hasattr(requests.adapters.HTTPAdapter, "get_connection_with_tls_context"):
            def tls(self, *args, **kwargs):
                live("tls")
                return super(Mine, self).get_connection_with_tls_context(*args, **kwargs)
            Mine.get_connection_with_tls_context = tls
        def work(url):
            with requests.Session() as session:
                session.mount("http://", Mine())
                first = session.get(url + "/n?1")
                return [first.text, first.mine, session.post(url + "/post", iter([b"x"])).text]
        """,
    "pool manager": """
        class Pool(urllib3.HTTPConnectionPool):
            def urlopen(self, *args, **kwargs):
                did("urlopen"); return super().urlopen(*args, **kwargs)
            def _make_request(self, *args, **kwargs):
                live("_make_request"); return super()._make_request(*args, **kwargs)
        class Mine(urllib3.PoolManager):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.pool_classes_by_scheme = {"http": Pool}
            def urlopen(self, *args, **kwargs):
                did("manager"); return super().urlopen(*args, **kwargs)
        def work(url):
            with Mine() as pool:
                return [pool.request("GET", url + "/n?1").data.decode(),
                        pool.request("POST", url + "/post", body=b"x").data.decode()]
        """,
    "connection": """
        class Answer(http.client.HTTPResponse):
            def begin(self):
                live("begin"); return super().begin()
        class Connection(urllib3.connection.HTTPConnection):
            response_class = Answer
            def connect(self):
                live("connect"); return super().connect()
            def request(self, *args, **kwargs):
                live("request"); return super().request(*args, **kwargs)
            def send(self, data):
                live("send"); return super().send(data)
            def getresponse(self, *args, **kwargs):
                live("getresponse"); return super().getresponse(*args, **kwargs)
        class Pool(urllib3.HTTPConnectionPool):
            ConnectionCls = Connection
        def work(url):
            parts = urllib3.util.parse_url(url)
            with Pool(parts.host, parts.port) as pool:
                return [pool.request("GET", "/n?1").data.decode(),
                        pool.request("POST", "/post", body=b"x").data.decode()]
        """,
    "replaced connection": """
        own = urllib3.connection.HTTPConnection
        class Connection(own):
            def connect(self):
                live("connect"); return super().connect()
            def request(self, *args, **kwargs):
                live("request"); return super().request(*args, **kwargs)
        urllib3.connection.HTTPConnection = Connection
        def work(url):
            texts = [requests.get(url + "/n?1").text]  # its pools have the class from before
            class Pool(urllib3.HTTPConnectionPool):
                ConnectionCls = urllib3.connection.HTTPConnection
            parts = urllib3.util.parse_url(url)
            with Pool(parts.host, parts.port) as pool:
                return [*texts, pool.request("POST", "/post", body=b"x").data.decode()]
        """,
    "replaced pool": """
        own = urllib3.connectionpool.HTTPConnectionPool
        class Pool(own):
            def urlopen(self, method, url, **kwargs):
                did("urlopen"); return super().urlopen(method, url, **kwargs)
        urllib3.connectionpool.HTTPConnectionPool = urllib3.HTTPConnectionPool = Pool
        def work(url):
            parts = urllib3.util.parse_url(url)
            with urllib3.HTTPConnectionPool(parts.host, parts.port) as pool:
                return [requests.get(url + "/n?1").text,
                        pool.request("POST", "/post", body=b"x").data.decode()]
        """,
    "patched methods": """
        def patch(cls, name, note):
            was = getattr(cls, name)
            def mine(self, *args, **kwargs):
                note(name)
                # As they come from requests and urllib3: what is named stays named.
                note(str(len(args)) + "".join(sorted(kwargs)))
                return was(self, *args, **kwargs)
            setattr(cls, name, mine)
        patch(requests.Session, "send", did)
        patch(requests.adapters.HTTPAdapter, "send", did)
        patch(urllib3.connectionpool.HTTPConnectionPool, "urlopen", live)
        patch(urllib3.connection.HTTPConnection, "connect", live)
        def work(url):
            with requests.Session() as session:
                return [session.get(url + "/n?1").text, session.post(url + "/post", b"x").text]
        """,
}
FRAME = """
import collections, http.client, json, sys
import requests, requests.adapters, urllib3, urllib3.connection, urllib3.connectionpool
url, root = sys.argv[1:]
always, lively = collections.Counter(), collections.Counter()
def did(name): always[name] += 1
def live(name): lively[name] += 1
{program}
assert "mxm_dataio" not in sys.modules
def run(*, session=None):
    always.clear(); lively.clear()
    got = work(url)
    return [got, dict(always), dict(lively)]
patched = [dict(vars(c)) for c in (requests.Session, requests.adapters.HTTPAdapter,
           urllib3.connectionpool.HTTPConnectionPool, urllib3.connection.HTTPConnection)]
out = [run()]
from mxm_dataio import IngestSession
for mode in ("record", "replay"):
    with IngestSession("s", root, mode):
        out.append(run())
assert patched == [dict(vars(c)) for c in (requests.Session, requests.adapters.HTTPAdapter,
    urllib3.connectionpool.HTTPConnectionPool, urllib3.connection.HTTPConnection)]
out.append(run())
print(json.dumps(out))
"""


URLLIB3_1 = urllib3.__version__.startswith("1.")


@pytest.mark.parametrize("name", sampled(PROGRAMS, 2))
def test_made_before_the_import(name: str, server: RawServer, tmp_path: Path) -> None:
    if name == "replaced connection" and URLLIB3_1:
        pytest.skip("urllib3 1.26 itself calls super() by the name that is replaced")
    script = FRAME.replace("{program}", textwrap.dedent(PROGRAMS[name]))
    done = subprocess.run(
        [sys.executable, "-c", script, server.url, str(tmp_path)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plain, record, replay, after = json.loads(done.stdout)
    assert record == plain
    assert after == plain
    assert plain[1] or plain[2], "something of the program's own ran"
    # What is above the connections runs in replay too; what is below has nothing to do there.
    assert replay[:2] == plain[:2]
    assert recorded(tmp_path) == ["n?1", "post"]
    assert server.hits == 6


class TestPatches:
    """A program that replaces methods while a session is open, and undoes it in any order."""

    PLACES = (
        (requests.Session, "send"),
        (HTTPAdapter, "send"),
        (connectionpool.HTTPConnectionPool, "urlopen"),
        (connection.HTTPConnection, "connect"),
        (connection.HTTPConnection, "request"),
        # Inherited, and so not in the class of its own accord.
        (connection.HTTPConnection, "send"),
    )
    ALL = pytest.mark.parametrize(("cls", "name"), PLACES, ids=lambda x: getattr(x, "__name__", x))

    @staticmethod
    def patch(cls: type, name: str) -> tuple[list[str], Any, Callable[[], None]]:
        """Replace a method as programs do; return its log, itself and what undoes it."""
        log: list[str] = []
        own = name in vars(cls)
        was = getattr(cls, name)

        def mine(self: Any, *args: Any, **kwargs: Any) -> Any:
            log.append(name)
            return was(self, *args, **kwargs)

        setattr(cls, name, mine)

        def undo() -> None:
            if own:
                setattr(cls, name, was)
            else:
                delattr(cls, name)

        return log, mine, undo

    @pytest.fixture(autouse=True)
    def _as_before(self) -> Iterator[None]:
        before = [dict(vars(cls)) for cls, _ in self.PLACES]
        yield
        assert [dict(vars(cls)) for cls, _ in self.PLACES] == before

    @ALL
    def test_before_and_after(self, cls: type, name: str, server: Any, tmp_path: Path) -> None:
        log, mine, undo = self.patch(cls, name)
        with IngestSession("s", tmp_path):
            requests.get(f"{server.url}/n?1")
        assert vars(cls)[name] is mine
        assert log
        undo()
        assert recorded(tmp_path) == ["n?1"]

    @ALL
    def test_within(self, cls: type, name: str, server: Any, tmp_path: Path) -> None:
        with IngestSession("s", tmp_path):
            log, _, undo = self.patch(cls, name)
            requests.get(f"{server.url}/n?1")
            undo()
            requests.get(f"{server.url}/n?2")
        assert log
        assert recorded(tmp_path) == ["n?1", "n?2"]

    @ALL
    def test_meanwhile_and_it_stays(
        self, cls: type, name: str, server: Any, tmp_path: Path
    ) -> None:
        with IngestSession("s", tmp_path):
            log, mine, undo = self.patch(cls, name)
            requests.get(f"{server.url}/n?1")
        assert vars(cls)[name] is mine, "the program's patch is lost"
        log.clear()
        requests.get(f"{server.url}/n?unseen")
        assert log
        with IngestSession("s", tmp_path):
            requests.get(f"{server.url}/n?2")
        assert vars(cls)[name] is mine
        undo()
        # Ours may have come to light again; it does nothing, and the next session takes it off.
        requests.get(f"{server.url}/n?unseen")
        with IngestSession("s", tmp_path):
            requests.get(f"{server.url}/n?3")
        assert recorded(tmp_path) == ["n?1", "n?2", "n?3"]

    @ALL
    def test_before_and_undone_meanwhile(
        self, cls: type, name: str, server: Any, tmp_path: Path
    ) -> None:
        _, mine, undo = self.patch(cls, name)
        ingest = IngestSession("s", tmp_path)
        # With the patch the hook on pools goes, and the session says so: calls go past it.
        unhooked = name == "urlopen"
        says: Any = contextlib.nullcontext()
        if unhooked:
            says = pytest.warns(DataIOWarning, match="n.2 was not recorded")
        with says, ingest:
            requests.get(f"{server.url}/n?1")
            undo()
            assert requests.get(f"{server.url}/n?2").text == "/n?2"
        assert vars(cls).get(name) is not mine, "its undoing is lost"
        assert (ingest.session.status is Status.INCOMPLETE) is unhooked

    def test_replay_does_not_go_out_where_the_hook_is_undone(
        self, server: RawServer, tmp_path: Path
    ) -> None:
        with IngestSession("s", tmp_path):
            requests.get(f"{server.url}/n?1")
        _, _, undo = self.patch(connectionpool.HTTPConnectionPool, "urlopen")
        with IngestSession("s", tmp_path, "replay") as ingest:
            undo()
            with pytest.raises(ReplayMissError):
                requests.get(f"{server.url}/n?1")
            ingest.misses.clear()
        assert server.hits == 1

    def test_by_unittest_mock(self, server: RawServer, tmp_path: Path) -> None:
        own = connectionpool.HTTPConnectionPool.urlopen
        with IngestSession("s", tmp_path):
            with (
                mock.patch.object(
                    connectionpool.HTTPConnectionPool,
                    "urlopen",
                    autospec=True,
                    side_effect=OSError("x"),
                ),
                pytest.raises(requests.ConnectionError),
            ):
                requests.get(server.url)
            requests.get(f"{server.url}/n?1")
        assert connectionpool.HTTPConnectionPool.urlopen is own
        assert recorded(tmp_path) == ["n?1"]


class TestOtherRecorders:
    """Mocks and recorders in the same process go on as they did."""

    @pytest.mark.parametrize("order", ["ours outside", "ours inside"])
    @pytest.mark.parametrize("mode", ["record", "replay"])
    def test_responses(self, mode: str, order: str, server: RawServer, tmp_path: Path) -> None:
        with IngestSession("s", tmp_path):
            requests.get(f"{server.url}/n?1")
        own = HTTPAdapter.send
        mocked = responses.RequestsMock()
        ingest = IngestSession("s", tmp_path, mode)
        first, second = (ingest, mocked) if order == "ours outside" else (mocked, ingest)
        with first, second:
            mocked.get("http://mock.test/a", body=b"mocked")
            mocked.add_passthru(server.url)
            assert requests.get("http://mock.test/a").text == "mocked"
            assert requests.get(f"{server.url}/n?1").text == "/n?1"
        assert HTTPAdapter.send is own
        assert server.hits == (2 if mode == "record" else 1)

    @pytest.mark.parametrize("mode", ["record", "replay"])
    def test_requests_mock(self, mode: str, server: RawServer, tmp_path: Path) -> None:
        mocker = pytest.importorskip("requests_mock", reason="needs requests-mock")
        with IngestSession("s", tmp_path):
            requests.get(f"{server.url}/n?1")
        own = requests.Session.get_adapter
        with IngestSession("s", tmp_path, mode), mocker.Mocker(real_http=True) as mocked:
            mocked.get("http://mock.test/a", text="mocked")
            assert requests.get("http://mock.test/a").text == "mocked"
            assert requests.get(f"{server.url}/n?1").text == "/n?1"
        assert requests.Session.get_adapter is own
        assert server.hits == (2 if mode == "record" else 1)

    @pytest.mark.parametrize("order", ["ours outside", "ours inside"])
    def test_vcrpy(self, order: str, server: RawServer, tmp_path: Path) -> None:
        if URLLIB3_1:
            pytest.skip("vcrpy replaces the name by which urllib3 1.26 calls super()")
        vcr = pytest.importorskip("vcr", reason="needs vcrpy")

        def run(ingest: IngestSession) -> str:
            cassette = vcr.use_cassette(str(tmp_path / "c.yaml"))
            first, second = (ingest, cassette) if order == "ours outside" else (cassette, ingest)
            with first, second:
                return requests.get(f"{server.url}/n?1").text

        # Recorded by both, then played back by vcrpy: that ours did not see, and says so.
        assert run(IngestSession("s", tmp_path / "root")) == "/n?1"
        assert recorded(tmp_path / "root") == ["n?1"]
        again = IngestSession("s", tmp_path / "root")
        with pytest.warns(DataIOWarning, match="no connection of urllib3's"):
            assert run(again) == "/n?1"
        assert again.session is not None
        assert again.session.status is Status.INCOMPLETE
        assert run(IngestSession("s", tmp_path / "root", "replay")) == "/n?1"
        assert server.hits == 1


def test_a_mount_beside_a_patched_adapter(server: RawServer, tmp_path: Path) -> None:
    """A getter of pools that the program put on the adapter itself is there again after."""
    name = "get_connection_with_tls_context"
    if not hasattr(HTTPAdapter, name):
        name = "get_connection"
    with requests.Session() as session, IngestSession("s", tmp_path, hook=False) as ingest:
        adapter = session.get_adapter(server.url)
        own = getattr(adapter, name)
        seen: list[str] = []

        def mine(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return own(*args, **kwargs)

        setattr(adapter, name, mine)
        with mount(session, ingest):
            session.get(f"{server.url}/n?1")
        assert vars(adapter)[name] is mine
        assert seen == [name]
    assert recorded(tmp_path) == ["n?1"]
    assert urllib3.HTTPConnectionPool.ConnectionCls is connection.HTTPConnection
