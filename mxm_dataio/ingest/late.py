"""A recorded call once more is known to be secret than when it was recorded.

A token may come in a page that nobody takes for secret, and be sent under a secret name a call
later; a key may stand in a path first and in a header next. So a call that still waits for its
place is masked again on its way there, by all that is known by then. Its chain is made of what
arrives.

What a *request* held has the placeholder :data:`mxm_dataio.http.tokens.LATE`: in replay the program
asks for it before the value can be known there as well. How such a call is found is told in
:mod:`mxm_dataio.replay.lookup`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..formats.recordings import Recording, checksum_of, entry_of
from ..http.heads import parse_head
from ..http.tokens import LATE, PLACEHOLDER, collapsed
from ..identity import base_of
from ..models import Exchange, Failure, Framing
from ..redaction.answer_bodies import is_text
from ..redaction.secrets import LARGEST, Secrets
from ..storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from ..utils import canonical_json, media_type

# Returns a payload by checksum and size, if it can.
Payload = Callable[[str, int], bytes | None]

# Stands for what was masked in time: private use, which no secret has.
_HELD = "\ue0d5\ue0d6"


def masked(entry: Entry, secrets: Secrets, payload: Payload) -> Entry:
    """Return a call without what is known by now; the same object if it had none of it.

    Args:
        payload: returns those that the entry does not have itself.
    """
    if entry.call.id > secrets.learned:
        # It began when all of it was known.
        return entry
    return _Masking(entry, secrets, payload).masked()


class Late:
    """Masks the calls of one session on their way, and knows how many came too early for that.

    Args:
        secrets_of: returns what is known of a source's secrets.
    """

    def __init__(self, secrets_of: Callable[[str], Secrets]) -> None:
        self._secrets_of = secrets_of
        self._count = self._early = 0
        self._learned = ""

    def __call__(self, entry: Entry, payload: Payload) -> Entry:
        """Return a call without what is known by now; the same object if it had none of it."""
        secrets = self._secrets_of(entry.session.source)
        if secrets.learned > self._learned:
            self._learned, self._early = secrets.learned, self._count
        self._count += 1
        return masked(entry, secrets, payload)

    def early(self, learned: str) -> int:
        """Return how many calls came by before the last secret was learned.

        Args:
            learned: when that was.
        """
        return self._count if learned > self._learned else self._early

    def exposed(self, exchange: Exchange, payload: Payload) -> str | None:
        """Return a call in words, if it holds a secret."""
        request = exchange.request
        session = InSession(request.session_id, request.root_id, request.source, request.as_of)
        entry = entry_of(Recording(exchange, {}), session, request.id)
        try:
            made = masked(entry, self._secrets_of(request.source), payload)
        except Exception:
            # What can't be masked may hold one.
            return f"{request.method} [{request.id}]"
        return None if made is entry else f"{request.method} {made.call.url} [{request.id}]"


class _Masking:
    def __init__(self, entry: Entry, secrets: Secrets, payload: Payload) -> None:
        self._entry = entry
        self._secrets = secrets
        # In requests it is told by what stands there that it was learned late.
        self._plain = secrets.plainly()
        self._payload = payload
        self._new: dict[str, bytes] = {}

    def masked(self) -> Entry:
        entry = self._entry
        attempts = tuple(map(self._with_body, entry.attempts))
        body_checksum, body_size = self._request_body()
        if not self._new and not self._secrets.holds(_texts(entry)):
            return entry
        identity = self._document(entry.identity)
        base_hash = entry.base_hash
        if base_hash is not None and identity != entry.identity:
            base_hash = checksum_of(base_of(identity)[0].encode("utf-8"))
        attempts = tuple(map(self._attempt, attempts))
        named = {body_checksum, *(one.checksum for one in attempts)}
        payloads = {**entry.payloads, **self._new}
        made = entry._replace(
            call=self._call(entry.call),
            identity=identity,
            base_hash=base_hash,
            body_checksum=body_checksum,
            body_size=body_size,
            attempts=attempts,
            payloads={name: payloads[name] for name in payloads if name in named},
        )
        return entry if made == entry else made

    # -- what was asked ------------------------------------------------------------------------

    def _call(self, call: CapturedCall) -> CapturedCall:
        return call._replace(
            url=self._asked(call.url),
            head=self._sent(call.head, lambda head: collapsed(self._plain.lines(head))),
            failure=self._failure(call.failure),
        )

    def _asked(self, text: str) -> str:
        """Return a text of a request."""
        held = text.replace(PLACEHOLDER, _HELD)
        clean = self._plain.mask_text(held)
        return clean.replace(PLACEHOLDER, LATE).replace(_HELD, PLACEHOLDER)

    def _sent(self, data: bytes, mask: Callable[[bytes], bytes]) -> bytes:
        """Return bytes of a request."""
        known, late, held = PLACEHOLDER.encode(), LATE.encode(), _HELD.encode()
        clean = mask(data.replace(known, held))
        return clean.replace(known, late).replace(held, known)

    def _document(self, document: str) -> str:
        late = self._plain.document(document.replace(PLACEHOLDER, _HELD).encode("utf-8"))
        late = late.replace(PLACEHOLDER, LATE).replace(_HELD, PLACEHOLDER)
        return late if late == document else canonical_json(json.loads(late)).decode("utf-8")

    def _request_body(self) -> tuple[str | None, int]:
        checksum, size = self._entry.body_checksum, self._entry.body_size
        content = self._content(checksum, size)
        if content is None or not self._secrets.holds(content):
            return checksum, size
        return self._kept(self._sent(content, self._plain.mask))

    # -- what was answered ---------------------------------------------------------------------

    def _attempt(self, one: CapturedAttempt) -> CapturedAttempt:
        lines = self._secrets.lines
        framing = one.framing
        if framing is not None:
            odd = {index: lines(line) for index, line in framing.odd.items()}
            framing = Framing(framing.chunks, odd, lines(framing.tail))
        return one._replace(
            url=self._asked(one.url),
            head=lines(one.head),
            framing=framing,
            failure=self._failure(one.failure),
        )

    def _with_body(self, one: CapturedAttempt) -> CapturedAttempt:
        """Return an attempt whose answer's body is masked."""
        media = _media(one.head)
        if media and not is_text(media, b""):
            return one
        content = self._content(one.checksum, one.size)
        if content is None:
            return one
        clean = self._secrets.answer_body(
            content, one.head, one.method, one.url, cut=not one.complete, again=True
        )
        return one if clean is content else one.holding(*self._kept(clean))

    def _failure(self, failure: Failure | None) -> Failure | None:
        if failure is None:
            return None
        message, data = self._secrets.mask_text(failure.message), self._value(failure.data)
        return Failure(failure.error_class, message, data)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._secrets.mask_text(value)
        if isinstance(value, Mapping):
            return {name: self._value(item) for name, item in value.items()}
        return list(map(self._value, value)) if isinstance(value, (list, tuple)) else value

    # -- payloads ------------------------------------------------------------------------------

    def _content(self, checksum: str | None, size: int) -> bytes | None:
        if checksum is None or not 0 < size <= LARGEST:
            return None
        held = self._entry.payloads.get(checksum)
        return self._payload(checksum, size) if held is None else held

    def _kept(self, content: bytes) -> tuple[str, int]:
        checksum = checksum_of(content)
        self._new[checksum] = content
        return checksum, len(content)


def _media(head: bytes) -> str:
    fields = parse_head(head)[2]
    return media_type(next((v for n, v in fields if n.lower() == "content-type"), ""))


def _texts(entry: Entry) -> bytes:
    """Return all texts of a call but its bodies."""
    call = entry.call
    texts = [call.url, entry.identity, *(one.url for one in entry.attempts)]
    failures = [call.failure, *(one.failure for one in entry.attempts)]
    for failure in failures:
        if failure is not None:
            texts += [failure.message, json.dumps(failure.data, ensure_ascii=False)]
    heads = [call.head, *(one.head for one in entry.attempts)]
    for attempt in entry.attempts:
        if attempt.framing is not None:
            heads += [attempt.framing.tail, *attempt.framing.odd.values()]
    return b"\n".join([*(text.encode("utf-8", "surrogatepass") for text in texts), *heads])
