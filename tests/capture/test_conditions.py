"""A call that makes conditions is another than one that makes none; a 304 answers the former."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError, use_cassette
from mxm_dataio.identity import call
from tests.support.servers import RawServer, Request, answer, responder

SINCE = "Tue, 07 Oct 2025 00:00:00 GMT"
MADE = {
    "If-None-Match": '"v1"',
    "If-Modified-Since": SINCE,
    "If-Match": '"v0"',
    "If-Unmodified-Since": SINCE,
    "If-Range": '"v1"',
}


def document(request: Request) -> bytes:
    if request.header("If-None-Match") == '"v1"' or request.header("If-Modified-Since"):
        return answer(304, b"", headers=[("ETag", '"v1"')])
    if request.header("If-Match") or request.header("If-Unmodified-Since"):
        return answer(412, b"", headers=[("ETag", '"v1"')])
    if request.header("If-Range"):
        return answer(206, b"PART", headers=[("ETag", '"v1"')])
    return answer(200, b"WHOLE", headers=[("ETag", '"v1"')])


@pytest.fixture
def url() -> Iterator[str]:
    with RawServer(responder({"/": document})) as server:
        yield f"{server.url}/"


def got(url: str, *names: str) -> list[int]:
    return [
        requests.get(url, headers={name: MADE[name]} if name else {}).status_code for name in names
    ]


@pytest.mark.parametrize("name", MADE)
def test_each_gets_its_own_in_any_order(url: str, tmp_path: Path, name: str) -> None:
    with IngestSession(source="s", root=tmp_path, mode="record"):
        conditional, plain = got(url, name, "")
    assert conditional != plain
    with IngestSession(source="s", root=tmp_path, mode="replay"):
        assert got(url, "", "", name, "") == [plain, plain, conditional, plain]


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("asked_plain", [True, False])
def test_one_alone_does_not_answer_the_other(
    url: str, tmp_path: Path, name: str, asked_plain: bool
) -> None:
    recorded, asked = (name, "") if asked_plain else ("", name)
    with IngestSession(source="s", root=tmp_path, mode="record"):
        got(url, recorded)
    with (
        pytest.raises(ReplayMissError, match=f"header {name.lower()}: "),
        IngestSession(source="s", root=tmp_path, mode="replay"),
    ):
        got(url, asked)
    cassette = tmp_path / "c.json"
    with use_cassette(cassette):
        got(url, recorded)
    with pytest.raises(ReplayMissError), use_cassette(cassette, mode="none"):
        got(url, asked)


def test_auto_fetches_what_was_asked_with_and_without(url: str, tmp_path: Path) -> None:
    with IngestSession(source="s", root=tmp_path, mode="record"):
        got(url, "If-None-Match")
    for _ in range(2):
        with IngestSession(source="s", root=tmp_path, mode="auto"):
            assert got(url, "If-None-Match", "") == [304, 200]


def test_an_ignored_condition_does_not_count(url: str, tmp_path: Path) -> None:
    ignored = ["if-modified-since"]
    with IngestSession(source="s", root=tmp_path, mode="record", ignore_params=ignored):
        got(url, "If-Modified-Since")
    with IngestSession(source="s", root=tmp_path, mode="replay", ignore_params=ignored):
        response = requests.get(url, headers={"If-Modified-Since": "Wed, 08 Oct 2025 00:00:00 GMT"})
    assert response.status_code == 304


@pytest.mark.parametrize("name", ["If-None-Match", "If-Match"])
def test_what_was_recorded_before_conditions_counted_replays(
    url: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(call, "_COUNTED", frozenset(["accept", "range"]))
        with IngestSession(source="s", root=tmp_path, mode="record"):
            recorded = got(url, "", name, "", name)
    with IngestSession(source="s", root=tmp_path, mode="replay"):
        assert got(url, "", name, "", name) == recorded
    with IngestSession(source="s", root=tmp_path, mode="replay"):
        assert got(url, name, name, name, "", "", "") == sorted(recorded)[2:3] * 3 + [200] * 3
    for other in ({"If-None-Match": '"v9"'}, {"If-Range": '"v1"'}):
        with (
            pytest.raises(ReplayMissError),
            IngestSession(source="s", root=tmp_path, mode="replay"),
        ):
            requests.get(url, headers=other)


def test_a_304_recorded_before_conditions_counted_answers_no_plain_call(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(call, "_COUNTED", frozenset(["accept", "range"]))
        with IngestSession(source="s", root=tmp_path, mode="record"):
            got(url, "If-None-Match")
    with pytest.raises(ReplayMissError), IngestSession(source="s", root=tmp_path, mode="replay"):
        got(url, "")
    with IngestSession(source="s", root=tmp_path, mode="auto"):
        assert got(url, "") == [200]


def test_revalidation_by_auto_is_no_condition_of_the_program(url: str, tmp_path: Path) -> None:
    for _ in range(3):
        with IngestSession(source="s", root=tmp_path, mode="auto", ttl=0):
            assert got(url, "") == [200]
    with IngestSession(source="s", root=tmp_path, mode="replay"):
        assert got(url, "", "") == [200, 200]
