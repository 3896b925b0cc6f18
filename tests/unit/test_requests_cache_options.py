"""requests-cache's options are taken for ours, or refused with what there is instead."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import IngestSession
from mxm_dataio.errors import ConfigError
from mxm_dataio.vcr_options import from_requests_cache


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({}, {}),
        ({"cache_name": "a", "backend": "sqlite", "serializer": "json"}, {}),
        ({"expire_after": 3600}, {"ttl": 3600}),
        ({"expire_after": timedelta(days=1)}, {"ttl": timedelta(days=1)}),
        ({"expire_after": -1}, {}),
        ({"expire_after": 0}, {"ttl": 0}),
        ({"expire_after": None, "ignored_parameters": ()}, {}),
        ({"expire_after": 60, "always_revalidate": True}, {"ttl": 0}),
        (
            {"urls_expire_after": {"*.a.test": 30, "https://b.test/x": -1}, "expire_after": 60},
            {"ttl": {"*.a.test*": 30, "b.test/x*": None, "*": 60}},
        ),
        (
            {"allowable_codes": (200, 404), "allowable_methods": ("GET", "POST")},
            {"reuse": [200, 404, "GET", "POST"]},
        ),
        ({"ignored_parameters": ["t"]}, {"ignore_params": ["t"]}),
        ({"match_headers": ["X-Tenant"]}, {"match_headers": ["X-Tenant"]}),
        ({"match_headers": False, "stale_if_error": False}, {}),
        ({"stale_if_error": timedelta(hours=1)}, {"stale_if_error": timedelta(hours=1)}),
        ({"read_only": True}, {"mode": "replay"}),
    ],
)
def test_options(given: dict[str, Any], ours: dict[str, Any], tmp_path: Path) -> None:
    made = from_requests_cache(given)
    assert made == {"mode": "auto", **ours}
    IngestSession("s", tmp_path, **made)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"match_headers": True}, "name those that are to count"),
        ({"cache_control": True}, "ttl says by URL"),
        ({"filter_fn": print}, "adding(edits=[function])"),
        ({"key_fn": print}, "view=function"),
        ({"stale_while_revalidate": True}, "mode='record' that renews"),
        ({"expire_after": datetime(2030, 1, 1)}, "no time from now"),
        ({"urls_expire_after": {re.compile("a"): 1}}, "is no pattern"),
        ({"nope": 1}, "'nope' has no equal here; leave it out"),
    ],
)
def test_what_has_no_equal(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_requests_cache(given)
    assert said in str(caught.value)
