"""``params_hash`` is what its vectors say, and what it promises holds for any call."""

from __future__ import annotations

import hashlib
import json
import mmap
import re
import time
from collections.abc import Collection, Container, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mxm_dataio.http.forms import form_pairs
from mxm_dataio.http.urls import _split_general, normal_escapes, split_url
from mxm_dataio.identity import (
    PARSED_BODY_LIMIT,
    VERSION,
    Identity,
    body_member,
    identify,
    vary_names,
)
from mxm_dataio.redaction.rules import NOTHING
from mxm_dataio.utils import NotCanonicalError, canonical_json
from tests.support import CHECKOUT

VECTORS: list[dict[str, Any]] = json.loads(
    (CHECKOUT / "tests" / "vectors" / "params_hash.json").read_text("ascii")
)
HASHES = {vector["name"]: vector["params_hash"] for vector in VECTORS}
URL = "https://api.example.com/v1/quotes"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
PATH_SAFE = UNRESERVED | frozenset(b"/!$&'()*+,;=:@")


def unless(ignore: Iterable[str]) -> Container[str]:
    return NOTHING.uncounted(ignore)


def posted(body: bytes | mmap.mmap, content_type: str, ignore: Collection[str] = ()) -> Identity:
    return identify(
        "POST", URL, headers=[("Content-Type", content_type)], body=body, ignore=unless(ignore)
    )


def query_hash(pairs: Iterable[tuple[bytes, bytes]], ignore: Collection[str] = ()) -> str:
    return identify("GET", f"{URL}?{encoded(pairs)}", ignore=unless(ignore)).params_hash()


def encoded(pairs: Iterable[tuple[bytes, bytes]]) -> str:
    return "&".join(f"{quote_from_bytes(n, safe='')}={quote_from_bytes(v)}" for n, v in pairs)


def multipart(boundary: bytes, parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    framed = [b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, head, body) for head, body in parts]
    return b"".join(framed) + b"--%s--\r\n" % boundary


# -- the vectors -----------------------------------------------------------------------------


def test_there_are_vectors_enough() -> None:
    assert len(VECTORS) >= 60
    assert len(HASHES) == len(VECTORS), "a name stands twice"


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    body = vector.get("body")
    if body is not None:
        body = body["text"].encode() if "text" in body else bytes.fromhex(body["hex"])
    ignored = vector.get("ignore_headers", ())
    identity = identify(
        vector["method"],
        vector["url"],
        params=vector.get("params", ()),
        headers=vector.get("headers", ()),
        body=body,
        ignore=unless(vector.get("ignore", ())),
        ignore_headers=ignored,
    )
    vary = vary_names(vector.get("vary"), ignored)
    assert identity.document(vary).decode() == vector["document"]
    assert identity.params_hash(vary) == vector["params_hash"]

    document = vector["document"].encode()
    assert hashlib.sha256(document).hexdigest() == vector["params_hash"]
    assert canonical_json(json.loads(document)) == document
    for name in vector.get("same_as", ()):
        assert vector["params_hash"] == HASHES[name], f"not the same as {name}"
    for name in vector.get("differs_from", ()):
        assert vector["params_hash"] != HASHES[name], f"no different from {name}"


# -- parameters ------------------------------------------------------------------------------

names = st.binary(min_size=1, max_size=4)
values = st.binary(max_size=6)
pair_lists = st.lists(st.tuples(names, values), max_size=6)


