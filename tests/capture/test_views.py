"""Calls that are the same but for something, said before they are recorded or afterwards."""

from __future__ import annotations

import json
import re
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from mxm_dataio import Call, IngestSession, ReplayMissError, Store, use_cassette
from tests.support.servers import Connection, RawServer, answer

Client = Callable[[str, int], Any]
Options = dict[str, Any]
XML = "<e:a xmlns:e='u'><e:MessageNo>{}</e:MessageNo><e:b>x</e:b></e:a>"


def echo(connection: Connection) -> None:
    """Answer each request with what it was."""
    while (request := connection.read_request()) is not None:
        said = f"{request.method} {request.target}\n".encode() + request.body
        connection.send(answer(200, said))


@pytest.fixture
def url() -> Iterator[str]:
    with RawServer(echo) as server:
        yield server.url


@pytest.fixture(params=["root", "cassette"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    def made(mode: str, **options: Any) -> AbstractContextManager[Any]:
        if request.param == "root":
            return IngestSession("s", tmp_path / "root", mode, **options)
        return use_cassette(tmp_path / "a.json", mode, **options)

    return made


def query(url: str, run: int) -> Any:
    return requests.get(f"{url}/r", params={"t": run, "x": 1}).text


def head(url: str, run: int) -> Any:
    return requests.get(f"{url}/r", headers={"Range": f"bytes={run}-"}).text


def path(url: str, run: int) -> Any:
    return requests.put(f"{url}/receipts/42/{uuid.UUID(int=run)}.txt", data=b"x").text


def rows(url: str, run: int) -> Any:
    body = {"meta": {"ts": run, "k": 1}, "rows": [{"id": run, "v": 1}, {"id": -run, "v": 2}]}
    with urllib3.PoolManager() as pool:
        return pool.request("POST", f"{url}/r", body=json.dumps(body)).data


def form(url: str, run: int) -> Any:
    return requests.post(f"{url}/f", data={"a": 1, "n": run}).text


def upload(url: str, run: int) -> Any:
    files = {"file": (f"tmp{run}.csv", b"a,b\n")}
    got = requests.post(f"{url}/f", data={"n": run}, files=files).text
    return re.sub(r"--\w{32}", "--", got)


def envelope(url: str, run: int) -> Any:
    request = urllib.request.Request(f"{url}/soap", XML.format(run).encode())
    request.add_header("Content-Type", "text/xml")
    with urllib.request.urlopen(request) as got:
        return got.read()


def text(url: str, run: int) -> Any:
    return requests.post(f"{url}/t?q=1", data=f"run {run}").text


def streamed(url: str, run: int) -> Any:
    return requests.post(f"{url}/t", data=iter([b"run ", str(run).encode()])).text


def elsewhere(url: str, run: int) -> Any:
    return requests.get(f"{url}/r" if run == 1 else "http://elsewhere.test:99/r").text


def as_path(call: Call) -> Call:
    return call.replace(path=re.sub("[0-9a-f-]{36}", "id", call.path))


def as_xml(call: Call) -> Call:
    return call.replace(xml=re.sub(r"MessageNo>\d+<", "MessageNo><", call.xml or ""))


def as_text(call: Call) -> Call:
    return call.replace(text=re.sub(r"\d+", "", call.text or ""))


KINDS: dict[str, tuple[Client, Options]] = {
    "param": (query, {"ignore_params": ["T"]}),
    "param by view": (query, {"view": lambda call: call.without("t")}),
    "header": (head, {"ignore_params": ["header:range"]}),
    "pattern": (path, {"ignore_params": ["path:/receipts/42/*"]}),
    "segment": (path, {"ignore_params": ["path:????????-*.txt"]}),
    "path by view": (path, {"view": as_path}),
    "names": (rows, {"ignore_params": ["ts", "id"]}),
    "places": (rows, {"ignore_params": ["$.meta.ts", "/rows/*/id"]}),
    "places by view": (rows, {"view": lambda call: call.without("$.meta", "$.rows[*].id")}),
    "field": (form, {"ignore_params": ["n"]}),
    "form by view": (form, {"view": lambda call: call.replace(form=dict(call.form, n=0))}),
    "part": (upload, {"ignore_params": ["n", "filename"]}),
    "element": (envelope, {"ignore_params": ["xml:messageno"]}),
    "xml by view": (envelope, {"view": as_xml}),
    "body": (text, {"ignore_body_of": ["*/t*"]}),
    "text by view": (text, {"view": as_text}),
    "stream": (streamed, {"view": as_text}),
    "stream's body": (streamed, {"ignore_body_of": ["*/t"]}),
    "host": (elsewhere, {"match_host": False}),
    "host by view": (elsewhere, {"view": lambda call: call.replace(host="any", port=None)}),
    "by source": (query, {"ignore_params": {"*": ["t"], "other": ["x"]}}),
}


@pytest.mark.parametrize("before", [True, False], ids=["said before", "said afterwards"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_varies_does_not_count(
    kind: str, before: bool, session: Any, url: str, tmp_path: Path
) -> None:
    client, options = KINDS[kind]
    plain = client(url, 1)
    options = {"stdlib": True, **options}
    with session("record", **(options if before else {"stdlib": True})):
        assert client(url, 1) == plain
    with session("replay", **options):
        assert client(url, 2) == plain
    if not before:
        with pytest.raises(ReplayMissError), session("replay", stdlib=True):
            client(url, 2)


def other_rows(url: str, run: int) -> Any:
    body = {"meta": {"ts": run, "k": 2}, "rows": [{"id": run, "v": 1}, {"id": -run, "v": 2}]}
    with urllib3.PoolManager() as pool:
        return pool.request("POST", f"{url}/r", body=json.dumps(body)).data


@pytest.mark.parametrize("before", [True, False])
def test_what_differs_elsewhere_is_another_call(before: bool, session: Any, url: str) -> None:
    for client, other in (
        (query, lambda url, run: requests.get(f"{url}/r", params={"t": run, "x": 2}).text),
        (path, lambda url, run: requests.put(f"{url}/receipts/43/{uuid.UUID(int=1)}.txt", b"x")),
        (rows, other_rows),
    ):
        options = next(made for one, made in KINDS.values() if one is client)
        with session("record", **(options if before else {})):
            client(url, 1)
        with pytest.raises(ReplayMissError), session("replay", **options):
            other(url, 1)


def test_calls_that_became_the_same_answer_in_their_order(session: Any, url: str) -> None:
    with session("record"):
        recorded = [query(url, run) for run in (1, 2, 3)]
    with session("replay", ignore_params=["t"]) as ingest:
        assert [query(url, run) for run in (7, 8, 9)] == recorded
        # And the last once more, as for any call.
        assert query(url, 10) == recorded[-1]
    assert not ingest.misses
    # What was recorded is as it was.
    with session("replay"):
        assert [query(url, run) for run in (3, 1, 2)] == [recorded[2], recorded[0], recorded[1]]


def test_a_view_leaves_the_recording_and_the_traffic_as_they_are(url: str, tmp_path: Path) -> None:
    with use_cassette(tmp_path / "plain" / "a.json"):
        for client in (query, rows, path):
            client(url, 1)
    with use_cassette(
        tmp_path / "seen" / "a.json", view=lambda call: call.replace(path="/x", json=1)
    ):
        for client in (query, rows, path):
            client(url, 1)
    assert (tmp_path / "plain" / "a.json").read_text() == (tmp_path / "seen" / "a.json").read_text()


@pytest.mark.parametrize("more", [{"ignore_params": ["t"]}, {"ignore_params": ["path:*r"]}])
def test_what_was_recorded_under_a_view_replays_under_more(
    more: Options, session: Any, url: str
) -> None:
    """Though the view has another call of each that it has made."""

    def tagged(call: Call) -> Call:
        return call.replace(path=f"/v1{call.path}", params=[*call.params, ("tag", "1")])

    with session("record", view=tagged):
        recorded = [query(url, 1), query(url, 1)]
    with session("replay", view=tagged, **more):
        run = 2 if "t" in more["ignore_params"] else 1
        assert [query(url, run) for _ in recorded] == recorded
    with pytest.raises(ReplayMissError), session("replay", view=tagged, **more):
        requests.get(f"{url}/r", params={"x": 2})


def test_a_body_of_nothing_is_none_of_a_view(session: Any, url: str) -> None:
    bodies = []

    def looking(call: Call) -> Call:
        bodies.append((call.content, call.text, call.xml, call.json, call.form))
        return call.replace(path="/seen", text=f"{call.text}")

    for mode in ("record", "replay"):
        with session(mode, view=looking):
            requests.post(url, data=iter([]))
            with urllib3.PoolManager() as pool:
                pool.request("POST", url, body=b"")
            requests.post(url, json=None)
    assert set(bodies) == {(None,) * 5}


def test_auto_serves_what_it_sees_as_the_same(url: str, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, "record"):
        first = query(url, 1)
    with IngestSession("s", tmp_path, "auto", ignore_params=["t"]):
        assert query(url, 2) == first
    with Store(tmp_path) as store:
        one, two = store.sessions()
        (recorded,), (served,) = store.requests(one.id), store.requests(two.id)
    assert served.served_from == recorded.id


def test_the_newest_recording_answers_by_whatever_rules_it_was_made(
    url: str, tmp_path: Path
) -> None:
    """The older is found by its hash, the newer only by how it is seen."""
    rules = {"view": lambda call: call.without("t")}
    with IngestSession("s", tmp_path, "record", **rules):
        query(url, 1)
    with IngestSession("s", tmp_path, "record"):
        newer = query(url, 2)
    with IngestSession("s", tmp_path, "replay", **rules):
        assert query(url, 3) == newer


def test_a_miss_compares_as_the_session_does(url: str, tmp_path: Path) -> None:
    with IngestSession("s", tmp_path, "record"):
        query(url, 1)
    with (
        pytest.raises(ReplayMissError) as miss,
        IngestSession("s", tmp_path, "replay", ignore_params=["t"]),
    ):
        requests.get(f"{url}/r", params={"t": 2, "x": 5})
    (near,) = miss.value.nearest
    assert near.ignorable == ("x",)
    assert "'t'" not in str(near.differences)
