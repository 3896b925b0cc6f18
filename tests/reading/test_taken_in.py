"""Sessions that came from another root read as they do at home, and replay as they do there."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError, Store
from mxm_dataio.integrity.foreign import put_foreign
from mxm_dataio.integrity.verify import verify_root
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.servers import RawServer, answer, responder
from tests.trust.small import carried, carry, fill, with_pruned
from tests.unit.cli.running import run


@pytest.fixture
def server() -> Iterator[RawServer]:
    said = iter(range(1000))
    routes = {name: lambda _: answer(200, str(next(said)).encode()) for name in ("/a", "/b")}
    with RawServer(responder(routes)) as running:
        yield running


def record(server: RawServer, root: Path, *paths: str, mode: str = "record") -> list[str]:
    with IngestSession("s", root, mode, as_of="2025-01-01"):
        return [requests.get(f"{server.url}{path}").text for path in paths]


def replay(server: RawServer, root: Path, *paths: str) -> list[str]:
    return record(server, root, *paths, mode="replay")


def lines(*words: object) -> list[Any]:
    done = run(*words)
    assert done.exit_code in (0, 1), done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


COMMANDS = [
    ("sessions",), ("requests",), ("stats",), ("coverage",), ("diff", "{first}", "{second}"),
    ("show", "{first}"), ("show", "{call}"), ("requests", "{second}"), ("prove", "{second}"),
    ("sql", "SELECT * FROM calls ORDER BY id"), ("sql", "SELECT * FROM attempts ORDER BY id"),
    ("sql", "SELECT * FROM sessions ORDER BY id"),
    ("sql", "SELECT * FROM headers ORDER BY call_id, sequence, place"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_say_the_same_of_them(tmp_path: Path, command: tuple[str, ...]) -> None:
    origin, root = tmp_path / "origin" / "root", tmp_path / "other" / "root"
    first, second, _ = fill(origin)
    with_pruned(origin)
    carry(origin, root)
    with Store(origin) as store:
        call = store.requests(first)[1].id
    words = [word.format(first=first, second=second, call=call) for word in command]

    def said(where: Path) -> list[Any]:
        text = json.dumps(lines(*words, "--root", where, "--json"))
        return json.loads(text.replace(str(where), "ROOT"))  # type: ignore[no-any-return]

    assert said(root) == said(origin) != []


def test_the_report_of_one_says_where_it_is_proved(tmp_path: Path) -> None:
    first, *_ = fill(tmp_path / "origin")
    carry(tmp_path / "origin", tmp_path / "root")
    for root in ("origin", "root"):
        done = run(
            "report", first, "--root", tmp_path / root, "--output", tmp_path / f"{root}.html"
        )
        assert done.exit_code == 0, done.output
    with Store(tmp_path / "root") as store:
        proof = json.loads(run("prove", first, "--root", tmp_path / "root").stdout)
        assert list(store.calls(session=first)) != []
    with RootStore(tmp_path / "origin") as origin:
        store_id = origin.catalog.store_id()
    text = (tmp_path / "root.html").read_text()
    assert f"leaf 0 of the store {store_id}, whose head was {proof['head']}" in text


def test_a_root_of_both_lists_both(tmp_path: Path) -> None:
    here, there = fill(tmp_path / "root"), fill(tmp_path / "origin")
    carry(tmp_path / "origin", tmp_path / "root")
    found = [one["id"] for one in lines("sessions", "--root", tmp_path / "root", "--json")]
    assert sorted(found) == sorted(one for one in (*here, *there) if one in found)
    assert {here[0], there[0]} < set(found)
    with Store(tmp_path / "root") as store:
        assert len(list(store.calls())) == 16
        assert {one.id for one in store.sessions()} == {*here, *there}
    assert run("head", "--root", tmp_path / "root").stdout.startswith("mxm-dataio-head 1 3 ")


@pytest.mark.parametrize("seed", range(3))
def test_it_replays_as_at_home(tmp_path: Path, server: RawServer, seed: int) -> None:
    origin, root = tmp_path / "origin", tmp_path / "root"
    record(server, origin, "/a", "/a", "/b")
    record(server, origin, "/a", "/a")
    record(server, origin, "/b", "/a")
    wanted = replay(server, origin, "/a", "/a", "/b", "/b")
    made = carried(origin)
    random.Random(seed).shuffle(made)
    with RecordingStore(root) as store:
        assert all(put_foreign(store.catalog, *one) for one in made)
    carry(origin, root)
    assert replay(server, root, "/a", "/a", "/b", "/b") == wanted
    with pytest.raises(ReplayMissError):
        replay(server, root, "/c")


def test_what_is_recorded_here_since_is_newer(tmp_path: Path, server: RawServer) -> None:
    origin, root = tmp_path / "origin", tmp_path / "root"
    record(server, origin, "/a")
    carry(origin, root)
    assert replay(server, root, "/a") == ["0"]
    assert record(server, root, "/a") == replay(server, root, "/a") == ["1"]
    # What was answered from one that came is sealed here like any other.
    assert record(server, root, "/a", mode="auto") == ["1"]
    record(server, origin, "/a")
    carry(origin, root)
    assert replay(server, root, "/a") == ["2"]
    assert record(server, root, "/a", mode="auto") == ["2"]
    assert verify_root(root).findings == ()


def test_prune_by_hand(tmp_path: Path, server: RawServer) -> None:
    origin, root = tmp_path / "origin", tmp_path / "root"
    record(server, origin, "/a")
    record(server, root, "/b")
    carry(origin, root)
    with Store(origin) as store:
        (id,) = [one.id for one in store.sessions()]
    done = run("prune", "--session", id, "--yes", "--root", root)
    assert done.exit_code == 0, done.output
    with pytest.raises(ReplayMissError):
        replay(server, root, "/a")
    assert replay(server, root, "/b") == ["1"]
    checked = run("verify", "--root", root)
    assert (checked.exit_code, id in checked.stdout) == (0, True), checked.output
