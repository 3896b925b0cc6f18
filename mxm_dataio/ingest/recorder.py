"""From what the wire saw to what is stored: redacted, identified, in the session's name."""

from __future__ import annotations

import re
from functools import partial

from ..concurrency.reentry import is_interrupt
from ..errors import StoreError
from ..http.codings import missing
from ..http.content import LARGEST, content_headers, has_values
from ..http.heads import FETCHED, parse_head
from ..http.shapes import BEGINNING
from ..identity import Identity, vary_names
from ..models import Exchange, Framing, Session
from ..redaction.answer_bodies import UNREAD, withheld
from ..redaction.secrets import Secrets
from ..redaction.sent import Clear, Sent
from ..storage.backend import RecordingBackend
from ..storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from ..storage.layout import WRITABLE
from ..storage.payloads.spool import Spool
from ..utils import cause
from .edits import Attempts, edited

_VARY = re.compile(rb"^vary[ \t]*:", re.IGNORECASE | re.MULTILINE)


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
        self._last_head: tuple[bytes, bytes, object] = (b"", b"", None)
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
        if secrets.rules.edits:
            make = partial(self._store.spool, self._spool_limit)
            found = edited(secrets.rules.edits, call, attempts, body, make)
            if found is None:
                return None, ""
            call, attempts, body = found

        def clear() -> Sent:
            content = body.content() if isinstance(body, Spool) and body.file is None else body
            return secrets.clear(call.url, call.head, content if type(content) is bytes else b"")

        # What the answers tell comes first: it is to be gone from the request as well.
        pairs = [self._clean(attempt, spool, clear) for attempt, spool in attempts]
        clean = tuple([attempt for attempt, _ in pairs])
        # A 304 need not repeat Vary; what it confirmed has it.
        answer = stored.answer if stored else clean[-1] if clean else None
        vary = identity.counting(self._vary(answer.head) if answer else ())
        unread = None
        if secrets.rules.rules:
            secrets.remember(clear)
            unread = self._withheld(pairs, attempts)
        upload = self._clean_body(body, call.head) if body else None
        if upload is not None and upload.size == len(UNREAD) and upload.content() == UNREAD:
            coding = content_headers(parse_head(call.head)[2])[1]
            unread = (
                f"{call.method} {secrets.shown(call.url)}: what it sent under Content-Encoding "
                f"{coding} was not kept, since it can't be looked into for secrets: "
                f"{missing(coding)}"
            )
        document = secrets.document(identity.document(vary))
        url, head = secrets.url(call.url), self._request_head(call.head)
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
        self, attempt: CapturedAttempt, spool: Spool | None, clear: Clear
    ) -> tuple[CapturedAttempt, Spool | None]:
        secrets = self._secrets
        head = secrets.answer_head(attempt.head, clear)
        url = secrets.url(attempt.url)
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
        # Most calls of a program have the same.
        last, version = self._last_head, self._secrets.version
        if last[0] != head or last[2] is not version:
            clean = self._secrets.head(head)
            self._last_head = last = (head, clean, version)
        return last[1]

    def _clean_body(self, body: bytes | Spool, head: bytes) -> Spool | None:
        content_type, coding = content_headers(parse_head(head)[2])
        if isinstance(body, Spool):
            if body.file is not None and not self._may_hold(body, content_type, coding):
                return body
            content = body.content()
            clean = self._secrets.body(content, content_type, coding)
            if body.file is not None and clean == content:
                return body
        else:
            clean = self._secrets.body(body, content_type, coding)
        if not clean:
            return None
        spool = self._store.spool(self._spool_limit)
        spool.write(clean)
        return spool

    def _may_hold(self, body: Spool, content_type: str, coding: str) -> bool:
        """Say whether a body in a file may hold secrets."""
        if body.size > LARGEST or body.file is None:
            return False
        body.file.seek(0)
        beginning = body.file.read(BEGINNING)
        return has_values(beginning, content_type, coding) or bool(self._secrets.version)
