"""What vcrpy recorded with an option replays with what the option is here, and so does our own."""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import vcr
from click.testing import CliRunner

from mxm_dataio import IngestSession, Mode, ReplayMissError, Store, use_cassette
from mxm_dataio.cli import main
from mxm_dataio.errors import ConfigError, DataIOWarning, StoreError
from mxm_dataio.vcr_options import from_vcr
from tests.support.servers import Connection, RawServer, responder
from tests.support.servers import answer as answered

# Of a run, the first or the second, its URL and a way of its own to ask.
Client = Callable[[str, int], Any]
Own = dict[str, Callable[[Any], Any]]


def answer(connection: Connection) -> None:
    while (request := connection.read_request()) is not None:
        told = {"asked": request.target, "sent": request.body.decode("latin-1")}
        body = json.dumps(told).encode("ascii")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        connection.send(head.encode("ascii") + b"\r\n\r\n" + body)


@pytest.fixture
def market() -> Iterator[RawServer]:
    with RawServer(answer) as server:
        yield server


class Switch:
    """A program under vcrpy, then under us with its cassette, and with one of our own."""

    def __init__(self, folder: Path, options: dict[str, Any], own: Own) -> None:
        self.folder = folder
        self.recorder = vcr.VCR()
        for name, key in own.items():
            self.recorder.register_matcher(name, lambda a, b, key=key: key(a) == key(b))
        self.theirs = options
        self.ours = from_vcr(options, matchers=own)

    def record(self, url: str, client: Client) -> Any:
        with self.recorder.use_cassette(str(self.folder / "their.yaml"), **self.theirs):
            seen = client(url, 1)
        with use_cassette(self.folder / "our.json", "record", **self.ours):
            assert client(url, 1) == seen
        done = CliRunner().invoke(main, ["import", str(self.folder / "their.yaml")])
        assert done.exit_code == 0, done.output
        return seen

    def replay(self, name: str, url: str, client: Client) -> Any:
        with use_cassette(self.folder / f"{name}.json", "none", **self.ours):
            return client(url, 2)


def get(path: str, **given: Any) -> Client:
    """Return a client that asks for a path, in which ``{run}`` is the number of the run."""
    return lambda url, run: requests.get(url + path.format(run=run), timeout=5, **given).json()


def sends(**given: Callable[[int], Any]) -> Client:
    """Return a client that posts what depends on the run."""
    return lambda url, run: requests.post(
        f"{url}/sent", timeout=5, **{name: body(run) for name, body in given.items()}
    ).json()


def elsewhere(url: str, run: int) -> Any:
    return get("/a")(url if run == 1 else "http://other.test:99", run)


def other_port(url: str, run: int) -> Any:
    return get("/a")(url if run == 1 else "http://127.0.0.1:9", run)


def any_method(url: str, run: int) -> Any:
    return requests.request(["GET", "PUT"][run - 1], f"{url}/a", timeout=5).json()


def in_any_case(url: str, run: int) -> Any:
    return get(["/aB", "/Ab"][run - 1])(url, run)


def ranged(url: str, run: int) -> Any:
    headers = {"Range": f"bytes={run}-", "Accept": f"text/{run}"}
    return requests.get(f"{url}/a", headers=headers, timeout=5).json()


def with_header(url: str, run: int) -> Any:
    return requests.get(f"{url}/a", headers={"X-Mine": f"of-run-{run}"}, timeout=5).json()


def in_many_places(url: str, run: int) -> Any:
    key = "k-5c1f7b"
    address, fields = f"{url}/of/{key}?in={key}", {"key": key, "note": f"is {key}"}
    answer = requests.post(address, data=fields, headers={"X-Mine": key}, timeout=5)
    return answer.status_code


LOW: Own = {"low": lambda request: request.path.lower()}


