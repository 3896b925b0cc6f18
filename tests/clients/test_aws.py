"""boto3, whose connections are urllib3's with methods of their own (``Expect: 100-continue``)."""

from __future__ import annotations

import datetime
import io
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import Status
from tests.clients.harness import WHY, Carry, exchanges, files_with, record_then_replay, session
from tests.clients.servers import Talk
from tests.support.servers import tls_server

boto3 = pytest.importorskip("boto3", reason=WHY)
moto_server = pytest.importorskip("moto.server", reason=WHY)

from botocore import auth, exceptions  # noqa: E402
from botocore.config import Config  # noqa: E402
from moto.moto_server.werkzeug_app import MotoRequestHandler  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

KEY, SECRET, TOKEN = "AKIAEXAMPLE0KEY0ID00", "wJalrXUtnFEMI0EXAMPLEKEY", "example-session-token"
ONCE = {"total_max_attempts": 1}


class Moto:
    """A moto server that counts."""

    def __init__(self) -> None:
        app = moto_server.DomainDispatcherApplication(moto_server.create_backend_app)
        self.requests: list[dict[str, Any]] = []

        def counting(environ: dict[str, Any], start: Any) -> Any:
            self.requests.append(environ)
            return app(environ, start)

        self._server = make_server(
            "127.0.0.1", 0, counting, threaded=True, request_handler=MotoRequestHandler
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.port}"

    @property
    def hits(self) -> int:
        return len(self.requests)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def moto() -> Iterator[Moto]:
    server = Moto()
    requests.post(f"{server.url}/moto-api/reset").raise_for_status()
    yield server
    server.stop()


def client(service: str, url: str, verify: str | None = None, **settings: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        verify=verify,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
        config=Config(**{"retries": ONCE, "s3": {"addressing_style": "path"}, **settings}),
    )


def clock(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    """Have botocore sign as on a day, with ids of that day."""

    def now(remove_tzinfo: bool = True) -> datetime.datetime:
        return datetime.datetime(2026, 1, day, tzinfo=None if remove_tzinfo else datetime.UTC)

    monkeypatch.setattr(auth, "get_current_datetime", now)
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=day))


def error(work: Callable[[], Any]) -> Any:
    """Return an error of botocore with its class, words and response."""
    with pytest.raises((exceptions.BotoCoreError, exceptions.ClientError)) as caught:
        work()
    return type(caught.value).__name__, str(caught.value), getattr(caught.value, "response", None)


def ageless(result: Any) -> Any:
    """Return a result without what moto makes anew for each request."""
    if isinstance(result, dict):
        changing = ("date", "modified", "requestid", "hostid", "request-id", "id-2", "uploadid")
        # The length of a time in JSON differs too.
        changing += ("creationdatetime", "tableid", "tablearn", "crc32", "content-length")
        return {
            name: ageless(value)
            for name, value in result.items()
            if not name.lower().endswith(changing)
        }
    return [ageless(item) for item in result] if isinstance(result, (list, tuple)) else result


def s3_work(url: str) -> Any:
    s3 = client("s3", url)
    s3.create_bucket(Bucket="bucket")
    seen = [s3.put_object(Bucket="bucket", Key=f"k{n}", Body=b"%d" % n) for n in range(4)]
    seen.append(s3.put_object(Bucket="bucket", Key="file", Body=io.BytesIO(b"x" * 100_000)))
    upload = s3.create_multipart_upload(Bucket="bucket", Key="big")["UploadId"]
    parts = []
    for number in (1, 2):
        part = s3.upload_part(
            Bucket="bucket",
            Key="big",
            UploadId=upload,
            PartNumber=number,
            Body=io.BytesIO(b"%d" % number * (5 << 20)),
        )
        parts.append({"ETag": part["ETag"], "PartNumber": number})
    seen.append(
        s3.complete_multipart_upload(
            Bucket="bucket", Key="big", UploadId=upload, MultipartUpload={"Parts": parts}
        )
    )
    around = s3.get_object(Bucket="bucket", Key="big", Range="bytes=5242877-5242882")
    seen.append(around["Body"].read())
    streamed = s3.get_object(Bucket="bucket", Key="file")["Body"]
    seen.append([streamed.read(10), *streamed.iter_chunks(40_000)])
    lines = s3.get_object(Bucket="bucket", Key="k1")["Body"]
    seen.append(list(lines.iter_lines()))
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="bucket", PaginationConfig={"PageSize": 2}
    )
    seen.append([item["Key"] for page in pages for item in page["Contents"]])
    seen.append(error(lambda: s3.get_object(Bucket="bucket", Key="none")))
    seen.append(error(lambda: s3.head_object(Bucket="bucket", Key="none")))
    # Through s3transfer, in threads of its own.
    target = io.BytesIO()
    s3.download_fileobj("bucket", "big", target)
    seen.append(target.getvalue() == b"1" * (5 << 20) + b"2" * (5 << 20))
    s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "k0"}]})
    s3.close()
    return seen


