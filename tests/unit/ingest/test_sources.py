"""Which source a call belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.ingest.sources import Rules

RULES = {
    "*": "any",
    "*.example.com": "example",
    "api.example.com": "api",
    "*.api.example.com": "below-api",
    "api.example.com:8443": "api-test",
    "*.example.com:8080": "example-8080",
    "10.0.0.?": "ten",
    "::1": "six",
    "[fe80::*]": "link",
    "bücher.example": "never: hosts are compared as A-labels",
    "xn--bcher-kva.example": "books",
}


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://api.example.com/v1?q=https://other.example/", "api"),
        ("https://API.Example.COM", "api"),
        ("https://api.example.com:443/", "api"),
        ("https://api.example.com:8443/", "api-test"),
        ("https://api.example.com:9/", "api"),
        ("https://user:p%40ss@api.example.com/", "api"),
        ("https://api.example.com?x=1", "api"),
        ("https://api.example.com#part", "api"),
        ("https://v2.api.example.com/", "below-api"),
        ("https://www.example.com/", "example"),
        ("http://www.example.com:8080/", "example-8080"),
        ("https://example.com/", "any"),
        ("https://example.com.evil.test/", "any"),
        ("http://10.0.0.7/", "ten"),
        ("http://10.0.0.77/", "any"),
        ("http://[::1]/", "six"),
        ("http://[0:0:0:0:0:0:0:1]:8000/x", "six"),
        ("http://[fe80::1]/", "link"),
        ("https://bücher.example/", "books"),
        ("ftp://www.example.com/file", "example"),
        ("daily/ALFA", "own"),
        (".", "own"),
        ("", "own"),
    ],
)
def test_the_most_specific_rule_decides(url: str, source: str) -> None:
    assert Rules(RULES, "own").of(url) == source


@given(st.permutations(list(RULES.items())))
def test_whatever_the_order_of_the_rules(rules: list[tuple[str, str]]) -> None:
    shuffled, sorted_ = Rules(dict(rules), "own"), Rules(RULES, "own")
    for host in ("api.example.com", "www.example.com", "v2.api.example.com", "10.0.0.1", "x"):
        for port in ("", ":8080", ":8443"):
            url = f"http://{host}{port}/"
            assert shuffled.of(url) == sorted_.of(url)


def test_without_a_rule_for_all_the_rest_is_the_sessions_own() -> None:
    rules = Rules({"api.example.com": "api"}, "own")
    assert rules.of("https://other.example/") == "own"
    assert rules.sources == {"api", "own"}


def test_a_host_that_is_none_is_the_sessions_own() -> None:
    rules = Rules({"*.example.com": "example"}, "own")
    for url in ("http://", "http:///path", "http://[::1", "http://a.example.com:port/", "://x"):
        assert rules.of(url) == "own"


def test_ports_of_a_scheme_count_where_none_is_given() -> None:
    rules = Rules({"a.test:80": "plain", "a.test:443": "tls"}, "own")
    assert [rules.of("http://a.test/"), rules.of("https://a.test/x")] == ["plain", "tls"]


def test_what_is_remembered_does_not_grow_for_ever() -> None:
    rules = Rules({"*.example.com": "example"}, "own")
    for number in range(10_000):
        assert rules.of(f"https://h{number}.example.com/") == "example"
    assert len(rules._known) <= 4096
