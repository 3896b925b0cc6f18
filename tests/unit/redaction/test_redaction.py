"""What never reaches disk, and that everything else does, to the byte."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mxm_dataio.redaction import DEFAULT, PLACEHOLDER, Redaction
from mxm_dataio.redaction.rules import NOTHING, SECRET_HEADERS, SECRET_NAMES
from tests.support.effort import examples

fast = examples(150)
SECRET = "s3cr3tV4lu3"
FORM = "application/x-www-form-urlencoded"
# "=" and "&" apart, anything may stand in a value that is quoted; the mark tells it from the rest.
secrets = st.text(max_size=12).map(lambda text: f"{SECRET}{text}{SECRET}")
names = st.sampled_from(sorted(SECRET_NAMES)).flatmap(
    lambda name: st.sampled_from([name, name.upper(), name.title()])
)
words = st.text("abcdefgh0123-._~", min_size=1, max_size=8).filter(lambda w: w not in SECRET_NAMES)


def pair(name: str, value: str) -> str:
    ((_, after),) = DEFAULT.header_pairs([(name, value)])
    return after


# -- headers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "after"),
    [
        ("Authorization", f"Bearer {SECRET}", f"Bearer {PLACEHOLDER}"),
        ("Authorization", f"Digest username={SECRET}, nonce={SECRET}", f"Digest {PLACEHOLDER}"),
        ("authorization", SECRET, PLACEHOLDER),
        ("Proxy-Authorization", f"Basic {SECRET}", f"Basic {PLACEHOLDER}"),
        ("Cookie", f"sid={SECRET}; theme=dark", PLACEHOLDER),
        ("X-API-Key", f"{SECRET} {SECRET}", PLACEHOLDER),
        ("Set-Cookie", f"sid={SECRET}; Path=/; Secure", f"sid={PLACEHOLDER}; Path=/; Secure"),
        ("Set-Cookie", f"sid={SECRET}", f"sid={PLACEHOLDER}"),
        ("Set-Cookie", f"sid=a={SECRET}; HttpOnly", f"sid={PLACEHOLDER}; HttpOnly"),
        ("Location", f"/next?token={SECRET}&page=2", f"/next?token={PLACEHOLDER}&page=2"),
        ("Content-Type", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("Authorization-Info", "public", "public"),
    ],
)
def test_header_values(name: str, value: str, after: str) -> None:
    assert pair(name, value) == after


def test_header_names_order_and_repeats_stay() -> None:
    pairs = (("B", "1"), ("COOKIE", "x=1"), ("a", "2"), ("B", "1"))
    assert DEFAULT.header_pairs(pairs) == (("B", "1"), ("COOKIE", PLACEHOLDER), *pairs[2:])


def test_a_nameless_cookie_is_all_value() -> None:
    # RFC 6265bis §5.6: without "=" the whole pair is the cookie's value.
    assert SECRET not in pair("Set-Cookie", f"{SECRET}; Path=/")


def test_head_lines_without_a_secret_stay_to_the_byte() -> None:
    head = (
        b"HTTP/1.1 200  OK \r\nX-Odd:  two  spaces \r\nx-latin: \xe9\xff\r\nBare\r\nNo-CR: 1\n"
        b"Fold: a\r\n\t b\r\nLocation: /a?b=1\r\nSet-Cookie: a=b; Path=/\r\nlast: 1\r\n\r\n"
    )
    assert DEFAULT.head(head) == head.replace(b"a=b;", b"a=REDACTED;")
    assert NOTHING.head(head) == head


def test_head_keeps_each_line_end() -> None:
    head = b"HTTP/1.0 401 No\nCookie: a=b\nSET-cookie: a=b; Path=/\r\n\n"
    assert DEFAULT.head(head) == (
        b"HTTP/1.0 401 No\nCookie: REDACTED\nSET-cookie: a=REDACTED; Path=/\r\n\n"
    )


def test_folded_lines_of_a_secret_header_go_others_stay() -> None:
    secret = SECRET.encode()
    head = b"HTTP/1.1 200 OK\r\nAuthorization: Digest a=b,\r\n c=%s\r\n\td=%s\r\nX: 1\r\n 2\r\n\r\n"
    after = DEFAULT.head(head % (secret, secret))
    assert secret not in after
    assert after.startswith(b"HTTP/1.1 200 OK\r\nAuthorization: Digest REDACTED\r\n")
    assert after.endswith(b"X: 1\r\n 2\r\n\r\n")
    assert after.count(b"\r\n") == head.count(b"\r\n")


def test_a_secret_that_begins_on_a_folded_line_goes() -> None:
    for name in (b"Cookie", b"Authorization", b"Set-Cookie", b"X-Api-Key"):
        head = b"HTTP/1.1 200 OK\r\n%s:\r\n a=%s\r\n\r\n" % (name, SECRET.encode())
        assert SECRET.encode() not in DEFAULT.head(head)


@fast
@given(
    st.sampled_from(sorted(SECRET_HEADERS)),
    st.text("abcDEF0189+/=.,;-_ ", max_size=20),
    st.sampled_from(["\r\n", "\n"]),
    st.lists(st.binary(max_size=9).filter(lambda b: b"\n" not in b and b":" not in b), max_size=3),
)
def test_a_planted_secret_never_survives_in_a_head(
    name: str, noise: str, end: str, values: list[bytes]
) -> None:
    value = f"name={SECRET}{noise}" if name.startswith("set-cookie") else f"Basic {noise}{SECRET}"
    around = [b"X-Other:" + other for other in values]
    lines = [b"HTTP/1.1 200 OK", *around, f"{name}: {value}".encode(), *around, b"", b""]
    after = DEFAULT.head(end.encode().join(lines))
    assert SECRET.encode() not in after
    kept = [line for line in after.split(end.encode()) if line.startswith(b"X-Other:")]
    assert kept == around * 2


def line_by_line(redaction: Redaction, head: bytes) -> bytes:
    """What :meth:`Redaction.head` is defined to return."""
    first, *rest = head.split(b"\n")
    out, folded = [first], False
    for line in rest:
        text = line.decode("latin-1")
        end = "\r" if text.endswith("\r") else ""
        if folded and text.startswith((" ", "\t")):
            out.append(b" " + b"\r" * (len(text) - len(text.rstrip("\r"))))
            continue
        name, colon, value = text.partition(":")
        before = value.rstrip("\r").strip()
        ((_, after),) = redaction.header_pairs([(name.strip(), before)])
        folded = bool(colon) and after != before
        out.append(f"{name}: {after}{end}".encode("latin-1") if folded else line)
    return b"\n".join(out)


MINE = Redaction(headers=frozenset({"x-mine", "x.ab", "x++", "x-\xe9", "", "a b", "a:b"}))
blanks = st.text(" \t\r\x0b\x0c\x1c\x1f\x85\xa0", max_size=2)
header_names = (
    st.sampled_from(
        ["X", "Location", "REFERER", "Set-Cookie", "cookie", "Authorization", "X-API-Key"]
    )
    | st.sampled_from(
        ["x-mine", "X.ab", "xyab", "X++", "X-\xc9", "", "a b", "a:b", "Cookie2", "ACookie"]
    )
    | st.text("aA-\xb5\xdf\xe9:", max_size=3)
)
header_values = st.sampled_from(
    ["", "a", "a=b; Path=/", "Basic x", "/a?b=1", "/a?token=1", "http://u:p@h/", "\xff\x00", ":"]
)
head_lines = st.tuples(
    blanks,
    header_names,
    blanks,
    st.sampled_from([":", ":", ":", ""]),
    blanks,
    header_values,
    blanks,
).map("".join)


@examples(400)
@given(
    st.lists(st.tuples(head_lines, st.sampled_from(["\r\n", "\r\n", "\n", "\r\r\n", "\r", ""]))),
    st.sampled_from(["", "\n", "HTTP/1.1 200 OK\r\n", "Cookie: a\n"]),
    st.sampled_from([DEFAULT, NOTHING, MINE]),
)
@example([("Location: /a?token=1", "\r\n")], "HTTP/1.1 302 Found\r\n", DEFAULT)
@example([("\x85COOKIE\xa0:a", "\n")], "\n", DEFAULT)
def test_any_head_is_redacted_line_by_line(
    lines: list[tuple[str, str]], first: str, redaction: Redaction
) -> None:
    head = (first + "".join(line + end for line, end in lines)).encode("latin-1")
    assert redaction.head(head) == line_by_line(redaction, head)


# -- URLs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "after"),
    [
        (f"http://u:{SECRET}@h:8/p", "http://h:8/p"),
        (f"https://{SECRET}@h/p?a=1", "https://h/p?a=1"),
        (f"http://u:a@b{SECRET}@h/", "http://h/"),
        (f"http://h/p?apikey={SECRET}&a=b%20c#f", f"http://h/p?apikey={PLACEHOLDER}&a=b%20c#f"),
        (f"http://h/?api%5Fkey={SECRET}", f"http://h/?api%5Fkey={PLACEHOLDER}"),
        (f"http://h/?token={SECRET}&TOKEN={SECRET}", "http://h/?token=REDACTED&TOKEN=REDACTED"),
        ("http://h/p?a=1&a=2&&b", "http://h/p?a=1&a=2&&b"),
        ("http://h/@user?x=a@b", "http://h/@user?x=a@b"),
        ("http://h:80/@user?x=a@b", "http://h:80/@user?x=a@b"),
        ("http://[::1]:80/@user?x=a@b", "http://[::1]:80/@user?x=a@b"),
        (f"http://u:#{SECRET}@h/p?a=1", "http://h/p?a=1"),
        (f"http://u:a/{SECRET}?@h/p?token={SECRET}", "http://h/p?token=REDACTED"),
        ("plain name", "plain name"),
    ],
)
def test_urls(url: str, after: str) -> None:
    assert DEFAULT.url(url) == after


@fast
@given(names, secrets, words, words)
def test_a_planted_secret_never_survives_in_a_url(
    name: str, secret: str, word: str, value: str
) -> None:
    url = f"https://me:{quote(secret, safe='')}@h.example/{word}?{word}={value}"
    url += f"&{quote_plus(name)}={quote_plus(secret)}&z=1"
    after = DEFAULT.url(url)
    assert SECRET not in after
    assert after.startswith(f"https://h.example/{word}?{word}={value}&")
    assert after.endswith("&z=1")
    assert DEFAULT.url(after) == after


@pytest.mark.parametrize("field", ["my+key", "MY%20key", "m%79+KEY", "my key"])
def test_a_secret_name_is_known_in_any_encoding(field: str) -> None:
    mine = Redaction(names=frozenset({"my key"}))
    assert mine.url(f"/?{field}={SECRET}") == f"/?{field}={PLACEHOLDER}"


@pytest.mark.parametrize("url", [f"http://h/#access_token={SECRET}", f"/cb#a=1&token={SECRET}"])
def test_a_token_in_the_fragment_goes_too(url: str) -> None:
    # RFC 6749 §4.2.2: the implicit grant's redirect carries the token there.
    assert SECRET not in DEFAULT.url(url)


@fast
@given(
    st.sampled_from(["http", "https", "HTTP", "ftp"]),
    words,
    st.text("ab/%2F+:;@é", max_size=10),
    st.one_of(st.none(), st.lists(st.tuples(words, st.text("ab=+%20", max_size=5)), max_size=3)),
    st.one_of(st.none(), st.text("ab?", max_size=4)),
)
def test_a_url_without_secrets_stays_as_it_is(
    scheme: str, host: str, path: str, query: list[tuple[str, str]] | None, fragment: str | None
) -> None:
    url = f"{scheme}://{host}/{path}"
    url += "" if query is None else "?" + "&".join(f"{n}={v}" for n, v in query)
    url += "" if fragment is None else f"#{fragment}"
    assert DEFAULT.url(url) == url


# -- bodies and text -------------------------------------------------------------------------


def test_a_form_loses_its_secret_values_only() -> None:
    body = f"user=me&password={SECRET}&x=a+b%20&y&token=".encode()
    after = DEFAULT.body(body, f"{FORM}; charset=utf-8")
    assert after == b"user=me&password=REDACTED&x=a+b%20&y&token=REDACTED"


@fast
@given(names, secrets, st.binary(max_size=8).filter(lambda b: b"&" not in b))
def test_a_planted_secret_never_survives_in_a_form(name: str, secret: str, noise: bytes) -> None:
    body = b"a=" + noise + f"&{quote_plus(name)}={quote_plus(secret)}&z=1".encode()
    after = DEFAULT.body(body, FORM.upper())
    assert SECRET.encode() not in after
    assert after.startswith(b"a=" + noise + b"&")
    assert after.endswith(b"&z=1")


def test_json_at_any_depth() -> None:
    value = {"a": [{"Password": SECRET, "b": {"token": {"deep": [SECRET]}}}, 1.50], "é": "\u2028"}
    after = DEFAULT.body(json.dumps(value).encode(), "application/vnd.api+json; charset=utf-8")
    assert json.loads(after) == {
        "a": [{"Password": PLACEHOLDER, "b": {"token": PLACEHOLDER}}, 1.5],
        "é": "\u2028",
    }


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)


@fast
@given(names, secrets, trees, st.integers(0, 6), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]))
def test_a_planted_secret_never_survives_in_json(
    name: str, secret: str, tree: object, depth: int, encoding: str
) -> None:
    value: object = {"keep": tree, name: secret}
    for level in range(depth):
        value = [value, tree] if level % 2 else {"inner": value, "keep": tree}
    after = DEFAULT.body(json.dumps(value).encode(encoding), "application/json")
    assert SECRET not in after.decode(encoding)
    assert json.dumps(tree) in json.dumps(json.loads(after))


@fast
@given(trees)
def test_json_without_secrets_stays_to_the_byte(tree: object) -> None:
    body = json.dumps(tree, indent=3).encode()
    assert DEFAULT.body(body, "application/json") == body


# "K" is the Kelvin sign, whose lower case is "k"; of "\u03a3" it depends on what stands beside it.
odd_names = st.sampled_from(
    ["Token", "to\u212aen", "\u03a3\u03a3", "a\u03c3\u03c2", "a'\u03a3", 'a"b', "\\"]
)
GREEK = Redaction(
    names=frozenset(
        {
            "token",
            "\u03c3\u03c2",
            "\u03c3\u03c3",
            "a\u03c3\u03c2",
            "a'\u03c2",
            "a'\u03c3",
            'a"b',
            "",
        }
    )
)


def goes(redaction: Redaction, name: str, one: object) -> bool:
    if one is None or one is False or one == "":
        return False
    if isinstance(one, str):
        return redaction.is_secret(name, one)
    return redaction.is_secret(name) and not redaction.keeps(name, json.dumps(one))


def without_secrets(redaction: Redaction, tree: object) -> object:
    """What :meth:`Redaction.body` is defined to make of a value of JSON."""
    if isinstance(tree, list):
        return [without_secrets(redaction, one) for one in tree]
    if isinstance(tree, dict):
        return {
            name: PLACEHOLDER if goes(redaction, name, one) else without_secrets(redaction, one)
            for name, one in tree.items()
        }
    return tree


@examples(400)
@given(
    st.recursive(
        leaves | odd_names,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(words | names | odd_names | st.just(""), inner, max_size=3)
        ),
    ),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32-le"]),
    st.sampled_from([DEFAULT, GREEK]),
)
def test_json_is_redacted_as_it_parses(
    tree: object, escaped: bool, encoding: str, redaction: Redaction
) -> None:
    body = json.dumps([tree], ensure_ascii=escaped).encode(encoding)
    after = redaction.body(body, "application/json").decode(encoding)
    assert json.loads(after) == without_secrets(redaction, [tree])


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("name", ["token", "TOKEN", "to\u212aen", r"\u0074oken"])
def test_a_secret_goes_from_json_in_any_encoding(encoding: str, name: str) -> None:
    body = f'{{"{name}": "{SECRET}"}}'.encode(encoding)
    assert SECRET not in DEFAULT.body(body, "application/json").decode(encoding)


def test_a_secret_under_a_repeated_json_key_goes() -> None:
    body = f'{{"token": "{SECRET}", "token": null}}'.encode()
    assert SECRET.encode() not in DEFAULT.body(body, "application/json")


@pytest.mark.parametrize("media", ["application/x-amz-json-1.1", "text/json", "application/a+json"])
def test_json_under_other_names_is_json(media: str) -> None:
    body = json.dumps({"AuthParameters": {"PASSWORD": SECRET}}).encode()
    assert SECRET.encode() not in DEFAULT.body(body, f"{media}; charset=utf-8")


def test_other_bodies_stay() -> None:
    body = f"the password={SECRET}".encode()
    assert DEFAULT.body(body, "text/plain") == body
    assert DEFAULT.body(b"{not json", "application/json") == b"{not json"
    assert DEFAULT.body(b"", "application/json") == b""


def test_text_loses_the_secrets_of_its_urls() -> None:
    text = (
        f"GET https://me:{SECRET}@h/a?token={SECRET}&p=1 failed: HTTPConnectionPool(host='h', "
        f"port=80): Max retries exceeded with url: /v1?apikey={SECRET}&q=2 (Caused by X('http:"
        f"//h/?sig={SECRET}'))"
    )
    after = DEFAULT.text(text)
    assert SECRET not in after
    assert after.startswith(f"GET https://h/a?token={PLACEHOLDER}&p=1 failed: HTTP")
    assert f"url: /v1?apikey={PLACEHOLDER}&q=2 (Caused by X('http://h/?sig=" in after


# -- the policy is data ----------------------------------------------------------------------


def test_names_can_be_extended() -> None:
    mine = Redaction(names=SECRET_NAMES | {"isin"}, headers=frozenset({"x-mine"}))
    assert mine.url("http://h/?ISIN=1&a=2") == f"http://h/?ISIN={PLACEHOLDER}&a=2"
    assert mine.header_pairs([("X-Mine", "1"), ("Cookie", "2")]) == (
        ("X-Mine", PLACEHOLDER),
        ("Cookie", "2"),
    )


@pytest.mark.parametrize("url", [f"http://h/?token={SECRET}", f"http://u:{SECRET}@h/p?a=1"])
def test_nothing_redacts_nothing(url: str) -> None:
    assert NOTHING.url(url) == url
    assert NOTHING.text(url) == url
    assert (
        NOTHING.head(f"X\r\nLocation: {url}\r\n".encode()) == f"X\r\nLocation: {url}\r\n".encode()
    )
    assert NOTHING.body(f"token={SECRET}".encode(), FORM) == f"token={SECRET}".encode()
