"""PyGithub and github3.py: pages by ``Link``, limits, errors, conditional requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mxm_dataio import IngestSession, Store
from tests.clients.harness import SOURCE, WHY, Carry, exchanges, files_with, record_then_replay
from tests.support.servers import RawServer, Request, answer, responder

TOKEN = "ghp_ExampleTokenOfNoOne0123456789"
NUMBERS = range(1, 8)


def say(value: Any, status: int = 200, **headers: str) -> bytes:
    fields = [("Content-Type", "application/json; charset=utf-8"), ("X-RateLimit-Limit", "5000")]
    fields += [("X-RateLimit-Remaining", "4990"), ("X-RateLimit-Reset", "1767225600")]
    fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return answer(status, json.dumps(value).encode(), headers=fields)


def repository(root: str) -> dict[str, Any]:
    owner = {"login": "alfa", "id": 1, "url": f"{root}/users/alfa", "type": "User"}
    return {
        "id": 7,
        "name": "beta",
        "full_name": "alfa/beta",
        "owner": owner,
        "private": False,
        "url": f"{root}/repos/alfa/beta",
        "description": "naïve",
        "stargazers_count": 12,
    }


def issue(root: str, number: int) -> dict[str, Any]:
    return {
        "number": number,
        "title": f"issue {number}",
        "state": "open",
        "url": f"{root}/repos/alfa/beta/issues/{number}",
    }


def issues(request: Request) -> bytes:
    root = f"http://{request.header('Host')}"
    if request.method == "POST":
        made = {**issue(root, 8), **json.loads(request.body)}
        return say(made, 201, Location=made["url"])
    query = parse_qs(urlsplit(request.target).query)
    page, size = int(query.get("page", ["1"])[0]), int(query.get("per_page", ["3"])[0])
    chosen = [issue(root, n) for n in NUMBERS[(page - 1) * size : page * size]]
    if page * size >= len(NUMBERS):
        return say(chosen)
    link = f'<{root}{request.path}?per_page={size}&page={page + 1}>; rel="next"'
    return say(chosen, Link=f'{link}, <{root}{request.path}?page=9>; rel="last"')


def repo(request: Request) -> bytes:
    if request.header("If-None-Match") == '"v1"':
        return answer(304, headers=[("ETag", '"v1"')])
    return say(repository(f"http://{request.header('Host')}"), ETag='"v1"')


def moved(request: Request) -> bytes:
    return say({"message": "Moved"}, 301, Location=f"http://{request.header('Host')}{REPO}")


REPO = "/repos/alfa/beta"
LIMITS = {"limit": 5000, "used": 10, "remaining": 4990, "reset": 1767225600}


@pytest.fixture
def server() -> Iterator[RawServer]:
    failures = iter([502, 200] * 2)
    routes: dict[str, Any] = {
        REPO: repo,
        "/repos/alfa/old": moved,
        f"{REPO}/issues": issues,
        f"{REPO}/flaky": lambda _: say({"message": "here"}, next(failures)),
        "/repos/alfa/none": say({"message": "Not Found", "documentation_url": "d"}, 404),
        "/rate_limit": say(
            {"resources": {"core": LIMITS, "search": LIMITS, "graphql": LIMITS}, "rate": LIMITS}
        ),
    }
    with RawServer(responder(routes)) as running:
        yield running


def test_pygithub(server: RawServer, tmp_path: Path) -> None:
    github = pytest.importorskip("github", reason=WHY)

    def use(client: Any) -> Any:
        beta = client.get_repo("alfa/beta")
        with pytest.raises(github.UnknownObjectException) as missing:
            client.get_repo("alfa/none")
        return [
            (beta.full_name, beta.description, beta.etag, beta.raw_headers),
            [(found.number, found.title) for found in beta.get_issues()],
            beta.get_issues().totalCount,
            beta.create_issue(title="new").title,
            beta.update(),
            client.get_repo("alfa/old").full_name,
            (missing.value.status, missing.value.data, str(missing.value)),
            client.rate_limiting,
        ]

    result = record_then_replay(tmp_path, server, pygithub(github, server, use))
    assert [number for number, _ in result[1]] == list(NUMBERS)
    assert result[3] == "new"
    assert result[4] is False, "a 304 said that nothing is new"
    assert result[7] == (4990, 5000)
    assert any(TOKEN in (request.header("Authorization") or "") for request in server.requests)
    assert files_with(tmp_path, TOKEN) == []


def pygithub(github: Any, server: RawServer, use: Callable[[Any], Any]) -> Callable[[Carry], Any]:
    """Return work with a client; its ``requests.Session`` is in no public place to mount on."""

    def run(_: Carry) -> Any:
        client = github.Github(
            auth=github.Auth.Token(TOKEN),
            base_url=server.url,
            per_page=3,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        try:
            return use(client)
        finally:
            client.close()

    return run


def test_pygithubs_retries_are_attempts(server: RawServer, tmp_path: Path) -> None:
    github = pytest.importorskip("github", reason=WHY)

    def use(client: Any) -> Any:
        return client.requester.requestJsonAndCheck("GET", f"{REPO}/flaky")[1]

    assert record_then_replay(tmp_path, server, pygithub(github, server, use))["message"] == "here"
    (call,) = exchanges(tmp_path)
    assert [attempt.status_code for attempt in call.responses] == [502, 200]


def test_github3(server: RawServer, tmp_path: Path, way: str) -> None:
    github3 = pytest.importorskip("github3", reason=WHY)

    def work(carry: Carry) -> Any:
        web = github3.session.GitHubSession()
        web.base_url = server.url
        carry(web)
        client = github3.GitHub(token=TOKEN, session=web)
        with pytest.raises(github3.exceptions.NotFoundError) as missing:
            client._json(client._get(f"{server.url}/repos/alfa/none"), 200)
        pages = client._iter(-1, f"{server.url}{REPO}/issues", Plain, params={"per_page": 2})
        seen = [
            [page.as_dict()["title"] for page in pages],
            (pages.last_status, pages.ratelimit_remaining),
            client._get(f"{server.url}/repos/alfa/old").json()["full_name"],
            (missing.value.code, missing.value.message),
            client.rate_limit()["resources"]["core"],
        ]
        web.close()
        return seen

    class Plain(github3.models.GitHubCore):
        def _update_attributes(self, data: Any) -> None:
            self.title = data["title"]

    result = record_then_replay(tmp_path, server, work, way=way)
    assert result[0] == [f"issue {number}" for number in NUMBERS]
    assert result[3] == (404, "Not Found")
    assert files_with(tmp_path, TOKEN) == []
    with Store(tmp_path, readonly=True) as store:
        assert len(store.sessions()) == 1


def test_auto_asks_only_what_it_has_not(server: RawServer, tmp_path: Path) -> None:
    github = pytest.importorskip("github", reason=WHY)
    work = pygithub(github, server, lambda client: client.get_repo("alfa/beta").description)
    for _ in range(2):
        with IngestSession(SOURCE, tmp_path, "auto", ttl=0):
            assert work(lambda _: None) == "naïve"
    assert [request.header("If-None-Match") for request in server.requests] == [None, '"v1"']
