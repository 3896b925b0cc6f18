"""Bodies: readable where they can be, and always the very bytes again."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sys
import zlib
from typing import Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.formats.cassette import bodies, recompression
from mxm_dataio.formats.cassette.bodies import restore, show
from mxm_dataio.formats.cassette.nodes import Refusal

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def _again(content: bytes, content_type: str = "", coding: str = "") -> Any:
    """Show a body, check that it comes back through JSON, and return its node."""
    shown = show(content, content_type, coding)
    node = json.loads(json.dumps(shown.node), parse_float=bodies.json_text.Number)
    files = {hashlib.sha256(content).hexdigest(): content} if shown.beside else {}
    found = restore(node, coding, lambda checksum, size: files[checksum][:size])
    assert found == (content, hashlib.sha256(content).hexdigest())
    return shown.node


def test_json_stands_as_json() -> None:
    node = _again(b'{"b": 1, "a": [1.5, null]}', "application/json")
    assert node["json"] == {"b": 1, "a": [1.5, None]}
    assert list(node["json"]) == ["b", "a"]
    assert "exact" not in node


def test_json_is_told_by_what_it_is_not_by_its_type() -> None:
    assert _again(b'{"a":1}', "text/plain")["json"] == {"a": 1}
    assert _again(b"[1,2]", "")["json"] == [1, 2]


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{\n "a": [1, 2],\n "b": 3 }'])
def test_json_that_can_not_be_made_again_stands_as_text(text: str) -> None:
    assert _again(text.encode(), "application/json")["text"] == text.split("\n")


def test_where_that_would_be_one_long_line_the_bytes_are_kept_beside_it() -> None:
    content = b'{"a":1,"a":2,"long":"' + b"x" * 200 + b'"}'
    node = _again(content, "application/json")
    assert node["json"]["a"] == 2
    assert base64.b64decode("".join(node["exact"])) == content


@pytest.mark.parametrize(
    ("content", "content_type", "made"),
    [
        (b"one\ntwo\n", "text/plain", {}),
        (b"one\r\ntwo\r\n", "text/csv", {"line_end": "\r\n"}),
        (b"one\r\ntwo\n", "text/csv", {}),
        ("é€".encode(), "text/html; charset=utf-8", {}),
        ("é".encode("latin-1"), "text/html; charset=iso-8859-1", {"charset": "iso8859-1"}),
        ("é€".encode("cp1252"), "text/html", {"charset": "cp1252"}),
        ("日本".encode("shift_jis"), "text/html; charset=Shift_JIS", {"charset": "shift_jis"}),
        ("é".encode("latin-1"), "text/html; charset=utf-8", {"charset": "cp1252"}),
        ("a\x0cé".encode("utf-16"), "text/plain; charset=utf-16", {"charset": "utf-16"}),
        (b"plain", "text/plain; charset=nonsense", {}),
        (b"plain", "text/plain; charset=hex", {}),
    ],
)
def test_text_stands_as_lines(content: bytes, content_type: str, made: dict[str, str]) -> None:
    node = _again(content, content_type)
    assert isinstance(node["text"], list)
    assert {k: v for k, v in node["bytes"].items() if k != "sha256"} == made


@pytest.mark.parametrize(
    "content",
    [PNG, b"\0", b"text\0more", b"\xff\xfe\xfd", b"caf\xe9 in no type"],
    ids=["png", "nul", "text with nul", "no utf-8", "latin-1"],
)
def test_what_is_no_text_is_base64_in_short_lines(content: bytes) -> None:
    node = _again(content, "application/octet-stream")
    assert base64.b64decode("".join(node["base64"])) == content
    assert max(map(len, node["base64"])) <= 76


def test_large_binary_is_beside_and_large_text_is_not() -> None:
    large = PNG * 100
    assert _again(large)["bytes"]["beside"] == len(large)
    lines = b"a line of text\n" * 3000
    assert len(_again(lines)["text"]) == 3001
    assert _again(b"a line of text\n" * 100_000)["bytes"]["beside"]


def test_compressed_bodies_stand_decompressed() -> None:
    content = json.dumps({"symbol": "ALFA", "price": 12.5}).encode()
    for coding, data in (("gzip", gzip.compress(content)), ("deflate", zlib.compress(content))):
        node = _again(data, "application/json", coding)
        assert node["json"] == {"symbol": "ALFA", "price": 12.5}
        assert "exact" not in node
    node = _again(gzip.compress(PNG), "image/png", "gzip")
    assert "base64" in node


def test_what_no_zlib_compressed_is_readable_with_its_bytes_beside() -> None:
    content = json.dumps({"symbol": "ALFA"}).encode()
    for coding, data in (
        ("br", brotli.compress(content)),
        ("gzip", gzip.compress(content[:5]) + gzip.compress(content[5:])),
        ("gzip, br", brotli.compress(gzip.compress(content))),
    ):
        node = _again(data, "application/json", coding)
        assert node["json"] == {"symbol": "ALFA"}
        assert base64.b64decode("".join(node["exact"])) == data


def test_what_is_not_in_its_coding_is_kept_as_it_is() -> None:
    assert "base64" in _again(gzip.compress(b"text")[:-3], "text/plain", "gzip")
    assert "base64" in _again(b"text", "text/plain", "gzip")


def test_without_a_library_for_its_coding_a_body_is_kept_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = brotli.compress(b"text")
    node = _again(data, "text/plain", "br")
    assert node["text"] == ["text"]
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, "brotlicffi", None)
    assert "base64" in _again(data, "text/plain", "br")
    assert restore(node, "br").content == data


def test_another_zlib_serves_the_same_content(monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps(list(range(1000))).encode()
    node = _again(gzip.compress(content, mtime=0), "application/json", "gzip")
    compress = recompression.Deflation.compress
    other = lambda self, data: compress(self._replace(level=1), data)  # noqa: E731
    monkeypatch.setattr(recompression.Deflation, "compress", other)
    found = restore(node, "gzip")
    assert gzip.decompress(found.content) == content
    assert found.checksum == hashlib.sha256(found.content).hexdigest()
    node["json"][3] = 4
    with pytest.raises(Refusal, match="does not have the recorded checksum"):
        restore(node, "gzip")


# -- what is refused ---------------------------------------------------------------------------


def _shown(content: bytes, content_type: str = "application/json", coding: str = "") -> Any:
    return show(content, content_type, coding).node


@pytest.mark.parametrize("content", [b'{"a":1}', b"text", PNG])
def test_an_edited_body_is_refused_unless_its_checksum_is_gone(content: bytes) -> None:
    node = _shown(content)
    if "json" in node:
        node["json"]["a"] = 2
    else:
        node["text" if "text" in node else "base64"][0] = "abcd"
    with pytest.raises(Refusal, match="delete its sha256") as caught:
        restore(node)
    assert caught.value.place == "bytes.sha256"
    del node["bytes"]["sha256"]
    assert restore(node).content != content


@pytest.mark.parametrize("member", ["json", "text"])
def test_what_is_readable_can_not_be_edited_without_its_bytes(member: str) -> None:
    content = b'{"long":"' + b"x" * 200 + b'","a":1, "a":1}' if member == "json" else b"one\ntwo"
    data, coding = (content, "") if member == "json" else (brotli.compress(content), "br")
    node = _shown(data, "text/plain", coding)
    assert "exact" in node
    assert restore(node, coding).content == data
    if member == "json":
        node["json"]["a"] = 2
    else:
        node["text"][1] = "three"
    with pytest.raises(Refusal, match="was edited"):
        restore(node, coding)


@pytest.mark.parametrize(
    ("node", "member"),
    [
        ({}, ""),
        ({"bytes": {"sha256": "0" * 63}, "text": [""]}, "bytes.sha256"),
        ({"bytes": {"sha256": "../../../../etc/passwd"}, "text": [""]}, "bytes.sha256"),
        ({"bytes": {"sha256": "A" * 64}, "text": [""]}, "bytes.sha256"),
        ({"bytes": {"beside": 5}}, "bytes.sha256"),
        ({"bytes": {"sha256": "0" * 64, "beside": -1}}, "bytes.beside"),
        ({"bytes": {"sha256": "0" * 64, "beside": True}}, "bytes.beside"),
        ({"bytes": {"sha256": "0" * 64, "beside": 5}}, "bytes.beside"),
        ({"text": "no list"}, "text"),
        ({"text": [1]}, "text"),
        ({"base64": ["no base64!"]}, "base64"),
        ({"bytes": {"charset": "nonsense"}, "text": ["é"]}, "text"),
        ({"bytes": {"charset": "ascii"}, "text": ["é"]}, "text"),
        ({"text": ["\ud800"]}, "text"),
        ({"bytes": {"style": "fancy"}, "json": {}}, "bytes.style"),
        ({"bytes": {"style": {"fancy": True}}, "json": {}}, "bytes.style"),
        ({"bytes": {"style": {"ascii": "yes"}}, "json": {}}, "bytes.style"),
        ({"bytes": {"compressed": []}, "text": [""]}, "bytes.compressed"),
        ({"bytes": {"compressed": ["br", 1, 8, 15]}, "text": [""]}, "bytes.compressed"),
        ({"bytes": {"compressed": ["gzip", 99, 8, 15, ""]}, "text": [""]}, "bytes.compressed"),
        ({"bytes": {"compressed": ["gzip", 6, 8, 99, ""]}, "text": [""]}, "bytes.compressed"),
        ({"bytes": {"compressed": ["gzip", 2**70, 8, 15, ""]}, "text": [""]}, "bytes.compressed"),
        ({"bytes": {"compressed": ["gzip", 6, 8, 15, "xy"]}, "text": [""]}, "bytes.compressed"),
        ({"bytes": {"compressed": ["gzip", "6", 8, 15, ""]}, "text": [""]}, "bytes.compressed"),
        ({"bytes": {"compressed": ["zlib", 6, 8, 15, "00"]}, "text": [""]}, "bytes.compressed"),
    ],
)  # fmt: skip
def test_a_malformed_node_is_refused(node: Any, member: str) -> None:
    with pytest.raises(Refusal) as caught:
        restore(node)
    assert caught.value.place == member


# -- any bytes -----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(
        lambda value, indent, ascii: json.dumps(value, indent=indent, ensure_ascii=ascii).encode(
            "utf-8", "surrogatepass"
        ),
        JSON, st.sampled_from([None, 2]), st.booleans(),
    ),
)  # fmt: skip
TYPES = st.sampled_from(
    ["", "application/json", "text/html", "text/plain; charset=latin-1", "image/png",
     "text/x; charset=utf-16", "; charset", 'text/plain; charset="', "text/x; charset=idna"]
)  # fmt: skip


@given(CONTENTS, TYPES, st.sampled_from(["", "gzip", "deflate", "br", "x, gzip"]), st.booleans())
def test_any_body_comes_back(content: bytes, content_type: str, coding: str, code: bool) -> None:
    if code and coding in ("gzip", "deflate"):
        content = gzip.compress(content) if coding == "gzip" else zlib.compress(content)
    elif code and coding == "br":
        content = brotli.compress(content)
    _again(content, content_type, coding)
