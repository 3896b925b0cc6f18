"""Which members, elements and fields of answers are secret, and that all else stays."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.redaction import DEFAULT, Redaction
from mxm_dataio.redaction.answer_names import ANSWER_NAMES, Asked, squashed
from mxm_dataio.redaction.found import Found
from tests.support.effort import examples

SECRET, OTHER = "Zk3v9-QmX71_tRw8", "aB4c5D6e7F8g9H0i"
GET, POST = Asked("GET", "http://h/me"), Asked("POST", "http://h/x")
LOGIN = Asked("GET", "http://h/login")


def clean(text: str, asked: Asked = GET, redaction: Redaction = DEFAULT) -> str:
    return redaction.answer(text.encode(), asked).decode()


def styles(name: str) -> list[str]:
    words = name.split("_")
    camel = "".join(word.title() for word in words)
    return [name, camel[0].lower() + camel[1:], camel, "-".join(words), name.upper()]


@pytest.mark.parametrize("name", sorted(ANSWER_NAMES))
def test_a_name_in_every_style_and_form(name: str) -> None:
    for one in styles(name):
        for form in (
            '{"a": 1, "%s" : "%s", "b": [1.50]}',
            '{"a":[{"deep":{"%s":"%s"}}]}\n',
            "[1]\n{'%s': '%s'}",
            "<?xml version='1.0'?><a xmlns='x'>\n<s:%s>%s</s:{0}> <b/></a>",
            '<a %s="%s" b="c"/>',
            "%s=%s&token_type=bearer",
            "a=1&%s=%s",
        ):
            text = form.replace("{0}", one) % (one, SECRET)
            assert SECRET not in clean(text)
            kept = clean(text).replace('"REDACTED"', "REDACTED").replace("'", '"')
            assert re.sub(r'"?REDACTED"?', SECRET, kept) == re.sub(
                rf'"?{SECRET}"?', SECRET, text.replace("'", '"')
            )


@pytest.mark.parametrize(
    "text",
    [
        # Paging.
        '{"next_page_token": "Zk3v9QmX71tRw8", "nextPageToken": "Zk3v9QmX71tRw8"}',
        '{"items": [1], "pageToken": "Zk3v9QmX71tRw8", "continuationToken": "Zk3v9QmX71tRw8"}',
        '{"nextToken": "Zk3v9QmX71tRw8", "cursor": "Zk3v9QmX71tRw8"}',
        '{"nextSyncToken": "Zk3v9QmX71tRw8", "sync_token": "Zk3v9QmX71tRw8"}',
        '{"token": "Zk3v9QmX71tRw8", "items": []}',
        # Coins.
        '{"token": "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", "symbol": "WBTC"}',
        '{"token": "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", "user": "0xab", "expiry": 3}',
        '{"token": "So11111111111111111111111111111111111111112", "user": "Zk3v9QmX71tRw8"}',
        '{"token0": "Zk3v9QmX71tRw8", "tokenAddress": "Zk3v9QmX71tRw8", "tokens": ["Zk3v9QmX7"]}',
        '{"token": {"address": "Zk3v9QmX71tRw8"}, "user": {}}',
        # Numbers of records, and keys of data.
        '{"sid": "SM0123456789abcdef0123456789abcdef", "account_sid": "AC0123456789abcdef01"}',
        '{"key": "Zk3v9QmX71tRw8", "value": 1}',
        '{"session": "regular", "session_key": 9158, "sessionId": 17, "session_id": "morning"}',
        # About a secret, or none.
        '{"password": null, "access_token": "", "api_key": false, "secret": true, "jwt": 1}',
        '{"password": {"type": "string"}, "access_token": {"type": "string"}, "crumb": ["a"]}',
        '{"password": "This field is required.", "apiKey": "API key", "jwt": "Your token"}',
        '{"password": "string", "client_secret": "********", "access_token": "string"}',
        '{"password": "Passwort", "password_policy": "Zk3v9QmX71tRw8", "passwordExpired": "no-1"}',
        '{"access_token_expires_at": "2025-10-07", "api_key_id": "Zk3v9QmX71tRw8"}',
        # None of these is what it looks like.
        '<xs:element name="password" type="xs:string" minOccurs="1"/>',
        "<html><body><input name='password' value='Zk3v9QmX71tRw8'></body></html>",
        "the access_token=Zk3v9QmX71tRw8 is in the text",
        "access_token,price\nZk3v9QmX71tRw8,1\n",
        '"access_token"',
        '["access_token", "Zk3v9QmX71tRw8"]',
        "{",
        "",
    ],
)
@pytest.mark.parametrize("asked", [GET, POST])
def test_other_answers_stay(text: str, asked: Asked) -> None:
    body = text.encode()
    assert DEFAULT.answer(body, asked) is body


TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=")
    for one in ({"alg": "HS256"}, {"exp": 1}, [SECRET])
)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ('{"token": "%s", "expires_at": "2026-01-01T00:00:00Z", "permissions": {}}', GET),
        ('{"token": "%s", "user": {"id": 1}}', GET),
        ('{"Token": "%s", "SecretAccessKey": "abcDEF123+/x", "AccessKeyId": "ASIA1"}', GET),
        ('{"token": "%s", "userId": 5}', GET),
        ('{"status": "SUCCESS", "token": "%s", "error": ""}', POST),
        ('{"token": "%s"}', LOGIN),
        ('{"key": "%s"}', LOGIN),
        ('{"data": {"sid": "%s", "synotoken": "a"}, "success": true}', GET),
        ('{"n": 1}\n{"token": "%s", "expires_in": 1}\n', GET),
        ('{"SecretString": "{\\"username\\": \\"u\\", \\"other\\": \\"%s\\"}"}', POST),
        ('{"body": "{\\"access_token\\": \\"%s\\"}"}', GET),
        (')]}\',\n{"access_token": "%s"}', GET),
        ('cb({"token": "%s", "expires_in": 1});', GET),
        ('{"access\\u005ftoken": "%s"}', GET),
        ('{"password": "%s"', GET),
        ('{"private_key": "-----BEGIN PRIVATE KEY-----\\n%s\\n-----END PRIVATE KEY-----"}', GET),
        ("oauth_token=a1b2c3&oauth_token_secret=%s&oauth_callback_confirmed=true", GET),
        ("token=%s&expires_in=3", GET),
        ("SID=%s\nAuth=a\nexpires=1\n", POST),
        ("<r><sessionId>%s</sessionId></r>", POST),
        ("<r><Credentials><SessionToken>%s</SessionToken></Credentials></r>", GET),
        ("<r><![CDATA[x]]><a:password><![CDATA[%s]]></a:password></r>", GET),
        ("<r><token>%s</token></r>", LOGIN),
        ("<methodResponse><member><name>session_id</name><value><string>%s</string></value>"
         "</member></methodResponse>", POST),
        ('<users><user name="a" password="%s"/></users>', GET),
    ],
)  # fmt: skip
def test_what_is_secret(text: str, asked: Asked) -> None:
    for coding in ("utf-8", "utf-16", "utf-16-le", "utf-32"):
        if coding != "utf-8" and text[0] not in "{<":
            continue
        found: list[Found] = []
        after = DEFAULT.answer((text % SECRET).encode(coding), asked, found.append)
        assert SECRET not in after.decode(coding)
        assert any(SECRET in one.value and one.place == "answer" for one in found)
    shown = clean(text % SECRET, asked)
    if text.startswith('{"') and text.endswith("}") and "\n" not in text:
        json.loads(shown)


def test_a_signed_token_stays_readable() -> None:
    void = TOKEN.rpartition(".")[0] + ".REDACTED"
    for text in ('{"token": "%s", "a": 1.0}', '{"jwt":"%s"}', "<a><idToken>%s</idToken></a>"):
        assert clean(text % TOKEN) == text % void
    assert clean(f"id_token={TOKEN}&state=1") == f"id_token={void}&state=1"
    # As replay hands it out.
    body = b'{"jwt": "%s"}' % void.encode()
    assert DEFAULT.answer(body, GET) == body


def test_names_are_data() -> None:
    text = '{"user": {"e-mail": "jane.roe@corp.example", "userEmail": "x", "ISIN": "IE00B5BMR087"}}'
    assert clean(text) == text
    for mine in (DEFAULT.adding(names=["isin"]), DEFAULT.adding(answer_names=["isin"])):
        assert clean(text, redaction=mine) == text.replace("IE00B5BMR087", "REDACTED")
    both = DEFAULT.adding(answer_names=["email", "userEmail"])
    assert clean(text, redaction=both).count("REDACTED") == 2
    assert not DEFAULT.adding(answer_names=["isin"]).is_secret("isin")
    token = f'{{"apiToken": "{SECRET}", "password": "{OTHER}"}}'
    for less in (DEFAULT.without(names=["api_token"]), DEFAULT.without(answer_names=["api-token"])):
        assert clean(token, redaction=less) == token.replace(OTHER, "REDACTED")


names = st.sampled_from(["a", "token", "Password", "api_key", "é"])
members = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "token", "Password", "api_key", "é"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@examples(200)
@given(members, st.booleans(), st.sampled_from([None, 1]))
def test_only_values_change(value: Any, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    after = DEFAULT.answer(body, POST)
    at = 0
    for piece in after.split(b'"REDACTED"'):
        at = body.index(piece, at) + len(piece)


def test_its_time_is_linear() -> None:
    for unit in (
        '{"token":', '"token', "<token", "token=", "\\", "[", "ken", "a" * 9 + "key", '{"a":"{',
        "<a b=", "cb(", "key&", "\\u0041", '"secretString":"{\\"',
    ):  # fmt: skip
        for asked in (GET, LOGIN):
            taken = []
            for size in (1 << 14, 1 << 17):
                body = (unit * (size // len(unit))).encode()
                start = time.process_time()
                DEFAULT.answer(b"{" + body, asked)
                DEFAULT.answer(body, asked)
                taken.append(time.process_time() - start)
            assert taken[1] < 0.3 + taken[0] * 32, unit


def test_every_name_is_found_fast() -> None:
    ordinary = json.dumps({"rows": [{"close": 1.5, "session": "x", "symbol": "A"}] * 99}).encode()
    assert not DEFAULT.looks_for(ordinary, POST)
    assert len({squashed(name) for name in ANSWER_NAMES}) == len(ANSWER_NAMES)
