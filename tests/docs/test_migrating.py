"""What stands for another recorder's options in the tables is what the tables say: it is run."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError, use_cassette
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.vcr_options import from_betamax, from_vcr
from tests.cassettes.test_from_vcr import (
    Client,
    any_method,
    elsewhere,
    get,
    in_any_case,
    market,
    sends,
)
from tests.support import CHECKOUT
from tests.support.servers import RawServer, answer, responder

PAGES = CHECKOUT / "docs" / "migrating"
TESTS = CHECKOUT / "tests"
__all__ = ["market"]


def rows(page: str) -> list[tuple[str, str]]:
    """Return the rows of a page's table: what it is there, and here."""
    lines = (PAGES / f"{page}.md").read_text(encoding="utf-8").splitlines()
    found = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [(cells[0], cells[-1]) for cells in found[1:]]


def here(page: str, there: str) -> str:
    """Return what stands for an option."""
    (cell,) = [right for left, right in rows(page) if left.startswith(there)]
    return cell


def code(page: str, there: str, index: int = 0, **names: Any) -> dict[str, Any]:
    """Return the options that stand for one of another recorder, as the page has them."""
    known = {
        "DEFAULT": DEFAULT, "from_vcr": from_vcr, "from_betamax": from_betamax, "replace": replace,
        **names,
    }  # fmt: skip
    snippets = re.findall(r"`([^`]*[=(][^`]*)`", here(page, there))
    text = snippets[index].removeprefix("**")
    made: dict[str, Any] = eval(text if text.startswith("from_") else f"dict({text})", known)
    return made


def tenant(url: str, run: int) -> Any:
    return requests.get(f"{url}/a", headers={"X-Tenant": f"{run}"}, timeout=5).json()


def keyed(url: str, run: int) -> Any:
    asked = requests.get(f"{url}/of/k-99aa{run}", timeout=5).json()["asked"]
    return asked == f"/of/k-99aa{run}"


def as_text(url: str, run: int) -> Any:
    body = ['{"a": 1, "b": 2}', '{"b": 2, "a": 1}'][run - 1]
    return requests.post(f"{url}/a", data=body, timeout=5).json()["asked"]


LOW = {"options": {"match_on": ["method", "mine"]}, "key": lambda request: request.path.lower()}


@pytest.mark.parametrize(
    ("page", "there", "index", "names", "client"),
    [
        ("vcrpy", "`match_on=[\"method\", \"scheme\"", 0, {}, sends(data=lambda run: f"t={run}")),
        ("vcrpy", "`match_on=` without `query`", 0, {}, get("/a?t={run}")),
        ("vcrpy", "`match_on=` without `query`", -1, {}, get("/a?t={run}")),
        ("vcrpy", "`match_on=` without `host`", 0, {}, elsewhere),
        ("vcrpy", "`register_matcher`", 1, LOW, in_any_case),
        ("vcrpy", "`filter_query_parameters`", 0, {}, get("/a?key={run}")),
        ("vcrpy", "`filter_query_parameters`", 0, {}, sends(data=lambda run: {"key": run})),
        ("vcrpy", "the same with `(\"key\"", 0, {}, get("/a?key={run}")),
        ("vcrpy", "the same with `(\"key\"", 0, {}, sends(data=lambda run: {"key": f"{run}"})),
        ("betamax", "`match_requests_on=[\"method\", \"uri\"]`", 0, {}, get("/a?t={run}")),
        ("betamax", "`register_request_matcher`", 0, {}, in_any_case),
        ("requests-cache", "`ignored_parameters", 0, {}, get("/a?key={run}")),
        (
            "requests-cache", "`key_fn=function`", 0,
            {"function": lambda call: call.replace(method="GET")}, any_method,
        ),
    ],
)  # fmt: skip
def test_what_differs_is_the_same_by_it(
    page: str, there: str, index: int, names: Any, client: Client, market: RawServer, tmp_path: Path
) -> None:
    given = code(page, there, index, **names)
    with use_cassette(tmp_path / "a.json", "record", **given):
        seen = client(market.url, 1)
    with use_cassette(tmp_path / "a.json", "none", **given):
        assert client(market.url, 2) == seen
    with use_cassette(tmp_path / "b.json", "record"):
        client(market.url, 1)
    with pytest.raises(ReplayMissError), use_cassette(tmp_path / "b.json", "none"):
        client(market.url, 2)


