"""Values found in a text by their needles, and masked."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator

from ..patterns import regex
from ..utils import utf8
from .escapes import Span, View, views
from .needles import Needle
from .values import SHORTEST

# Beginnings of a form that are compared with the end of a text.
_TRIES = 64
# Bytes that one of a value is escaped in, at most.
_GROWTH = 12
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_"
_REST_OF_BASE64 = regex(rb"[A-Za-z0-9+_-]*={0,2}")


def holds(data: bytes, needles: Iterable[Needle]) -> bool:
    """Say whether a text has a value, by its needles."""
    return any(needle.anchor in data and masked(data, [needle], b"") != data for needle in needles)


def masked(data: bytes, needles: Iterable[Needle], mask: bytes, *, plain: bool = False) -> bytes:
    """Return a text with a mask for each value in it; the same object, where there is none.

    Args:
        needles: those whose anchors it has.
        mask: for those that have none of their own.
        plain: it is for all.
    """
    # The longest first: one value may be a part of another.
    needles = sorted(needles, key=lambda needle: len(needle.forms[0]), reverse=True)
    for needle in needles:
        if not needle.coded:
            for form in needle.forms:
                data = data.replace(form, (not plain and utf8(needle.mask)) or mask)
    odd = [needle for needle in needles if needle.odd]
    if not odd:
        return data
    masks: dict[Span, str] = {}
    spans = list(_found(data, [needle for needle in odd if needle.coded], {}))
    for view in views(data):
        own: dict[Span, str] = {}
        for span in _found(view.text, odd, own):
            spans.append(view.span(*span))
            masks[spans[-1]] = "" if plain else own.get(span, "")
    pieces = []
    at = 0
    for start, end in _joined(spans):
        pieces += [data[at:start], utf8(masks.get((start, end), "")) or mask]
        at = end
    return b"".join([*pieces, data[at:]]) if pieces else data


def _found(text: bytes, needles: Iterable[Needle], masks: dict[Span, str]) -> Iterator[Span]:
    """Yield where needles are.

    Args:
        masks: takes what stands for those that have a mask of their own.
    """
    within: list[Span] = []
    left = text
    for needle in needles:
        for form in needle.forms:
            at = left.find(form)
            while at >= 0:
                end = at + len(form)
                if needle.coded:
                    within.append((at, end))
                else:
                    masks[at, end] = needle.mask
                    yield at, end
                at = left.find(form, end)
            # What is found is not found again, as parts of it that are known as well.
            left = left.replace(form, bytes(len(form)))
    at = 0
    for start, end in sorted(within):
        if start >= at:
            first = at + len(text[at:start].rstrip(_BASE64))
            rest = _REST_OF_BASE64.match(text, end)
            at = rest.end() if rest else end
            yield first, at


def _joined(spans: list[Span]) -> Iterator[Span]:
    """Yield spans in their order, as one those that overlap."""
    start = end = 0
    for first, last in sorted(spans):
        if first < end:
            end = max(end, last)
        else:
            if end:
                yield start, end
            start, end = first, last
    if end:
        yield start, end


def masked_end(data: bytes, needles: Iterable[Needle], mask: bytes) -> bytes:
    """Return the beginning of a text without the part of a value that it may end with.

    Eight characters of one, or of what is written for it, are too many.
    """
    forms = [(form, needle.coded) for needle in needles for form in needle.forms]
    longest = max((len(form) for form, _ in forms), default=0)
    window = data[-longest * _GROWTH :] if longest else b""
    first = len(window)
    for view in (View(window), *views(window, cut=True)):
        text = view.text
        for form, within in forms:
            count = _begun(text, form)
            start = view.start(len(text) - count) if count else first
            # (Before what is known of it is a letter that is its own in part.)
            if within and len(window) - start >= SHORTEST - 1:
                start = view.start(len(text[: len(text) - count].rstrip(_BASE64)))
            first = min(first, start)
    cut = len(window) - first
    return data[: len(data) - cut] + mask if cut >= SHORTEST else data


def _begun(text: bytes, form: bytes) -> int:
    """Return how many of a form's first bytes a text ends with; where that takes long, or more."""
    last = text[-1:]
    count = form.rfind(last, 0, len(text)) + 1 if text else 0
    for _ in range(_TRIES):
        if not count or text.endswith(form[:count]):
            break
        count = form.rfind(last, 0, count - 1) + 1
    return count


def masked_wide(data: bytes, needles: Iterable[Needle], mask: str, *, plain: bool = False) -> bytes:
    """Return bytes without values in UTF-16, as they are and escaped in JSON and HTML."""
    masks = {needle.value: needle.mask for needle in needles if not (needle.coded or plain)}
    for value in sorted({needle.value for needle in needles}, key=len, reverse=True):
        text = json.dumps(value)[1:-1]
        kept = json.dumps(value, ensure_ascii=False)[1:-1]
        for form in {value, text, text.replace("/", "\\/"), kept, html.escape(value)}:
            for coding in ("utf-16-le", "utf-16-be"):
                wide = form.encode(coding, "surrogatepass")
                data = data.replace(wide, (masks.get(value) or mask).encode(coding))
    return data
