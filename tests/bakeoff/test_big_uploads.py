"""Big streamed uploads: memory stays flat, recorded and replayed, and every byte counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.effort import sampled
from tests.support.servers import Connection, RawServer, answer

MEBIBYTE = 1 << 20
SLACK = 12.0  # MiB
PROCESS = Path("/proc/self/status")

# Runs in a process of its own, and tells by how many MiB its memory's high mark rose meanwhile.
PROGRAM = """
import json, pathlib, sys, time
import requests, urllib3
from mxm_dataio import IngestSession, ReplayMissError, mount

url, root, path, client = sys.argv[1:]
size = pathlib.Path(path).stat().st_size

def high_mark():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

def generator(last=b""):
    with open(path, "rb") as file:
        while part := file.read(1 << 16):
            yield part if file.tell() < size or not last else part[:-1] + last

class Changed:
    # A file, but for its last byte.
    def __init__(self):
        self.parts, self.len = generator(b"!"), size
    def read(self, amount):
        return next(self.parts, b"")
    def __iter__(self):
        return self.parts

def multipart(last):
    yield b'--edge\\r\\nContent-Disposition: form-data; name="a"\\r\\n\\r\\n'
    yield from generator(last)
    yield b"\\r\\n--edge--\\r\\n"

def upload(changed=False):
    if "multipart" in client:
        return post(multipart(b"!" if changed else b""))
    if "generator" in client:
        return post(generator(b"!" if changed else b""))
    with open(path, "rb") as file:
        return post(Changed() if changed else file)

def post(body):
    if client.startswith("urllib3"):
        chunked = "generator" in client
        headers = {} if chunked else {"Content-Length": str(size)}
        with urllib3.PoolManager() as pool:
            answer = pool.urlopen("POST", url, body=body, headers=headers, chunked=chunked)
            return answer.data.decode()
    with requests.Session() as session:
        if client.startswith("mount"):
            mount(session, ingest)
        kind = "multipart/form-data; boundary=edge" if "multipart" in client else "x/y"
        return session.post(url, data=body, headers={"Content-Type": kind}).text

found = {}
ingest = None
# A small call first: what is imported for it is not counted.
for mode in ("off", "record", "replay"):
    with IngestSession("warm", root, mode):
        requests.post(url, data=iter([b"x"])).content
for mode in ("off", "record", "replay"):
    before, clock = high_mark(), time.perf_counter()
    with IngestSession("big", root, mode, hook=not client.startswith("mount")) as ingest:
        if mode == "off" and client.startswith("mount"):
            client, was = client.removeprefix("mount"), client
            text = upload()
            client = was
        else:
            text = upload()
    found[mode] = [text, high_mark() - before, time.perf_counter() - clock]
with IngestSession("big", root, "replay", hook=not client.startswith("mount")) as ingest:
    try:
        upload(changed=True)
    except ReplayMissError:
        found["missed"] = True
    ingest.misses.clear()
print(json.dumps(found))
"""


def drain(connection: Connection) -> None:
    """Count a body without keeping it, and answer with its length on the wire."""
    while True:
        try:
            head = connection.read_head().lower()
        except ConnectionError:
            return
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        total, end = 0, b""
        while total < int(length) if length else end != b"0\r\n\r\n":
            data = connection.receive()
            total += len(data)
            end = (end + data)[-5:]
        connection.send(answer(200, b"%d" % total))


def measured(client: str, mebibytes: int, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "upload"
    with path.open("wb") as file:
        for number in range(mebibytes):
            file.write(b"%016d" % number * (MEBIBYTE // 16))
    with RawServer(drain) as server:
        arguments = [server.url, str(tmp_path / "root"), str(path), client]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True
        )
        connections = server.connections
    assert (done.returncode, done.stderr) == (0, "")
    # Two warm calls and two big ones reached it.
    assert connections == 4
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(client: str, mebibytes: int, tmp_path: Path) -> None:
    if not PROCESS.exists():
        pytest.skip("no /proc to read the memory's high mark from")
    found = measured(client, mebibytes, tmp_path)
    texts = {found[mode][0] for mode in ("off", "record", "replay")}
    assert len(texts) == 1
    assert int(texts.pop()) >= mebibytes * MEBIBYTE
    assert found["missed"]
    for mode in ("record", "replay"):
        assert found[mode][1] < SLACK, (mode, found)


CLIENTS = [
    "requests-file",
    "requests-generator",
    "requests-multipart",
    "mount-file",
    "mount-generator",
    "urllib3-file",
    "urllib3-generator",
]


@pytest.mark.parametrize("client", sampled(CLIENTS))
def test_flat_memory(client: str, tmp_path: Path) -> None:
    check(client, 32, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("client", ["requests-file", "requests-generator", "urllib3-generator"])
def test_flat_memory_with_100_mebibytes(client: str, tmp_path: Path) -> None:
    check(client, 100, tmp_path)