@pytest.mark.parametrize(
    ("options", "client", "own"),
    [
        ({"match_on": ["method", "path"]}, get("/a?t={run}"), {}),
        ({"match_on": ["method", "path"]}, elsewhere, {}),
        ({"match_on": ["method", "path", "query"]}, elsewhere, {}),
        ({"match_on": ["method", "scheme", "path", "query"]}, elsewhere, {}),
        ({"match_on": ["method", "scheme", "host", "path", "query"]}, other_port, {}),
        ({"match_on": ["method", "scheme", "host", "port", "query"]}, get("/a/{run}?x=1"), {}),
        ({"match_on": ["uri"]}, any_method, {}),
        ({"match_on": ["uri"]}, ranged, {}),
        ({"match_on": vcr.VCR().match_on}, sends(data=lambda run: f"t={run}"), {}),
        (
            {"match_on": ["method", "uri", "body"]},
            sends(json=lambda run: dict([("a", 1), ("b", 2)][:: [1, -1][run - 1]])),
            {},
        ),
        ({"match_on": ["method", "uri", "raw_body"]}, sends(json=lambda _run: {"a": 1}), {}),
        ({"match_on": ["method", "low"]}, in_any_case, LOW),
        ({"match_on": ["port"], "additional_matchers": ["low"]}, in_any_case, LOW),
        ({"filter_query_parameters": ["t"]}, get("/a?t={run}&x=1"), {}),
        ({"filter_query_parameters": [("t", "0")]}, get("/a?t={run}&x=1"), {}),
        (
            {"filter_query_parameters": [("t", lambda key, value, request: f"of {key}")]},
            get("/a?t={run}&x=1"),
            {},
        ),
        (
            {"filter_post_data_parameters": [("t", "0")], "match_on": ["uri", "body"]},
            sends(data=lambda run: {"t": run, "x": 1}),
            {},
        ),
        (
            {"filter_post_data_parameters": ["t"], "match_on": ["uri", "body"]},
            sends(json=lambda run: {"t": run, "x": 1}),
            {},
        ),
        (
            {"filter_sensitive_data": {"<KEY>": "k-5c1f7b"}, "match_on": ["uri", "body"]},
            in_many_places,
            {},
        ),
        ({"filter_headers": [("x-mine", "nobody's"), "x-yours"]}, with_header, {}),
    ],
    ids=itertools.count(),
)
def test_an_option(
    options: dict[str, Any], client: Client, own: Own, market: RawServer, tmp_path: Path
) -> None:
    switch = Switch(tmp_path, options, own)
    seen = switch.record(market.url, client)
    assert switch.replay("their", market.url, client) == seen
    assert switch.replay("our", market.url, client) == seen


def without_run(request: Any) -> Any:
    request.uri = re.sub(r"/\d+/|t=\d+", "-", request.uri)
    request.headers["Authorization"] = "nobody's"
    request.headers.pop("User-Agent", None)
    return request


def without_clock(request: Any) -> Any:
    if request.body:
        request.body = re.sub(rb'"t": ?\d+|t=\d+', b"", request.body)
    return request


def without_body(request: Any) -> Any:
    request.body = None
    return request


def without_headers(request: Any) -> Any:
    request.headers = {}
    return request


def as_got(request: Any) -> Any:
    request.method = "GET"
    return request


@pytest.mark.parametrize(
    ("edit", "client"),
    [
        (without_run, get("/a/{run}/b?t={run}")),
        (without_clock, sends(json=lambda run: {"t": run, "v": 1})),
        (without_clock, sends(data=lambda run: {"t": run, "v": 1})),
        (without_clock, get("/a")),
        (without_body, sends(data=lambda run: f"{run}".encode())),
        ([without_body, without_run], sends(data=lambda run: f"{run}".encode())),
        (without_headers, ranged),
        (as_got, any_method),
    ],
)
def test_before_record_request_edits(
    edit: Any, client: Client, market: RawServer, tmp_path: Path
) -> None:
    match_on = ["method", "uri", "body"]
    switch = Switch(tmp_path, {"before_record_request": edit, "match_on": match_on}, {})
    seen = switch.record(market.url, client)
    assert switch.replay("their", market.url, client) == seen
    assert switch.replay("our", market.url, client) == seen


def test_what_is_still_to_count_is_missed(market: RawServer, tmp_path: Path) -> None:
    switch = Switch(tmp_path, {"match_on": ["method", "uri", "raw_body"]}, {})
    client = sends(data=lambda run: ['{"a":1,"b":2}', '{"b":2,"a":1}'][run - 1])
    switch.record(market.url, client)
    with pytest.raises(ReplayMissError):
        switch.replay("our", market.url, client)


