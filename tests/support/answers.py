"""Answers as they stand on the wire, well-formed and not, for tests of what clients make of them."""

from __future__ import annotations

import gzip
import zlib

from tests.support.servers import answer

TEXT = b"line one\nline two\r\nline three " * 40
GZIPPED = gzip.compress(TEXT, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


COOKIES = [
    ("Set-Cookie", "plain=1"),
    ("set-cookie", "deep=2; Path=/cookies; HttpOnly; SameSite=Lax"),
    ("Set-Cookie", "later=3; Expires=Wed, 09 Jun 2100 10:18:14 GMT; Domain=127.0.0.1"),
    ("Set-Cookie", "gone=4; Max-Age=0"),
    ("Set-Cookie", "foreign=5; Domain=example.test"),
    ("Set-Cookie", 'quoted="a b; c"; Secure; Version=1; Comment=why'),
    ("Set-Cookie", "no value"),
]

ANSWERS: dict[str, bytes] = {
    "plain": answer(200, TEXT),
    "gzip": answer(200, GZIPPED, headers=[("Content-Encoding", "gzip")]),
    "deflate": answer(200, zlib.compress(TEXT), headers=[("Content-Encoding", "deflate")]),
    "deflate-raw": answer(200, raw_deflate(TEXT), headers=[("Content-Encoding", "deflate")]),
    "multi": answer(
        200, gzip.compress(zlib.compress(TEXT), mtime=0), headers=[("Content-Encoding", "deflate, gzip")]
    ),
    "chunked": answer(200, TEXT, chunked=[1, 7, 130, 3]),
    "chunked-gzip": answer(200, GZIPPED, chunked=[5], headers=[("Content-Encoding", "gzip")]),
    "chunk-extensions": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\n00A ; x\r\n0123456789\r\n1\r\n!\r\n0;last\r\nX-Trailer: 1\r\nX-More: 2\r\n\r\n",
    "chunked-empty": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "close-delimited": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + TEXT,
    "http10": b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + TEXT,
    "http10-length": answer(200, TEXT, version="HTTP/1.0"),
    "http10-keep-alive": answer(200, TEXT, version="HTTP/1.0", headers=[("Connection", "keep-alive")]),
    "no-content": answer(204),
    "empty": answer(200, b""),
    "partial": answer(206, TEXT[10:20], headers=[("Content-Range", "bytes 10-19/1200")]),
    "early-hints": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, TEXT),
    "continue-with-fields": b"HTTP/1.1 100 Go on\r\nX-Interim: 1\r\nContent-Length: 7\r\n\r\n" + answer(200, TEXT),
    "continue-twice": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 100\r\nA: b\r\n\r\n" + answer(200, TEXT, chunked=[9]),
    # http.client skips 100 alone: these are the answers themselves, and what follows is lost.
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n" + answer(200, TEXT),
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + answer(200, TEXT),
    "continue-and-hints": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + answer(200, TEXT),
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello",
    "not-modified": answer(304, headers=[("ETag", '"1"'), ("Cache-Control", "max-age=9")]),
    "not-modified-bare": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "not-modified-length": answer(304, headers=[("Content-Length", "1200"), ("Content-Encoding", "gzip")]),
    "no-content-length": answer(204, headers=[("Content-Length", "5")]),
    # http.client reads the chunks of any status.
    "no-content-chunked": answer(204, b"against the rules", chunked=[3]),
    "not-modified-chunked": answer(304, b"", chunked=[3]),
    "switching-chunked": answer(101, b"upgraded", chunked=[3]),
    "reset-content": answer(205),
    "links": answer(200, b"x", headers=[("Link", '</2>; rel="next", <http://a.test/>; rel=last; title="x,y"'), ("link", "</0>; rel=prev")]),
    "charset": answer(200, "Größe".encode(), headers=[("Content-Type", "text/html")]),
    "odd-charset": answer(200, "Größe".encode("latin-1"), headers=[("content-TYPE", "text/plain; charset=no-such")]),
    "not-found": answer(404, b"where?", reason="Not here"),
    "latin-1-error": b"HTTP/1.1 500 Erreur interne tr\xe8s\r\nContent-Length: 2\r\n\r\nok",
    "utf-8-error": b"HTTP/1.1 404 Gibt\xe2\x80\x99s nicht\r\nContent-Length: 2\r\n\r\nok",
    "no-reason-error": b"HTTP/1.1 503 \r\nContent-Length: 2\r\n\r\nok",
    "odd-status": answer(799, b"odd"),
    "empty-fields": b"HTTP/1.1 200 OK\r\nX-Empty:\r\nX-Space:   \r\nContent-Length: 2\r\n\r\nok",
    "bad-field": b"HTTP/1.1 200 OK\r\nX-Good: 1\r\nthis is no field\r\nX-Lost: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    "hundred-fields": answer(200, b"ok", headers=[(f"X-{n}", str(n)) for n in range(98)]),
    "long-field": answer(200, b"ok", headers=[("X-Long", "v" * 60_000)]),
    "length-bad": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: two\r\n\r\nok",
    "length-negative": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: -2\r\n\r\nok",
    "too-long": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok and more",
    "repeated": answer(
        200, b"x", headers=[("X-A", "1"), ("x-a", "2"), ("SET-cookie", "a=b; Path=/"), ("X-Odd-CASE", " padded ")]
    ),
    "cookies": answer(200, b"x", headers=COOKIES),
    "latin-1": b"HTTP/1.1 200 Tr\xe8s bien\r\nX-Name: caf\xe9\r\nContent-Length: 2\r\n\r\nok",
    "folded": b"HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\nContent-Length: 2\r\n\r\nok",
    "no-reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "odd-reason": b"HTTP/1.1 299 All is  well\r\nContent-Length: 2\r\n\r\nok",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bad-gzip": answer(200, b"no gzip at all", headers=[("Content-Encoding", "gzip")]),
    "length-twice": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2, 2\r\n\r\nok",
    "chunked-and-length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "gzip-chunked-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n",
    "server-error": answer(500, b"oops"),
    "teapot": answer(418, b"short and stout", headers=[("Content-Type", "text/plain; charset=utf-8")]),
    "redirect-nowhere": answer(302),
    "big": answer(200, b"0123456789abcdef" * 40_000),
    "big-chunked": answer(200, b"0123456789abcdef" * 40_000, chunked=[8192] * 70),
}  # fmt: skip

RUINS: dict[str, bytes] = {
    "nothing": b"",
    "bad-status": b"FTP/9 what\r\n\r\n",
    "half-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "truncated": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "truncated-gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4000\r\n\r\n" + GZIPPED[:30],
    "truncated-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf",
    "ended-between-chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "ended-before-line-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf",
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\nzz\r\nbad\r\n0\r\n\r\n",
    "too-many-fields": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
    "long-field": b"HTTP/1.1 200 OK\r\nX-Long: " + b"v" * 70_000 + b"\r\n\r\n",
    "long-status": b"HTTP/1.1 200 " + b"v" * 70_000 + b"\r\n\r\n",
    "bad-version": b"HTTP/9.9 200 OK\r\n\r\n",
    "bad-code": b"HTTP/1.1 2OO OK\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
    "continue-only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "head-only": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    "chunked-head-only": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "truncated-gzip-chunk": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1e\r\n" + GZIPPED[:30] + b"\r\nzz\r\n",
    "negative-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\ngood\r\n0\r\n\r\n",
    "chunk-without-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngoodXX4\r\nmore\r\n0\r\n\r\n",
    "no-trailer-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n",
}  # fmt: skip
