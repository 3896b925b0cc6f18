"""The head of an answer, status line and headers, as bytes and taken apart."""

from __future__ import annotations

from ..models import Headers

# Where a status line has its HTTP version, the head of a fetcher's result has this.
FETCHED = b"- "


def fetched_head(status_code: int | None, reason: str | None, headers: Headers) -> bytes:
    """Return what a fetcher says of its answer, in the form of a head.

    Raises:
        ValueError: a line break or other control character in a header.
    """
    if status_code is None and not reason and not headers:
        return b""
    lines = [f"- {status_code or '-'} {reason or ''}"]
    lines += [f"{name}: {value}" for name, value in headers]
    for line in lines:
        if any(ord(character) < 32 and character != "\t" for character in line):
            raise ValueError(f"a control character in {line!r}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def given_head(headers: Headers) -> bytes:
    """Return headers that never went out, in the form of a head."""
    if not headers:
        return b""
    # What was refused for a line break in it must not look like two lines here.
    lines = [f"{name}: {value}".replace("\r", " ").replace("\n", " ") for name, value in headers]
    return "\r\n".join(["- ", *lines, "", ""]).encode("utf-8", "replace")


def status_line(head: bytes | bytearray) -> tuple[str, int | None]:
    """Return the first word of a head, and the status behind it, if it is one.

    As http.client reads it, for which the line is text: Latin-1 has more blanks and digits than
    ASCII. A status that it refuses is none.
    """
    parts = head.partition(b"\n")[0].decode("latin-1").split(None, 2)
    try:
        status = int(parts[1])
    except (IndexError, ValueError):
        return parts[0] if parts else "", None
    return parts[0], status if 100 <= status <= 999 else None


def is_bodiless(status: int | None) -> bool:
    """Say that answers of a status have no body, whatever their heads say (RFC 9112 §6.3)."""
    return status in (204, 304) or 100 <= (status or 0) < 200


def parse_head(head: bytes) -> tuple[str, str | None, Headers]:
    """Return HTTP version, reason phrase and header pairs of a head as it was on the wire.

    The first line of a request's may be empty.
    """
    if not head:
        return "", None, ()
    # A head that a fetcher gave is text of ours; one off the wire is bytes (RFC 9112 §5).
    # (Off the wire may come what looks like one of ours.)
    text = head.decode("utf-8" if head.startswith(FETCHED) else "latin-1", "replace")
    first, *lines = text.split("\n")
    version, _, rest = first.strip().partition(" ")
    reason = rest.strip().partition(" ")[2].strip()
    headers: list[tuple[str, str]] = []
    folded: list[str] = []
    for line in lines:
        line = line.rstrip("\r")
        if line[:1] in (" ", "\t") and headers:
            folded.append(line.strip())
            continue
        if folded:
            headers[-1] = _unfolded(headers[-1], folded)
            folded = []
        if ":" in line:
            name, _, value = line.partition(":")
            headers.append((name, value.strip(" \t")))
    if folded:
        headers[-1] = _unfolded(headers[-1], folded)
    return version, reason, tuple(headers)


def _unfolded(header: tuple[str, str], lines: list[str]) -> tuple[str, str]:
    return header[0], " ".join([header[1], *lines])
