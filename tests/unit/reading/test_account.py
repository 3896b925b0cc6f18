"""What of a session was captured and what went past it, as a value and on the command line."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from mxm_dataio import IngestSession, StoreError, register, unregister
from mxm_dataio.api import capture_of
from mxm_dataio.cli import main
from mxm_dataio.models import Unseen
from mxm_dataio.reading.account import account_of
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.forks import forked
from tests.support.servers import RawServer, answer, responder

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({"/": answer(200, b"hello"), "/b": answer(200, b"b")})) as running:
        yield running


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["coverage", "--root", str(root), *arguments])


def past(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)):
        pass


def with_a_child(server: RawServer, root: Path) -> tuple[str, str]:
    """Record a session of one call, and a child's of two that goes past it twice."""
    with IngestSession("scraper", root, watch=True) as ingest:
        requests.get(server.url)

        def child() -> None:
            requests.get(server.url)
            requests.get(f"http://localhost:{server.port}/b?secret=1")
            past(server.port)
            past(server.port)
            ingest.close()

        assert forked(child) == 0
        past(server.port)
    with RecordingStore(root) as store:
        parent, own = store.sessions()
    return parent.id, own.id


def test_a_session_and_its_children_are_one(server: RawServer, tmp_path: Path) -> None:
    parent, child = with_a_child(server, tmp_path)
    with IngestSession("other", tmp_path, watch=True):
        requests.get(server.url)
    with RootStore(tmp_path, readonly=True) as store:
        whole, part = account_of(store, parent), account_of(store, child)
        with pytest.raises(StoreError, match="no session x is recorded"):
            account_of(store, "x")
    local = f"127.0.0.1:{server.port}"
    assert whole.hosts == {local: 2, f"localhost:{server.port}": 1}
    assert whole.calls == 3
    assert whole.unseen == (Unseen("connection", local, 3, __name__),)
    assert [one.id for one in whole.sessions] == [parent, child]
    assert whole.session.id == parent
    assert not whole.ok
    assert (part.calls, part.unseen) == (2, (Unseen("connection", local, 2, __name__),))


def test_the_latest_is_no_child(server: RawServer, tmp_path: Path) -> None:
    parent, _ = with_a_child(server, tmp_path)
    assert parent in run(tmp_path).output
    assert parent in run(tmp_path, "latest").output


def test_calls_without_a_host_are_their_source_s(tmp_path: Path) -> None:
    class Own:
        def fetch(self, _request: object) -> bytes:
            return b"own"

    register("share", Own())
    try:
        with IngestSession("share", tmp_path, watch=True) as ingest:
            ingest.request("folder/file")
            ingest.request("//[")
    finally:
        unregister("share")
    with RootStore(tmp_path, readonly=True) as store:
        account = account_of(store, ingest.id)
    assert account.hosts == {"share": 2}
    assert account.ok


def test_the_command_says_both(server: RawServer, tmp_path: Path) -> None:
    parent, child = with_a_child(server, tmp_path)
    done = run(tmp_path)
    assert done.exit_code == 1
    text = " ".join(done.output.split())
    assert text.startswith(f"session {parent} scraper, ")
    assert "record, complete, with 1 child session" in text
    assert f"captured: 3 calls, 2 hosts 127.0.0.1:{server.port} 2" in text
    assert "not captured: 1 finding" in text
    assert f"connection 127.0.0.1:{server.port} ×3 by {__name__}" in text
    assert "Not seen by anyone" in text
    assert f"session {child}" in run(tmp_path, child).output
    assert run(tmp_path, child[:-1]).exit_code == 1


def test_the_command_as_json(server: RawServer, tmp_path: Path) -> None:
    parent, child = with_a_child(server, tmp_path)
    done = run(tmp_path, "--json", parent)
    assert done.exit_code == 1
    lines = [json.loads(line) for line in done.output.splitlines()]
    local = f"127.0.0.1:{server.port}"
    assert [line["type"] for line in lines] == (
        ["session", "unseen", "session", "unseen", "host", "host", "coverage"]
    )
    assert [line["id"] for line in lines if line["type"] == "session"] == [parent, child]
    assert lines[3] == {
        "type": "unseen", "session": child, "kind": "connection", "name": local, "times": 2,
        "caller": __name__,
    }  # fmt: skip
    assert lines[-1] == {
        "type": "coverage", "id": parent, "ok": False, "sessions": 2, "unwatched": 0, "calls": 3,
        "unseen": 1, "left_out": 0,
    }  # fmt: skip


def test_nothing_unseen_is_status_0(server: RawServer, tmp_path: Path) -> None:
    with IngestSession("scraper", tmp_path, watch=True):
        requests.get(server.url)
    done = run(tmp_path)
    assert done.exit_code == 0
    assert "not captured: nothing that was seen" in done.output


def test_not_watched_is_status_1_and_said(tmp_path: Path) -> None:
    with IngestSession("scraper", tmp_path):
        pass
    done = run(tmp_path)
    assert done.exit_code == 1
    assert "not known: it was not watched" in done.output
    assert "nothing that was seen" not in done.output
    (line,) = [json.loads(line) for line in run(tmp_path, "--json").output.splitlines()][-1:]
    assert (line["ok"], line["unwatched"]) == (False, 1)


def test_interrupted_is_said(tmp_path: Path) -> None:
    forked(lambda: IngestSession("scraper", tmp_path).open())
    assert "not known: it was interrupted" in run(tmp_path).output


def test_a_library_says_what_it_connects_by(tmp_path: Path) -> None:
    with IngestSession("scraper", tmp_path, watch=True) as ingest:
        watch = capture_of(ingest).watch
        assert watch is not None
        watch._add("library", "pycurl", "shop")
        watch._add("process", "\x1b[2Jcurl", "")
    text = " ".join(run(tmp_path).output.split())
    assert "library pycurl loaded; connects by libcurl, imported by shop" in text
    assert "\x1b" not in text


def test_no_session_is_status_2(tmp_path: Path) -> None:
    assert run(tmp_path / "none").exit_code == 2
    RecordingStore(tmp_path).close()
    assert run(tmp_path).exit_code == 2
    done = run(tmp_path, "0123")
    assert done.exit_code == 2
    assert "no session 0123" in done.output
