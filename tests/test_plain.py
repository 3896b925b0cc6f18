"""What is made of a plain head without parsing it is what ``http.client`` makes of it."""

from __future__ import annotations

import http.client
import io
from typing import Any

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from mxm_dataio.adapters import replay
from mxm_dataio.adapters.plain import read_plainly
from mxm_dataio.models import Framing, Response
from tests.harness import Raised, outcome

BODY = b"0123456789"
SOUND = b"Content-Length: 10\r\nContent-Type: text/plain"


class Wire:
    """A socket with some bytes to read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._data))


def stored(head: bytes, **more: Any) -> Response:
    status = head.partition(b"\r")[0].split()[1:2]
    code = int(status[0]) if status and status[0].isdigit() else None
    known: dict[str, Any] = {
        "status_code": code, "head": head, "checksum": "x", "size": len(BODY), "complete": True,
        "closed_by_peer": True,
    }  # fmt: skip
    return Response("id", **known | more)


def plainly(head: bytes, method: str = "GET", **more: Any) -> http.client.HTTPResponse | None:
    return read_plainly(stored(head, **more), method, Wire(BODY))


def parsed(head: bytes, method: str = "GET") -> http.client.HTTPResponse:
    made = http.client.HTTPResponse(Wire(head + BODY), method=method)  # type: ignore[arg-type]
    made.begin()
    return made


def facts(made: http.client.HTTPResponse) -> dict[str, Any]:
    """Return every attribute, those of the headers too."""
    found = {**vars(made)}
    assert isinstance(found.pop("fp"), io.BufferedReader)
    assert found["headers"] is found["msg"]
    assert type(made.msg) is http.client.HTTPMessage
    found["headers"] = found["msg"] = vars(made.msg)
    return found


def head_of(line: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


@pytest.mark.parametrize(
    "head",
    [
        head_of(b"HTTP/1.1 200 OK", SOUND),
        head_of(b"HTTP/1.1 404 Not  Found ", b"content-length:10", b"X: a", b"x:\tb \t", b"Y:"),
        head_of(b"HTTP/1.1 299", SOUND, b"Set-Cookie: a=1; Path=/", b"Set-Cookie: b=\xe9"),
        head_of(b"HTTP/1.1 500 ", SOUND, b"Connection: Close", b"Connection: keep-alive"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"Connection: keep-alive", b"Connection: close"),
        head_of(b"HTTP/1.1 200 OK", b"Server: x"),
        head_of(b"HTTP/1.1 200 OK"),
    ],
)
def test_plain_heads_need_no_parser(head: bytes) -> None:
    made = plainly(head)
    assert made is not None
    assert facts(made) == facts(parsed(head))
    assert made.read() == BODY
    assert made.isclosed()


@pytest.mark.parametrize(
    "head",
    [
        head_of(b"HTTP/1.0 200 OK", SOUND),
        head_of(b"HTTP/1.1 101 Switching", SOUND),
        head_of(b"HTTP/1.1 204 No Content", b"X: y"),
        head_of(b"HTTP/1.1 304 Not Modified", SOUND),
        head_of(b"HTTP/1.1 1000 OK", SOUND),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"Transfer-Encoding: chunked"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"Content-Length: 10"),
        head_of(b"HTTP/1.1 200 OK", b"Content-Length: 11"),
        head_of(b"HTTP/1.1 200 OK", b"Content-Length: +10"),
        head_of(b"HTTP/1.1 200 OK", b"Content-Length: 010"),
        head_of(b"HTTP/1.1 200 OK", b"Content-Length: 10", b"Content-Type: multipart/mixed"),
        head_of(b"HTTP/1.1 200 OK", b"Content-Length: 10", b"Content-Type: \xa0Message/http"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b" folded"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"no colon"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b": no name"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"space in: name"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"X: a\rb"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"X: a\nY: b"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"X: a\x0bb"),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"X: a\x85b"),
        head_of(b"HTTP/1.1 200 \xa0OK", SOUND),
        head_of(b"HTTP/1.1 200 OK", SOUND, *[b"X: y"] * 99),
        head_of(b"HTTP/1.1 200 OK", SOUND, b"X: " + b"y" * 65536),
        head_of(b"HTTP/1.1 200 OK", SOUND)[:-2],
        b"",
    ],
)
def test_other_heads_do(head: bytes) -> None:
    assert plainly(head) is None


def test_so_does_what_is_not_whole_or_plain() -> None:
    head, to_close = head_of(b"HTTP/1.1 200 OK", SOUND), head_of(b"HTTP/1.1 200 OK")
    assert plainly(head, closed_by_peer=False) is not None
    assert plainly(to_close, closed_by_peer=False) is None
    assert plainly(head, "HEAD") is None
    assert plainly(head, complete=False) is None
    assert plainly(head, framing=Framing()) is None
    assert plainly(head, status_code=201) is None


def test_programs_that_watch_http_client_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    head = head_of(b"HTTP/1.1 200 OK", SOUND)
    with monkeypatch.context() as patch:
        patch.setattr(http.client.HTTPConnection, "debuglevel", 1)
        assert plainly(head) is None
    with monkeypatch.context() as patch:
        patch.setattr(http.client.HTTPConnection, "response_class", object)
        assert plainly(head) is None
    assert plainly(head) is not None


class Payloads:
    """A store of one payload."""

    def open(self, _response: Response) -> io.BytesIO:
        return io.BytesIO(BODY)


def wrapped(made: urllib3.HTTPResponse) -> dict[str, Any]:
    """Return every attribute of urllib3's response."""
    found = {**vars(made)}
    assert found.pop("_fp") is found["_original_response"]
    found["_original_response"] = facts(found["_original_response"])
    found["headers"] = list(made.headers.items())
    return {
        name: value
        if isinstance(value, (bool, int, str, bytes, list, dict, type(None)))
        else getattr(value, "__qualname__", type(value).__qualname__)
        for name, value in found.items()
    }


