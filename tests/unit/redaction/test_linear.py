"""What servers and programs send is looked through in time linear in it.

Each family of inputs is made in two sizes, the second four times the first; it may take ten times
as long, where what is quadratic takes sixteen and what is exponential never ends. Time is that of
the thread, the least of several, of inputs large enough for it to count.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest

from mxm_dataio.http.heads import parse_head
from mxm_dataio.identity import identify
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.redaction.found import Found
from mxm_dataio.redaction.secrets import Secrets
from tests.support.effort import crossed

# Of the smaller input, in bytes.
SIZE = 1 << 13
GROWTH, MOST = 4, 10
# Below this the clock decides, not the input.
LEAST = 0.02
TAIL = "Zq7xK9pW2m"
# The secrets that are known: what a server would choose to have its pages hard to look through.
KNOWN = {
    "backslashes": "\\" * 60 + TAIL,
    "percents": "%" * 60 + TAIL,
    "escaped percents": "%25" * 30 + TAIL,
    "ampersands": "&amp;" * 20 + TAIL,
    "slashes": "\\/" * 40 + TAIL,
    "a repeated letter": "a1" * 1_000 + TAIL,
    "repeated Base64": base64.b64encode(b"abc" * 400).decode(),
    "no letter": "&<>\"'\\/%" * 8,
    "spaces": "a b " * 100 + TAIL,
}
UNITS = {
    "backslashes": "\\",
    "percent-encoded backslashes": "%5c",
    "escaped slashes": "\\/",
    "escaped ampersands": "&amp;",
    "escaped percents": "%25",
    "ampersands": "&",
    "percents": "%",
    "letters": "a1",
    "Base64": base64.b64encode(b"abc" * 10).decode(),
    "a secret's beginning": KNOWN["a repeated letter"][:-1],
    "line ends": "\r\n",
    "line feeds": "\n",
    "returns": "\r",
    "colons": ":",
    "spaces": " ",
    "folded lines": "\r\n a",
    "quotes": '"',
    "escaped quotes": '\\"',
    "names of members": '"a":',
    "members": '"access_token":"',
    "semicolons": ";",
    "names of parts": ';name="a"',
    "dashes": "--",
    "boundaries": "\r\n--b",
    "parts": "\r\n--b\r\nContent-Disposition: form-data; name=password",
    "brackets": "[",
    "braces": '{"a":',
    "angles": "<",
    "tags": "<a>",
    "equals": "=",
    "fields": "a=&",
    "secret fields": "token=a1b2c3d4e5&",
    "questions": "?",
    "a URL's beginning": "a://",
    "at signs": "http://a@",
    "dots": "e.",
    "cookies": "Set-Cookie: a=b\r\n",
    "secret cookies": "Set-Cookie: sid=a1b2c3d4e5\r\n",
    "NULs": "\0",
    "UTF-16": "a\0",
    "letters beyond ASCII": "é",
}
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/xml",
    "",
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def secrets() -> Secrets:
    made = Secrets(DEFAULT)
    for value in KNOWN.values():
        made.learn(Found("header", "x-api-key", value))
    for number in range(20):
        made.learn(Found("header", "x-api-key", f"{TAIL}-{number:x}-{number * 7919:09x}"))
    return made


def body(known: Secrets, text: str) -> None:
    for kind in TYPES:
        known.body(text.encode(), kind)


def answer_body(known: Secrets, text: str) -> None:
    for kind in (b"application/json", b"text/html"):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n"
        for cut in (False, True):
            known.answer_body(text.encode(), head, "POST", "http://h/login", cut=cut)


def ruled(_known: Secrets, text: str) -> None:
    rules = DEFAULT.adding(lambda place, name, value: None)
    for kind in (*TYPES, "text/event-stream"):
        rules.ruled_answer(text.encode(), kind)
    rules.url(f"http://h/{text}")


def head(known: Secrets, text: str) -> None:
    lines = HEAD + text.encode() + b"\r\nX: " + text.encode() + b"\r\n\r\n"
    parse_head(lines)
    known.head(lines)
    known.answer_head(lines, lambda: known.clear("http://h/?a=" + text, lines, text.encode()))
    known.lines(lines)


def url(known: Secrets, text: str) -> None:
    known.url(f"http://h/{text}?a={text}#{text}")
    known.pairs((("Cookie", text), ("Authorization", f"OAuth {text}"), ("Referer", text)))


def message(known: Secrets, text: str) -> None:
    known.text(text)


def learning(known: Secrets, text: str) -> None:
    known.learn(Found("cookie", "sid", f"{text[:8000]}{TAIL}"))
    known.mask(text.encode())


def identity(_known: Secrets, text: str) -> None:
    for kind in TYPES:
        fields = (("Content-Type", kind),)
        identify("POST", f"http://h/?a={text[:1000]}", headers=fields, body=text.encode())


WORKS = (body, answer_body, ruled, head, url, message, learning, identity)


def name(of: object) -> str:
    """Return what a parameter is called."""
    return getattr(of, "__name__", str(of))


def least(work: Callable[[Secrets, str], None], text: str, most: int = 3) -> float:
    """Return the least seconds of three; of fewer, if they took long."""
    taken: list[float] = []
    while len(taken) < most and sum(taken) < 1:
        known = secrets()
        began = time.thread_time()
        work(known, text)
        taken.append(time.thread_time() - began)
    return min(taken)


@pytest.mark.parametrize(("unit", "work"), crossed(UNITS, WORKS, 4), ids=name)
def test_it_is_linear(work: Callable[[Secrets, str], None], unit: str) -> None:
    text = UNITS[unit]
    times = SIZE // len(text.encode())
    # The larger first: what is done once for all is not in what it is measured by.
    large, small = (least(work, text * (times * factor), 1) for factor in (GROWTH, 1))
    if large < max(small, LEAST / 2) * MOST:
        return
    small, large = (least(work, text * (times * factor)) for factor in (1, GROWTH))
    assert large < max(small, LEAST / 2) * MOST, f"{small:.3f} s, four times as much {large:.3f} s"
