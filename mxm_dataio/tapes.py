"""Cassettes on disk: read whole, and written so that who reads has the old or the new."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from .errors import StoreError
from .formats import cassette
from .formats.cassette import Document
from .utils import new_id

_PAYLOAD = re.compile(r"[0-9a-f]{64}\.bin")


def load(path: Path, *, needed: bool = False) -> tuple[bytes, Document | None]:
    """Return a cassette's bytes and what they hold; nothing, if there is none.

    Args:
        needed: that there is none is an error.

    Raises:
        IntegrityError: it is malformed or newer.
        StoreError: it can't be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if needed or path.is_symlink():
            raise StoreError(f"there is no cassette {path}", path=path) from None
        return b"", None
    except OSError as exc:
        raise StoreError(f"the cassette {path} can't be read: {exc.strerror}", path=path) from exc
    return content, cassette.parse(content, str(path))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold off other processes that write to a cassette of the same folder.

    Where the file system has no locks, the last that writes wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
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
        StoreError: it can't be written; what was there is left.
    """
    content = document.text().encode("utf-8")
    folder = cassette.Folder(path)
    try:
        named = set(cassette.named_beside(document))
        for checksum in sorted(named & beside.keys()):
            folder.path.mkdir(parents=True, exist_ok=True)
            if not _holds(folder.file(checksum), beside[checksum]):
                _replace(folder.file(checksum), beside[checksum])
        if content != was:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, content)
        _sweep(folder, named)
    except OSError as exc:
        raise StoreError(
            f"the cassette {path} can't be written: {exc.strerror}; what was recorded is lost",
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
        _sweep(cassette.Folder(path), set())
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


def drop(path: Path, places: Collection[int]) -> int:
    """Drop some of a cassette's calls, and return how many.

    Raises:
        IntegrityError, StoreError: as reading and writing do.
    """
    was, document = load(path, needed=True)
    assert document is not None
    kept = [node for place, node in enumerate(document.calls) if place not in places]
    count = len(document.calls) - len(kept)
    save(path, replace(document, calls=kept), {}, was)
    return count


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{new_id()}.tmp")
    try:
        # For all whom the umask lets: it is a file of the project's, not a store's.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _sweep(folder: cassette.Folder, named: set[str]) -> None:
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
