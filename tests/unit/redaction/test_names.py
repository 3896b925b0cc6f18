"""Names that are secret, and names that look like it and are data."""

from __future__ import annotations

import json
import pickle

import pytest

from mxm_dataio.redaction import DEFAULT, Redaction
from mxm_dataio.redaction.names import is_passing
from mxm_dataio.redaction.rules import NOTHING
from mxm_dataio.redaction.values import is_key

SECRET = """
new_password user[password] user.password user[new_password] refreshToken clientSecret x-api-key
MY_API_KEY auth[token] password2 PASSWORD1 passwordConfirm password_confirmation confirmPassword
passwordAgain newpassword userPassword userpwd old-pass db_pass smtpPass pass_word passPhrase
keystorePass login[pass] password[] token[0] APIKey apiKey myApiKey rapidapi-key accessKeyId
secretAccessKey AccessKeySecret client_secret_value csrfmiddlewaretoken authenticity_token
__RequestVerificationToken _token bot_token user_token accessTokenSecret oauth_token_secret
privateKey private_key_pem wsse:Password $password consumer_key consumerSecret session_token
sessionToken ssh_private_key app_secret passwordHash oauth2_token jwt_token id_token_hint
client_assertion saml_assertion hmac_signature otp otp_code two_factor_token reset_token
password_reset_token signingSecret webhook_secret access_key appkey app_key pass assertion
OSSAccessKeyId GoogleAccessId Key-Pair-Id SignatureNonce q-ak q-signature X-Amz-Security-Token
x-oss-credential security-token jsessionid AccessKeyId to\u212aen new_to\u212aen secret_id
""".split()  # noqa: SIM905
DATA = """
next_page_token nextPageToken page_token continuation_token sync_token pageToken nextSyncToken
pagetoken nextpagetoken next_token NextToken cursor_token pagination_token resumptionToken
starttoken $skiptoken $deltatoken skipToken symbol_key partition_key primary_key sort_key
foreign_key key keyword keywords keys key_id public_key cache_key object_key idempotency_key
routingKey issueKey project_key meeting_key monkey turkey hotkey keyboard keypad token_count
max_tokens total_tokens prompt_tokens tokens stop_token token_type token_address tokenSymbol
token_id tokenId token_url token_endpoint token_price tokenDecimals access_token_expires_in
token0 token1 fromToken toToken tokenIn tokenOut quote_token contract_token erc20_token secretary
secretary_name secretion passenger compass compass_heading bypass passport passport_number passage
passive passed pass_rate pass_count boarding_pass first_pass multi_pass password_policy
passwordLength min_password_length has_password is_password_set password_expires_at
client_secret_expires_at author authors authority authorized accessibility signature_version
SignatureMethod X-Amz-SignedHeaders signatures session_date trading_session nonce timestamp expires
policy design signal assign insight desktop option adopted laptop client_assertion_type
assertion_type tokenize tokenizer credentials code symbol isin user
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", SECRET)
def test_secret_by_name(name: str) -> None:
    assert DEFAULT.is_secret(name)
    assert name in DEFAULT.uncounted()
    assert "=x&" not in DEFAULT.url(f"/?{name}=x&a=1")


@pytest.mark.parametrize("name", DATA)
def test_data_by_name(name: str) -> None:
    assert not DEFAULT.is_secret(name)
    assert name not in DEFAULT.uncounted()
    assert DEFAULT.url(f"/?{name}=x&a=1") == f"/?{name}=x&a=1"


@pytest.mark.parametrize("style", [str.upper, str.title, str.lower])
def test_the_case_of_a_listed_name_does_not_matter(style: object) -> None:
    assert all(DEFAULT.is_secret(style(name)) for name in DEFAULT.names)  # type: ignore[operator]


HEADERS = """
X-MBX-APIKEY APCA-API-KEY-ID APCA-API-SECRET-KEY X-CMC_PRO_API_KEY DD-API-KEY DD-APPLICATION-KEY
X-Auth-Key X-RapidAPI-Key X-IG-API-KEY X-SECURITY-TOKEN CST X-Api-Token X-Gitlab-Token
PRIVATE-TOKEN X-Figma-Token OK-ACCESS-KEY OK-ACCESS-SIGN OK-ACCESS-PASSPHRASE KC-API-KEY
KC-API-SIGN KC-API-PASSPHRASE CB-ACCESS-KEY CB-ACCESS-SIGN CB-ACCESS-PASSPHRASE X-BAPI-API-KEY
X-BAPI-SIGN API-Sign API-Key X-Finnhub-Token Proxy-Authorization X-Forwarded-Authorization
X-Subject-Token X-Auth-Token Authentication-Info X-aws-ec2-metadata-token X-Functions-Key
X-Plex-Token X-Client-Secret X-Session-Id X-Vault-Token Sec-Api-Key x-ms-access-token
X-Request-Token
""".split()  # noqa: SIM905
CLEAR_HEADERS = """
X-Continuation-Token X-MS-Continuation Sync-Token X-Next-Page-Token Idempotency-Key
Sec-WebSocket-Key X-Partition-Key X-Ratelimit-Remaining-Tokens ETag X-Request-Id X-Author Accept
Content-Type X-Correlation-Key Signature-Input X-Hub-Signature-256 Password-Policy
Access-Control-Allow-Credentials WWW-Authenticate X-Auth-Email
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", HEADERS)
def test_secret_headers(name: str) -> None:
    for one in (name, name.lower()):
        assert DEFAULT.header_pairs([(one, "v")]) == ((one, "REDACTED"),)
        assert DEFAULT.head(f"A\r\n{one}: v\r\n\r\n".encode()).endswith(b": REDACTED\r\n\r\n")
        assert one.lower() in DEFAULT.uncounted_headers


