"""From what another recorder wrote down to what a session of ours would have recorded.

A call is identified and redacted as a live one is, so that a program finds it in replay. What
these files do not have stays empty: instants, timings, the peer, how a body was cut. The status
line is that of HTTP/1.1, which most of them leave out.

An answer's ``Vary`` does not count: a call is found whatever it says in ``Accept-Encoding`` or
``User-Agent``. These recorders matched so too, their files often have no such header any more
(``filter_headers``), and the clients' own have changed since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import IO, NamedTuple

from ...http.content import content_headers
from ...http.heads import given_head, parse_head
from ...http.params import mapping
from ...identity import Identity, identify
from ...models import Exchange, Headers, Request, Response, Status
from ...redaction import rules as redacting
from ...redaction.rules import Redaction
from ...redaction.secrets import LARGEST, Secrets
from ...redaction.sent import Sent
from ..recordings import Recording, checksum_of
from . import reconcile
from .documents import Node, read_document


class Interaction(NamedTuple):
    """A request and its answer, as they stand in a file.

    Attributes:
        place: where in the file, ``interactions[3]``.
        url: absolute.
        headers: of the request.
        body: of the request, before transfer coding.
        reason: ``None`` where the file has none.
        content: the answer's body, whether or not its content coding was undone.
        recorded_at: the instant, in stored form; empty where the file has none.
        lost: why this can't be replayed as it was, if so.
        doubts: what may not be as it was.
    """

    place: str
    method: str
    url: str
    headers: Headers
    body: bytes
    status: int
    reason: str | None
    answer_headers: Headers
    content: bytes
    recorded_at: str = ""
    lost: str = ""
    doubts: tuple[str, ...] = ()


class Converted(NamedTuple):
    """What became of a file.

    Attributes:
        recordings: in the file's order.
        changes: what was made to fit, each with its place.
        dropped: what was left out and why, each with its place.
    """

    recordings: list[Recording]
    changes: list[str]
    dropped: list[str]


def converted(
    interactions: Iterable[Interaction],
    redaction: Redaction | None = redacting.DEFAULT,
) -> Converted:
    """Return the recordings of a file's interactions.

    Args:
        redaction: what never reaches disk; ``None`` switches it off.
    """
    converter = _Converter(redaction or redacting.NOTHING)
    out = Converted([], [], [])
    for one in interactions:
        if one.lost:
            out.dropped.append(f"{one.place}: {one.lost}")
            continue
        recording, changes = converter.convert(one)
        out.recordings.append(recording)
        out.changes.extend(f"{one.place}: {change}" for change in (*one.doubts, *changes))
    return out


class Reader:
    """Reads files of one format.

    Args:
        interactions: returns what a document of the format holds, in its order.
    """

    def __init__(self, interactions: Callable[[Node], Iterable[Interaction]]) -> None:
        self._interactions = interactions

    def convert(self, fp: IO[bytes], redaction: Redaction | None = redacting.DEFAULT) -> Converted:
        """Return what becomes of a file; see :func:`converted`.

        Raises:
            ConfigError: it is YAML, and PyYAML is not installed.
            IntegrityError: it is malformed, or of another format; file and place are named.
        """
        return converted(self._interactions(read_document(fp)), redaction)

    def read(self, fp: IO[bytes]) -> list[Recording]:
        """Return a file's recordings, redacted by the default rules; see :meth:`convert`."""
        return self.convert(fp).recordings


class _Converter:
    """Redacts and identifies the calls of one file, in their order, as a session does."""

    def __init__(self, rules: Redaction) -> None:
        self._rules = rules
        self._secrets = Secrets(rules)
        self._ignore = rules.uncounted()

    def convert(self, one: Interaction) -> tuple[Recording, list[str]]:
        """Return a recording, and what was changed."""
        secrets = self._secrets
        headers, content, changes = reconcile.agreed(
            one.method, one.status, one.answer_headers, one.content
        )
        types = content_headers(one.headers)
        body = reconcile.dechunked(one.headers, one.body)
        if body is not one.body:
            changes.append("the request's body freed of its chunks")
        identity = self._identify(one, body, types)
        reason = reconcile.phrase(one.status) if one.reason is None else one.reason
        head = reconcile.head(one.status, reason, headers)

        def clear() -> Sent:
            return secrets.clear(one.url, given_head(one.headers), body)

        # What the answer tells comes first: it is to be gone from the request as well.
        head = secrets.answer_head(head, clear)
        stored = content
        if 0 < len(content) <= LARGEST:
            stored = secrets.answer_body(content, head, one.method, one.url, clear=clear)
        secrets.remember(clear)
        if stored != content:
            _, _, pairs = parse_head(head)
            if _first(pairs, "content-length"):
                pairs = tuple(
                    (name, str(len(stored)) if name.lower() == "content-length" else value)
                    for name, value in pairs
                )
                head = reconcile.head(one.status, reason, pairs)
            changes.append("secrets masked in the answer's body")
        payloads = {checksum_of(stored): stored}
        request = self._request(one, identity, body, types, payloads)
        version, said, pairs = parse_head(head)
        response = Response(
            request_id="", method=one.method, url=request.url, status_code=one.status,
            reason=said, http_version=version, headers=pairs, head=head,
            checksum=checksum_of(stored), size=len(stored), complete=True,
            started_at=one.recorded_at,
            original_checksum=checksum_of(content) if stored != content else None,
        )  # fmt: skip
        return Recording(Exchange(request, (response,)), payloads), changes

    def _identify(self, one: Interaction, body: bytes, types: tuple[str, str]) -> Identity:
        """Return the identity that a session gives the call."""
        secrets = self._secrets
        sent, coding = None, types[1]
        if 0 < len(body) <= LARGEST:
            sent = secrets.body(body, *types)
            body, coding = sent.counted, sent.coding
        return identify(
            one.method,
            secrets.url(one.url),
            headers=secrets.pairs(one.headers),
            body=body,
            ignore=self._ignore,
            ignore_headers=self._rules.uncounted_headers,
            coding=coding,
            sent=sent,
        )

    def _request(
        self,
        one: Interaction,
        identity: Identity,
        body: bytes,
        types: tuple[str, str],
        payloads: dict[str, bytes],
    ) -> Request:
        secrets = self._secrets
        # A header that names the operation counts whatever the answer's Vary says.
        document = secrets.mask(identity.document(identity.counting(()))).decode("utf-8")
        parts = json.loads(document)
        sent = identity.sent
        if sent is not None and sent.version is not secrets.version:
            sent = secrets.body(body, *types)
        clean = sent.content if sent is not None else body
        checksum = checksum_of(clean) if clean else None
        if checksum:
            payloads[checksum] = clean
        params_hash = checksum_of(document.encode("utf-8"))
        counting = identity.counting(())
        return Request(
            id="", session_id="", source="", endpoint=parts["endpoint"], method=one.method,
            params=mapping(parts["params"]), params_hash=params_hash,
            url=secrets.mask_text(identity.url), headers=secrets.pairs(one.headers),
            identity=document,
            base_hash=identity.params_hash() if counting else params_hash,
            body_checksum=checksum, body_size=len(clean), started_at=one.recorded_at,
            status=Status.COMPLETE,
        )  # fmt: skip


def _first(headers: Iterable[tuple[str, str]], name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")
