"""The service that the programs beside it call: each shape of answer that recorders keep."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import zlib

from tests.support.servers import RawServer, Request, Route, answer, responder

BINARY = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(8))
TEXT = "Grüße, 世界 – €\n" * 5
_JSON = [("Content-Type", "application/json")]
_PLAIN = [("Content-Type", "text/plain; charset=utf-8")]


def service() -> RawServer:
    """Return the running service; what it answers depends on the calls alone."""
    count = 0

    def counted(_request: Request) -> bytes:
        nonlocal count
        count += 1
        return answer(200, b'{"count": %d}' % count, headers=_JSON)

    return RawServer(responder({**_ROUTES, "/count": counted}))


def _asked(request: Request) -> bytes:
    body = json.dumps({"target": request.target, "text": "ä"}).encode()
    whole = answer(200, body, headers=[*_JSON, ("X-Extra", "a, b")])
    return whole.removesuffix(body) if request.method == "HEAD" else whole


def _echo(request: Request) -> bytes:
    kind = request.header("Content-Type") or ""
    return answer(200, request.body, headers=[("Content-Type", kind), ("X-Extra", request.method)])


def _size(request: Request) -> bytes:
    return answer(200, b"%d bytes" % (request.body_length > 0), headers=_PLAIN)


def _moved(status: int) -> Route:
    return lambda request: answer(
        status, b"over there", headers=[*_PLAIN, ("Location", "/json?moved=1")]
    )


_ROUTES: dict[str, Route] = {
    "/json": _asked,
    "/echo": _echo,
    "/size": _size,
    "/gzip": answer(
        200,
        gzip.compress(TEXT.encode(), mtime=0),
        headers=[*_PLAIN, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")],
    ),
    "/deflate": answer(
        200, zlib.compress(TEXT.encode()), headers=[*_PLAIN, ("Content-Encoding", "deflate")]
    ),
    "/binary": answer(200, BINARY, headers=[("Content-Type", "application/octet-stream")]),
    "/unicode": answer(200, TEXT.encode(), headers=_PLAIN),
    "/latin1": answer(
        200,
        "Grüße".encode("latin-1"),
        headers=[
            ("Content-Type", "text/html; charset=ISO-8859-1"),
            ("X-Extra", "é".encode().decode("latin-1")),
        ],
    ),
    "/chunked": answer(200, TEXT.encode(), headers=_PLAIN, chunked=[3, 50, 1]),
    "/long": answer(200, b"0123456789abcdef" * 600, headers=_PLAIN),
    "/redirect": _moved(302),
    "/see-other": _moved(303),
    "/no-content": answer(204),
    "/not-modified": answer(304, headers=[("ETag", '"x"')]),
    "/empty": answer(200),
    "/broken": answer(500, b"no", headers=_PLAIN, reason="Quite Broken"),
    "/part": answer(206, b"abcd", headers=[*_PLAIN, ("Content-Range", "bytes 0-3/26")]),
    "/cookie": answer(
        200,
        b"have one",
        headers=[
            *_PLAIN,
            ("Set-Cookie", "theme=dark; Path=/"),
            ("Set-Cookie", "sessionid=a8f5f167f44f4964e6c998dee827110c; Path=/; HttpOnly"),
        ],
    ),
    "/repeats": answer(200, b"x", headers=[*_PLAIN, ("X-Extra", "1"), ("X-Extra", "2")]),
    "/varies": answer(200, b"v", headers=[*_PLAIN, ("Vary", "Accept-Encoding, User-Agent")]),
}


if __name__ == "__main__":
    with service() as running:
        print(running.url, flush=True)
        threading.Event().wait()
