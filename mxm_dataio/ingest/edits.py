"""What the user's own functions make of a call before it is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import RuleError
from ..http.content import LARGEST
from ..http.heads import FETCHED, parse_head
from ..models import Headers
from ..redaction.interaction import Edit, Interaction
from ..storage.entries import CapturedAttempt, CapturedCall
from ..storage.payloads.spool import Spool

# Each with the spool of its body.
Attempts = Sequence[tuple[CapturedAttempt, Spool | None]]
_LENGTH = "content-length"


class Edited(NamedTuple):
    """A call with other parts."""

    call: CapturedCall
    attempts: Attempts
    body: bytes | Spool | None


def edited(
    edits: Collection[Edit],
    call: CapturedCall,
    attempts: Attempts,
    body: bytes | Spool | None,
    spool: Callable[[], Spool],
) -> Edited | None:
    """Return a call as it is to be stored; ``None``: it is not.

    Each try is asked for by itself, with the request.

    Args:
        spool: makes one for a body.

    Raises:
        RuleError: an edit raised, or a body is too large to be edited.
    """
    # One that says that it reads no answers is given none, however large.
    reads = any(getattr(edit, "reads_answers", True) for edit in edits)
    sent = _content(body, call)
    asked = Interaction(call.method, call.url, parse_head(call.head)[2], sent)
    made: list[tuple[CapturedAttempt, Spool | None]] = []
    after: Interaction | None = asked
    for attempt, held in attempts:
        given = asked
        if held is not None:
            _, reason, headers = parse_head(attempt.head)
            content = _content(held, call) if reads else b""
            given = replace(
                asked, status_code=attempt.status_code, reason=reason or "",
                answer_headers=headers, answer=content,
            )  # fmt: skip
        after = _edited(edits, given)
        if after is None:
            return None
        if attempt.url == call.url:
            attempt = attempt._replace(url=after.url)
        made.append((attempt, held) if held is None else _taken(attempt, given, after, spool, held))
    if not attempts:
        after = _edited(edits, asked)
    if after is None:
        return None
    headers = _kept_length(asked.headers, after.headers, sent, after.body)
    head = call.head if headers == asked.headers else _head(call.head, headers)
    return Edited(
        call._replace(method=after.method, url=after.url, head=head),
        made,
        body if after.body == sent else after.body,
    )


def _edited(edits: Iterable[Edit], given: Interaction) -> Interaction | None:
    found: Interaction | None = given
    for edit in edits:
        try:
            found = edit(found) if found is not None else None
        except Exception as exc:
            # Its text may be what is to be hidden.
            name = getattr(edit, "__name__", repr(edit))
            raise RuleError(
                f"{name!r}, which edits what is stored, raised {type(exc).__name__}: mend it"
            ) from None
    return found


def _content(body: bytes | Spool | None, call: CapturedCall) -> bytes:
    content = body if isinstance(body, bytes) or body is None else b""
    if isinstance(body, Spool):
        if body.size > LARGEST:
            raise RuleError(
                f"a body of {body.size} bytes can't be edited: the most are {LARGEST >> 20} MiB"
            )
        content = body.content()
    return content or b""


def _taken(
    attempt: CapturedAttempt,
    given: Interaction,
    after: Interaction,
    spool: Callable[[], Spool],
    held: Spool,
) -> tuple[CapturedAttempt, Spool]:
    """Return a try with what an edit has made of its answer."""
    if (after.status_code, after.reason) != (given.status_code, given.reason):
        first, _, rest = attempt.head.partition(b"\r\n")
        version = first.partition(b" ")[0]
        line = f" {after.status_code} {after.reason}".encode("latin-1", "replace")
        head = version + line + b"\r\n" + rest
        attempt = attempt._replace(head=head, status_code=after.status_code)
    # By the old length: the new one is told from it.
    headers = _kept_length(given.answer_headers, after.answer_headers)
    if headers != given.answer_headers:
        attempt = attempt._replace(head=_head(attempt.head, headers))
    if after.answer != given.answer:
        held = spool()
        held.write(after.answer)
        attempt = attempt.holding(held.checksum, held.size)
    return attempt, held


def _kept_length(before: Headers, after: Headers, was: bytes = b"", now: bytes = b"") -> Headers:
    """Return headers with the length that there was, or that of a changed body."""
    lengths = [value for name, value in before if name.lower() == _LENGTH]
    if was != now and lengths:
        lengths = [str(len(now))]
    rest = [pair for pair in after if pair[0].lower() != _LENGTH]
    if len(rest) == len(after) - len(lengths):
        found = iter(lengths)
        return tuple(
            (name, next(found)) if name.lower() == _LENGTH else (name, value)
            for name, value in after
        )
    return (*rest, *(("Content-Length", value) for value in lengths))


def _head(head: bytes, headers: Headers) -> bytes:
    """Return a head with other headers."""
    coding = "utf-8" if head.startswith(FETCHED) else "latin-1"
    lines = [f"{name}: {value}".replace("\r", " ").replace("\n", " ") for name, value in headers]
    first = head.partition(b"\r\n")[0]
    return b"\r\n".join([first, *(line.encode(coding, "replace") for line in lines), b"", b""])