@pytest.mark.parametrize(
    ("page", "there", "client"),
    [
        ("vcrpy", '`match_on=["raw_body"]`', as_text),
        ("vcrpy", '`match_on=["headers"]`', tenant),
        ("betamax", '`match_requests_on=["headers"]`', tenant),
        ("responses", "`header_matcher(", tenant),
    ],
)
def test_what_is_the_same_differs_by_it(
    page: str, there: str, client: Client, market: RawServer, tmp_path: Path
) -> None:
    given = code(page, there)
    for options, misses in (({}, False), (given, True)):
        with use_cassette(tmp_path / "a.json", "record", **options):
            client(market.url, 1)
        with use_cassette(tmp_path / "a.json", "none", **options):
            client(market.url, 1)
        replay = use_cassette(tmp_path / "a.json", "none", **options)
        if misses:
            with pytest.raises(ReplayMissError), replay:
                client(market.url, 2)
        else:
            with replay:
                client(market.url, 2)


@pytest.mark.parametrize("part", ['path="/"', 'method="GET"', 'scheme="http"'])
def test_parts_that_do_not_count(part: str, market: RawServer, tmp_path: Path) -> None:
    assert f"`{part}`" in here("vcrpy", "`match_on=` without `query`")
    view = eval(f"lambda call: call.replace({part})")

    def ask(url: str, run: int) -> int:
        if part.startswith("scheme"):
            url = url if run == 1 else url.replace("http:", "https:")
            return requests.get(f"{url}/a", timeout=5).status_code
        return requests.request(
            ["GET", "PUT"][run - 1] if "method" in part else "GET",
            f"{url}/{run if 'path' in part else 'a'}",
            timeout=5,
        ).status_code

    for run, mode in ((1, "record"), (2, "none")):
        with use_cassette(tmp_path / "a.json", mode, view=view):
            assert ask(market.url, run) == 200


# -- left out, hidden, changed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "there", "index"),
    [
        ("vcrpy", "the same to leave a call out", 0),
        ("vcrpy", "`ignore_hosts`", 0),
        ("responses", "`add_passthru`", 0),
        ("responses", "`add_passthru`", 1),
    ],
)
def test_a_call_is_left_out(
    page: str, there: str, index: int, market: RawServer, tmp_path: Path
) -> None:
    given = code(page, there, index)
    if "ignore_hosts" in given:
        given = {name: ["127.0.0.1"] for name in given}
    given.setdefault("allowed_hosts", ["127.0.0.1"])
    path = "/b" if "a/b" in here(page, there) and index else "/telemetry"
    if path == "/b":
        view = given["view"]
        given["view"] = lambda call: view(call.replace(host="a", port=None))
    for mode in ("record", "none"):
        before = market.hits
        with use_cassette(tmp_path / "a.json", mode, **given):
            requests.post(f"{market.url}{path}", timeout=5)
        assert market.hits == before + 1
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("page", "there", "names"),
    [
        ("vcrpy", "`before_record_response`", {}),
        ("betamax", "`before_record`", {}),
        ("requests-cache", "`filter_fn", {}),
    ],
)
def test_what_is_stored_is_edited(
    page: str, there: str, names: Any, market: RawServer, tmp_path: Path
) -> None:
    def function(one: Any) -> Any:
        return None if "dropped" in one.url else replace(one, answer=b"edited")

    given = code(page, there, function=function)
    with use_cassette(tmp_path / "a.json", "record", **given):
        requests.get(f"{market.url}/a", timeout=5)
        requests.get(f"{market.url}/dropped", timeout=5)
    with use_cassette(tmp_path / "a.json", "none", **given):
        told = requests.get(f"{market.url}/a", timeout=5)
    assert (told.text == "edited") is (page != "requests-cache")
    assert ("dropped" in (tmp_path / "a.json").read_text()) is (page == "requests-cache")


