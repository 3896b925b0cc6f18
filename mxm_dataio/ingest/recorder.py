"""From what the wire saw to what is stored: redacted, identified, in the session's name."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from ..concurrency.reentry import is_interrupt
from ..errors import StoreError
from ..http.codings import missing
from ..http.content import LARGEST, content_headers
from ..http.heads import FETCHED, parse_head
from ..http.shapes import BEGINNING
from ..identity import Identity, vary_names
from ..models import Exchange, Framing, Session
from ..patterns import regex
from ..redaction.answer_bodies import UNREAD, withheld
from ..redaction.secrets import Secrets
from ..redaction.sent import UNKNOWN, CleanBody, Clear, Sent
from ..storage.backend import RecordingBackend
from ..storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from ..storage.layout import WRITABLE
from ..storage.payloads.spool import Spool
from ..utils import cause

if TYPE_CHECKING:
    from .edits import Attempts

_VARY = regex(rb"^vary[ \t]*:", re.IGNORECASE | re.MULTILINE)


class Recorder:
    """Writes the calls of one session; nothing reaches the store but through here.

    Args:
        store: where to.
        session: whose calls they are.
        secrets: what never reaches disk.
        spool_limit: bytes of a body held in memory.
        source: of the calls, if not the session's own.
    """

    def __init__(
        self,
        store: RecordingBackend,
        session: Session,
        secrets: Secrets,
        spool_limit: int,
        *,
        source: str = "",
    ) -> None:
        self._store = store
        self._session = InSession(
            session.id, session.root_id, source or session.source, session.as_of
        )
        self._kind = session.kind
        self._secrets = secrets
        self._spool_limit = spool_limit

    def record(
        self,
        call: CapturedCall,
        identity: Identity,
        attempts: Attempts,
        *,
        body: bytes | Spool | None = None,
        kind: str = "",
        stored: Exchange | None = None,
    ) -> tuple[str | None, str]:
        """Redact and store a call. On return it survives the process, however that ends.

        Args:
            call: as the adapter saw it.
            identity: of the call, before redaction took anything away.
            attempts: in their order, each with its body's spool.
            body: the request's body as it was sent.
            kind: the call's label.
            stored: the exchange that answered in the source's place.

        Returns:
            What of it was not stored and why, if something was not; and the document of its
            identity, empty where an edit left the call out.

        Raises:
            StoreError: disk or database refused.
        """
        secrets = self._secrets
        url, sent = identity.url, identity.sent
        if secrets.rules.edits:
            from .edits import edited  # few sessions have them

            make = partial(self._store.spool, self._spool_limit)
            found = edited(secrets.rules.edits, call, attempts, body, make)
            if found is None:
                return None, ""
            call, attempts, body = found
            url, sent = secrets.url(call.url), UNKNOWN

        def clear() -> Sent:
            content = body.content() if isinstance(body, Spool) and body.file is None else body
            return secrets.clear(call.url, call.head, content if type(content) is bytes else b"")

        # What the answers tell comes first: it is to be gone from the request as well.
        pairs = [self._clean(call.url, attempt, spool, clear) for attempt, spool in attempts]
        clean = tuple([attempt for attempt, _ in pairs])
        # A 304 need not repeat Vary; what it confirmed has it.
        answer = stored.answer if stored else clean[-1] if clean else None
        vary = identity.counting(self._vary(answer.head) if answer else ())
        unread = None
        if secrets.rules.rules:
            secrets.remember(clear)
            unread = self._withheld(pairs, attempts)
        upload = self._clean_body(body, call.head, sent) if body else None
        if upload is not None and upload.size == len(UNREAD) and upload.content() == UNREAD:
            coding = content_headers(parse_head(call.head)[2])[1]
            unread = (
                f"{call.method} {secrets.shown(call.url)}: what it sent under Content-Encoding "
                f"{coding} was not kept, since it can't be looked into for secrets: "
                f"{missing(coding)}"
            )
        document = secrets.document(identity.document(vary))
        if secrets.version is not identity.version:
            url = secrets.mask_text(url)
        if url != call.url:
            clean = tuple([a._replace(url=url) if a.url == call.url else a for a in clean])
        head = self._request_head(call.head)
        if call.failure is not None or any(attempt.failure for attempt in clean):
            # By now all that the call had is known.
            call = call._replace(failure=secrets.failure(call.failure))
            clean = tuple([a._replace(failure=secrets.failure(a.failure)) for a in clean])
        held: dict[str, bytes] = {}
        body_checksum, body_size = None, 0
        try:
            for attempt, spool in pairs:
                if spool is not None and attempt.checksum is not None:
                    self._store.take(spool, attempt.checksum, held)
            if upload is not None:
                body_checksum, body_size = upload.checksum, upload.size
                self._store.take(upload, body_checksum, held)
            self._store.append(
                Entry(
                    call._replace(url=url, head=head),
                    self._session,
                    kind or self._kind,
                    document,
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
            if is_interrupt(exc):
                raise
            raise StoreError(
                f"{call.method} {secrets.shown(call.url)} was not recorded in "
                f"{self._store.root}: {cause(exc, WRITABLE)}",
                path=self._store.root,
            ) from exc
        finally:
            if upload is not None:
                upload.discard()
        return unread, document

    def _vary(self, head: bytes) -> tuple[str, ...]:
        """Return the names that a head's ``Vary`` lists."""
        if _VARY.search(head) is None:
            return ()
        values = [value for name, value in parse_head(head)[2] if name.lower() == "vary"]
        return vary_names(",".join(values), self._secrets.rules.uncounted_headers)

    def _withheld(self, pairs: Attempts, attempts: Attempts) -> str | None:
        """Say which body of an answer is not kept though it came, if one is not."""
        for (clean, _), (attempt, _) in zip(pairs, attempts, strict=True):
            if clean.truncated > attempt.truncated:
                return (
                    f"{attempt.method} {clean.url}: its answer of {attempt.size} bytes was not "
                    "kept, since redaction rules can't be asked of it: it is above "
                    f"{LARGEST >> 20} MiB, or its coding can't be undone; name the places= of "
                    "rules that take nothing of answers"
                )
        return None

    def _clean(
        self, asked: str, attempt: CapturedAttempt, spool: Spool | None, clear: Clear
    ) -> tuple[CapturedAttempt, Spool | None]:
        secrets = self._secrets
        head = secrets.answer_head(attempt.head, clear)
        # (What the call asked for has been looked into.)
        url = attempt.url if attempt.url == asked else secrets.url(attempt.url)
        stored = spool
        if spool is not None and 0 < attempt.size <= LARGEST:
            stored = self._masked(attempt, spool, clear)
        elif spool is not None and withheld(
            secrets.rules, spool.beginning(BEGINNING), attempt.head
        ):
            stored = None
        if head != attempt.head or url != attempt.url:
            attempt = attempt._replace(head=head, url=url)
        if stored is not spool:
            if stored is None:
                stored = self._store.spool(self._spool_limit)
                attempt = attempt.withheld(stored.checksum)
            else:
                attempt = attempt.holding(stored.checksum, stored.size)
        if attempt.framing is not None:
            attempt = attempt._replace(framing=self._clean_framing(attempt.framing, clear))
        return attempt, stored

    def _masked(self, attempt: CapturedAttempt, spool: Spool, clear: Clear) -> Spool | None:
        secrets = self._secrets
        if not secrets.looks_into(attempt.size, attempt.method, attempt.url):
            return spool
        content = spool.content()
        clean = secrets.answer_body(
            content,
            attempt.head,
            attempt.method,
            attempt.url,
            cut=not attempt.complete,
            clear=clear,
        )
        if clean is content:
            return spool
        if clean is UNREAD:
            return None
        masked = self._store.spool(self._spool_limit)
        masked.write(clean)
        return masked

    def _clean_framing(self, framing: Framing, clear: Clear) -> Framing:
        """Return how a body was cut, without the secrets of trailers and chunk extensions."""
        secrets = self._secrets
        tail = secrets.answer_head(framing.tail, clear)
        odd = {index: secrets.lines(line) for index, line in framing.odd.items()}
        if tail == framing.tail and odd == framing.odd:
            return framing
        return Framing(framing.chunks, odd, tail)

    def _request_head(self, head: bytes) -> bytes:
        """Return a request's head without secrets; the URL in its first line goes whole."""
        if not head.startswith(FETCHED):
            head = head[head.find(b"\r\n") :]
        return self._secrets.head(head)

    def _clean_body(self, body: bytes | Spool, head: bytes, sent: CleanBody | None) -> Spool | None:
        """Return a request's body without secrets.

        Args:
            sent: it, without those that were known when the call was identified.
        """
        version = self._secrets.version
        if isinstance(body, Spool):
            unseen = sent is None and not version
            if body.file is not None and (unseen or body.size > LARGEST):
                return body
            content = body.content()
        else:
            content = body
        if sent is None or sent.version is not version:
            sent = self._secrets.body(content, *content_headers(parse_head(head)[2]))
        if not sent.content:
            return None
        if isinstance(body, Spool) and sent.content == content:
            return body
        spool = self._store.spool(self._spool_limit)
        spool.write(sent.content)
        return spool
