"""From what the wire saw to what is stored: redacted, identified, in the session's name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .entries import CapturedAttempt, CapturedCall, Entry, InSession
from .errors import StoreError
from .heads import FETCHED, parse_head
from .identity import Identity, vary_names
from .models import Exchange, Session
from .payloads import Spool
from .redaction import Redaction, has_fields
from .store import Store

# Forms, JSON and multipart uploads from a file are read into memory up to this, to be redacted.
_REDACTED_BODY = 16 << 20
_VARY = re.compile(rb"^vary[ \t]*:", re.IGNORECASE | re.MULTILINE)


class Recorder:
    """Writes the calls of one session; nothing reaches the store but through here.

    Args:
        store: where to.
        session: whose calls they are.
        redaction: what never reaches disk.
        spool_limit: bytes of a body held in memory.
    """

    def __init__(
        self, store: Store, session: Session, redaction: Redaction, spool_limit: int
    ) -> None:
        self._store = store
        self._session = InSession(session.id, session.root_id, session.source, session.as_of)
        self._kind = session.kind
        self._last_head = (b"", b"")
        self._redaction = redaction
        self._spool_limit = spool_limit

    def record(
        self,
        call: CapturedCall,
        identity: Identity,
        attempts: Sequence[tuple[CapturedAttempt, Spool | None]],
        *,
        body: bytes | Spool | None = None,
        kind: str = "",
        stored: Exchange | None = None,
    ) -> None:
        """Redact and store a call. On return it survives the process, however that ends.

        Args:
            call: as the adapter saw it.
            identity: of the call, before redaction took anything away.
            attempts: in their order, each with its body's spool.
            body: the request's body as it was sent.
            kind: the call's label.
            stored: the exchange that answered in the source's place.

        Raises:
            StoreError: disk or database refused.
        """
        redaction = self._redaction
        clean = tuple([self._clean(attempt) for attempt, _ in attempts])
        # A 304 need not repeat Vary; what it confirmed has it.
        answer = stored.answer if stored else clean[-1] if clean else None
        vary = identity.counting(self._vary(answer.head) if answer else ())
        upload = self._clean_body(body, call.head) if body else None
        held: dict[str, bytes] = {}
        body_checksum, body_size = None, 0
        try:
            for attempt, spool in attempts:
                if spool is not None and attempt.checksum is not None:
                    self._store.take(spool, attempt.checksum, held)
            if upload is not None:
                body_checksum, body_size = upload.checksum, upload.size
                self._store.take(upload, body_checksum, held)
            self._store.append(
                Entry(
                    call._replace(url=redaction.url(call.url), head=self._request_head(call.head)),
                    self._session,
                    kind or self._kind,
                    identity.document(vary).decode("utf-8"),
                    vary,
                    identity.params_hash() if vary else None,
                    body_checksum,
                    body_size,
                    stored.request.id if stored else None,
                    clean,
                    held,
                )
            )
        except OSError as exc:
            raise StoreError(
                f"{call.method} {redaction.url(call.url)} was not recorded: {exc.strerror or exc} "
                f"({self._store.root}); free space or make the folder writable",
                path=self._store.root,
            ) from exc
        finally:
            if upload is not None:
                upload.discard()

    def _vary(self, head: bytes) -> tuple[str, ...]:
        """Return the names that a head's ``Vary`` lists."""
        if _VARY.search(head) is None:
            return ()
        values = [value for name, value in parse_head(head)[2] if name.lower() == "vary"]
        return vary_names(",".join(values), self._redaction.headers)

    def _clean(self, attempt: CapturedAttempt) -> CapturedAttempt:
        head, url = self._redaction.head(attempt.head), self._redaction.url(attempt.url)
        if head == attempt.head and url == attempt.url:
            return attempt
        return attempt._replace(head=head, url=url)

    def _request_head(self, head: bytes) -> bytes:
        """Return a request's head without secrets; the URL in its first line goes whole."""
        if not head.startswith(FETCHED):
            head = head[head.find(b"\r\n") :]
        # Most calls of a program have the same.
        last = self._last_head
        if last[0] != head:
            self._last_head = last = (head, self._redaction.head(head))
        return last[1]

    def _clean_body(self, body: bytes | Spool, head: bytes) -> Spool | None:
        headers = parse_head(head)[2]
        content_type = next((v for n, v in headers if n.lower() == "content-type"), "")
        if isinstance(body, Spool):
            if body.file is not None and (
                body.size > _REDACTED_BODY or not has_fields(content_type)
            ):
                return body
            body = body.content()
        if not body:
            return None
        spool = self._store.spool(self._spool_limit)
        spool.write(self._redaction.body(body, content_type))
        return spool
