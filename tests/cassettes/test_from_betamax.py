"""What betamax recorded with an option replays with what the option is here."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import betamax
import pytest
import requests
from betamax.cassette.cassette import Cassette
from click.testing import CliRunner

from mxm_dataio import ReplayMissError, use_cassette
from mxm_dataio.cli import main
from mxm_dataio.errors import ConfigError
from mxm_dataio.vcr_options import from_betamax
from tests.cassettes.test_from_vcr import market
from tests.support.servers import RawServer

__all__ = ["market"]
Client = Callable[[requests.Session, str, int], Any]


@pytest.fixture
def fresh() -> Iterator[Callable[[], requests.Session]]:
    """Return what opens a session of requests, closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(requests.Session())


def paged(session: requests.Session, url: str, run: int) -> Any:
    return session.get(f"{url}/a?t={run}", timeout=5).json()


def posted(session: requests.Session, url: str, run: int) -> Any:
    return session.post(f"{url}/a", data=f"t={run}", timeout=5).json()


def keyed(session: requests.Session, url: str, _run: int) -> Any:
    return session.get(f"{url}/of/k-5c1f7b", timeout=5).json()


@pytest.mark.parametrize(
    ("options", "client"),
    [
        ({"match_requests_on": ["method", "path"]}, paged),
        ({"match_requests_on": ["method", "uri", "digest-auth"]}, posted),
        ({"placeholders": [{"placeholder": "<KEY>", "replace": "k-5c1f7b"}]}, keyed),
        ({"record": "once", "preserve_exact_body_bytes": True}, keyed),
    ],
)
def test_an_option(
    options: dict[str, Any], client: Client, market: RawServer, tmp_path: Path, fresh: Any
) -> None:
    session = fresh()
    recorder = betamax.Betamax(session, cassette_library_dir=str(tmp_path))
    kept = copy.deepcopy(Cassette.default_cassette_options)
    try:
        with recorder.use_cassette("their", **options):
            seen = client(session, market.url, 1)
    finally:
        Cassette.default_cassette_options = kept
    (tmp_path / "their.json").rename(tmp_path / "theirs.json")
    done = CliRunner().invoke(
        main, ["import", str(tmp_path / "theirs.json"), "-o", str(tmp_path / "their-own.json")]
    )
    assert done.exit_code == 0, done.output
    given = from_betamax(options)
    with use_cassette(tmp_path / "our.json", **given):
        assert client(fresh(), market.url, 1) == seen
    before = market.hits
    for name in ("their-own", "our"):
        with use_cassette(tmp_path / f"{name}.json", **given):
            assert client(fresh(), market.url, 2) == seen
    assert market.hits == before


def test_each_answer_serves_once_where_that_is_said(
    market: RawServer, tmp_path: Path, fresh: Any
) -> None:
    given = from_betamax(Cassette.default_cassette_options)
    with use_cassette(tmp_path / "a.json", **given):
        keyed(fresh(), market.url, 1)
    with use_cassette(tmp_path / "a.json", **given):
        keyed(fresh(), market.url, 1)
    with pytest.raises(ReplayMissError), use_cassette(tmp_path / "a.json", **given):
        [keyed(fresh(), market.url, 1) for _ in range(2)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"re_record_interval": 60}, "expires='1d' on the marker"),
        ({"match_requests_on": ["headers"]}, "match_headers="),
        ({"match_requests_on": ["mine"]}, "matchers={'mine': function}"),
        ({"nope": 1}, "'nope' has no equal here; leave it out"),
    ],
)
def test_what_has_no_equal(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_betamax(options)
    assert said in str(caught.value)