def with_telemetry(url: str, run: int) -> Any:
    requests.post(f"{url}/telemetry", json={"run": run}, timeout=5)
    return get("/a")(url.replace("127.0.0.1", "localhost"), run)


@pytest.mark.parametrize(
    "options",
    [
        {"ignore_hosts": ["127.0.0.1"]},
        {"ignore_hosts": [re.compile(r"127\..*")], "allowed_hosts": "127.0.0.1"},
        {
            "before_record_request": lambda r: r if r.path != "/telemetry" else None,
            "allowed_hosts": ["127.0.0.1"],
        },
    ],
    ids=itertools.count(),
)
def test_what_is_ignored_reaches_its_host(
    options: dict[str, Any], market: RawServer, tmp_path: Path
) -> None:
    theirs = {name: value for name, value in options.items() if name != "allowed_hosts"}
    switch = Switch(tmp_path, theirs, {})
    switch.ours = from_vcr(options)
    seen = switch.record(market.url, with_telemetry)
    assert "telemetry" not in (tmp_path / "our.json").read_text()
    for name in ("their", "our"):
        before = market.hits
        assert switch.replay(name, market.url, with_telemetry) == seen
        assert market.hits == before + 1


def test_localhost_is_ignored(market: RawServer, tmp_path: Path) -> None:
    ours = from_vcr({"ignore_localhost": True})
    for url in (market.url, market.url.replace("127.0.0.1", "localhost")):
        before = market.hits
        for mode in ("record", "none"):
            with use_cassette(tmp_path / "a.json", mode, **ours):
                get("/a")(url, 1)
        assert market.hits == before + 2
    assert not (tmp_path / "a.json").exists()


def without_names(request: Any) -> Any:
    request.uri = request.uri.replace("/of-anna", "/of-nobody")
    request.headers["X-Mine"] = "nobody"
    request.headers.pop("X-Yours", None)
    request.body = (request.body or b"").replace(b"anna", b"nobody")
    return request


def test_what_is_edited_away_is_not_stored(tmp_path: Path) -> None:
    ours = from_vcr({"before_record_request": without_names, "match_on": ["uri", "body"]})

    def post(url: str) -> None:
        headers = {"X-Mine": "anna", "X-Yours": "anna"}
        fields = {"name": "anna", "text": "long " * 9}
        requests.post(f"{url}/of-anna", data=fields, headers=headers, timeout=5)

    with RawServer(responder({"/of-anna": answered(200, b"seen")})) as server:
        for mode in ("record", "replay"):
            with use_cassette(tmp_path / "a.json", mode, **ours):
                post(server.url)
            with IngestSession("market", tmp_path / "root", mode, **ours):
                post(server.url)
        assert server.requests[-1].body.startswith(b"name=anna")
        assert server.hits == 2
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"anna" not in path.read_bytes(), path
    with Store(tmp_path / "root", readonly=True) as store:
        (session,) = [one for one in store.sessions() if one.mode is Mode.RECORD]
        (request,) = store.requests(session.id)
    assert request.url.endswith("/of-nobody")
    headers = dict(request.headers)
    assert headers["X-Mine"] == "nobody"
    assert headers["Content-Length"] == str(request.body_size)
    assert "X-Yours" not in headers


def shorter(answer: dict[str, Any]) -> dict[str, Any]:
    said = json.loads(answer["body"]["string"])
    answer["body"]["string"] = json.dumps({"asked": said["asked"][:2]}).encode()
    answer["headers"]["X-Edited"] = ["yes"]
    del answer["headers"]["Content-Type"]
    answer["status"] = {"code": 203, "message": "Edited"}
    return answer


