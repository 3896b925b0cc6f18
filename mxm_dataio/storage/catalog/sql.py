"""Queries in SQL of whoever reads a store: on a connection of their own, which can't write."""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from ...config.settings import nearest
from ...errors import ConfigError, StoreError
from ...models import Response
from . import views
from .database import Database
from .refusals import code_of

# Instructions of SQLite's between two looks at whether the program wants to go on.
_STEPS = 20_000
_BATCH = 256
# Bytes of a content that is asked for in a query.
LARGEST = 16 << 20

_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION})
# What whoever writes a query has done wrong; any other error is the database's.
_MISTAKES = frozenset({
    sqlite3.SQLITE_ERROR, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH,
})  # fmt: skip
_TABLES = ("json_each", "json_tree")
_UNKNOWN = re.compile(r"no such (column|table|function): (?:\w+\.)?(\w+)")
_FUNCTIONS = ("header", "text", "json")

Parameters = Sequence[Any] | Mapping[str, Any]


class Rows(Iterator[sqlite3.Row]):
    """The rows of a query, each read as it is taken: of one instant, until the last or ``close``.

    A row has its values by number and by name, and is a mapping to ``dict``.

    Attributes:
        columns: their names.

    Args:
        answer: returns an answer by the id of its call or attempt.
        status: returns the status of a session that has not ended.

    Raises:
        ConfigError: the query is none that SQLite takes, or writes.
        IntegrityError, StoreError: as of a
            :class:`~mxm_dataio.storage.catalog.database.Database`.
    """

    columns: tuple[str, ...]

    def __init__(
        self,
        database: Database,
        query: str,
        parameters: Parameters,
        *,
        answer: Callable[[str], Response | None],
        status: Callable[[str], str],
    ) -> None:
        self._raised: list[BaseException] = []
        self._denied = ""
        self._waiting: list[sqlite3.Row] = []
        self._open = contextlib.ExitStack()
        self._ended = False
        with contextlib.ExitStack() as stack:
            db = stack.enter_context(database.snapshot())
            db.row_factory = sqlite3.Row
            self._prepare(db, answer, status)
            with self._told():
                self._cursor = db.execute(query, parameters)
            if self._cursor.description is None:
                raise ConfigError("SQL: this is no query: write SELECT …")
            self.columns = tuple(column[0] for column in self._cursor.description)
            self._open = stack.pop_all()

    def __next__(self) -> sqlite3.Row:
        if not self._waiting:
            if self._ended:
                raise StopIteration
            # (Within what refuses a database that is damaged.)
            with contextlib.ExitStack() as stack:
                self._ended = True
                stack.push(self._open.pop_all())
                with self._told():
                    self._waiting = self._cursor.fetchmany(_BATCH)[::-1]
                if not self._waiting:
                    raise StopIteration
                self._open, self._ended = stack.pop_all(), False
        return self._waiting.pop()

    def close(self) -> None:
        """Let go of the database."""
        self._waiting, self._ended = [], True
        self._open.close()

    def _prepare(
        self,
        db: sqlite3.Connection,
        answer: Callable[[str], Response | None],
        status: Callable[[str], str],
    ) -> None:
        views.create(db)
        functions = Functions(answer)
        for name, count, function in (
            ("header", 2, functions.header), ("text", 1, functions.text),
            ("json", 2, functions.json), ("_status", 1, status),
        ):  # fmt: skip
            db.create_function(name, count, self._noted(function))
        db.execute("PRAGMA query_only=ON")
        db.set_authorizer(self._permits)
        looks = _looks(self._raised)
        next(looks)
        db.set_progress_handler(looks.__next__, _STEPS)

    def _permits(
        self,
        action: int,
        name: str | None,
        detail: str | None,
        database: str | None,
        view: str | None,
    ) -> int:
        """Allow to read the views, and nothing else."""
        if action == sqlite3.SQLITE_READ:
            # (SQLite tells no view, and no column, where none is needed.)
            known = (
                name in views.VIEWS if database == "temp" else name in ("json_each", "json_tree")
            )
            if known or view in views.VIEWS or not detail:
                return sqlite3.SQLITE_OK
            self._denied = (
                f"{database}.{name} is no view, and may change with a release: there are "
                f"{', '.join(views.VIEWS)}"
            )
        elif action in _READS and detail != "load_extension":
            return sqlite3.SQLITE_OK
        else:
            self._denied = "a query reads the views (SELECT …), and does nothing else"
        return sqlite3.SQLITE_DENY

    def _noted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose errors outlive SQLite, which only says that there was one."""

        def noted(*values: Any) -> Any:
            try:
                return views.sound(function(*values))
            except BaseException as exc:
                self._raised.append(exc)
                raise

        return noted

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what is to be told of an error of SQLite's."""
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as exc:
            if self._raised:
                raise self._raised.pop() from None
            code = code_of(exc) if isinstance(exc, sqlite3.Error) else None
            if "user-defined function raised" in str(exc) or code == sqlite3.SQLITE_INTERRUPT:
                # By a signal, before the function's first line.
                raise KeyboardInterrupt from None
            if self._denied:
                raise ConfigError(f"SQL: {self._denied}") from None
            if code is None or code & 0xFF in _MISTAKES:
                raise ConfigError(f"SQL: {exc}{_near(str(exc))}") from None
            raise


