"""Which descriptors SQLite has of a database in this process, and whether they are still its own.

SQLite opens the file, its ``-wal`` and its ``-shm``, and tells nobody the numbers: they are those
that show in the process once a connection is open, and are of these files. All connections of a
process to one file share what SQLite knows of it, by the file's inode: its locks, and the one
descriptor of the ``-shm`` (``unixInodeInfo`` and ``unixShmNode`` in ``os_unix.c``). So if the
program closes any of the numbers, no connection of this process to this file can be used or closed
any more, nor can another be opened: it would lock, cut off or write to what has the number now.
Such connections are kept for ever, since a finalizer would close them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ...concurrency import mutex
from ...errors import BusyError
from ...process import after_fork

_SUFFIXES = ("", "-wal", "-shm")
_FOLDERS = ("/proc/self/fd", "/dev/fd")
# Where neither is there.
_NUMBERS = range(3, 1024)

# Device and inode.
_File = tuple[int, int]


class SQLiteFiles:
    """The files of one database, as SQLite has them open in this process."""

    def __init__(self, file: _File) -> None:
        self.file = file
        self._known: dict[int, _File] = {}
        # Connections of ours, those that can't be closed too.
        self._open = 0
        self.spoiled = False

    def sound(self) -> bool:
        """Say whether every number is still SQLite's."""
        if not self.spoiled and not self._hold():
            with mutex.lock:
                # Another thread may have closed a connection just then.
                self.spoiled = self.spoiled or not self._hold()
        return not self.spoiled

    def _hold(self) -> bool:
        # (Asked before each use, and sooner done than by all().)
        for number, file in self._known.items():  # noqa: SIM110
            if _file(number) != file:
                return False
        return True

    def is_over(self) -> bool:
        """Say that no connection of ours is open, and SQLite has closed what it had left open.

        It closes the numbers of ours with the last connection of the process, which was the
        program's own.
        """
        return not self._open and not self._hold()

    def number(self) -> int | None:
        """Return a number of the database's file itself."""
        return next((one for one, file in self._known.items() if file == self.file), None)

    def displaced(self, path: Path) -> list[str]:
        """Return the suffixes of those files that are not at their paths any more."""
        open_files = set(self._known.values())
        found = [suffix for suffix in _SUFFIXES if _at(f"{path}{suffix}") not in open_files]
        return found if len(open_files) == len(_SUFFIXES) else [one for one in found if not one]

    def close(self, db: sqlite3.Connection) -> None:
        """Close a connection, unless it can't be."""
        with mutex.lock:
            if not self.sound():
                abandon(db)
                return
            db.close()
            self._open -= 1
            # Those of connections closed before others are over SQLite closes later.
            self._known = {one: file for one, file in self._known.items() if _file(one) == file}
            if not self._known and _places.get(self.file) is self:
                del _places[self.file]


_places: dict[_File, SQLiteFiles] = {}
_abandoned: list[sqlite3.Connection] = []


def opened(
    path: Path, connect: Callable[[], sqlite3.Connection], *, copy: bool = False
) -> tuple[sqlite3.Connection, SQLiteFiles]:
    """Return a connection that has read from a database, and SQLite's files of that.

    Args:
        connect: opens it.
        copy: nobody else opens it, and it is read without locks: so nothing is remembered of its
            inode, which another file may have soon.

    Raises:
        BusyError: no connection to it can be used in this process any more.
    """
    with mutex.lock:
        place = None if copy else _place_at(path)
        if place is not None and not place.sound():
            raise BusyError(
                f"the program has closed descriptors of the database {path}, which can't be used "
                "in this process any more",
                path=path,
            )
        before = {number: _file(number) for number in _numbers()}
        db = connect()
        file = _at(path)
        place = SQLiteFiles(file) if copy else _places.setdefault(file, SQLiteFiles(file))
        ours = {_at(f"{path}{suffix}") for suffix in _SUFFIXES}
        # Shared with a connection that the program itself has opened.
        shared = _at(f"{path}-shm")
        known = dict(place._known)
        for number in _numbers():
            found = _file(number)
            if found in ours and (found == shared or before.get(number) != found):
                known[number] = found
        place._known = known
        place._open += 1
        return db, place


def is_open(path: Path) -> bool:
    """Say whether a connection of this process to a database is open, and can be used."""
    place = _place_at(path)
    return place is not None and place.sound()


def _place_at(path: Path) -> SQLiteFiles | None:
    place = _places.get(_at(path))
    if place is not None and place.is_over():
        del _places[place.file]
        return None
    return place


def abandon(db: sqlite3.Connection) -> None:
    """Keep a connection from ever being closed, even as the interpreter ends."""
    _abandoned.append(db)
    with contextlib.suppress(ImportError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))


def _file(number: int) -> _File:
    try:
        found = os.fstat(number)
    except OSError:
        return (-1, -1)
    return found.st_dev, found.st_ino


def _at(path: str | Path) -> _File:
    try:
        found = os.lstat(path)
    except OSError:
        return (-1, -2)
    return found.st_dev, found.st_ino


def _numbers() -> list[int]:
    """Return the numbers of this process's open files, perhaps some more."""
    for folder in _FOLDERS:
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(folder) if name.isdecimal()]
    return list(_NUMBERS)


def _renew() -> None:
    """In a forked child: what a connection has that could not be let go is its parent's."""
    for place in _places.values():
        place.spoiled = place.spoiled or bool(place._known)


after_fork(_renew)
