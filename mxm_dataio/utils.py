"""Small helpers: instants, names, canonical JSON, files written whole; more, of :mod:`.process`."""

from __future__ import annotations

import contextlib
import errno
import functools
import math
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, BinaryIO

from .process import after_fork as after_fork
from .process import json_writer as json_writer
from .process import new_id as new_id
from .process import wall_time


def utc_now() -> str:
    """Return the present instant as ISO 8601 in UTC with microseconds, ``…Z``."""
    return instant(wall_time())


def instant(seconds: float) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC with microseconds, ``…Z``."""
    rest, whole = math.modf(seconds)
    microseconds = round(rest * 1_000_000)
    if not 0 <= microseconds < 1_000_000:
        # Before 1970, or so close to the next second that it is that.
        text = datetime.fromtimestamp(seconds, UTC).isoformat("T", "microseconds")
        return f"{text[:-6]}Z"
    return f"{_second(whole)}.{microseconds:06}Z"


@functools.lru_cache(maxsize=64)
def _second(whole: float) -> str:
    # A second has many calls, and their attempts.
    return datetime.fromtimestamp(whole, UTC).isoformat("T", "seconds")[:-6]


def parse_instant(text: str) -> float:
    """Return an instant that :func:`instant` wrote as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def as_of_text(value: str | date | datetime) -> str:
    """Return an as-of date or instant in its one stored form, which sorts as it is dated.

    A date stays a date (``2025-10-07``), an instant becomes UTC with microseconds; one
    without a zone is taken as UTC.

    Raises:
        ValueError: the text is neither.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            value = date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"as_of={text!r} is neither a date nor an instant in ISO 8601"
            ) from None
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return instant(value.timestamp())


def as_of_bound(text: str | None) -> str:
    """Return the greatest stored as-of that counts as "not after" this one; without one, of all.

    A date stands for its whole day, so instants of that day are within it.
    """
    return "~" if not text else text + "~" if len(text) == 10 else text


def dotted(cls: type) -> str:
    """Return a class's dotted name, a builtin's without its module."""
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, over what is there, so that it is whole at each moment, or as it was.

    Raises:
        OSError: it can't be written; what was there is left.
    """
    with written_whole(path) as file:
        file.write(content)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which takes its place, over what is there, once it is whole.

    Raises:
        OSError: it can't be written; what was there is left, as it is if the block raises.
    """
    temporary = path.with_name(f".{path.name}.{new_id()}.tmp")
    try:
        # For all whom the umask lets: it is a file of the user's, not a store's.
        with temporary.open("xb") as file:
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


# What a system says where a file system has no locks (flock), and where it is full.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_LOCKS = "put it on a local disk, or mount its file system with locks"
FULL = "free space there, or put it on another disk"


def cause(exc: OSError, otherwise: str = "") -> str:
    """Return why something can't be written, and what is to be done about it.

    Args:
        otherwise: what is to be done if the cause asks for nothing of its own.
    """
    what, remedy = exc.strerror or str(exc), otherwise
    if exc.errno in _NO_LOCKS:
        what += ": its file system has no file locks (flock)"
        remedy = NO_LOCKS
    elif exc.errno in _FULL:
        remedy = FULL
    return f"{what}; {remedy}" if remedy else what


def utf8(text: str) -> bytes:
    """Return a text as UTF-8; half a surrogate pair as the byte it stands for, or as it is."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def counted(count: int, noun: str) -> str:
    """Return a count and its noun, as ``1 call`` or ``2,000 calls``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def media_type(content_type: str) -> str:
    """Return the media type of a ``Content-Type``, in lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    """Say whether a media type is JSON (RFC 8259 §11, RFC 6839 §3.1)."""
    return media == "application/json" or media.endswith("+json")


class NotCanonicalError(ValueError):
    """The value has no canonical JSON form (RFC 8785 builds on I-JSON, RFC 7493)."""


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 (JCS) form of a JSON value.

    Raises:
        NotCanonicalError: a number beyond IEEE 754 doubles' exact integers, not finite, a lone
            surrogate, a key that is not text, or a type that JSON does not have.
    """
    out: list[str] = []
    try:
        _write(value, out)
        return "".join(out).encode("utf-8")
    except (UnicodeEncodeError, RecursionError) as exc:
        raise NotCanonicalError(str(exc)) from None


def _write(value: Any, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(encode_basestring(value))
    elif isinstance(value, (list, tuple)):
        mark = "["
        for item in value:
            out.append(mark)
            _write(item, out)
            mark = ","
        out.append("]" if value else "[]")
    elif isinstance(value, dict):
        mark = "{"
        for key in _sorted_keys(value):
            out.append(f"{mark}{encode_basestring(key)}:")
            _write(value[key], out)
            mark = ","
        out.append("}" if value else "{}")
    elif value is None:
        out.append("null")
    elif value is True:
        out.append("true")
    elif value is False:
        out.append("false")
    elif isinstance(value, int):
        if abs(value) > 2**53:
            raise NotCanonicalError(f"{value} is beyond the integers that a double holds exactly")
        out.append(str(value))
    elif isinstance(value, float):
        out.append(_number(value))
    else:
        raise NotCanonicalError(f"JSON has no {type(value).__name__}")


def _sorted_keys(value: dict[Any, Any]) -> list[str]:
    """Return keys by their UTF-16 code units (RFC 8785 §3.2.3), which ASCII sorts alike."""
    try:
        ascii_only = "".join(value).isascii()
    except TypeError:
        raise NotCanonicalError("an object's keys are text") from None
    # As big-endian bytes, code units sort alike too.
    return sorted(value, key=None if ascii_only else lambda key: key.encode("utf-16-be"))


def _number(value: float) -> str:
    """Return a double as ECMAScript's Number::toString writes it (RFC 8785 §3.2.2.3)."""
    if not math.isfinite(value):
        raise NotCanonicalError(f"{value} is no JSON number")
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)
    if whole == "0":
        point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        text = digits + "0" * (point - count)
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        tail = f".{digits[1:]}" if count > 1 else ""
        text = f"{digits[0]}{tail}e{point - 1:+d}"
    return f"-{text}" if value < 0 else text
