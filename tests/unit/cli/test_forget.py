"""``mxm-dataio forget``: a call that answers none, and is recorded all the same."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError, StoreError
from mxm_dataio.identity import identify
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.replay.lookup import Lookup
from mxm_dataio.storage.catalog.migrations import MIGRATIONS
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.old_schemas import make_older
from tests.support.recorded import Recorder, Try
from tests.support.servers import RawServer, answer, responder
from tests.unit.cli.running import Screen, fits, run, values

URL = "http://h.test/a"


@pytest.fixture
def server() -> Iterator[RawServer]:
    said = iter(range(100))
    with RawServer(responder({"/x": lambda _: answer(200, str(next(said)).encode())})) as made:
        yield made


def get(root: Path, server: RawServer, mode: str) -> str:
    with IngestSession("s", root, mode):
        return requests.get(f"{server.url}/x").text


def newest(root: Path) -> str:
    return str(values("requests", "--root", root)[-1]["id"])


def test_replay_misses_it_and_auto_asks_again(root: Path, server: RawServer) -> None:
    assert get(root, server, "record") == "0"
    assert get(root, server, "auto") == "0", "answered from the store"
    id = newest(root)
    done = run("forget", id[-8:], "--root", root)
    assert done.exit_code == 0
    assert "replay misses it, auto asks again" in done.stdout
    with pytest.raises(ReplayMissError, match=f"forgotten: mxm-dataio forget --undo {id[:8]}"):
        get(root, server, "replay")
    assert get(root, server, "auto") == "1"
    assert get(root, server, "auto") == get(root, server, "replay") == "1"
    assert verify_root(root).ok


def test_undone_it_answers_again(root: Path, server: RawServer) -> None:
    get(root, server, "record")
    id = newest(root)
    (said,) = values("forget", id, "--root", root)
    assert (said["forgotten"], said["changed"], said["answered_by"]) == (True, True, None)
    assert values("forget", id, "--root", root)[0]["changed"] is False
    assert values("requests", "--root", root)[0]["forgotten_at"]
    assert values("show", id, "--root", root)[0]["forgotten_at"]
    (said,) = values("forget", id, "--undo", "--root", root)
    assert (said["forgotten"], said["changed"]) == (False, True)
    assert get(root, server, "replay") == "0"
    assert values("requests", "--root", root)[0]["forgotten_at"] is None
    assert "was not forgotten" in run("forget", id, "--undo", "--root", root).stdout


def test_an_older_recording_answers_in_its_place(root: Path, server: RawServer) -> None:
    assert [get(root, server, "record") for _ in range(3)] == ["0", "1", "2"]
    for expected in ("1", "0"):
        (said,) = values("forget", newest_served(root), "--root", root)
        assert said["answered_by"]
        assert get(root, server, "replay") == expected


def newest_served(root: Path) -> str:
    calls = [one for one in values("requests", "--root", root) if not one["forgotten_at"]]
    return str(calls[-1]["id"])


def test_of_a_child_process_and_one_of_several(root: Path) -> None:
    with RecordingStore(root) as store:
        parent = Recorder.begin(store)
        child = Recorder.begin(store, parent.session)
        made = [one.call(URL, Try(), at=at) for at, one in enumerate((parent, child, parent))]
        child.end(3)
        parent.end(4)
    assert run("forget", made[1], "--root", root).exit_code == 0
    with RootStore(root, readonly=True) as store:
        for pinned in (None, parent.session.id):
            lookup = Lookup(store, "market", root_id=pinned)
            found = [lookup.find(identify("GET", URL))[0] for _ in range(3)]
            ids = [one.request.id for one in found if one]
            assert ids == [made[0], made[2], made[2]]


def test_it_is_shown_and_left_out_of_an_export(root: Path, screen: Screen, tmp_path: Path) -> None:
    with RecordingStore(root) as store:
        recorder = Recorder.begin(store)
        id, other = recorder.call(URL, Try()), recorder.call(URL + "/2", Try())
        recorder.end(1)
    lines = screen("forget", id, "--root", root)
    assert fits(lines)
    assert lines[1] == "  forgotten"
    assert "200 forgotten" in "\n".join(screen("requests", "--root", root))
    assert "UTC: it answers none" in "\n".join(screen("show", id, "--root", root))
    assert run("requests", "--root", root).stdout.count("200 forgotten") == 1
    page = tmp_path / "page.html"
    assert run("report", recorder.session.id, "-o", page, "--root", root).exit_code == 0
    assert '"forgotten":[' in page.read_text()
    file = tmp_path / "kept.json"
    done = run("export", recorder.session.id, "-o", file, "--root", root)
    assert "1 call of market; 1 call left out, which were forgotten" in done.stdout
    assert [one["request"]["url"] for one in json.loads(file.read_text())["calls"]] == [URL + "/2"]
    assert other


def test_what_is_not_there(root: Path, tmp_path: Path) -> None:
    assert run("forget", "abc", "--root", root).exit_code == 2
    assert not root.exists()
    with RecordingStore(root) as store:
        recorder = Recorder.begin(store)
        recorder.call(URL, Try())
        recorder.end(1)
        with pytest.raises(StoreError, match="no call"):
            store.forget("none")
    for text in ("nothing", recorder.session.id):
        done = run("forget", text, "--root", root)
        assert (done.exit_code, "no call" in done.stderr) == (2, True)


def test_a_root_of_before_is_read_as_it_is_and_grows_when_it_is_written_to(
    root: Path, server: RawServer
) -> None:
    get(root, server, "record")
    before = get(root, server, "replay")
    old = root / "dataio.sqlite"
    content = make_older(root, 1)
    shutil.rmtree(root / "running", ignore_errors=True)
    assert get(root, server, "replay") == before
    assert verify_root(root).ok
    assert [one["forgotten_at"] for one in values("requests", "--root", root)] == [None]
    assert old.read_bytes() == content
    assert run("forget", newest(root), "--root", root).exit_code == 0
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    with pytest.raises(ReplayMissError):
        get(root, server, "replay")
