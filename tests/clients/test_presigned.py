"""boto3's presigned URLs and forms, signed anew for each run and used with requests."""

from __future__ import annotations

import datetime
import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.clients.harness import WHY, files_with, record_then_replay_by
from tests.support.servers import RawServer, Request, answer, responder

boto3 = pytest.importorskip("boto3", reason=WHY)
from botocore import auth, signers  # noqa: E402
from botocore.config import Config  # noqa: E402

KEY, SECRET, TOKEN = "AKIAEXAMPLE0KEY0ID00", "wJalrXUtnFEMI0EXAMPLEKEY", "example-session-token"


class Bucket(dict[str, Any]):
    """Routes of whatever it is asked for."""

    def get(self, path: str, default: Any = None) -> Any:
        def stored(request: Request) -> bytes:
            if request.method == "POST":
                return answer(204, b"", headers=[("ETag", f'"{len(request.body)}"')])
            return answer(200, f"content of {path[:9]}".encode())

        return stored


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder(Bucket())) as running:
        yield running


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each signature is made in a second of its own."""
    seconds = itertools.count()

    def now(remove_tzinfo: bool = True) -> datetime.datetime:
        zone = None if remove_tzinfo else datetime.UTC
        passed = datetime.timedelta(seconds=next(seconds))
        return datetime.datetime(2026, 1, 1, tzinfo=zone) + passed

    for module in (auth, signers):
        monkeypatch.setattr(module, "get_current_datetime", now)


def s3(url: str, signature: str = "s3v4") -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
        config=Config(signature_version=signature, s3={"addressing_style": "path"}),
    )


def got(url: str, key: str = "a.csv", signature: str = "s3v4") -> Any:
    asked = {"Bucket": "bucket", "Key": key}
    return requests.get(s3(url, signature).generate_presigned_url("get_object", asked)).text


def posted(url: str, key: str = "a.csv", content: bytes = b"a,b\n") -> Any:
    form = s3(url).generate_presigned_post("bucket", key)
    sent = requests.post(form["url"], data=form["fields"], files={"file": (key, content)})
    return sent.status_code


def anew() -> str:
    return f"{uuid.uuid4()}.csv"


def without_run(call: Any) -> Any:
    return call.replace(path="/bucket/runs").without("key", "filename")


WORKS: dict[str, tuple[Callable[[str], Any], dict[str, Any]]] = {
    "GET": (got, {}),
    "GET, as of old": (lambda url: got(url, signature="s3"), {}),
    "POST": (posted, {}),
    "GET of a new key": (
        lambda url: got(url, f"runs/{anew()}"),
        {"ignore_params": ["path:/bucket/runs/*"]},
    ),
    "POST of a new key": (
        lambda url: posted(url, anew()),
        {"ignore_params": ["key", "filename"]},
    ),
    "both, by view": (
        lambda url: (got(url, f"runs/{anew()}"), posted(url, anew())),
        {"view": without_run},
    ),
    "POST of new content": (
        lambda url: posted(url, content=anew().encode()),
        {"ignore_body_of": ["*/bucket"]},
    ),
}


@pytest.mark.parametrize("kind", WORKS)
def test_what_is_signed_anew(kind: str, server: RawServer, tmp_path: Path) -> None:
    work, rules = WORKS[kind]
    record_then_replay_by(tmp_path, server, lambda: work(server.url), **rules)
    for text in (KEY, SECRET, TOKEN):
        assert files_with(tmp_path, text) == []


def test_another_endpoint(server: RawServer, tmp_path: Path) -> None:
    urls = [server.url]
    record_then_replay_by(
        tmp_path,
        server,
        lambda: (got(urls[-1]), posted(urls[-1])),
        later=lambda: urls.append("http://elsewhere.test:99"),
        match_host=False,
    )
