"""Reads the cassettes of vcrpy, and so of pytest-recording and pytest-vcr: YAML and JSON.

Version 1, since vcrpy 1.0, is ``{version: 1, interactions: [{request, response}, …]}``; httpx's
stub wrote other members before vcrpy 6, tornado's writes headers as a list of pairs. Before 1.0
it was a bare list of them, with the URL in its parts and the answer's headers as lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import fields
from .conversion import Interaction, Reader
from .documents import Node

_VERSION = "1"
_YAML = re.compile(rb"^(?:interactions[ ]*:|- request[ ]*:)", re.MULTILINE)
_JSON = re.compile(
    rb'(?:\xef\xbb\xbf)?\s*(?:\{(?=.*?"interactions"\s*:)|\[\s*\{\s*"(?:request|response)"\s*:)',
    re.DOTALL,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def knows(content: bytes) -> bool:
    """Say whether a file is of this format, given how it begins."""
    return _YAML.search(content) is not None or _JSON.match(content) is not None


def interactions(document: Node) -> Iterator[Interaction]:
    """Yield what a cassette holds, in its order.

    Raises:
        IntegrityError: it is of another version, or no cassette; the place in it is named.
    """
    if isinstance(document.value, list):
        for one in document.elements():
            yield _interaction(one, _old_request(one.member("request")))
        return
    version = document.get("version")
    if version is not None and version.text() != _VERSION:
        version.fail(f"cassettes of version {_VERSION} are read, not of {version.text()[:20]!r}")
    for one in document.member("interactions").elements():
        yield _interaction(one, _request(one.member("request")))


def _request(node: Node) -> Interaction:
    """Return a request, as an interaction that lacks its answer yet."""
    body = node.get("body")
    return Interaction(
        node.place,
        fields.method(node.member("method")),
        fields.url(node.member("uri")),
        fields.headers(node.get("headers")),
        b"" if _is_of_fields(body) else fields.content(body),
        0,
        None,
        (),
        b"",
        lost="its body is a mapping, as aiohttp's callers give it: what was sent is not known"
        if _is_of_fields(body)
        else "",
    )


def _is_of_fields(body: Node | None) -> bool:
    return (
        body is not None
        and isinstance(body.value, dict)
        and not {"string", "base64_string"} & body.value.keys()
        and bool(body.value)
    )


def _old_request(node: Node) -> Interaction:
    parts = dict(node.value) if isinstance(node.value, dict) else {}
    return _request(Node({**parts, "uri": _old_url(node)}, node.file, node.place))


def _old_url(node: Node) -> str:
    """Return the URL that a request before 1.0 has in its parts."""
    if node.get("host") is None and node.get("url") is not None:
        url = node.member("url")
        if url.text().startswith("/"):
            url.fail("no host: vcrpy 0.0 wrote down paths alone; record it anew")
        return fields.url(url)
    scheme = node.member("protocol").text()
    port = node.member("port").integer()
    end = "" if port == _DEFAULT_PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{node.member('host').text()}{end}{node.member('path').text()}"


def _interaction(node: Node, request: Interaction) -> Interaction:
    response = node.member("response")
    code, reason = _status(response)
    body = response.get("body")
    if body is None:
        # httpx's, before vcrpy 6; the body is decoded.
        body = response.get("content")
    return request._replace(
        place=node.place,
        status=code,
        reason=reason,
        answer_headers=fields.headers(response.get("headers")),
        content=fields.content(body),
    )


def _status(response: Node) -> tuple[int, str | None]:
    code = response.get("status_code")
    if code is not None:
        return fields.status(code), None
    status = response.member("status")
    if not isinstance(status.value, dict):
        return fields.status(status), None
    return fields.status(status.member("code")), fields.reason(status.get("message"))


_reader = Reader(interactions)
convert = _reader.convert
read = _reader.read