@pytest.mark.parametrize("name", CLEAR_HEADERS)
def test_clear_headers(name: str) -> None:
    assert DEFAULT.header_pairs([(name, "v")]) == ((name, "v"),)
    head = f"A\r\n{name}: v\r\n\r\n".encode()
    assert DEFAULT.head(head) == head


# -- it is data ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["new_password", "sig", "userToken", "expires", "key", "appid"])
def test_a_name_is_switched_off_and_on_again(name: str) -> None:
    url = f"/?{name}=1700000000a1b2c3d4e5f6a7&signature=x"
    url = url.replace("a1b2c3d4e5f6a7", "") if name == "expires" else url
    mine = DEFAULT.without(names=[name.upper()])
    assert f"{name}=REDACTED" in DEFAULT.url(url)
    assert f"{name}=1" in mine.url(url)
    assert f"{name}=REDACTED" in mine.adding(names=[name]).url(url)
    assert not mine.is_secret(name)
    assert pickle.loads(pickle.dumps(mine)) == mine


def test_a_header_is_switched_off_and_on_again() -> None:
    mine = DEFAULT.without(headers=["X-Foo-Token", "x-api-key"])
    assert mine.header_pairs([("x-foo-token", "v"), ("X-API-Key", "v")]) == (
        ("x-foo-token", "v"),
        ("X-API-Key", "v"),
    )
    assert mine.adding(headers=["x-foo-token"]).is_secret_header("X-Foo-Token")


def test_words_can_be_switched_off() -> None:
    mine = Redaction(words=False)
    assert mine.is_secret("token")
    assert not mine.is_secret("new_password")
    url = "/?new_password=x&key=AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY&expires=1700000000&sig=x"
    assert mine.url(url) == url.replace("sig=x", "sig=REDACTED")
    assert NOTHING.url(url) == url


# -- by value and host -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "1f8a9c0b2d3e4f5061728394a5b6c7d8",
        "Zk3nX0pQ7rT2vW9y", "550e8400-e29b-41d4-a716-446655440000",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    ],
)  # fmt: skip
def test_a_key_by_its_value(value: str) -> None:
    assert is_key(value)
    assert DEFAULT.url(f"http://h/?key={value}") == "http://h/?key=REDACTED"
    assert DEFAULT.url(f"http://h/?appid={value}") == "http://h/?appid=REDACTED"


@pytest.mark.parametrize(
    "value",
    [
        "symbol", "AAPL", "IE00B5BMR087", "AAPL240119C00150000", "EXR.D.USD.EUR.SP00.A", "12345",
        "1700000000000000000", "2024-01-02T03:04:05", "uploads/1f8a9c0b2d3e4f50/a.png",
        "XBRL_USGAAP_2024_Q3_Revenue1", "us-east-1-prod-2-shard-0003", "",
    ],
)  # fmt: skip
def test_a_key_that_is_data(value: str) -> None:
    assert DEFAULT.url(f"http://h/?key={value}") == f"http://h/?key={value}"


@pytest.mark.parametrize(
    "host", ["maps.googleapis.com", "MAPS.googleapis.com:443", "api.weatherapi.com"]
)
def test_a_key_by_its_host(host: str) -> None:
    assert DEFAULT.url(f"https://{host}/a?key=abc") == f"https://{host}/a?key=REDACTED"
    assert "abc" in DEFAULT.url(f"https://example.com/{host}/a?key=abc")


