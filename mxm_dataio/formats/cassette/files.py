"""Cassettes on disk: read whole, and written so that who reads has the old or the new."""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ...errors import IntegrityError, StoreError
from ...storage.files import NotPlainError, is_link, open_plain
from ...utils import cause, utf8, write_whole
from . import document as cassette
from .beside import Folder, named_beside
from .document import Document
from .nodes import Node

# Of a call's mark.
_DIGITS = 20
# Threads that have locked a folder.
_locking: set[int] = set()
_PAYLOAD = re.compile(r"[0-9a-f]{64}\.bin")


def load(path: Path, *, needed: bool = False) -> tuple[bytes, Document | None]:
    """Return a cassette's bytes and what they hold; nothing, if there is none.

    Args:
        needed: that there is none is an error.

    Raises:
        IntegrityError: it is malformed or newer, or a link or no plain file lies in its place.
        StoreError: it can't be read.
    """
    _refuse_links(path)
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        if needed:
            raise StoreError(f"there is no cassette {path}", path=path) from None
        return b"", None
    except NotPlainError:
        raise IntegrityError(f"the cassette {path} is no plain file", path=path) from None
    except OSError as exc:
        raise StoreError(f"the cassette {path} can't be read: {exc.strerror}", path=path) from exc
    return content, cassette.parse(content, str(path))


def _refuse_links(path: Path) -> None:
    """Raise if a cassette or the folder beside it is a link: what is read and written is elsewhere.

    The folders that it lies in may be links; their owner says what they are.
    """
    for one, what in ((path, "file"), (Folder(path).path, "folder")):
        if is_link(one):
            raise IntegrityError(
                f"{one} is a link; nothing was read or changed: put the {what} itself in its "
                "place, or give the path that it leads to",
                path=one,
            )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold off other processes that write to a cassette of the same folder.

    Where the file system has no locks, the last that writes wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    here = _thread.get_ident()
    # What interrupts this very thread would wait here for what it has interrupted.
    amid = here in _locking
    try:
        _locking.add(here)
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX | (fcntl.LOCK_NB if amid else 0))
        yield
    finally:
        if not amid:
            _locking.discard(here)
        os.close(folder)


def save(path: Path, document: Document, beside: dict[str, bytes], was: bytes) -> bool:
    """Write a cassette if it has changed, and say whether it has.

    Payloads beside it come first, and go last if none names them any more, so that at each moment
    what is there is whole.

    Args:
        document: its content.
        beside: checksum → payload of those that are new.
        was: the bytes that it had.

    Raises:
        IntegrityError: a link lies in its place, or in that of the folder beside it.
        StoreError: it can't be written; what was there is left.
    """
    _refuse_links(path)
    content = document.text().encode("utf-8")
    folder = Folder(path)
    try:
        named = set(named_beside(document.calls))
        for checksum in sorted(named & beside.keys()):
            folder.path.mkdir(parents=True, exist_ok=True)
            if not _holds(folder.file(checksum), beside[checksum]):
                write_whole(folder.file(checksum), beside[checksum])
        if content != was:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        _sweep(folder, named)
    except OSError as exc:
        raise StoreError(
            f"the cassette {path} can't be written: {cause(exc)}; what was recorded is lost",
            path=path,
        ) from exc
    return content != was


def remove(path: Path) -> bool:
    """Remove a cassette and what lies beside it; say whether there was one.

    Raises:
        StoreError: it can't be removed.
    """
    try:
        path.unlink()
        _sweep(Folder(path), set())
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise StoreError(
            f"the cassette {path} can't be removed: {exc.strerror}", path=path
        ) from exc
    return True


def _holds(path: Path, content: bytes) -> bool:
    try:
        return not path.is_symlink() and path.read_bytes() == content
    except OSError:
        return False


def marks(calls: Iterable[Node]) -> list[str]:
    """Return what tells each call of a cassette: its text's digest, and the how many-th of it.

    Not its place, which is another's as soon as one before it comes or goes.
    """
    seen: Counter[str] = Counter()
    found = []
    for node in calls:
        rest = {name: item for name, item in node.items() if name != "recorded"}
        digest = hashlib.sha256(utf8(cassette.printed(rest))).hexdigest()[:_DIGITS]
        seen[digest] += 1
        found.append(f"{digest}-{seen[digest]}")
    return found


def drop(path: Path, dropped: Callable[[str], bool]) -> int:
    """Drop some of a cassette's calls, and return how many; without any, the file goes.

    Args:
        dropped: says so of a call's mark; see :func:`marks`.

    Raises:
        IntegrityError, StoreError: as reading and writing do.
    """
    with locked(path):
        was, document = load(path)
        if document is None:
            return 0
        each = zip(marks(document.calls), document.calls, strict=True)
        kept = [node for mark, node in each if not dropped(mark)]
        count = len(document.calls) - len(kept)
        if kept or document.meta:
            save(path, replace(document, calls=kept), {}, was)
        elif count:
            remove(path)
    return count


def _sweep(folder: Folder, named: set[str]) -> None:
    """Remove the payloads that no call names, and the folder when it has no more."""
    if folder.path.is_symlink():
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.path.iterdir():
            if _PAYLOAD.fullmatch(path.name) and path.stem not in named:
                path.unlink()
        if not named:
            with contextlib.suppress(OSError):
                folder.path.rmdir()
