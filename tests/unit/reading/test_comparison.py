"""Comparing bodies, headers, calls and sessions."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.errors import IntegrityError
from mxm_dataio.models import Exchange, Status
from mxm_dataio.reading.bodies import Body
from mxm_dataio.reading.comparison import (
    Compared,
    Comparer,
    HeaderChange,
    How,
    Pair,
    compare_bodies,
    compare_headers,
    paired,
    plainly_same,
)
from mxm_dataio.reading.listing import Ending, Listing
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.calls import call
from tests.trust.small import session


def body(content: bytes, media: str = "", coding: str = "") -> Body:
    headers = [("Content-Type", media)] if media else []
    headers += [("Content-Encoding", coding)] if coding else []
    return Body(lambda: io.BytesIO(content), len(content), tuple(headers))


def unread() -> Body:
    def refuse() -> io.BytesIO:
        raise AssertionError("it was read")

    return Body(refuse, 5)


def test_bodies_known_to_be_the_same_are_not_read() -> None:
    assert compare_bodies(unread(), unread(), same_bytes=True).same


def test_json_is_compared_by_value() -> None:
    found = compare_bodies(body(b'{"a": [1, 2]}'), body(b'{"a": [1, 3]}'))
    assert found.how is How.JSON
    assert [one.shown for one in found.values] == ["a[1]"]
    found = compare_bodies(body(b'{"a":1,"b":2}'), body(b'{"b": 2.0, "a": 1}'))
    assert found == Compared(How.SAME, note="the same JSON, written in another way")


def test_json_that_says_more_than_its_value_is_text() -> None:
    found = compare_bodies(body(b'{"a": 1, "a": 2}'), body(b'{"a": 2}'))
    assert found.how is How.TEXT
    deep = b"[" * 600 + b"]" * 600
    assert compare_bodies(body(deep), body(deep + b" ")).how is not How.BINARY


def test_text_is_compared_by_line() -> None:
    found = compare_bodies(body(b"a\nb\nc\n", "text/csv"), body(b"a\nx\nc\n", "text/csv"))
    assert found == Compared(How.TEXT, lines=("@@ -1,3 +1,3 @@", " a", "-b", "+x", " c"))
    found = compare_bodies(body(b"a\r\nb", "text/csv"), body(b"a\nb", "text/csv"))
    assert found.lines == ("  the lines are the same, their ends or their charset are not",)
    many = b"x\n" * 30_000
    assert compare_bodies(body(many, "text/csv"), body(many + b"y", "text/csv")).how is How.BINARY


def test_anything_else_by_size_and_checksum() -> None:
    found = compare_bodies(body(b"\x00\x01"), body(b"\x00\x02\x03"))
    assert found.how is How.BINARY
    assert found.note.startswith("2 → 3 bytes, sha256 b413f47d13ee… → ")
    assert compare_bodies(body(b""), body(b"x")).note.startswith("0 → 1 bytes")
    assert compare_bodies(body(b"\x00\x01"), body(b"\x00\x01")).same
    assert compare_bodies(body(b""), body(b"", "text/plain")).same


def test_codings_are_undone_first() -> None:
    plain, packed = body(b"same text"), body(gzip.compress(b"same text"), coding="gzip")
    assert compare_bodies(plain, packed).same
    binary = body(b"\x00\x01"), body(gzip.compress(b"\x00\x01"), coding="gzip")
    assert compare_bodies(*binary).same
    # The same bytes under another coding are another content.
    raw = gzip.compress(b"same text")
    found = compare_bodies(body(raw), body(raw, coding="gzip"), same_bytes=True)
    assert not found.same
    broken = body(raw[:-9], coding="gzip")
    assert not compare_bodies(plain, broken).same


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_bodies_are_the_same_only_if_they_are(old: bytes, new: bytes) -> None:
    found = compare_bodies(body(old), body(new))
    assert found.same or old != new
    if found.same and old != new:
        assert found.note == "the same JSON, written in another way"


def test_headers() -> None:
    old = (("Date", "1"), ("ETag", "a"), ("Server", "x"), ("Vary", "a"), ("vary", "b"))
    new = (("date", "2"), ("etag", "b"), ("server", "x"), ("X-New", "1"), ("Vary", "b"))
    assert compare_headers(old, new) == [
        HeaderChange("etag", "a", "b"),
        HeaderChange("Vary", "a, b", "b"),
        HeaderChange("X-New", None, "1"),
    ]
    assert compare_headers(old, new, volatile=True)[0] == HeaderChange("date", "1", "2")
    assert compare_headers((("A", "1"),), ()) == [HeaderChange("A", "1", None)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordingStore]:
    with RecordingStore(tmp_path) as made:
        yield made


def exchange(store: RecordingStore, id: str) -> Exchange:
    found = store.exchange(id)
    assert found is not None
    return found


HEAD = b"HTTP/1.1 200 OK\r\nDate: %s\r\nETag: %s\r\n\r\n"


def test_calls(store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    old = exchange(
        store, call(store, held, "https://h/a", 200, body=b"[1]", head=HEAD % (b"1", b"a"))
    )
    new = exchange(
        store,
        call(store, held, "https://h/b", 404, body=b"[2]", head=HEAD % (b"2", b"b"), upload=b"x"),
    )
    found = Comparer(store).compare(old, new)
    assert {name: (a, b) for name, a, b in found.facts} == {
        "outcome": ("complete 200", "complete 404"), "url": ("https://h/a", "https://h/b"),
    }  # fmt: skip
    assert [one.name for one in found.headers] == ["ETag"]
    assert (found.body.how, found.request_body.how) == (How.JSON, How.BINARY)
    assert not found.same
    found = Comparer(store, headers=False, requests=False).compare(old, new)
    assert ([name for name, *_ in found.facts], found.headers) == (["outcome"], ())
    assert found.request_body.same
    assert [one.name for one in Comparer(store, volatile=True).compare(old, new).headers] == [
        "Date", "ETag",
    ]  # fmt: skip
    assert Comparer(store).compare(old, old).same


def test_a_call_answered_from_the_store_has_that_answer(store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    first = call(store, held, "https://h/a", 200, body=b"[1]")
    second = call(store, held, "https://h/a", served_from=first)
    third = call(store, held, "https://h/a", served_from=second)
    assert Comparer(store).compare(exchange(store, first), exchange(store, third)).same
    lost = call(store, held, "https://h/a", served_from="gone")
    assert not Comparer(store).compare(exchange(store, first), exchange(store, lost)).same
    failed = call(store, held, "https://h/a", None, status=Status.FAILED)
    found = Comparer(store).compare(exchange(store, first), exchange(store, failed))
    assert found.facts == (
        ("outcome", "complete 200", "failed (requests.exceptions.ConnectionError)"),
    )


def test_a_damaged_payload_is_told(store: RecordingStore, tmp_path: Path) -> None:
    held = session()
    store.begin(held)
    one = exchange(store, call(store, held, "https://h/a", 200, body=b"one"))
    other = exchange(store, call(store, held, "https://h/a", 200, body=b"two"))
    for path in (tmp_path / "responses").iterdir():
        path.write_bytes(b"xxx")
    with pytest.raises(IntegrityError):
        Comparer(store).compare(one, other)
    # Of the same checksum none is read.
    assert Comparer(store).compare(one, one).same


def test_what_is_plainly_the_same(store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    ids = [
        call(store, held, "https://h/a", 200, head=HEAD % (date, etag))
        for date, etag in ((b"1", b"a"), (b"2", b"a"), (b"2", b"b"))
    ]
    with store.catalog.snapshot() as db:
        one, later, other = (Listing(db).ending(id) for id in ids)
    assert one
    assert later
    assert other
    assert plainly_same(one, later, headers=True, volatile=False)
    assert not plainly_same(one, later, headers=True, volatile=True)
    assert not plainly_same(one, other, headers=True, volatile=False)
    assert plainly_same(one, other, headers=False, volatile=False)
    assert not plainly_same(one, one._replace(truncated=1), headers=True, volatile=False)
    assert not plainly_same(one, one._replace(status_code=404), headers=True, volatile=False)
    coded = one._replace(head=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
    assert not plainly_same(one, coded, headers=False, volatile=False)
    nothing = Ending("failed", None, None, None, None, None, None)
    assert not plainly_same(nothing, nothing, headers=True, volatile=False)


def test_which_calls_belong_together() -> None:
    old = [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "5")]
    new = [("b", "6"), ("a", "7"), ("d", "8"), ("a", "9")]
    assert list(paired(old, new)) == [
        Pair("2", "6"), Pair("1", "7"), Pair(None, "8"), Pair("3", "9"),
        Pair("4", None), Pair("5", None),
    ]  # fmt: skip


@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_each_call_is_in_one_pair(old: list[str], new: list[str]) -> None:
    before = [(hash, f"old {n}") for n, hash in enumerate(old)]
    after = [(hash, f"new {n}") for n, hash in enumerate(new)]
    found = list(paired(before, after))
    assert sorted(one.old for one in found if one.old) == sorted(id for _, id in before)
    assert [one.new for one in found if one.new] == [id for _, id in after]
    hashes = {id: hash for hash, id in before + after}
    together = [one for one in found if one.old and one.new]
    assert all(hashes[one.old or ""] == hashes[one.new or ""] for one in together)
    assert len(together) == sum(min(old.count(one), new.count(one)) for one in "abc")
