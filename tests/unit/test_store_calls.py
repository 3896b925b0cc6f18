"""Recorded calls as a program asks for them: ``Store.calls`` and ``Store.latest``."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.errors import ConfigError, StoreError
from mxm_dataio.models import Exchange, Session, Status
from mxm_dataio.process import wall_time
from mxm_dataio.storage.questions import Questions
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.calls import call
from tests.trust.small import session


def names(found: Iterator[Exchange]) -> str:
    return "".join(one.request.url.partition("?")[0].rpartition("/")[2] for one in found)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordingStore]:
    with RecordingStore(tmp_path) as made:
        yield made


@pytest.fixture
def held(store: RecordingStore) -> tuple[Session, Session]:
    """Two sessions that take turns, the second of which is a child's of a third."""
    first, third = session(), replace(session(), source="weather")
    second = replace(session(third), source="weather")
    for one in (first, third, second):
        store.begin(one)
    now = wall_time()
    call(store, first, "https://one.example/a", 503, 200, started=1e9)
    call(store, second, "https://two.example:8443/b?page=2", 404, source="weather", started=1.5e9)
    call(store, first, "https://sub.one.example/c", None, status=Status.FAILED, started=now - 999)
    call(store, third, "http://one.example/d", 200, source="weather", started=now)
    return first, third


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, "abcd"),
        ({"source": "market"}, "ac"),
        ({"source": "none"}, ""),
        ({"host": "one.example"}, "ad"),
        ({"host": "ONE.example"}, "ad"),
        ({"host": "*.example"}, "abcd"),
        ({"host": "two.example"}, "b"),
        ({"host": "two.example:443"}, ""),
        ({"url": "*/b"}, "b"),
        ({"url": "https://two.example:8443/b?page=2"}, "b"),
        ({"url": "two.example:8443/*"}, "b"),
        ({"url": "https://*"}, "abc"),
        ({"url": "b"}, ""),
        ({"status": 503}, "a"),
        ({"status": "5xx"}, "a"),
        ({"status": [404, "failed"]}, "bc"),
        ({"status": Status.FAILED}, "c"),
        ({"status": []}, "abcd"),
        ({"since": "1h"}, "cd"),
        ({"since": timedelta(minutes=5)}, "d"),
        ({"since": "2010-01-01"}, "bcd"),
        ({"since": date(2010, 1, 1)}, "bcd"),
        ({"since": datetime(2010, 1, 1, tzinfo=UTC)}, "bcd"),
        ({"since": 1.5e9}, "bcd"),
        ({"host": "one.example", "status": 200, "since": "1h"}, "d"),
        ({"session": "latest", "source": "weather"}, "bd"),
        ({"session": "latest", "source": "market"}, "ac"),
    ],
)
def test_calls(
    store: RecordingStore, held: tuple[Session, Session], asked: dict[str, Any], wanted: str
) -> None:
    assert names(Questions(store).calls(**asked)) == wanted
    if "since" not in asked:
        newest = Questions(store).latest(**asked)
        assert names(iter([newest] if newest else [])) == wanted[-1:]


def test_calls_of_a_session(store: RecordingStore, held: tuple[Session, Session]) -> None:
    first, third = held
    assert (
        names(Questions(store).calls(session=first))
        == names(Questions(store).calls(session=first.id[-8:]))
        == "ac"
    )
    assert names(Questions(store).calls(session=third)) == "bd"
    assert names(Questions(store).calls(session=third, status=404)) == "b"
    newest = Questions(store).latest("weather", session=third, status=404)
    assert newest is not None
    assert newest.request.session_id != third.id


def test_what_is_asked_wrongly_is_said_at_once(
    store: RecordingStore, held: tuple[Session, Session]
) -> None:
    with pytest.raises(ConfigError, match="'odd' is no outcome: write 404, 5xx"):
        Questions(store).calls(status="odd")
    with pytest.raises(ConfigError, match="'yore' is neither a span"):
        Questions(store).calls(since="yore")
    with pytest.raises(StoreError, match="no session ffffffff is recorded"):
        Questions(store).calls(session="ffffffff")
    with pytest.raises(StoreError, match="no session latest"):
        Questions(store).latest("none", session="latest")


def test_what_is_found_can_be_read(store: RecordingStore, held: tuple[Session, Session]) -> None:
    newest = Questions(store).latest("weather")
    assert newest is not None
    assert newest.json() == 12345
    assert [one.answer.raw for one in Questions(store).calls(status="2xx") if one.answer] == [
        b"12345"
    ] * 2


def test_calls_are_read_as_they_are_taken(store: RecordingStore) -> None:
    own = session()
    store.begin(own)
    for number in range(600):
        call(store, own, f"https://h/{number}", 200, head=b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" * 40)
    assert [one.request.url for one in Questions(store).calls()] == [
        f"https://h/{n}" for n in range(600)
    ]
    found = Questions(store).calls()
    assert len(list(islice(found, 3))) == 3
    # Nobody is kept from writing meanwhile.
    call(store, own, "https://h/more", 200)
    assert names(Questions(store).calls()).endswith("more")
    assert sum(1 for _ in found) >= 597
    tracemalloc.start()
    sum(1 for _ in Questions(store).calls())
    once = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert once < 2 << 20