@pytest.mark.parametrize("name", ["appid", "app_id", "session_id", "session_key", "serviceKey"])
def test_an_identifier_that_is_data(name: str) -> None:
    for value in ("440", "9158", "1234567890", "latest", "com.example.app", "2024-01-02"):
        assert DEFAULT.url(f"/?{name}={value}") == f"/?{name}={value}"
    assert DEFAULT.url(f"/?{name}=b6907d289e10d714") == f"/?{name}=REDACTED"


@pytest.mark.parametrize("name", ["appid", "app_id", "session_id", "session_key", "serviceKey"])
def test_an_identifier_that_is_data_in_json(name: str) -> None:
    kind = "application/json"
    for value in (440, True, None, "9158", "latest", "com.example.app", {"a": "b6907d289e10d714"}):
        body = json.dumps({"a": [{name: value}]}).encode()
        assert DEFAULT.body(body, kind) == body
    body = json.dumps({"a": [{name: "b6907d289e10d714"}]}).encode()
    assert DEFAULT.body(body, kind) == body.replace(b"b6907d289e10d714", b"REDACTED")


@pytest.mark.parametrize(
    ("name", "passing"),
    [("sig", True), ("x_signature", True), ("assertion", True), ("hmac-signature", True),
     ("oauth_nonce", True), ("q-sign-time", True), ("token", False), ("design_key", False)],
)  # fmt: skip
def test_what_each_call_has_anew(name: str, passing: bool) -> None:
    assert is_passing(name) is passing


# -- signatures ------------------------------------------------------------------------------

R = "REDACTED"


@pytest.mark.parametrize(
    ("query", "after"),
    [
        # S3 version 2, CloudFront's canned and custom policy
        ("AWSAccessKeyId=A&Expires=1700000000&Signature=s%2F&versionId=3",
         f"AWSAccessKeyId={R}&Expires={R}&Signature={R}&versionId=3"),
        ("Expires=1700000000&Signature=s&Key-Pair-Id=K",
         f"Expires={R}&Signature={R}&Key-Pair-Id={R}"),
        ("Policy=eyJ&Signature=s&Key-Pair-Id=K", f"Policy={R}&Signature={R}&Key-Pair-Id={R}"),
        # S3 version 4
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A&X-Amz-Date=20240101T000000Z"
         "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=s&X-Amz-Security-Token=t",
         f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={R}&X-Amz-Date={R}"
         f"&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={R}&X-Amz-Security-Token={R}"),
        # Google, version 2
        ("GoogleAccessId=a%40b&Expires=1700000000&Signature=s",
         f"GoogleAccessId={R}&Expires={R}&Signature={R}"),
        # Azure
        ("sv=2022-11-02&sr=b&sp=r&st=2024-01-01T00:00:00Z&se=2024-01-02&spr=https&skoid=1"
         "&skt=2024-01-01T00%3A00%3A00Z&ske=2024-01-02&sks=b&sig=s",
         f"sv=2022-11-02&sr=b&sp=r&st={R}&se={R}&spr=https&skoid=1&skt={R}&ske={R}&sks=b&sig={R}"),
        # Aliyun, versions 1 and 4
        ("OSSAccessKeyId=A&Expires=1700000000&Signature=s&security-token=t",
         f"OSSAccessKeyId={R}&Expires={R}&Signature={R}&security-token={R}"),
        ("x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date=20240101T000000Z&x-oss-expires=60"
         "&x-oss-credential=c&x-oss-signature=s",
         f"x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date={R}&x-oss-expires=60"
         f"&x-oss-credential={R}&x-oss-signature={R}"),
        # Tencent
        ("q-sign-algorithm=sha1&q-ak=A&q-sign-time=1;2&q-key-time=1;2&q-header-list=host&q-signature=s",
         f"q-sign-algorithm=sha1&q-ak={R}&q-sign-time={R}&q-key-time={R}&q-header-list=host&q-signature={R}"),
        # Alibaba's RPC, Binance
        ("Action=Get&AccessKeyId=A&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=n"
         "&Timestamp=2024-01-01T00%3A00%3A00Z&Signature=s",
         f"Action=Get&AccessKeyId={R}&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0"
         f"&SignatureNonce={R}&Timestamp={R}&Signature={R}"),
        ("symbol=BTCUSDT&recvWindow=5000&timestamp=1700000000123&signature=s",
         f"symbol=BTCUSDT&recvWindow=5000&timestamp={R}&signature={R}"),
        # Bunny
        ("token=t&token_path=%2Fa&expires=1700000000", f"token={R}&token_path=%2Fa&expires={R}"),
        # RFC 6749 §4.1.3
        ("grant_type=authorization_code&code=abc&redirect_uri=x",
         f"grant_type=authorization_code&code={R}&redirect_uri=x"),
    ],
)  # fmt: skip
def test_signatures(query: str, after: str) -> None:
    assert DEFAULT.url(f"https://h/a?{query}") == f"https://h/a?{after}"
    assert DEFAULT.url(f"https://h/a?{after}") == f"https://h/a?{after}"
    assert DEFAULT.body(query.encode(), "application/x-www-form-urlencoded") == after.encode()


