"""``urllib.request`` and ``xmlrpc.client`` plainly, recorded and replayed."""

from __future__ import annotations

import contextlib
import http.cookiejar
import io
import ssl
import urllib.error
import urllib.request
import urllib.robotparser
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.answers import ANSWERS, RUINS, TEXT
from tests.support.effort import sampled
from tests.support.harness import jar, outcome, three_ways
from tests.support.proxies import BASIC, PASSWORD, USER, proxy
from tests.support.servers import Connection, RawServer, Request, answer, responder, tls_server
from tests.support.ways import wire_ways

urlopen = urllib.request.urlopen


def observe(response: Any) -> dict[str, Any]:
    """Return all that a program can see of an answer, its body read last."""
    seen = {
        "type": type(response),
        "status": (response.status, response.code, response.getcode(), response.reason),
        "message": response.msg,
        "url": (response.url, response.geturl()),
        "headers": (response.headers.items(), response.info().as_bytes()),
        "closed": response.closed,
        "body": outcome(response.read),
        "after": (response.closed, response.isclosed() if hasattr(response, "isclosed") else None),
    }
    response.close()
    return seen


def opened(url: Any, opener: Callable[..., Any] = urlopen, **kwargs: Any) -> Any:
    """Return what opening leads to: an error of HTTP's is an answer too."""
    try:
        return observe(opener(url, timeout=20, **kwargs))
    except urllib.error.HTTPError as error:
        return "HTTPError", str(error), error.filename, observe(error)


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes: dict[str, Any] = {f"/{name}": body for name, body in ANSWERS.items()}
    with RawServer(responder(routes)) as running:
        yield running


