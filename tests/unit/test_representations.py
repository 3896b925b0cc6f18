"""What sessions, stores and what is read of them say of themselves: a line, and nothing secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio import (
    ConfigError,
    FetchError,
    IngestSession,
    Redaction,
    ReplayMissError,
    Request,
    Store,
    register,
    unregister,
    use_cassette,
)
from mxm_dataio.models import Exchange, Response
from mxm_dataio.redaction import DEFAULT

SOURCE = "unit-repr"


class Answers:
    def fetch(self, request: Request) -> bytes:
        if request.endpoint == "down":
            raise ValueError("no such endpoint")
        return b"four"


@pytest.fixture(autouse=True)
def fetcher() -> Iterator[None]:
    register(SOURCE, Answers())
    yield
    unregister(SOURCE)


def test_a_session_says_how_far_it_is(tmp_path: Path) -> None:
    root = tmp_path / "root"
    ingest = IngestSession(SOURCE, root, "once", hook=False)
    start = f"<IngestSession source='{SOURCE}' mode="
    assert repr(ingest) == f"{start}'once' root='{root}' state='not opened' calls=0 misses=0>"
    with ingest:
        ingest.request("a")
        assert repr(ingest) == f"{start}'record' root='{root}' state='open' calls=1 misses=0>"
        ingest.suspend()
        assert "state='suspended'" in repr(ingest)
    assert repr(ingest) == f"{start}'record' root='{root}' state='complete' calls=1 misses=0>"


def test_a_session_that_met_a_miss_says_so(tmp_path: Path) -> None:
    with IngestSession(SOURCE, tmp_path, hook=False) as ingest:
        ingest.request("a")
    ingest = IngestSession(SOURCE, tmp_path, "replay", hook=False)
    with pytest.raises(ReplayMissError), ingest:
        ingest.request("b")
    assert repr(ingest).endswith("state='failed' calls=1 misses=1>")


def test_a_session_on_a_cassette_says_which(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with use_cassette(path, source=SOURCE) as ingest:
        ingest.request("a")
        assert repr(ingest) == (
            f"<CassetteSession source='{SOURCE}' mode='record' path='{path}' state='open' "
            "calls=1 misses=0>"
        )


def test_a_store_says_how_much_it_holds(tmp_path: Path) -> None:
    with IngestSession(SOURCE, tmp_path, hook=False) as ingest:
        ingest.request("a")
        ingest.request("b")
    with Store(tmp_path) as store:
        assert repr(store) == f"<Store root='{tmp_path}' readonly sessions=1 calls=2>"
    assert repr(store) == (
        f"<Store root='{tmp_path}' readonly (the database {tmp_path}/dataio.sqlite was closed)>"
    )


def test_what_is_read_says_what_came(tmp_path: Path) -> None:
    with IngestSession(SOURCE, tmp_path, hook=False) as ingest:
        response = ingest.request("a")
        with pytest.raises(FetchError):
            ingest.request("down")
    assert repr(response) == f"<Response 'GET a' status=None bytes=4 complete id='{response.id}'>"
    with Store(tmp_path) as store:
        good, bad = store.exchanges(ingest.id)
    assert repr(good) == (
        f"<Exchange 'GET a' source='{SOURCE}' status=None attempts=1 complete "
        f"id='{good.request.id}'>"
    )
    assert f" status=None attempts=0 failed ValueError id='{bad.request.id}'>" in repr(bad)


def test_statuses_stand_in_the_order_of_the_attempts() -> None:
    request = Request("r", "s", "market", "http://a.example/")
    tries = tuple(Response("r", n, status_code=code) for n, code in ((1, 503), (2, None), (3, 200)))
    assert " status=503→None→200 attempts=3 " in repr(Exchange(request, tries))


@given(st.text(), st.text())
def test_it_is_one_line_whatever_was_called(method: str, url: str) -> None:
    response = Response("r", method=method, url=url)
    request = Request("r", "s", "a\nb", url, method=method)
    for one in (response, Exchange(request, (response,))):
        assert len(repr(one).splitlines()) == 1
        assert repr(one).isprintable()


# -- redaction -------------------------------------------------------------------------------------


def test_rules_say_what_is_otherwise_than_in_the_default() -> None:
    assert repr(DEFAULT) == repr(Redaction()) == "Redaction()"
    changed = DEFAULT.adding(lambda *_: None, names=["Pin"], headers=["X-Mine"])
    assert repr(changed) == (
        "Redaction(headers+=['x-mine'], names+=['pin'], answer_names+=['Pin'], rules=1)"
    )
    assert repr(DEFAULT.without(headers=["Cookie"])) == (
        "Redaction(headers-=['cookie'], exempt_headers+=['cookie'])"
    )
    assert repr(Redaction(tokens=False)) == "Redaction(tokens=False)"
    assert len(repr(DEFAULT.adding(names=map(str, range(1000))))) < 300
    assert len(repr(Redaction(names=frozenset(), headers=frozenset()))) < 300


# -- what is there once it is open -----------------------------------------------------------------


def test_a_session_has_its_row_once_it_is_open(tmp_path: Path) -> None:
    ingest = IngestSession(SOURCE, tmp_path, hook=False)
    with pytest.raises(ConfigError, match="the session has no row before it is open"):
        _ = ingest.session
    with ingest:
        assert ingest.session.id == ingest.id
        ingest.request("a")
    assert ingest.session.status == "complete"


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_a_session_has_its_row_in_each_mode(mode: str, tmp_path: Path) -> None:
    with IngestSession(SOURCE, tmp_path, mode, hook=False) as ingest:
        ingest.request("a")
        assert ingest.session.mode == mode
