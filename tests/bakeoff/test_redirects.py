"""Redirects plainly, recorded and replayed: who follows them, what they carry, how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from urllib3.util.retry import Retry

from tests.support.harness import jar, mounted, observe, outcome, three_ways
from tests.support.servers import RawServer, Request, answer, responder


def to(location: str, status: int = 302, body: bytes = b"", *cookies: str) -> bytes:
    fields = [("Location", location), *(("Set-Cookie", cookie) for cookie in cookies)]
    return answer(status, body, headers=fields)


def seen(request: Request) -> bytes:
    """Tell what came of a request: method, body, and who asks."""
    facts = [request.method, request.target, request.body.decode()]
    for name in ("Authorization", "Cookie", "Content-Type", "Content-Length"):
        facts.append(f"{name}={request.header(name)}")
    return answer(200, "\n".join(facts).encode())


ROUTES: dict[str, Any] = {
    "/seen": seen,
    "/start": to("/next", 302, b"", "a=1; Path=/"),
    "/next": to("/seen?q=1", 301, b"moved", "b=2; Path=/", "a=; Max-Age=0; Path=/"),
    "/loop": to("/loop", 302, b"round"),
    "/there": to("/back"),
    "/back": to("/there"),
    "/nowhere": answer(302, b"nowhere to go"),
    "/empty": to(""),
    "/relative/a": to("b?x=1"),
    "/relative/b": seen,
    "/up/a/b": to("../../seen"),
    "/fragment": to("/seen#part"),
    "/odd": to("/seen?q=a b&r=%zz"),
    "/latin": to("/s\xe9en?\xfc"),
    "/bad": to("http://[::1/"),
    "/other-scheme": to("ftp://127.0.0.1/x"),
    "/chunked": answer(303, b"chunks here", chunked=[3], headers=[("Location", "/seen")]),
    "/not-really": answer(304, headers=[("Location", "/seen")]),
    "/multiple": to("/seen", 300),
    "/error": to("/missing"),
    **{f"/{status}": to("/seen", status) for status in (301, 302, 303, 307, 308)},
}
PATHS = [path for path in ROUTES if not path.endswith(("/loop", "/there", "/back", "/b"))]


@pytest.fixture
def server() -> Iterator[RawServer]:
    routes = dict(ROUTES)
    with RawServer(responder(routes)) as running:
        routes["/same-scheme"] = to(f"//127.0.0.1:{running.port}/seen")
        yield running


@pytest.mark.parametrize("path", [*PATHS, "/same-scheme"])
def test_redirects_through_requests(path: str, server: RawServer, tmp_path: Path) -> None:
    def work(session: requests.Session) -> Any:
        def get() -> Any:
            response = session.get(f"{server.url}{path}#mine")
            return observe(response), [observe(each) for each in response.history]

        return outcome(get), jar(session.cookies)

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    plain = three_ways(tmp_path / "1", server, hooked)
    assert mounted(tmp_path / "2", server, work) == plain


@pytest.mark.parametrize("path", [*PATHS, "/same-scheme"])
def test_redirects_through_urllib3(path: str, server: RawServer, tmp_path: Path) -> None:
    def work() -> Any:
        with urllib3.PoolManager() as pool:
            managed = outcome(lambda: observe(pool.request("GET", f"{server.url}{path}")))
            by_hand = pool.request("GET", f"{server.url}{path}", redirect=False)
            followed = by_hand.get_redirect_location()
        with urllib3.HTTPConnectionPool(server.host, server.port) as bare:
            # A bare pool follows within itself: attempts of one call.
            return (
                managed,
                observe(by_hand),
                followed,
                outcome(lambda: observe(bare.request("GET", path))),
            )

    three_ways(tmp_path, server, work)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_methods_and_bodies_on_the_way(
    method: str, status: int, server: RawServer, tmp_path: Path
) -> None:
    url = f"{server.url}/{status}"

    def work() -> Any:
        with requests.Session() as session:
            response = session.request(method, url, data={"q": "1"})
            sent = response.request.method, response.request.body, response.text
        with urllib3.PoolManager() as pool:
            managed = pool.urlopen(method, url, body=b"q=1", preload_content=False)
            seen = observe(managed)
        with urllib3.HTTPConnectionPool(server.host, server.port) as bare:
            return sent, seen, observe(bare.urlopen(method, f"/{status}", body="q=1"))

    plain = three_ways(tmp_path, server, work)
    changed = status == 303 or status == 302 or (status == 301 and method == "POST")
    assert plain[0][0] == ("GET" if changed else method)


def test_redirected_head(tmp_path: Path) -> None:
    with RawServer(responder({"/": to("/end"), "/end": answer(200)})) as server:

        def work() -> Any:
            with requests.Session() as session:
                stays = session.head(server.url)
                goes = session.head(server.url, allow_redirects=True)
                return observe(stays), observe(goes)

        three_ways(tmp_path, server, work)


def test_credentials_stay_with_their_host(tmp_path: Path) -> None:
    with RawServer(responder({"/seen": seen})) as other:
        routes = {"/away": to(f"{other.url}/seen"), "/here": to("/seen"), "/seen": seen}
        with RawServer(responder(routes)) as server:

            def work() -> Any:
                before = other.hits
                with requests.Session() as session:
                    session.cookies.set("mine", "1", domain="127.0.0.1")
                    got = [
                        session.get(f"{server.url}/{path}", auth=("user", "pass")).text
                        for path in ("away", "here")
                    ]
                with urllib3.PoolManager() as pool:
                    fields = {"Authorization": "Basic abc", "Cookie": "c=1"}
                    got += [
                        pool.request("GET", f"{server.url}/{path}", headers=fields).data.decode()
                        for path in ("away", "here")
                    ]
                asked.append(other.hits - before)
                return got

            asked: list[int] = []
            plain = three_ways(tmp_path, server, work)
    assert asked == [2, 2, 0]
    assert "Authorization=None" in plain[0]
    assert "Authorization=Basic" in plain[1]


def test_loops_end_alike(server: RawServer, tmp_path: Path) -> None:
    def ends(session: requests.Session, path: str, limit: int) -> Any:
        session.max_redirects = limit
        with pytest.raises(requests.TooManyRedirects) as caught:
            session.get(f"{server.url}{path}")
        last: Any = caught.value.response
        trail = [(h.url, h.status_code, h.content) for h in last.history]
        return str(caught.value), observe(last), trail

    def work(session: requests.Session) -> Any:
        return [ends(session, "/loop", 3), ends(session, "/there", 0), ends(session, "/back", 5)]

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    plain = three_ways(tmp_path / "1", server, hooked)
    assert plain[0][0] == "Exceeded 3 redirects."
    assert mounted(tmp_path / "2", server, work) == plain


LIMITS: dict[str, Callable[[], Any]] = {
    "one": lambda: Retry(redirect=1),
    "none": lambda: Retry(redirect=0),
    "not-raised": lambda: Retry(redirect=1, raise_on_redirect=False),
    "off": lambda: Retry(redirect=False),
    "total": lambda: Retry(total=2, redirect=5),
    "int": lambda: 2,
    "false": lambda: False,
}


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_of_urllib3(limit: str, server: RawServer, tmp_path: Path) -> None:
    def managed(path: str) -> Any:
        with urllib3.PoolManager() as pool:
            return observe(pool.request("GET", f"{server.url}{path}", retries=LIMITS[limit]()))

    def pooled(path: str) -> Any:
        with urllib3.HTTPConnectionPool(server.host, server.port) as bare:
            return observe(bare.request("GET", path, retries=LIMITS[limit]()))

    def work() -> Any:
        return [
            outcome(lambda way=way, path=path: way(path))
            for way in (managed, pooled)
            for path in ("/loop", "/start")
        ]

    three_ways(tmp_path, server, work)


def test_following_by_hand(server: RawServer, tmp_path: Path) -> None:
    def work(session: requests.Session) -> Any:
        response = session.get(f"{server.url}/start", allow_redirects=False)
        trail = [observe(response)]
        while response.next is not None:
            response = session.send(response.next, allow_redirects=False)
            trail.append(observe(response))
        started = session.get(f"{server.url}/start", stream=True, allow_redirects=False)
        chain = session.resolve_redirects(started, started.request, stream=True)
        return trail, [observe(each) for each in chain]

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    plain = three_ways(tmp_path / "1", server, hooked)
    assert [step["status"] for step in plain[0]] == [302, 301, 200]
    assert mounted(tmp_path / "2", server, work) == plain
