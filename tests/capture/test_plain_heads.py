"""What is made of a plain head without parsing it is what ``http.client`` and urllib3 make."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.adapters.urllib3 import response as replay
from mxm_dataio.adapters.urllib3.classes import Connection
from mxm_dataio.adapters.urllib3.plain_head import is_plain, read_plainly
from mxm_dataio.http.heads import parse_head
from mxm_dataio.models import Failure, Framing, Response
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore

BODY = b"0123456789"
OS_ERROR = {"exception": ["builtins", "OSError"], "args": [5, "broken"], "state": {}}
HEADERS = [
    "Content-Length: 10", "content-length:10", "Content-Length: 3", "Content-Length: +10",
    "Content-Length: 1_0", "Content-Length: ten", "Content-Length: -1", "Content-Length:",
    "Content-Length: 10, 10", "Content-Length: 10, 11",
    "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding:", "Connection: close", "connection: Keep-Alive", "Connection: upgrade",
    "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Connection:",
    "Content-Type: text/html; charset=x", "Content-Type: multipart/mixed", "Content-Type: text",
    "Content-Type: Multipart/byteranges; boundary=b", "content-type: \xa0message/http",
    "Content-Type: message/delivery-status", "Content-Encoding: identity",
    "Set-Cookie: a=b; Path=/", "Set-Cookie: c=d", "X:\t tab \t here", "X-Empty:", "X: a:b",
    "X: trailing ", "X: trailing\t", " folded: line", "\tfolded", "No colon", ": nameless",
    "Spaced : name", "From nobody", "From: a@b", "X: \xe4", "\xe4: x", "X: \x00", "X: \x0b",
    "X: \x1c", "X: a\rY: b", "X: \x85", "X: \x7f", "", "HTTP/1.1 200 OK",
]  # fmt: skip
STATUS_LINES = [
    "HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 204 No Content",
    "HTTP/1.1 304 Not Modified", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1  200 OK",
    "HTTP/1.1 200  Two  blanks", "HTTP/1.1 200 OK ", "HTTP/1.1 999 Odd", "HTTP/1.2 200 OK",
    "HTTP/0.9 200 OK", "HTTP/1.1 200 \xfc", "HTTP/1.1 101 Switching Protocols",
]  # fmt: skip

lines = st.one_of(
    st.sampled_from(HEADERS),
    st.text(st.characters(max_codepoint=255, exclude_characters="\n"), max_size=12),
    st.builds(
        "{}:{}{}".format,
        st.sampled_from(["X", "x-y", "!#$%&'*+-.^_`|~", "Content-Length", "Connection"]),
        st.sampled_from(["", " ", "\t ", "  "]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
    ),
)
heads = st.builds(
    lambda first, more, end: (end.join([first, *more]) + end * 2).encode("latin-1"),
    st.sampled_from(STATUS_LINES),
    st.lists(lines, max_size=6),
    st.sampled_from(["\r\n"] * 8 + ["\n"]),
)
methods = st.sampled_from(["GET", "GET", "HEAD", "head", "POST"])


class Sock:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> Any:
        return io.BufferedReader(io.BytesIO(self._data))  # type: ignore[type-var]


def attempt(head: bytes, body: bytes = BODY) -> Response:
    version, reason, headers = parse_head(head)
    return Response(
        request_id="r",
        url="http://host/x",
        status_code=int(head.split()[1]),
        reason=reason,
        http_version=version,
        headers=headers,
        head=head,
        checksum=hashlib.sha256(body).hexdigest(),
        size=len(body),
        complete=True,
    )


def shown(thing: Any, seen: tuple[Any, ...] = ()) -> Any:
    """Return all that an object holds, as values."""
    if any(thing is one for one in seen):
        return "again"
    if isinstance(thing, (HTTPResponse, HTTPMessage, urllib3.HTTPResponse)):
        held = {k: shown(v, (*seen, thing)) for k, v in vars(thing).items()}
        return type(thing), held, getattr(thing, "closed", None)
    if isinstance(thing, urllib3._collections.HTTPHeaderDict):
        return type(thing), list(thing.iteritems())
    if isinstance(thing, list):
        return [shown(one, seen) for one in thing]
    if isinstance(thing, (str, int, bytes, tuple, type(None))):
        return thing
    return "callable" if callable(thing) else type(thing).__name__


@given(heads, methods)
def test_a_plain_head_is_what_http_client_makes_of_it(head: bytes, method: str) -> None:
    response = attempt(head)
    if not is_plain(response):
        return
    parsed = HTTPResponse(Sock(head + BODY), method=method)  # type: ignore[arg-type]
    parsed.begin()
    made = read_plainly(response, method, Sock(BODY))
    assert shown(made) == shown(parsed)
    assert made.getheaders() == parsed.getheaders()


def test_ordinary_heads_are_plain() -> None:
    for line in STATUS_LINES[:7]:
        head = f"{line}\r\nContent-Type: a/b; c=d\r\nContent-Length: 10\r\nDate: now\r\n\r\n"
        assert is_plain(attempt(head.encode()))


@pytest.mark.parametrize(
    "line",
    [h for h in HEADERS if h[:1] in "\t :\xe4" or h[-1:] in " \t" or "\x00" in h or "/http" in h],
)
def test_other_heads_are_not(line: str) -> None:
    assert not is_plain(attempt(f"HTTP/1.1 200 OK\r\nA: b\r\n{line}\r\n\r\n".encode("latin-1")))


def test_nor_are_those_that_http_client_refuses() -> None:
    many = "".join(f"A{number}: b\r\n" for number in range(100))
    assert not is_plain(attempt(f"HTTP/1.1 200 OK\r\n{many}\r\n".encode()))
    assert not is_plain(attempt(f"HTTP/1.1 200 OK\r\nA: {'b' * 65536}\r\n\r\n".encode()))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RootStore:
    root: Path = tmp_path_factory.mktemp("root")
    made = RecordingStore(root)
    spool = made.spool(100)
    spool.write(BODY)
    made.payloads.put(spool)
    return made


def answer(
    store: RootStore, response: Response, method: str, response_kw: dict[str, Any], steps: list[Any]
) -> list[Any]:
    try:
        raw = replay.respond(store, response, "pool", method, "/x", response_kw)
    except Exception as exc:
        return [type(exc), str(exc)]
    said = [shown(raw)]
    for name, *args in steps:
        try:
            found = getattr(raw, name)(*args)
            said.append(list(found) if name in ("stream", "read_chunked") else found)
        except Exception as exc:
            said.append((type(exc), str(exc)))
        said.append(shown(raw))
    return said


STEPS: list[tuple[Any, ...]] = [
    ("read",), ("read", 3), ("read", 0), ("read", 100), ("read1",), ("read1", 4),
    ("stream",), ("stream", 4), ("read_chunked",), ("readline",), ("readlines",),
    ("readinto", bytearray(4)), ("close",), ("drain_conn",), ("isclosed",), ("tell",),
    ("flush",), ("fileno",), ("shutdown",), ("release_conn",), ("geturl",), ("getheader", "x"),
    ("info",),
]  # fmt: skip
steps = st.lists(st.sampled_from(STEPS), max_size=4)
response_kws = st.fixed_dictionaries(
    {},
    optional={
        "preload_content": st.booleans(),
        "decode_content": st.booleans(),
        "enforce_content_length": st.booleans(),
    },
)


# How the body came, and ended.
ends = st.sampled_from(
    [{}] * 4
    + [
        {"closed_by_peer": True},
        {"complete": False, "closed_by_peer": True},
        {"complete": False},
        {"complete": False, "failure": Failure("builtins.OSError", "", OS_ERROR)},
        {"framing": Framing(((4, 2), (2, 1)), {}, b"\r\n0\r\n\r\n")},
        {"framing": Framing(((10, 1),), {}, b"\r\n"), "closed_by_peer": True},
    ]
)


@given(head=heads, end=ends, method=methods, response_kw=response_kws, steps=steps)
def test_both_ways_lead_to_the_same_response(
    store: RootStore,
    head: bytes,
    end: dict[str, Any],
    method: str,
    response_kw: dict[str, Any],
    steps: list[Any],
) -> None:
    response = replace(attempt(head), **end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "is_plain", lambda _response: False)
        parsed = answer(store, response, method, response_kw, steps)
    assert answer(store, response, method, response_kw, steps) == parsed


def test_what_the_program_does_to_connections_still_tells(
    store: RootStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    response = attempt(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    monkeypatch.setattr(Connection, "debuglevel", 1)
    replay.respond(store, response, "pool", "GET", "/x", {})
    shown = capsys.readouterr().out
    assert "header: Content-Length: 10" in shown
    assert "send:" not in shown, "a request that was never made"

    class Own(HTTPResponse):
        pass

    monkeypatch.setattr(Connection, "debuglevel", 0)
    monkeypatch.setattr(Connection, "response_class", Own)
    raw = replay.respond(store, response, "pool", "GET", "/x", {"preload_content": False})
    assert type(raw._original_response) is Own