class Functions:
    """The functions of a query that look into answers; what there is not is ``NULL``.

    Args:
        answer: returns an answer by the id of its call or attempt.
    """

    def __init__(self, answer: Callable[[str], Response | None]) -> None:
        # A row often asks several things of one answer.
        self._answer = functools.lru_cache(4)(answer)
        self._json = sqlite3.connect(":memory:", check_same_thread=False)
        self._json.text_factory = lambda content: content.decode("utf-8", "replace")

    def header(self, id: str, name: str) -> str | None:
        """Return the values of a header, joined as RFC 9110 §5.3 joins repeats."""
        found = self._found(id)
        return found.header(str(name)) if found else None

    def text(self, id: str) -> str | None:
        """Return the content as text, if the whole of it came and is kept.

        Raises:
            IntegrityError: the stored bytes are missing or damaged.
            StoreError: it is larger than :data:`LARGEST`, or its coding is damaged.
        """
        found = self._found(id)
        if found is None or found.checksum is None or found.truncated:
            return None
        if not (found.complete or found.closed_by_peer):
            return None
        if found.size > LARGEST:
            raise StoreError(
                f"{found.method} {found.url}: its body of {found.size} bytes is more than the "
                f"{LARGEST} that SQL reads: add AND bytes <= {LARGEST}, or take it from Python "
                f"(store.exchange({found.request_id!r}).answer)"
            )
        reader = found.reader()
        text: str = views.sound(reader.text(found, reader.content(found, LARGEST)))
        return text

    def json(self, id: str, path: str) -> Any:
        """Return what is at a path of the content, as SQLite's ``json_extract``, if it is JSON."""
        text = self.text(id)
        try:
            found = self._json.execute(
                "SELECT CASE WHEN json_valid(?1) THEN json_extract(?1, ?2) END", (text, path)
            )
            return found.fetchone()[0]
        except sqlite3.Error as exc:
            raise ConfigError(f"SQL: json(id, {path!r}): {exc}: write '$.name' or '$[0]'") from None

    def _found(self, id: str) -> Response | None:
        return self._answer(id) if isinstance(id, str) else None


def _looks(raised: list[BaseException]) -> Generator[int]:
    """Yield whether a query is to end: once a signal's handler has raised.

    That is raised where a function goes on, and of a generator that is within the ``try``.
    """
    end = 0
    while True:
        try:
            yield end
        except GeneratorExit:
            raise
        except BaseException as exc:
            raised.append(exc)
            end = 1


def _near(text: str) -> str:
    """Return the nearest name for one that SQLite does not know."""
    match = _UNKNOWN.search(text)
    if match is None:
        return ""
    if match[1] == "column":
        names = {column.name for columns in views.VIEWS.values() for column in columns}
    else:
        names = {*views.VIEWS} if match[1] == "table" else {*_FUNCTIONS}
    return nearest(match[2], sorted(names))
