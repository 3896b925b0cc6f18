"""The store: catalog and payloads together, one write path, the only door to disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from .catalog import SQLiteCatalog
from .errors import IntegrityError, StoreError
from .models import Exchange, Request, Response, Session, Status
from .payloads import PayloadFolder, Spool

DATABASE = "dataio.sqlite"
RESPONSES = "responses"


class Store:
    """One root folder.

    Args:
        root: made when absent, for its owner alone, unless ``readonly``.
        readonly: never write; what replay uses.

    Raises:
        IntegrityError: the database is foreign, damaged or newer; nothing was changed.
        StoreError: the root can't be read or made.
    """

    def __init__(self, root: str | os.PathLike[str], *, readonly: bool = False) -> None:
        self.root = Path(root)
        self.readonly = readonly
        self.payloads = PayloadFolder(self.root / RESPONSES)
        if not readonly:
            try:
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.payloads.create()
            except OSError as exc:
                raise StoreError(
                    f"the root {self.root} can't be made: {exc.strerror}; make the folder "
                    "writable or give another root",
                    path=self.root,
                ) from exc
        self.catalog = SQLiteCatalog(self.root / DATABASE, readonly=readonly)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; payload files need no closing."""
        self.catalog.close()

    # -- writing -----------------------------------------------------------------------------

    def spool(self, limit: int) -> Spool:
        """Return an empty spool whose temporary file, if it needs one, lies in this store."""
        return Spool(self.payloads.folder, limit)

    def record(
        self,
        request: Request,
        attempts: Sequence[tuple[Response, Spool | None]],
        *,
        body: Spool | None = None,
        vary: tuple[str, ...] = (),
    ) -> Exchange:
        """Store a call: first its payloads, then, in one transaction, its rows.

        When this returns, the call survives the end of the process, however it ends.

        Args:
            request: with everything but ``body_checksum`` and ``body_size``.
            attempts: in their order, with the spool of each answer's body.
            body: the request's body, redacted.
            vary: header names that the answer varies on.

        Raises:
            StoreError: disk or database refused; the spools keep their bytes.
        """
        try:
            if body is not None and body.size:
                size = body.size
                request = replace(request, body_checksum=self.payloads.put(body), body_size=size)
            responses = []
            for response, spool in attempts:
                if spool is not None:
                    size = spool.size
                    checksum = self.payloads.put(spool)
                    response = replace(
                        response,
                        checksum=checksum,
                        size=size,
                        bytes_path=self.payloads.path(checksum),
                    )
                responses.append(response)
        except OSError as exc:
            raise StoreError(
                f"{request.method} {request.url} was not recorded: {exc.strerror or exc} "
                f"({self.payloads.folder}); free space or make the folder writable",
                path=self.payloads.folder,
            ) from exc
        exchange = Exchange(request, tuple(responses))
        self.catalog.put(exchange, vary)
        return exchange

    def begin(self, session: Session) -> None:
        """Write the row of a session that starts."""
        self.catalog.put_session(session)

    def end(self, session: Session) -> None:
        """Write the row of a session that ended, and sync: it now survives a power cut."""
        self.payloads.sync()
        self.catalog.put_session(session, durable=True)

    # -- reading -----------------------------------------------------------------------------

    def session(self, session_id: str) -> Session | None:
        """Return a session by its id."""
        session = self.catalog.session(session_id)
        return _as_it_is(session) if session else None

    def sessions(self, source: str | None = None) -> list[Session]:
        """Return all sessions, or those of a source, oldest first."""
        return [_as_it_is(session) for session in self.catalog.sessions(source)]

    def exchange(self, request_id: str) -> Exchange | None:
        """Return a call by its request's id."""
        return self._placed(self.catalog.exchange(request_id))

    def exchanges(self, session_id: str) -> Iterator[Exchange]:
        """Return the calls of a session in the order in which they were made."""
        for exchange in self.catalog.exchanges(session_id):
            yield self._place(exchange)

    def requests(self, session_id: str) -> list[Request]:
        """Return a session's requests in their order."""
        return [exchange.request for exchange in self.catalog.exchanges(session_id)]

    def responses(self, request_id: str) -> list[Response]:
        """Return a request's attempts in their order."""
        exchange = self.exchange(request_id)
        return list(exchange.responses) if exchange else []

    def nth(self, source: str, params_hash: str, root_id: str, after: str) -> Exchange | None:
        """Return a session's next call with this hash behind the call ``after``."""
        return self._placed(self.catalog.nth(source, params_hash, root_id, after))

    def last(self, source: str, params_hash: str, root_id: str) -> Exchange | None:
        """Return a session's last call with this hash."""
        return self._placed(self.catalog.last(source, params_hash, root_id))

    def open(self, response: Response) -> BinaryIO:
        """Return the payload of an attempt, to be read once, from its start.

        Raises:
            IntegrityError: it is missing or damaged; the file is named. Of a large one, reading
                raises this too: a block is checked before it is handed out.
        """
        return self.payloads.open(*_kept(response))

    def verify(self, response: Response, *, beside: bool = False) -> None:
        """Check the whole payload of an attempt.

        Args:
            beside: check also what lies beside the payload to serve it sooner.

        Raises:
            IntegrityError: it is missing or damaged; the file is named.
        """
        self.payloads.verify(*_kept(response), beside=beside)

    def _placed(self, exchange: Exchange | None) -> Exchange | None:
        return self._place(exchange) if exchange else None

    def _place(self, exchange: Exchange) -> Exchange:
        return Exchange(
            exchange.request,
            tuple(
                replace(response, bytes_path=self.payloads.path(response.checksum))
                if response.checksum
                else response
                for response in exchange.responses
            ),
        )


def _kept(response: Response) -> tuple[str, int]:
    if response.checksum is None:
        raise IntegrityError(f"attempt {response.id} has no payload: no answer came")
    return response.checksum, response.size


def _as_it_is(session: Session) -> Session:
    """Return the session, ``interrupted`` if its process is gone without having ended it."""
    if session.status is Status.RUNNING and not _alive(session.pid):
        return replace(session, status=Status.INTERRUPTED)
    return session


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
