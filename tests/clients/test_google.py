"""google-api-python-client over httplib2: a resumable upload, whose address is drawn anew."""

from __future__ import annotations

import io
import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.harness import WHY, record_then_replay_by
from tests.support.servers import RawServer, Request, answer, responder

pytest.importorskip("googleapiclient", reason=WHY)
from googleapiclient.discovery import build_from_document
from googleapiclient.http import MediaIoBaseUpload, build_http

CHUNK = 256 << 10
# As much of Drive's as it takes to upload a file.
DISCOVERY: dict[str, Any] = {
    "name": "drive", "version": "v3", "servicePath": "drive/v3/", "batchPath": "batch",
    "schemas": {"File": {"id": "File", "type": "object", "properties": {}}},
    "resources": {"files": {"methods": {"create": {
        "id": "drive.files.create", "path": "files", "httpMethod": "POST", "parameters": {},
        "request": {"$ref": "File"}, "response": {"$ref": "File"},
        "supportsMediaUpload": True,
        "mediaUpload": {"accept": ["*/*"], "protocols": {
            "simple": {"multipart": True, "path": "/upload/drive/v3/files"}}},
    }}}},
}  # fmt: skip


class Drive:
    """As much of it as takes files, in one piece and in several."""

    def __init__(self) -> None:
        self.numbers = itertools.count()

    def __call__(self, request: Request) -> bytes:
        if request.method == "POST" and "uploadType=resumable" in request.target:
            upload = f"http://{request.header('Host')}{request.path}"
            upload += f"?uploadType=resumable&upload_id=ABg5-{uuid.uuid4().hex}"
            return answer(200, b"", headers=[("Location", upload)])
        first, _, rest = (request.header("Content-Range") or "bytes 0-0/1")[6:].partition("-")
        last, _, size = rest.partition("/")
        if int(last) + 1 < int(size):
            return answer(308, b"", headers=[("Range", f"bytes=0-{last}")])
        made = json.dumps({"id": f"f{next(self.numbers)}", "from": int(first)}).encode()
        return answer(200, made, headers=[("Content-Type", "application/json")])


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({"/upload/drive/v3/files": Drive()})) as running:
        yield running


def uploaded(
    url: str,
    content: bytes = b"x" * 2 * CHUNK + b"end",
    *,
    name: str = "night.csv",
    resumable: bool = True,
    begun: str | None = None,
) -> list[Any]:
    """Upload, and return what was said of each chunk."""
    document = {**DISCOVERY, "rootUrl": f"{url}/", "mtlsRootUrl": f"{url}/"}
    with build_from_document(document, http=build_http()) as drive:
        media = MediaIoBaseUpload(io.BytesIO(content), "text/csv", CHUNK, resumable=resumable)
        request = drive.files().create(body={"name": name}, media_body=media)
        if not resumable:
            return [request.execute()]
        if begun is not None:
            request.resumable_uri = f"{url}/upload/drive/v3/files?upload_id={begun}"
        seen, done = [], None
        while done is None:
            status, done = request.next_chunk()
            seen.append(done or status.resumable_progress)
        return seen


def anew() -> str:
    return uuid.uuid4().hex


def stamped() -> bytes:
    return b"x" * CHUNK + anew().encode()


WORKS: dict[str, tuple[Callable[[str], Any], dict[str, Any]]] = {
    # Its address is as it was recorded.
    "an upload": (uploaded, {}),
    "in one piece": (lambda url: uploaded(url, resumable=False), {}),
    "name": (lambda url: uploaded(url, name=anew()), {"ignore_params": ["name"]}),
    "name by its place": (lambda url: uploaded(url, name=anew()), {"ignore_params": ["$.name"]}),
    "name in a part": (
        lambda url: uploaded(url, name=anew(), resumable=False),
        {"ignore_params": ["name"]},
    ),
    "content": (lambda url: uploaded(url, stamped()), {"ignore_body_of": ["*/upload/*"]}),
    "content by view": (
        lambda url: uploaded(url, stamped()),
        {"view": lambda call: call.replace(content=None) if call.method == "PUT" else call},
    ),
    # One that was begun elsewhere.
    "id": (lambda url: uploaded(url, begun=anew()), {"ignore_params": ["upload_id"]}),
}


@pytest.mark.parametrize("kind", WORKS)
def test_an_upload(kind: str, server: RawServer, tmp_path: Path) -> None:
    work, rules = WORKS[kind]
    stdlib = {"stdlib": True}
    seen = record_then_replay_by(
        tmp_path, server, lambda: work(server.url), options=stdlib, **rules
    )
    assert len(seen) == 1 if "piece" in kind or "part" in kind else len(seen) > 1


def test_a_service_at_another_port(server: RawServer, tmp_path: Path) -> None:
    urls = [server.url]
    record_then_replay_by(
        tmp_path,
        server,
        lambda: uploaded(urls[-1]),
        options={"stdlib": True},
        later=lambda: urls.append("http://elsewhere.test:99"),
        match_host=False,
    )
