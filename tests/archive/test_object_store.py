"""The object store: the same of each kind, and errors that are ours and tell no secret."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.archive import object_store
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.errors import IntegrityError, StoreError
from tests.support.servers import RawServer, answer

from .servers import KEY, SECRET, settings


@pytest.fixture(params=["memory", "folder", "s3", pytest.param("weed", marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return ObjectStore(request.getfixturevalue(request.param))


def test_what_is_created_stays(store: ObjectStore) -> None:
    assert store.create("a/source=x%2Fy/é b.bin", b"first")
    assert not store.create("a/source=x%2Fy/é b.bin", memoryview(b"other"))
    found = store.get("a/source=x%2Fy/é b.bin", 10)
    assert found is not None
    assert found.content == b"first"
    assert [one.name for one in store.list("a")] == ["a/source=x%2Fy/é b.bin"]
    assert [one.size for one in store.list("")] == [5]


def test_what_is_not_there(store: ObjectStore) -> None:
    assert store.head("a") is None
    assert store.get("a", 10) is None
    assert list(store.list("a")) == []
    with pytest.raises(IntegrityError, match="is missing"):
        list(store.chunks("a", 3))
    store.delete(["a", "b"])


def test_no_more_is_read_than_is_asked_for(store: ObjectStore) -> None:
    store.put("a", b"x" * 100)
    with pytest.raises(IntegrityError, match="too large"):
        store.get("a", 99)
    with pytest.raises(IntegrityError, match="has 100 bytes, and 99 are due"):
        list(store.chunks("a", 99))
    assert b"".join(store.chunks("a", 100)) == b"x" * 100


def test_what_is_put_replaces_and_what_is_deleted_is_gone(store: ObjectStore) -> None:
    store.put("a", b"1")
    store.put("a", b"22")
    head = store.head("a")
    assert head is not None
    assert head.size == 2
    store.delete(["a", "nothing"])
    assert store.head("a") is None


def test_a_large_one_by_parts_is_there_whole_or_not_at_all(store: ObjectStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (9 << 20)
        raise IntegrityError("damaged")

    with pytest.raises(IntegrityError, match="damaged"):
        store.put_parts("a", broken(), 20 << 20)
    assert store.head("a") is None
    store.put_parts("a", iter([b"x" * (3 << 20)] * 4), 12 << 20)
    assert sum(map(len, store.chunks("a", 12 << 20))) == 12 << 20


def test_reading_makes_no_folder(folder: str, tmp_path: Path) -> None:
    store = ObjectStore(folder)
    assert list(store.list("")) == []
    assert not (tmp_path / "archive").exists()
    store.create("a", b"")
    assert (tmp_path / "archive" / "of the year").stat().st_mode & 0o777 == 0o700
    assert [one.name for one in store.list("")] == ["a"]


# -- errors ------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_RETRIES", 1)
    monkeypatch.setattr(object_store, "_LONGEST_WAIT", 0.01)
    monkeypatch.setattr(object_store, "_CREATIONS", 2)


def refused(store: ObjectStore, what: str) -> str:
    """Return what each way of using a store says, if it is the same."""
    said = set()
    for use in (
        lambda: store.create("a", b"1"), lambda: store.put("a", b"1"), lambda: store.get("a", 9),
        lambda: store.put_parts("a", [b"1"], 1), lambda: store.head("a"),
        lambda: list(store.list("a")), lambda: list(store.chunks("a", 1)),
    ):  # fmt: skip
        with pytest.raises(StoreError) as raised:
            use()
        text = str(raised.value)
        assert raised.value.__cause__ is None
        # Of what is written by parts the library says less.
        assert what in text or "the store can't be reached" in text, text
        said.add(text)
    return "\n".join(said)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "code", "what"),
    [
        (503, "SlowDown", "the store answered 503 Service Unavailable"),
        (403, "SignatureDoesNotMatch", "the store answered 403 Forbidden"),
        (400, "InvalidRequest", "the store answered 400 Bad Request"),
    ],
)
def test_an_answer_that_refuses(
    status: int, code: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"<Error><Code>{code}</Code><AWSAccessKeyId>{KEY}</AWSAccessKeyId>hidden</Error>"

    def handle(connection: Any) -> None:
        while connection.read_request():
            connection.send(answer(status, body.encode()))

    with RawServer(handle) as server:
        for name, value in settings(f"http://user:hidden@127.0.0.1:{server.port}").items():
            monkeypatch.setenv(name, value)
        said = refused(ObjectStore("s3://bucket/p"), what)
        assert f"({code})" in said
        assert not any(secret in said for secret in ("hidden", KEY, SECRET))


@pytest.mark.usefixtures("impatient")
def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings("http://user:hidden@127.0.0.1:1/?key=hidden").items():
        monkeypatch.setenv(name, value)
    said = refused(ObjectStore("s3://bucket/p"), "Connection refused")
    assert "hidden" not in said


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(lambda connection: None) as server:
        for name, value in settings(f"http://127.0.0.1:{server.port}").items():
            monkeypatch.setenv(name, value)
        refused(ObjectStore("s3://bucket/p"), "the connection broke off")


def test_a_creation_that_timed_out_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have come through: then the next says that it is there, and by whom does not count."""
    asked: list[str] = []

    def handle(connection: Any) -> None:
        while request := connection.read_request():
            asked.append(request.method)
            if len(asked) == 1:
                time.sleep(1.5)
                return
            connection.send(answer(412))

    with RawServer(handle) as server:
        for name, value in settings(f"http://127.0.0.1:{server.port}").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_TIMEOUT", "300ms")
        assert not ObjectStore("s3://bucket/p").create("a", b"1")
    assert asked == ["PUT", "PUT"]


@pytest.mark.usefixtures("impatient")
def test_plain_http_may_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "false")
    refused(ObjectStore("s3://bucket/p"), "AWS_ALLOW_HTTP=true is not in the environment")


@pytest.mark.usefixtures("impatient")
def test_a_conflict_is_no_object_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3's 409 (ConditionalRequestConflict) says that another creation is under way."""
    asked: list[str] = []

    def handle(connection: Any) -> None:
        while request := connection.read_request():
            asked.append(request.method)
            if request.method == "HEAD":
                connection.send(answer(404))
            elif asked.count("PUT") == 1:
                connection.send(answer(409, b"<Error><Code>Conflict</Code></Error>"))
            else:
                connection.send(answer(200, headers=[("ETag", '"1"')]))

    with RawServer(handle) as server:
        for name, value in settings(f"http://127.0.0.1:{server.port}").items():
            monkeypatch.setenv(name, value)
        assert ObjectStore("s3://bucket/p").create("a", b"1")
    assert asked == ["PUT", "HEAD", "PUT"]


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    with pytest.raises(StoreError, match="there are no credentials") as raised:
        ObjectStore("s3://bucket/p")
    assert "hidden" not in str(raised.value)
