"""What a reader asks of a store: calls by what they are, queries in SQL, and tables."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..models import Exchange, Response, Session, Status

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from .catalog.selection import Outcomes, Since, Wanted
    from .catalog.sql import Parameters, Rows
    from .root_store import RootStore


class Questions:
    """Asks a store what it has.

    Args:
        store: the root's.
    """

    def __init__(self, store: RootStore) -> None:
        self._store = store

    def calls(
        self,
        *,
        source: str | None = None,
        host: str | None = None,
        url: str | None = None,
        status: Outcomes | None = None,
        since: Since | None = None,
        session: str | Session | None = None,
    ) -> Iterator[Exchange]:
        """Return the calls to which all of this applies, the newest last, read as they are taken.

        Args:
            source: whose.
            host: theirs, with any port unless it says one; ``*`` is any text (``*.example.com``).
            url: as a pattern: ``*`` is any text, ``?`` one character; with the query or without,
                with the scheme or without.
            status: an attempt was answered so (``404``, ``"5xx"``), or the call is ``failed``,
                ``partial``, ``interrupted`` or ``complete``; of several any.
            since: they began then or later: a span before now (``2h``, ``30d``, a ``timedelta``), a
                date or an instant in ISO 8601 (UTC by default), or seconds since 1970.
            session: that, with those of its child processes; also a part of its id, ``latest`` (of
                the source), ``latest~1``.

        Raises:
            ConfigError: the status or the instant is none.
            IntegrityError: a record, or the database, is damaged.
            StoreError: there is no such session, or more than one.
        """
        from .catalog.selection import wanted_of  # no session needs it

        wanted = wanted_of(source=source, host=host, url=url, status=status, since=since)
        return self._selected(wanted, session)

    def latest(
        self,
        source: str | None = None,
        *,
        host: str | None = None,
        url: str | None = None,
        status: Outcomes | None = None,
        session: str | Session | None = None,
    ) -> Exchange | None:
        """Return the newest call, whatever became of it, or that of :meth:`calls` so asked."""
        from .catalog.selection import wanted_of

        wanted = wanted_of(source=source, host=host, url=url, status=status)
        return next(self._selected(wanted, session, newest_first=True, step=1), None)

    def _selected(
        self, wanted: Wanted, session: str | Session | None, **how: Any
    ) -> Iterator[Exchange]:
        ids: list[str | None] = [None]
        if session is not None:
            given = session.id if isinstance(session, Session) else session
            ids = [
                one.id for one in self._store.family(self._store.session_id(given, wanted.source))
            ]
        each = [self._store.catalog.calls(wanted, id, **how) for id in ids]
        # Not sorted all together: calls of processes of one session have one order.
        newest_first = how.get("newest_first", False)
        found = heapq.merge(*each, key=lambda call: call.request.id, reverse=newest_first)
        return map(self._store.placed, found)

    def sql(self, query: str, parameters: Parameters = ()) -> Rows:
        """Return the rows of a query over the views ``sessions, calls, attempts, headers``.

        Each is an ``sqlite3.Row``: ``row["host"]``, ``row[0]``, ``dict(row)``. They are of one
        instant and read as they are taken; ``rows.columns`` has the names. Columns and functions
        are a contract: ``docs/reference/sql.md``. Nothing can be written.

        Args:
            parameters: for ``?`` a sequence, for ``:name`` a mapping.

        Raises:
            ConfigError: SQLite does not take it, or it does more than to read.
            IntegrityError: the database, or an answer that ``text`` or ``json`` reads, is damaged.
            StoreError: such an answer is larger than 16 MiB.
        """
        from .catalog.sql import Rows  # no session needs it

        return Rows(
            self._store.catalog.database,
            query,
            parameters,
            answer=self._attempt,
            status=self._status,
        )

    def table(self, view: str = "calls") -> pyarrow.Table:
        """Return a view of :meth:`sql` as a table of pyarrow, its columns in types of their own.

        Raises:
            ConfigError: there is no such view, or pyarrow is not installed.
            IntegrityError: a record is damaged.
        """
        from .catalog import frames

        return frames.table(self._view(view), view)

    def frame(self, view: str = "calls") -> pandas.DataFrame:
        """Return a view of :meth:`sql` as a frame of pandas, its columns in types of their own.

        Raises:
            ConfigError: there is no such view, or pandas is not installed.
            IntegrityError: a record is damaged.
        """
        from .catalog import frames

        return frames.frame(self._view(view), view)

    def _view(self, view: str) -> Rows:
        from .catalog.views import known

        names = ", ".join(column.name for column in known(view))
        return self.sql(f"SELECT {names} FROM {view} ORDER BY 1")

    def _attempt(self, id: str) -> Response | None:
        """Return an attempt by its id; by that of a call its answer."""
        call, _, sequence = id.partition("/")
        held = self._store.exchange(call) if sequence else self._store.answering(call)
        if held is None or not sequence:
            return held.answer if held else None
        return next((one for one in held.responses if str(one.sequence) == sequence), None)

    def _status(self, session_id: str) -> str:
        session = self._store.session(session_id)
        return str(session.status if session else Status.INTERRUPTED)
