"""Names of objects: what is written is read back, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.archive.names import ExchangesName, SessionName, payload
from mxm_dataio.config.archive_urls import checked, is_url
from mxm_dataio.errors import ConfigError
from mxm_dataio.utils import new_id

STORE = "0123456789abcdef" * 2
ID = "01997f00-0000-7000-8000-000000000001"


@given(st.integers(0, 10**12), st.binary(min_size=32, max_size=32))
def test_a_session(leaf: int, seal: bytes) -> None:
    name = SessionName(STORE, leaf, new_id(), seal)
    assert SessionName.parse(str(name)) == name


def test_leaves_are_listed_in_their_order() -> None:
    names = [str(SessionName(STORE, leaf, new_id(), bytes(32))) for leaf in (9, 10, 99_999_999)]
    assert names == sorted(names)


@given(st.text(max_size=40), st.integers(0, 3))
def test_an_object_with_calls(source: str, part: int) -> None:
    name = ExchangesName(source, "2025-10", new_id(), part)
    text = str(name)
    assert text.isascii()
    assert text.count("/") == 3
    assert ExchangesName.parse(text) == name


@pytest.mark.parametrize(
    ("source", "shown"),
    [("a/b=c%", "a%2Fb%3Dc%25"), ("..", ".."), ("", "__HIVE_DEFAULT_PARTITION__"), ("a b", "a b")],
)
def test_a_source_stands_as_hive_has_it(source: str, shown: str) -> None:
    assert f"/source={shown}/" in str(ExchangesName(source, "2025-10", new_id()))


@pytest.mark.parametrize(
    "name",
    [
        "", "archive.json", f"sessions/store={STORE}/1-x-y.parquet",
        f"sessions/store={STORE}/000000001-{ID}-{'0' * 64}.parquet",
        f"sessions/store={STORE}/00000001-{ID}-{'0' * 64}.parquet.tmp",
        f"exchanges/source=a%2fb/month=2025-10/{ID}.parquet",
        f"exchanges/source=a/month=2025-10/{ID}-0.parquet",
        f"exchanges/source=a/month=2025/{ID}.parquet",
        f"exchanges/source=a/b/month=2025-10/{ID}.parquet",
    ],
)  # fmt: skip
def test_other_names_are_none(name: str) -> None:
    assert SessionName.parse(name) is None
    assert ExchangesName.parse(name) is None


def test_a_body() -> None:
    assert payload("ab" * 32) == f"payloads/ab/{'ab' * 32}"


# -- URLs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["s3://b/p", "gs://b", "az://c/p/q", "file:///a/b", "memory:///", "S3://b/p/"]
)
def test_urls_of_archives(url: str) -> None:
    assert is_url(url)
    assert checked(checked(url)) == checked(url)


@pytest.mark.parametrize("text", ["data", "/data", "./s3:/b", "C:/x", "s3", "https://a/b", ""])
def test_what_is_none(text: str) -> None:
    assert not is_url(text)
    with pytest.raises(ConfigError):
        checked(text)


@pytest.mark.parametrize(
    "url",
    [
        "s3://user:hidden@bucket/prefix", "s3://bucket/prefix?key=hidden", "s3://bucket/#hidden",
        "s3://hidden@bucket", "file://hidden@host/a", "ftp://user:hidden@host/a",
        "s3://[hidden/a", "https://user:hidden@host/a",
    ],
)  # fmt: skip
def test_what_is_secret_in_a_url_is_not_told(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        checked(url)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "file://", "file:///", "file://host/a"])
def test_a_url_that_leads_nowhere(url: str) -> None:
    with pytest.raises(ConfigError):
        checked(url)