@pytest.mark.parametrize("options", [{}, {"preload_content": False, "decode_content": False}])
@pytest.mark.parametrize("fields", [[SOUND, b"Set-Cookie: a=1", b"Set-Cookie: b=2"], []])
def test_urllib3_makes_the_same_of_both(
    fields: list[bytes], options: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> dict[str, Any]:
        answer = replay.respond(store, response, None, "GET", "/x?y", dict(options))
        if not options:
            assert answer.data == BODY
            answer._fp.fp = io.BufferedReader(io.BytesIO())  # type: ignore[union-attr]
            answer._original_response.fp = answer._fp.fp  # type: ignore[union-attr]
        return wrapped(answer)

    store: Any = Payloads()
    response = stored(head_of(b"HTTP/1.1 200 OK", *fields))
    plain = made()
    monkeypatch.setattr(replay, "read_plainly", lambda *_: None)
    assert plain == made()


_name = st.sampled_from(
    ["Content-Length", "content-length", "Content-Type", "Connection", "connection", "Set-Cookie",
     "Keep-Alive", "Transfer-Encoding", "X-Any", "From", "Proxy-Connection"]
)  # fmt: skip
_value = st.one_of(
    st.sampled_from(
        ["10", "5", " 10", "close", "Close, x", "keep-alive", "a=1; Path=/", "text/html", "chunked",
         "multipart/mixed; boundary=x", "message/rfc822", "", "\u00e9\u00a0", "a\r\n b", "a\rb"]
    ),
    st.text(st.characters(max_codepoint=255), max_size=8),
)  # fmt: skip
_line = st.builds(
    lambda name, space, value: f"{name}:{space}{value}",
    st.one_of(_name, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=5)),
    st.sampled_from(["", " ", "\t ", " "]),
    _value,
)
_status = st.sampled_from(
    ["HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 404  Not Found ",
     "HTTP/1.1 204 No", "HTTP/1.0 200 OK", "HTTP/1.1 301 \u00e9"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(
    status=_status,
    lines=st.lists(_line, max_size=6),
    length=st.booleans(),
    method=st.sampled_from(["GET", "POST", "HEAD"]),
)
def test_whatever_is_made_is_what_http_client_makes(
    status: str, lines: list[str], length: bool, method: str
) -> None:
    if length:
        lines = [*lines, "Content-Length: 10"]
    head = "\r\n".join([status, *lines, "", ""]).encode("latin-1")
    made = plainly(head, method)
    if made is None:
        return
    live = outcome(lambda: parsed(head, method))
    assert not isinstance(live, Raised)
    assert facts(made) == facts(live)
    assert [made.read(3), made.read1(2), made.read()] == [live.read(3), live.read1(2), live.read()]
    assert facts_after(made) == facts_after(live)


def facts_after(made: http.client.HTTPResponse) -> tuple[Any, ...]:
    return made.isclosed(), made.closed, made.length, made.getheaders()