@given(st.dictionaries(names, values, max_size=6).map(lambda d: list(d.items())), st.data())
def test_order_of_distinct_names_does_not_matter(
    pairs: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    moved = data.draw(st.permutations(pairs))
    assert query_hash(moved) == query_hash(pairs)
    there, back = (posted(encoded(p).encode(), FORM) for p in (moved, pairs))
    assert there.params_hash() == back.params_hash()


@given(pair_lists, names, st.lists(values, min_size=2, max_size=4), st.data())
def test_order_of_the_values_of_one_name_matters(
    others: list[tuple[bytes, bytes]], name: bytes, several: list[bytes], data: st.DataObject
) -> None:
    others = [pair for pair in others if pair[0] != name]
    moved = data.draw(st.permutations(several))
    hashes = [query_hash([(name, v) for v in vs] + others) for vs in (several, moved)]
    assert (hashes[0] == hashes[1]) == (moved == several)


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=6)), max_size=5))
def test_params_count_as_those_of_the_query(pairs: list[tuple[str, str]]) -> None:
    apart = identify("GET", URL, params=pairs)
    assert apart.params_hash() == query_hash((n.encode(), v.encode()) for n, v in pairs)


@given(st.text("ab%+&=6fF\xe9", max_size=12).map(str.encode))
def test_form_pairs_are_decoded_field_by_field(query: bytes) -> None:
    fields = [field.split(b"=", 1) for field in query.split(b"&") if field]
    assert form_pairs(query) == [
        (
            unquote_to_bytes(name.replace(b"+", b" ")),
            unquote_to_bytes(b"".join(value).replace(b"+", b" ")),
        )
        for name, *value in fields
    ]


# -- the endpoint ----------------------------------------------------------------------------


def piece(plain: str, odd: str) -> st.SearchStrategy[str]:
    """A piece of a URL: of plain characters, or with odd ones among them."""
    return st.text(plain, max_size=6) | st.text(plain + odd, max_size=6)


anything = ' \t\r\n\x00\x1f\x7f\x80\xa0\xe9\u3002\uff0f\ud800%#?/\\@:[]<>"^`{|}'
urls = st.tuples(
    st.sampled_from(
        ["http", "https", "http", "https", "HTTP", "httpx", "ftp", " http", "ht\ntp", ""]
    ),
    st.sampled_from(["://", "://", "://", ":", "//", ""]),
    st.sampled_from(["", "", "", "u@", "u:p@"]),
    st.sampled_from(["h", "a-b_c.example", "127.0.0.1", "a.", "A", "", "[::1]", "b\xfc"])
    | piece("ab1.-_", anything),
    st.sampled_from(["", ":", ":80", ":443", ":8080", ":080", ":0", ":65535", ":65536", ":-1"])
    | st.integers(0, 99_999).map(":{}".format)
    | st.just(":\u0661"),
    st.sampled_from(["", "/", "//", "/a", "\\"]) | piece("/aZ09._~!$&'()*+,;=:@-", anything),
    st.sampled_from(["", "?", "??"]) | piece("?a=1&+%!\"$'", anything),
    st.sampled_from(["", "", "#", "#a", "\n"]),
).map("".join)


@given(urls)
@example("http://h:80/")
@example("http://h/\n")
@example("http://h/?\n")
@example("http://h/?a#b")
@example("http://h:65535/")
@example("http://h:65536/")
@example(f"http://h:{'9' * 5000}/")
def test_a_url_in_normal_form_is_split_as_any_other(url: str) -> None:
    try:
        expected = _split_general(url)
    except ValueError as exc:
        with pytest.raises(type(exc)):
            split_url(url)
    else:
        assert split_url(url) == expected


@pytest.mark.parametrize("port", ["", *(f":{n}" for n in (1, 79, 800, 8080, 44300, 59999, 64999))])
def test_the_normal_form_is_known(port: str) -> None:
    url = f"http://a-b.example{port}/v1/~me;v=1/"
    assert split_url(f"{url}?a=%31&b") == _split_general(f"{url}?a=%31&b") == (url, b"a=%31&b")


labels = st.one_of(
    st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True),
    st.sampled_from(["bücher", "日本", "straße", "пример", "ελλάδα", "ñandú"]),
)
hosts = st.lists(labels, min_size=1, max_size=3).map(".".join)
tails = st.sampled_from(["", "/", "/a/b", "/a%20b", "/?a=1", "/x?a=1&a=2"])


