"""What a rule means for other places: hidden there too, or not; and a rule that fails."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from mxm_dataio import (
    IngestSession,
    StoreError,
    use_cassette,
)
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.storage.recording_store import RecordingStore
from tests.redaction.ruled import (
    OTHER,
    SECRET,
    WAYS,
    hiding,
    in_root,
    leaks,
)
from tests.support.servers import Connection, RawServer, answer, responder


def test_what_makes_requests_the_same_hides_nothing(tmp_path: Path) -> None:
    def rule(place: str, name: str, value: str) -> str | None:
        if name == "fields":
            return ",".join(sorted(value.split(",")))
        return "RUN" if name == "run" else None

    def serve(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            query = {k: v[0] for k, v in parse_qs(urlsplit(request.target).query).items()}
            connection.send(answer(200, json.dumps(query).encode()))

    def ask(fields: str, run: str) -> Any:
        return requests.get(server.url, params={"fields": fields, "run": run}, timeout=5).json()

    with RawServer(serve) as server:
        for way in WAYS:
            with way(tmp_path, "record", DEFAULT.adding(rule)):
                said = ask("price,volume,name", SECRET)
                assert said == {"fields": "price,volume,name", "run": SECRET}
            with way(tmp_path, "replay", DEFAULT.adding(rule)):
                said = ask("volume,name,price", OTHER)
                assert said == {"fields": "price,volume,name", "run": "RUN"}
    assert leaks(tmp_path, SECRET) == []


def test_what_a_rule_keeps_stays(tmp_path: Path) -> None:
    body = f'{{"access_token": "{SECRET}", "refresh_token": "{OTHER}"}}'.encode()
    mine = DEFAULT.adding(
        lambda place, name, value: (
            value if (place, name) == ("answer_json", "access_token") else None
        )
    )
    with RawServer(responder({"/": answer(200, body)})) as server:
        for mode in ("record", "replay"):
            with in_root(tmp_path, mode, mine):
                got = requests.get(server.url, timeout=5).json()
    assert got == {"access_token": SECRET, "refresh_token": "REDACTED"}


@pytest.mark.parametrize("value", [SECRET, "jane.roe@corp.example"])
def test_the_programs_own_stays(value: str, tmp_path: Path) -> None:
    """Calls that send what is hidden in their answers, or in later ones, replay."""
    body = f'{{"id": "{value}"}}'.encode()
    mine = hiding("answer_json", "id")
    with RawServer(responder({"/": answer(200, body), "/new": answer(201)})) as server:

        def work(first: bool) -> Any:
            if not first:
                requests.post(f"{server.url}/new", json={"mail": value}, timeout=5)
            return requests.get(server.url, {"id": value} if first else {}, timeout=5).json()

        for way in WAYS:
            for first in (True, False):
                folder = tmp_path / str(first)
                folder.mkdir(exist_ok=True)
                with way(folder, "record", mine):
                    assert work(first) == {"id": value}
                with way(folder, "replay", mine):
                    assert work(first) == {"id": "HIDDEN"}


def test_one_rule_for_what_is_sent_and_what_comes_back(tmp_path: Path) -> None:
    def rule(place: str, name: str, value: str) -> str | None:
        return "HIDDEN" if name == "id" and place in ("query", "answer_json") else None

    def serve(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            query = parse_qs(urlsplit(request.target).query)
            connection.send(answer(200, json.dumps({"id": query.get("id", [""])[0]}).encode()))

    def work(value: str) -> None:
        got = requests.get(server.url, {"id": value}, timeout=5).json()["id"]
        for back in (got, value):
            requests.post(f"{server.url}/new", json={"by": back}, timeout=5)
            requests.get(f"{server.url}/new/{back}", timeout=5)

    with RawServer(serve) as server:
        for way in WAYS:
            with way(tmp_path, "record", DEFAULT.adding(rule)):
                work(SECRET)
            with way(tmp_path, "replay", DEFAULT.adding(rule)):
                work(OTHER)
    assert leaks(tmp_path, SECRET) == []


def test_what_is_learned_late_is_found_by_its_mark(tmp_path: Path) -> None:
    """A value that a rule hides a call later is masked before as any other is."""
    mine = DEFAULT.adding(
        lambda place, name, value: "RUN" if (place, name) == ("query", "run") else None
    )
    routes = {f"/runs/{one}": answer(200, b"fine") for one in (SECRET, OTHER)}

    def work(run: str) -> None:
        assert requests.get(f"{server.url}/runs/{run}", timeout=5).text == "fine"
        requests.get(server.url, {"run": run}, timeout=5)
        assert requests.get(f"{server.url}/runs/{run}", timeout=5).text == "fine"

    with RawServer(responder({**routes, "/": answer(200)})) as server:
        for way in WAYS:
            with way(tmp_path, "record", mine):
                work(SECRET)
            with way(tmp_path, "replay", mine):
                work(OTHER)
    assert leaks(tmp_path, SECRET) == []


@pytest.mark.parametrize("how", ["raises", "returns"])
@pytest.mark.parametrize(
    "place", ["answer_header", "answer_json", "answer_xml", "answer_text", "path"]
)
def test_a_rule_that_fails(place: str, how: str, tmp_path: Path) -> None:
    def rule(where: str, name: str, value: str) -> Any:
        if where == place:
            return 1 if how == "returns" else dict[str, str]()[value]
        return None

    bodies = {"answer_json": f'{{"a": "{SECRET}"}}', "answer_xml": f"<a>{SECRET}</a>"}
    routes = {f"/{SECRET}": answer(200, bodies.get(place, f"is {SECRET}").encode())}
    said = r"raised TypeError \(it returned int\)" if how == "returns" else "raised KeyError"
    mine = DEFAULT.adding(rule)
    with RawServer(responder(routes)) as server:
        with (
            pytest.warns(UserWarning, match=f"'rule' {said} for the {place}") as caught,
            IngestSession("s", tmp_path, redaction=mine),
        ):
            got = requests.get(f"{server.url}/{SECRET}", timeout=5)
        assert SECRET in got.text
        if place == "path":
            assert not [one for one in caught if SECRET in str(one.message)]
        with (
            pytest.raises(StoreError, match="redaction rule 'rule'"),
            IngestSession("s", tmp_path / "b", redaction=mine, strict=True),
        ):
            requests.get(f"{server.url}/{SECRET}", timeout=5)
        # A test fails, though the program goes on.
        with (
            pytest.raises(StoreError, match="redaction rule 'rule'"),
            use_cassette(tmp_path / "a.json", redaction=mine),
            contextlib.suppress(StoreError),
        ):
            requests.get(f"{server.url}/{SECRET}", timeout=5)
    with RecordingStore(tmp_path) as store:
        assert not [*store.exchanges(store.sessions()[0].id)]
    assert leaks(tmp_path, f"is {SECRET}", f'"{SECRET}"', f">{SECRET}<") == []
