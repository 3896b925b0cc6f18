"""Places in which programs and servers write secrets, and data that looks like some."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from mxm_dataio.ingest.sources import Sources
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.redaction.secrets import Secrets

SECRET, OTHER = "Zq9xK4vT7mPw2LrB", "Hn3sD8yU5jFe1GcA"
PAGE = "CAUQAA1bQx9KzT7mPw2LrB8"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def jwt(signature: str) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256'})}.{part({'sub': 'x'})}.{signature}"


def posted(secret: str) -> str:
    """A form for an upload to S3 that is signed anew."""
    fields = {
        "key": "f.txt",
        "policy": base64.b64encode(secret.encode() * 3).decode(),
        "x-amz-signature": secret * 4,
    }
    parts = [
        f'--XX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join(parts) + "--XX--\r\n"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, lambda s: json.dumps({"fields": [{"name": "password", "value": s}]})),
        (JSON, lambda s: json.dumps({"fields": [{"value": s, "name": "password"}]})),
        (JSON, lambda s: json.dumps([{"Key": "apiKey", "Value": s}, {"Key": "a", "Value": "b"}])),
        (JSON, lambda s: json.dumps({"body": f"user=b&password={s}"})),
        (JSON, lambda s: json.dumps({"callback": f"https://h/cb?token={s}&a=1"})),
        (JSON, lambda s: json.dumps({"repository": f"https://bob:{s}@git.h/x.git"})),
        (JSON, lambda s: json.dumps({"headers": {"Cookie": f"sid={s}"}})),
        (JSON, lambda s: json.dumps({"имя": "Ж", "password": f"{s}Ж"}, ensure_ascii=False)),
        (FORM, lambda s: "next=" + quote(f"https://b:{s}@x/")),
        (FORM, lambda s: f"user=a&password=my+{s}+word"),
        ("multipart/form-data; boundary=XX", posted),
    ],
)
def test_of_requests(content_type: str, body: Callable[[str], str]) -> None:
    part = Sources("market", {}, DEFAULT).own
    documents = set()
    for secret in (SECRET, OTHER):
        data = body(secret).encode()
        found = part.identify("POST", "https://h/x", (("Content-Type", content_type),), data)
        documents.add(part.secrets.document(found.document()))
        stored = part.secrets.body(data, content_type).content
        assert secret not in stored.decode()
        assert base64.b64encode(secret.encode())[:12] not in stored
    assert len(documents) == 1


def test_names_and_values_beside_each_other_stay_theirs() -> None:
    body = b'[{"name": "password"}, {"value": "a1b2c3d4"}, {"name": "user", "value": "e5f6g7h8"}]'
    assert DEFAULT.body(body, JSON) is body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", f"https://bob:{SECRET}@h"),
        ("Destination", f"https://bob:{SECRET}@h/dav"),
        ("X-API-KEYS", SECRET),
        ("X-Amz-Signature", SECRET),
        ("Link", f'<https://h/a?access_token={SECRET}&page=2>; rel="next"'),
        ("Host", f"bob:{SECRET}@h"),
    ],
)
def test_of_headers(name: str, value: str) -> None:
    assert SECRET not in str(Secrets(DEFAULT).pairs(((name, value),)))
    head = f"GET / HTTP/1.1\r\n{name}: {value}\r\n\r\n".encode()
    assert SECRET.encode() not in Secrets(DEFAULT).head(head)


@pytest.mark.parametrize(
    "url",
    [
        f"https://h/?next={quote(f'https://b:{SECRET}@x/')}",
        f"https://h/?next={quote(f'https://b:{SECRET}@x/', safe='')}",
        f"https://h/?q={quote(json.dumps({'password': SECRET}))}",
        f"https://h/?redirect={quote(f'/cb?code=1&access_token={SECRET}')}",
    ],
)
def test_of_urls(url: str) -> None:
    assert SECRET not in Secrets(DEFAULT).url(url)


def answered(value: object, method: str = "GET", url: str = "https://h/data") -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    return Secrets(DEFAULT).answer_body(body, head, method, url)


@pytest.mark.parametrize(
    "value",
    [
        {"password": f"my {SECRET} word"},
        {"password": "correct horse battery staple " + SECRET},
        {"passphrase": f'{SECRET} ümläut "q" x'},
        {"user": {"db_password": f"correct horse {SECRET}"}},
        {"temporaryPassword": SECRET},
        {"new_password": SECRET},
        {"webhook_secret": SECRET},
        {"access": jwt(SECRET), "refresh": jwt(SECRET)},
        {"fields": [{"name": "password", "value": SECRET}]},
        {"data": {"login": {"token": SECRET, "user": {"id": 1}}}},
    ],
)
def test_of_answers(value: object) -> None:
    assert SECRET.encode() not in answered(value)


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "youtube#list", "nextPageToken": PAGE, "prevPageToken": PAGE, "items": []},
        {"NextToken": PAGE, "ResultList": []},
        {"NextContinuationToken": PAGE, "IsTruncated": True},
        {"@odata.nextLink": f"https://graph.microsoft.com/v1.0/users?$skiptoken={PAGE}"},
        {"object": "list", "has_more": True, "data": [{"id": f"ch_{PAGE}"}]},
        {"ok": True, "response_metadata": {"next_cursor": "dGVhbTpDMDYxRkE1UEI="}},
        {"meta": {"next_token": PAGE, "result_count": 1}},
        {"object": "list", "next_cursor": PAGE, "has_more": True},
        {"data": {"pageInfo": {"endCursor": "Y3Vyc29yOnYyOpHOABc", "hasNextPage": True}}},
        {"_scroll_id": "DXF1ZXJ5QW5kRmV0Y2gBAAAAAAAAAD4WYm9laVYtZndUQlNsdDcwakFMNjU1QQ=="},
        {"continuationToken": PAGE, "nextSyncToken": PAGE, "resumeToken": PAGE},
        {"next": f"https://h/x?page_token={PAGE}&limit=2"},
        {"symbol": "AAPL", "isin": "US0378331005", "id": "8f14e45fceea167a5a36dedd4bea2543"},
        {"tx_hash": "0x" + "ab12" * 16, "token": "0xdAC17F958D2ee523a2206206994597C13D831ec7"},
        {"tokens": [{"address": "So11111111111111111111111111111111111111112"}]},
        {"key": "BTCUSDT_PERP_240628", "sid": 17, "session": "RTH", "passengers": 3},
        {"access": "PUBLIC", "refresh": "daily", "bearer": "US0378331005"},
        {"password_policy": "strong", "has_password": True, "password_hint": "my first dog"},
        {"errors": {"password": "is too short"}, "new_password": "must be longer"},
        {"password": "Password must have at least 8 characters"},
        {"placeholder": {"password": "Enter your password"}},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_data_stays(value: object, method: str) -> None:
    assert answered(value, method, "https://h/search") == json.dumps(value).encode()


@pytest.mark.parametrize(
    "name",
    [
        "pageToken",
        "page_token",
        "NextToken",
        "ContinuationToken",
        "continuation-token",
        "$skiptoken",
        "cursor",
        "after",
        "starting_after",
        "next_token",
        "start_cursor",
        "pagination_token",
        "scroll_id",
        "nextPageToken",
        "syncToken",
        "symbol_key",
        "token_address",
        "isin",
        "hash",
        "tx_hash",
        "address",
        "marker",
        "offset",
    ],
)
def test_pages_are_calls_of_their_own(name: str) -> None:
    part = Sources("market", {}, DEFAULT).own
    queries, bodies = set(), set()
    for value in (PAGE, PAGE[::-1]):
        queries.add(part.identify("GET", f"https://h/x?{name}={value}").params_hash())
        body = json.dumps({name: value, "a": 1}).encode()
        sent = (("Content-Type", JSON),)
        bodies.add(part.identify("POST", "https://h/x", sent, body).params_hash())
    assert len(queries) == len(bodies) == 2
