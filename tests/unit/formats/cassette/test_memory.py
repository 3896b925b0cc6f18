"""Calls of cassettes in memory: which answers, and what is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import IntegrityError
from mxm_dataio.formats.cassette.derived import DERIVING
from mxm_dataio.formats.cassette.document import Document
from mxm_dataio.formats.cassette.loaded import LoadedCassette
from mxm_dataio.formats.cassette.memory import MemoryStore
from mxm_dataio.formats.recordings import checksum_of
from mxm_dataio.models import Mode, Session, Status
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession

DAY = "2025-01-01"


def node(path: str, text: str = "", **parts: Any) -> Any:
    answer: Any = {"status": "HTTP/1.1 200 OK", "headers": parts.pop("headers", [])}
    if text:
        answer["body"] = {"text": [text]}
    return {
        "request": {"method": "GET", "url": f"http://a.test/{path}"},
        "responses": [answer],
        **parts,
    }


def tape(name: str, *nodes: Any) -> LoadedCassette:
    return LoadedCassette(Path(name), Document("s", DAY, calls=list(nodes)), DERIVING)


def hash_of(path: str) -> str:
    return DERIVING("GET", f"http://a.test/{path}", (), None, None).params_hash


def store(*tapes: LoadedCassette, **options: Any) -> MemoryStore:
    return MemoryStore(Path("x.json"), "s", tapes, **{"readonly": True, **options})


def answers(kept: MemoryStore, path: str, root: str, times: int) -> list[str | None]:
    """Return what so many calls get, one after the other."""
    found: list[str | None] = []
    after = ""
    for _ in range(times):
        exchange = kept.nth("s", hash_of(path), root, after)
        if exchange is None:
            found.append(None)
            continue
        after = exchange.request.id
        found.append(kept.open(exchange.responses[0]).read().decode())
    return found


def test_the_kth_call_gets_the_kth_answer() -> None:
    own = tape("x.json", node("a", "1"), node("b", "2"), node("a", "3"))
    kept = store(own)
    assert kept.newest("s", hash_of("a"), "~") == ("", "x.json")
    assert kept.newest("s", hash_of("c"), "~") is None
    assert answers(kept, "a", "x.json", 3) == ["1", "3", None]
    assert [held.played for held in own.held] == [True, False, True]
    last = kept.last("s", hash_of("a"), "x.json")
    assert last is not None
    assert last.request.id == "x.json#3"
    assert kept.exchange("x.json#3") == last
    assert kept.exchange("none") is None


def test_the_first_cassette_that_has_a_call_answers_and_a_shared_one_repeats() -> None:
    own, shared = tape("x.json", node("a", "1")), tape("y.json", node("a", "2"), node("b", "3"))
    kept = store(own, shared, repeats=[shared])
    assert kept.newest("s", hash_of("a"), "~") == ("", "x.json")
    assert kept.newest("s", hash_of("b"), "~") == ("", "y.json")
    assert answers(kept, "a", "x.json", 2) == ["1", None]
    assert answers(kept, "b", "y.json", 3) == ["3", "3", "3"]


def test_an_interrupted_call_answers_none() -> None:
    kept = store(tape("x.json", node("a", "1", status="interrupted"), node("a", "2")))
    assert answers(kept, "a", "x.json", 2) == ["2", None]


def test_what_answers_vary_on_is_known() -> None:
    kept = store(tape("x.json", node("a", "1", headers=["Vary: Accept-Language"])))
    base = hash_of("a")
    assert kept.variants("s", base) == [("accept-language",)]
    assert kept.variants("s", hash_of("b")) == []


def test_what_comes_nearest_is_of_the_session_s_source() -> None:
    kept = store(tape("x.json", node("a"), node("b", source="other")))
    assert [one.url for one in kept.similar("s", "http://a.test/b", 1)] == ["http://a.test/b"]
    assert {one.source for one in kept.similar("s", "http://a.test/b", 9)} == {"s"}
    assert [one.id for one in kept.with_hash(hash_of("a"), 9)] == ["x.json#1"]


def test_a_damaged_call_hinders_no_other() -> None:
    damaged = node("a", "1")
    damaged["responses"][0]["body"]["bytes"] = {"sha256": "0" * 64}
    kept = store(tape("x.json", damaged, node("b", "2")))
    assert answers(kept, "b", "x.json", 1) == ["2"]
    assert kept.similar("s", "http://a.test/a", 9)
    with pytest.raises(IntegrityError, match=r"x\.json: calls\[0\]\.responses\[0\]\.body"):
        kept.nth("s", hash_of("a"), "x.json", "")


def entry(call_id: str, content: bytes) -> Entry:
    identity = {"body": None, "endpoint": "http://a.test/", "headers": [], "method": "GET"}
    document = json.dumps({**identity, "params": [["a", "1"]], "v": 1}, separators=(",", ":"))
    checksum = checksum_of(content)
    attempt = CapturedAttempt(
        "GET", "http://a.test/?a=1", 1.0, 200, checksum, len(content), True,
        head=b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n",
    )  # fmt: skip
    return Entry(
        CapturedCall(call_id, "GET", "http://a.test/?a=1", 1.0, head=b"\r\nA: b\r\n\r\n"),
        InSession("01", "01", "s", DAY), "", document, (), None, None, 0, None, (attempt,),
        {checksum: content},
    )  # fmt: skip


def test_what_is_recorded_is_found_by_its_id_alone() -> None:
    kept = store(tape("x.json"), readonly=False)
    session = Session("01", "s", Mode.RECORD, DAY, Status.RUNNING, "")
    kept.begin(session)
    kept.append(entry("b", b"two"))
    kept.append(entry("a", b"one"))
    assert [taken.entry.call.id for taken in kept.in_order()] == ["a", "b"]
    exchange = kept.exchange("a")
    assert exchange is not None
    assert exchange.request.params == {"a": "1"}
    assert exchange.request.headers == (("A", "b"),)
    assert kept.open(exchange.responses[0]).read() == b"one"
    assert kept.newest("s", exchange.request.params_hash, "~") is None
    assert kept.sessions("s") == [session]
    assert kept.sessions("other") == []
    assert [one.request.id for one in kept.exchanges("01")] == ["b", "a"]
    assert list(kept.exchanges("02")) == []
