"""What can't be captured is said: libraries past urllib3, forks and versions not known."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import ConfigError, DataIOWarning, IngestSession, Status, mount
from mxm_dataio.coverage import libraries
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT
from tests.support.harness import SOURCE
from tests.support.servers import RawServer, answer, responder

BYPASSING = libraries._BYPASSING
FORKED = find_spec("urllib3_future") is not None
captured_only = pytest.mark.skipif(FORKED, reason="a fork stands in urllib3's place")


@pytest.fixture
def server() -> Any:
    with RawServer(responder({"/": answer(200, b"hello")})) as running:
        yield running


def coverage_of(ingest: IngestSession) -> list[str]:
    return [said for said in ingest.session.warnings if said.startswith("coverage: ")]


HTTPX = """
import sys
import mxm_dataio
with mxm_dataio.IngestSession("test", sys.argv[1], "record"):
    import httpx
for mode in ("record", "replay"):
    with mxm_dataio.IngestSession("test", sys.argv[1], mode) as ingest:
        assert httpx.get(sys.argv[2]).content == b"hello"
        (said,) = ingest.session.warnings
    assert "httpx" in said
    assert ingest.session.warnings == (said,)
    assert ingest.session.status == "complete"
"""


@captured_only
def test_a_library_past_urllib3_is_named(server: RawServer, tmp_path: Path) -> None:
    # In a process of its own: httpx would stay loaded for the tests that follow.
    subprocess.run([sys.executable, "-c", HTTPX, str(tmp_path), server.url], check=True)
    assert server.hits == 2
    with RecordingStore(tmp_path) as store:
        sessions = store.sessions()
        assert len(sessions) == 2
        for stored in sessions:
            (said,) = stored.warnings
            assert said.startswith("coverage: ")
            assert "httpx" in said
            assert not list(store.exchanges(stored.id))


@captured_only
@pytest.mark.parametrize("name", ["aiohttp", "curl_cffi", "pycurl", "tornado.httpclient"])
def test_one_loaded_meanwhile_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "_BYPASSING", BYPASSING)
    with IngestSession(SOURCE, tmp_path) as ingest:
        assert all(name not in said for said in coverage_of(ingest))
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    (said,) = coverage_of(ingest)
    assert name in said


@captured_only
def test_a_vendored_urllib3_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("urllib3", "urllib3.connectionpool"):
        monkeypatch.setitem(sys.modules, f"shop._vendor.{name}", ModuleType(name))
    with IngestSession(SOURCE, tmp_path) as ingest:
        pass
    (said,) = coverage_of(ingest)
    assert "shop._vendor.urllib3" in said
    assert "requests.packages" not in said, "that one is urllib3 itself"


@captured_only
def test_what_a_session_does_not_claim_is_not_its_warning(tmp_path: Path) -> None:
    for options in ({"hook": False}, {"mode": "off"}):
        with (
            IngestSession(SOURCE, tmp_path, **options) as ingest,  # type: ignore[arg-type]
            requests.Session() as session,
            mount(session, ingest),
        ):
            pass
        assert coverage_of(ingest) == []


PROGRAM = """
import sys, warnings
import mxm_dataio
warnings.simplefilter("always")
with mxm_dataio.IngestSession("test", sys.argv[1], sys.argv[2]) as ingest:
    print("the program runs")
print(ingest.session.status.value)
print(ingest.session.warnings)
"""
CONNECTIONS = {
    "3.0.1": "import http.client\nclass HTTPConnection(http.client.HTTPConnection): pass\n",
    "1.25.11": "import http.client\nclass HTTPConnection(http.client.HTTPConnection): pass\n",
    "2.9.900": "class HTTPConnection: pass\n",
}


@pytest.mark.parametrize("version", CONNECTIONS)
def test_an_unknown_urllib3_is_left_alone_and_named(version: str, tmp_path: Path) -> None:
    package = tmp_path / "path" / "urllib3"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"__version__ = {version!r}\n")
    (package / "connection.py").write_text(CONNECTIONS[version])
    path = os.pathsep.join([str(package.parent), str(CHECKOUT)])

    def run(mode: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "root"), mode],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    recorded = run("record")
    assert recorded.returncode == 0, recorded.stderr
    running, status, said = recorded.stdout.splitlines()
    assert (running, status) == ("the program runs", "incomplete")
    assert version in said
    assert version in recorded.stderr
    replayed = run("replay")
    assert replayed.returncode == 1
    assert "the program runs" not in replayed.stdout
    named = "" if version[0] == "2" else f"urllib3 {version} "
    assert f"ConfigError: coverage: calls through {named}" in replayed.stderr


@captured_only
def test_a_mounted_session_on_an_unknown_requests_passes(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "__version__", "3.0.0")
    _a_mounted_session_passes("requests 3.0.0", server, tmp_path)


@pytest.mark.skipif(not FORKED, reason="urllib3-future is not installed")
class TestFork:
    """Run where ``pip install urllib3-future`` has replaced urllib3 (``make test-fork``)."""

    def test_it_is_named_and_the_program_goes_on(self, server: RawServer, tmp_path: Path) -> None:
        ingest = IngestSession(SOURCE, tmp_path)
        with pytest.warns(DataIOWarning, match="urllib3-future"):
            ingest.open()
        with contextlib.closing(ingest), urllib3.PoolManager() as pool:
            assert requests.get(server.url).content == b"hello"
            assert pool.request("GET", server.url).data == b"hello"
        assert any("urllib3-future" in said for said in coverage_of(ingest))
        assert ingest.session.status is Status.INCOMPLETE

    def test_replay_does_not_begin(self, server: RawServer, tmp_path: Path) -> None:
        with pytest.warns(DataIOWarning), IngestSession(SOURCE, tmp_path):
            pass
        with (
            pytest.raises(ConfigError, match="urllib3-future"),
            IngestSession(SOURCE, tmp_path, "replay"),
        ):
            requests.get(server.url)
        assert server.hits == 0

    def test_a_mounted_session_passes(self, server: RawServer, tmp_path: Path) -> None:
        _a_mounted_session_passes("urllib3-future", server, tmp_path)


def _a_mounted_session_passes(named: str, server: RawServer, tmp_path: Path) -> None:
    """Recording, its calls go through and the session says so; in replay they are refused."""
    with (
        IngestSession(SOURCE, tmp_path, hook=False) as ingest,
        requests.Session() as session,
        mount(session, ingest),
        pytest.warns(DataIOWarning, match=named),
    ):
        assert session.get(server.url).content == b"hello"
    assert named in coverage_of(ingest)[0]
    hits = server.hits
    with (
        IngestSession(SOURCE, tmp_path, "replay", hook=False) as ingest,
        requests.Session() as session,
        mount(session, ingest),
        pytest.raises(ConfigError, match=named),
    ):
        session.get(server.url)
    assert server.hits == hits
