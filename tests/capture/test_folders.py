"""A relative path is taken where the block begins; the program may then go elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from mxm_dataio import IngestSession, Store, use_cassette
from tests.support.forks import forked
from tests.support.servers import RawServer, answer, responder


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({f"/{n}": answer(200, b"%d" % n) for n in range(4)})) as made:
        yield made


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the program goes to; it begins in ``home``, beside it."""
    for name in ("home", "away"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "away"


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


@pytest.mark.parametrize("by", ["root", "environment"])
def test_a_session_s_root(
    server: RawServer, away: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    home = Path.cwd()
    given = {"root": "kept"} if by == "root" else {}
    if by == "environment":
        monkeypatch.setenv("MXM_DATAIO_ROOT", "kept")
    with IngestSession(source="s", mode="record", **given) as ingest:
        requests.get(f"{server.url}/0", timeout=5)
        os.chdir(away)
        requests.get(f"{server.url}/1", timeout=5)

        def child() -> None:
            os.chdir("/")
            requests.get(f"{server.url}/2", timeout=5)
            # As a program ends that has forked.
            ingest.close()

        assert forked(child) == 0
        response = ingest.request(endpoint=f"{server.url}/3")
        assert response.bytes_path is not None
        assert response.bytes_path.read_bytes() == b"3"
    with Store(home / "kept", readonly=True) as store:
        urls = [
            request.url[-1]
            for session in store.sessions()
            for request in store.requests(session.id)
        ]
    assert sorted(urls) == ["0", "1", "2", "3"]
    assert files(away) == []
    os.chdir(home)
    with IngestSession(source="s", mode="replay", **given):
        os.chdir(away)
        assert requests.get(f"{server.url}/1", timeout=5).content == b"1"


@pytest.mark.parametrize("by", ["block", "decorator"])
def test_a_cassette_s_path(server: RawServer, away: Path, by: str) -> None:
    home = Path.cwd()

    def get() -> bytes:
        os.chdir(away)
        return requests.get(f"{server.url}/1", timeout=5).content

    for _ in range(2):
        os.chdir(home)
        if by == "block":
            with use_cassette("cassettes/a", shared=()):
                assert get() == b"1"
        else:
            assert use_cassette("cassettes/a.json")(get)() == b"1"
    assert server.hits == 1
    assert files(home) == ["cassettes/a.json"]
    assert files(away) == []


@pytest.mark.parametrize("by", ["run", "environment"])
def test_a_run_s_root(server: RawServer, away: Path, by: str) -> None:
    home = Path.cwd()
    get = f"import requests; requests.get({server.url + '/1'!r}, timeout=5)"
    program = f"""
import os, subprocess, sys
os.chdir({str(away)!r})
{get}
subprocess.run([sys.executable, "-c", {get!r}], check=True)
"""
    (away.parent / "program.py").write_text(program)
    words = [sys.executable, str(away.parent / "program.py")]
    environ = dict(os.environ)
    if by == "run":
        words = [sys.executable, "-m", "mxm_dataio.run", "--root", "kept", "--", *words]
    else:
        environ |= {"MXM_DATAIO_AUTO": "1", "MXM_DATAIO_ROOT": "kept"}
    subprocess.run(words, check=True, env=environ, capture_output=True)
    with Store(home / "kept", readonly=True) as store:
        assert sum(len(store.requests(session.id)) for session in store.sessions()) == 2
    assert files(away) == []
