"""From what the wire saw to what is stored: redacted, identified, in the session's name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from .errors import StoreError
from .heads import parse_head
from .identity import Identity, vary_names
from .models import Exchange, Headers, Request, Response, Session
from .params import mapping
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
        self._session = session
        self._redaction = redaction
        self._spool_limit = spool_limit

    def record(
        self,
        request: Request,
        identity: Identity,
        attempts: Sequence[tuple[Response, Spool | None]],
        *,
        body: bytes | Spool | None = None,
        kind: str = "",
        stored: Exchange | None = None,
    ) -> None:
        """Redact and store a call. On return it survives the process, however that ends.

        Args:
            request: with what the wire knows: id, method, url, headers, times, status, failure.
            identity: of the call, before redaction took anything away.
            attempts: in their order, each with its checksum and size and its body's spool.
            body: the request's body as it was sent.
            kind: the call's label.
            stored: the exchange that answered in the source's place.

        Raises:
            StoreError: disk or database refused.
        """
        clean = tuple([self._clean(response) for response, _ in attempts])
        # A 304 need not repeat Vary; what it confirmed has it.
        answer = stored.answer if stored else clean[-1] if clean else None
        vary = identity.counting(self._vary(answer.head) if answer else ())
        document = identity.document(vary)
        params_hash = hashlib.sha256(document).hexdigest()
        session = self._session
        held: dict[str, bytes] = {}
        upload = self._clean_body(body, request.headers)
        try:
            for _, spool in attempts:
                if spool is not None:
                    self._store.take(spool, held)
            if upload is not None:
                self._store.take(upload, held)
            row = Request(
                id=request.id,
                session_id=session.id,
                root_id=session.root_id,
                source=session.source,
                as_of=session.as_of,
                kind=kind or session.kind,
                method=request.method,
                endpoint=identity.endpoint,
                params=mapping(identity.params),
                params_hash=params_hash,
                base_hash=identity.params_hash() if vary else params_hash,
                identity=document.decode("utf-8"),
                url=self._redaction.url(request.url),
                headers=self._redaction.header_pairs(request.headers),
                body_checksum=upload.checksum if upload is not None else None,
                body_size=upload.size if upload is not None else 0,
                started_at=request.started_at,
                duration=request.duration,
                status=request.status,
                failure=request.failure,
                served_from=stored.request.id if stored else None,
            )
            self._store.append(Exchange(row, clean), vary, held)
        except (OSError, ValueError) as exc:
            why = getattr(exc, "strerror", None) or exc
            raise StoreError(
                f"{request.method} {self._redaction.url(request.url)} was not recorded: {why} "
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

    def _clean(self, response: Response) -> Response:
        head, url = self._redaction.head(response.head), self._redaction.url(response.url)
        if head == response.head and url == response.url:
            return response
        return replace(response, head=head, url=url)

    def _clean_body(self, body: bytes | Spool | None, headers: Headers) -> Spool | None:
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