def test_what_is_not_to_be_cached_is_asked_again(tmp_path: Path) -> None:
    given = code("requests-cache", "`filter_fn")
    with RawServer(responder({"/a": answer(200, b"a")})) as server:
        for _ in range(2):
            with IngestSession("market", tmp_path, "auto", reuse=[200, 404], **given):
                requests.get(f"{server.url}/a", timeout=5)
                requests.get(f"{server.url}/none", timeout=5)
        assert [one.path for one in server.requests] == ["/a", "/none", "/none"]


@pytest.mark.parametrize(
    ("page", "there"),
    [("vcrpy", "`after_load_interaction`"), ("betamax", "`before_playback`"),
     ("responses", "`response_callback`")],
)  # fmt: skip
def test_an_answer_is_changed_as_it_is_replayed(
    page: str, there: str, market: RawServer, tmp_path: Path
) -> None:
    assert "`answer=" in here(page, there)
    with use_cassette(tmp_path / "a.json", "record"):
        get("/a")(market.url, 1)
    changed: Callable[[Any, Any], Any] = lambda exchange, call: exchange.with_text(call.path)  # noqa: E731
    with use_cassette(tmp_path / "a.json", "none", answer=changed):
        assert requests.get(f"{market.url}/a", timeout=5).text == "/a"


@pytest.mark.parametrize(
    ("page", "there"), [("betamax", "`placeholders`"), ("vcrpy", "`filter_sensitive_data")]
)
def test_a_value_is_hidden_and_given_back(
    page: str, there: str, market: RawServer, tmp_path: Path
) -> None:
    for run, mode in ((1, "record"), (2, "none")):
        key = f"k-99aa{run}"
        if page == "betamax":
            given = code(page, there, key=key)
        else:
            given = from_vcr({"filter_sensitive_data": [("<TOKEN>", key)]})
        with use_cassette(tmp_path / "a.json", mode, **given):
            assert keyed(market.url, run)
    assert "k-99aa" not in (tmp_path / "a.json").read_text()


# -- what happened ---------------------------------------------------------------------------------


def test_what_was_asked_and_played(market: RawServer, tmp_path: Path) -> None:
    url = f"{market.url}/a"
    said = here("responses", "`assert_call_count`") + here("vcrpy", "`cassette.play_count`")
    for mode in ("record", "none"):
        with use_cassette(tmp_path / "a.json", mode) as ingest:
            for path in ("a", "a", "b")[: 3 if mode == "record" else 2]:
                get(f"/{path}")(market.url, 1)
    (counts,) = re.findall(r"`(sum\([^`]*)`", said)
    assert eval(counts, {"url": url, "ingest": ingest})
    for name in re.findall(r"`(?:ingest)?(\.\w+)`", said):
        assert eval(f"ingest{name}", {"ingest": ingest}) is not None
    assert (ingest.play_count, ingest.all_played) == (2, False)
    assert [one.url for one in ingest.unused] == [f"{market.url}/b"]
    with use_cassette(tmp_path / "a.json", "none") as ingest:
        for path in ("a", "a", "b"):
            get(f"/{path}")(market.url, 1)
    exec(re.findall(r"`(assert [^`]*)`", here("responses", "`assert_all_requests"))[0])


# -- a cache ---------------------------------------------------------------------------------------


@pytest.fixture
def cached(tmp_path: Path) -> Callable[..., AbstractContextManager[IngestSession]]:
    return lambda mode="auto", **given: IngestSession("market", tmp_path, mode, **given)