@given(st.sampled_from([("http", 80), ("https", 443)]), hosts, tails, st.data())
def test_host_case_default_port_userinfo_and_fragment_do_not_matter(
    scheme_port: tuple[str, int], host: str, tail: str, data: st.DataObject
) -> None:
    scheme, port = scheme_port
    flips = data.draw(st.lists(st.booleans(), min_size=len(host), max_size=len(host)))
    cased = "".join(
        c.upper() if flip and len(c.upper()) == 1 else c
        for c, flip in zip(host, flips, strict=True)
    )
    userinfo = data.draw(st.sampled_from(["", "u@", "u:p@", "u%40:@"]))
    explicit = data.draw(st.sampled_from(["", ":", f":{port}"]))
    fragment = data.draw(st.sampled_from(["", "#", "#f", "#a/b?c=d"]))
    dressed = f"{scheme.upper()}://{userinfo}{cased}{explicit}{tail}{fragment}"
    plain = f"{scheme}://{host}{tail}"
    assert identify("GET", dressed).params_hash() == identify("GET", plain).params_hash()


@given(
    st.text(st.sampled_from(sorted(map(chr, UNRESERVED))), min_size=1, max_size=12),
    st.sampled_from(["%%%02X", "%%%02x"]),
    st.data(),
)
def test_encoding_of_unreserved_characters_is_neutral(
    text: str, escape: str, data: st.DataObject
) -> None:
    flips = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    other = "".join(escape % ord(c) if flip else c for c, flip in zip(text, flips, strict=True))
    plain, escaped = (identify("GET", f"{URL}/{t}?{t}={t}") for t in (text, other))
    assert escaped.document() == plain.document()


@given(st.text(st.sampled_from("%aAfF0129zé/ ~:\x00?#"), max_size=12) | st.text(max_size=12))
@example("%7e%2f%zz%%41%")
def test_normal_escapes_is_idempotent(text: str) -> None:
    once = normal_escapes(text, PATH_SAFE)
    assert normal_escapes(once, PATH_SAFE) == once
    assert once.isascii()


@given(st.text(st.sampled_from("%aAfF012e~/ :\x00\n\xe9?#"), max_size=12) | st.text(max_size=12))
def test_escapes_are_normalised_byte_by_byte(text: str) -> None:
    rest, out = text.encode("utf-8", "surrogateescape"), ""
    while rest:
        escaped = re.match(rb"%[0-9A-Fa-f]{2}", rest)
        byte = int(rest[1:3], 16) if escaped else rest[0]
        bare = byte in (UNRESERVED if escaped else PATH_SAFE)
        out += chr(byte) if bare else f"%{byte:02X}"
        rest = rest[3 if escaped else 1 :]
    assert normal_escapes(text, PATH_SAFE) == out


@given(st.sets(st.sampled_from(["Accept", "X-A", "x-b", "ORIGIN"])), st.data())
def test_vary_names_in_any_order_and_case(names: set[str], data: st.DataObject) -> None:
    moved = data.draw(st.permutations(sorted(names)))
    plain = vary_names(",".join(sorted(names)))
    assert plain == tuple(sorted(name.lower() for name in names))
    assert vary_names(" , ".join(name.swapcase() for name in moved)) == plain


# -- bodies ----------------------------------------------------------------------------------

# A double that is an integer beyond 2^53 is left out: its canonical text reads back as one that
# has no canonical form.
doubles = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not x.is_integer() or abs(x) <= 2**53
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | doubles | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(item) for key, item in reversed(value.items())}
    if isinstance(value, list):
        return [reversed_keys(item) for item in value]
    return value


