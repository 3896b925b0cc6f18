"""Files of other recorders, found, read and converted one by one: what one is tells of no other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

from . import formats
from . import redaction as redacting
from .errors import ConfigError, IntegrityError, StoreError
from .formats import calls
from .formats.cassette import Document
from .formats.interactions import Converted
from .formats.volatile import Volatile
from .models import Exchange
from .recordings import Recording
from .redaction import Redaction
from .utils import utc_now

AUTO = "auto"
# Endings of recordings; vcrpy adds none of its own.
_SUFFIXES = frozenset({"", ".yaml", ".yml", ".json"})
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Found(NamedTuple):
    """A file that may be a recording.

    Attributes:
        base: the folder in which it was found, or its own.
        named: it was asked for by its name.
    """

    file: Path
    base: Path
    named: bool


class Outcome(NamedTuple):
    """What became of a file.

    Attributes:
        format: that it is of, if that is known.
        converted: what it holds, if it was read.
        problem: why it was not.
        skipped: why it was left alone.
    """

    file: Path
    format: str = ""
    converted: Converted | None = None
    problem: str = ""
    skipped: str = ""


def found_in(paths: Iterable[Path]) -> Iterator[Found]:
    """Yield the files that are named, and those in folders that are, in the order of their names.

    Raises:
        StoreError: a path is not there.
    """
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                parts = file.relative_to(path).parts
                hidden = any(part.startswith(".") for part in parts)
                if not hidden and file.suffix.lower() in _SUFFIXES and file.is_file():
                    yield Found(file, path, named=False)
        elif path.exists():
            yield Found(path, path.parent, named=True)
        else:
            raise StoreError(f"there is no file or folder {path}", path=path)


def outcome_of(
    found: Found,
    format: str = AUTO,
    redaction: Redaction | None = redacting.DEFAULT,
    ignore_params: Iterable[str] = (),
) -> Outcome:
    """Return what becomes of a file. Whatever is wrong with it is the outcome's problem.

    Args:
        format: that it is of, or :data:`AUTO`.
        redaction: what never reaches disk; ``None`` switches it off.
        ignore_params: names of query, form and JSON fields that do not count.

    Raises:
        ConfigError: it is YAML, and PyYAML is not installed.
    """
    file = found.file
    try:
        with file.open("rb") as fp:
            if format == AUTO:
                format = formats.detect(fp.read(formats.LOOK)) or ""
                fp.seek(0)
            if not format:
                return _unknown(found, empty=not fp.read(1))
            module = formats.module_of(format)
            if not hasattr(module, "convert"):
                return Outcome(file, format, skipped=f"it is a {format} already")
            converted: Converted = module.convert(fp, redaction, ignore_params)
    except OSError as exc:
        return Outcome(file, problem=f"{file} can't be read: {exc.strerror or exc}")
    except ConfigError:
        raise
    except IntegrityError as exc:
        return Outcome(file, format, problem=str(exc))
    return Outcome(file, format, converted)


def _unknown(found: Found, *, empty: bool) -> Outcome:
    if empty:
        return Outcome(found.file, problem=f"{found.file} is empty: nothing was recorded")
    if not found.named:
        return Outcome(found.file, skipped="it is no recording of a known format")
    known = ", ".join(formats.FORMATS)
    return Outcome(
        found.file,
        problem=f"{found.file} is no recording of a known format ({known}); if it is one, name "
        "its format with --format",
    )


# -- as a cassette -----------------------------------------------------------------------------


def document_of(
    recordings: Iterable[Recording], source: str, volatile: Volatile | None = None
) -> tuple[Document, dict[str, bytes]]:
    """Return recordings as a cassette, and the payloads that go beside it.

    The day of a recording is that of its instant, else that of the answer's ``Date``, else today.

    Args:
        source: name of the cassette's source.
        volatile: the headers left out.
    """
    beside: dict[str, bytes] = {}
    nodes: list[tuple[str, dict[str, Any]]] = []
    for recording in recordings:
        written = calls.to_node(recording, volatile=volatile or Volatile())
        beside.update(written.beside)
        nodes.append((day_of(recording.exchange), written.node))
    known = [day for day, _ in nodes if day]
    document = Document(source, min(known, default=utc_now()[:10]))
    for day, node in nodes:
        own = {"recorded": day} if day and day != document.recorded else {}
        document.calls.append({**own, **node})
    return document, beside


def day_of(exchange: Exchange) -> str:
    """Return the day on which a call was recorded, as far as it tells."""
    day = exchange.request.started_at[:10]
    if _DAY.fullmatch(day):
        return day
    answer = exchange.answer
    try:
        moment = parsedate_to_datetime(answer.header("Date") or "" if answer else "")
        return moment.astimezone(UTC).date().isoformat()
    except (TypeError, ValueError, OverflowError):
        return ""