def test_a_cache(market: RawServer, cached: Any) -> None:
    def asked(*paths: str, method: str = "GET", **given: Any) -> list[str]:
        before = len(market.requests)
        with cached(**given):
            for path in paths:
                requests.request(method, f"{market.url}{path}", timeout=5)
        return [one.target for one in market.requests[before:]]

    assert asked("/a", "/live/1") == ["/a", "/live/1"]
    expires = code("requests-cache", "`urls_expire_after")
    assert asked("/a", "/live/1", **expires) == []
    expires["ttl"]["*/live*"] = 0
    assert asked("/a", "/live/1", **expires) == ["/live/1"]
    always = code("requests-cache", "`always_revalidate")
    assert asked("/a", **always) == ["/a"]
    renewed = code("requests-cache", "`stale_while_revalidate", 1)
    assert asked("/a", **renewed) == ["/a"]
    assert asked("/a") == []
    reuse = code("requests-cache", "`allowable_codes")
    assert asked("/s", method="POST", **reuse) == ["/s"]
    assert asked("/s", method="POST", **reuse) == []
    only = code("requests-cache", "`read_only`")
    assert asked("/a", **only) == []
    with pytest.raises(ReplayMissError):
        asked("/never", **only)


# -- all rows --------------------------------------------------------------------------------------