@given(json_values, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_json_key_order_white_space_and_escapes_are_neutral(
    value: Any, indent: int | str | None, ascii_only: bool
) -> None:
    plain = json.dumps(value, separators=(",", ":")).encode()
    other = json.dumps(reversed_keys(value), indent=indent, ensure_ascii=ascii_only).encode()
    identity = posted(other, JSON)
    assert "json" in identity.body
    assert identity.document() == posted(plain, JSON).document()


contents = st.binary(max_size=12) | st.sampled_from([b"", b"\r\n", b"--", b"\r\n--", b"\r\n\r\n"])
heads = st.sampled_from(
    [
        b'Content-Disposition: form-data; name="a"',
        b'Content-Disposition: form-data; name="f"; filename="x"\r\nContent-Type: text/csv',
        b"A:",
    ]
)
part_lists = st.lists(st.tuples(heads, contents), max_size=4)
boundaries = st.text(st.sampled_from("abcXYZ019'+_-"), min_size=8, max_size=20)


@given(part_lists, boundaries, boundaries)
def test_multipart_boundary_is_neutral(
    parts: list[tuple[bytes, bytes]], one: str, another: str
) -> None:
    identities = [
        posted(multipart(b.encode(), parts), f'multipart/form-data; boundary="{b}"')
        for b in (one, another)
    ]
    assert len(identities[0].body["multipart"]) == len(parts)
    assert identities[0].document() == identities[1].document()


@given(st.lists(st.tuples(heads, contents), min_size=1, max_size=4), st.data())
def test_a_changed_part_matters(parts: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(parts) - 1))
    changed = [*parts]
    changed[at] = (parts[at][0], parts[at][1] + b"!")
    content_type = "multipart/form-data; boundary=0123456789"
    there, back = (posted(multipart(b"0123456789", p), content_type) for p in (parts, changed))
    assert there.params_hash() != back.params_hash()


