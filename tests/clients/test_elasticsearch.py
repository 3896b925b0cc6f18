"""The Elasticsearch client, on urllib3 without ``requests``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.harness import WHY, Carry, exchanges, files_with, record_then_replay
from tests.support.servers import RawServer, Request, answer

elasticsearch = pytest.importorskip("elasticsearch", reason=WHY)
from elasticsearch import helpers  # noqa: E402

PASSWORD, API_KEY = "example-elastic-password", "ZXhhbXBsZS1lbGFzdGljLWtleQ=="
HOT = [("X-Elastic-Product", "Elasticsearch"), ("Content-Type", "application/json")]
DOCUMENTS = [{"symbol": f"S{n}", "close": n + 0.25} for n in range(7)]


class Node:
    """As much of a node as the client asks for: documents by name, searches in pages."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.stumbles = 0

    def __call__(self, request: Request) -> bytes:
        body = request.body.decode()
        path = request.path.strip("/")
        if path == "":
            return self.say({"version": {"number": "8.0.0"}, "tagline": "You Know, for Search"})
        if path == "_bulk":
            lines = [json.loads(line) for line in body.splitlines()]
            for action, document in zip(lines[::2], lines[1::2], strict=True):
                self.documents[action["index"]["_id"]] = document
            done = [{"index": {**line["index"], "status": 201}} for line in lines[::2]]
            return self.say({"errors": False, "items": done})
        if path.endswith("/_search"):
            return self.page(0, json.loads(body or "{}").get("size", 10))
        if path == "_search/scroll" and request.method == "POST":
            return self.page(*map(int, json.loads(body)["scroll_id"].split("-")))
        if path == "_search/scroll":
            return self.say({"succeeded": True})
        if path == "_cluster/health":
            self.stumbles += 1
            wrong = self.stumbles % 2 == 1
            return self.say({"status": "green"}, 503 if wrong else 200)
        _, _, name = path.split("/")
        if request.method == "PUT":
            self.documents[name] = json.loads(body)
            return self.say({"result": "created", "_id": name}, 201)
        if name in self.documents:
            return self.say({"found": True, "_source": self.documents[name]})
        return self.say({"found": False, "_id": name}, 404)

    def page(self, start: int, size: int) -> bytes:
        names = sorted(self.documents)[start : start + size]
        hits = [{"_id": name, "_source": self.documents[name]} for name in names]
        return self.say(
            {
                "_scroll_id": f"{start + size}-{size}",
                "_shards": {"successful": 1, "skipped": 0, "failed": 0, "total": 1},
                "hits": {"total": {"value": len(self.documents)}, "hits": hits},
            }
        )

    def say(self, value: Any, status: int = 200) -> bytes:
        return answer(status, json.dumps(value).encode(), headers=HOT)


@pytest.fixture
def server() -> Iterator[RawServer]:
    node = Node()

    def handle(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            said = node(request)
            if request.method == "HEAD":
                said = said.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            connection.send(said)

    with RawServer(handle) as running:
        yield running


def using(server: RawServer, work: Callable[[Any], Any], **options: Any) -> Callable[[Carry], Any]:
    def run(_: Carry) -> Any:
        with elasticsearch.Elasticsearch(server.url, **options) as client:
            return work(client)

    return run


def errors(work: Callable[[], Any]) -> Any:
    with pytest.raises(elasticsearch.ApiError) as caught:
        work()
    return type(caught.value).__name__, caught.value.status_code, caught.value.body


def facts(result: Any) -> Any:
    """Return an answer of the API as plain data, how long it took left out."""
    meta = result.meta
    return result.body, meta.status, meta.http_version, dict(meta.headers)


def use(client: Any) -> Any:
    # A fixed split into two requests; the paging of a scroll is the helper's.
    actions = [
        {"_op_type": "index", "_index": "closes", "_id": doc["symbol"], "_source": doc}
        for doc in DOCUMENTS
    ]
    return [
        facts(client.info()),
        facts(client.index(index="closes", id="S9", document={"symbol": "S9"})),
        helpers.bulk(client, actions, chunk_size=4),
        facts(client.search(index="closes", query={"match_all": {}}, size=3)),
        [hit["_id"] for hit in helpers.scan(client, index="closes", size=3)],
        facts(client.get(index="closes", id="S3")),
        errors(lambda: client.get(index="closes", id="none")),
        bool(client.exists(index="closes", id="none")),
    ]


def test_index_search_bulk_scroll(server: RawServer, tmp_path: Path) -> None:
    work = using(server, use, basic_auth=("elastic", PASSWORD))
    result = record_then_replay(tmp_path, server, work)
    assert result[2] == (7, [])
    assert result[4] == [*(f"S{n}" for n in range(7)), "S9"]
    assert result[6][:2] == ("NotFoundError", 404)
    sent = [request.header("Authorization") or "" for request in server.requests]
    assert all(text.startswith("Basic ") for text in sent)
    for text in (PASSWORD, sent[0].removeprefix("Basic ")):
        assert files_with(tmp_path, text) == []


def test_an_api_key(server: RawServer, tmp_path: Path) -> None:
    work = using(server, lambda client: facts(client.info()), api_key=API_KEY)
    record_then_replay(tmp_path, server, work)
    assert server.requests[1].header("Authorization") == f"ApiKey {API_KEY}"
    assert files_with(tmp_path, API_KEY) == []


def test_the_transports_own_retries(server: RawServer, tmp_path: Path) -> None:
    options = {"retry_on_status": [503], "max_retries": 2}
    work = using(server, lambda client: facts(client.cluster.health()), **options)
    result = record_then_replay(tmp_path, server, work)
    assert result[:2] == ({"status": "green"}, 200)
    assert [c.answer.status_code for c in exchanges(tmp_path)] == [503, 200]
