"""Numbers and names as people read them, in few columns."""

from __future__ import annotations

import re

from ..utils import counted

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]+", re.IGNORECASE)
# So much of a path at least is shown beside its host.
_PATH = 12
# So much of an id's end is shown: of a million, two in ten thousand have it in common.
_DIGITS = 8


def short(id: str) -> str:
    """Return the end of an id, by which it can be named."""
    return id[-_DIGITS:]


def size(count: int | None) -> str:
    """Return bytes: ``821``, ``1.8 kB``, ``12 MB``."""
    if count is None:
        return "-"
    if count < 1000:
        return str(count)
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"


def bytes_of(count: int) -> str:
    """Return the same in a sentence: ``821 bytes``, ``1.8 kB``."""
    return counted(count, "byte") if count < 1000 else size(count)


def span(seconds: float | None) -> str:
    """Return a duration: ``0.9 ms``, ``12 ms``, ``1.2 s``, ``3:20``, ``1:02:03``."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        thousandths = seconds * 1000
        return f"{thousandths:.1f} ms" if thousandths < 9.95 else f"{thousandths:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def day(instant: str) -> str:
    """Return an instant without its seconds: ``2025-10-07 14:30``."""
    return instant[:16].replace("T", " ")


def cropped(text: str, width: int) -> str:
    """Return a text that fits a width, without its middle: ends tell names apart."""
    if len(text) <= width:
        return text
    kept = max(width - 1, 0)
    head = kept - kept // 2
    return f"{text[:head]}…{text[len(text) - kept // 2 :]}" if width else ""


def origin(url: str) -> str:
    """Return scheme and host of a URL; an empty text, if it has none."""
    match = _ORIGIN.match(url)
    return match[0] if match else ""


def cropped_url(url: str, width: int) -> str:
    """Return a URL that fits a width: its host and the end of its path, which tells calls apart."""
    if len(url) <= width:
        return url
    host = origin(url)
    room = width - len(host) - 1
    if room < _PATH:
        return cropped(url, width)
    head = len(host) + room // 4
    return f"{url[:head]}…{url[len(url) - room + room // 4 :]}"


def codes(shown: list[str]) -> str:
    """Return the outcomes of attempts: ``503→200``, ``503×4→200``."""
    parts: list[tuple[str, int]] = []
    for one in shown:
        if parts and parts[-1][0] == one:
            parts[-1] = (one, parts[-1][1] + 1)
        else:
            parts.append((one, 1))
    if all(count < 3 for _, count in parts):
        return "→".join(shown)
    return "→".join(f"{one}×{count}" if count > 1 else one for one, count in parts)