@pytest.mark.parametrize("coding", ["", "gzip"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_is_edited_before_it_is_stored(
    coding: str, chunked: bool, tmp_path: Path
) -> None:
    body = json.dumps({"asked": "/long/one"}).encode()
    headers = [("Content-Type", "application/json"), ("X-B", "1"), ("X-B", "2")]
    if coding:
        body, headers = gzip.compress(body), [*headers, ("Content-Encoding", coding)]
    ours = from_vcr({"before_record_response": shorter, "decode_compressed_response": True})
    raw = answered(200, body, headers=headers, chunked=[7, 10] if chunked else None)
    with RawServer(responder({"/long/one": raw})) as server:
        with use_cassette(tmp_path / "a.json", "record", **ours):
            live = requests.get(f"{server.url}/long/one", timeout=5)
        with use_cassette(tmp_path / "a.json", "none", **ours):
            replayed = requests.get(f"{server.url}/long/one", timeout=5)
        assert server.hits == 1
    assert (live.status_code, live.json()) == (200, {"asked": "/long/one"})
    assert (replayed.status_code, replayed.reason) == (203, "Edited")
    assert replayed.json() == {"asked": "/l"}
    assert replayed.headers["X-Edited"] == "yes"
    assert replayed.headers["X-B"] == "1, 2"
    assert "Content-Type" not in replayed.headers


def test_what_is_not_to_be_stored_is_not(market: RawServer, tmp_path: Path) -> None:
    ours = from_vcr({"before_record_response": lambda answer: None})
    with use_cassette(tmp_path / "a.json", "record", **ours):
        get("/a")(market.url, 1)
    assert not (tmp_path / "a.json").exists()


def test_an_interaction_is_edited_before_it_is_saved(market: RawServer, tmp_path: Path) -> None:
    def save(request: Any, answer: Any) -> Any:
        answer["body"]["string"] = request.headers["X-Mine"] + " was here"
        return None if "dropped" in request.uri else (request, answer)

    ours = from_vcr({"before_save_interaction": save})
    for mode, seen in (("record", "/a"), ("none", "anna was here")):
        with use_cassette(tmp_path / "a.json", mode, **ours):
            told = requests.get(f"{market.url}/a", headers={"X-Mine": "anna"}, timeout=5).text
            assert seen in told
            if mode == "record":
                requests.get(f"{market.url}/dropped", headers={"X-Mine": "b"}, timeout=5)
    assert "dropped" not in (tmp_path / "a.json").read_text()


def test_an_edit_that_raises_loses_its_call_and_says_so(market: RawServer, tmp_path: Path) -> None:
    def edit(answer: Any) -> Any:
        raise ValueError("secret")

    ours = from_vcr({"before_record_response": edit})
    said = "which edits what is stored, raised ValueError"
    with (
        pytest.raises(StoreError, match=said) as raised,
        use_cassette(tmp_path / "a.json", "record", **ours),
    ):
        get("/a")(market.url, 1)
    assert "secret" not in str(raised.value)
    with (
        pytest.warns(DataIOWarning, match=said) as told,
        IngestSession("market", tmp_path / "root", "record", **ours),
    ):
        get("/a")(market.url, 1)
    assert not any("secret" in str(one.message) for one in told)


def by_urllib(url: str, data: Any) -> Any:
    with urllib.request.urlopen(url, data, timeout=5) as got:
        return json.loads(got.read())


def by_http_client(url: str, data: Any) -> Any:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=5)
    for _ in range(2):
        connection.putrequest("POST", "/" + url.split("/", 3)[3])
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders([data[:2], data[2:]] if data else [b"-"], encode_chunked=True)
        told = json.loads(connection.getresponse().read())
    connection.close()
    return told


@pytest.mark.parametrize("ask", [by_urllib, by_http_client])
@pytest.mark.parametrize("data", [None, b"some data"])
def test_what_is_ignored_reaches_its_host_by_the_standard_library(
    ask: Any, data: Any, market: RawServer, tmp_path: Path
) -> None:
    ours = from_vcr({"ignore_hosts": ["127.0.0.1"]})
    for mode in ("record", "none"):
        before = market.hits
        with use_cassette(tmp_path / "a.json", mode, **ours):
            assert ask(f"{market.url}/a", data)["asked"] == "/a"
            kept = ask(f"{market.url}/a".replace("127.0.0.1", "localhost"), data)
            assert kept["sent"] == (data or b"-" if ask is by_http_client else data or b"").decode()
            assert ask(f"{market.url}/b", data)["asked"] == "/b"
        times = 2 if ask is by_http_client else 1
        assert market.hits == before + times * (3 if mode == "record" else 2)


def test_what_is_ignored_and_gone_is_gone(tmp_path: Path) -> None:
    ours = from_vcr({"ignore_localhost": True})
    with RawServer(answer) as server:
        url = f"{server.url}/a"
        server.stop()
    with (
        use_cassette(tmp_path / "a.json", "none", **ours),
        pytest.raises(urllib.error.URLError, match="refused"),
    ):
        by_urllib(url, None)


def test_what_was_hidden_is_given_back(market: RawServer, tmp_path: Path) -> None:
    def get_key(key: str) -> Any:
        ours = from_vcr({"filter_sensitive_data": [("<KEY>", key)]})
        with use_cassette(tmp_path / "a.json", **ours):
            return requests.get(f"{market.url}/of/{key}", timeout=5).json()["asked"]

    assert get_key("k-5c1f7b") == "/of/k-5c1f7b"
    assert "k-5c1f7b" not in (tmp_path / "a.json").read_text()
    # Another run has another.
    assert get_key("k-99aa01") == "/of/k-99aa01"
    assert market.hits == 1


def test_an_answer_is_edited_as_it_is_loaded(market: RawServer, tmp_path: Path) -> None:
    def load(request: Any, answer: Any) -> Any:
        assert request.path == "/a"
        answer["body"]["string"] = b"loaded"
        answer["headers"]["X-Loaded"] = ["yes"]
        answer["status"]["code"] = 203
        return request, answer

    options = {"after_load_interaction": load}
    with use_cassette(tmp_path / "a.json", "record"):
        get("/a")(market.url, 1)
    text = (tmp_path / "a.json").read_text()
    with use_cassette(tmp_path / "a.json", "none", **from_vcr(options)):
        told = requests.get(f"{market.url}/a", timeout=5)
    assert (told.status_code, told.text, told.headers["X-Loaded"]) == (203, "loaded", "yes")
    assert (tmp_path / "a.json").read_text() == text
    dropped = from_vcr({"after_load_interaction": lambda request, answer: None})
    with (
        pytest.raises(ConfigError, match="dropped a recorded call"),
        use_cassette(tmp_path / "a.json", "none", **dropped),
    ):
        get("/a")(market.url, 1)


def test_a_large_answer_is_kept_where_requests_alone_are_edited(tmp_path: Path) -> None:
    body = b"x" * (17 << 20)
    with RawServer(responder({"/a": answered(200, body)})) as server:
        ours = from_vcr({"before_record_request": without_run})
        with IngestSession("market", tmp_path, "record", **ours):
            requests.get(f"{server.url}/a", timeout=9)
        with IngestSession("market", tmp_path, "replay", **ours):
            assert requests.get(f"{server.url}/a", timeout=9).content == body
        ours = from_vcr({"before_record_response": shorter})
        with (
            pytest.warns(DataIOWarning, match="can't be edited: the most are 16 MiB"),
            IngestSession("market", tmp_path, "record", **ours),
        ):
            assert requests.get(f"{server.url}/a", timeout=9).content == body


def by_header(request: Any) -> Any:
    if request.headers.get("X-Skip"):
        return None
    if "json" in request.headers.get("Content-Type", ""):
        request.body = json.dumps({"v": json.loads(request.body)["v"]})
    return request


@pytest.mark.parametrize("rooted", [False, True])
def test_a_request_is_edited_by_what_its_headers_say(
    rooted: bool, market: RawServer, tmp_path: Path
) -> None:
    ours = from_vcr({"before_record_request": by_header, "allowed_hosts": ["127.0.0.1"]})

    def ask(run: int) -> None:
        requests.post(f"{market.url}/a", json={"v": 1, "run": run}, timeout=5)
        requests.get(f"{market.url}/b", headers={"X-Skip": "1"}, timeout=5)

    for run, mode in ((1, "record"), (2, "replay")):
        before = market.hits
        if rooted:
            with IngestSession("market", tmp_path, mode, **ours):
                ask(run)
        else:
            with use_cassette(tmp_path / "a.json", mode, **ours):
                ask(run)
        assert market.hits == before + 3 - run
