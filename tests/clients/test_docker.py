"""The Docker client: over a unix socket, with streams and with a connection it takes over."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import Status
from tests.clients.harness import WHY, Carry, exchanges, record_then_replay, session
from tests.clients.servers import Talk
from tests.support.servers import answer

docker = pytest.importorskip("docker", reason=WHY)
from docker.utils.socket import frames_iter  # noqa: E402

ID = "4e9f0c5c4c"
IMAGE = "sha256:" + "ab" * 32
PULL = [{"status": "Pulling"}, {"status": "Downloading", "progress": "é"}, {"status": "Done"}]
LINES = [(1, b"first\n"), (2, b"careful\n"), (1, b"last\n" * 2000)]
OUTPUT = b"".join(text for _, text in LINES)


def frames(lines: list[tuple[int, bytes]]) -> bytes:
    """Return lines as Docker multiplexes standard output and error."""
    return b"".join(struct.pack(">BxxxL", fd, len(text)) + text for fd, text in lines)


def as_json(value: Any, status: int = 200) -> bytes:
    return answer(
        status, json.dumps(value).encode(), headers=[("Content-Type", "application/json")]
    )


def details(**more: Any) -> dict[str, Any]:
    return {
        "Id": ID,
        "Name": "/box",
        "State": {"Status": "running"},
        "Config": {"Tty": False, "Labels": {}},
        "HostConfig": {"LogConfig": {"Type": "json-file"}},
        **more,
    }


def route(method: str, path: str) -> bytes:
    path = path.removeprefix("/v1.44")
    json_lines = "\r\n".join(map(json.dumps, PULL)).encode() + b"\r\n"
    routes = {
        "/version": lambda: as_json({"Version": "26", "ApiVersion": "1.44"}),
        "/containers/json": lambda: as_json([{"Id": ID}]),
        f"/containers/{ID}/json": lambda: as_json(details()),
        f"/containers/{ID}/logs": lambda: answer(200, frames(LINES), chunked=[8, 6, 100, 3000]),
        f"/containers/{ID}/stop": lambda: answer(204),
        f"/containers/{ID}/exec": lambda: as_json({"Id": "e1"}, 201),
        "/exec/e1/json": lambda: as_json({"ExitCode": 3}),
        "/images/json": lambda: as_json([{"Id": IMAGE}]),
        f"/images/{IMAGE}/json": lambda: as_json({"Id": IMAGE, "RepoTags": ["alfa:1"]}),
        "/images/alfa:1/json": lambda: as_json({"Id": IMAGE, "RepoTags": ["alfa:1"]}),
        "/images/create": lambda: answer(200, json_lines, chunked=[25, 30]),
    }
    missing = lambda: as_json({"message": f"no such thing: {path}"}, 404)  # noqa: E731
    return routes.get(path, missing)()


def daemon(talk: Talk, reader: Any, send: Any) -> None:
    while (headers := talk.head(reader)) is not None:
        method, target, _ = talk.heard[-1].decode().split(" ", 2)
        talk.body(reader, headers)
        path = target.partition("?")[0]
        if path.endswith("/exec/e1/start"):
            # From here on the connection is no HTTP.
            send(
                b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            )
            if reader.readline() == b"go\n":
                send(frames(LINES))
            return
        send(route(method, path))


@pytest.fixture
def engine() -> Iterator[Talk]:
    # The paths of unix sockets have to be short.
    with tempfile.TemporaryDirectory(prefix="engine") as folder:
        server = Talk(daemon, path=f"{folder}/d.sock")
        yield server
        server.stop()


def using(server: Talk, work: Callable[[Any], Any]) -> Callable[[Carry], Any]:
    def run(carry: Carry) -> Any:
        client = docker.DockerClient(base_url=server.url, version="1.44", timeout=10)
        carry(client.api)
        try:
            return work(client)
        finally:
            client.close()

    return run


def errors(work: Callable[[], Any]) -> Any:
    with pytest.raises(docker.errors.APIError) as caught:
        work()
    return type(caught.value).__name__, str(caught.value), caught.value.explanation


def test_containers_and_images(engine: Talk, tmp_path: Path, way: str) -> None:
    def work(client: Any) -> Any:
        (box,) = client.containers.list()
        box.stop()
        return [
            client.version(),
            (box.name, box.status, box.attrs),
            [image.tags for image in client.images.list()],
            client.images.pull("alfa", tag="1").id,
            list(client.api.pull("alfa", tag="1", stream=True, decode=True)),
            errors(lambda: client.containers.get("none")),
        ]

    result = record_then_replay(tmp_path, engine, using(engine, work), way=way)
    assert result[1][:2] == ("box", "running")
    assert result[4] == PULL
    assert result[5][0] == "NotFound"
    (pulled, *_) = [c for c in exchanges(tmp_path) if "/images/create" in c.request.url]
    assert pulled.answer.size == sum(len(json.dumps(line)) + 2 for line in PULL)


def test_streams_of_logs(engine: Talk, tmp_path: Path, way: str) -> None:
    def work(client: Any) -> Any:
        box = client.containers.get(ID)
        return [
            box.logs(),
            list(box.logs(stream=True)),
            list(client.api.logs(ID, stream=True, follow=True)),
        ]

    result = record_then_replay(tmp_path, engine, using(engine, work), way=way)
    assert result[0] == OUTPUT
    assert b"".join(result[1]) == b"".join(result[2]) == OUTPUT
    logs = [c for c in exchanges(tmp_path) if "/logs" in c.request.url]
    assert [c.answer.size for c in logs] == [len(frames(LINES))] * 3
    assert all(c.request.status is Status.COMPLETE for c in logs)


def test_connections_are_kept_alive_alike(engine: Talk, tmp_path: Path, way: str) -> None:
    work = using(engine, lambda client: [client.version() for _ in range(5)])
    record_then_replay(tmp_path, engine, work, way=way)
    assert engine.connections == 2


def test_a_connection_taken_over_is_not_harmed(engine: Talk, tmp_path: Path, way: str) -> None:
    def work(client: Any) -> Any:
        sock = client.containers.get(ID).exec_run("cat", stdin=True, socket=True).output
        # The client ties the socket and its response into a cycle, and closes neither.
        with contextlib.closing(sock._response):
            kind = isinstance(sock, socket.SocketIO)
            sock._sock.sendall(b"go\n")
            return kind, list(frames_iter(sock, tty=False))

    run = using(engine, work)
    plain = run(lambda _: None)
    assert (plain[0], b"".join(text for _, text in plain[1])) == (True, OUTPUT)
    with session(tmp_path, "record", way) as (ingest, carry):
        recorded = run(carry)
    assert recorded[0] is True
    assert b"".join(text for _, text in recorded[1]) == OUTPUT
    assert ingest.session.warnings == ()
    # What was said after the upgrade is no HTTP: it is not replayed, and not silently so.
    hits = engine.hits
    with session(tmp_path, "replay", way) as (_, carry), pytest.raises(AttributeError):
        run(carry)
    assert engine.hits == hits