# What a row says → where it is run, if not above.
ELSEWHERE = {
    "vcrpy": {
        '`record_mode="once"`': "cassettes/test_use_cassette.py::test_once_records_where",
        '`record_mode="any"`': "cassettes/test_use_cassette.py::test_new_episodes_replays",
        "`match_on=` `uri`": "cassettes/test_from_vcr.py::test_an_option",
        "`filter_headers": "cassettes/test_from_vcr.py::test_an_option",
        "`filter_nested": "cassettes/test_from_vcr.py::test_an_option",
        "`before_record_request`": "cassettes/test_from_vcr.py::test_what_is_edited_away",
        "`allow_playback_repeats": "unit/test_vcr_options.py::test_options",
        "`record_on_exception": "cassettes/test_use_cassette.py::test_a_block_that_raised",
        "`drop_unused": "cassettes/test_use_cassette.py::test_rewrite_drops",
        "`decode_comp": "cassettes/test_from_vcr.py::test_an_answer_is_edited",
        "`cassette_library": "cassettes/test_pytest_plugin.py::test_folders_and_names",
        "`inject_cassette": "cassettes/test_use_cassette.py::test_functions_coroutines",
        "`VCR.test_case()`": "cassettes/test_use_cassette.py::test_unittest",
        "`cassette.requests`": "docs/test_migrating.py::test_what_was_asked",
        "`cassette.get_metadata": "unit/pytest_plugin",
        "httpx": "cassettes/test_importing.py",
        "`http.client`": "cassettes/test_use_cassette.py::test_the_standard_library",
        "boto3": "clients/test_aws.py",
    },
    "betamax": {
        "`record=": "cassettes/test_use_cassette.py::test_once_records_where",
        "`allow_playback": "unit/test_vcr_options.py::test_options",
        "`re_record_interval": "cassettes/test_pytest_plugin.py::test_old_recordings",
        "`preserve_exact": "cassettes/test_use_cassette.py::test_bytes_on_the_wire",
        "`interaction.ignore()`": "docs/test_migrating.py::test_what_is_stored_is_edited",
        "`after_start`": "cassettes/test_use_cassette.py::test_once_records_where",
        "`cassette_library_dir`": "cassettes/test_pytest_plugin.py::test_folders_and_names",
        "`betamax_session`": "cassettes/test_pytest_plugin.py::test_it_records_once",
        "`betamax_param": "cassettes/test_pytest_plugin.py::test_parametrised",
        "`BetamaxTestCase`": "cassettes/test_use_cassette.py::test_unittest",
        "`betamax.decorator": "cassettes/test_use_cassette.py::test_functions_coroutines",
    },
    "responses": {
        "`@_recorder.record": "cassettes/test_use_cassette.py::test_once_records_where",
        "`responses._add_from": "cassettes/test_use_cassette.py::test_once_records_where",
        "`registries.Ordered": "unit/replay/test_lookup.py",
    },
    "requests-cache": {
        "`CachedSession(": "capture/test_mount.py",
        "`match_headers": "unit/identity/test_match_headers.py::test_a_header_counts",
        "`cache_control": "capture/test_freshness.py::test_a_time_by_url",
        "`stale_if_error": "capture/test_freshness.py::test_a_stale_answer_serves",
        "`response.from_cache`": "unit/cli",
    },
    "pytest-recording": {
        "`@pytest.mark.vcr": "cassettes/test_switching.py::test_its_tests_run",
        '`@pytest.mark.vcr("login': "cassettes/test_pytest_plugin.py::test_markers_combine",
        "`@pytest.mark.default_cassette": "cassettes/test_switching.py::test_its_tests_run",
        "`vcr_config` fixture": "cassettes/test_switching.py::test_its_tests_run",
        "`--record-mode=": "cassettes/test_pytest_plugin.py::test_settings_of_the_file",
        "`record_mode` fixture": "cassettes/test_pytest_fixtures.py::test_a_fixture_says",
        "`--block-network`": "cassettes/test_pytest_fixtures.py::test_a_blocked_network",
        "`--allowed-hosts": "cassettes/test_pytest_plugin.py::test_in_replay_no_connection",
        "`allowed_hosts` fixture": "cassettes/test_pytest_fixtures.py::test_a_fixture_says",
        "`--disable-recording`": "cassettes/test_pytest_fixtures.py::test_what_no_marked_test",
        "`vcr` fixture": "cassettes/test_pytest_fixtures.py::test_a_test_may_ask",
        "`vcr_cassette_dir`": "cassettes/test_pytest_plugin.py::test_folders_and_names",
        "`pytest_recording_configure`": "cassettes/test_pytest_from_vcr.py::test_a_marker_adds",
        "`cassettes/<module>": "cassettes/test_switching.py::test_only_with_the_list",
        "`RuntimeError": "cassettes/test_pytest_plugin.py::test_in_replay_no_connection",
    },
    "pytest-vcr": {
        "`@pytest.mark.vcr": "cassettes/test_switching.py::test_its_tests_run",
        "`--vcr-record=": "cassettes/test_pytest_plugin.py::test_settings_of_the_file",
        "`--disable-vcr`": "cassettes/test_pytest_fixtures.py::test_what_no_marked_test",
        "`vcr_config` fixture": "cassettes/test_switching.py::test_its_tests_run",
        "`vcr_cassette_dir`": "cassettes/test_pytest_plugin.py::test_folders_and_names",
        "`vcr_cassette` fixture": "cassettes/test_pytest_fixtures.py::test_a_test_may_ask",
        "`vcr` fixture": "cassettes/test_pytest_from_vcr.py::test_a_marker_adds",
        "`cassettes/<test>": "cassettes/test_switching.py::test_only_with_the_list",
    },
}
NOTHING = ("not needed", "no equivalent", "stay with", "not captured")


@pytest.mark.parametrize("page", ELSEWHERE)
def test_each_row_is_run(page: str) -> None:
    text = r"(\'[^\']*\'|\"(?:[^\"\\]|\\.)*\")"
    here_run = Path(__file__).read_text()
    above = re.findall(rf'"{page}",\s*{text}', here_run)
    starts = [*map(eval, above), *ELSEWHERE[page]]
    for left, right in rows(page):
        assert any(left.startswith(start) for start in starts) or any(
            word in right for word in NOTHING
        ), left
    for start, where in ELSEWHERE[page].items():
        assert any(left.startswith(start) for left, _ in rows(page)), start
        path, _, test = where.partition("::")
        assert (TESTS / path).exists(), where
        assert not test or f"def {test}" in (TESTS / path).read_text(), where


def test_only_what_stores_files_otherwise_has_no_equivalent() -> None:
    for page in (
        "vcrpy",
        "betamax",
        "responses",
        "requests-cache",
        "pytest-recording",
        "pytest-vcr",
    ):
        for left, right in rows(page):
            if "no equivalent" in right:
                assert "serializer" in left or "persister" in left, left
