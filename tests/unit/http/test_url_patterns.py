"""Patterns of URLs."""

from __future__ import annotations

import pytest

from mxm_dataio.http.url_patterns import forms_of, matches


@pytest.mark.parametrize(
    ("url", "pattern", "fits"),
    [
        ("https://api.test/live/a", "*/live/*", True),
        ("https://api.test/live/a", "api.test/*", True),
        ("https://api.test/live/a", "https://api.test/live/?", True),
        ("https://api.test/live/a", "http://api.test/*", False),
        ("https://api.test/live/a?b=1", "*/live/a", True),
        ("https://api.test/live/a?c=2&b=1", "*/live/a?b=1&c=2", True),
        ("https://api.test/live/a?q=x%20y", "*?q=x y", True),
        ("HTTPS://API.test:443/%6Cive/a", "https://api.test/live/a", True),
        ("http://[::1]:8080/a", "http://[::1]:8080/*", True),
        ("http://api.test", "api.test/", True),
        ("quote/A", "quote/*", True),
        ("https://api.test/live", "live", False),
    ],
)
def test_a_pattern(url: str, pattern: str, fits: bool) -> None:
    assert matches(forms_of(url), pattern) is fits