@pytest.mark.parametrize(
    "query",
    [
        "expires=1700000000&a=1",
        "policy=monetary&a=1",
        "timestamp=1700000000&symbol=A",
        "st=2024-01-01&se=2024-01-02",
        "nonce=7&a=1",
        "code=600000&a=1",
    ],
)
def test_what_a_signature_has_beside_it_is_data_without_one(query: str) -> None:
    assert DEFAULT.url(f"https://h/?{query}") == f"https://h/?{query}"


def test_what_is_no_moment_is_data_beside_a_signature() -> None:
    query = "expires=never&timestamp=3&st=CA&sig=s"
    assert DEFAULT.url(f"/?{query}") == "/?expires=never&timestamp=3&st=CA&sig=REDACTED"


def test_fields_of_a_path() -> None:
    assert (
        DEFAULT.url("http://h/a;jsessionid=1A2B/b;v=1?x=1")
        == "http://h/a;jsessionid=REDACTED/b;v=1?x=1"
    )


def test_a_url_in_a_parameter() -> None:
    url = "http://h/?a=1&next=https%3A%2F%2Fu%3Ap%40i%2F%3Ftoken%3Dx%26b%3D2"
    assert DEFAULT.url(url) == "http://h/?a=1&next=https%3A%2F%2Fi%2F%3Ftoken%3DREDACTED%26b%3D2"
    plain = "http://h/?next=https://i/?b=2"
    assert DEFAULT.url(plain) == plain


@pytest.mark.parametrize(
    ("url", "after"),
    [
        ("http://h/?next=/cb%3Ftoken%3Dx%26b%3D2", "http://h/?next=%2Fcb%3Ftoken%3DREDACTED%26b%3D2"),
        ("http://h/?a=1;token=x;b=2", "http://h/?a=1;token=REDACTED;b=2"),
        ("http://h/?token=x;b=2&c=3", "http://h/?token=REDACTED&c=3"),
        ("http://h/?q=what?&b=is this?", "http://h/?q=what?&b=is this?"),
        (
            "https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw4/getMe",
            "https://api.telegram.org/botREDACTED/getMe",
        ),
        (
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
            "https://hooks.slack.com/services/REDACTED",
        ),
        (
            "https://discord.com/api/webhooks/123456789012345678/abcDEF-123_abcDEF-123_abcDEF?wait=true",
            "https://discord.com/api/webhooks/123456789012345678/REDACTED?wait=true",
        ),
        ("http://h/bot1/robots.txt", "http://h/bot1/robots.txt"),
        ("http://h/webhooks/12", "http://h/webhooks/12"),
    ],
)  # fmt: skip
def test_places_of_a_url(url: str, after: str) -> None:
    assert DEFAULT.url(url) == after
    assert DEFAULT.url(after) == after
    assert NOTHING.url(url) == url


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("<https://h/?access_token=x&page=2>; rel=next",
         "<https://h/?access_token=REDACTED&page=2>; rel=next"),
        ("<https://h/?page_token=x>; rel=next", "<https://h/?page_token=x>; rel=next"),
        ("0; url=/?token=x", "0; url=/?token=REDACTED"),
        ("/b/k?sig=x", "/b/k?sig=REDACTED"),
        ("text/html; q=0.5, */*", "text/html; q=0.5, */*"),
    ],
)  # fmt: skip
def test_urls_in_headers(value: str, after: str) -> None:
    for name in ("Link", "X-Original-URL"):
        assert DEFAULT.header_pairs([(name, value)]) == ((name, after),)
        head = f"HTTP/1.1 200 OK\r\n{name}: {value}\r\n\r\n".encode()
        assert DEFAULT.head(head) == head.replace(value.encode(), after.encode())
