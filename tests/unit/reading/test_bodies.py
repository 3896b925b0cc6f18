"""Bodies: what they are, and how they are read."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib

import brotli
import pytest

from mxm_dataio.errors import IntegrityError
from mxm_dataio.models import Request, Response
from mxm_dataio.reading.bodies import LARGEST_JSON, Body, Kind, answered, occurs, sent
from mxm_dataio.storage.recording_store import RecordingStore
from tests.trust.small import end, record, session


def body(content: bytes, media: str = "", coding: str = "") -> Body:
    headers = [("content-type", media)] if media else []
    headers += [("Content-Encoding", coding)] if coding else []
    return Body(lambda: io.BytesIO(content), len(content), tuple(headers))


@pytest.mark.parametrize(
    ("content", "media", "kind"),
    [
        (b"", "application/json", Kind.EMPTY),
        (b'{"a": 1}', "application/json; charset=utf-8", Kind.JSON),
        (b"[1]", "application/problem+json", Kind.JSON),
        (b" [1]", "", Kind.JSON),
        (b"[1]", "text/plain", Kind.TEXT),
        (b"<p>", "text/html", Kind.TEXT),
        (b"<p/>", "application/xhtml+xml", Kind.TEXT),
        (b"a=1", "application/x-www-form-urlencoded", Kind.TEXT),
        (b"plain", "", Kind.TEXT),
        (b"\x89PNG\r\n\x1a\n", "image/png", Kind.BINARY),
        (b"a\x00b", "text/plain", Kind.BINARY),
        (b"a\x00b", "application/octet-stream", Kind.BINARY),
        (b"\xfa\xfe\xfd", "", Kind.BINARY),
        ("né".encode("utf-16"), "text/plain", Kind.TEXT),
        ("né".encode("utf-16-le"), "text/plain; charset=UTF-16LE", Kind.TEXT),
        ("é".encode()[:1], "text/plain", Kind.TEXT),
        (b"x" * 4095 + "é".encode(), "", Kind.TEXT),
    ],
)
def test_what_it_is(content: bytes, media: str, kind: Kind) -> None:
    assert body(content, media).kind is kind


@pytest.mark.parametrize(
    ("content", "media", "text"),
    [
        ("né".encode(), "text/plain", "né"),
        ("né".encode("latin-1"), "text/plain", "né"),
        ("né".encode("cp1252"), "text/plain; charset=windows-1252", "né"),
        ("né".encode("utf-16"), "text/plain", "né"),
        ("né".encode("utf-8-sig"), "text/plain", "né"),
        ("né".encode("latin-1"), "text/plain; charset=utf-8", "n\ufffd"),
        ("né".encode(), "text/plain; charset=nonsense", "né"),
        ("né".encode(), "text/plain; charset=rot13", "né"),
        (b'<meta charset="iso-8859-1">\xe9', "text/html", '<meta charset="iso-8859-1">é'),
        ("日本".encode("shift_jis"), 'text/plain; charset="Shift_JIS"', "日本"),
    ],
)
def test_charsets(content: bytes, media: str, text: str) -> None:
    assert "".join(body(content, media).text()) == text


def test_lines() -> None:
    assert list(body(b"a\r\nb\n\nc", "text/plain").lines()) == ["a", "b", "", "c"]
    assert list(body(b"a\n", "text/plain").lines()) == ["a"]
    long = list(body(b"x" * 200_000, "text/plain").lines())
    assert "".join(long) == "x" * 200_000
    assert max(map(len, long)) <= 65_536


def test_codings_one_over_the_other() -> None:
    content = brotli.compress(gzip.compress(b"twice", mtime=0))
    assert body(content, coding="gzip, br").content() == b"twice"
    assert body(b"plain", coding="identity").content() == b"plain"


@pytest.mark.parametrize(
    ("content", "coding", "shown", "problem"),
    [
        (b"as it came", "compress", b"as it came", "unknown"),
        (gzip.compress(b"x" * 999, mtime=0)[:-9], "gzip", b"x" * 999, "ends before its end"),
        (b"no gzip", "gzip", b"", "damaged"),
    ],
)
def test_what_cannot_be_decoded(content: bytes, coding: str, shown: bytes, problem: str) -> None:
    found = body(content, "text/plain", coding)
    assert found.content() == shown
    assert problem in str(found.problem)


def test_a_coding_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    found = body(b"encoded", coding="br")
    assert found.content() == b"encoded"
    assert "pip install brotli" in str(found.problem)


def test_no_more_is_read_than_is_asked_for() -> None:
    reads: list[int] = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            reads.append(size or 0)
            return super().read(size)

    content = zlib.compress(bytes(100 << 20))
    found = Body(lambda: Counted(content), len(content), (("Content-Encoding", "deflate"),))
    assert found.content(10) == bytes(10)
    assert found.kind is Kind.BINARY
    assert len(reads) == 2


def test_documents() -> None:
    assert body(b'\xef\xbb\xbf{"a":1}', "application/json").document() == '{"a":1}'
    assert body(json.dumps("é").encode("utf-16-le"), "application/json").document() is not None
    for content in (b"{", b"[" * 100_000, b"\xff"):
        assert body(content, "application/json").document() is None
    assert body(b"1", "text/plain").document() is None
    large = b"[" + b"1," * (LARGEST_JSON // 2) + b"1]"
    assert body(large, "application/json").document() is None
    assert body(gzip.compress(b"[1]", mtime=0)[:-4], "application/json", "gzip").document() is None


def test_a_pattern_across_pieces_is_found() -> None:
    content = b"." * 65_530 + b"needle in the hay" + b"." * 65_530
    assert occurs(re.compile("needle in"), body(content, "text/plain"))
    assert not occurs(re.compile("needles"), body(content, "text/plain"))
    assert occurs(re.compile("nädel"), body("nädel".encode("latin-1"), "text/plain"))
    assert occurs(re.compile("deep"), body(gzip.compress(b"deep", mtime=0), "text/plain", "gzip"))


def test_bodies_of_a_store(tmp_path: object) -> None:
    with RecordingStore(str(tmp_path)) as store:
        held = session()
        store.begin(held)
        id = record(store, held, "a", b'{"price": 1}', upload=b"a=1")
        end(store, held)
        exchange = store.exchange(id)
        assert exchange is not None
        assert sent(store, exchange.request).content() == b"a=1"
        (response,) = exchange.responses
        found = answered(store, response)
        assert (found.content(), found.kind) == (b'{"price": 1}', Kind.JSON)
        assert b"".join(found.raw()) == b'{"price": 1}'
        assert response.bytes_path is not None
        response.bytes_path.write_bytes(b'{"price": 2}')
        with pytest.raises(IntegrityError):
            found.content()
        for none in (answered(store, Response("r")), sent(store, Request("r", "s", "x", "e"))):
            assert (none.content(), none.kind) == (b"", Kind.EMPTY)
