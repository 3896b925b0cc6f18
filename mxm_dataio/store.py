"""The store as its readers have it: sessions, their calls and bytes, and questions about them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from .errors import IntegrityError
from .models import Exchange, Request, Response, Session
from .storage.questions import Questions
from .storage.root_store import RootStore


class Store(Questions):
    """What was recorded under one root.

    Args:
        root: the folder.
        readonly: make and write nothing; without it the folder is made, and :meth:`forget` can
            leave its mark. (What a process that was killed has left in a journal is moved to its
            place first, where that may be written.)
        patient: wait for a minute for another process that holds the database's lock, and say so
            on standard error; else for a second in all.

    Attributes:
        root: the folder.

    Raises:
        BusyError: the database's lock is held by another process.
        IntegrityError: the database is foreign, damaged or newer; nothing was changed.
        StoreError: the root can't be read or made; or nothing is recorded there, to be read.
    """

    root: Path

    def __init__(
        self, root: str | os.PathLike[str], *, readonly: bool = True, patient: bool = False
    ) -> None:
        super().__init__(RootStore(root, readonly=readonly, patient=patient))
        self.root = self._store.root

    def __repr__(self) -> str:
        """Say where it is, and how much it holds now."""
        return f"<{type(self).__name__} {self._store.contents()}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def session(self, session_id: str) -> Session | None:
        """Return a session by its id."""
        return self._store.session(session_id)

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return all sessions, or those of a source, oldest first."""
        return self._store.sessions(source)

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id."""
        return self._store.exchange(request_id)

    def exchanges(
        self, session_id: str, damaged: Callable[[IntegrityError], None] | None = None
    ) -> Iterator[Exchange]:
        """Return the calls of a session in the order in which they were made.

        Args:
            damaged: is told of each whose record can't be read; without it that raises.

        Raises:
            IntegrityError: a record, or the database, is damaged.
        """
        return self._store.exchanges(session_id, damaged)

    def requests(self, session_id: str) -> list[Request]:
        """Return a session's requests in their order."""
        return self._store.requests(session_id)

    def responses(self, request_id: str) -> list[Response]:
        """Return a request's attempts in their order."""
        return self._store.responses(request_id)

    def open(self, response: Response) -> BinaryIO:
        """Return the stored bytes of an attempt, to be read once, from their start.

        Raises:
            IntegrityError: they are missing or damaged; the file is named. Of a large one, reading
                raises this too: a block is checked before it is handed out.
            ConfigError: they are compressed, and the library for that is not installed.
        """
        return self._store.open(response)

    def forget(self, request_id: str, *, undo: bool = False) -> bool:
        """Have a call answer none any more; see ``mxm-dataio forget``.

        Args:
            request_id: the whole of it.
            undo: have it answer again.

        Returns:
            Whether that changes anything.

        Raises:
            StoreError: there is no such call, or the database refused.
        """
        return self._store.forget(request_id, undo=undo)