def test_s3(moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(_: Carry) -> Any:
        clock(monkeypatch, next(days))
        result = s3_work(moto.url)
        return result

    days = iter((1, 2, 3))
    result = record_then_replay(tmp_path, moto, work, same=ageless)
    assert result[6] == b"111222"
    assert result[9] == ["big", "file", "k0", "k1", "k2", "k3"]
    assert result[10][2]["Error"]["Code"] == "NoSuchKey"
    assert result[11][2]["ResponseMetadata"]["HTTPStatusCode"] == 404
    signed = [e["HTTP_AUTHORIZATION"] for e in moto.requests if "HTTP_AUTHORIZATION" in e]
    assert len(signed) > 40
    assert all("/s3/aws4_request" in text for text in signed)
    for text in {SECRET, KEY, TOKEN, *(text.partition("Signature=")[2] for text in signed)}:
        assert files_with(tmp_path, text) == []


def test_dynamodb(moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(_: Carry) -> Any:
        clock(monkeypatch, next(days))
        db = client("dynamodb", moto.url)
        key = {"id": {"S": "1"}}
        seen = [
            db.create_table(
                TableName="table",
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            ),
            db.put_item(TableName="table", Item={**key, "price": {"N": "70.25"}}),
            db.get_item(TableName="table", Key=key),
            db.scan(TableName="table"),
            error(lambda: db.get_item(TableName="none", Key=key)),
            db.delete_table(TableName="table"),
        ]
        db.close()
        return seen

    days = iter((1, 2, 3))
    result = record_then_replay(tmp_path, moto, work, same=ageless)
    assert result[2]["Item"]["price"] == {"N": "70.25"}
    assert result[4][2]["Error"]["Code"] == "ResourceNotFoundException"
    assert files_with(tmp_path, SECRET) + files_with(tmp_path, TOKEN) == []


def test_a_presigned_url_replays_with_another_signature(
    moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(carry: Carry) -> Any:
        clock(monkeypatch, next(days))
        s3 = client("s3", moto.url, signature_version="s3v4")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
        urls.append(url)
        s3.close()
        with requests.Session() as web:
            carry(web)
            return web.get(url).text

    s3 = client("s3", moto.url)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"content")
    s3.close()
    urls: list[str] = []
    days = iter((1, 2, 3))
    assert record_then_replay(tmp_path, moto, work) == "content"
    assert len({url.partition("X-Amz-Signature=")[2] for url in urls}) == 3
    for text in (TOKEN, KEY, urls[1].partition("X-Amz-Signature=")[2]):
        assert files_with(tmp_path, text) == []


def stores(talk: Talk, reader: Any, send: Any) -> None:
    """Take uploads, asked for with 100 Continue."""
    while (headers := talk.head(reader)) is not None:
        if headers.get("expect") == "100-continue":
            send(b"HTTP/1.1 100 Continue\r\n\r\n")
        talk.body(reader, headers)
        send(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n')


class NoRewind(io.RawIOBase):
    """A stream that can be read once, so that its checksum has to follow in a trailer."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._content.read(size)

    def readable(self) -> bool:
        return True


BODIES: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"x" * 70_000,
    "file": lambda: io.BytesIO(b"y" * 70_000),
    "empty": lambda: b"",
}


@pytest.mark.parametrize("name", BODIES)
def test_an_upload_is_the_same_to_the_byte(
    name: str, talk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = talk(stores)
    heard = uploads(server, tmp_path, monkeypatch, BODIES[name])
    assert heard.startswith(b"PUT /bucket/key HTTP/1.1\r\n")
    assert b"\r\nExpect: 100-continue\r\n" in heard


@pytest.mark.parametrize("name", ["bytes", "file", "once"])
def test_a_checksum_in_a_trailer_is_the_same_to_the_byte(
    name: str, talk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = tls_server(tmp_path)
    server = talk(stores, tls=context)
    make = BODIES.get(name, lambda: NoRewind(b"z" * 70_000))
    heard = uploads(server, tmp_path / "root", monkeypatch, make, authority)
    assert b"\r\nContent-Encoding: aws-chunked\r\n" in heard
    assert b"\r\n0\r\nx-amz-checksum-crc32:" in heard


def uploads(
    server: Talk,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Any],
    authority: str | None = None,
) -> bytes:
    """Upload plainly, recorded and replayed; return the bytes that the server received."""

    def work(_: Carry) -> Any:
        mark = len(server.heard)
        s3 = client("s3", server.url, authority)
        answers = [s3.put_object(Bucket="bucket", Key="key", Body=make()) for _ in range(2)]
        s3.close()
        heard.append(b"".join(server.heard[mark:]))
        return answers

    clock(monkeypatch, 1)
    heard: list[bytes] = []
    record_then_replay(root, server, work)
    assert server.connections == 2, "one each for the plain and the recorded uploads"
    plain, recorded, replayed = heard
    assert plain == recorded
    assert replayed == b""
    return plain


def test_an_answer_in_place_of_100_continue(
    talk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # botocore reads its status line itself, from the socket; the rest is read as ever.
    body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"

    def refuses(talk: Talk, reader: Any, send: Any) -> None:
        if talk.head(reader) is not None:
            send(
                b"HTTP/1.1 403 Forbidden\r\nx-amz-request-id: 1\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    def work(_: Carry) -> Any:
        s3 = client("s3", server.url)
        seen = error(lambda: s3.put_object(Bucket="bucket", Key="key", Body=b"x" * 70_000))
        s3.close()
        return seen

    clock(monkeypatch, 1)
    server = talk(refuses)
    result = record_then_replay(tmp_path, server, work)
    assert result[2]["Error"] == {"Code": "AccessDenied", "Message": "no"}
    (call,) = exchanges(tmp_path)
    assert (call.answer.status_code, call.answer.reason) == (403, "Forbidden")
    assert call.answer.head.startswith(b"HTTP/1.1 403 Forbidden\r\nx-amz-request-id: 1\r\n")
    assert call.request.status is Status.COMPLETE


def test_retries_above_urllib3(talk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(talk: Talk, reader: Any, send: Any) -> None:
        while (headers := talk.head(reader)) is not None:
            if headers.get("expect"):
                send(b"HTTP/1.1 100 Continue\r\n\r\n")
            talk.body(reader, headers)
            status = b"200 OK" if talk.hits % 3 == 0 else b"503 Slow Down"
            send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)

    def work(_: Carry) -> Any:
        s3 = client("s3", server.url, retries={"total_max_attempts": 4, "mode": "standard"})
        seen = s3.put_object(Bucket="bucket", Key="key", Body=io.BytesIO(b"content"))
        s3.close()
        return seen["ResponseMetadata"]

    # The waiting is botocore's, above what is recorded.
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    server = talk(stumbles)
    result = record_then_replay(tmp_path, server, work)
    assert result["RetryAttempts"] == 2
    assert [c.answer.status_code for c in exchanges(tmp_path)] == [503, 503, 200]


def test_a_read_timeout(talk: Any, tmp_path: Path) -> None:
    def stalls(talk: Talk, reader: Any, send: Any) -> None:
        while talk.head(reader) is not None:
            if talk.heard[-1].startswith(b"GET /bucket/body"):
                send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            # Nothing more, until the client leaves.

    def work(_: Carry) -> Any:
        s3 = client("s3", server.url, read_timeout=0.4)
        head = error(lambda: s3.get_object(Bucket="bucket", Key="head"))
        body = s3.get_object(Bucket="bucket", Key="body")["Body"]
        seen = [head, body.read(5), error(body.read)[0]]
        s3.close()
        return seen

    server = talk(stalls)
    start = server.hits
    plain = work(lambda _: None)
    with session(tmp_path, "record") as (_, carry):
        assert work(carry) == plain
    assert server.hits - start == 4
    server.stop()
    with session(tmp_path, "replay") as (_, carry):
        assert work(carry) == plain
    assert plain[0][0] == plain[2] == "ReadTimeoutError"
    assert plain[1] == b"first"


def test_a_body_left_half_read(talk: Any, tmp_path: Path) -> None:
    def serves(talk: Talk, reader: Any, send: Any) -> None:
        while (headers := talk.head(reader)) is not None:
            talk.body(reader, headers)
            send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")

    def work(_: Carry) -> Any:
        s3 = client("s3", server.url)
        with s3.get_object(Bucket="bucket", Key="key")["Body"] as body:
            seen = [body.read(4), body.tell()]
        seen += [s3.get_object(Bucket="bucket", Key="key")["Body"].read()]
        s3.close()
        return seen

    server = talk(serves)
    assert record_then_replay(tmp_path, server, work) == [b"0123", 4, b"0123456789"]
