"""vcrpy's options are taken for ours, or refused with what there is instead."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest
import vcr
from vcr.record_mode import RecordMode

from mxm_dataio import use_cassette
from mxm_dataio.api import capture_of
from mxm_dataio.errors import ConfigError
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.vcr_options import _INSTEAD, _NOT_NEEDED, _RENAMED, from_vcr


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({}, {}),
        ({"record_mode": "none"}, {"mode": "none"}),
        ({"record_mode": RecordMode.NEW_EPISODES}, {"mode": "new_episodes"}),
        ({"allow_playback_repeats": True}, {"exhausted": "repeat"}),
        ({"allow_playback_repeats": False}, {"exhausted": "error"}),
        ({"record_on_exception": False}, {"keep_failed": False}),
        ({"allowed_hosts": "a.test,b.test"}, {"allowed_hosts": ["a.test", "b.test"]}),
        ({"match_on": ["method", "uri", "body"]}, {}),
        ({"match_on": ("method", "scheme", "host", "port", "path", "query")}, {}),
        ({"serializer": "json", "decode_compressed_response": True}, {}),
        ({"ignore_hosts": (), "before_record_request": None}, {}),
    ],
)
def test_options(given: dict[str, Any], ours: dict[str, Any]) -> None:
    assert from_vcr(given) == ours


def test_filters_redact() -> None:
    found = from_vcr(
        {
            "filter_headers": ["X-Mine", ("x-yours", "DUMMY")],
            "filter_query_parameters": [("key", None)],
            "filter_post_data_parameters": ["PIN"],
        }
    )
    rules = DEFAULT.adding(headers=["x-mine", "x-yours"], names=["key", "pin"])
    # Of requests, that is: a "key" in an answer is data.
    assert found == {"redaction": replace(rules, answer_names=DEFAULT.answer_names)}
    with use_cassette("never-made", "none", **found) as ingest:
        live = capture_of(ingest).identify("GET", "http://a.test/?a=1&key=2", [("X-Mine", "3")])
        assert live == capture_of(ingest).identify("GET", "http://a.test/?a=1&key=5")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"record_mode": "any"}, "record mode 'any' has no equal here; use 'new_episodes'"),
        ({"match_on": ["method", "path"]}, "match_on without the query has no equal"),
        ({"match_on": ["uri", "jurassic"]}, "the matcher 'jurassic' has no equal here"),
        ({"ignore_localhost": True}, "'ignore_localhost' has no equal here; calls to this machine"),
        ({"before_record_request": print}, "'before_record_request' has no equal here; a rule"),
        ({"nope": 1}, "'nope' has no equal here; leave it out"),
    ],
)
def test_what_has_no_equal(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_vcr(given)
    assert said in str(caught.value)


def test_every_option_of_the_installed_vcrpy_is_thought_of() -> None:
    names = set(inspect.signature(vcr.VCR.__init__).parameters) - {"self"}
    handled = {
        "record_mode", "match_on", "filter_headers", "filter_query_parameters",
        "filter_post_data_parameters",
    }  # fmt: skip
    assert names - handled - _NOT_NEEDED - set(_INSTEAD) - set(_RENAMED) == set()
