"""Files of other recorders, found, read and converted one by one: what one is tells of no other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

from .. import formats
from ..errors import StoreError
from ..identity.matching import Matcher
from ..models import Exchange, Mode, Session, Status
from ..redaction import rules as redacting
from ..redaction.rules import Redaction
from ..storage.backend import RecordingBackend
from ..storage.entries import InSession
from ..storage.layout import WRITABLE
from ..utils import cause, instant, new_id, utc_now
from .cassette import files
from .cassette.document import Document
from .destinations import SUFFIX, Destinations
from .foreign.conversion import Converted
from .recordings import Recording, entry_of, seen_by
from .volatile import Volatile

AUTO = "auto"
# Bytes of a payload that go through memory on their way into a store.
_SPOOLED = 262_144
# Why a file of a folder is skipped.
THERE = "its cassette is there already, --force replaces it"
CONVERTED = "it is a cassette"
UNKNOWN = "it is no recording of a known format"
# Endings of recordings; vcrpy adds none of its own.
_SUFFIXES = frozenset({"", ".yaml", ".yml", ".json"})

_ALL_COUNTS = Matcher()


class Found(NamedTuple):
    """A file that may be a recording.

    Attributes:
        base: the folder in which it was found, or its own.
        named: it was asked for by its name.
    """

    file: Path
    base: Path
    named: bool


class Item(NamedTuple):
    """A file, and what is to become of it.

    Attributes:
        format: that it is of.
        cassettes: the files that it becomes.
        problem: why it is not converted, if that is wrong.
        skipped: why it is not converted, if that is not.
    """

    file: Path
    format: str = ""
    cassettes: tuple[Path, ...] = ()
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


def planned(
    found: Iterable[Found],
    format: str = AUTO,
    *,
    destinations: Destinations | None = None,
    output: Path | None = None,
    force: bool = False,
) -> Iterator[Item]:
    """Yield what is to become of files, with no more of them read than tells their format.

    Args:
        format: that they are of, or :data:`AUTO`.
        destinations: where cassettes belong; ``None`` if none are to be written.
        output: the cassette, for one file, or the folder under which they are to be.
        force: a file that is there already is replaced.
    """
    taken: dict[Path, Path] = {}
    for one in found:
        item = _recognised(one, format)
        if item.format and destinations is not None:
            if not hasattr(formats.module_of(item.format), "convert"):
                item = item._replace(skipped=CONVERTED)
            else:
                item = _placed(item, one, destinations, output, taken, force=force)
        yield item


def _recognised(found: Found, format: str) -> Item:
    file = found.file
    try:
        with file.open("rb") as fp:
            begin = fp.read(formats.LOOK)
    except OSError as exc:
        return Item(file, problem=f"{file} can't be read: {exc.strerror or exc}")
    if not begin.strip():
        return Item(file, problem=f"{file} is empty: nothing was recorded")
    if format == AUTO:
        format = formats.detect(begin) or ""
    if format:
        return Item(file, format)
    if not found.named:
        return Item(file, skipped=UNKNOWN)
    known = ", ".join(formats.FORMATS)
    return Item(
        file,
        problem=f"{file} is no recording of a known format ({known}); if it is one, name its "
        "format with --format",
    )


def _placed(
    item: Item,
    found: Found,
    destinations: Destinations,
    output: Path | None,
    taken: dict[Path, Path],
    *,
    force: bool,
) -> Item:
    """Return an item with the cassettes that it becomes, unless they can't be written."""
    cassettes = tuple(
        _moved(path, found.base, output) if output is not None else path
        for path in destinations.of(item.file)
    )
    for path in cassettes:
        other = taken.setdefault(path.absolute(), item.file)
        if other != item.file:
            return item._replace(problem=f"{item.file}: {path} is what {other} becomes already")
        if path.exists() and not force:
            if path.absolute() == item.file.absolute():
                why = "it would take its own place: -o names another, --force replaces it"
                return item._replace(problem=f"{item.file}: {why}")
            if not found.named:
                return item._replace(skipped=THERE)
            return item._replace(problem=f"{path} is there already: --force replaces it")
    return item._replace(cassettes=cassettes)


def _moved(path: Path, base: Path, output: Path) -> Path:
    if output.suffix == SUFFIX:
        return output
    for folder in (base, Path.cwd()):
        if path.absolute().is_relative_to(folder.absolute()):
            return output / path.absolute().relative_to(folder.absolute())
    return output / path.name