@pytest.mark.parametrize("name", sampled(ANSWERS, 2, 1))
def test_answers(name: str, server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        return outcome(lambda: opened(f"{server.url}/{name}"))

    three_ways(tmp_path, server, work, stdlib=True)


@pytest.mark.parametrize("name", sampled(RUINS, 2, 1))
def test_ruins(name: str, tmp_path: Path) -> None:
    def wreck(connection: Connection) -> None:
        if connection.read_request() is not None:
            connection.send(RUINS[name])

    with RawServer(wreck) as server:
        three_ways(tmp_path, server, lambda: outcome(lambda: opened(server.url)), stdlib=True)


def test_redirects(tmp_path: Path) -> None:
    def to(place: str, status: int = 302) -> bytes:
        return answer(status, b"elsewhere", headers=[("Location", place)])

    def shown(request: Request) -> bytes:
        return answer(200, f"{request.method} {request.target}".encode() + request.body)

    statuses = (301, 302, 303, 307, 308)
    routes: dict[str, Any] = {f"/{status}": to("/end?a=b c", status) for status in statuses}
    routes |= {
        "/end": shown,
        "/again": to("/again"),
        "/chain": to("/302"),
        "/file": to("file:///etc/hostname"),
        "/nowhere": answer(302),
        "/none": to("/missing"),
    }
    with RawServer(responder(routes)) as server:

        def work(_open: Any) -> Any:
            urls = [f"{server.url}{path}" for path in routes if path != "/end"]
            got = [outcome(lambda url=url: opened(url)) for url in urls]
            posts = [outcome(lambda url=url: opened(url, data=b"a=1")) for url in urls[:5]]
            return got, posts

        wire_ways(tmp_path, server, work, stdlib=True)
        path = server.url
    with RecordingStore(tmp_path) as store:
        calls = list(store.exchanges(store.sessions()[0].id))
    assert [call.request.url for call in calls[:2]] == [f"{path}/301", f"{path}/end?a=b%20c"]


def test_uploads(tmp_path: Path) -> None:
    def shown(request: Request) -> bytes:
        seen = f"{request.method} {request.header('Content-Type')} {request.body_sha256}"
        return answer(200, seen.encode())

    def request(data: Any, **headers: str) -> urllib.request.Request:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return urllib.request.Request(server.url, data, fields)

    with RawServer(responder({"/": shown})) as server:

        def work(_open: Any) -> Any:
            made = [
                request(b"a=1&b=2"),
                request(b""),
                request(b"{}", Content_Type="application/json"),
                request(b"in one chunk", Transfer_Encoding="chunked"),
                request(io.BytesIO(TEXT), Content_Length=str(len(TEXT))),
                request(io.BytesIO(TEXT * 30)),
                request(iter([b"one", b"two"])),
                request([b"one", b"two"], Content_Length="6"),
                request("text"),
                urllib.request.Request(f"{server.url}/?q", method="PUT", data=b"1"),
                urllib.request.Request(f"{server.url}/?q", method="DELETE"),
            ]
            return [outcome(lambda one=one: opened(one)) for one in made]

        wire_ways(tmp_path, server, work, stdlib=True)


def test_failures(tmp_path: Path) -> None:
    """What fails in connecting comes wrapped; what fails in reading does not."""

    def reset(connection: Connection) -> None:
        connection.read_request()
        connection.reset()

    def hang(connection: Connection) -> None:
        connection.read_request()
        connection.receive()

    context, _ = tls_server(tmp_path)
    with (
        RawServer(reset) as resetting,
        RawServer(hang) as hanging,
        RawServer(hang, tls=context) as unknown,
        RawServer(hang) as gone,
    ):
        gone.stop()
        urls = [resetting.url, hanging.url, unknown.url, gone.url, "http://no-such-host.invalid/"]

        def work() -> Any:
            return [outcome(lambda url=url: urlopen(url, timeout=0.2)) for url in urls]

        def stop() -> None:
            for server in (resetting, hanging, unknown):
                server.stop()

        got = three_ways(tmp_path / "root", None, work, before_replay=stop, stdlib=True)
    names = [(each.name, each.reason and each.reason.name) for each in got]
    assert names == [
        ("ConnectionResetError", None),
        ("TimeoutError", None),
        ("URLError", "SSLCertVerificationError"),
        ("URLError", "ConnectionRefusedError"),
        ("URLError", "gaierror"),
    ]


def test_what_never_goes_out(server: RawServer, tmp_path: Path) -> None:
    """Mistakes, and URLs of other kinds, are no calls."""
    page = tmp_path / "page.txt"
    page.write_text("here")
    urls = ["http://a b/", "http:///x", f"{server.url}/a b", "nonsense", "data:,hi", page.as_uri()]

    def work() -> Any:
        return [outcome(lambda url=url: urlopen(url).read()) for url in [*urls, f"{server.url}/ü"]]

    got = three_ways(tmp_path / "root", server, work, stdlib=True)
    assert got[4:6] == [b"hi", b"here"]
    with RecordingStore(tmp_path / "root") as store:
        assert list(store.exchanges(store.sessions()[0].id)) == []


def test_credentials(tmp_path: Path) -> None:
    def basic(request: Request) -> bytes:
        if request.header("Authorization") == BASIC:
            return answer(200, b"in")
        return answer(401, b"who?", headers=[("WWW-Authenticate", 'Basic realm="r"')])

    def digest(request: Request) -> bytes:
        if request.header("Authorization"):
            return answer(200, b"in")
        challenge = 'Digest realm="r", nonce="n1", qop="auth", algorithm=MD5'
        return answer(401, b"who?", headers=[("WWW-Authenticate", challenge)])

    with RawServer(responder({"/basic": basic, "/digest": digest})) as server:

        def work() -> Any:
            known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
            known.add_password(None, server.url, USER, PASSWORD)
            wrong = urllib.request.HTTPPasswordMgrWithDefaultRealm()
            seen = []
            for passwords in (known, wrong):
                for kind in ("Basic", "Digest"):
                    handler = getattr(urllib.request, f"HTTP{kind}AuthHandler")(passwords)
                    opener = urllib.request.build_opener(handler).open
                    seen.append(opened(f"{server.url}/{kind.lower()}", opener))
            return seen

        got = three_ways(tmp_path / "exact", server, work, stdlib=True)
        assert [seen["body"] for seen in got[:2]] == [b"in", b"in"]
        # With redaction as it is by default, nothing of it is on disk.
        three_ways(tmp_path / "redacted", server, work, stdlib=True, redaction=_default())
    for path in (tmp_path / "redacted").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert BASIC.encode().removeprefix(b"Basic ") not in content
            assert PASSWORD.encode() not in content


def _default() -> Any:
    from mxm_dataio.redaction import DEFAULT

    return DEFAULT


def test_cookies(tmp_path: Path) -> None:
    def shown(request: Request) -> bytes:
        return answer(200, (request.header("Cookie") or "none").encode())

    with RawServer(responder({"/": shown, "/in": ANSWERS["cookies"]})) as server:

        def work() -> Any:
            cookies = http.cookiejar.CookieJar()
            handler = urllib.request.HTTPCookieProcessor(cookies)
            opener = urllib.request.build_opener(handler).open
            return [opened(f"{server.url}{path}", opener) for path in ("/", "/in", "/")], jar(
                cookies
            )

        three_ways(tmp_path, server, work, stdlib=True)


def test_proxies(tmp_path: Path) -> None:
    context, bundle = tls_server(tmp_path)
    trusting = ssl.create_default_context(cafile=bundle)
    with (
        RawServer(responder({"/": answer(200, TEXT)}), tls=context) as origin,
        RawServer(proxy(guarded=True)) as forward,
        RawServer(proxy(refusal=answer(502, b"no way"))) as refusing,
    ):

        def through(by: RawServer, user: str = "") -> Callable[..., Any]:
            url = f"http://{user}{by.host}:{by.port}"
            return urllib.request.build_opener(
                urllib.request.ProxyHandler({"http": url, "https": url}),
                urllib.request.HTTPSHandler(context=trusting),
            ).open

        def work() -> Any:
            known = through(forward, f"{USER}:{PASSWORD}@")
            secure = f"{origin.url}/"
            return [
                opened("http://far.test/x?a=1", known),
                opened("http://far.test:8080/", known),
                opened(secure, known),
                opened("http://far.test/", through(forward)),
                outcome(lambda: opened(secure, through(forward))),
                outcome(lambda: opened(secure, through(refusing))),
            ]

        got = three_ways(tmp_path / "root", forward, work, stdlib=True)
        assert got[0]["body"] == b"via proxy http://far.test/x?a=1"
        assert got[2]["body"] == TEXT
        url = origin.url
    with RecordingStore(tmp_path / "root") as store:
        urls = [call.request.url for call in store.exchanges(store.sessions()[0].id)]
    assert urls[:3] == ["http://far.test/x?a=1", "http://far.test:8080/", f"{url}/"]


class Quiet(urllib.request.HTTPErrorProcessor):
    """A program's handler: errors are answers."""

    def http_response(self, request: Any, response: Any) -> Any:
        response.seen = request.full_url
        return response


class Counting(urllib.request.HTTPHandler):
    """A program's handler that makes connections of its own."""

    opened = 0

    def http_open(self, req: Any) -> Any:
        Counting.opened += 1
        return self.do_open(Own, req, source_address=("127.0.0.1", 0))


class Own(http.client.HTTPConnection):
    """A program's connection."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(20)


def test_handlers(server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        opener = urllib.request.build_opener(Quiet, Counting)
        opener.addheaders = [("User-agent", "mine"), ("X-Mine", "1")]
        Counting.opened = 0
        urls = [f"{server.url}/{name}" for name in ("teapot", "server-error", "redirect-nowhere")]
        return [opened(url, opener.open) for url in urls], Counting.opened

    assert three_ways(tmp_path, server, work, stdlib=True)[1] == 3


def test_the_old_ways(server: RawServer, tmp_path: Path) -> None:
    """``urlretrieve`` and ``robotparser``, as scrapers of old have them."""

    def work() -> Any:
        shown: list[Any] = []
        with contextlib.suppress(OSError):
            Path(tmp_path / "kept").unlink()
        path, headers = urllib.request.urlretrieve(
            f"{server.url}/big", tmp_path / "kept", lambda *count: shown.append(count)
        )
        robots = urllib.robotparser.RobotFileParser(f"{server.url}/teapot")
        robots.read()
        allowed = robots.can_fetch("*", "/a")
        return Path(path).stat().st_size, headers.items(), shown, allowed

    three_ways(tmp_path / "root", server, work, stdlib=True)


# -- XML-RPC ----------------------------------------------------------------------------------


def rpc(request: Request) -> bytes:
    params, method = xmlrpc.client.loads(request.body)
    if method == "fail":
        made: Any = xmlrpc.client.Fault(4, "as asked")
    elif method == "odd":
        return answer(200, b"no XML at all", headers=[("Content-Type", "text/xml")])
    elif method == "gone":
        return answer(404)
    else:
        made = ([method, *params],)
    body = xmlrpc.client.dumps(made, methodresponse=True).encode()
    return answer(200, body, headers=[("Content-Type", "text/xml")])


def test_xmlrpc(tmp_path: Path) -> None:
    with RawServer(responder({"/RPC2": rpc})) as server:

        def work(_open: Any) -> Any:
            with xmlrpc.client.ServerProxy(server.url, headers=[("X-A", "b")]) as client:
                seen = [client.add(1, 2.5, "three", [4], {"five": "6"}), client.system.list()]
                for method in ("fail", "odd", "gone"):
                    seen.append(outcome(getattr(client, method)))
                batch = xmlrpc.client.MultiCall(client)
                batch.one(1)
                seen.append(outcome(lambda: list(batch())))
                seen.append(client.add(1))
            return repr(seen)

        wire_ways(tmp_path, server, work, stdlib=True)
