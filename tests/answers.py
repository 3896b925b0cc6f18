"""Answers as they stand on the wire, well-formed and not, for tests of what clients make of them."""

from __future__ import annotations

import gzip
import zlib

from tests.servers import answer

TEXT = b"line one\nline two\r\nline three " * 40
GZIPPED = gzip.compress(TEXT, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


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
    "repeated": answer(
        200, b"x", headers=[("X-A", "1"), ("x-a", "2"), ("SET-cookie", "a=b; Path=/"), ("X-Odd-CASE", " padded ")]
    ),
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
    "no-trailer-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n",
}  # fmt: skip