def read(
    item: Item,
    redaction: Redaction | None = redacting.DEFAULT,
    matcher: Matcher = _ALL_COUNTS,
) -> Converted:
    """Return what a file holds.

    Args:
        redaction: what never reaches disk; ``None`` switches it off.
        matcher: what counts in the identities of the calls.

    Raises:
        ConfigError: it is YAML, and PyYAML is not installed.
        IntegrityError: it is malformed; the place is named.
        StoreError: it can't be read.
    """
    module = formats.module_of(item.format)
    try:
        with item.file.open("rb") as fp:
            if hasattr(module, "convert"):
                converted: Converted = module.convert(fp, redaction)
            else:
                converted = Converted(list(module.read(fp)), [], [])
    except OSError as exc:
        raise StoreError(
            f"{item.file} can't be read: {exc.strerror or exc}", path=item.file
        ) from exc
    if not matcher:
        return converted
    uncounted = (redaction or redacting.NOTHING).uncounted()
    seen = [seen_by(matcher, one, uncounted) for one in converted.recordings]
    return converted._replace(recordings=seen)


# -- as a cassette -----------------------------------------------------------------------------


def write_cassette(path: Path, recordings: Iterable[Recording]) -> None:
    """Write recordings as a cassette, in the place of what is there.

    Raises:
        StoreError: it can't be written; what was there is left.
    """
    document, beside = document_of(recordings, path.stem)
    with files.locked(path):
        files.save(path, document, beside, path.read_bytes() if path.exists() else b"")


def document_of(
    recordings: Iterable[Recording], source: str, volatile: Volatile | None = None
) -> tuple[Document, dict[str, bytes]]:
    """Return recordings as a cassette, and the payloads that go beside it.

    The day of a recording is that of its instant, else that of the answer's ``Date``, else today.

    Args:
        source: name of the cassette's source.
        volatile: the headers left out.
    """
    dated = [
        Recording(_dated(exchange, instant_of(exchange)), payloads)
        for exchange, payloads in recordings
    ]
    known = [day for day in (day_of(exchange) for exchange, _ in dated) if day]
    document = Document(source, min(known, default=utc_now()[:10]))
    beside: dict[str, bytes] = {}
    for recording in dated:
        beside |= document.add(recording, volatile or Volatile())
    return document, beside


def day_of(exchange: Exchange) -> str:
    """Return the day on which a call was recorded, as far as it tells."""
    return instant_of(exchange)[:10]


def instant_of(exchange: Exchange) -> str:
    """Return when a call was recorded, by itself or by the ``Date`` of its answer."""
    if exchange.request.started_at:
        return exchange.request.started_at
    answer = exchange.answer
    try:
        moment = parsedate_to_datetime(answer.header("Date") or "" if answer else "")
        return instant(moment.astimezone(UTC).timestamp())
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _dated(exchange: Exchange, moment: str) -> Exchange:
    return Exchange(replace(exchange.request, started_at=moment), exchange.responses)


# -- in a store --------------------------------------------------------------------------------


def put(
    store: RecordingBackend,
    source: str,
    recordings: Sequence[Recording],
    origin: str,
    *,
    default: str = "",
) -> str:
    """Put recordings into a store as one session, and return its id.

    It is dated by the first of them, as far as they tell; its ``warnings`` say where they are from.

    Args:
        source: of the session and all its calls; if empty, those that the recordings name.
        origin: what they are from.
        default: the source where they name none.

    Raises:
        StoreError: disk or database refused.
    """
    now = utc_now()
    calls = [one.exchange for one in recordings]
    days = (call.request.as_of or day_of(call) for call in calls)
    as_of = min(filter(None, days), default=now[:10])
    named = source or next((call.request.source for call in calls if call.request.source), default)
    session = Session(
        id=(session_id := new_id()), root_id=session_id, source=named, kind="import",
        mode=Mode.RECORD, as_of=as_of, status=Status.RUNNING, started_at=now, pid=os.getpid(),
        warnings=(f"imported from {origin}",),
    )  # fmt: skip
    store.begin(session)
    try:
        for exchange, payloads in recordings:
            held = _taken(store, payloads)
            dated = Recording(_dated(exchange, instant_of(exchange) or now), held)
            own = source or exchange.request.source or named
            within = InSession(session_id, session_id, own, as_of)
            store.append(entry_of(dated, within, new_id()))
        store.settle()
    except OSError as exc:
        raise StoreError(
            f"{origin} was not put into {store.root}: {cause(exc, WRITABLE)}",
            path=store.root,
        ) from exc
    store.end(replace(session, status=Status.COMPLETE, ended_at=utc_now()))
    return session_id


def _taken(store: RecordingBackend, payloads: Mapping[str, bytes]) -> dict[str, bytes]:
    """Have large payloads put into their files, and return the others."""
    held: dict[str, bytes] = {}
    for checksum, content in payloads.items():
        spool = store.spool(_SPOOLED)
        try:
            spool.write(content)
            store.take(spool, checksum, held)
        finally:
            spool.discard()
    return held
