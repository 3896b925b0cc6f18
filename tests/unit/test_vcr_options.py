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
from mxm_dataio.vcr_options import from_vcr
from mxm_dataio.vcr_options.options import _NOT_NEEDED, _TAKEN


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
        ({"match_on": ["method", "uri"]}, {"ignore_body_of": ["*"]}),
        (
            {"match_on": ("method", "scheme", "host", "port", "path", "query")},
            {"ignore_body_of": ["*"]},
        ),
        (
            {"match_on": ["method", "scheme", "path", "query", "body"]},
            {"match_host": False},
        ),
        ({"record_mode": "any"}, {"mode": "new_episodes"}),
        (
            {"ignore_hosts": ["a.test"], "allowed_hosts": ["b.test"]},
            {"ignore_hosts": ["a.test"], "allowed_hosts": ["a.test", "b.test"]},
        ),
        ({"ignore_localhost": False, "match_on": None}, {}),
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
    (rule,) = found["redaction"].rules
    # Of requests, that is: a "key" in an answer is data.
    assert replace(found["redaction"], rules=()) == replace(
        rules, answer_names=DEFAULT.answer_names
    )
    assert rule("header", "x-yours", "3") == "DUMMY"
    assert rule("header", "x-mine", "3") is rule("query", "x-yours", "3") is None
    with use_cassette("never-made", "none", **found) as ingest:
        live = capture_of(ingest).identify("GET", "http://a.test/?a=1&key=2", [("X-Mine", "3")])
        assert live == capture_of(ingest).identify("GET", "http://a.test/?a=1&key=5")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"match_on": ["uri", "headers"]}, "match_on='headers' has no equal here"),
        ({"match_on": ["uri", "jurassic"]}, "matchers={'jurassic': function}"),
        ({"match_on": [lambda r1, r2: r1 == r2]}, "compares two requests"),
        ({"filter_sensitive_data": [("<A>", print)]}, "gets '<A>' by a function"),
        ({"nope": 1}, "'nope' has no equal here; leave it out"),
    ],
)
def test_what_has_no_equal(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_vcr(given)
    assert said in str(caught.value)


def test_every_option_of_the_installed_vcrpy_is_thought_of() -> None:
    names = set(inspect.signature(vcr.VCR.__init__).parameters) - {"self"}
    assert names - _NOT_NEEDED - set(_TAKEN) == set()