@given(
    st.lists(st.tuples(names, values), max_size=4),
    st.lists(st.tuples(st.sampled_from([b"ts", b"TS", b"Nonce"]), values), max_size=3),
    st.data(),
)
def test_ignored_names_of_queries_and_forms_never_matter(
    pairs: list[tuple[bytes, bytes]], noise: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    mixed = pairs
    for pair in noise:
        at = data.draw(st.integers(0, len(mixed)))
        mixed = [*mixed[:at], pair, *mixed[at:]]
    ignore = {"ts", "nonce"}
    assert query_hash(mixed, ignore) == query_hash(pairs, ignore)
    if pairs:
        there, back = (posted(encoded(p).encode(), FORM, ignore) for p in (mixed, pairs))
        assert there.params_hash() == back.params_hash()


def noisy(value: Any, noise: Any) -> Any:
    """Return the value with ignored members in every object."""
    if isinstance(value, dict):
        return {"TS": noise} | {k: noisy(v, noise) for k, v in value.items()} | {"nonce": noise}
    if isinstance(value, list):
        return [noisy(item, noise) for item in value]
    return value


@given(json_values, json_values | st.just(2**60))
def test_ignored_names_of_json_never_matter(value: Any, noise: Any) -> None:
    ignore = {"ts", "nonce"}
    there, back = (
        posted(json.dumps(v).encode(), JSON, ignore) for v in (noisy(value, noise), value)
    )
    assert "json" in there.body
    assert there.document() == back.document()


@given(
    st.lists(st.tuples(st.sampled_from(["Accept", "Range", "X-A"]), st.text(max_size=4))),
    st.sampled_from([("x-key", "X-KEY"), ("accept", "Accept")]),
)
def test_ignored_headers_never_matter(
    headers: list[tuple[str, str]], ignored: tuple[str, str]
) -> None:
    name, sent = ignored
    vary = vary_names(f"X-A, {sent}", {name})
    there, back = (
        identify("GET", URL, headers=h, ignore_headers={name})
        for h in ([*headers, (sent, "secret")], [h for h in headers if h[0].lower() != name])
    )
    assert there.document(vary) == back.document(vary)


TYPED_BODIES = [
    (b'{"b":1,"a":[2,null]}', JSON),
    (b'{"a":1,"a":2}', JSON),
    (b"b=1&a=%ff&a=2", FORM),
    (b"\0\1\2", "application/octet-stream"),
    (
        multipart(b"zz", [(b"A: b", b"1"), (b"C: d", bytes(5000))]),
        "multipart/form-data; boundary=zz",
    ),
    (b"--zz\r\nbroken", "multipart/form-data; boundary=zz"),
]


@given(
    st.sampled_from(TYPED_BODIES)
    | st.tuples(
        st.binary(min_size=1, max_size=40),
        st.sampled_from([JSON, FORM, "text/plain", "multipart/form-data; boundary=a"]),
    )
)
def test_a_mapped_body_counts_as_its_bytes(typed: tuple[bytes, str]) -> None:
    content, content_type = typed
    with mmap.mmap(-1, len(content)) as mapped:
        mapped[:] = content
        document = posted(mapped, content_type).document()
    assert document == posted(content, content_type).document()


@pytest.mark.parametrize(
    ("content_type", "member"), [(JSON, "json"), (FORM, "form"), ("a/b+json", "json")]
)
def test_forms_and_json_above_the_limit_are_digests(content_type: str, member: str) -> None:
    content = b"1" * 300 + b" " * (PARSED_BODY_LIMIT - 300)
    content = b'"' + b"x" * (PARSED_BODY_LIMIT - 2) + b'"' if member == "json" else content
    assert set(posted(content, content_type).body) == {member}
    above = content + b" "
    digest = {"sha256": hashlib.sha256(above).hexdigest()}
    assert posted(above, content_type).body == digest


@pytest.mark.parametrize("past", range(-3, 12))
def test_a_delimiter_across_the_steps_of_a_search_is_found(past: int, tmp_path: Path) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
    content = b"x" * ((1 << 20) - len(head) - past)
    body = head + content + b"\r\n" + head + b"second\r\n--b--\r\n"
    path = tmp_path / "body"
    path.write_bytes(body)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for given in (body, mapped):
            parts = body_member(given, "multipart/form-data; boundary=b", ())["multipart"]
            assert [part["sha256"] for part in parts] == [
                hashlib.sha256(content).hexdigest(),
                hashlib.sha256(b"second").hexdigest(),
            ]


def test_multipart_has_no_limit() -> None:
    content = multipart(b"zz", [(b"A: b", bytes(PARSED_BODY_LIMIT + 1))])
    assert "multipart" in posted(content, "multipart/form-data; boundary=zz").body


@pytest.mark.parametrize("content", [b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000, b"9" * 5000])
def test_json_that_python_will_not_read_is_a_digest(content: bytes) -> None:
    assert posted(content, JSON).body == {"sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_json_of_seven_hundred_levels_has_a_document(start: bytes, end: bytes) -> None:
    identity = posted(start * 700 + b"1" + end * 700, JSON)
    assert "json" in identity.body
    assert (start * 700 + b"1" + end * 700) in identity.document()


# -- the document ----------------------------------------------------------------------------


@given(
    st.sampled_from(["get", "POST", "Purge"]),
    st.sampled_from([URL, "http://[::1]:81", "daily_quotes", "https://bücher.example/é%ff"]),
    pair_lists,
    st.lists(
        st.tuples(st.sampled_from(["Accept", "range", "X-A", "x-a"]), st.text(max_size=6)),
        max_size=4,
    ),
    st.sampled_from(TYPED_BODIES) | st.tuples(json_values.map(lambda v: json.dumps(v).encode())),
    st.sampled_from(["", "X-A", "X-B,x-a"]),
)
def test_a_document_is_its_own_canonical_form(
    method: str,
    url: str,
    pairs: list[tuple[bytes, bytes]],
    headers: list[tuple[str, str]],
    typed: tuple[bytes, str] | tuple[bytes],
    vary: str,
) -> None:
    body, content_type = (*typed, JSON)[:2]
    identity = identify(
        method,
        f"{url}?{encoded(pairs)}",
        headers=[*headers, ("Content-Type", content_type)],
        body=body,
    )
    names = vary_names(vary)
    document = identity.document(names)
    assert canonical_json(json.loads(document)) == document
    assert hashlib.sha256(document).hexdigest() == identity.params_hash(names)
    assert set(json.loads(document)) == {"v", "method", "endpoint", "params", "body", "headers"}


texts = st.text(max_size=6) | st.sampled_from(["%s", "\ud800", "\U0001f600", '"\\', "\u2028\x00"])
params = st.lists(
    st.lists(texts | st.binary(max_size=3).map(lambda b: {"hex": b.hex()}), min_size=2, max_size=2)
)
bodies = (
    st.none()
    | st.fixed_dictionaries({"form": params})
    | st.fixed_dictionaries({"json": json_values | st.dictionaries(texts, texts | st.integers())})
)
named = st.dictionaries(texts, texts, max_size=3)


@given(texts, texts, params, bodies, named, named, st.lists(texts, max_size=3))
@example("GET", "http://h/%s", [["%s", "%%"]], {"json": [{"%d": 2**60}]}, {}, {}, [])
def test_a_document_is_the_canonical_json_of_its_members(
    method: str,
    endpoint: str,
    pairs: list[Any],
    body: Any,
    headers: dict[str, str],
    all_headers: dict[str, str],
    vary: list[str],
) -> None:
    def sound(text: str) -> str:
        # Half a surrogate pair has no UTF-8; the call is a call all the same.
        return text.encode("utf-8", "backslashreplace").decode()

    counted = headers | {name: all_headers.get(name, "") for name in vary}
    members = {
        "v": VERSION,
        "method": sound(method),
        "endpoint": sound(endpoint),
        "params": pairs,
        "body": body,
        "headers": [[sound(name), sound(value)] for name, value in sorted(counted.items())],
    }
    identity = Identity(method, endpoint, pairs, body, headers, all_headers)
    try:
        expected = canonical_json(members)
    except NotCanonicalError:
        # Of parameters and bodies the function that reads them makes what has a form.
        with pytest.raises(NotCanonicalError):
            identity.document(vary)
    else:
        assert identity.document(vary) == expected


def test_another_body_member_is_another_call() -> None:
    identity = identify("POST", URL, body=b"x")
    unsent = identity.with_body({"unsent": True})
    assert json.loads(unsent.document())["body"] == {"unsent": True}
    assert unsent.with_body(identity.body) == identity
    assert unsent.params_hash() != identity.params_hash()


@pytest.mark.parametrize(
    ("url", "endpoint", "params"),
    [
        ("HTTP://u:pw@example.com:-1", "http://example.com:-1", []),
        ("http://example.com:x/a?b=1#c", "http://example.com:x/a", [["b", "1"]]),
        ("http://example.com:99999/", "http://example.com:99999/", []),
        ("http://u@[bad/?b=1", "http://[bad/", [["b", "1"]]),
    ],
)
def test_a_url_no_client_can_use_identifies_all_the_same(
    url: str, endpoint: str, params: list[Any]
) -> None:
    """Its client refuses it, in its own words; the record of that must not get in their way."""
    identity = identify("GET", url)
    assert (identity.endpoint, identity.params) == (endpoint, params)


@pytest.mark.parametrize(
    "number", ["0." + "1" * 10**6, "1" * 10**6 + ".5", "1e" + "1" * 10**6, "1e-" + "9" * 4000]
)
def test_a_number_of_any_length_has_a_hash_in_linear_time(number: str) -> None:
    started = time.process_time()
    assert "sha256" in posted(f"[{number}]".encode(), JSON).body
    assert time.process_time() - started < 5


@given(st.floats(-(2.0**53), 2.0**53))
def test_a_double_is_the_same_by_its_shortest_form_and_by_17_digits(value: float) -> None:
    forms = [f"[{value!r}]", f"[{value:.17g}]", f"[{value:.16e}]"]
    documents = {posted(form.encode(), JSON).document() for form in forms if "." in form}
    assert len(documents) <= 1
