"""What a call sends is looked into for secrets once, and again only where more is known."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
import requests

from mxm_dataio import IngestSession
from mxm_dataio.models import Exchange
from mxm_dataio.redaction import DEFAULT, PLACEHOLDER
from mxm_dataio.redaction.secrets import Secrets
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.servers import RawServer, answer, responder

TOKEN = "Zk3v9-QmX71_tRw8"
JSON = ("Content-Type", "application/json")


def exchanges(root: Path) -> list[Exchange]:
    with RecordingStore(root) as store:
        return [one for session in store.sessions() for one in store.exchanges(session.id)]


def test_headers_that_stay_are_looked_into_once_whatever_else_changes(tmp_path: Path) -> None:
    asked: Counter[tuple[str, str]] = Counter()

    def rule(place: str, name: str, value: str) -> None:
        asked[place, name] += 1

    with (
        RawServer(responder({"/": answer(200, b"ok")})) as server,
        IngestSession("s", tmp_path, redaction=DEFAULT.adding(rule)),
        requests.Session() as web,
    ):
        for number in range(5):
            headers = {"Authorization": f"Bearer {TOKEN}", "X-Trace": f"no-{number}"}
            web.post(server.url, data=b"x" * (number + 1), headers=headers)
    # As a pair, which identifies, and as a line, which is stored.
    assert asked["header", "authorization"] == 2
    assert asked["header", "x-trace"] == 10


@pytest.mark.parametrize("kind", [bytes, io.BytesIO, iter])
@pytest.mark.parametrize("limit", [1 << 20, 100])
def test_a_body_is_looked_into_once(tmp_path: Path, kind: type, limit: int) -> None:
    asked: Counter[str] = Counter()

    def rule(_place: str, name: str, _value: str) -> None:
        asked[name] += 1

    content = b'{"note": "%s", "password": "%s"}' % (b"n" * 500, TOKEN.encode())
    body = kind([content]) if kind is iter else kind(content)
    redaction = DEFAULT.adding(rule)
    with (
        RawServer(responder({"/": answer(200, b"ok")})) as server,
        IngestSession("s", tmp_path, redaction=redaction, spool_limit=limit),
    ):
        requests.post(server.url, data=body, headers=dict([JSON]))
    assert asked["note"] == 1
    (stored,) = exchanges(tmp_path)
    assert stored.request.body_size == len(content) - len(TOKEN) + len(PLACEHOLDER)


def test_what_an_answer_teaches_is_gone_from_what_was_sent(tmp_path: Path) -> None:
    taught = b'{"access_token": "%s"}' % TOKEN.encode()
    site = responder({f"/x/{TOKEN}": answer(200, taught, headers=[JSON])})
    sent = f"it says {TOKEN}".encode()
    with RawServer(site) as server, IngestSession("s", tmp_path):
        requests.post(f"{server.url}/x/{TOKEN}", data=sent, headers={"X-Seen": TOKEN})
    (stored,) = exchanges(tmp_path)
    (response,) = stored.responses
    assert response.url == stored.request.url == f"{server.url}/x/{PLACEHOLDER}"
    assert ("X-Seen", PLACEHOLDER) in stored.request.headers
    assert stored.request.body_size == len(sent) - len(TOKEN) + len(PLACEHOLDER)


def test_lines_that_go_on_are_read_as_one() -> None:
    secrets = Secrets(DEFAULT)
    head = f"\r\nX-Api-Key: {TOKEN[:8]}\r\n {TOKEN[8:]}\r\nAccept: */*\r\n\r\n".encode()
    for _ in range(2):
        assert TOKEN[8:].encode() not in secrets.head(head)
    # What follows the first line goes on from none.
    assert TOKEN.encode() not in secrets.head(f"\r\n X-Api-Key: {TOKEN}\r\n\r\n".encode())


def test_a_head_without_a_line_end_is_no_line() -> None:
    secrets = Secrets(DEFAULT)
    line = f"X-Api-Key: {TOKEN}".encode()
    assert secrets.head(line) == line
    assert TOKEN.encode() not in secrets.head(b"\r\n" + line)


def test_headers_are_looked_into_again_where_their_secrets_were_forgotten() -> None:
    secrets = Secrets(DEFAULT)
    pairs = (("Authorization", f"Bearer {TOKEN}"),)
    for number in range(2000):
        secrets.url(f"https://h/?token=other{number:06}Zk3v9QmX")
        if number % 50 == 0:
            secrets.pairs(pairs)
    assert secrets.mask_text(TOKEN) == PLACEHOLDER


def test_more_headers_than_are_remembered() -> None:
    secrets = Secrets(DEFAULT)
    for number in range(2000):
        pairs = (("X-Trace", f"{number}"), ("X-Api-Key", TOKEN))
        assert secrets.pairs(pairs) == (("X-Trace", f"{number}"), ("X-Api-Key", PLACEHOLDER))
    assert len(secrets._headers) < 600
